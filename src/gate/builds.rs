//! Two builds measured in turns: the arm's own figure, paired within blocks, asked twice.
//!
//! Both builds run in the same minutes on the same machine, so nothing has to be divided out:
//! the ratio of the candidate's figure to the baseline's in one block is the change. What the
//! first batch flags must show again in a fresh batch before it is called a regression.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Config, MetricLimits, Strictness, Undecided};
use super::decide::{Completion, Question, Values, decide};
use super::identity::scenario_difference;
use super::verdict::{Report, Row, Verdict};
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::figures::{self, DEBUG_BUILD, HOSTS_DIFFER, INJECTED_SLOWDOWN, completed};
use crate::results::{Migration, OutcomeStatus, Results};
use crate::scenario::differences;
use crate::stats;

/// Strictness of the first batch. Each of the two must find an effect that is claimed.
fn first_strictness(config: &Config) -> Strictness {
    Strictness {
        alpha: config.confirm.first,
        power: config.power.sqrt(),
        ..config.strictness()
    }
}

fn again_strictness(config: &Config) -> Strictness {
    Strictness {
        alpha: config.confirm.again,
        ..first_strictness(config)
    }
}

/// Puts the single-block runs of one build together: run number i becomes block `first + i`.
///
/// # Errors
/// [`Error::Incomparable`] if the runs are not of one scenario (seeds may differ) or one host.
pub fn merge(runs: &[Results], first: u32) -> Result<Results> {
    let Some((head, rest)) = runs.split_first() else {
        let why = "there is no run to put together";
        return Err(Error::CannotRun(why.to_owned()));
    };
    let mut whole = head.clone();
    whole.migrations.clear();
    for (run, block) in runs.iter().zip(first..) {
        for migration in &run.migrations {
            let mut migration = migration.clone();
            migration.block = block;
            whole.migrations.push(migration);
        }
    }
    for run in rest {
        let scenario = differences(&head.scenario, &run.scenario)
            .into_iter()
            .find(|difference| difference.path != "guest.seed")
            .map(|difference| difference.to_string());
        let why = scenario.or_else(|| crate::machine::same_machine(&head.host, &run.host));
        if let Some(why) = why {
            return Err(Error::Incomparable(why));
        }
        whole.host.steal_share = whole.host.steal_share.max(run.host.steal_share);
        whole.host.other_cpu_share = whole.host.other_cpu_share.max(run.host.other_cpu_share);
        whole.interrupted |= run.interrupted;
    }
    whole.scenario.measure.repetitions = u32::try_from(runs.len()).unwrap_or(u32::MAX);
    whole.comparisons = figures::comparisons(&whole);
    whole.warnings = figures::warnings(&whole);
    for warning in runs.iter().flat_map(|run| &run.warnings) {
        let of_hosts = [DEBUG_BUILD, HOSTS_DIFFER, INJECTED_SLOWDOWN];
        let follows = !of_hosts.contains(&warning.code.as_str());
        if !follows && !whole.warnings.contains(warning) {
            whole.warnings.push(warning.clone());
        }
    }
    Ok(whole)
}

/// The answer of the first batch. Rows that read `regressed` are provisional.
pub fn judge_first(
    baseline: &Results,
    candidate: &Results,
    config: &Config,
    names: [String; 2],
) -> Report {
    judge(baseline, candidate, config, first_strictness(config), names)
}

/// The arms that the first batch flagged.
pub fn flagged(report: &Report) -> Vec<Arm> {
    let rows = report.rows.iter();
    let flagged = rows.filter(|row| row.verdict == Verdict::Regressed);
    let arms: BTreeSet<Arm> = flagged.filter_map(|row| row.arm.parse().ok()).collect();
    arms.into_iter().collect()
}

/// The final answer: what the first batch flagged stays regressed only if the fresh batch, which
/// is asked about nothing else, shows it again.
pub fn confirm(first: Report, baseline: &Results, candidate: &Results, config: &Config) -> Report {
    let is_flagged = |row: &Row| row.verdict == Verdict::Regressed;
    let wanted: Vec<(String, String)> = first
        .rows
        .iter()
        .filter(|r| is_flagged(r))
        .map(|r| (r.arm.clone(), r.metric.clone()))
        .collect();
    let (mut questions, mut completions) = asked(baseline, candidate, config);
    let among = |arm: &str, metric: &str| wanted.iter().any(|(a, m)| a == arm && m == metric);
    questions.retain(|q| among(&q.arm, &q.metric));
    completions.retain(|c| among(&c.arm, "completed"));
    let again: BTreeMap<(String, String), Row> =
        decide(&questions, &completions, again_strictness(config))
            .into_iter()
            .map(|row| ((row.arm.clone(), row.metric.clone()), row))
            .collect();
    let rows = first.rows.into_iter().map(|row| {
        if !is_flagged(&row) {
            return row;
        }
        let (verdict, found) = match again.get(&(row.arm.clone(), row.metric.clone())) {
            Some(fresh) if is_flagged(fresh) => {
                (Verdict::Regressed, format!("; again {}", fresh.sentence))
            }
            Some(fresh) => (
                Verdict::Inconclusive,
                format!(", but a fresh batch did not confirm it: {}", fresh.sentence),
            ),
            None => (
                Verdict::Inconclusive,
                ", but the fresh batch has no value of it".to_owned(),
            ),
        };
        Row {
            verdict,
            sentence: format!("{}{found}", row.sentence),
            ..row
        }
    });
    Report::of(first.baseline, first.candidate, rows.collect(), first.notes)
}

