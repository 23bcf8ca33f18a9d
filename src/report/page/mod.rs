//! `index.html`: one self-contained page. Readable without script; nothing is loaded from
//! anywhere, which a content security policy enforces.

pub mod context;
pub mod definitions;
pub mod first;
pub mod frame;
pub mod tables;

use std::fmt::Write as _;

use super::chart::Figure;
use super::view;
use crate::error::Result;
use crate::present::text::{self, html};
use crate::results::Results;

/// A run's page.
///
/// # Errors
///
/// A chart that can't be drawn.
pub fn render(results: &Results, charts: &[Figure]) -> Result<String> {
    let mut body = first::screen(results);
    body.push_str("<section id=\"charts\"><h2>Charts</h2><div class=\"figures\">\n");
    for chart in charts {
        frame::figure(&mut body, chart)?;
    }
    let missing = missing(charts);
    let _ = writeln!(body, "</div>{missing}</section>");

    body.push_str("<section id=\"tables\"><h2>Figures</h2>\n");
    let _ = writeln!(
        body,
        "<p class=\"note\">Headings lead to definitions; click the arrow in one to sort. {}</p>",
        html(view::sides_note(results))
    );
    for table in [
        tables::taxes(results),
        tables::over_copy(results),
        tables::overview(results),
        tables::stages(results),
        tables::downtimes(results),
        tables::guests(results),
    ] {
        if !table.rows.is_empty() {
            body.push_str(&table.html());
        }
    }
    let all = tables::migrations(results);
    let _ = writeln!(
        body,
        "<details id=\"raw\"><summary>All {} migrations</summary>{}</details></section>",
        all.rows.len(),
        all.html()
    );

    body.push_str("<section id=\"run\"><h2>The run</h2>\n");
    let _ = writeln!(
        body,
        "<h3>Scenario {}</h3>",
        html(&results.scenario.title())
    );
    for paragraph in results
        .scenario
        .analysis
        .split("\n\n")
        .filter(|p| !p.trim().is_empty())
    {
        let _ = writeln!(body, "<p class=\"analysis\">{}</p>", html(paragraph.trim()));
    }
    if !results.command.is_empty() {
        let _ = writeln!(
            body,
            "<h3>Repeat this run</h3><pre id=\"command\"><code>{}</code></pre>",
            html(&text::shell(&results.command))
        );
    }
    body.push_str(&context::arms(results).html());
    body.push_str("<div class=\"pair\">");
    body.push_str(&context::host(results).html());
    body.push_str(&context::scenario(results).html());
    body.push_str("</div></section>\n<section id=\"definitions\"><h2>Definitions</h2>\n");
    body.push_str(&definitions::html());
    body.push_str("</section>\n");
    let title = format!("{}: migtax", results.scenario.title());
    Ok(frame::document(&title, &body))
}

/// A sentence on the charts that this run has nothing to show in.
fn missing(charts: &[Figure]) -> String {
    let absent: Vec<&str> = super::chart::names()
        .filter(|name| charts.iter().all(|chart| chart.name != *name))
        .collect();
    if absent.is_empty() {
        return String::new();
    }
    format!(
        "<p class=\"note\">Nothing to draw in this run: {}.</p>",
        absent.join(", ")
    )
}
