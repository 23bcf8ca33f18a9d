//! What sweeping a value does to the tax, in words.

use super::group::{RunView, Sweep};
use crate::arm::Arm;
use crate::figures::{self, Metric};
use crate::report::answer::CPU_UNIT;
use crate::report::view;
use crate::results::Comparison;

/// What is told of each sweep, in this order.
const TOLD: [Metric; 3] = [
    Metric::SOURCE_CPU_PER_GIB,
    Metric::DESTINATION_CPU_PER_GIB,
    Metric::TOTAL_TIME,
];

/// What one sweep does to the tax.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What is swept and between what: `record, 4KiB to 1MiB`.
    pub of: String,
    /// An arm and a sentence.
    pub arms: Vec<(Arm, String)>,
}

/// The effects of the sweeps, the first of each value: what others of it add, charts and tables show.
pub fn effects(sweeps: &[Sweep<'_, '_>]) -> Vec<Effect> {
    let mut told: Vec<&str> = Vec::new();
    let mut effects = Vec::new();
    for sweep in sweeps {
        if !told.contains(&sweep.path.as_str()) {
            told.push(&sweep.path);
            effects.extend(effect(sweep));
        }
    }
    effects
}

/// `None` if no arm has a tax at both ends.
fn effect(sweep: &Sweep<'_, '_>) -> Option<Effect> {
    let ((_, first), (_, last)) = (sweep.runs.first()?, sweep.runs.last()?);
    // Those of the headline first; every other arm's tax is told as well.
    let mut arms = view::headline_arms(first.results);
    let asked = first.results.arms.iter().map(|info| info.name);
    let others: Vec<Arm> = asked.filter(|arm| !arms.contains(arm)).collect();
    arms.extend(others);
    let arms: Vec<(Arm, String)> = arms
        .into_iter()
        .filter_map(|arm| Some((arm, sentence(sweep, (first, last), arm)?)))
        .collect();
    let path = &sweep.path;
    let name = path
        .rsplit_once('.')
        .map_or(path.as_str(), |(_, name)| name);
    let fixed = sweep.fixed();
    let mut of = format!("{name}, {} to {}", sweep.value(first), sweep.value(last));
    if !fixed.is_empty() {
        of = format!("{of} (at {fixed})");
    }
    (!arms.is_empty()).then_some(Effect { of, arms })
}

fn sentence(
    sweep: &Sweep<'_, '_>,
    (first, last): (&RunView<'_>, &RunView<'_>),
    arm: Arm,
) -> Option<String> {
    let parts = TOLD.iter().filter_map(|metric| {
        let from = view::tax(first.results, arm, *metric)?;
        let to = view::tax(last.results, arm, *metric)?;
        let at = |tax: &Comparison, run: &RunView<'_>| {
            let figure = match view::added(tax) {
                Some([figure, interval]) if is_cpu(*metric) => {
                    format!("{figure} ({interval})")
                }
                _ => format!("{} ({})", view::ratio(tax), view::interval(tax)),
            };
            format!("{figure} at {}", sweep.value(run))
        };
        let label = match is_cpu(*metric) {
            true => format!("{}, {CPU_UNIT}", metric.label()),
            false => metric.label().to_owned(),
        };
        let (change, from, to) = (change(*metric, from, to), at(from, first), at(to, last));
        Some(format!("{label}: {from}, {to} ({change})"))
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What two taxes of one arm say of the value between them, by what the sentence shows of them.
/// Intervals that don't overlap are the stricter test: each alone holds its median with its level.
fn change(metric: Metric, from: &Comparison, to: &Comparison) -> &'static str {
    let ends = |tax: &Comparison| match figures::added(tax) {
        Some(added) if is_cpu(metric) => (added.low, added.high),
        _ => (tax.ci_low, tax.ci_high),
    };
    let ((from_low, from_high), (to_low, to_high)) = (ends(from), ends(to));
    if to_low > from_high {
        "rises"
    } else if to_high < from_low {
        "falls"
    } else {
        "no change can be told"
    }
}

fn is_cpu(metric: Metric) -> bool {
    metric.row().unit == CPU_UNIT
}
