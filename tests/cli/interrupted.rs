//! Runs that are interrupted, or lose a host, and what is left of them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::command::{migtax, scenario_file};
use crate::migration::IDLE;
use migtax::arm::Arm;
use migtax::results::{OutcomeStatus, Results};

/// A run that goes on.
pub fn start(path: &str, arms: &str, out: &Path, stdout: Stdio) -> Child {
    migtax()
        .args(["run", path, "--arms", arms, "--out"])
        .arg(out)
        .stdout(stdout)
        .spawn()
        .unwrap()
}

/// Waits until so many migrations are saved, then interrupts the run.
pub fn interrupt_after(
    child: &mut Child,
    signal: i32,
    wanted: usize,
    mut saved: impl FnMut() -> usize,
) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while saved() < wanted {
        assert!(Instant::now() < deadline, "no migration was saved");
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: a signal to this test's own child.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Migrations that a run's folder holds so far.
pub fn saved(run: &Path) -> usize {
    migtax::run_folder::read(run).map_or(0, |results| results.migrations.len())
}

#[test]
fn a_host_that_dies_fails_its_migration_and_the_run_goes_on() {
    let slow = IDLE
        .replace("repetitions = 1", "repetitions = 2")
        .replace("[migration]", "[migration]\nlink = \"50Mbit/s\"");
    for victim in ["source", "destination"] {
        let (_folder, path) = scenario_file(&slow);
        let out = tempfile::tempdir().unwrap();
        let mut child = start(&path, "plain", out.path(), Stdio::null());
        let pid = crate::command::wait_for_host(child.id(), victim);
        // SAFETY: a signal to a process that this test's child has started.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
        assert_eq!(child.wait().unwrap().code(), Some(6));
        let results = migtax::run_folder::read(out.path()).unwrap();
        assert_eq!(results.migrations.len(), 2);
        let failed = &results.migrations[0].outcome;
        assert_eq!(failed.status, OutcomeStatus::Failed);
        let reason = failed.reason.as_ref().unwrap();
        assert!(
            reason.contains(&format!("the {victim} host process ended: signal: 9")),
            "{reason}"
        );
        assert_eq!(
            results.migrations[1].outcome.status,
            OutcomeStatus::Completed
        );
    }
}

#[test]
fn an_interrupted_run_keeps_what_it_has_and_leaves_no_process() {
    let (_folder, path) = scenario_file(&IDLE.replace("repetitions = 1", "repetitions = 10000"));
    let out = tempfile::tempdir().unwrap();
    let mut child = start(&path, "plain", out.path(), Stdio::piped());
    let output = BufReader::new(child.stdout.take().unwrap());
    let coordinator = child.id();
    let mut hosts = Vec::new();
    interrupt_after(&mut child, libc::SIGINT, 3, || {
        hosts = crate::command::hosts(coordinator);
        saved(out.path())
    });
    let results = migtax::run_folder::read(out.path()).unwrap();
    assert!(results.interrupted && results.migrations.len() >= 3);
    assert!(
        results
            .migrations
            .iter()
            .all(|m| m.outcome.status == OutcomeStatus::Completed)
    );
    for host in hosts {
        assert!(!crate::command::is_host(host), "host {host} is still there");
    }
    assert!(
        output.lines().count() > 0,
        "the table of what there is was printed"
    );
}

#[test]
fn an_interrupted_run_is_resumed_where_it_stopped() {
    let (_folder, path) = scenario_file(&IDLE.replace("repetitions = 1", "repetitions = 40"));
    let out = tempfile::tempdir().unwrap();
    let mut child = start(&path, "plain,copy", out.path(), Stdio::null());
    interrupt_after(&mut child, libc::SIGTERM, 3, || saved(out.path()));
    let before = migtax::run_folder::read(out.path()).unwrap();
    let resume = |flags: &[&str]| {
        let output = migtax()
            .args(["run", "--resume"])
            .arg(out.path())
            .args(flags)
            .output();
        output.unwrap().status.code()
    };
    assert_eq!(
        resume(&["--reps", "3"]),
        Some(2),
        "the scenario is the run's own"
    );
    assert_eq!(
        migtax::run_folder::read(out.path()).unwrap(),
        before,
        "nothing is lost by that"
    );
    assert_eq!(resume(&[]), Some(0));
    let after = migtax::run_folder::read(out.path()).unwrap();
    assert!(!after.interrupted);
    assert_eq!(
        after.migrations[..before.migrations.len()],
        before.migrations
    );
    let mut blocks = std::collections::BTreeMap::<u32, Vec<Arm>>::new();
    for migration in &after.migrations {
        blocks
            .entry(migration.block)
            .or_default()
            .push(migration.arm);
    }
    let whole = blocks.values().filter(|arms| arms.len() == 2).count();
    assert_eq!(whole, 40);
    assert!(
        blocks.len() - whole <= 1,
        "at most the interrupted block is partial"
    );
    assert_eq!(resume(&[]), Some(2), "a complete run can't be resumed");
}

/// The machine and the hosts are asked once, so that a matrix of many points begins at once; what an
/// interrupt leaves undone is recorded and not drawn.
#[test]
fn a_large_matrix_begins_and_ends_at_once() {
    let lists = "[migration]\nstreams = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n\
        max_rounds = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]\n\
        seal_workers = [1, 2, 3, 4]";
    let text = IDLE.replace("[migration]", lists);
    let (_folder, path) = scenario_file(&text);
    let out = tempfile::tempdir().unwrap();
    let mut child = start(&path, "plain", out.path(), Stdio::null());
    let points = || -> Vec<Results> {
        let folders = std::fs::read_dir(out.path()).unwrap().flatten();
        folders
            .filter_map(|folder| migtax::run_folder::read(&folder.path()).ok())
            .collect()
    };
    let made = || points().iter().map(|point| point.migrations.len()).sum();
    interrupt_after(&mut child, libc::SIGINT, 1, made);
    let points = points();
    assert_eq!(points.len(), 400);
    let made = points
        .iter()
        .filter(|point| !point.migrations.is_empty())
        .count();
    assert!((1..400).contains(&made), "{made}");
    let drawn = std::fs::read_dir(out.path()).unwrap().flatten();
    let drawn = drawn.filter(|folder| folder.path().join("index.html").exists());
    assert_eq!(drawn.count(), made);
}

/// All points of a matrix go on together, each from where it stood.
#[test]
fn an_interrupted_matrix_is_resumed() {
    let lists = "[migration]\nstreams = [1, 2, 3]";
    let text = IDLE
        .replace("[migration]", lists)
        .replace("repetitions = 1", "repetitions = 12");
    let (_folder, path) = scenario_file(&text);
    let out = tempfile::tempdir().unwrap();
    let mut child = start(&path, "plain,copy", out.path(), Stdio::null());
    let points = || -> Vec<Results> {
        (1..=3)
            .filter_map(|streams| {
                let folder = out.path().join(format!("streams-{streams}"));
                migtax::run_folder::read(&folder).ok()
            })
            .collect()
    };
    let made = || -> usize { points().iter().map(|point| point.migrations.len()).sum() };
    interrupt_after(&mut child, libc::SIGINT, 7, made);
    let before = points();
    let resume = || {
        let resumed = migtax()
            .args(["run", "--resume"])
            .arg(out.path())
            .output()
            .unwrap();
        resumed.status.code()
    };
    assert_eq!(resume(), Some(0));
    let after = points();
    for (before, after) in before.iter().zip(&after) {
        assert!(!after.interrupted);
        assert_eq!(
            after.migrations[..before.migrations.len()],
            before.migrations
        );
        let made = |arm| after.migrations.iter().filter(|m| m.arm == arm).count();
        assert!(made(Arm::PLAIN) >= 12 && made(Arm::COPY) >= 12);
    }
    assert_eq!(resume(), Some(2), "a complete run can't be resumed");
    assert_eq!(points(), after);
}
