//! Migrations by QEMU elsewhere, as an operator saved what QEMU stated, beside runs.

use std::path::{Path, PathBuf};

use maud::html;

use super::page::frame;
use super::staging;
use super::view;
use crate::error::Result;
use crate::figures::Metric;
use crate::present::escape;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::results::Results;
use crate::run_folder::answers::Answer;
use crate::units::GIB;

/// Writes a page and `summary.md` that put answers beside runs into `folder`; returns the files' paths,
/// `index.html` last.
///
/// # Errors
/// An input/output error on the folder.
pub fn write(
    answers: &[Answer],
    runs: &[(PathBuf, Results)],
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let table = table(answers, runs);
    let summary = format!(
        "**{TITLE}**\n\n{}\n{}\n",
        table.markdown(),
        escape::markdown(NOTE)
    );
    let body = html! {
        header {
            p class="kicker" { "Imported" }
            h1 { (TITLE) }
        }
        "\n"
        section id="tables" {
            p class="note" { (NOTE) }
            (table.html())
        }
        "\n"
    };
    let page = frame::document(&format!("{TITLE}: migtax"), &body);
    let files = [("summary.md", summary), ("index.html", page)];
    let files = files.map(|(name, text)| (name.to_owned(), text.into_bytes()));
    staging::write_files(folder, &files)
}

const TITLE: &str = "Migrations elsewhere, as QEMU stated them, beside runs";
const NOTE: &str = "Imported rows are single migrations, in QEMU's own words and clocks; rows of runs \
                    are medians of what was seen from outside. Machines, guests and links differ: \
                    the rows say what happened where, not which is faster.";

fn table(answers: &[Answer], runs: &[(PathBuf, Results)]) -> Table {
    let columns = vec![
        Column::text("from"),
        Column::text("migration"),
        Column::text("outcome"),
        Column::figures(Metric::TOTAL_TIME.label(), "s"),
        Column::figures(Metric::DOWNTIME.label(), "s"),
        Column::figures("setup", "s"),
        Column::figures("sent", "GiB/s"),
        Column::figures("pages", ""),
        Column::figures("zero pages", ""),
        Column::figures("dirty syncs or rounds", ""),
    ];
    let seconds = |value: Option<f64>| {
        value.map_or_else(Cell::none, |value| Cell::figure(text::sig3(value), value))
    };
    let count = |value: Option<u64>| value.map_or_else(Cell::none, Cell::count);
    let imported = answers.iter().map(|answer| {
        let rate = answer.transferred_bytes.zip(answer.total_time_s);
        let rate = rate.filter(|(_, time_s)| *time_s > 0.0);
        vec![
            Cell::text("imported"),
            Cell::text(answer.label.clone()),
            Cell::text(answer.status.clone()),
            seconds(answer.total_time_s),
            seconds(answer.downtime_s),
            seconds(answer.setup_time_s),
            seconds(rate.map(|(bytes, time_s)| bytes as f64 / GIB / time_s)),
            count(answer.normal_pages),
            count(answer.duplicate_pages),
            count(answer.dirty_syncs),
        ]
    });
    let measured = runs.iter().flat_map(|(file, results)| {
        let folder = file.parent().and_then(Path::file_name).map_or_else(
            || results.scenario.name.clone(),
            |name| name.to_string_lossy().into_owned(),
        );
        view::arms(results)
            .into_iter()
            .filter(|arm| !arm.measured.is_empty())
            .map(|arm| {
                let metric = |metric: Metric| seconds(arm.metric(metric).map(|m| m.median));
                let median = |value: fn(&crate::results::Migration) -> f64| {
                    let median = arm.median(|m| Some(value(m))).map(|m| m.median);
                    count(median.map(|value| value.round() as u64))
                };
                vec![
                    Cell::text(folder.clone()),
                    Cell::arm(arm.arm()),
                    Cell::text(arm.outcome()),
                    metric(Metric::TOTAL_TIME),
                    metric(Metric::DOWNTIME),
                    seconds(arm.median(|m| Some(m.setup_time_s)).map(|m| m.median)),
                    seconds(
                        arm.median(|m| {
                            let rate = m.bytes_on_wire as f64 / GIB / m.total_time_s;
                            rate.is_finite().then_some(rate)
                        })
                        .map(|m| m.median),
                    ),
                    median(|m| m.pages_sent as f64),
                    median(|m| m.zero_pages as f64),
                    median(|m| m.rounds.len() as f64),
                ]
            })
            .collect::<Vec<_>>()
    });
    Table::new(
        "imported-table",
        "Imported migrations and the runs' arms",
        columns,
        imported.chain(measured).collect(),
    )
}
