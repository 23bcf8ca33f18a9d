//! Figures derived from one migration, and medians of them over migrations.
//!
//! Everything here is a pure function of stored times and bytes.

use crate::arm::Arm;
use crate::results::{Metric, Migration, OutcomeStatus, Results, RoundKind};
use crate::units::GIB;

/// 10 Gb/s as GiB/s: CPU seconds per GiB times this are the cores busy at 10 Gb/s.
pub const TEN_GBIT_AS_GIB_PER_S: f64 = 10e9 / 8.0 / GIB;

/// `part / whole`, if that is a finite number.
fn over(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0)
        .then(|| part / whole)
        .filter(|r| r.is_finite())
}

/// Seconds spent in rounds: the sum of their durations.
pub fn rounds_s(migration: &Migration) -> f64 {
    migration.rounds.iter().map(|round| round.duration_s).sum()
}

/// Page payload in GiB.
pub fn payload_gib(migration: &Migration) -> f64 {
    migration.payload_bytes as f64 / GIB
}

/// CPU seconds of the source per GiB of page payload sent, vCPUs excluded.
pub fn source_cpu_per_gib(migration: &Migration) -> Option<f64> {
    over(migration.cpu.source.total_s, payload_gib(migration))
}

/// CPU seconds of the destination per GiB of page payload sent.
pub fn destination_cpu_per_gib(migration: &Migration) -> Option<f64> {
    over(migration.cpu.destination.total_s, payload_gib(migration))
}

/// CPU seconds of the source per GiB of guest memory: counts extra rounds.
pub fn source_cpu_per_memory_gib(migration: &Migration) -> Option<f64> {
    over(
        migration.cpu.source.total_s,
        migration.memory_bytes as f64 / GIB,
    )
}

/// CPU seconds of the destination per GiB of guest memory: counts extra rounds.
pub fn destination_cpu_per_memory_gib(migration: &Migration) -> Option<f64> {
    over(
        migration.cpu.destination.total_s,
        migration.memory_bytes as f64 / GIB,
    )
}

/// Page payload over the time of the rounds, GiB/s.
pub fn throughput_gib_s(migration: &Migration) -> Option<f64> {
    over(payload_gib(migration), rounds_s(migration))
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
        Metric::TotalTime => Some(migration.total_time_s),
        Metric::Downtime => Some(migration.downtime.total_s),
        Metric::SourceCpuPerGib => source_cpu_per_gib(migration),
        Metric::DestinationCpuPerGib => destination_cpu_per_gib(migration),
        Metric::Throughput => throughput_gib_s(migration),
    }
    .filter(|value| value.is_finite())
}

/// An arm's ratio to another arm in every block where both completed: `(block, ratio)`.
pub fn paired_ratios(results: &Results, arm: Arm, against: Arm, of: Metric) -> Vec<(u32, f64)> {
    let completed = |arm: Arm| {
        results
            .migrations
            .iter()
            .filter(move |m| m.arm == arm && m.outcome.status == OutcomeStatus::Completed)
    };
    let mut ratios = Vec::new();
    for mine in completed(arm) {
        let theirs = completed(against).find(|m| m.block == mine.block);
        let values = theirs.and_then(|t| Some((metric(mine, of)?, metric(t, of)?)));
        if let Some(ratio) = values.and_then(|(mine, theirs)| over(mine, theirs)) {
            ratios.push((mine.block, ratio));
        }
    }
    ratios
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
    let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    median_of_sorted(&values)
}

fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    if n == 0 {
        return None;
    }
    Some((sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0)
}

/// The median with the distribution-free interval from the k-th smallest to the k-th largest
/// value, whose level is 1 - 2 P(Binomial(n, 1/2) < k) [Conover, Practical Nonparametric
/// Statistics, quantile intervals]: the largest k that keeps 0.95, else k = 1.
pub fn median_interval(values: impl IntoIterator<Item = f64>) -> Option<Median> {
    let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let value = median_of_sorted(&values)?;
    let n = values.len();
    // probability[k] = C(n, k) / 2^n, by recurrence in logarithms so that large n does not underflow
    let mut log_probability = -(n as f64) * std::f64::consts::LN_2;
    let mut below = log_probability.exp();
    let (mut k, mut level) = (1, 1.0 - 2.0 * below);
    for next in 1..n.div_ceil(2) {
        log_probability += (((n - next + 1) as f64) / next as f64).ln();
        below += log_probability.exp();
        let wider = 1.0 - 2.0 * below;
        if wider < 0.95 {
            break;
        }
        (k, level) = (next + 1, wider);
    }
    Some(Median {
        value,
        low: values[k - 1],
        high: values[n - k],
        level: level.max(0.0),
        n,
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

    #[test]
    fn intervals_state_the_level_they_achieve() {
        for (n, k, level) in [
            (1, 1, 0.0),
            (2, 1, 0.5),
            (5, 1, 0.9375),
            (6, 1, 0.96875),
            (7, 1, 0.984375),
            (10, 2, 0.978_515_625),
            (20, 6, 0.958_610_534_667_968_8),
        ] {
            let median = median_interval((1..=n).map(f64::from)).unwrap();
            assert_eq!(median.low, f64::from(k), "n = {n}");
            assert_eq!(median.high, f64::from(n + 1 - k), "n = {n}");
            assert!(
                (median.level - level).abs() < 1e-9,
                "n = {n}: {}",
                median.level
            );
            assert_eq!(median.value, f64::from(n + 1) / 2.0);
        }
        assert_eq!(median_interval([f64::NAN]), None);
        assert_eq!(median([]), None);
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(over(1.0, 0.0), None);
        assert_eq!(over(f64::NAN, 1.0), None);
        assert_eq!(over(1.0, 4.0), Some(0.25));
    }
}
