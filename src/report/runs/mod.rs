//! Runs side by side: what may be compared and what not, taxes and medians, the trend over runs of
//! one scenario, sweeps of one value.

pub mod answer;
pub mod compressed;
pub mod group;
pub mod tables;
pub mod trend;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use maud::html;

use super::chart::{self, Figure};
use super::page::{definitions, frame};
use super::staging::{self, File};
use super::view;
use crate::error::Result;
use crate::figures::Metric;
use crate::present::{escape, text};
use crate::results::Results;
use answer::Effect;
use group::{Comparable, RunView};

/// Writes a page that puts runs side by side, its PNGs and `summary.md` into `folder`; returns the
/// files' paths, `index.html` last. Each run is named by the folder that its results.json is in.
///
/// # Errors
///
/// An input/output error on the folder, or a chart that can't be drawn.
pub fn compare_runs(runs: &[(PathBuf, Results)], folder: &Path) -> Result<Vec<PathBuf>> {
    staging::write_files(folder, &files(runs)?)
}

/// The comparison in memory.
///
/// # Errors
///
/// A chart that can't be drawn.
pub fn files(runs: &[(PathBuf, Results)]) -> Result<Vec<File>> {
    let runs = numbered(runs);
    let charts = charts(&runs);
    let mut files = chart::pngs(&charts)?;
    files.push(("summary.md".to_owned(), summary(&runs).into_bytes()));
    files.push(("index.html".to_owned(), page(&runs, &charts)?.into_bytes()));
    Ok(files)
}

/// The comparison's page alone.
///
/// # Errors
///
/// A chart that can't be drawn.
pub fn page_of(runs: &[(PathBuf, Results)]) -> Result<String> {
    let runs = numbered(runs);
    page(&runs, &charts(&runs))
}

fn numbered(runs: &[(PathBuf, Results)]) -> Vec<RunView<'_>> {
    runs.iter()
        .enumerate()
        .map(|(index, (path, results))| RunView::new(index, folder_name(path), results))
        .collect()
}

fn folder_name(results_file: &Path) -> String {
    let folder = results_file.parent().and_then(Path::file_name);
    let name = folder.or(results_file.file_stem());
    name.map_or("run".into(), OsStr::to_string_lossy)
        .into_owned()
}

