//! Values of a scenario that the command line replaces.

use std::collections::BTreeMap;
use std::fmt::Display;

use clap::Args;

use super::spec::{ClockKind, Policy, Scenario};
use crate::arm::Arm;
use crate::compression::Compression;
use crate::error::{Error, Result};
use crate::memory::{Pages, Presence};
use crate::tracking::TrackerSpec;
use crate::units::{Bandwidth, Rate, Size, Span};
use crate::workload::Arrival;

/// Measured blocks at most where their number is left open.
pub const MOST_AUTO_BLOCKS: u32 = 200;

/// Number of measured blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetitions {
    /// As many as it takes, up to [`MOST_AUTO_BLOCKS`].
    Auto,
    /// This many.
    Count(u32),
}

impl std::str::FromStr for Repetitions {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Repetitions::Auto),
            _ => text
                .parse()
                .map(Repetitions::Count)
                .map_err(|_| "a number of repetitions, or auto".to_owned()),
        }
    }
}

/// Flags that replace values of the scenario's guest and stream. As in all of these, each has the
/// meaning, and the range, of the field that its help names.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct StreamOverrides {
    /// Guest memory, such as 1GiB [guest.memory]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Size>,
    /// Page writes per second times the page size, such as 200MiB/s [workload.rate]
    #[arg(long, value_name = "SIZE/s")]
    pub rate: Option<Rate>,
    /// Seed of memory content, stream and block order [guest.seed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Flags that replace values of the scenario's guest, stream and migration.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct MigrationOverrides {
    /// Guest and stream.
    #[command(flatten)]
    pub stream: StreamOverrides,
    /// Arms to run, separated by commas [measure.arms]
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub arms: Option<Vec<Arm>>,
    /// What backs guest memory, on both hosts [guest.pages]
    #[arg(long, value_name = "PAGES")]
    pub pages: Option<Pages>,
    /// When the destination's guest memory is made [migration.destination_memory]
    #[arg(long, value_name = "WHEN")]
    pub destination_memory: Option<Presence>,
    /// TCP connections, 1 to 64 [migration.streams]
    #[arg(long, value_name = "N")]
    pub streams: Option<u32>,
    /// Page content in one record at most, 4KiB to 16MiB [migration.record]
    #[arg(long, value_name = "SIZE")]
    pub record: Option<Size>,
    /// How page content is compressed before it is sealed: none, lz4, zstd or zstd:LEVEL
    /// [migration.compression]
    #[arg(long, value_name = "C")]
    pub compression: Option<Compression>,
    /// How dirty pages are found [migration.tracker]
    #[arg(long, value_name = "T")]
    pub tracker: Option<TrackerSpec>,
    /// Wall-clock time, or exact counts in virtual time [measure.clock]
    #[arg(long, value_name = "CLOCK")]
    pub clock: Option<ClockKind>,
    /// Bandwidth that the source keeps to, such as 10Gbit/s or unlimited; several, separated by commas,
    /// make a matrix [migration.link]
    #[arg(long, value_delimiter = ',', value_name = "BANDWIDTH")]
    pub link: Option<Vec<Bandwidth>>,
    /// Round trip between the hosts, added to the network's own, such as 10ms [migration.rtt]
    #[arg(long, value_name = "D")]
    pub rtt: Option<Span>,
    /// The pause that pre-copy aims at, such as 300ms; several, separated by commas, make a matrix
    /// [migration.downtime_limit]
    #[arg(
        long,
        visible_alias = "downtime-limits",
        value_delimiter = ',',
        value_name = "D"
    )]
    pub downtime_limit: Option<Vec<Span>>,
    /// Encryption policy [migration.policy]
    #[arg(long, value_name = "P")]
    pub policy: Option<Policy>,
}

/// All flags that replace values of the scenario: what `migtax run` takes.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Overrides {
    /// What is migrated, and how.
    #[command(flatten)]
    pub migration: MigrationOverrides,
    /// Measured blocks; each holds every arm once; auto: as many as --precision or --budget take
    /// [measure.repetitions]
    #[arg(long, value_name = "N|auto")]
    pub reps: Option<Repetitions>,
    /// Blocks run first and not counted [measure.warmup]
    #[arg(long, value_name = "N")]
    pub warmup: Option<u32>,
}

impl Overrides {
    /// One for each combination of the values that are listed, with the fields that vary, dotted, and their
    /// values; itself where no list has more than one.
    ///
    /// # Errors
    /// A value that a list holds twice.
    pub(super) fn expand(&self) -> Result<Vec<(Overrides, BTreeMap<String, String>)>> {
        let mut points = vec![(self.clone(), BTreeMap::new())];
        let migration = &self.migration;
        vary(&mut points, "migration.link", &migration.link, |o| {
            &mut o.migration.link
        })?;
        let limits = &migration.downtime_limit;
        vary(&mut points, "migration.downtime_limit", limits, |o| {
            &mut o.migration.downtime_limit
        })?;
        Ok(points)
    }
}

type Varied = (Overrides, BTreeMap<String, String>);

