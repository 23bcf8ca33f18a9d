//! `migtax merge RUN... --out DIR`: puts the shards of a run together.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::cli::folders;
use crate::error::{Error, ExitCode, Result};
use crate::merge::{self, Merged, Part};
use crate::present::escape::terminal;
use crate::report;
use crate::results::Results;
use crate::run_folder;
use crate::scenario::{Scenario, folder_name};

/// Arguments of `migtax merge`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Shards of one run, and what an earlier merge made of some: run folders, folders of a matrix's points,
    /// folders of these, or results.json
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The folder of the whole run; it must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the whole run, prints its table, and says on standard error what it lacks.
///
/// # Errors
/// Invalid input, in one line that names the file; an input/output error. Then no folder is made.
pub fn run(args: Args) -> Result<ExitCode> {
    if fs::symlink_metadata(&args.out).is_ok() {
        return Err(Error::invalid(
            "--out",
            args.out.display(),
            "exists: name a folder that does not",
        ));
    }
    let mut files = Vec::new();
    for run in &args.runs {
        files.extend(folders::files_of(run)?);
    }
    let parts: Vec<Result<Part>> = files.into_par_iter().map(read).collect();
    let parts = parts.into_iter().collect::<Result<Vec<Part>>>()?;
    let merged = merge::merge(parts)?;
    write(&merged, &args.out)?;
    for points in &merged.machines {
        let points: Vec<&Results> = points.iter().collect();
        println!("{}", report::console_table(&points));
    }
    for line in &merged.missing {
        eprintln!("migtax: {}", terminal(line));
    }
    println!("{}", args.out.display());
    Ok(ExitCode::Done)
}

fn read(file: PathBuf) -> Result<Part> {
    let results = run_folder::read(&file)?;
    Ok(Part { file, results })
}

/// All runs or nothing: they are written into a folder aside, which is then renamed.
fn write(merged: &Merged, out: &Path) -> Result<()> {
    let failed = |error| Error::writing(out, error);
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // In the nearest folder that is there: if this fails, none was made.
    let mut beside = parent.ancestors().filter(|folder| folder.is_dir());
    let beside = beside.next().unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new()
        .prefix(".merge-")
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(beside)
        .map_err(failed)?;
    let several = merged.machines.len() > 1;
    for (index, points) in merged.machines.iter().enumerate() {
        let folder = match several {
            true => {
                let model = folder_name(&points[0].host.cpu_model);
                aside.path().join(format!("machine-{}-{model}", index + 1))
            }
            false => aside.path().to_owned(),
        };
        let scenarios: Vec<&Scenario> = points.iter().map(|point| &point.scenario).collect();
        let names = folders::names(&scenarios);
        for (point, name) in points.iter().zip(names) {
            match merged.is_matrix {
                true => run_folder::write(point, &folder.join(name))?,
                false => run_folder::write(point, &folder)?,
            }
        }
    }
    fs::create_dir_all(parent).map_err(failed)?;
    fs::rename(aside.path(), out).map_err(failed)?;
    // It is not where it was made any more: there is nothing to remove.
    let _ = aside.keep();
    Ok(())
}
