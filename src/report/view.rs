//! What a report says about an arm, before it is laid out: outcomes in words, which migrations
//! its figures come from, and its taxes.

use std::collections::BTreeSet;

use strum::IntoEnumIterator as _;

use crate::arm::{Arm, Rung};
use crate::figures::{self, Format, Metric, Unfinished};
use crate::present::text;
use crate::results::{
    ArmInfo, Bound, Comparison, Migration, OutcomeStatus, PolicyDecision, Results,
};
use crate::scenario::ClockKind;
use crate::stats::Interval;

/// Where a figure would mislead without it: what loopback does to CPU accounting.
pub const LOOPBACK_NOTE: &str = "With both hosts on one machine the kernel does much of the \
receive work on the sender's time, so each side's absolute socket CPU is mixed. Differences \
between arms, and the cipher stages (seal, open), are attributable.";

/// The same for hosts on machines of their own.
const APART_NOTE: &str = "The destination ran on a machine of its own: each side's CPU is its own, \
and the two sides may differ in more than their work.";

/// What a run under the virtual clock is for.
const VIRTUAL_NOTE: &str = "Virtual clock: times are arithmetic here (bytes over the link's bandwidth) \
and the same for every arm, so no time, downtime or throughput is shown or compared. This run is \
for exact counts (rounds, pages, records, bytes, hashes), which the gate compares for \
equality, and for CPU per GiB with no vCPU in the way.";

/// What a run is for, where that is not to measure time.
pub fn clock_note(results: &Results) -> Option<&'static str> {
    match results.scenario.measure.clock {
        ClockKind::Live => None,
        ClockKind::Virtual => Some(VIRTUAL_NOTE),
    }
}

/// What must be known to read CPU by side.
pub fn sides_note(results: &Results) -> &'static str {
    match results.host.is_shared() {
        true => LOOPBACK_NOTE,
        false => APART_NOTE,
    }
}

/// Which migrations an arm's figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Those that completed.
    Completed,
    /// None completed: those that did not converge.
    NotConverged,
    /// There are none with figures.
    Nothing,
}

/// One arm of a run with its migrations.
#[derive(Debug, Clone)]
pub struct ArmView<'a> {
    /// As recorded.
    pub info: &'a ArmInfo,
    /// All its migrations, in the order in which they ran.
    pub migrations: Vec<&'a Migration>,
    /// Those that its figures come from.
    pub measured: Vec<&'a Migration>,
    /// What these are.
    pub basis: Basis,
    /// The clock that they ran under.
    clock: ClockKind,
}

