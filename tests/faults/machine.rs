//! A machine without room: memory, ports, disk.

use std::fs;
use std::path::Path;
use std::process::Command;

use migtax::arm::Arm;
use migtax::results::{Migration, OutcomeStatus};

use crate::runs::{
    assert_guest_stayed, free_address, marker, reason, run_elsewhere, scenario, start, start_in,
};

#[test]
fn a_destination_without_memory_says_so() {
    // A guest of 1 GiB does not fit this address space, in KiB.
    let binary = env!("CARGO_BIN_EXE_migtax");
    let text = scenario("5s").replace("4MiB", "1GiB");
    let command = format!("sh -c 'ulimit -v 700000; exec \"$0\" \"$@\"' {binary}");
    let ended = run_elsewhere(&text, "plain,rustcrypto-soft", &command, "127.0.0.1");
    assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
    let results = ended.results.unwrap();
    assert_eq!(results.migrations.len(), 2);
    for migration in &results.migrations {
        assert_eq!(migration.outcome.status, OutcomeStatus::Failed);
        let said = reason(migration);
        assert!(
            said.contains("destination: ") && said.contains("memory"),
            "{said}"
        );
    }
}

/// The one migration of a run, which failed.
fn failed(peer_timeout: &str, flags: &[&str]) -> Migration {
    let ended = start(&scenario(peer_timeout), &marker(), flags).end();
    assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
    ended.results.unwrap().migrations.remove(0)
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let migration = failed("5s", &["--arms", "plain", "--listen", &address]);
    let said = reason(&migration);
    assert!(
        said.contains(&format!(
            "destination: listening at {address}: Address already in use"
        )),
        "{said}"
    );
}

#[test]
fn a_destination_that_nobody_reaches_leaves_the_guest_where_it_is() {
    let nobody = free_address().to_string();
    let migration = failed("300ms", &["--arms", "plain", "--connect", &nobody]);
    assert!(reason(&migration).contains("connecting to the destination: Connection refused"));
    assert_guest_stayed(&migration, "nobody listens");
}

#[test]
fn a_read_only_report_folder_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    // Not even root writes there.
    let out = Path::new("/proc/migtax-run");
    let marker = marker();
    let ended = start_in(folder, out, &scenario("5s"), &marker, &["--arms", "plain"]).end();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.said.contains("/proc/migtax-run"), "{}", ended.said);
    assert_eq!(ended.said.lines().count(), 1, "{}", ended.said);
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_valid_results() {
    let disk = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=128k", "migtax-test"])
        .arg(disk.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this needs the right to mount a small disk (root)");
        return;
    }
    let out = disk.path().join("run");
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--arms", "plain", "--reps", "1000"];
    let ended = start_in(folder, &out, &scenario("5s"), &marker(), &flags).end();
    let left: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let unmounted = Command::new("umount").arg(disk.path()).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.said.contains("No space left on device"),
        "{}",
        ended.said
    );
    let results = ended.results.expect("what was saved before");
    assert!(!results.migrations.is_empty() && results.interrupted);
    assert_eq!(
        left,
        ["results.json"],
        "nothing half-written is left behind"
    );
}

#[test]
fn keys_that_cannot_be_locked_are_told_of() {
    // The right to lock without limit is not handed on to what is started.
    let free = ["--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"];
    let tried = Command::new("setpriv").args(free).arg("true").status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this needs setpriv (util-linux) and the right to drop capabilities");
        return;
    }
    let command = format!(
        "setpriv {} sh -c 'ulimit -l 0; exec {} \"$@\"' migtax",
        free.join(" "),
        env!("CARGO_BIN_EXE_migtax")
    );
    let arms = "plain,rustcrypto-soft";
    let ended = run_elsewhere(&scenario("5s"), arms, &command, "127.0.0.1");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    let results = ended.results.unwrap();
    let told: Vec<_> = results
        .warnings
        .iter()
        .filter(|w| w.code == "unlocked_keys")
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let message = &told[0].message;
    assert!(
        message.contains("rustcrypto-soft") && message.contains("the destination"),
        "{message}"
    );
    for migration in &results.migrations {
        let told = migration
            .warnings
            .iter()
            .any(|w| w.message.contains("the destination"));
        assert_eq!(told, migration.arm == Arm::RUSTCRYPTO_SOFT, "{migration:?}");
    }
}
