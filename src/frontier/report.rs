//! What readers see of a frontier: table, chart, page, summary.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use maud::html;

use super::file::{Entry, FrontierFile, Predicted, Probe};
use crate::arm::Arm;
use crate::error::Result;
use crate::present::escape;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::chart::lines::{Axis, Line, Mark, Panel, Values, sheet};
use crate::report::chart::picture::Picture;
use crate::report::chart::scale::Spread;
use crate::report::chart::{self, Figure};
use crate::report::page::{context, frame};
use crate::report::staging;
use crate::scenario::{ClockKind, Scenario};
use crate::units::{Bandwidth, PAGE_SIZE};

const MIB: f64 = 1048576.0;
/// What the figures are, for whoever reads them.
const NOTE: &str = "The frontier is the highest dirty rate, in page writes per second times the page size, at which a \
migration converges: its pause is expected to fit the downtime limit before a limit on rounds or time strikes. Every \
probe is a whole migration; the rate that it counts at is what the guest really wrote. Under the live clock a migration \
near the frontier converges or not by chance: the frontier is where one of two does, and its interval is a credible one, from a \
logistic curve of unknown place and width over all probes. Under the virtual clock both sides of it were probed.";

/// Writes the report into the folder that holds `frontier.json`, and returns the files' paths,
/// `index.html` last.
///
/// # Errors
/// An input/output error on the folder, or a chart that can't be drawn.
pub fn write(file: &FrontierFile, folder: &Path) -> Result<Vec<PathBuf>> {
    let (charts, texts) = render(file)?;
    let mut files = chart::pngs(&charts)?;
    files.extend(texts.map(|(name, text)| (name.to_owned(), text.into_bytes())));
    staging::write_files(folder, &files)
}

