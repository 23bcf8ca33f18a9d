//! Arms set against each other: ratios within blocks, and what they come to.

use std::collections::BTreeMap;

use super::metric::Metric;
use super::row::Unfinished;
use crate::arm::Arm;
use crate::results::{Bound, Comparison, Migration, OutcomeStatus, Results};
use crate::stats::{self, Interval, Known};

/// The completed migrations of an arm by block. A block that an arm did not complete is absent.
pub fn completed(arm: Arm, migrations: &[Migration]) -> BTreeMap<u32, &Migration> {
    migrations
        .iter()
        .filter(|m| m.arm == arm && m.outcome.status == OutcomeStatus::Completed)
        .map(|m| (m.block, m))
        .collect()
}

/// What one block says of an arm beside another.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// `ln(arm / against)`.
    log_ratio: Known,
    /// Arm less the other, in the metric's unit.
    difference: Known,
    /// Whether one of the two did not converge.
    not_converged: bool,
}

/// What a comparison comes to, its interval apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Middle {
    /// Median of the ratios, or its bound.
    pub ratio: f64,
    /// Median of the differences, or its bound.
    pub added: f64,
    /// Whether these are bounds.
    pub bound: Option<Bound>,
}

/// An arm's metric beside another arm's, block by block.
#[derive(Debug)]
pub struct Pairs {
    metric: Metric,
    blocks: BTreeMap<u32, Pair>,
}

/// Every block in which both arms have a figure of a metric or a bound of it. Whatever failed,
/// fell back or did not run has neither, so its block is left out.
pub fn pairs<'a>(
    arm: Arm,
    against: Arm,
    metric: Metric,
    migrations: impl Iterator<Item = &'a Migration> + Clone,
) -> Pairs {
    let of = |arm: Arm| migrations.clone().filter(move |m| m.arm == arm);
    let others: BTreeMap<u32, &Migration> = of(against).map(|m| (m.block, m)).collect();
    let pair = |m: &'a Migration| {
        let other = others.get(&m.block)?;
        let (ours, theirs) = (metric.known(m)?, metric.known(other)?);
        let stalled = |m: &Migration| m.outcome.status == OutcomeStatus::NotConverged;
        let pair = Pair {
            log_ratio: Known {
                low: libm::log(ours.low / theirs.high),
                high: libm::log(ours.high / theirs.low),
            },
            difference: Known {
                low: ours.low - theirs.high,
                high: ours.high - theirs.low,
            },
            not_converged: stalled(m) || stalled(other),
        };
        Some((m.block, pair))
    };
    Pairs {
        metric,
        blocks: of(arm).filter_map(pair).collect(),
    }
}

impl Pairs {
    /// Blocks that have a figure or a bound.
    pub fn blocks(&self) -> u32 {
        u32::try_from(self.blocks.len()).unwrap_or(u32::MAX)
    }

    /// Those in which one of the two did not converge.
    pub fn not_converged(&self) -> u32 {
        let stalled = self.blocks.values().filter(|pair| pair.not_converged);
        u32::try_from(stalled.count()).unwrap_or(u32::MAX)
    }

    /// What is known of the ratio in each block.
    pub fn ratios(&self) -> BTreeMap<u32, Known> {
        let ratio = |pair: &Pair| Known {
            low: libm::exp(pair.log_ratio.low),
            high: libm::exp(pair.log_ratio.high),
        };
        let blocks = self.blocks.iter();
        blocks.map(|(block, pair)| (*block, ratio(pair))).collect()
    }

    fn log_ratios(&self) -> Vec<Known> {
        self.blocks.values().map(|pair| pair.log_ratio).collect()
    }

    fn differences(&self) -> Vec<Known> {
        self.blocks.values().map(|pair| pair.difference).collect()
    }

    /// The medians, or their bounds. `None` of no block, where nothing bounds the median, and where
    /// only estimates do.
    pub fn middle(&self) -> Option<Middle> {
        let ratio = stats::known_median(&self.log_ratios())?;
        let added = stats::known_median(&self.differences())?;
        let (ratio, added, bound) = if ratio.low == ratio.high && added.low == added.high {
            (ratio.low, added.low, None)
        } else if let Unfinished::Estimated(_) = self.metric.row().unfinished {
            return None;
        } else if ratio.low.is_finite() {
            (ratio.low, added.low, Some(Bound::Lower))
        } else if ratio.high.is_finite() {
            (ratio.high, added.high, Some(Bound::Upper))
        } else {
            return None;
        };
        Some(Middle {
            ratio: libm::exp(ratio),
            added,
            bound,
        })
    }

