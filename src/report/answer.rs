//! The answer in words: what encryption costs on this host, for the arms that readers ask about.

use super::remedy;
use super::view::{self, ArmView, Basis};
use crate::arm::{Arm, Rung};
use crate::figures::{self, Metric};
use crate::present::text;
use crate::results::{Comparison, OutcomeStatus, Results};
use crate::units::{Bandwidth, GIB};

/// VMware's old reservation for vMotion, which cores per 10 Gb/s stand beside.
const VMWARE_RULE: &str = "VMware's old rule reserves 1 per 10 GbE";

/// The speed at which cores are counted where the link has no limit.
const USUAL_LINK: Bandwidth = Bandwidth::BitsPerSecond(10_000_000_000);

/// A tax in the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What of: `CPU on the source`.
    pub noun: &'static str,
    /// What the arm adds, with its unit, and its interval; the ratio for what is no cost of CPU.
    pub figure: [String; 2],
    /// What the added CPU comes to at the link's speed: `0.118 cores at 10Gbit/s`.
    pub cores: Option<String>,
    /// The comparison.
    pub tax: Comparison,
}

impl Part {
    fn new(results: &Results, noun: &'static str, metric: Metric, tax: &Comparison) -> Part {
        let cpu = metric.row().unit == CPU_UNIT;
        let added = cpu.then(|| view::added(tax)).flatten();
        let cores = added_cores(results, tax).filter(|_| cpu);
        let cores = cores.map(|cores| format!("{} cores at {}", text::sig3(cores), speed(results)));
        Part {
            noun,
            figure: match added {
                Some([figure, interval]) => [format!("{figure} {CPU_UNIT}"), interval],
                None => [view::ratio(tax), view::interval(tax)],
            },
            cores,
            tax: tax.clone(),
        }
    }

    /// The ratio with its interval, where the figure is what was added.
    pub fn ratio(&self) -> Option<[String; 2]> {
        let ratio = [view::ratio(&self.tax), view::interval(&self.tax)];
        (ratio != self.figure).then_some(ratio)
    }

    /// The part in a sentence: figures, each followed by its doubt.
    fn pieces(&self) -> Vec<Piece> {
        let [figure, interval] = &self.figure;
        let mut pieces = vec![
            // The figure's unit says that it is CPU.
            Piece::Figure(match figure.ends_with(CPU_UNIT) {
                true => format!("{figure} {}", self.noun.trim_start_matches("CPU ")),
                false => format!("{figure} {}", self.noun),
            }),
            Piece::Doubt(format!("({interval})")),
        ];
        if let (Some(cores), Some([ratio, interval])) = (&self.cores, self.ratio()) {
            pieces.push(Piece::Doubt(format!("= {cores},")));
            pieces.push(Piece::Figure(ratio));
            pieces.push(Piece::Doubt(format!("({interval})")));
        }
        pieces
    }
}

/// The unit of metrics whose cost is CPU.
pub const CPU_UNIT: &str = "CPU-s/GiB";

/// The cores that a tax of CPU per GiB keeps busy at the link's [`speed`]: the median of what is added,
/// with its bound.
pub fn added_cores(results: &Results, tax: &Comparison) -> Option<f64> {
    let bytes_per_s = speed(results).bits_per_second()? as f64 / 8.0;
    Some(figures::added(tax)?.median * bytes_per_s / GIB)
}

/// The link's speed, or the usual one where it has no limit.
pub fn speed(results: &Results) -> Bandwidth {
    match results.scenario.migration.link {
        Bandwidth::Unlimited => USUAL_LINK,
        link => link,
    }
}

/// Words of the headline: what stands out, and what is said more softly.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A figure or plain words.
    Figure(String),
    /// An interval, or what a figure rests on.
    Doubt(String),
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
    /// Its taxes in a list, each with its interval, cores and ratio; what they rest on follows.
    pub fn taxes(&self) -> String {
        let mut pieces = self.pieces();
        if !pieces.is_empty() {
            pieces.push(Piece::Doubt(format!("({})", bases(&[self]))));
        }
        sentence(&pieces)
    }

    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                let last = index + 1 == self.parts.len();
                pieces.push(Piece::Figure(if last { "and" } else { "," }.to_owned()));
            }
            pieces.extend(part.pieces());
        }
        pieces
    }
}

