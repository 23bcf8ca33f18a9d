//! Faults while the guest's disk is on its way: nothing is lost at the source, and never do two write.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use migtax::arm::Arm;
use migtax::results::{Migration, OutcomeStatus};

use crate::relay::{Fault, Phase};
use crate::relayed::{self, Plan, struck};
use crate::runs::{
    assert_guest_stayed, marker, processes, reason, scenario, several_at_once, signal, some_arms,
};

const DISK: u64 = 3 << 20;
/// So long that there is more of it to read when the copy's first round was acknowledged.
const LONG_DISK: u64 = 24 << 20;

/// The faults' scenario with a disk that takes four rounds, and memory that takes long enough for some of
/// its writes to be mirrored meanwhile.
fn with_disk(peer_timeout: &str, storage: &str) -> String {
    let text = scenario(peer_timeout).replace("4MiB", "16MiB");
    format!(
        "{text}[storage]\nsize = \"{DISK}B\"\nplacement = {{ model = \"uniform\" }}\n{storage}\n"
    )
}

const BUSY: &str = "rate = \"20MiB/s\"\ncontent = { zero = 0.0 }";
const LOST: &[&str] = &["closed by the", "reset by peer", "Broken pipe"];

/// A fault, and what it leads to: any of these, sealed or not.
type Case = (&'static str, Fault, &'static [&'static str]);

fn cases() -> [Case; 5] {
    let forged = &[
        "is not authentic",
        "damaged record",
        "memory or disk differs",
    ];
    [
        ("reset", Fault::StreamDies, LOST),
        ("stall", Fault::Stall, &["was silent for 1000 ms"]),
        ("corrupted end", Fault::CorruptEnd, forged),
        ("truncated", Fault::Truncate, LOST),
        (
            "duplicated",
            Fault::Duplicate,
            &["is not authentic", "record sequence"],
        ),
    ]
}

#[test]
fn a_fault_of_the_disks_stream_is_named_and_leaves_one_disk_with_every_write() {
    let work = [Phase::DiskCopy, Phase::DiskMirror]
        .into_iter()
        .flat_map(|phase| {
            cases()
                .into_iter()
                .enumerate()
                .map(move |(number, case)| (phase, number, case))
        });
    several_at_once(work, |(phase, number, (name, fault, words))| {
        let timeout = if name == "stall" { "1s" } else { "5s" };
        let migrations = run(phase, fault, (timeout, BUSY), &some_arms(number));
        for migration in migrations {
            let context = format!(
                "{name} at {phase:?}, {}: {:?}",
                migration.arm, migration.outcome
            );
            if migration.outcome.status == OutcomeStatus::Completed {
                // In the clear content has no checksum of its own; here it was written again.
                assert!(
                    name == "corrupted end" && migration.arm == Arm::PLAIN,
                    "{context}"
                );
                assert!(migration.storage.unwrap().verified.equal, "{context}");
                continue;
            }
            let said = reason(&migration);
            assert!(words.iter().any(|word| said.contains(word)), "{context}");
            if !said.contains("differs") {
                assert_stayed(&migration, Some(true), &context);
            }
        }
    });
}

#[test]
fn a_killed_destination_leaves_the_disk_at_the_source() {
    let phases = [Phase::DiskCopy, Phase::DiskMirror, Phase::FinalRecord];
    several_at_once(phases, |phase| {
        let victim = marker();
        let act = Arc::new({
            let victim = victim.clone();
            move || signal(&victim, "destination", libc::SIGKILL)
        });
        let plan = Plan {
            phase,
            fault: Some(Fault::Elsewhere(act)),
            first: 0,
            peer_timeout: "5s",
            marker: &victim,
        };
        let text = with_disk("5s", BUSY);
        let (ended, relay) = relayed::run_scenario(&text, plan, &some_arms(1), &[]);
        let results = ended.results.unwrap_or_else(|| panic!("{}", ended.said));
        for migration in struck(&results, &relay, "killed") {
            let context = format!("{phase:?}, {}: {:?}", migration.arm, migration.outcome);
            assert_stayed(migration, Some(true), &context);
        }
    });
}

/// Runs arms with a fault; the migrations that it struck.
fn run(
    phase: Phase,
    fault: Fault,
    (timeout, storage): (&str, &str),
    arms: &[Arm],
) -> Vec<Migration> {
    let plan = Plan {
        phase,
        fault: Some(fault),
        first: 0,
        peer_timeout: timeout,
        marker: &marker(),
    };
    let text = with_disk(timeout, storage);
    let (ended, relay) = relayed::run_scenario(&text, plan, arms, &[]);
    let results = ended.results.unwrap_or_else(|| panic!("{}", ended.said));
    let struck = struck(&results, &relay, "disk");
    struck.into_iter().cloned().collect()
}

/// The guest went on at the source, memory and disk as it made them.
fn assert_stayed(migration: &Migration, disk: Option<bool>, context: &str) {
    assert_guest_stayed(migration, context);
    let storage = migration.storage.as_ref().expect("the source's report");
    assert_eq!(storage.writes_verified, disk, "{context}");
    assert!(
        disk.is_none() || storage.write_latency_after_ns.count > 0,
        "{context}"
    );
}

/// A small file system, filled to its end on demand.
struct Full(tempfile::TempDir);

impl Full {
    fn mount() -> Option<Full> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "migtax-test"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Full(folder));
        }
        eprintln!("skipped: this needs the right to mount a small disk (root)");
        None
    }

    /// Writes until nothing more fits.
    fn fill(path: &Path) {
        let zeros = vec![0; 8 << 20];
        fs::write(path.join("filler"), zeros).expect_err("more than there is room for");
    }

    fn storage(&self, more: &str) -> String {
        format!("folder = {:?}\n{more}", self.0.path())
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_file_system_that_is_full_is_named_on_either_side() {
    // What is all holes needs room at the source too.
    let holes = "rate = \"20MiB/s\"\ncontent = { zero = 1.0, compressible = 0.0 }";
    for (phase, storage, side) in [
        (Phase::DiskCopy, BUSY, "destination: stream 2: "),
        (Phase::FirstRound, holes, "source: "),
    ] {
        // A write that had room at the source, and then none at the destination, comes before the source's.
        let named = (0..8).any(|_| {
            let Some(full) = Full::mount() else {
                return true;
            };
            let folder = full.0.path().to_owned();
            let fault = Fault::Elsewhere(Arc::new(move || Full::fill(&folder)));
            let migrations = run(phase, fault, ("5s", &full.storage(storage)), &[Arm::PLAIN]);
            let said = reason(&migrations[0]);
            assert!(
                said.contains("the guest's disk, writing at byte ")
                    && said.contains("No space left on device"),
                "{said}"
            );
            assert_stayed(&migrations[0], None, said);
            said.contains(&format!("{side}the guest's disk"))
        });
        assert!(named, "{side}is never named");
    }
}

#[test]
fn a_disk_that_ends_early_is_named() {
    let idle = "rate = \"0MiB/s\"\ncontent = { zero = 0.0 }";
    let marker = marker();
    let cut = {
        let marker = marker.clone();
        move || cut_short(&marker)
    };
    let plan = Plan {
        phase: Phase::DiskCopy,
        fault: Some(Fault::Elsewhere(Arc::new(cut))),
        first: 0,
        peer_timeout: "5s",
        marker: &marker,
    };
    let text = with_disk("5s", idle).replace(&DISK.to_string(), &LONG_DISK.to_string());
    let (ended, _) = relayed::run_scenario(&text, plan, &[Arm::RUSTCRYPTO], &[]);
    let results = ended.results.unwrap_or_else(|| panic!("{}", ended.said));
    let said = reason(&results.migrations[0]);
    assert!(
        said.contains("source: the guest's disk, reading at byte "),
        "{said}"
    );
    assert!(said.contains("it ended after 0 of "), "{said}");
}

/// Takes its content away from the source's disk, which has no name.
fn cut_short(marker: &str) {
    let mut found = 0;
    for pid in processes(marker) {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !cmdline
            .split(|byte| *byte == 0)
            .any(|word| word == b"source")
        {
            continue;
        }
        for file in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
            let is_disk = |len| len == LONG_DISK;
            if fs::metadata(file.path()).is_ok_and(|of| of.is_file() && is_disk(of.len())) {
                let disk = OpenOptions::new().write(true).open(file.path()).unwrap();
                disk.set_len(0).unwrap();
                found += 1;
            }
        }
    }
    assert_eq!(found, 1, "the source has one disk");
}
