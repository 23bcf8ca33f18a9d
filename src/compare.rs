//! Every rate, ratio and per-GiB figure that is derived from results, in one place.
//!
//! Results store times, bytes and counts. What tables, charts and the gate show beyond those is
//! computed here, so that one definition, with one direction, holds everywhere.

mod measure;
mod summary;
mod warnings;

pub use measure::{Direction, Measure};
pub use summary::{ArmSummary, Spread, summary};
pub use warnings::{HOSTS_DIFFER, INJECTED_SLOWDOWN, THIN_BLOCKS, warnings};

use std::collections::BTreeMap;

use crate::arm::Arm;
use crate::results::{Comparison, Metric, Migration, OutcomeStatus};
use crate::stats;
use crate::units::GIB;

/// `amount` per GiB of `bytes`; `None` if there are none.
pub fn per_gib(amount: f64, bytes: u64) -> Option<f64> {
    (bytes > 0 && amount.is_finite()).then(|| amount / (bytes as f64 / GIB))
}

/// Bytes per second; `None` unless the time is above 0.
pub fn rate(bytes: u64, seconds: f64) -> Option<f64> {
    (seconds.is_finite() && seconds > 0.0).then(|| bytes as f64 / seconds)
}

/// Page payload over the time of the rounds, bytes/s. Under the virtual clock the rounds hold
/// virtual time, and this is the link's rate.
pub fn throughput(migration: &Migration) -> Option<f64> {
    let seconds: f64 = migration.rounds.iter().map(|r| r.duration_s).sum();
    rate(migration.payload_bytes, seconds).filter(|rate| *rate > 0.0)
}

/// Cores that a steady 10 Gbit/s of page payload would keep busy: CPU seconds per
/// 10e9 / 8 bytes. vMotion reserves one core for it (Denneman 2018).
pub fn cores_per_10_gbit(cpu_s: f64, payload_bytes: u64) -> Option<f64> {
    per_gib(cpu_s, payload_bytes).map(|per_gib| per_gib * (10e9 / 8.0) / GIB)
}

/// What an arm adds to its baseline, as a share: 0.25 for a ratio of 1.25.
pub fn tax(ratio: f64) -> f64 {
    ratio - 1.0
}

/// The completed migrations of an arm by block. A block that an arm did not complete is absent.
pub fn completed(arm: Arm, migrations: &[Migration]) -> BTreeMap<u32, &Migration> {
    migrations
        .iter()
        .filter(|m| m.arm == arm && m.outcome.status == OutcomeStatus::Completed)
        .map(|m| (m.block, m))
        .collect()
}

/// `ln(arm / against)` of a measure in every block in which both completed and have a value.
pub fn paired_log_ratios(
    arm: Arm,
    against: Arm,
    measure: Measure,
    migrations: &[Migration],
) -> BTreeMap<u32, f64> {
    let baseline = completed(against, migrations);
    completed(arm, migrations)
        .into_iter()
        .filter_map(|(block, migration)| {
            let other = measure.value(baseline.get(&block)?)?;
            Some((block, stats::log_ratio(measure.value(migration)?, other)?))
        })
        .collect()
}

/// The taxes of `arms`, in table order: the median of the paired ratios of each metric with its
/// interval, over the blocks in which both arms completed. A pair with no such block, or a
/// metric without values, is left out.
pub fn comparisons(arms: &[Arm], migrations: &[Migration]) -> Vec<Comparison> {
    let mut found = Vec::new();
    for &arm in arms {
        for against in arm.baselines().filter(|b| arms.contains(b)) {
            for metric in Metric::ALL {
                let ratios = paired_log_ratios(arm, against, metric.into(), migrations);
                let logs: Vec<f64> = ratios.into_values().collect();
                let Some(interval) = stats::median_interval(&logs) else {
                    continue;
                };
                found.push(Comparison {
                    arm,
                    against,
                    metric,
                    ratio: libm::exp(interval.median),
                    ci_low: libm::exp(interval.low),
                    ci_high: libm::exp(interval.high),
                    level: interval.level,
                    blocks: u32::try_from(logs.len()).unwrap_or(u32::MAX),
                });
            }
        }
    }
    found
}