fn charts(runs: &[RunView<'_>]) -> Vec<Figure> {
    let mut charts = Vec::new();
    let mut add = |name: &str, caption: String, picture| {
        let like = |chart: &&Figure| chart.name.starts_with(name);
        let name = match charts.iter().filter(like).count() {
            0 => name.to_owned(),
            n => format!("{name}-{}", n + 1),
        };
        charts.push(Figure {
            name,
            caption,
            picture,
        });
    };
    // The most runs that one chart shows.
    let mut covered = 0;
    let sweeps = group::sweeps(runs);
    if let Some(picture) = compressed::over_links(&sweeps) {
        let caption = "What compressing before sealing does to an arm over the same arm without, block by block; below \
                       1 it pays. The matrix's points take turns, so a block of one stands beside the same of another.";
        add("compression", caption.to_owned(), picture);
    }
    for sweep in sweeps {
        if let Some(picture) = trend::sweep(&sweep) {
            let name = format!("sweep-{}", sweep.path.rsplit('.').next().unwrap_or("value"));
            let caption = "Runs of one machine whose scenarios differ in this value alone. \
                           Loopback mixes socket CPU between the two sides."
                .to_owned();
            add(&name, caption, picture);
            covered = covered.max(sweep.runs.len());
        }
    }
    for repeats in group::repeats(runs).iter().filter(|runs| runs.len() > 1) {
        if let Some(picture) = trend::trend(repeats) {
            let caption = format!(
                "Runs of scenario {} on one machine. Each ratio is taken within its own run; runs \
                 made at different times don't share their noise.",
                repeats[0].results.scenario.title()
            );
            add("trend", caption, picture);
            covered = covered.max(repeats.len());
        }
    }
    let everyone: Vec<&RunView<'_>> = runs.iter().collect();
    if covered < runs.len()
        && let Some(picture) = trend::side_by_side(&everyone)
    {
        let caption = "Ratios to the arm's baseline, each taken within its own run, of the arms that more than \
                       one run measured. Where runs differ in more than one value, a difference \
                       between ratios says that something changed, not what.";
        add("taxes", caption.to_owned(), picture);
    }
    charts
}

/// What the page opens with.
fn headline(runs: &[RunView<'_>]) -> String {
    let pairs: Vec<Comparable> = runs
        .iter()
        .enumerate()
        .flat_map(|(index, run)| runs[index + 1..].iter().map(|other| run.comparable(other)))
        .collect();
    let all = |wanted: Comparable| pairs.iter().all(|pair| *pair == wanted);
    let n = runs.len();
    if all(Comparable::Everything) {
        format!("{n} runs of one scenario on one machine: times, CPU and ratios may be compared")
    } else if all(Comparable::Taxes) {
        format!("{n} runs that may not be compared but for their taxes, each within its own run")
    } else if all(Comparable::Counts) {
        format!("{n} runs of one scenario on different machines: only exact counts may be compared")
    } else if all(Comparable::Swept) {
        format!("{n} runs on one machine that sweep one value")
    } else {
        format!("{n} runs, of which some may be compared")
    }
}

/// What was swept, for a heading.
fn over(effects: &[Effect]) -> String {
    let of: Vec<&str> = effects.iter().map(|effect| effect.of.as_str()).collect();
    of.join("; ")
}

/// What sweeps do to the tax, where they hold all the runs: the answer of a matrix.
fn effects(runs: &[RunView<'_>]) -> Vec<Effect> {
    let sweeps = group::sweeps(runs);
    let swept: BTreeSet<usize> = sweeps
        .iter()
        .flat_map(|sweep| sweep.runs.iter().map(|(_, run)| run.number))
        .collect();
    match swept.len() == runs.len() {
        true => answer::effects(&sweeps),
        false => Vec::new(),
    }
}

fn page(runs: &[RunView<'_>], charts: &[Figure]) -> Result<String> {
    let effects = effects(runs);
    let differences = tables::differences(runs);
    let taxes = tables::taxes(runs);
    let sides = runs.iter().map(|run| view::sides_note(run.results));
    let sides: BTreeSet<&str> = sides.collect();
    let anchor = |metric: Metric| metric.label().replace(' ', "-");
    let body = html! {
        header {
            p class="kicker" { "Runs side by side" }
            @if effects.is_empty() { h1 { (headline(runs)) } } @else {
                h1 { "What the tax does over " (over(&effects)) }
                p class="where" { (headline(runs)) }
            }
        }
        "\n"
        @if !effects.is_empty() {
            section id="effects" aria-label="The answer" {
                @for effect in &effects {
                    h3 { (text::sentence(&effect.of)) }
                    ul class="answers" {
                        @for (arm, sentence) in &effect.arms {
                            li { b { (arm.row().short) } " " code { (arm.name()) } " " (sentence) }
                        }
                    }
                }
                @if let Some(chart) = charts.first() { (frame::figures(std::slice::from_ref(chart))?) }
            }
            "\n"
        }
        section id="runs" {
            ul class="answers" {
                // More answers than fit a screen stand in the tables alone.
                @for run in runs.iter().filter(|_| runs.len() <= 4) {
                    li { b { (run.label()) } " " (super::answer::headline(run.results)) }
                }
            }
            (tables::runs(runs).html())
            (tables::comparability(runs).html())
            @if !differences.rows.is_empty() { (differences.html()) }
        }
        "\n"
        @let rest = if effects.is_empty() { charts } else { charts.get(1..).unwrap_or_default() };
        @if !rest.is_empty() {
            section id="charts" { h2 { "Charts" } (frame::figures(rest)?) }
            "\n"
        }
        section id="tables" {
            h2 { "Figures" }
            @for note in sides { p class="note" { (note) } }
            @if !taxes.rows.is_empty() { (taxes.html()) }
            @if let Some(alone) = tables::alone(runs) { p class="note" { (alone) } }
            @for (index, repeats) in group::repeats(runs).iter().enumerate() {
                @if repeats.len() > 1 {
                    h3 { "Runs of " (repeats[0].results.scenario.title()) " on one machine" }
                    @for metric in Metric::compared() {
                        @let id = format!("median-{index}-{}", anchor(metric));
                        (tables::medians(repeats, metric, &id).html())
                    }
                }
            }
            @if let Some(counts) = tables::counts(runs) { (counts.html()) }
        }
        "\n"
        (definitions::section())
    };
    Ok(frame::document("Runs side by side: migtax", &body))
}

fn summary(runs: &[RunView<'_>]) -> String {
    let effects = effects(runs);
    let mut out = match effects.is_empty() {
        true => format!("**{}**\n\n", escape::markdown(&headline(runs))),
        false => format!(
            "**What the tax does over {}**\n\n",
            escape::markdown(&over(&effects))
        ),
    };
    for Effect { of, arms } in &effects {
        for (arm, sentence) in arms {
            let (of, sentence) = (escape::markdown(of), escape::markdown(sentence));
            let _ = writeln!(out, "- **{of}**, {} (`{arm}`): {sentence}", arm.row().short);
        }
    }
    out.push('\n');
    let _ = writeln!(out, "{}", tables::runs(runs).markdown());
    let _ = writeln!(out, "{}", tables::comparability(runs).markdown());
    let taxes = tables::taxes(runs);
    if !taxes.rows.is_empty() {
        let _ = writeln!(out, "{}", taxes.markdown());
    }
    if let Some(alone) = tables::alone(runs) {
        let _ = writeln!(out, "{}\n", escape::markdown(&alone));
    }
    if let Some(counts) = tables::counts(runs) {
        let _ = writeln!(out, "{}", counts.markdown());
    }
    out
}
