//! Arms set against each other: ratios within blocks, and what they come to.

use std::collections::BTreeMap;

use super::metric::Metric;
use crate::arm::Arm;
use crate::results::{Comparison, Migration, OutcomeStatus, Results};
use crate::stats;

/// The completed migrations of an arm by block. A block that an arm did not complete is absent.
pub fn completed(arm: Arm, migrations: &[Migration]) -> BTreeMap<u32, &Migration> {
    migrations
        .iter()
        .filter(|m| m.arm == arm && m.outcome.status == OutcomeStatus::Completed)
        .map(|m| (m.block, m))
        .collect()
}

/// `ln(arm / against)` of a metric in every block in which both completed and have a value.
pub fn paired_log_ratios(
    arm: Arm,
    against: Arm,
    metric: Metric,
    migrations: &[Migration],
) -> BTreeMap<u32, f64> {
    let baseline = completed(against, migrations);
    completed(arm, migrations)
        .into_iter()
        .filter_map(|(block, migration)| {
            let other = metric.value(baseline.get(&block)?)?;
            Some((block, stats::log_ratio(metric.value(migration)?, other)?))
        })
        .collect()
}

/// The taxes of `arms`, in table order, of times first: the median of the paired ratios of each metric with its
/// interval, over the blocks in which both arms completed. A pair with no such block, or a
/// metric without values, is left out.
pub fn comparisons(arms: &[Arm], migrations: &[Migration]) -> Vec<Comparison> {
    let (mut metrics, others): (Vec<Metric>, Vec<Metric>) =
        Metric::compared().partition(|metric| metric.row().unit == "s");
    metrics.extend(others);
    let mut found = Vec::new();
    for &arm in arms {
        for against in arm.baselines().filter(|b| arms.contains(b)) {
            for &metric in &metrics {
                let ratios = paired_log_ratios(arm, against, metric, migrations);
                let logs: Vec<f64> = ratios.into_values().collect();
                let Some(interval) = stats::median_interval(&logs) else {
                    continue;
                };
                found.push(Comparison {
                    arm,
                    against,
                    metric: metric.name().to_owned(),
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

/// An arm's ratio to another arm in every block where both completed, by block.
pub fn paired_ratios(results: &Results, arm: Arm, against: Arm, of: Metric) -> BTreeMap<u32, f64> {
    paired_log_ratios(arm, against, of, &results.migrations)
        .into_iter()
        .map(|(block, log)| (block, log.exp()))
        .collect()
}

/// What a run recorded of an arm's metric against another arm's; `None` unless all of it is finite.
pub fn comparison(
    results: &Results,
    arm: Arm,
    against: Arm,
    metric: Metric,
) -> Option<&Comparison> {
    results.comparisons.iter().find(|c| {
        c.arm == arm
            && c.against == against
            && c.metric == metric.name()
            && [c.ratio, c.ci_low, c.ci_high, c.level]
                .iter()
                .all(|v| v.is_finite())
    })
}

/// The widest relative half-width among the taxes against `plain` of a metric, for
/// [`stats::StopRule`]. `None` if there is none, or one has too few blocks for a 95% interval.
pub fn widest_half_width(comparisons: &[Comparison], metric: Metric) -> Option<f64> {
    comparisons
        .iter()
        .filter(|c| c.against == Arm::PLAIN && c.metric == metric.name())
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
    use crate::gate::simulate::{Simulation, results};

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
            widest_half_width(&five.comparisons, Metric::TOTAL_TIME),
            None
        );
        assert_eq!(widest_half_width(&[], Metric::TOTAL_TIME), None);
        let ten = results(&Simulation {
            blocks: 10,
            ..Simulation::default()
        });
        let widest = widest_half_width(&ten.comparisons, Metric::TOTAL_TIME).unwrap();
        for c in &ten.comparisons {
            if c.against == Arm::PLAIN && c.metric == Metric::TOTAL_TIME.name() {
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
        let total = got
            .iter()
            .find(|c| c.metric == Metric::TOTAL_TIME.name())
            .unwrap();
        assert!((total.ratio - 1.2).abs() < 1e-12, "{total:?}");
        assert!((total.ci_low - 1.1).abs() < 1e-12, "{total:?}");
        assert!((total.ci_high - 1.5).abs() < 1e-12, "{total:?}");
    }
}
