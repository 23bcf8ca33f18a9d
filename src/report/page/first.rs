//! The first screen: the answer in words with its figures, whether each arm converged, cores per
//! 10 Gb/s, and the warnings that weaken it.

use maud::{Markup, html};

use crate::present::text;
use crate::report::answer::{self, Answer};
use crate::report::view;
use crate::results::Results;

/// The first screen.
pub fn screen(results: &Results) -> Markup {
    html! {
        header {
            p class="kicker" {
                "What does encryption cost a live migration? Scenario "
                b { (results.scenario.title()) }
            }
            h1 { (headline(results)) }
            p class="where" {
                (results.host.cpu_model) ", " (results.host.cores) " cores, kernel "
                (results.host.kernel) "; " (results.scenario.guest.memory.to_string()) " guest, "
                (view::blocks(results)) " blocks"
                @if results.interrupted { " (interrupted)" }
                ", " (results.started_at)
            }
        }
        "\n"
        section id="answer" aria-label="The answer" {
            @for answer in answer::answers(results) { "\n" (card(&answer)) }
        }
        "\n"
        (others(results))
        p class="note" {
            "Ratios to plain within blocks, medians with intervals. " (view::sides_note(results))
        }
        "\n"
        (warnings(results))
    }
}

/// The answer as a heading: figures large, their doubts smaller.
fn headline(results: &Results) -> Markup {
    let answers = answer::answers(results);
    let Some(best) = answer::best(&answers).filter(|best| best.measured) else {
        return html! { (answer::headline(results)) };
    };
    let taxes: Vec<_> = best
        .parts
        .iter()
        .filter_map(|p| Some((p, p.tax.as_ref()?)))
        .collect();
    let mut doubts: Vec<String> = taxes
        .iter()
        .map(|(_, tax)| format!("level {}, {} blocks", text::level(tax.level), tax.blocks))
        .collect();
    doubts.dedup();
    html! {
        (answer::OPENING) " "
        @for (index, (part, tax)) in taxes.iter().enumerate() {
            @if index > 0 { (if index + 1 == taxes.len() { " and " } else { ", " }) }
            (text::tax(tax.ratio)) "\u{a0}" (part.noun) " "
            span class="of" { "(" (view::interval(tax)) ")" }
        }
        " " span class="of" { "with " (best.name) "; " (doubts.join(" / ")) }
    }
}

fn card(answer: &Answer) -> Markup {
    let name = answer.arm.name();
    html! {
        article class=(name) {
            h2 { (text::sentence(answer.name)) " " code { (name) } }
            @if answer.measured {
                p class="taxes" { @for part in &answer.parts { (tax(part)) " " } }
            } @else {
                p class="verdict" { (text::sentence(&answer.verdict)) ": no ratio" }
            }
            p class="outcome" { (answer.outcome) }
            @if let Some(cores) = answer::cores_words(answer) { p class="cores" { (cores) } }
        }
    }
}

fn tax(part: &answer::Part) -> Markup {
    html! {
        @if let Some(tax) = &part.tax {
            span class="tax" data-value=(text::exact(tax.ratio)) {
                b { (text::tax(tax.ratio)) } " "
                span {
                    (part.noun) " "
                    small {
                        (view::doubt(tax))
                        @if answer::undecided(tax) { "; no difference can be told" }
                    }
                }
            }
        }
    }
}

/// How the arms without a card ended.
fn others(results: &Results) -> Markup {
    let shown = view::headline_arms(results);
    let arms = view::arms(results);
    let others: Vec<_> = arms
        .iter()
        .filter(|arm| !shown.contains(&arm.arm()))
        .collect();
    html! {
        @if !others.is_empty() {
            p class="others" {
                "Other arms: "
                @for (index, arm) in others.iter().enumerate() {
                    @if index > 0 { "; " }
                    code { (arm.arm().name()) } " " (arm.outcome())
                }
                "."
            }
            "\n"
        }
    }
}

fn warnings(results: &Results) -> Markup {
    html! {
        @if !results.warnings.is_empty() {
            aside id="warnings" {
                h2 { "What weakens this" }
                ul {
                    @for warning in &results.warnings {
                        li data-code=(warning.code) {
                            (warning.message) " " span class="remedy" { (warning.remedy) }
                        }
                    }
                }
            }
            "\n"
        }
    }
}
