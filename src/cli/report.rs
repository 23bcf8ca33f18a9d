//! `migtax report RUN...`: builds a run's page, charts and summary again from its results.json.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::folders;
use crate::error::{Error, ExitCode, Result};
use crate::files::folder_of;
use crate::fleet;
use crate::report;
use crate::results::Results;
use crate::run_folder::{self, answers};

/// Arguments of `migtax report`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// Run folders or their results.json, or a matrix's or merged folder; several runs are put side by
    /// side, or a fleet's alone. Files with saved answers to QEMU's query-migrate are set beside them
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Folder for the report [default: the run's own; with several runs, a folder named after the
    /// first and the last, beside the first; with a matrix's folder alone, that; with answers, imported/ in
    /// the first run's]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Builds the report and prints the path of its page. A folder of runs, of a matrix's points or of a
/// merged run's machine types, gets what `migtax run` writes there: each run's report, and all of them
/// side by side.
///
/// # Errors
///
/// A run that is missing, damaged or of a newer schema (invalid input); an input/output error.
/// Nothing half-written stays behind.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut runs = Vec::with_capacity(args.runs.len());
    let mut answers = Vec::new();
    let mut files = Vec::new();
    if let [path] = args.runs.as_slice()
        && let Some(fleet) = fleet::file::means_fleet(path)
    {
        let made = fleet::file::read(&fleet)?;
        let folder = args.out.unwrap_or_else(|| folder_of(&fleet).to_owned());
        print_page(&fleet::report::write(&made, &folder)?);
        return Ok(ExitCode::Done);
    }
    for path in &args.runs {
        if answers::means_answers(path) {
            answers.extend(answers::read(path)?);
        } else {
            files.extend(folders::files_of(path)?);
        }
    }
    for file in files {
        let results = run_folder::read(&file)?;
        runs.push((file, results));
    }
    if !answers.is_empty() {
        let first = runs.first().ok_or_else(|| {
            Error::Invalid("RUN: at least one run that the answers are set beside".to_owned())
        })?;
        let default = || folder_of(&first.0).join("imported");
        let folder = args.out.unwrap_or_else(default);
        let written = report::imported::write(&answers, &runs, &folder)?;
        print_page(&written);
        return Ok(ExitCode::Done);
    }
    let whole = match args.runs.as_slice() {
        [run]
            if runs
                .iter()
                .all(|(file, _)| folder_of(file) != run && file != run) =>
        {
            Some(run)
        }
        _ => None,
    };
    if whole.is_some() {
        // Points that an interrupt left without a migration have nothing to show.
        if runs
            .iter()
            .any(|(_, results)| !results.migrations.is_empty())
        {
            runs.retain(|(_, results)| !results.migrations.is_empty());
        }
        for (file, results) in &runs {
            report::write(results, folder_of(file))?;
        }
    }
    let written = match runs.as_slice() {
        [(file, results)] => {
            let folder = args.out.unwrap_or_else(|| folder_of(file).to_owned());
            report::write(results, &folder)?
        }
        _ => {
            let folder = args.out.or(whole.cloned());
            let folder = folder.unwrap_or_else(|| beside(&runs));
            report::compare_runs(&runs, &folder)?
        }
    };
    print_page(&written);
    Ok(ExitCode::Done)
}

fn print_page(written: &[PathBuf]) {
    for path in written.iter().filter(|path| path.ends_with("index.html")) {
        println!("{}", path.display());
    }
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