fn judge(
    baseline: &Results,
    candidate: &Results,
    config: &Config,
    strictness: Strictness,
    names: [String; 2],
) -> Report {
    let [base_name, cand_name] = names;
    let why = scenario_difference(&baseline.scenario, &candidate.scenario)
        .or_else(|| crate::machine::same_machine(&baseline.host, &candidate.host));
    if let Some(why) = why {
        return Report::refused(base_name, cand_name, why);
    }
    let mut rows = differing_arms(baseline, candidate);
    let (questions, completions) = asked(baseline, candidate, config);
    rows.extend(missing_values(baseline, candidate, config));
    rows.extend(decide(&questions, &completions, strictness));
    let mut notes = Vec::new();
    for (which, run) in [("baseline", baseline), ("candidate", candidate)] {
        for warning in &run.warnings {
            notes.push(format!("{which}: {} ({})", warning.message, warning.code));
        }
    }
    Report::of(base_name, cand_name, rows, notes)
}

fn differing_arms(baseline: &Results, candidate: &Results) -> Vec<Row> {
    let ran = |run: &Results, arm| run.migrations.iter().any(|m| m.arm == arm);
    Arm::all()
        .filter_map(|arm| {
            let side = match (ran(baseline, arm), ran(candidate, arm)) {
                (true, false) => "candidate",
                (false, true) => "baseline",
                _ => return None,
            };
            let why = format!("the {side} did not run it");
            Some(Row::incomparable(arm.name(), "all", why))
        })
        .collect()
}

/// The metrics that mean something under the runs' clock.
fn meant<'c>(run: &Results, config: &'c Config) -> impl Iterator<Item = &'c MetricLimits> {
    let clock = run.scenario.measure.clock;
    let metrics = config.metrics.iter();
    metrics.filter(move |limits| limits.name.means_something_under(clock))
}

/// Metrics that only one build has a value of, though both completed.
fn missing_values(baseline: &Results, candidate: &Results, config: &Config) -> Vec<Row> {
    let mut rows = Vec::new();
    for arm in Arm::all() {
        let [before, now] = [baseline, candidate].map(|run| completed(arm, &run.migrations));
        if before.is_empty() || now.is_empty() {
            continue;
        }
        for limits in meant(baseline, config) {
            let has = |run: &BTreeMap<u32, &Migration>| {
                run.values().any(|m| limits.name.value(m).is_some())
            };
            let side = match (has(&before), has(&now)) {
                (true, false) => "candidate",
                (false, true) => "baseline",
                _ => continue,
            };
            let why = format!("the {side} has no value of it");
            rows.push(Row::incomparable(arm.name(), limits.name.name(), why));
        }
    }
    rows
}

fn asked(
    baseline: &Results,
    candidate: &Results,
    config: &Config,
) -> (Vec<Question>, Vec<Completion>) {
    let mut questions = Vec::new();
    let mut completions = Vec::new();
    for arm in Arm::all() {
        completions.extend(completion(arm, baseline, candidate));
        let [before, now] = [baseline, candidate].map(|run| completed(arm, &run.migrations));
        for limits in meant(baseline, config) {
            let metric = limits.name;
            let pairs: Vec<(f64, f64)> = before
                .iter()
                .filter_map(|(block, m)| Some((metric.value(m)?, metric.value(now.get(block)?)?)))
                .collect();
            if pairs.is_empty() {
                continue;
            }
            let median = |side: fn(&(f64, f64)) -> f64| {
                stats::median(&pairs.iter().map(side).collect::<Vec<_>>()).unwrap_or(0.0)
            };
            questions.push(Question {
                arm: arm.name().to_owned(),
                metric: metric.name().to_owned(),
                unit: metric.row().unit,
                direction: metric.row().direction,
                medians: [median(|p| p.0), median(|p| p.1)],
                values: Values::Paired(pairs.iter().map(|(a, b)| libm::log(b / a)).collect()),
                reference: None,
                relative_floor: limits.relative_floor,
                absolute_floor: limits.absolute_floor,
                tolerance: limits.tolerance,
                blocking: limits.undecided == Undecided::Blocks,
            });
        }
    }
    (questions, completions)
}

/// Whether the arm completes less often; paired by block, where only blocks that differ count.
fn completion(arm: Arm, baseline: &Results, candidate: &Results) -> Option<Completion> {
    let missed = |run: &Results| -> BTreeMap<u32, bool> {
        let of_arm = run.migrations.iter().filter(|m| m.arm == arm);
        of_arm
            .map(|m| (m.block, m.outcome.status != OutcomeStatus::Completed))
            .collect()
    };
    let (before, now) = (missed(baseline), missed(candidate));
    if before.is_empty() || now.is_empty() {
        return None;
    }
    let differences: Vec<f64> = before
        .iter()
        .filter_map(|(block, was)| {
            Some(f64::from(u8::from(*now.get(block)?)) - f64::from(u8::from(*was)))
        })
        .collect();
    let count = |run: &BTreeMap<u32, bool>| [run.values().filter(|m| !**m).count(), run.len()];
    Some(Completion {
        arm: arm.name().to_owned(),
        baseline: count(&before),
        candidate: count(&now),
        test: stats::sign_flip(&differences),
    })
}