    fn comparison(&self, arm: Arm, against: Arm) -> Option<Comparison> {
        let middle = self.middle()?;
        let ratio = stats::bounded_median(&self.log_ratios())?;
        let added = stats::bounded_median(&self.differences())?.interval;
        let finite = |end: f64| Some(end).filter(|end| end.is_finite());
        Some(Comparison {
            arm,
            against,
            metric: self.metric.name().to_owned(),
            ratio: middle.ratio,
            ci_low: libm::exp(ratio.interval.low),
            ci_high: libm::exp(ratio.interval.high),
            added: finite(middle.added),
            added_low: finite(added.low),
            added_high: finite(added.high),
            level: ratio.level,
            blocks: self.blocks(),
            not_converged: self.not_converged(),
            bound: middle.bound,
        })
    }
}

/// The taxes of a run's arms, in table order, of times first: of each metric that means something under
/// the run's clock, the median of the paired ratios and of the paired differences with their
/// intervals. A time of a migration that did not converge counts as longer than what was
/// measured of it (right-censored), so that an arm is not judged by the blocks that it
/// completed; where that leaves only a bound of the median, `bound` says so. A pair of which
/// nothing is known is left out.
pub fn comparisons(results: &Results) -> Vec<Comparison> {
    let clock = results.scenario.measure.clock;
    let (mut metrics, others): (Vec<Metric>, Vec<Metric>) = Metric::compared()
        .filter(|metric| metric.means_something_under(clock))
        .partition(|metric| metric.row().unit == "s");
    metrics.extend(others);
    let arms: Vec<Arm> = results.arms.iter().map(|info| info.name).collect();
    let mut found = Vec::new();
    for &arm in &arms {
        for against in arm.baselines().filter(|b| arms.contains(b)) {
            let of = |metric: &Metric| {
                pairs(arm, against, *metric, results.migrations.iter()).comparison(arm, against)
            };
            found.extend(metrics.iter().filter_map(of));
        }
    }
    found
}

/// What is known of an arm's ratio to another arm in every block, by block.
pub fn paired_ratios(
    results: &Results,
    arm: Arm,
    against: Arm,
    of: Metric,
) -> BTreeMap<u32, Known> {
    pairs(arm, against, of, results.migrations.iter()).ratios()
}

/// What a run recorded of an arm's metric against another arm's; `None` unless its figures are numbers,
/// or if the metric means nothing under the run's clock.
pub fn comparison(
    results: &Results,
    arm: Arm,
    against: Arm,
    metric: Metric,
) -> Option<&Comparison> {
    if !metric.means_something_under(results.scenario.measure.clock) {
        return None;
    }
    results.comparisons.iter().find(|c| {
        c.arm == arm
            && c.against == against
            && c.metric == metric.name()
            && [c.ratio, c.ci_low, c.level].iter().all(|v| v.is_finite())
            && !c.ci_high.is_nan()
    })
}

/// What an arm adds to its baseline, in the metric's unit, beside the ratio: the median of the paired
/// differences (with `bound` its bound) and its interval, whose ends are infinite where
/// nothing bounds them. `None` of a run of an older build, which recorded ratios alone.
pub fn added(comparison: &Comparison) -> Option<Interval> {
    Some(Interval {
        median: comparison.added?,
        low: comparison.added_low.unwrap_or(f64::NEG_INFINITY),
        high: comparison.added_high.unwrap_or(f64::INFINITY),
        level: comparison.level,
        n: comparison.blocks as usize,
    })
}

/// A sentence on chance, for intervals that stand side by side: each misses the true value as often as its
/// level says, so of many some do. Whether they miss together doesn't change how many are
/// expected to. `None` of none.
pub fn chance<'a>(shown: impl Iterator<Item = &'a Comparison>) -> Option<String> {
    let mut levels: Vec<f64> = shown.map(|c| c.level).collect();
    levels.sort_by(f64::total_cmp);
    let (least, most) = (levels.first()?, levels.last()?);
    let misses: f64 = levels.iter().map(|level| 1.0 - level).sum();
    let percent = |level: &f64| format!("{:.1}%", 100.0 * level);
    let levels_shown = match percent(least) == percent(most) {
        true => percent(most),
        false => format!("{} to {}", percent(least), percent(most)),
    };
    let (n, plural) = (levels.len(), if levels.len() == 1 { "" } else { "s" });
    let about = match misses {
        _ if misses < 1.95 => format!("{misses:.1}"),
        _ => format!("{misses:.0}"),
    };
    Some(format!(
        "{n} interval{plural} of taxes at {levels_shown}: about {about} of them can be expected to miss the true value by chance alone."
    ))
}

/// The widest relative half-width among the taxes of a metric, for
/// [`stats::StopRule`]. `None` if there is none, or one has too few blocks for a 95% interval.
pub fn widest_half_width(comparisons: &[Comparison], metric: Metric) -> Option<f64> {
    comparisons
        .iter()
        .filter(|c| c.against == c.arm.base() && c.metric == metric.name())
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
mod tests;
