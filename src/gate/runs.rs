//! Two stored runs: exact counts where there are any, then taxes.
//!
//! Runs made at different times differ by whatever the machine did in between, so an arm's figures
//! are first divided by a reference measured in the same block. Totals are divided by the baseline
//! of the arm's group; the cipher stages, which are far steadier than anything that holds a socket
//! call, by what one plain copy of the same pages cost the arm `copy`. A reference itself, and an arm
//! whose reference is not in the runs, is judged by its own figure: only large changes count there.

use std::collections::BTreeSet;

use super::config::{Config, MetricLimits, Undecided};
use super::decide::{Completion, Question, Reference, Values, decide};
use super::exact;
use super::identity::{Comparable, comparable};
use super::verdict::{Report, Row};
use crate::arm::Arm;
use crate::figures::{Metric, Over, completed};
use crate::present::text::percent;
use crate::results::{Migration, OutcomeStatus, Results};
use crate::scenario::ClockKind;
use crate::stats;

/// Judges a candidate run against a baseline run. `names` are how the two are called in the
/// report.
pub fn judge_runs(
    baseline: &Results,
    candidate: &Results,
    config: &Config,
    names: [String; 2],
) -> Report {
    let [base_name, cand_name] = names;
    let mut notes = Vec::new();
    let mut rows = Vec::new();
    let exact_only = match comparable(baseline, candidate) {
        Comparable::No(why) => return Report::refused(base_name, cand_name, why),
        Comparable::ExactOnly(why) => {
            notes.push(why);
            true
        }
        Comparable::Yes => false,
    };
    for (which, run) in [("baseline", baseline), ("candidate", candidate)] {
        if run.interrupted {
            notes.push(format!("the {which} was interrupted"));
        }
        for warning in &run.warnings {
            notes.push(format!("{which}: {} ({})", warning.message, warning.code));
        }
    }
    let arms = common_arms(baseline, candidate, &mut rows, &mut notes);
    if baseline.scenario.measure.clock == ClockKind::Virtual {
        let counts = [baseline, candidate].map(exact::counts);
        rows.extend(exact::judge(&counts[0], &counts[1], &arms));
    }
    if !exact_only {
        let asked = questions(baseline, candidate, &arms, config, &mut rows, &mut notes);
        let completions = arms.iter().map(|arm| completion(*arm, baseline, candidate));
        let completions: Vec<Completion> = completions.collect();
        rows.extend(decide(&asked, &completions, config.strictness()));
    }
    Report::of(base_name, cand_name, rows, notes)
}

/// The arms that both runs have and ran. An arm that only one has, or could run, is
/// incomparable: leaving out a slow arm must not pass.
fn common_arms<'a>(
    baseline: &'a Results,
    candidate: &'a Results,
    rows: &mut Vec<Row>,
    notes: &mut Vec<String>,
) -> Vec<Arm> {
    let names = baseline.arms.iter().chain(&candidate.arms);
    let names: BTreeSet<Arm> = names.map(|info| info.name).collect();
    let info = |run: &'a Results, arm| run.arms.iter().find(|info| info.name == arm);
    let ran = |run: &Results, arm| run.migrations.iter().any(|m| m.arm == arm);
    let mut common = Vec::new();
    for arm in names {
        let refusal = match (info(baseline, arm), info(candidate, arm)) {
            (Some(_), None) => Some("the candidate has no such arm".to_owned()),
            (None, _) => Some("the baseline has no such arm".to_owned()),
            (Some(a), Some(b)) if a.supported != b.supported => {
                let (side, info) = if a.supported {
                    ("candidate", b)
                } else {
                    ("baseline", a)
                };
                let reason = info.reason.clone().unwrap_or_default();
                Some(format!("unsupported at the {side}: {reason}"))
            }
            (Some(a), Some(b)) if a.policy_decision != b.policy_decision => Some(format!(
                "policy decided differently: {:?} and {:?}",
                a.policy_decision, b.policy_decision
            )),
            (Some(a), Some(_)) => match (ran(baseline, arm), ran(candidate, arm)) {
                (true, true) => {
                    common.push(arm);
                    None
                }
                (false, false) => {
                    let reason = a.reason.as_deref().unwrap_or("it did not run");
                    notes.push(format!("{arm} is in neither run: {reason}"));
                    None
                }
                (true, false) => Some("the candidate has no migration of it".to_owned()),
                (false, true) => Some("the baseline has no migration of it".to_owned()),
            },
        };
        rows.extend(refusal.map(|why| Row::incomparable(arm.name(), "all", why)));
    }
    common
}

fn completion(arm: Arm, baseline: &Results, candidate: &Results) -> Completion {
    let missed = |run: &Results| -> Vec<f64> {
        let of_arm = run.migrations.iter().filter(|m| m.arm == arm);
        of_arm
            .map(|m| f64::from(u8::from(m.outcome.status != OutcomeStatus::Completed)))
            .collect()
    };
    let count = |missed: &[f64]| {
        let done = missed.iter().filter(|m| **m == 0.0).count();
        [done, missed.len()]
    };
    let (before, now) = (missed(baseline), missed(candidate));
    Completion {
        arm: arm.name().to_owned(),
        baseline: count(&before),
        candidate: count(&now),
        test: stats::two_sample(&before, &now),
    }
}

