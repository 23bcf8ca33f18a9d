//! What evacuations come to: figures of one, and of a way beside plain.

use serde::{Deserialize, Deserializer, Serialize};

use super::file::{Evacuation, FleetFile, Moved};
use super::spec::{Course, Way};
use crate::figures::{Compared, Pair, Pairs};
use crate::results::Bound;
use crate::runner::Place;
use crate::stats::{self, Known};

/// A figure of an evacuation.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name in files.
    pub name: &'static str,
    /// In words.
    pub label: &'static str,
    /// The unit.
    pub unit: &'static str,
    /// What is known of it.
    pub known: fn(&Evacuation) -> Option<Known>,
}

/// Every figure by which ways are compared.
pub const METRICS: [Metric; 5] = [
    Metric {
        name: "evacuation_time",
        label: "evacuation time",
        unit: "s",
        known: evacuation_time,
    },
    Metric {
        name: "guest_time",
        label: "a guest's time, median",
        unit: "s",
        known: |made| quantile(made, 0.5, |moved| moved.total_time_s),
    },
    Metric {
        name: "downtime",
        label: "a guest's downtime, median",
        unit: "s",
        known: |made| quantile(made, 0.5, |moved| moved.downtime_s),
    },
    Metric {
        name: "source_cpu",
        label: "source CPU",
        unit: "CPU-s",
        known: |made| cpu(made.sum(|moved| moved.source_cpu_s)),
    },
    Metric {
        name: "destination_cpu",
        label: "destination CPU",
        unit: "CPU-s",
        known: |made| cpu(made.sum(|moved| moved.destination_cpu_s)),
    },
];

/// Of a host that guests were left on, more than what was waited for.
fn evacuation_time(made: &Evacuation) -> Option<Known> {
    let low = made.time_s;
    let high = match made.left_behind().next() {
        None => low,
        Some(_) => f64::INFINITY,
    };
    (low > 0.0).then_some(Known { low, high })
}

fn cpu(seconds: f64) -> Option<Known> {
    (seconds > 0.0).then(|| Known::exactly(seconds))
}

fn quantile(made: &Evacuation, q: f64, of: fn(&Moved) -> f64) -> Option<Known> {
    stats::quantile(&arrived(std::iter::once(made), of), q)
        .filter(|value| *value > 0.0)
        .map(Known::exactly)
}

/// A figure of every guest that arrived.
pub fn arrived<'a>(made: impl Iterator<Item = &'a Evacuation>, of: fn(&Moved) -> f64) -> Vec<f64> {
    let guests = made.flat_map(|made| &made.guests);
    let arrived = guests.filter(|moved| moved.place == Place::Destination);
    arrived.map(of).collect()
}

/// A way's figure beside plain's in the same blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The way that is compared.
    pub way: Way,
    /// What it is compared with.
    pub against: Way,
    /// Migrations under way at once, of both.
    pub concurrent: u32,
    /// Of what: the name of a [`Metric`].
    pub metric: String,
    /// Median of the paired ratios, or with `bound` what bounds it.
    pub ratio: f64,
    /// Lower end of its interval; 0 where nothing bounds it.
    pub ci_low: f64,
    /// Upper end; infinite, in JSON null, where nothing bounds it.
    #[serde(deserialize_with = "null_is_unbounded")]
    pub ci_high: f64,
    /// Median of the paired differences, in the metric's unit, or with `bound` what bounds it.
    pub added: Option<f64>,
    /// Lower end of its interval; none where nothing bounds it.
    pub added_low: Option<f64>,
    /// Upper end.
    pub added_high: Option<f64>,
    /// The intervals' level, as achieved, 0 to 1.
    pub level: f64,
    /// Blocks that both have a figure of.
    pub blocks: u32,
    /// Which way the true median may lie, where guests left behind leave only a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

fn null_is_unbounded<'de, D: Deserializer<'de>>(end: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(end)?.unwrap_or(f64::INFINITY))
}

/// Every course beside plain's of as many at once, by every metric.
pub fn comparisons(file: &FleetFile) -> Vec<Comparison> {
    let courses = file.courses().into_iter();
    let courses = courses.filter(|course| course.way != Way::PLAIN);
    courses
        .flat_map(|course| {
            METRICS
                .iter()
                .filter_map(move |metric| compare(file, course, metric))
        })
        .collect()
}

