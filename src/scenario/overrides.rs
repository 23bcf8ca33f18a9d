//! Values of a scenario that the command line replaces.

use clap::{Args, ValueEnum};

use super::{ClockKind, Policy, Scenario};
use crate::arm::Arm;
use crate::tracking::TrackerSpec;
use crate::units::{Bandwidth, Rate, Size, Span};
use crate::workload::Arrival;

/// Measured blocks at most where their number is left open.
pub const MOST_AUTO_BLOCKS: u32 = 200;

/// How many measured blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetitions {
    /// As many as it takes, up to [`MOST_AUTO_BLOCKS`].
    Auto,
    /// So many.
    Count(u32),
}

impl std::str::FromStr for Repetitions {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Repetitions::Auto),
            _ => text
                .parse()
                .map(Repetitions::Count)
                .map_err(|_| "a number of repetitions, or auto".to_owned()),
        }
    }
}

/// Flags that replace values of the scenario. Each has the meaning, and the range, of its field.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Overrides {
    /// Arms to run, separated by commas [measure.arms]
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub arms: Option<Vec<Arm>>,
    /// Measured blocks; each holds every arm once; auto: as many as --precision or --budget take
    /// [measure.repetitions]
    #[arg(long, value_name = "N|auto")]
    pub reps: Option<Repetitions>,
    /// Blocks run first and not counted [measure.warmup]
    #[arg(long, value_name = "N")]
    pub warmup: Option<u32>,
    /// Guest memory, such as 1GiB [guest.memory]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Size>,
    /// Page writes per second times the page size, such as 200MiB/s [workload.rate]
    #[arg(long, value_name = "SIZE/s")]
    pub rate: Option<Rate>,
    /// TCP connections, 1 to 64 [migration.streams]
    #[arg(long, value_name = "N")]
    pub streams: Option<u32>,
    /// Page content in one record at most, 4KiB to 16MiB [migration.record]
    #[arg(long, value_name = "SIZE")]
    pub record: Option<Size>,
    /// How dirty pages are found [migration.tracker]
    #[arg(long, value_name = "T")]
    pub tracker: Option<TrackerSpec>,
    /// Wall-clock time, or exact counts in virtual time [measure.clock]
    #[arg(long, value_name = "CLOCK")]
    pub clock: Option<ClockKind>,
    /// Bandwidth that the source keeps to, such as 10Gbit/s or unlimited [migration.link]
    #[arg(long, value_name = "BANDWIDTH")]
    pub link: Option<Bandwidth>,
    /// The pause that pre-copy aims at, such as 300ms [migration.downtime_limit]
    #[arg(long, value_name = "D")]
    pub downtime_limit: Option<Span>,
    /// Encryption policy [migration.policy]
    #[arg(long, value_name = "P")]
    pub policy: Option<Policy>,
    /// Seed of memory content, stream and block order [guest.seed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Scenario {
    /// Replaces the values that are given. [`Scenario::check`] the result.
    pub fn apply(&mut self, o: &Overrides) {
        fn set<T: Clone>(field: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        set(&mut self.measure.arms, &o.arms);
        let blocks = o.reps.map(|reps| match reps {
            Repetitions::Count(count) => count,
            Repetitions::Auto => MOST_AUTO_BLOCKS,
        });
        set(&mut self.measure.repetitions, &blocks);
        set(&mut self.measure.warmup, &o.warmup);
        set(&mut self.guest.memory, &o.memory);
        set(&mut self.workload.rate, &o.rate);
        if let (Some(_), Arrival::Trace { speed, .. }) = (o.rate, &mut self.workload.arrival) {
            // The rate asked for decides at which speed the trace runs.
            *speed = None;
        }
        set(&mut self.migration.streams, &o.streams);
        set(&mut self.migration.record, &o.record);
        set(&mut self.migration.tracker, &o.tracker);
        set(&mut self.measure.clock, &o.clock);
        set(&mut self.migration.link, &o.link);
        set(&mut self.migration.downtime_limit, &o.downtime_limit);
        set(&mut self.migration.policy, &o.policy);
        set(&mut self.guest.seed, &o.seed);
    }
}

/// The names that clap accepts are those of the scenario file.
macro_rules! value_enum {
    ($type:ident, $($variant:ident = $name:literal),+) => {
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$($type::$variant),+]
            }
            fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
                Some(match self {
                    $($type::$variant => clap::builder::PossibleValue::new($name)),+
                })
            }
        }
    };
}
value_enum!(
    TrackerSpec,
    Auto = "auto",
    Bitmap = "bitmap",
    Userfaultfd = "userfaultfd"
);
value_enum!(ClockKind, Live = "live", Virtual = "virtual");
value_enum!(
    Policy,
    Disabled = "disabled",
    Opportunistic = "opportunistic",
    Required = "required"
);

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
                     --downtime-limit 7ms --policy required --seed 42";
        let parsed = Command::try_parse_from(flags.split_whitespace()).unwrap();
        let mut scenario = crate::scenario::load(None).unwrap();
        scenario.apply(&parsed.overrides);
        assert_eq!(scenario.measure.arms, [Arm::COPY, Arm::AWS_LC]);
        assert_eq!(scenario.measure.repetitions, 9);
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
        after.apply(&Overrides::default());
        assert_eq!(before, after);
    }
}
