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

impl Pair {
    /// What is known of a figure, and of the same figure of the other.
    pub fn new(ours: Known, theirs: Known, not_converged: bool) -> Pair {
        Pair {
            log_ratio: Known {
                low: libm::log(ours.low / theirs.high),
                high: libm::log(ours.high / theirs.low),
            },
            difference: Known {
                low: ours.low - theirs.high,
                high: ours.high - theirs.low,
            },
            not_converged,
        }
    }
}

/// A comparison's figures: see [`Comparison`], whose fields of the same names they are.
#[expect(missing_docs, reason = "said there")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    pub ratio: f64,
    pub ci_low: f64,
    pub ci_high: f64,
    pub added: Option<f64>,
    pub added_low: Option<f64>,
    pub added_high: Option<f64>,
    pub level: f64,
    pub bound: Option<Bound>,
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
    /// Whether bounds are estimates, which bound no median.
    estimated: bool,
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
        Some((
            m.block,
            Pair::new(ours, theirs, stalled(m) || stalled(other)),
        ))
    };
    Pairs {
        estimated: matches!(metric.row().unfinished, Unfinished::Estimated(_)),
        blocks: of(arm).filter_map(pair).collect(),
    }
}

impl Pairs {
    /// Of blocks, each with what it says.
    pub fn of(blocks: impl IntoIterator<Item = (u32, Pair)>) -> Pairs {
        Pairs {
            estimated: false,
            blocks: blocks.into_iter().collect(),
        }
    }

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
        } else if self.estimated {
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

    /// The medians and their intervals. `None` as for [`Pairs::middle`].
    pub fn compared(&self) -> Option<Compared> {
        let middle = self.middle()?;
        let ratio = stats::bounded_median(&self.log_ratios())?;
        let added = stats::bounded_median(&self.differences())?.interval;
        let finite = |end: f64| Some(end).filter(|end| end.is_finite());
        Some(Compared {
            ratio: middle.ratio,
            ci_low: libm::exp(ratio.interval.low),
            ci_high: libm::exp(ratio.interval.high),
            added: finite(middle.added),
            added_low: finite(added.low),
            added_high: finite(added.high),
            level: ratio.level,
            bound: middle.bound,
        })
    }
}

/// An arm's comparison with another, by a metric.
fn compared(arm: Arm, against: Arm, metric: Metric, pairs: &Pairs) -> Option<Comparison> {
    let compared = pairs.compared()?;
    Some(Comparison {
        arm,
        against,
        metric: metric.name().to_owned(),
        ratio: compared.ratio,
        ci_low: compared.ci_low,
        ci_high: compared.ci_high,
        added: compared.added,
        added_low: compared.added_low,
        added_high: compared.added_high,
        level: compared.level,
        blocks: pairs.blocks(),
        not_converged: pairs.not_converged(),
        bound: compared.bound,
    })
}

/// The taxes of a run's arms, in table order, of times first: of each metric that means something under
/// the run's clock, the median of the paired ratios and of the paired differences with their
/// intervals. A time of a migration that did not converge counts as longer than what was
/// measured of it (right-censored), so that an arm is not judged by the blocks that it
/// completed; where that leaves only a bound of the median, `bound` says so. A pair of which
/// nothing is known is left out.
pub fn comparisons(results: &Results) -> Vec<Comparison> {
    let clock = results.scenario.measure.clock;
    let (mut metrics, others): (Vec<Metric>, Vec<Metric>) = Metric::ever_compared()
        .filter(|metric| metric.means_something_under(clock))
        .partition(|metric| metric.row().unit == "s");
    metrics.extend(others);
    let arms: Vec<Arm> = results.arms.iter().map(|info| info.name).collect();
    let mut found = Vec::new();
    for &arm in &arms {
        for against in arm.baselines().filter(|b| arms.contains(b)) {
            let of = |metric: &Metric| {
                let pairs = pairs(arm, against, *metric, results.migrations.iter());
                compared(arm, against, *metric, &pairs)
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
