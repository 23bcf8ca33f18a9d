//! `migtax report RUN...`: builds a run's page, charts and summary again from its results.json.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{ExitCode, Result};
use crate::files::folder_of;
use crate::report;
use crate::results::Results;
use crate::run_folder;

/// Arguments of `migtax report`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// Run folders or their results.json; with several, the runs are put side by side
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Folder for the report [default: the run's own; with several runs, a folder named after the
    /// first and the last, beside the first]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Builds the report and prints the path of its page.
///
/// # Errors
///
/// A run that is missing, damaged or of a newer schema (invalid input); an input/output error.
/// Nothing half-written stays behind.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut runs = Vec::with_capacity(args.runs.len());
    for path in &args.runs {
        runs.push((run_folder::file_of(path), run_folder::read(path)?));
    }
    let written = match runs.as_slice() {
        [(file, results)] => {
            let folder = args.out.unwrap_or_else(|| folder_of(file).to_owned());
            report::write(results, &folder)?
        }
        _ => {
            let folder = args.out.unwrap_or_else(|| beside(&runs));
            report::compare_runs(&runs, &folder)?
        }
    };
    for path in written.iter().filter(|path| path.ends_with("index.html")) {
        println!("{}", path.display());
    }
    Ok(ExitCode::Done)
}

/// Where several runs are put side by side: `compare-FIRST-LAST` beside the first.
fn beside(runs: &[(PathBuf, Results)]) -> PathBuf {
    let folder = |run: Option<&(PathBuf, Results)>| {
        let folder = run.map_or_else(PathBuf::new, |(file, _)| folder_of(file).to_owned());
        // "." and ".." have a name only once resolved.
        fs::canonicalize(&folder).unwrap_or(folder)
    };
    let name = |folder: &Path| {
        folder.file_name().map_or_else(
            || "run".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    };
    let (first, last) = (folder(runs.first()), folder(runs.last()));
    let name = format!("compare-{}-{}", name(&first), name(&last));
    first.parent().unwrap_or(&first).join(name)
}
