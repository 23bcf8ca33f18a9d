//! The first screen: the answer in words with its figures, whether each arm converged, cores per
//! 10 Gb/s, and the warnings that weaken it.

use maud::{Markup, html};

use crate::figures;
use crate::present::text;
use crate::report::answer::{self, Answer, Part, Piece};
use crate::report::view;
use crate::results::Results;

/// The first screen.
pub fn screen(results: &Results) -> Markup {
    html! {
        @if let Some(note) = view::clock_note(results) {
            p class="banner" role="note" { (note) }
            "\n"
        }
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
                (view::interrupted(results)) ", " (results.started_at)
            }
        }
        "\n"
        section id="answer" aria-label="The answer" {
            @for answer in answer::answers(results) { "\n" (card(&answer)) }
        }
        "\n"
        (others(results))
        p class="note" {
            "Differences from an arm's baseline and ratios to it within blocks, medians with intervals. "
            @if let Some(chance) = figures::chance(view::compared(results)) { (chance) " " }
            (view::sides_note(results))
        }
        "\n"
        (warnings(results))
    }
}

/// The answer as a heading: figures large, their doubts smaller.
fn headline(results: &Results) -> Markup {
    html! {
        @for piece in answer::pieces(results) {
            @match piece {
                Piece::Figure(text) => {
                    @if !text.starts_with([',', ';', '.']) { " " }
                    (text)
                }
                Piece::Doubt(text) => { " " span class="of" { (text) } }
            }
        }
    }
}

fn card(answer: &Answer) -> Markup {
    let name = answer.arm.name();
    html! {
        article class=(name) {
            h2 { (text::sentence(answer.name)) " " code { (name) } }
            @if !answer.parts.is_empty() {
                p class="taxes" { @for part in &answer.parts { (tax(part)) " " } }
            } @else {
                p class="verdict" { (text::sentence(&answer.verdict)) ": no ratio" }
            }
            p class="outcome" { (answer.outcome) }
            @if let Some(cores) = &answer.cores { p class="cores" { (cores) } }
        }
    }
}

fn tax(part: &Part) -> Markup {
    let [figure, interval] = &part.figure;
    html! {
        span class="tax" data-value=(text::exact(part.tax.ratio)) {
            b { (figure) } " "
            span {
                (part.noun) " "
                small {
                    (interval) ", " (view::basis(&part.tax))
                    @if let Some(cores) = &part.cores { "; " (cores) }
                    @if let Some([ratio, interval]) = part.ratio() { "; " (ratio) " (" (interval) ")" }
                    @if answer::undecided(&part.tax) { "; no difference can be told" }
                }
            }
        }
    }
}

/// How the arms without a card ended.
fn others(results: &Results) -> Markup {
    let shown = view::headline_arms(results);
    let mut others = view::arms(results);
    others.retain(|arm| !shown.contains(&arm.arm()));
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