/// What the taxes of some answers rest on: `level 96.9%, n 6`.
fn bases(answers: &[&Answer]) -> String {
    let parts = answers.iter().flat_map(|answer| &answer.parts);
    let mut bases: Vec<String> = parts.map(|part| view::basis(&part.tax)).collect();
    bases.sort();
    bases.dedup();
    bases.join(" / ")
}

fn sentence(pieces: &[Piece]) -> String {
    let mut out = String::new();
    for Piece::Figure(text) | Piece::Doubt(text) in pieces {
        if !out.is_empty() && !text.starts_with([',', ';', '.']) {
            out.push(' ');
        }
        out.push_str(text);
    }
    out
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
        let noun = metric.row().headline?;
        let tax = view::tax(results, arm.arm(), metric)?;
        Some(Part::new(results, noun, metric, tax))
    });
    Answer {
        arm: arm.arm(),
        name: arm.arm().row().short,
        verdict: arm.outcome(),
        outcome: std::iter::once(outcome_sentence(arm))
            .chain(remedy::sentences(results, arm))
            .collect::<Vec<_>>()
            .join(" "),
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

/// The answers for the arms whose tax is over a baseline.
fn of_group(answers: &[Answer], base: Arm) -> Vec<Answer> {
    let of = answers.iter().filter(|answer| answer.arm.base() == base);
    of.cloned().collect()
}

/// The one-line answer: what the foremost arm adds and, in the same sentence, what software AES and a
/// cipher that needs no AES instructions do.
pub fn headline(results: &Results) -> String {
    sentence(&pieces(results))
}

/// The one-line answer in pieces.
pub fn pieces(results: &Results) -> Vec<Piece> {
    let answers = answers(results);
    let mut pieces = Vec::new();
    for base in view::bases(results) {
        pieces.extend(pieces_of(base, &of_group(&answers, base)));
    }
    if pieces.is_empty() {
        pieces.push(Piece::Figure("No encrypted arm was asked for.".to_owned()));
    }
    pieces
}

/// The sentence on one group of arms.
fn pieces_of(base: Arm, answers: &[Answer]) -> Vec<Piece> {
    let Some(best) = best(answers) else {
        return Vec::new();
    };
    if best.parts.is_empty() {
        let text = format!("Encrypted with {}: {}", best.arm, best.outcome);
        return vec![Piece::Figure(text)];
    }
    let on = |answer: &Answer| answer.arm.row().headline.map(|(rung, _)| rung);
    let without_aes = |answer: &&Answer| {
        matches!(on(answer), Some(Rung::Software | Rung::Alternative)) && answer.arm != best.arm
    };
    let software = answers.iter().filter(without_aes);
    let told: Vec<&Answer> = std::iter::once(best).chain(software).collect();
    let has_software = told.iter().any(|answer| on(answer) == Some(Rung::Software));
    let mut pieces = vec![Piece::Figure(opening(base).to_owned())];
    for (index, answer) in told.iter().enumerate() {
        if index > 0 {
            pieces.push(Piece::Figure(";".to_owned()));
        }
        let where_it_runs = match on(answer) {
            Some(Rung::Alternative) if has_software => " on the same host",
            _ => "",
        };
        pieces.push(Piece::Figure(format!(
            "with {}{where_it_runs}:",
            answer.name
        )));
        pieces.extend(answer.pieces());
        if answer.parts.is_empty() || answer.parts.iter().any(|part| part.tax.bound.is_some()) {
            pieces.push(Piece::Doubt(format!(
                "({})",
                answer.outcome.trim_end_matches('.')
            )));
        }
    }
    pieces.push(Piece::Figure(".".to_owned()));
    pieces.push(Piece::Doubt(format!("({})", bases(&told))));
    pieces
}

/// How the answer begins.
fn opening(base: Arm) -> &'static str {
    match base.is_qemu() {
        false => "On this host, encrypting a migration adds,",
        true => "In QEMU, encrypting a migration adds,",
    }
}

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