fn compare(file: &FleetFile, course: Course, metric: &Metric) -> Option<Comparison> {
    let plain = Course {
        way: Way::PLAIN,
        ..course
    };
    let pairs = Pairs::of(file.of(course).filter_map(|made| {
        let plain = file.of(plain).find(|plain| plain.block == made.block)?;
        let (ours, theirs) = ((metric.known)(made)?, (metric.known)(plain)?);
        let stalled = ours.high.is_infinite() || theirs.high.is_infinite();
        Some((made.block, Pair::new(ours, theirs, stalled)))
    }));
    let Compared {
        ratio,
        ci_low,
        ci_high,
        added,
        added_low,
        added_high,
        level,
        bound,
    } = pairs.compared()?;
    Some(Comparison {
        way: course.way,
        against: Way::PLAIN,
        concurrent: course.concurrent,
        metric: metric.name.to_owned(),
        ratio,
        ci_low,
        ci_high,
        added,
        added_low,
        added_high,
        level,
        blocks: pairs.blocks(),
        bound,
    })
}

/// What of an evacuation's means was used while guests moved, as shares; and which of them bound it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// Of the link's bits; none of one without a limit.
    pub link: Option<f64>,
    /// Cores at the source, in the mean.
    pub source: f64,
    /// At the destination; none of one on another machine.
    pub destination: Option<f64>,
    /// What was used up.
    pub binds: Binds,
}

/// What an evacuation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum Binds {
    /// The link's bandwidth.
    #[strum(to_string = "link")]
    Link,
    /// The cores of the source.
    #[strum(to_string = "source cores")]
    Source,
    /// Those of the destination.
    #[strum(to_string = "destination cores")]
    Destination,
    /// Cores that both have.
    #[strum(to_string = "shared cores")]
    Shared,
    /// None of them: each migration by itself, so more at once would help.
    #[strum(to_string = "turns")]
    Turns,
}

/// From this share on something counts as used up: samples and rounds leave gaps.
const USED_UP: f64 = 0.8;

/// What an evacuation used; `None` of one in which no guest moved.
pub fn used(file: &FleetFile, made: &Evacuation) -> Option<Used> {
    if made.time_s <= 0.0 {
        return None;
    }
    let bits = 8.0 * made.sum(|moved| moved.bytes_on_wire as f64);
    let link = file.fleet.evacuation.link.bits_per_second();
    let link = link.map(|per_s| bits / (per_s as f64 * made.time_s));
    let (mut source, mut destination, mut from) = (0.0, None, 0.0);
    for sample in &made.cores {
        let share = (sample.until_s - from).max(0.0) / made.time_s;
        from = sample.until_s;
        source += share * sample.source;
        if let Some(cores) = sample.destination {
            *destination.get_or_insert(0.0) += share * cores;
        }
    }
    let of = |cores: &[usize]| match cores.len() {
        0 => f64::from(file.host.cores.max(1)),
        held => held as f64,
    };
    let [here, there] = [&file.fleet.source.cores, &file.fleet.destination.cores];
    let disjoint =
        !here.is_empty() && !there.is_empty() && here.iter().all(|cpu| !there.contains(cpu));
    let all = source + destination.unwrap_or(0.0);
    let shared = file.host.is_shared() && !disjoint;
    let shares = [
        (Binds::Link, link.unwrap_or(0.0)),
        (Binds::Source, source / of(here)),
        (Binds::Destination, destination.unwrap_or(0.0) / of(there)),
        (
            Binds::Shared,
            if shared {
                all / f64::from(file.host.cores.max(1))
            } else {
                0.0
            },
        ),
    ];
    let most = shares.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    Some(Used {
        link,
        source,
        destination,
        binds: most
            .filter(|(_, share)| *share >= USED_UP)
            .map_or(Binds::Turns, |(binds, _)| binds),
    })
}

/// The evacuation of median time among a course's.
pub fn typical(file: &FleetFile, course: Course) -> Option<&Evacuation> {
    let mut made: Vec<&Evacuation> = file.of(course).collect();
    made.sort_by(|a, b| a.time_s.total_cmp(&b.time_s));
    let middle = made.len().checked_sub(1)? / 2;
    made.get(middle).copied()
}
