//! `index.html`: one self-contained page. Readable without script; nothing is loaded from
//! anywhere, which a content security policy enforces.

pub mod context;
pub mod definitions;
pub mod first;
pub mod frame;
pub mod guest;
mod protocols;
mod qemu;
pub mod tables;

use maud::{Markup, html};

use super::chart::Figure;
use super::storage;
use super::view;
use crate::error::Result;
use crate::present::escape;
use crate::results::Results;

/// A run's page.
///
/// # Errors
///
/// A chart that can't be drawn.
pub fn render(results: &Results, charts: &[Figure]) -> Result<String> {
    let title = results.scenario.title();
    let analysis = results.scenario.analysis.split("\n\n").map(str::trim);
    let migrations = tables::migrations(results);
    let body = html! {
        (first::screen(results))
        section id="charts" { h2 { "Charts" } (frame::figures(charts)?) (missing(results, charts)) }
        "\n"
        section id="tables" {
            h2 { "Figures" }
            p class="note" {
                "Headings lead to definitions; click the arrow in one to sort. "
                (view::sides_note(results))
            }
            @for base in view::bases(results) {
                @let table = tables::taxes(results, base);
                @if !table.rows.is_empty() { (table.html()) }
            }
            @for table in [
                tables::over_copy(results),
                tables::overview(results),
                tables::stages(results),
                tables::downtimes(results),
                guest::slowdown(results),
                guest::throttled(results),
                guest::latencies(results),
                guest::counted(results),
                storage::copies(results),
                storage::taxes(results),
            ] {
                @if !table.rows.is_empty() { (table.html()) }
            }
            details id="raw" {
                summary { "All " (migrations.rows.len()) " migrations" }
                (migrations.html())
            }
        }
        "\n"
        (protocols::section(results))
        (qemu::section(results))
        section id="run" {
            h2 { "The run" }
            h3 { "Scenario " (title) }
            @for paragraph in analysis.filter(|paragraph| !paragraph.is_empty()) {
                p class="analysis" { (paragraph) }
            }
            @if !results.command.is_empty() {
                h3 { "Repeat this run" }
                pre id="command" { code { (escape::shell(&results.command)) } }
            }
            (context::arms(&results.arms).html())
            div class="pair" { (context::host(results).html()) (context::scenario(&results.scenario).html()) }
        }
        "\n"
        (definitions::section())
    };
    Ok(frame::document(&format!("{title}: migtax"), &body))
}

/// A sentence on the charts that this run has nothing to show in.
fn missing(results: &Results, charts: &[Figure]) -> Markup {
    let absent: Vec<&str> = super::chart::names(results)
        .filter(|name| charts.iter().all(|chart| chart.name != *name))
        .collect();
    html! {
        @if !absent.is_empty() {
            p class="note" { "Nothing to draw in this run: " (absent.join(", ")) "." }
        }
    }
}
