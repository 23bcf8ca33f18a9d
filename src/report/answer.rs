//! The answer in words: what encryption costs on this host, for the arms that readers ask about.

use super::view::{self, ArmView, Basis};
use crate::arm::Arm;
use crate::figures::Metric;
use crate::present::text;
use crate::results::{Comparison, OutcomeStatus, Results};

/// VMware's old reservation for vMotion, which cores per 10 Gb/s stand beside.
const VMWARE_RULE: &str = "VMware's old rule reserves 1 per 10 GbE";

/// A tax in the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What of: `CPU on the source`.
    pub noun: &'static str,
    /// The comparison.
    pub tax: Comparison,
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
    /// The taxes that the headline speaks of, where there are any.
    pub parts: Vec<Part>,
    /// Cores per 10 Gb/s on each side, in words; of migrations that did not converge if none did.
    /// `None` without figures.
    pub cores: Option<String>,
}

impl Answer {
    /// Its taxes in a list, in the writing of `ratio`, each with its interval, level and n.
    pub fn taxes(&self, ratio: fn(&Comparison) -> String) -> String {
        let part = |part: &Part| {
            let (tax, doubt) = (ratio(&part.tax), view::doubt(&part.tax));
            format!("{tax} {} ({doubt})", part.noun)
        };
        let parts: Vec<String> = self.parts.iter().map(part).collect();
        list(&parts)
    }
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
    let parts = Metric::all().filter_map(|metric| {
        Some(Part {
            noun: metric.row().headline?,
            tax: view::tax(results, arm.arm(), metric)?.clone(),
        })
    });
    Answer {
        arm: arm.arm(),
        name: arm.arm().row().short,
        verdict: arm.outcome(),
        outcome: outcome_sentence(arm),
        parts: parts.collect(),
        cores: cores(arm),
    }
}

/// How an arm's migrations ended: whether it converged is part of the answer.
fn outcome_sentence(arm: &ArmView<'_>) -> String {
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

/// Whether a comparison's interval holds 1: no difference that this run can show.
pub fn undecided(tax: &Comparison) -> bool {
    tax.ci_low <= 1.0 && tax.ci_high >= 1.0
}

/// The answer that the report opens with: the first arm of the ladder that has figures, else the
/// first.
pub fn best(answers: &[Answer]) -> Option<&Answer> {
    let measured = answers.iter().find(|answer| !answer.parts.is_empty());
    measured.or(answers.first())
}

/// The one-line answer, every ratio with its interval, level and n.
pub fn headline(results: &Results) -> String {
    let answers = answers(results);
    let Some(best) = best(&answers) else {
        return "No encrypted arm was asked for.".to_owned();
    };
    if best.parts.is_empty() {
        return format!("Encrypted with {}: {}", best.arm, best.outcome);
    }
    format!("{OPENING} {} ({}).", best.taxes(view::ratio), best.name)
}

/// How the answer begins.
pub const OPENING: &str = "On this host, encrypting migrations costs";

/// `a, b and c`.
fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn cores(arm: &ArmView<'_>) -> Option<String> {
    let side = |metric: Metric| {
        let cores = arm.metric(metric)?;
        let doubt = view::median_doubt(&cores, text::sig3).join(", ");
        let (cores, side) = (text::sig3(cores.median), metric.label());
        Some(format!("{cores} on the {side} ({doubt})"))
    };
    let sides = [Metric::SOURCE_CORES, Metric::DESTINATION_CORES];
    let sides: Vec<String> = sides.into_iter().filter_map(side).collect();
    if sides.is_empty() {
        return None;
    }
    let from = match arm.basis {
        Basis::NotConverged => ", of unfinished migrations",
        _ => "",
    };
    Some(format!(
        "Cores per 10 Gb/s{from} ({VMWARE_RULE}): {}",
        list(&sides)
    ))
}