fn questions(
    baseline: &Results,
    candidate: &Results,
    arms: &[Arm],
    config: &Config,
    rows: &mut Vec<Row>,
    notes: &mut Vec<String>,
) -> Vec<Question> {
    let mut asked = Vec::new();
    let mut undivided = BTreeSet::new();
    let clock = baseline.scenario.measure.clock;
    for limits in &config.metrics {
        let means = limits.name.means_something_under(clock);
        let Some(over) = limits.name.row().gated.filter(|_| means) else {
            continue;
        };
        for &arm in arms {
            let by = (over.arm)(arm);
            // Against another arm's figure a baseline would be divided by what is divided by it.
            if arm.base() == arm && by != arm {
                continue;
            }
            let by = Some(by).filter(|by| *by != arm && arms.contains(by));
            if by.is_none() && limits.undecided == Undecided::Noted {
                continue;
            }
            match question(arm, limits, over, by, [baseline, candidate], config) {
                Ok(None) => {}
                Ok(Some(question)) => {
                    asked.push(question);
                    undivided.extend(by.is_none().then_some(arm));
                }
                Err(why) => rows.push(Row::incomparable(arm.name(), limits.name.name(), why)),
            }
        }
    }
    if !undivided.is_empty() {
        let arms: Vec<&str> = undivided.iter().map(|arm: &Arm| arm.name()).collect();
        notes.push(format!(
            "nothing in the same blocks to divide some figures of {} by: there only changes of {} or \
             more count, which may be the machine's",
            arms.join(", "),
            percent(config.undivided.relative_floor)
        ));
    }
    asked
}

/// The question of one metric of one arm, over that of the arm `by` if there is one; nothing if
/// neither run has a value.
fn question(
    arm: Arm,
    limits: &MetricLimits,
    over: Over,
    by: Option<Arm>,
    [baseline, candidate]: [&Results; 2],
    config: &Config,
) -> Result<Option<Question>, String> {
    let metric = limits.name;
    let divisor = Metric::among(over.metric, Metric::all())?;
    let sample =
        |run: &Results| Sample::take((arm, metric), by.map(|by| (by, divisor)), &run.migrations);
    let (before, now) = (sample(baseline), sample(candidate));
    let side = match (before.own.is_empty(), now.own.is_empty()) {
        // An arm that completed nowhere on one side is told by its outcome row.
        (true, true) => return Ok(None),
        (true, false) => ("baseline", before.completed),
        (false, true) => ("candidate", now.completed),
        (false, false) => {
            let (mut floor, mut tolerance) = (limits.relative_floor, limits.tolerance);
            let reference = match by {
                Some(by) => {
                    let shift = stats::two_sample_shift(&before.reference, &now.reference, 0.05);
                    let alpha = config.strictness().alpha;
                    let own = stats::two_sample_shift(&before.own, &now.own, alpha);
                    let (Some(shift), Some(own)) = (shift, own) else {
                        return Ok(None);
                    };
                    let own_noise = stats::pooled_sd(&before.own, &now.own);
                    Some(Reference {
                        name: format!("{by}{}", over.part),
                        shift: shift.estimate,
                        own,
                        own_noise: own_noise.unwrap_or(f64::INFINITY),
                    })
                }
                None => {
                    floor = floor.max(config.undivided.relative_floor);
                    tolerance = tolerance.max(config.undivided.tolerance);
                    None
                }
            };
            return Ok(Some(Question {
                arm: arm.name().to_owned(),
                metric: metric.name().to_owned(),
                unit: metric.row().unit,
                direction: metric.row().direction,
                medians: [before.median, now.median],
                reference,
                values: Values::TwoSample(before.judged(), now.judged()),
                relative_floor: floor,
                absolute_floor: limits.absolute_floor,
                tolerance,
                blocking: limits.undecided == Undecided::Blocks,
            }));
        }
    };
    match side {
        (_, 0) => Ok(None),
        (side, _) => Err(format!("the {side} has no value of it")),
    }
}

/// One run's values of a metric of an arm.
struct Sample {
    completed: usize,
    median: f64,
    /// Logarithms, one a block: of the arm's own figure, and of its reference's if it has one.
    own: Vec<f64>,
    reference: Vec<f64>,
}

impl Sample {
    fn take(
        (arm, metric): (Arm, Metric),
        over: Option<(Arm, Metric)>,
        migrations: &[Migration],
    ) -> Sample {
        let references = over.map(|(by, divisor)| (completed(by, migrations), divisor));
        let done = completed(arm, migrations);
        let mut sample = Sample {
            completed: done.len(),
            median: 0.0,
            own: Vec::new(),
            reference: Vec::new(),
        };
        let mut values = Vec::new();
        for (block, migration) in done {
            let Some(value) = metric.value(migration) else {
                continue;
            };
            if let Some((references, divisor)) = &references {
                let Some(by) = references.get(&block).and_then(|m| divisor.value(m)) else {
                    continue;
                };
                sample.reference.push(libm::log(by));
            }
            values.push(value);
            sample.own.push(libm::log(value));
        }
        sample.median = stats::median(&values).unwrap_or(0.0);
        sample
    }

    /// What is compared: own over reference, or own.
    fn judged(self) -> Vec<f64> {
        match self.reference.is_empty() {
            true => self.own,
            false => {
                let pairs = self.own.into_iter().zip(self.reference);
                pairs.map(|(own, reference)| own - reference).collect()
            }
        }
    }
}
