//! A run's folder: its `results.json` written whole, and read with suspicion.

pub mod answers;
mod check;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use check::{LAST_BLOCK, check};

use crate::error::{Error, Result};
use crate::files::{self, write_atomically_with};
use crate::results::{Results, SCHEMA_VERSION};

/// The name of the results file in a run folder.
pub const FILE_NAME: &str = "results.json";

/// Larger files are refused: ten thousand migrations take about 40 MB.
pub const LARGEST_BYTES: u64 = 1 << 30;

/// The results file that a RUN argument means: itself, or the one in a run folder.
pub fn file_of(run: &Path) -> PathBuf {
    if run.is_dir() {
        run.join(FILE_NAME)
    } else {
        run.to_owned()
    }
}

/// Reads a run folder's results, or a results file, and checks that its parts add up.
///
/// # Errors
/// One line that names the file and the field: [`Error::Invalid`] if the file is missing, truncated
/// or not results, or [`check()`] finds parts that don't add up; [`Error::Newer`] if its schema is
/// newer than this build's.
pub fn read(run: &Path) -> Result<Results> {
    let file = file_of(run);
    if let Some(one) = one_of_several(run) {
        let (folder, one) = (run.display(), one.display());
        return Err(Error::Invalid(format!(
            "{folder}: a folder of runs, where one is wanted: name one of them, such as {one}"
        )));
    }
    let bytes = files::read(&file, LARGEST_BYTES)?;
    parse(&bytes).map_err(|error| match error {
        Error::Invalid(text) => Error::Invalid(format!("{}: {text}", file.display())),
        Error::Newer(text) => Error::Newer(format!("{}: {text}", file.display())),
        other => other,
    })
}

/// The first run in a folder of a matrix's points, or of machines and their points, which is none itself.
fn one_of_several(folder: &Path) -> Option<PathBuf> {
    let below = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        below.sort();
        below
    };
    let is_run = |folder: &PathBuf| folder.join(FILE_NAME).is_file();
    if is_run(&folder.to_owned()) {
        return None;
    }
    let points = below(folder);
    let first = points.iter().find(|folder| is_run(folder)).cloned();
    first.or_else(|| {
        points
            .iter()
            .flat_map(|machine| below(machine))
            .find(is_run)
    })
}

/// Reads results from JSON text and checks that they add up.
///
/// # Errors
/// As [`read`] gives them, without the file's name.
pub fn parse(json: &[u8]) -> Result<Results> {
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u64,
    }
    // The version is read by itself first: a newer file may not fit this build's types at all.
    let not_results = |e: serde_json::Error| {
        let cut = if e.is_eof() { "truncated: " } else { "" };
        Error::Invalid(format!("not a results file: {cut}{e}"))
    };
    let Versioned { schema_version } = serde_json::from_slice(json).map_err(not_results)?;
    let newest = u64::from(SCHEMA_VERSION);
    if !(1..=newest).contains(&schema_version) {
        let text = format!("schema_version = {schema_version}: this build reads 1 to {newest}");
        return Err(match schema_version {
            0 => Error::Invalid(text),
            _ => Error::Newer(text),
        });
    }
    let results: Results = serde_json::from_slice(json).map_err(not_results)?;
    check(&results)?;
    Ok(results)
}

/// Writes `results.json` into a folder, which is made if it isn't there. An interruption leaves the
/// old file or the new one.
///
/// # Errors
/// [`Error::Io`] if the folder or the file can't be written.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    write_atomically_with(&folder.join(FILE_NAME), |out| {
        serde_json::to_writer_pretty(&mut *out, results)?;
        out.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests;
