//! The answer in words: what encryption costs on this host, for the arms that readers ask about.

use super::view::{self, ArmView, Basis};
use crate::arm::Arm;
use crate::figures::Metric;
use crate::present::text;
use crate::results::{Comparison, OutcomeStatus, Results};
use crate::stats::Interval;

/// VMware's old reservation for vMotion, which cores per 10 Gb/s stand beside.
pub const VMWARE_RULE: &str = "VMware's old rule reserves 1 per 10 GbE";

/// A tax in the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What of: `CPU on the source`.
    pub noun: &'static str,
    /// Its metric.
    pub metric: Metric,
    /// The comparison, where there is one.
    pub tax: Option<Comparison>,
}

/// Cores busy at 10 Gb/s of page payload, median and interval on one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Cores {
    /// `source` or `destination`.
    pub side: &'static str,
    /// Median, interval, level and n.
    pub median: Interval,
}

/// The answer for one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The arm.
    pub arm: Arm,
    /// What it stands for.
    pub name: &'static str,
    /// How its migrations ended, in a few words.
    pub verdict: String,
    /// How its migrations ended, in a sentence, with reasons.
    pub outcome: String,
    /// Whether there are taxes at all.
    pub measured: bool,
    /// The metrics that the headline speaks of.
    pub parts: Vec<Part>,
    /// Cores per 10 Gb/s on each side; of migrations that did not converge if none did.
    pub cores: Vec<Cores>,
    /// Whether `cores` come from migrations that did not converge.
    pub cores_unfinished: bool,
}

/// The answers, best hardware first.
pub fn answers(results: &Results) -> Vec<Answer> {
    let arms = view::arms(results);
    view::headline_arms(results)
        .into_iter()
        .filter_map(|arm| arms.iter().find(|view| view.arm() == arm))
        .map(|arm| answer(results, arm))
        .collect()
}

fn answer(results: &Results, arm: &ArmView<'_>) -> Answer {
    let parts: Vec<Part> = Metric::all()
        .filter_map(|metric| {
            Some(Part {
                noun: metric.row().headline?,
                metric,
                tax: view::tax(results, arm.arm(), metric).cloned(),
            })
        })
        .collect();
    let cores = [Metric::SOURCE_CORES, Metric::DESTINATION_CORES]
        .into_iter()
        .filter_map(|metric| {
            Some(Cores {
                side: metric.label(),
                median: arm.metric(metric)?,
            })
        })
        .collect();
    Answer {
        arm: arm.arm(),
        name: arm.arm().row().short,
        verdict: arm.outcome(),
        outcome: outcome_sentence(arm),
        measured: parts.iter().any(|part| part.tax.is_some()),
        parts,
        cores,
        cores_unfinished: arm.basis == Basis::NotConverged,
    }
}

/// How an arm's migrations ended: whether it converged is part of the answer.
pub fn outcome_sentence(arm: &ArmView<'_>) -> String {
    let n = arm.migrations.len();
    let because = |reason: Option<&str>| reason.map_or(String::new(), |r| format!(": {r}"));
    if n == 0 {
        let outcome = text::sentence(&arm.outcome());
        return format!("{outcome}{}.", because(arm.info.reason.as_deref()));
    }
    let completed = arm.count(OutcomeStatus::Completed);
    let mut sentences = Vec::new();
    if completed == n {
        sentences.push(format!("Converged: {n} of {n} migrations completed."));
    } else if completed > 0 {
        sentences.push(format!("{completed} of {n} migrations completed."));
    }
    for (status, words) in [
        (OutcomeStatus::NotConverged, "did not converge"),
        (OutcomeStatus::Failed, "failed"),
        (OutcomeStatus::FellBack, "fell back to plain"),
    ] {
        let k = arm.count(status);
        if k > 0 {
            let why = because(arm.first_reason(status));
            sentences.push(format!("{k} of {n} migrations {words}{why}."));
        }
    }
    sentences.join(" ")
}

/// A tax in words, without its interval: `28% more CPU on the source`; or, where the interval
/// holds no difference, that there is none to be seen.
pub fn part_words(part: &Part) -> Option<String> {
    let tax = part.tax.as_ref()?;
    let words = text::tax_words(tax.ratio);
    Some(format!("{words} {}", part.noun))
}

/// Whether a comparison's interval holds 1: no difference that this run can show.
pub fn undecided(tax: &Comparison) -> bool {
    tax.ci_low <= 1.0 && tax.ci_high >= 1.0
}

/// The answer that the report opens with: the first arm of the ladder that has figures, else the
/// first.
pub fn best(answers: &[Answer]) -> Option<&Answer> {
    answers
        .iter()
        .find(|answer| answer.measured)
        .or(answers.first())
}

/// The one-line answer, every ratio with its interval, level and n.
pub fn headline(results: &Results) -> String {
    let answers = answers(results);
    let Some(best) = best(&answers) else {
        return "No encrypted arm was asked for.".to_owned();
    };
    if !best.measured {
        return format!("Encrypted with {}: {}", best.arm, best.outcome);
    }
    let parts: Vec<String> = best
        .parts
        .iter()
        .filter_map(|part| {
            let tax = part.tax.as_ref()?;
            Some(format!(
                "{} {} ({})",
                text::tax(tax.ratio),
                part.noun,
                view::doubt(tax)
            ))
        })
        .collect();
    format!("{OPENING} {} ({}).", list(&parts), best.name)
}

/// How the answer begins.
pub const OPENING: &str = "On this host, encrypting migrations costs";

/// `a, b and c`.
pub fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Cores per 10 Gb/s in words; `None` without figures.
pub fn cores_words(answer: &Answer) -> Option<String> {
    let sides: Vec<String> = answer
        .cores
        .iter()
        .map(|cores| {
            format!(
                "{} on the {} ({})",
                text::sig3(cores.median.median),
                cores.side,
                view::median_doubt(&cores.median, text::sig3).join(", ")
            )
        })
        .collect();
    if sides.is_empty() {
        return None;
    }
    let from = if answer.cores_unfinished {
        ", of unfinished migrations"
    } else {
        ""
    };
    Some(format!(
        "Cores per 10 Gb/s{from} ({VMWARE_RULE}): {}",
        list(&sides)
    ))
}
