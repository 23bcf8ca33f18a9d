//! What readers see of a fleet: console, page, summary, csv.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use maud::html;

use super::chart;
use super::figures::Comparison;
use super::file::FleetFile;
use super::spec::Course;
use super::tables;
use crate::error::Result;
use crate::present::escape;
use crate::present::table::Table;
use crate::present::text;
use crate::report::chart::{Figure, pngs};
use crate::report::page::{context, frame};
use crate::report::staging;
use crate::units::Size;

/// What the figures are, for whoever reads them.
const NOTE: &str = "The evacuation's clock starts when the hosts of all guests are there, their memory is filled and all \
guests run; it ends when no guest moves any more. Only then is memory hashed on both sides and compared. Guests that wait run \
at the source; a guest that has arrived does not run until all have had their turn. All sources book one link, call by call. \
A tax is taken within blocks, each of which evacuates the fleet once in every way.";

/// Writes the report into the folder that holds `fleet.json`, and returns the files' paths, `index.html` last.
///
/// # Errors
/// An input/output error on the folder, or a chart that can't be drawn.
pub fn write(file: &FleetFile, folder: &Path) -> Result<Vec<PathBuf>> {
    let charts = chart::of(file);
    let mut files = pngs(&charts)?;
    files.push(("guests.csv".to_owned(), csv(file).into_bytes()));
    files.push(("summary.md".to_owned(), summary(file).into_bytes()));
    files.push(("index.html".to_owned(), page(file, &charts)?.into_bytes()));
    staging::write_files(folder, &files)
}

/// The answer for a terminal.
pub fn console(file: &FleetFile) -> String {
    let mut out = format!(
        "{}\n{}\n\n",
        escape::terminal(&what(file)),
        escape::terminal(&headline(file))
    );
    for table in all_tables(file) {
        let _ = writeln!(out, "{}", table.terminal());
    }
    for warning in &file.warnings {
        let (message, remedy) = (&warning.message, &warning.remedy);
        let line = format!("warning: {message} ({})\n  remedy: {remedy}", warning.code);
        let lines: Vec<String> = line.lines().map(escape::terminal).collect();
        let _ = writeln!(out, "{}", lines.join("\n"));
    }
    out
}

/// What was evacuated, and how.
fn what(file: &FleetFile) -> String {
    let (fleet, evacuation) = (&file.fleet, &file.fleet.evacuation);
    let at_once: Vec<String> = evacuation.concurrent.iter().map(u32::to_string).collect();
    format!(
        "{}: {} guests with {} in sum, {} at once, {}, over {}; {} courses x {} blocks on {}{}",
        fleet.name,
        fleet.guests.len(),
        Size(fleet.memory()),
        at_once.join(", "),
        evacuation.order,
        evacuation.link,
        file.courses().len(),
        file.whole_blocks(),
        file.host.cpu_model,
        if file.interrupted {
            ", interrupted"
        } else {
            ""
        },
    )
}

/// The answer in a sentence.
fn headline(file: &FleetFile) -> String {
    let several = file.fleet.evacuation.concurrent.len() > 1;
    let said = |course: Course| {
        let of = |c: &&Comparison| (c.way, c.concurrent) == (course.way, course.concurrent);
        let mut found = file.comparisons.iter().filter(of);
        let c = found.find(|c| c.metric == "evacuation_time")?;
        let name = match several {
            true => course.to_string(),
            false => course.way.to_string(),
        };
        let at_least = if c.bound.is_some() { "at least " } else { "" };
        Some(format!(
            "{name} {at_least}{} ({} to {})",
            text::tax(c.ratio),
            text::tax_like(c.ratio, c.ci_low),
            text::tax_like(c.ratio, c.ci_high)
        ))
    };
    let all: Vec<String> = file.courses().into_iter().filter_map(said).collect();
    let basis = file.comparisons.first();
    match (all.is_empty(), basis) {
        (false, Some(c)) => format!(
            "Evacuation time against plain: {} ({}).",
            all.join("; "),
            text::basis(c.level, c.blocks)
        ),
        _ => "No way can be set against plain.".to_owned(),
    }
}

