//! Folders that runs are saved in.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::run_folder;
use crate::runner::Job;
use crate::scenario::{MOST_AUTO_BLOCKS, Overrides, Repetitions, Scenario, folder_name};

/// The folder of each point of a matrix, below that of the run; a scenario without lists has the
/// run's own.
pub fn of_points(scenarios: Vec<Scenario>, folder: &Path) -> Vec<Job> {
    let is_matrix = scenarios.len() > 1;
    let names = names(&scenarios.iter().collect::<Vec<_>>());
    let job = |(scenario, name): (Scenario, String)| Job {
        folder: match is_matrix {
            true => folder.join(name),
            false => folder.to_owned(),
        },
        scenario,
        shard: None,
        earlier: None,
    };
    scenarios.into_iter().zip(names).map(job).collect()
}

/// The names of the points' folders. No two are the same, although names are cut short.
pub fn names(points: &[&Scenario]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let name = |point: &&Scenario| {
        let stem = folder_name(&label(point));
        let mut name = stem.clone();
        for number in 2.. {
            if taken.insert(name.clone()) {
                break;
            }
            name = format!("{stem}-{number}");
        }
        name
    };
    points.iter().map(name).collect()
}

/// What tells a point from the others, such as `record-64KiB-streams-2`.
fn label(point: &Scenario) -> String {
    let values = point.varied().into_iter();
    let values: Vec<_> = values
        .map(|(field, value)| format!("{field}-{value}"))
        .collect();
    values.join("-")
}

/// An interrupted run that can be gone on with, all points of a matrix together, and its folder.
///
/// # Errors
/// If it is none, or values are given that are not its own.
pub fn interrupted(run: &Path, overrides: &Overrides) -> Result<(Vec<Job>, PathBuf)> {
    let open_ended = Overrides {
        reps: Some(Repetitions::Auto),
        ..Overrides::default()
    };
    let is_open_ended = *overrides == open_ended;
    if !is_open_ended && *overrides != Overrides::default() {
        return Err(Error::Invalid(
            "--resume goes on with the run's own scenario: no other value can be given than --reps auto"
                .to_owned(),
        ));
    }
    let file = run_folder::file_of(run);
    let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
    let mut jobs = Vec::new();
    for file in files_of(run)? {
        let earlier = run_folder::read(&file)?;
        let mut scenario = earlier.scenario.clone();
        // As a scenario file is: what was read about is run now.
        scenario.check()?;
        Error::unless(
            earlier.parts.is_none(),
            "--resume",
            run.display(),
            "shards are missing from this merged run: run or resume them, then migtax merge adds them to it",
        )?;
        if is_open_ended {
            Error::unless(
                earlier.shard.is_none(),
                "--resume",
                run.display(),
                "a shard has a fixed number of blocks: leave out --reps auto",
            )?;
            scenario.measure.repetitions = MOST_AUTO_BLOCKS;
        }
        jobs.push(Job {
            scenario,
            folder: file.parent().unwrap_or(Path::new(".")).to_owned(),
            shard: earlier.shard.clone(),
            earlier: Some(earlier),
        });
    }
    let earlier = || jobs.iter().filter_map(|job| job.earlier.as_ref());
    let only = |allowed| Err(Error::invalid("--resume", run.display(), allowed));
    if !earlier().any(|results| results.interrupted) {
        return only("only a run that was interrupted");
    }
    let command = earlier().next().map(|results| &results.command);
    if !earlier().all(|results| Some(&results.command) == command) {
        return only("one run: the runs in this folder were made by different commands");
    }
    Ok((jobs, folder))
}

/// Folders of results below the one that is named: a matrix's points, or machines and their points.
const DEEPEST: u32 = 2;

/// The results that a RUN argument means: of a run, of each point of a matrix, or of each point on
/// each machine of a merged one.
///
/// # Errors
/// If a folder can't be read.
pub fn files_of(run: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    find_files(run, DEEPEST, &mut files)?;
    if files.is_empty() {
        // The error names what is missing.
        files.push(run_folder::file_of(run));
    }
    Ok(files)
}

fn find_files(run: &Path, depth: u32, files: &mut Vec<PathBuf>) -> Result<()> {
    let file = run_folder::file_of(run);
    if file.exists() || !run.is_dir() {
        files.push(file);
        return Ok(());
    }
    let failed = |error| Error::io(run.display().to_string(), error);
    let mut folders = Vec::new();
    for entry in fs::read_dir(run).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A link could lead to a folder that is not this run's, and results are written there.
        if depth > 0 && entry.file_type().map_err(failed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    folders
        .iter()
        .try_for_each(|folder| find_files(folder, depth - 1, files))
}

/// A folder that does not exist yet, named by what it is of and the time.
///
/// # Errors
/// If it can't be made.
pub fn fresh(under: &Path, name: &str) -> Result<PathBuf> {
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%SZ");
    let stem = format!("{}-{time}", folder_name(name));
    fs::create_dir_all(under).map_err(|e| Error::writing(under, e))?;
    for attempt in 1.. {
        let name = match attempt {
            1 => stem.clone(),
            _ => format!("{stem}-{attempt}"),
        };
        let folder = under.join(name);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::writing(folder, error)),
        }
    }
    unreachable!("the loop ends by returning")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    fn point(values: &[(&str, &str)]) -> Scenario {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Scenario {
            point: values.iter().map(owned).collect(),
            ..scenario::load(None).unwrap()
        }
    }

    #[test]
    fn every_point_has_a_folder_of_its_own() {
        let long = "x".repeat(80);
        let points = vec![
            point(&[("migration.streams", "1"), ("migration.record", "4KiB")]),
            point(&[("migration.streams", "2"), ("migration.record", "4KiB")]),
            point(&[("guest.seed", "1"), ("workload.seed", "2")]),
            point(&[("workload.model", &format!("{long}1"))]),
            point(&[("workload.model", &format!("{long}2"))]),
            point(&[("workload.rate", "1/s")]),
            point(&[("workload.rate", "1-s")]),
        ];
        let folders = of_points(points, Path::new("run"));
        let names: Vec<&str> = folders
            .iter()
            .map(|job| job.folder.strip_prefix("run").unwrap().to_str().unwrap())
            .collect();
        let cut = format!("model-{}", "x".repeat(58));
        assert_eq!(
            names,
            [
                "record-4KiB-streams-1",
                "record-4KiB-streams-2",
                "guest.seed-1-workload.seed-2",
                &cut,
                &format!("{cut}-2"),
                "rate-1-s",
                "rate-1-s-2",
            ]
        );
    }

    #[test]
    fn a_single_point_has_the_folder_of_the_run() {
        let folders = of_points(vec![point(&[])], Path::new("run"));
        assert_eq!(folders[0].folder, Path::new("run"));
    }
}