impl<'a> ArmView<'a> {
    fn new(results: &'a Results, info: &'a ArmInfo) -> Self {
        let migrations: Vec<_> = results
            .migrations
            .iter()
            .filter(|migration| migration.arm == info.name)
            .collect();
        let with = |status| -> Vec<&'a Migration> {
            let all = migrations.iter().copied();
            all.filter(|m| m.outcome.status == status).collect()
        };
        let completed = with(OutcomeStatus::Completed);
        let stalled = with(OutcomeStatus::NotConverged);
        let (measured, basis) = match (completed.is_empty(), stalled.is_empty()) {
            (false, _) => (completed, Basis::Completed),
            (true, false) => (stalled, Basis::NotConverged),
            (true, true) => (Vec::new(), Basis::Nothing),
        };
        ArmView {
            info,
            migrations,
            measured,
            basis,
            clock: results.scenario.measure.clock,
        }
    }

    /// Which arm.
    pub fn arm(&self) -> Arm {
        self.info.name
    }

    /// Migrations that ended so.
    pub fn count(&self, status: OutcomeStatus) -> usize {
        self.migrations
            .iter()
            .filter(|m| m.outcome.status == status)
            .count()
    }

    /// Why the first migration that ended so did.
    pub fn first_reason(&self, status: OutcomeStatus) -> Option<&'a str> {
        self.migrations
            .iter()
            .filter(|m| m.outcome.status == status)
            .find_map(|m| m.outcome.reason.as_deref())
    }

    /// How the arm's migrations ended, in a few words: `completed 5 of 5`,
    /// `not converged 5 of 5`, `unsupported`.
    pub fn outcome(&self) -> String {
        if self.migrations.is_empty() {
            return match self.info.policy_decision {
                PolicyDecision::Refused => "refused by policy",
                PolicyDecision::Disabled => "not run: policy disabled",
                PolicyDecision::Unsupported => "unsupported",
                _ if !self.info.supported => "unsupported",
                _ => "not run",
            }
            .to_owned();
        }
        let n = self.migrations.len();
        let parts = OutcomeStatus::iter().map(|status| (status, self.count(status)));
        let parts = parts.filter(|(_, k)| *k > 0);
        let parts: Vec<String> = parts.map(|(s, k)| format!("{s} {k} of {n}")).collect();
        parts.join(", ")
    }

    /// The reasons that stand beside [`ArmView::outcome`]: why it did not run, or why some of its
    /// migrations did not complete.
    pub fn reasons(&self) -> Vec<String> {
        let arm = self.info.reason.iter().cloned();
        let migrations = OutcomeStatus::iter().filter_map(|status| {
            let reason = self.first_reason(status)?;
            let n = self.count(status);
            (status != OutcomeStatus::Completed).then(|| format!("{status} ({n}): {reason}"))
        });
        arm.chain(migrations).collect()
    }

    /// The median of a figure over the measured migrations, with its interval.
    pub fn median(&self, figure: impl Fn(&Migration) -> Option<f64>) -> Option<Interval> {
        figures::median_interval(self.measured.iter().filter_map(|m| figure(m)))
    }

    /// The median of a metric over the measured migrations, in the metric's unit; `None` of those that
    /// did not converge if only one that completed has it, and under a clock that it means nothing
    /// under.
    pub fn metric(&self, metric: Metric) -> Option<Interval> {
        if !metric.means_something_under(self.clock) {
            return None;
        }
        if !matches!(metric.row().unfinished, Unfinished::Counts) && self.basis != Basis::Completed
        {
            return None;
        }
        self.median(|m| metric.value(m))
    }

    /// The measured migration whose total time is the median's (the lower of two), to draw one
    /// migration's course.
    pub fn typical(&self) -> Option<&'a Migration> {
        let mut sorted = self.measured.clone();
        sorted.sort_by(|a, b| a.total_time_s.total_cmp(&b.total_time_s));
        sorted.get(sorted.len().checked_sub(1)? / 2).copied()
    }
}

/// The arms of a run in table order.
pub fn arms(results: &Results) -> Vec<ArmView<'_>> {
    results
        .arms
        .iter()
        .map(|info| ArmView::new(results, info))
        .collect()
}

/// The baselines of a run's arms, in table order: each has a group of arms whose tax is over it.
pub fn bases(results: &Results) -> Vec<Arm> {
    let mut bases: Vec<Arm> = results.arms.iter().map(|info| info.name.base()).collect();
    bases.sort();
    bases.dedup();
    bases
}

/// Whether a comparison is a tax: with the baseline of the arm's group.
pub fn is_tax(comparison: &Comparison) -> bool {
    comparison.against == comparison.arm.base()
}

/// The arms that the answer is given for, of each group of arms: aws-lc's ladder where it ran (all instructions, AES-NI
/// only, software, another cipher), with the other library standing in for a missing rung; else every encrypted arm.
pub fn headline_arms(results: &Results) -> Vec<Arm> {
    let asked: Vec<Arm> = results.arms.iter().map(|info| info.name).collect();
    let on = |base: Arm, rung: Rung| {
        let place = |arm: &Arm| arm.row().headline.filter(|(of, _)| *of == rung);
        asked
            .iter()
            .copied()
            .filter(|arm| arm.base() == base && place(arm).is_some())
            .min_by_key(place)
    };
    let rungs = [Rung::Full, Rung::AesNi, Rung::Software, Rung::Alternative];
    let mut found = Vec::new();
    for base in bases(results) {
        found.extend(rungs.into_iter().filter_map(|rung| on(base, rung)));
    }
    found
}

/// The comparison of an arm's metric with the baseline of its group.
pub fn tax(results: &Results, arm: Arm, metric: Metric) -> Option<&Comparison> {
    figures::comparison(results, arm, arm.base(), metric)
}