/// One line a guest, way and block.
fn csv(file: &FleetFile) -> String {
    let mut out = String::from(
        "way,concurrent,block,guest,arm,sealed,policy,place,outcome,began_s,ended_s,setup_time_s,total_time_s,downtime_s,rounds,\
         payload_bytes,bytes_on_wire,source_cpu_s,destination_cpu_s,vcpu_cpu_s,verified,reason\r\n",
    );
    let maybe = |value: Option<f64>| value.map_or_else(String::new, text::exact);
    for made in &file.evacuations {
        for moved in &made.guests {
            let cells = [
                made.way.to_string(),
                made.concurrent.to_string(),
                made.block.to_string(),
                escape::csv(&moved.guest),
                moved.arm.name().to_owned(),
                moved.sealed.to_string(),
                moved.policy_decision.to_string(),
                moved.place.to_string(),
                moved
                    .outcome
                    .map_or_else(String::new, |outcome| outcome.to_string()),
                maybe(moved.began_s),
                maybe(moved.ended_s),
                text::exact(moved.setup_time_s),
                text::exact(moved.total_time_s),
                text::exact(moved.downtime_s),
                moved.rounds.to_string(),
                moved.payload_bytes.to_string(),
                moved.bytes_on_wire.to_string(),
                text::exact(moved.source_cpu_s),
                text::exact(moved.destination_cpu_s),
                text::exact(moved.vcpu_cpu_s),
                moved.verified.to_string(),
                escape::csv(moved.reason.as_deref().unwrap_or_default()),
            ];
            out.push_str(&cells.join(","));
            out.push_str("\r\n");
        }
    }
    out
}

fn summary(file: &FleetFile) -> String {
    let md = escape::markdown;
    let mut out = format!("**{}**\n\n{}\n\n", md(&headline(file)), md(&what(file)));
    for warning in &file.warnings {
        let code = warning.code.replace('`', "");
        let (message, remedy) = (md(&warning.message), md(&warning.remedy));
        let _ = writeln!(out, "- **Warning** (`{code}`): {message}; remedy: {remedy}");
    }
    for table in all_tables(file) {
        let _ = writeln!(out, "\n{}", table.markdown());
    }
    let _ = writeln!(out, "{}", md(NOTE));
    out
}

fn all_tables(file: &FleetFile) -> Vec<Table> {
    let all = [
        tables::overview(file),
        tables::taxes(file),
        tables::used(file),
        tables::left_behind(file),
        tables::coordinator(file),
    ];
    all.into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

fn page(file: &FleetFile, charts: &[Figure]) -> Result<String> {
    let fleet = &file.fleet;
    let run = [
        ("migtax", file.migtax_version.clone()),
        ("fleet.json schema", file.schema_version.to_string()),
        ("started", file.started_at.clone()),
    ];
    let raw = tables::guests(file);
    let body = html! {
        header {
            p class="kicker" { "Fleet" }
            h1 { (headline(file)) }
            p class="where" { (what(file)) }
        }
        "\n"
        section id="charts" { (frame::figures(charts)?) }
        "\n"
        section id="tables" {
            h2 { "Figures" }
            p class="note" { (NOTE) }
            @for warning in &file.warnings {
                p class="note" { "Warning: " (warning.message) ". Remedy: " (warning.remedy) "." }
            }
            @for table in all_tables(file) { (table.html()) }
            details id="raw" {
                summary { "All " (raw.rows.len()) " guests" }
                (raw.html())
            }
        }
        "\n"
        section id="run" {
            h2 { "The run" }
            h3 { "Fleet " (fleet.name) }
            p class="analysis" { (fleet.analysis) }
            @if !file.command.is_empty() {
                h3 { "Repeat this run" }
                pre id="command" { code { (escape::shell(&file.command)) } }
            }
            (context::arms(&file.arms).html())
            (context::machine(&file.host, &run).html())
        }
    };
    Ok(frame::document(
        &format!("{}: fleet, migtax", fleet.name),
        &body,
    ))
}