/// The report's texts, by the names of their files.
pub type Texts = [(&'static str, String); 2];

/// The report's charts and texts.
///
/// # Errors
/// A chart that can't be drawn.
pub fn render(file: &FrontierFile) -> Result<(Vec<Figure>, Texts)> {
    let charts: Vec<Figure> = draw(file).into_iter().collect();
    let page = page(file, &charts)?;
    let texts = [("summary.md", summary(file)), ("index.html", page)];
    Ok((charts, texts))
}

/// The answer for a terminal.
pub fn console(file: &FrontierFile) -> String {
    let mut out = format!(
        "{}\n\n{}",
        escape::terminal(&headline(file)),
        table(file).terminal()
    );
    for warning in &file.warnings {
        let (message, remedy) = (&warning.message, &warning.remedy);
        let line = format!("warning: {message} ({})\n  remedy: {remedy}", warning.code);
        let lines: Vec<String> = line.lines().map(escape::terminal).collect();
        let _ = writeln!(out, "{}", lines.join("\n"));
    }
    out
}

/// The answer in a sentence, for the scenario that was asked for first.
fn headline(file: &FrontierFile) -> String {
    let shown = |entry: &&Entry| entry.scenario == 0 && entry.low.or(entry.high).is_some();
    let arms: Vec<String> = (file.frontier.iter().filter(shown))
        .map(|entry| format!("{} with {}", rate(entry), entry.arm))
        .collect();
    let of = &file.scenarios[0].migration;
    let (link, limit) = (of.link, of.downtime_limit);
    match arms.is_empty() {
        true => "No frontier was found.".to_owned(),
        false => format!(
            "Over {link}, within a downtime limit of {limit}, a migration converges up to a dirty rate of {}.",
            arms.join(", ")
        ),
    }
}

/// The frontier with its interval or bound, in words.
fn rate(entry: &Entry) -> String {
    let mib = |bytes: f64| text::sig3(bytes / MIB);
    match (entry.rate_bytes_per_s, entry.low, entry.high) {
        (Some(rate), Some(low), Some(high)) if entry.level.is_some() => {
            format!("{} MiB/s ({} to {})", mib(rate), mib(low), mib(high))
        }
        (Some(rate), ..) => format!("{} MiB/s", mib(rate)),
        (None, Some(low), _) => format!("more than {} MiB/s", mib(low)),
        (None, None, Some(high)) => format!("less than {} MiB/s", mib(high)),
        _ => text::NONE.to_owned(),
    }
}

/// Every frontier.
fn table(file: &FrontierFile) -> Table {
    let varied = file.scenarios.iter().any(|s| !others(s).is_empty());
    let mut columns = vec![
        Column::text("arm"),
        Column::text("link"),
        Column::text("downtime limit"),
        Column::figures("frontier", "MiB/s"),
        Column::figures("predicted", "MiB/s"),
        Column::figures("probes", ""),
        Column::sentences("note"),
    ];
    if varied {
        columns.insert(0, Column::group("scenario"));
    }
    let row = |entry: &Entry| {
        let of = &file.scenarios[entry.scenario];
        let mut row = vec![
            Cell::arm(entry.arm),
            Cell::text(entry.link.as_str()),
            Cell::text(of.migration.downtime_limit.to_string()),
            frontier_cell(entry),
            file.predicted(entry.scenario, entry.arm)
                .map_or_else(Cell::none, predicted_cell),
            Cell::count((entry.probes + entry.failed) as u64),
            Cell::text(entry.reason.clone().unwrap_or_default()),
        ];
        if varied {
            row.insert(0, Cell::text(others(of)));
        }
        row
    };
    let rows = file.frontier.iter().map(row).collect();
    let caption = "The highest dirty rate at which a migration converges";
    Table::new("frontier-table", caption, columns, rows)
}

fn frontier_cell(entry: &Entry) -> Cell {
    let mib = |bytes: f64| text::sig3(bytes / MIB);
    let writes = |bytes: f64| text::count((bytes / PAGE_SIZE as f64).round() as u64);
    match (entry.rate_bytes_per_s, entry.low, entry.high) {
        (Some(rate), Some(low), Some(high)) => {
            let cell = Cell::figure(mib(rate), rate / MIB);
            match entry.level {
                Some(level) => cell
                    .under(format!("{} to {}", mib(low), mib(high)))
                    .resting_on(format!("level {}", text::level(level))),
                None => cell.under(format!(
                    "{} page writes/s converge, {} do not",
                    writes(low),
                    writes(high)
                )),
            }
        }
        (None, Some(low), _) => Cell::figure(format!("> {}", mib(low)), low / MIB),
        (None, None, Some(high)) => Cell::figure(format!("< {}", mib(high)), high / MIB),
        _ => Cell::none(),
    }
}

fn predicted_cell(predicted: &Predicted) -> Cell {
    let mib = |bytes: f64| text::sig3(bytes / MIB);
    let interval = match (predicted.low, predicted.high) {
        (Some(low), Some(high)) => format!("{} to {}", mib(low), mib(high)),
        (Some(low), None) => format!("from {}", mib(low)),
        (None, Some(high)) => format!("to {}", mib(high)),
        (None, None) => String::new(),
    };
    let extrapolated = predicted.extrapolated.then_some("extrapolated".to_owned());
    let parts = [Some(interval).filter(|i| !i.is_empty()), extrapolated];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let rate = predicted.rate_bytes_per_s;
    Cell::figure(mib(rate), rate / MIB).under(parts.join(", "))
}

/// What a scenario differs in from the others, beside link and downtime limit.
fn others(scenario: &Scenario) -> String {
    let varied = scenario.varied().into_iter();
    let varied = varied.filter(|(field, _)| {
        let name = field.rsplit('.').next().unwrap_or(field);
        !["link", "downtime_limit"].contains(&name)
    });
    let values: Vec<String> = varied
        .map(|(field, value)| format!("{field} {value}"))
        .collect();
    values.join(", ")
}

/// Every probe.
fn probes(file: &FrontierFile) -> Table {
    let columns = vec![
        Column::text("arm"),
        Column::text("scenario"),
        Column::figures("turn", ""),
        Column::figures("rate asked for", "MiB/s"),
        Column::figures("rate achieved", "MiB/s"),
        Column::text("outcome"),
        Column::figures("rounds", ""),
        Column::figures("time", "s"),
        Column::figures("downtime", "ms"),
    ];
    let figure = |value: Option<f64>, scale: f64| match value {
        Some(value) => Cell::figure(text::sig3(value * scale), value * scale),
        None => Cell::none(),
    };
    let row = |probe: &Probe| {
        let reason = probe.outcome.reason.clone().unwrap_or_default();
        vec![
            Cell::arm(probe.arm),
            Cell::text(file.scenarios[probe.scenario].title()),
            Cell::count(u64::from(probe.block)),
            figure(Some(probe.rate_asked_bytes_per_s as f64), 1.0 / MIB),
            figure(probe.rate_achieved_bytes_per_s, 1.0 / MIB),
            Cell::text(probe.outcome.status.to_string()).under(reason),
            Cell::count(probe.rounds as u64),
            figure(Some(probe.total_time_s), 1.0),
            figure(probe.downtime_s, 1e3),
        ]
    };
    let rows = file.probes.iter().map(row).collect();
    Table::new("probe-table", "Every probe, in order", columns, rows)
}

/// Dirty rate against link, one line an arm, one panel a downtime limit.
fn draw(file: &FrontierFile) -> Option<Figure> {
    let links = || file.scenarios.iter().map(|s| s.migration.link);
    let fastest = links().filter_map(Bandwidth::bits_per_second).max();
    // Beyond every other link.
    let unlimited = fastest.map_or(1e10, |bits| bits as f64 * 3.0);
    let place = |link: Bandwidth| link.bits_per_second().map_or(unlimited, |bits| bits as f64);
    let mut ticks: Vec<(f64, String)> = links().map(|l| (place(l), l.to_string())).collect();
    ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
    ticks.dedup();
    let panel_of = |scenario: &Scenario| {
        let limit = scenario.migration.downtime_limit;
        match others(scenario) {
            none if none.is_empty() => format!("downtime limit {limit}"),
            others => format!("downtime limit {limit}, {others}"),
        }
    };
    let mut titles: Vec<String> = file.scenarios.iter().map(panel_of).collect();
    let mut seen = std::collections::BTreeSet::new();
    titles.retain(|title| seen.insert(title.clone()));
    let line = |title: &str, arm: Arm| -> Line {
        let of =
            |entry: &&Entry| entry.arm == arm && panel_of(&file.scenarios[entry.scenario]) == title;
        let entries = file.frontier.iter().filter(of);
        let mut marks: Vec<Mark> = entries
            .filter_map(|e| mark(e, place(file.scenarios[e.scenario].migration.link)))
            .collect();
        marks.sort_by(|a, b| a.at.total_cmp(&b.at));
        (arm, marks)
    };
    let predicted = |title: &str, arm: Arm| -> (Arm, Vec<(f64, f64)>) {
        let of = file.predicted.iter().filter(|p| p.arm == arm);
        let of = of.filter(|p| panel_of(&file.scenarios[p.scenario]) == title);
        let mut points: Vec<(f64, f64)> = of
            .map(|p| {
                (
                    place(file.scenarios[p.scenario].migration.link),
                    p.rate_bytes_per_s / MIB,
                )
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (arm, points)
    };
    let guide: Vec<(f64, f64)> = ticks
        .iter()
        .filter(|(at, _)| fastest.is_some_and(|fastest| *at <= fastest as f64))
        .map(|(at, _)| (*at, at / 8.0 / MIB))
        .collect();
    let panels = titles.iter().map(|title| {
        let lines = file.arms.iter().map(|info| line(title, info.name));
        let lines = lines.filter(|line| !line.1.is_empty()).collect();
        let mut panel = Panel::new(title, Values::Sizes("dirty rate, MiB/s"), lines);
        panel.guide = guide.clone();
        panel.thin = file
            .arms
            .iter()
            .map(|info| predicted(title, info.name))
            .collect();
        panel
    });
    let axis = Axis {
        title: "link",
        ticks,
        spread: Spread::Log,
        joined: true,
    };
    let note = "Dot and bar: the frontier and its interval. Hollow with an arrow: a bound. Thin line and cross: predicted from a run's costs. Dashed: the link's own speed.";
    let title = format!("Frontier of {}", file.scenarios[0].name);
    let picture: Picture = sheet(&title, note, panels.collect(), &axis)?;
    Some(Figure {
        name: "frontier".to_owned(),
        caption: NOTE.to_owned(),
        picture,
    })
}

fn mark(entry: &Entry, at: f64) -> Option<Mark> {
    let value = entry.rate_bytes_per_s.or(entry.low).or(entry.high)? / MIB;
    let end = |end: Option<f64>| match entry.bound {
        None => end.map_or(value, |bytes| bytes / MIB),
        Some(_) => value,
    };
    Some(Mark {
        at,
        value,
        interval: (end(entry.low), end(entry.high)),
        dots: Vec::new(),
        bound: entry.bound,
        tip: format!("{}, {}: {}", entry.arm, entry.link, rate(entry)),
    })
}

fn summary(file: &FrontierFile) -> String {
    let md = escape::markdown;
    let mut out = format!("**{}**\n\n", md(&headline(file)));
    let _ = writeln!(
        out,
        "Scenario {} ({} guest), {} probes{}, {}, {} cores, kernel {}, migtax {}, {}.\n",
        md(&file.scenarios[0].name),
        file.scenarios[0].guest.memory,
        file.probes.len(),
        if file.interrupted {
            ", interrupted"
        } else {
            ""
        },
        md(&file.host.cpu_model),
        file.host.cores,
        md(&file.host.kernel),
        md(&file.migtax_version),
        md(&file.started_at),
    );
    for warning in &file.warnings {
        let code = warning.code.replace('`', "");
        let (message, remedy) = (md(&warning.message), md(&warning.remedy));
        let _ = writeln!(out, "- **Warning** (`{code}`): {message}; remedy: {remedy}");
    }
    let _ = writeln!(out, "\n{}\n{}", table(file).markdown(), md(NOTE));
    out
}

fn page(file: &FrontierFile, charts: &[Figure]) -> Result<String> {
    let first = &file.scenarios[0];
    let raw = probes(file);
    let run = [
        ("migtax", file.migtax_version.clone()),
        ("frontier.json schema", file.schema_version.to_string()),
        ("started", file.started_at.clone()),
    ];
    let clock = match first.measure.clock {
        ClockKind::Live => "Live clock",
        ClockKind::Virtual => "Virtual clock: exact, and no measure of this machine",
    };
    let body = html! {
        header {
            p class="kicker" { "Frontier" }
            h1 { (headline(file)) }
            p class="where" { (clock) ", " (file.probes.len()) " probes, each a migration" }
        }
        "\n"
        section id="charts" { (frame::figures(charts)?) }
        "\n"
        section id="tables" {
            h2 { "Figures" }
            @for warning in &file.warnings {
                p class="note" { "Warning: " (warning.message) ". Remedy: " (warning.remedy) "." }
            }
            (table(file).html())
            details id="raw" {
                summary { "All " (raw.rows.len()) " probes" }
                (raw.html())
            }
        }
        "\n"
        section id="run" {
            h2 { "The run" }
            h3 { "Scenario " (first.name) }
            p class="analysis" { (first.analysis) }
            @if !file.command.is_empty() {
                h3 { "Repeat this run" }
                pre id="command" { code { (escape::shell(&file.command)) } }
            }
            (context::arms(&file.arms).html())
            div class="pair" { (context::machine(&file.host, &run).html()) (context::scenario(first).html()) }
        }
    };
    Ok(frame::document(
        &format!("{}: frontier, migtax", first.name),
        &body,
    ))
}