/// The widest relative half-width among the taxes against `plain` of a metric, for
/// [`stats::StopRule`]. `None` if there is none, or one has too few blocks for a 95% interval.
pub fn widest_half_width(comparisons: &[Comparison], metric: Metric) -> Option<f64> {
    comparisons
        .iter()
        .filter(|c| c.against == Arm::PLAIN && c.metric == metric)
        .map(|c| {
            let width = stats::StopRule::half_width_of(c.ratio, c.ci_low, c.ci_high);
            (c.level >= stats::NOMINAL_LEVEL).then_some(width)
        })
        .try_fold(None, |widest: Option<f64>, width| {
            Some(Some(widest.unwrap_or(0.0).max(width?)))
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Simulation, results};

    #[test]
    fn per_gib_figures_follow_their_formulas() {
        assert_eq!(per_gib(2.0, 1 << 30), Some(2.0));
        assert_eq!(per_gib(1.0, 1 << 29), Some(2.0));
        assert_eq!(per_gib(1.0, 0), None);
        assert_eq!(rate(10, 0.0), None);
        // 1 s/GiB is 1.25e9 / 2^30 cores at 10 Gbit/s.
        let cores = cores_per_10_gbit(1.0, 1 << 30).unwrap();
        assert!((cores - 1.164_153_218).abs() < 1e-8, "{cores}");
        assert_eq!(tax(1.25), 0.25);
    }

    #[test]
    fn every_arm_is_compared_with_plain_and_encrypted_ones_with_copy() {
        let run = results(&Simulation::default());
        let pairs: std::collections::BTreeSet<_> =
            run.comparisons.iter().map(|c| (c.arm, c.against)).collect();
        assert_eq!(pairs.len(), 1 + 5 * 2);
        assert!(pairs.contains(&(Arm::AWS_LC, Arm::COPY)));
        assert!(!pairs.contains(&(Arm::COPY, Arm::COPY)));
        for c in &run.comparisons {
            assert!(c.ci_low <= c.ratio && c.ratio <= c.ci_high, "{c:?}");
            assert_eq!(c.blocks, 5);
            assert!((c.level - 0.9375).abs() < 1e-12);
        }
    }

    #[test]
    fn only_blocks_that_both_completed_count() {
        let mut run = results(&Simulation::default());
        for m in &mut run.migrations {
            if m.arm == Arm::AWS_LC && m.block < 2 {
                m.outcome.status = OutcomeStatus::NotConverged;
            }
            if m.arm == Arm::AWS_LC_SOFT {
                m.outcome.status = OutcomeStatus::FellBack;
            }
            if m.arm == Arm::COPY && m.block == 4 {
                m.outcome.status = OutcomeStatus::Failed;
            }
        }
        let got = comparisons(&Arm::all().collect::<Vec<_>>(), &run.migrations);
        let blocks = |arm, against| {
            got.iter()
                .find(|c| c.arm == arm && c.against == against)
                .map(|c| c.blocks)
        };
        assert_eq!(blocks(Arm::AWS_LC, Arm::PLAIN), Some(3));
        assert_eq!(blocks(Arm::AWS_LC, Arm::COPY), Some(2));
        assert_eq!(blocks(Arm::AWS_LC_SOFT, Arm::PLAIN), None);
    }

    #[test]
    fn the_widest_interval_is_watched_once_all_reach_their_level() {
        let five = results(&Simulation::default());
        assert_eq!(
            widest_half_width(&five.comparisons, Metric::TotalTime),
            None
        );
        assert_eq!(widest_half_width(&[], Metric::TotalTime), None);
        let ten = results(&Simulation {
            blocks: 10,
            ..Simulation::default()
        });
        let widest = widest_half_width(&ten.comparisons, Metric::TotalTime).unwrap();
        for c in &ten.comparisons {
            if c.against == Arm::PLAIN && c.metric == Metric::TotalTime {
                let width = stats::StopRule::half_width_of(c.ratio, c.ci_low, c.ci_high);
                assert!(width <= widest);
            }
        }
        assert!(widest > 0.0 && widest < 2.0, "{widest}");
    }

    #[test]
    fn the_ratio_is_the_median_of_the_paired_ratios() {
        let mut run = results(&Simulation::default());
        for m in &mut run.migrations {
            m.total_time_s = match m.arm {
                Arm::PLAIN => [1.0, 2.0, 4.0, 8.0, 16.0][m.block as usize],
                Arm::AWS_LC => [1.2, 2.2, 5.2, 8.8, 24.0][m.block as usize],
                _ => m.total_time_s,
            };
        }
        let got = comparisons(&[Arm::PLAIN, Arm::AWS_LC], &run.migrations);
        let total = got.iter().find(|c| c.metric == Metric::TotalTime).unwrap();
        assert!((total.ratio - 1.2).abs() < 1e-12, "{total:?}");
        assert!((total.ci_low - 1.1).abs() < 1e-12, "{total:?}");
        assert!((total.ci_high - 1.5).abs() < 1e-12, "{total:?}");
    }
}