/// The comparisons that a run's page shows: those that mean something under its clock.
pub fn compared(results: &Results) -> impl Iterator<Item = &Comparison> {
    let clock = results.scenario.measure.clock;
    let means = move |c: &&Comparison| {
        let metric = Metric::among(&c.metric, Metric::ever_compared());
        metric.is_ok_and(|metric| metric.means_something_under(clock))
    };
    results.comparisons.iter().filter(means)
}

/// A metric's value as tables and charts write it, without its unit.
pub fn figure(metric: Metric, value: f64) -> String {
    let shown = metric.shown(value);
    match metric.row().format {
        Format::ThreeFigures => text::sig3(shown),
        Format::Count => shown.to_string(),
    }
}

/// A comparison's ratio: `+28%`, `×12.4`; `> ×9.1` where only a bound is known.
pub fn ratio(comparison: &Comparison) -> String {
    let ratio = text::tax(comparison.ratio);
    match comparison.bound {
        None => ratio,
        Some(Bound::Lower) => format!("> {ratio}"),
        Some(Bound::Upper) => format!("< {ratio}"),
    }
}

/// A comparison's interval: `+21% to +35%`; `from +21%` and `up to +35%` where nothing bounds the other
/// end.
pub fn interval(comparison: &Comparison) -> String {
    let end = |ratio| text::tax_like(comparison.ratio, ratio);
    let (low, high) = (comparison.ci_low, comparison.ci_high);
    ends(
        (low > 0.0).then_some(low),
        high.is_finite().then_some(high),
        end,
    )
}

/// The two ends of an interval, of which one or both may have no bound.
fn ends(low: Option<f64>, high: Option<f64>, written: impl Fn(f64) -> String) -> String {
    match (low.map(&written), high.map(&written)) {
        (Some(low), Some(high)) => format!("{low} to {high}"),
        (Some(low), None) => format!("from {low}"),
        (None, Some(high)) => format!("up to {high}"),
        (None, None) => "no bound".to_owned(),
    }
}

/// What an arm adds, in its metric's shown unit, and its interval: `+0.12`, `+0.11 to +0.14`. `None`
/// of a run of an older build.
pub fn added(comparison: &Comparison) -> Option<[String; 2]> {
    let metric = Metric::among(&comparison.metric, Metric::ever_compared()).ok()?;
    let added = figures::added(comparison)?;
    let like = metric.shown(added.median);
    let written = |value: f64| text::signed_like(like, metric.shown(value));
    let finite = |end: f64| end.is_finite().then_some(end);
    let bound = match comparison.bound {
        None => "",
        Some(Bound::Lower) => "> ",
        Some(Bound::Upper) => "< ",
    };
    let interval = ends(finite(added.low), finite(added.high), written);
    Some([format!("{bound}{}", written(added.median)), interval])
}

/// A comparison's doubt: `+21% to +35%, level 95.9%, n 20`.
pub fn doubt(comparison: &Comparison) -> String {
    format!("{}, {}", interval(comparison), basis(comparison))
}

/// What a comparison's interval rests on: `level 95.9%, n 20`; with how many did not converge.
pub fn basis(comparison: &Comparison) -> String {
    let basis = text::basis(comparison.level, comparison.blocks);
    match comparison.not_converged {
        0 => basis,
        n => format!("{basis}, {n} not converged"),
    }
}

/// A median's interval, `0.17 to 0.20` in the writing of `figure`, and what it rests on, `level
/// 95.9%, n 20`. A single value has no interval.
pub fn median_doubt(median: &Interval, figure: impl Fn(f64) -> String) -> [String; 2] {
    if median.n < 2 {
        return ["no interval".to_owned(), format!("n {}", median.n)];
    }
    let interval = format!("{} to {}", figure(median.low), figure(median.high));
    [interval, text::basis(median.level, median.n)]
}

/// What follows the blocks of a run that was interrupted.
pub fn interrupted(results: &Results) -> &'static str {
    match results.interrupted {
        true => " (interrupted)",
        false => "",
    }
}

/// Blocks of the run: the number of different blocks that any migration belongs to.
pub fn blocks(results: &Results) -> usize {
    let blocks: BTreeSet<u32> = results.migrations.iter().map(|m| m.block).collect();
    blocks.len()
}
