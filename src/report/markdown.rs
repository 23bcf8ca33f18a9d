//! `summary.md`: the answer and its tables, to be pasted into a pull request.

use std::fmt::Write as _;

use super::answer;
use super::page::tables;
use super::protocols;
use super::storage;
use super::view;
use crate::figures;
use crate::present::escape;
use crate::results::Results;

/// The summary's text.
pub fn summary(results: &Results) -> String {
    let md = escape::markdown;
    let mut out = String::new();
    if let Some(note) = view::clock_note(results) {
        let _ = writeln!(out, "> {}\n", md(note));
    }
    let _ = writeln!(out, "**{}**\n", md(&answer::headline(results)));
    let _ = writeln!(
        out,
        "Scenario {} ({} guest), {} blocks{}, {}, {} cores, kernel {}, migtax {}, {}.\n",
        md(&results.scenario.title()),
        results.scenario.guest.memory,
        view::blocks(results),
        view::interrupted(results),
        md(&results.host.cpu_model),
        results.host.cores,
        md(&results.host.kernel),
        md(&results.migtax_version),
        md(&results.started_at),
    );
    for answer in answer::answers(results) {
        let _ = writeln!(
            out,
            "- **{}** (`{}`): {}",
            md(answer.name),
            answer.arm,
            sentence(&answer)
        );
    }
    for warning in &results.warnings {
        let _ = writeln!(
            out,
            "- **Warning** (`{}`): {}; remedy: {}",
            warning.code.replace('`', ""),
            md(&warning.message),
            md(&warning.remedy)
        );
    }
    for base in view::bases(results) {
        let _ = writeln!(out, "\n{}", tables::taxes(results, base).markdown());
    }
    let _ = writeln!(out, "{}", tables::overview(results).markdown());
    if let Some(sentence) = protocols::sentence(results) {
        let _ = writeln!(out, "{}\n", md(&sentence));
    }
    let disk = [storage::copies(results), storage::taxes(results)];
    let below = [protocols::channels(results), protocols::framing(results)];
    for table in disk.into_iter().chain(below) {
        if !table.rows.is_empty() {
            let _ = writeln!(out, "{}", table.markdown());
        }
    }
    // The tables here hold the taxes.
    let shown = view::compared(results).filter(|c| view::is_tax(c));
    if let Some(chance) = figures::chance(shown) {
        let _ = writeln!(out, "{}\n", md(&chance));
    }
    let _ = writeln!(out, "{}", md(view::sides_note(results)));
    out
}

/// An answer as one Markdown sentence, every figure with its interval, level and n.
fn sentence(answer: &answer::Answer) -> String {
    let mut out = escape::markdown(&answer.taxes());
    if !out.is_empty() {
        out.push_str(". ");
    }
    out.push_str(&escape::markdown(&answer.outcome));
    if let Some(cores) = &answer.cores {
        let _ = write!(out, " {}.", escape::markdown(cores));
    }
    out
}
