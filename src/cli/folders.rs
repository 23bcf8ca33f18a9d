//! Folders that runs are saved in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::scenario::{Scenario, folder_name};

/// The folder of each point of a matrix, below that of the run; a scenario without lists has the
/// run's own. No two are the same, although names are cut short.
pub fn of_points(points: Vec<Scenario>, folder: &Path) -> Vec<(Scenario, PathBuf)> {
    if points.len() == 1 {
        let own = points.into_iter().map(|point| (point, folder.to_owned()));
        return own.collect();
    }
    let mut taken = BTreeSet::new();
    let within = |point: Scenario| {
        let stem = folder_name(&label(&point));
        let mut name = stem.clone();
        for number in 2.. {
            if taken.insert(name.clone()) {
                break;
            }
            name = format!("{stem}-{number}");
        }
        (point, folder.join(name))
    };
    points.into_iter().map(within).collect()
}

/// What tells a point from the others, such as `record-64KiB-streams-2`.
fn label(point: &Scenario) -> String {
    let values = point.varied();
    let values = values
        .iter()
        .map(|(field, value)| format!("{field}-{value}"));
    values.collect::<Vec<_>>().join("-")
}

/// A folder that does not exist yet, named by scenario and time.
///
/// # Errors
/// If it can't be made.
pub fn fresh(under: &Path, scenario: &Scenario) -> Result<PathBuf> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let stem = format!("{}-{time}", folder_name(&scenario.name));
    std::fs::create_dir_all(under).map_err(|e| Error::writing(under, e))?;
    for attempt in 1.. {
        let name = match attempt {
            1 => stem.clone(),
            _ => format!("{stem}-{attempt}"),
        };
        let folder = under.join(name);
        match std::fs::create_dir(&folder) {
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
            .map(|(_, folder)| folder.strip_prefix("run").unwrap().to_str().unwrap())
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
        assert_eq!(folders[0].1, Path::new("run"));
    }
}