fn vary<T: Copy + PartialEq + Display>(
    points: &mut Vec<Varied>,
    field: &str,
    values: &Option<Vec<T>>,
    of: fn(&mut Overrides) -> &mut Option<Vec<T>>,
) -> Result<()> {
    let Some(values) = values.as_ref().filter(|values| values.len() > 1) else {
        return Ok(());
    };
    for (index, value) in values.iter().enumerate() {
        let once = !values[..index].contains(value);
        Error::unless(once, field, value, "each value once")?;
    }
    let point = |(overrides, label): &Varied, value: &T| {
        let (mut overrides, mut label) = (overrides.clone(), label.clone());
        *of(&mut overrides) = Some(vec![*value]);
        label.insert(field.to_owned(), value.to_string());
        (overrides, label)
    };
    let mut all = Vec::with_capacity(points.len() * values.len());
    for before in points.iter() {
        all.extend(values.iter().map(|value| point(before, value)));
    }
    *points = all;
    Ok(())
}

impl From<StreamOverrides> for Overrides {
    fn from(stream: StreamOverrides) -> Self {
        Overrides {
            migration: MigrationOverrides {
                stream,
                ..MigrationOverrides::default()
            },
            ..Overrides::default()
        }
    }
}

impl Scenario {
    /// Replaces the values that are given, the first of a list, and returns the names of their fields, dotted.
    /// [`Scenario::check`] the result.
    pub fn apply(&mut self, overrides: &Overrides) -> Vec<&'static str> {
        let mut replaced = Vec::new();
        macro_rules! replace {
            ($value:expr => $section:ident.$field:ident) => {
                if let Some(value) = $value {
                    self.$section.$field = value;
                    replaced.push(concat!(stringify!($section), ".", stringify!($field)));
                }
            };
        }
        let migration = &overrides.migration;
        let stream = &migration.stream;
        let blocks = overrides.reps.map(|reps| match reps {
            Repetitions::Count(count) => count,
            Repetitions::Auto => MOST_AUTO_BLOCKS,
        });
        replace!(stream.memory => guest.memory);
        replace!(stream.rate => workload.rate);
        replace!(stream.seed => guest.seed);
        replace!(migration.arms.clone() => measure.arms);
        replace!(migration.pages => guest.pages);
        replace!(migration.destination_memory => migration.destination_memory);
        replace!(migration.streams => migration.streams);
        replace!(migration.record => migration.record);
        replace!(migration.compression => migration.compression);
        replace!(migration.tracker => migration.tracker);
        replace!(migration.clock => measure.clock);
        let first = |values: &Option<Vec<_>>| values.as_ref()?.first().copied();
        replace!(first(&migration.link) => migration.link);
        replace!(migration.rtt.map(Some) => migration.rtt);
        let first = |values: &Option<Vec<_>>| values.as_ref()?.first().copied();
        replace!(first(&migration.downtime_limit) => migration.downtime_limit);
        replace!(migration.policy => migration.policy);
        replace!(blocks => measure.repetitions);
        replace!(overrides.warmup => measure.warmup);
        if let Some(rate) = stream.rate {
            self.set_rate(rate);
        }
        replaced
    }

    /// Gives the guest another rate, which decides at which speed a trace runs.
    pub fn set_rate(&mut self, rate: Rate) {
        self.workload.rate = rate;
        if let Arrival::Trace { speed, .. } = &mut self.workload.arrival {
            *speed = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        overrides: Overrides,
    }

    #[test]
    fn every_flag_replaces_its_field() {
        let flags = "t --arms copy,aws-lc --reps 9 --memory 1GiB --rate 7MiB/s --streams 3 \
                     --record 64KiB --tracker bitmap --clock virtual --link 1Gbit/s \
                     --downtime-limit 7ms --policy required --seed 42 --warmup 3 --pages thp \
                     --destination-memory on-demand";
        let parsed = Command::try_parse_from(flags.split_whitespace()).unwrap();
        let mut scenario = crate::scenario::load(None).unwrap();
        let replaced = scenario.apply(&parsed.overrides);
        assert_eq!(replaced.len(), flags.matches("--").count());
        assert_eq!(scenario.measure.arms, [Arm::COPY, Arm::AWS_LC]);
        assert_eq!(scenario.measure.repetitions, 9);
        assert_eq!(scenario.measure.warmup, 3);
        assert_eq!(scenario.guest.pages, Pages::Huge);
        assert_eq!(scenario.migration.destination_memory, Presence::OnDemand);
        assert_eq!(scenario.guest.memory, Size(1 << 30));
        assert_eq!(scenario.workload.rate, Rate(7 << 20));
        assert_eq!(scenario.migration.streams, 3);
        assert_eq!(scenario.migration.record, Size(64 << 10));
        assert_eq!(scenario.migration.tracker, TrackerSpec::Bitmap);
        assert_eq!(scenario.measure.clock, ClockKind::Virtual);
        assert_eq!(
            scenario.migration.link,
            Bandwidth::BitsPerSecond(1_000_000_000)
        );
        assert_eq!(scenario.migration.downtime_limit.as_nanos(), 7_000_000);
        assert_eq!(scenario.migration.policy, Policy::Required);
        assert_eq!(scenario.guest.seed, 42);
        scenario.check().unwrap();
    }

    #[test]
    fn no_flag_changes_nothing() {
        let before = crate::scenario::load(None).unwrap();
        let mut after = before.clone();
        assert!(after.apply(&Overrides::default()).is_empty());
        assert_eq!(before, after);
    }
}
