//! Run folders from strangers: what they hold is checked, and nothing outside them is written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};

use migtax::gate::simulate::{Simulation, results};
use migtax::run_folder::{self, FILE_NAME};
use serde_json::{Value, json};

use crate::command::{migtax, scenario_file};
use crate::interrupted::{interrupt_after, saved, start};
use crate::migration::IDLE;

/// Invalid input: one line on standard error.
fn refused(output: &Output, word: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{word}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(word), "\"{word}\" is not in: {said}");
}

fn resume(run: &Path) -> Output {
    let mut command = migtax();
    command.args(["run", "--resume"]).arg(run).output().unwrap()
}

#[test]
fn what_a_resumed_run_says_of_itself_is_checked_before_anything_is_made() {
    let (_folder, path) = scenario_file(&IDLE.replace("repetitions = 1", "repetitions = 40"));
    let out = tempfile::tempdir().unwrap();
    let mut child = start(&path, "plain", out.path(), Stdio::null());
    interrupt_after(&mut child, libc::SIGTERM, 2, || saved(out.path()));
    let file = out.path().join(FILE_NAME);
    let genuine = fs::read(&file).unwrap();
    let nowhere = json!({"model": "trace", "file": "/nowhere/at-all.trace", "scale_pages": true});
    for (place, value, word) in [
        ("/migrations/0/block", json!(u32::MAX), "block"),
        // Allowed by itself, and the last one: no number is left for the next.
        ("/migrations/0/block", json!(1_000_000), "the next block"),
        (
            "/scenario/measure/repetitions",
            json!(u32::MAX),
            "measure.repetitions",
        ),
        (
            "/scenario/migration/record",
            json!("1TiB"),
            "migration.record",
        ),
        ("/scenario/guest/vcpus", json!(0), "guest.vcpus"),
        ("/scenario/workload/placement", nowhere, "/nowhere/at-all"),
        ("/host/thread_clock_read_ns", json!(-1e30), "host.thread"),
    ] {
        let mut edited: Value = serde_json::from_slice(&genuine).unwrap();
        *edited.pointer_mut(place).unwrap() = value;
        let edited = serde_json::to_vec(&edited).unwrap();
        fs::write(&file, &edited).unwrap();
        refused(&resume(out.path()), word);
        assert_eq!(fs::read(&file).unwrap(), edited, "{place}");
    }
}

/// The folder of a matrix's point is written to when the run goes on.
#[test]
fn a_link_is_no_point_of_a_matrix() {
    let (run, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut point = results(&Simulation::default());
    point.interrupted = true;
    run_folder::write(&point, elsewhere.path()).unwrap();
    let before = fs::read(elsewhere.path().join(FILE_NAME)).unwrap();
    symlink(elsewhere.path(), run.path().join("streams-1")).unwrap();
    refused(&resume(run.path()), FILE_NAME);
    assert_eq!(fs::read(elsewhere.path().join(FILE_NAME)).unwrap(), before);
}

#[test]
fn a_report_on_a_prepared_folder_writes_nowhere_else() {
    let root = tempfile::tempdir().unwrap();
    let (run, victim) = (root.path().join("run"), root.path().join("victim"));
    fs::write(&victim, "precious").unwrap();
    run_folder::write(&results(&Simulation::default()), &run).unwrap();
    let report = || migtax().arg("report").arg(&run).output().unwrap();
    assert_eq!(report().status.code(), Some(0));
    let written: Vec<_> = fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(FILE_NAME))
        .collect();
    assert!(written.len() > 5, "{written:?}");
    for path in &written {
        fs::remove_file(path).unwrap();
        symlink(&victim, path).unwrap();
    }
    assert_eq!(report().status.code(), Some(0));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    for path in &written {
        assert!(fs::symlink_metadata(path).unwrap().is_file(), "{path:?}");
    }
}

/// A CPU time of which 1 GiB costs less than a number can hold made the ticks of a chart collect
/// without end.
#[test]
fn hostile_figures_end_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = results(&Simulation::default());
    run.comparisons.clear();
    for migration in &mut run.migrations {
        migration.cpu = Default::default();
        migration.cpu.source.total_s = f64::from_bits(1);
    }
    run_folder::write(&run, folder.path()).unwrap();
    for verb in [&["report"][..], &["gate", "--baseline"]] {
        let mut command = migtax();
        command.args(verb).arg(folder.path());
        if verb[0] == "gate" {
            command.arg("--candidate").arg(folder.path());
        }
        refused(&command.output().unwrap(), "cpu.source.total_s = 5e-324:");
    }
}
