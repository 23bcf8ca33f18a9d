//! Reports: what readers see of a run.
//!
//! [`write()`] puts into a run's folder
//!
//! - `index.html`: one self-contained page, the answer first, then charts and tables;
//! - a PNG of every chart that has something to show: `tax.png`, `cpu.png`, `rounds.png`,
//!   `downtime.png`, `latency.png`, `wire.png`, `storage.png`;
//! - `summary.md`: the answer and its table in Markdown, for a pull request;
//! - `migrations.csv`: one line per migration ([`csv`]).
//!
//! [`console_table`] is the same answer for a terminal. Everything is a pure function of
//! [`Results`]; this module knows no cipher and no socket.

pub mod answer;
pub mod cells;
pub mod chart;
pub mod console;
pub mod csv;
pub mod imported;
pub mod markdown;
pub mod page;
pub mod plan;
pub mod protocols;
mod remedy;
pub mod runs;
pub mod staging;
mod storage;
pub mod view;

use std::path::{Path, PathBuf};

pub use console::console_table;
pub use runs::compare_runs;

use crate::error::Result;
use crate::results::Results;
use staging::File;

/// Writes a run's report into `folder` and returns the files' paths, `index.html` last. Files of
/// the same names are replaced; nothing half-written stays behind.
///
/// # Errors
///
/// An input/output error on the folder, or a chart that can't be drawn.
pub fn write(results: &Results, folder: &Path) -> Result<Vec<PathBuf>> {
    staging::write_files(folder, &files(results)?)
}

/// A run's report in memory.
///
/// # Errors
///
/// A chart that can't be drawn.
pub fn files(results: &Results) -> Result<Vec<File>> {
    let charts = chart::of_run(results);
    let mut files = chart::pngs(&charts)?;
    let texts = [
        ("migrations.csv", csv::migrations_csv(results)),
        ("summary.md", markdown::summary(results)),
        ("index.html", page::render(results, &charts)?),
    ];
    files.extend(texts.map(|(name, text)| (name.to_owned(), text.into_bytes())));
    Ok(files)
}
