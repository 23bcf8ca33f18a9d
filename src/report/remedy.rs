//! In words: what a migration that does not converge by itself led to. What the guest lost where it was
//! slowed down, and which platform's limit ended the attempt.

use super::view::{self, ArmView};
use crate::figures::{self, Metric};
use crate::precopy::{OnStall, StopReason};
use crate::present::text;
use crate::results::{OutcomeStatus, Results};
use crate::scenario::Scenario;

/// A migration that takes at most this times as long as plain's is called as fast.
const AS_FAST: f64 = 1.05;

/// The sentences for an arm, where there is something to say.
pub fn sentences(results: &Results, arm: &ArmView<'_>) -> Vec<String> {
    let all = [throttled(results, arm), timed_out(results, arm)];
    all.into_iter().flatten().collect()
}

/// The share of its writes that the guest lost, in words, median over the arm's migrations.
fn lost(arm: &ArmView<'_>) -> Option<String> {
    let share = arm.median(|m| Some(figures::writes_lost(m).unwrap_or(0.0)))?;
    Some(match share.median {
        0.0 => "none".to_owned(),
        share => format!("{}%", text::sig3(100.0 * share)),
    })
}

fn throttled(results: &Results, arm: &ArmView<'_>) -> Option<String> {
    // QEMU does not tell what its guest lost.
    if results.scenario.migration.on_stall != OnStall::Throttle || arm.arm().is_qemu() {
        return None;
    }
    let lost_here = lost(arm)?;
    let to_end = match arm.count(OutcomeStatus::Completed) {
        0 => "Slowed down without success".to_owned(),
        _ => match view::tax(results, arm.arm(), Metric::TOTAL_TIME) {
            Some(tax) if tax.bound.is_none() => {
                let (ratio, doubt) = (view::ratio(tax), view::doubt(tax));
                let how = match tax.ratio <= AS_FAST {
                    true => " as fast as plain",
                    false => "",
                };
                format!("To end{how} (total time against plain: {ratio}, {doubt})")
            }
            _ => "To end".to_owned(),
        },
    };
    let plain = view::arms(results);
    let plain = plain.iter().find(|view| view.arm() == arm.arm().base());
    let beside = plain.filter(|plain| plain.arm() != arm.arm());
    let beside = beside
        .and_then(lost)
        .map(|lost| format!(" (plain: {lost})"));
    Some(format!(
        "{to_end}, the guest lost {lost_here} of its writes{}.",
        beside.unwrap_or_default()
    ))
}

/// Names the platform whose limit gave up an arm's migrations; nothing where the scenario set another limit.
fn timed_out(results: &Results, arm: &ArmView<'_>) -> Option<String> {
    let reason = arm.first_reason(OutcomeStatus::NotConverged)?;
    let limit = limit_that_struck(&results.scenario, reason)?;
    let short = arm.arm().row().short;
    Some(format!("Under {limit} this VM is aborted with {short}."))
}

/// A platform's limit in words, if it is the one that a reason to give up begins with.
pub(super) fn limit_that_struck(scenario: &Scenario, reason: &str) -> Option<String> {
    let migration = &scenario.migration;
    let platform = migration.platform?;
    let values = platform.values(scenario.guest.memory);
    let ended_by = |stop: StopReason| reason.starts_with(&stop.to_string());
    let row = platform.row();
    let limit = if ended_by(StopReason::TimeLimit) {
        let rule = row.time_rule?;
        let limit = values.time_limit.filter(|l| *l == migration.time_limit)?;
        format!("{rule} ({limit} for this guest)")
    } else if ended_by(StopReason::NoProgress) {
        let set = migration.progress_timeout?;
        (values.progress_timeout == Some(set))
            .then(|| format!("limit of {set} without progress"))?
    } else {
        return None;
    };
    Some(format!("{}'s {limit}", row.title))
}
