//! Figures of one migration in the units that reports show, and medians of them over migrations.
//!
//! What is derived is defined in [`crate::compare`] and [`crate::stats`]; here are units, intervals
//! of absolute figures, and what only reports show.

use crate::arm::Arm;
use crate::compare::{self, Measure};
use crate::results::{Metric, Migration, Results, RoundKind};
use crate::stats;
use crate::units::GIB;

/// `part / whole`, if that is a finite number.
fn over(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0)
        .then(|| part / whole)
        .filter(|r| r.is_finite())
}

/// CPU seconds of the source per GiB of guest memory: counts extra rounds.
pub fn source_cpu_per_memory_gib(migration: &Migration) -> Option<f64> {
    compare::per_gib(migration.cpu.source.total_s, migration.memory_bytes)
}

/// CPU seconds of the destination per GiB of guest memory: counts extra rounds.
pub fn destination_cpu_per_memory_gib(migration: &Migration) -> Option<f64> {
    compare::per_gib(migration.cpu.destination.total_s, migration.memory_bytes)
}

/// Cores that the source keeps busy at 10 Gb/s of page payload.
pub fn source_cores(migration: &Migration) -> Option<f64> {
    compare::cores_per_10_gbit(migration.cpu.source.total_s, migration.payload_bytes)
}

/// Cores that the destination keeps busy at 10 Gb/s of page payload.
pub fn destination_cores(migration: &Migration) -> Option<f64> {
    compare::cores_per_10_gbit(migration.cpu.destination.total_s, migration.payload_bytes)
}

/// Page payload over the time of the rounds, GiB/s.
pub fn throughput_gib_s(migration: &Migration) -> Option<f64> {
    compare::throughput(migration).map(|bytes_per_s| bytes_per_s / GIB)
}

/// Bytes on the wire over page payload, less one: framing, tags, control and zero pages.
pub fn wire_overhead(migration: &Migration) -> Option<f64> {
    over(
        migration.bytes_on_wire as f64,
        migration.payload_bytes as f64,
    )
    .map(|ratio| ratio - 1.0)
}

/// A metric's value for one migration: seconds, CPU seconds per GiB, or GiB/s.
pub fn metric(migration: &Migration, metric: Metric) -> Option<f64> {
    match metric {
        Metric::Throughput => throughput_gib_s(migration),
        other => Measure::from(other).value(migration),
    }
    .filter(|value| value.is_finite())
}

/// An arm's ratio to another arm in every block where both completed: `(block, ratio)`.
pub fn paired_ratios(results: &Results, arm: Arm, against: Arm, of: Metric) -> Vec<(u32, f64)> {
    compare::paired_log_ratios(arm, against, of.into(), &results.migrations)
        .into_iter()
        .map(|(block, log)| (block, log.exp()))
        .collect()
}

/// A median with the interval that two order statistics of the sample give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Median {
    /// The median.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Level that the interval achieves, 0 to 1: at least 0.95 where n allows, else the widest's.
    pub level: f64,
    /// Values.
    pub n: usize,
}

/// The median of a sample; `None` if it has no finite value.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    stats::median(&values)
}

/// The median with its exact interval, whatever n: a page has some five hundred of them, too many
/// for a bootstrap each.
pub fn median_interval(values: impl IntoIterator<Item = f64>) -> Option<Median> {
    let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    let found = stats::order_statistic_interval(&values, stats::NOMINAL_LEVEL)?;
    Some(Median {
        value: found.median,
        low: found.low,
        high: found.high,
        level: found.level,
        n: found.n,
    })
}

/// Wire traffic of a migration over time, from the bytes of its rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct WireTraffic {
    /// `(start_s, end_s, GiB/s)` of each round.
    pub steps: Vec<(f64, f64, f64)>,
    /// Largest rate over the mean rate.
    pub peak_to_mean: f64,
    /// Standard deviation of the rate over its mean, weighted by time.
    pub variation: f64,
}

/// Wire traffic from a migration's rounds: within a round only its mean rate is known, and the
/// time between rounds carries nothing. `None` without a round that took time.
pub fn wire_traffic(migration: &Migration) -> Option<WireTraffic> {
    let steps: Vec<_> = migration
        .rounds
        .iter()
        .filter_map(|round| {
            let rate = over(round.bytes_on_wire as f64 / GIB, round.duration_s)?;
            Some((round.started_s, round.started_s + round.duration_s, rate))
        })
        .collect();
    let start = steps.first()?.0;
    let end = steps.last()?.1;
    let span = end - start;
    let carried: f64 = steps
        .iter()
        .map(|(from, to, rate)| (to - from) * rate)
        .sum();
    let mean = over(carried, span)?;
    let peak = steps.iter().map(|step| step.2).fold(0.0, f64::max);
    let busy: f64 = steps.iter().map(|(from, to, _)| to - from).sum();
    let squares: f64 = steps
        .iter()
        .map(|(from, to, rate)| (to - from) * (rate - mean).powi(2))
        .sum();
    let idle = (span - busy).max(0.0) * mean * mean;
    Some(WireTraffic {
        peak_to_mean: over(peak, mean)?,
        variation: over(((squares + idle) / span).sqrt(), mean)?,
        steps,
    })
}

/// Rounds before the pause.
pub fn pre_copy_rounds(migration: &Migration) -> usize {
    migration
        .rounds
        .iter()
        .filter(|round| round.kind == RoundKind::PreCopy)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Simulation, raw};

    #[test]
    fn intervals_state_the_level_they_achieve() {
        let median = median_interval((1..=5).map(f64::from)).unwrap();
        assert_eq!((median.low, median.value, median.high), (1.0, 3.0, 5.0));
        assert_eq!((median.level, median.n), (0.9375, 5));
        assert_eq!(median_interval([f64::NAN, 2.0]).unwrap().n, 1);
        assert_eq!(median_interval([f64::NAN]), None);
        assert_eq!(super::median([]), None);
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(over(1.0, 0.0), None);
        assert_eq!(over(f64::NAN, 1.0), None);
        assert_eq!(over(1.0, 4.0), Some(0.25));
    }

    #[test]
    fn wire_traffic_is_as_bursty_as_its_rounds() {
        let run = raw(&Simulation::default());
        let mut migration = run.migrations[0].clone();
        let round = |started_s, duration_s, gib: u64| {
            let mut round = migration.rounds[0];
            round.started_s = started_s;
            round.duration_s = duration_s;
            round.bytes_on_wire = gib << 30;
            round
        };
        // 2 GiB/s for 1 s, nothing for 2 s, 2 GiB/s for 1 s: a mean of 1.
        let rounds = vec![round(0.0, 1.0, 2), round(3.0, 1.0, 2)];
        migration.rounds = rounds;
        let traffic = wire_traffic(&migration).unwrap();
        assert_eq!(traffic.steps, [(0.0, 1.0, 2.0), (3.0, 4.0, 2.0)]);
        assert_eq!(traffic.peak_to_mean, 2.0);
        assert_eq!(traffic.variation, 1.0);
        migration.rounds.clear();
        assert_eq!(wire_traffic(&migration), None);
    }
}
