//! Runs side by side: what may be compared and what not, taxes and medians, the trend over runs of
//! one scenario, sweeps of one value.

pub mod group;
pub mod tables;
pub mod trend;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::answer;
use super::chart::{self, Figure};
use super::page::{definitions, frame};
use super::staging::{self, File};
use super::view;
use crate::error::Result;
use crate::figures::Metric;
use crate::present::text::{self, html};
use crate::results::Results;
use group::{Comparable, Run};

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

fn numbered(runs: &[(PathBuf, Results)]) -> Vec<Run<'_>> {
    runs.iter()
        .enumerate()
        .map(|(index, (path, results))| Run::new(index, folder_name(path), results))
        .collect()
}

fn folder_name(results_file: &Path) -> String {
    results_file
        .parent()
        .and_then(Path::file_name)
        .or(results_file.file_stem())
        .map_or_else(
            || "run".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
}

fn charts(runs: &[Run<'_>]) -> Vec<Figure> {
    let mut charts = Vec::new();
    let mut add = |name: &str, caption: String, picture| {
        let n = charts
            .iter()
            .filter(|chart: &&Figure| chart.name.starts_with(name))
            .count();
        let name = if n == 0 {
            name.to_owned()
        } else {
            format!("{name}-{}", n + 1)
        };
        charts.push(Figure {
            name,
            caption,
            picture,
        });
    };
    for sweep in group::sweeps(runs) {
        if let Some(picture) = trend::sweep(&sweep) {
            let name = format!("sweep-{}", sweep.path.rsplit('.').next().unwrap_or("value"));
            let caption = "Runs of one machine whose scenarios differ in this value alone. \
                           Loopback mixes socket CPU between the two sides."
                .to_owned();
            add(&name, caption, picture);
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
        }
    }
    charts
}

/// What the page opens with.
fn headline(runs: &[Run<'_>]) -> String {
    let pairs: Vec<Comparable> = runs
        .iter()
        .enumerate()
        .flat_map(|(index, run)| runs[index + 1..].iter().map(|other| run.comparable(other)))
        .collect();
    let all = |wanted: Comparable| pairs.iter().all(|pair| *pair == wanted);
    let n = runs.len();
    if all(Comparable::Everything) {
        format!("{n} runs of one scenario on one machine: times, CPU and ratios may be compared")
    } else if all(Comparable::Nothing) {
        format!("{n} runs that may not be compared: each stands for itself")
    } else if all(Comparable::Counts) {
        format!("{n} runs of one scenario on different machines: only exact counts may be compared")
    } else if all(Comparable::Swept) {
        format!("{n} runs on one machine that sweep one value")
    } else {
        format!("{n} runs, of which some may be compared")
    }
}

fn page(runs: &[Run<'_>], charts: &[Figure]) -> Result<String> {
    let everyone: Vec<&Run<'_>> = runs.iter().collect();
    let mut body = format!(
        "<header><p class=\"kicker\">Runs side by side</p><h1>{}</h1></header>\n",
        html(&headline(runs))
    );
    body.push_str("<section id=\"runs\">\n<ul class=\"answers\">\n");
    // More answers than fit a screen stand in the tables alone.
    for run in runs.iter().filter(|_| runs.len() <= 4) {
        let _ = writeln!(
            body,
            "<li><b>{}</b> {}</li>",
            html(&run.label()),
            html(&answer::headline(run.results))
        );
    }
    body.push_str("</ul>\n");
    body.push_str(&tables::runs(runs).html());
    body.push_str(&tables::comparability(runs).html());
    let differences = tables::differences(runs);
    if !differences.rows.is_empty() {
        body.push_str(&differences.html());
    }
    body.push_str("</section>\n");
    if !charts.is_empty() {
        body.push_str("<section id=\"charts\"><h2>Charts</h2><div class=\"figures\">\n");
        for chart in charts {
            frame::figure(&mut body, chart)?;
        }
        body.push_str("</div></section>\n");
    }
    let _ = writeln!(
        body,
        "<section id=\"tables\"><h2>Figures</h2><p class=\"note\">{}</p>",
        html(view::LOOPBACK_NOTE)
    );
    for metric in Metric::compared() {
        let name = metric.label().replace(' ', "-");
        body.push_str(&tables::taxes(&everyone, metric, &format!("tax-{name}")).html());
    }
    for (index, repeats) in group::repeats(runs).iter().enumerate() {
        if repeats.len() < 2 {
            continue;
        }
        let _ = writeln!(
            body,
            "<h3>Runs of {} on one machine</h3>",
            html(&repeats[0].results.scenario.title())
        );
        for metric in Metric::compared() {
            let name = metric.label().replace(' ', "-");
            body.push_str(
                &tables::medians(repeats, metric, &format!("median-{index}-{name}")).html(),
            );
        }
    }
    if let Some(counts) = tables::counts(runs) {
        body.push_str(&counts.html());
    }
    body.push_str("</section>\n<section id=\"definitions\"><h2>Definitions</h2>\n");
    body.push_str(&definitions::html());
    body.push_str("</section>\n");
    Ok(frame::document("Runs side by side: migtax", &body))
}

fn summary(runs: &[Run<'_>]) -> String {
    let everyone: Vec<&Run<'_>> = runs.iter().collect();
    let mut out = format!("**{}**\n\n", text::markdown(&headline(runs)));
    let _ = writeln!(out, "{}", tables::runs(runs).markdown());
    let _ = writeln!(out, "{}", tables::comparability(runs).markdown());
    for metric in [
        Metric::SOURCE_CPU_PER_GIB,
        Metric::DESTINATION_CPU_PER_GIB,
        Metric::TOTAL_TIME,
    ] {
        let table = tables::taxes(&everyone, metric, "tax");
        let _ = writeln!(
            out,
            "{}\n\n{}",
            text::markdown(&table.caption),
            table.markdown()
        );
    }
    if let Some(counts) = tables::counts(runs) {
        let _ = writeln!(out, "{}\n\n{}", counts.caption, counts.markdown());
    }
    out
}
