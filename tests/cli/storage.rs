//! Guests with a disk.

use migtax::arm::Arm;
use migtax::guest::disk::{Disk, DiskIo, folder};
use migtax::report::chart;
use migtax::results::{OutcomeStatus, Storage};
use migtax::units::{PAGE_SIZE, Size};

use crate::command::{migtax, run, scenario_file};

const TEXT: &str = r#"
name = "disk"
[guest]
memory = "16MiB"
[workload]
rate = "10MiB/s"
[storage]
size = "12MiB"
rate = "20MiB/s"
content = { zero = 0.25 }
[migration]
streams = 2
record = "64KiB"
link = "4Gbit/s"
downtime_limit = "300ms"
[measure]
repetitions = 2
warmup = 0
arms = ["plain", "copy", "rustcrypto", "aws-lc", "tls"]
"#;

#[test]
fn a_disk_goes_with_its_guest_and_both_are_equal() {
    let made = run(TEXT, &[]);
    assert_eq!(made.code, 0);
    let results = made.results;
    for m in &results.migrations {
        let context = format!("{} {:?}", m.arm, m.outcome);
        assert_eq!(m.outcome.status, OutcomeStatus::Completed, "{context}");
        let disk: &Storage = m.storage.as_ref().unwrap();
        assert!(
            disk.verified.equal && disk.size_bytes == 12 << 20,
            "{context}"
        );
        // A quarter is holes; what the guest wrote to these ahead of the copy went with it.
        let content = 9 << 20;
        let most = content + disk.writes * PAGE_SIZE as u64;
        assert!(
            (content..=most).contains(&disk.copied_bytes),
            "{context}: {disk:?}"
        );
        assert!(
            disk.mirrored_writes > 0 && disk.mirrored_writes <= disk.writes,
            "{disk:?}"
        );
        assert_eq!(disk.mirrored_bytes, disk.mirrored_writes * PAGE_SIZE as u64);
        assert!(
            disk.bytes_on_wire > disk.sent_bytes() && disk.copy_s > 0.0,
            "{disk:?}"
        );
        // At half of 4 Gbit/s a disk of 9 MiB takes 19 ms at least: the link is memory's too.
        assert!(disk.copy_s > 0.018, "{disk:?}");
        assert!(
            disk.source_cpu.read_s > 0.0 && disk.destination_cpu.write_s > 0.0,
            "{disk:?}"
        );
        let (seals, opens) = (disk.source_cpu.seal_s, disk.destination_cpu.open_s);
        assert!(
            // Opening a copy is nothing to do.
            m.arm == Arm::PLAIN || seals > 0.0 && (opens > 0.0 || m.arm == Arm::COPY),
            "{context}: {disk:?}"
        );
        for latency in [
            &disk.write_latency_before_ns,
            &disk.write_latency_copying_ns,
            &disk.write_latency_mirroring_ns,
            &disk.write_latency_after_ns,
        ] {
            assert!(latency.count > 0, "{context}: {disk:?}");
        }
        // Memory's own figures have nothing of it.
        assert!(
            m.bytes_on_wire < m.payload_bytes + disk.copied_bytes,
            "{context}"
        );
    }
    let mut edited = results.clone();
    edited.migrations[3].storage.as_mut().unwrap().copied_bytes = 13 << 20;
    let error = migtax::run_folder::parse(&serde_json::to_vec(&edited).unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("storage.copied_bytes"),
        "{error}"
    );
    for metric in [
        "disk_time",
        "disk_source_cpu_per_gib",
        "whole_destination_cpu_per_gib",
    ] {
        let of = |c: &&migtax::results::Comparison| c.metric == metric && c.arm == Arm::AWS_LC;
        assert_eq!(results.comparisons.iter().filter(of).count(), 2, "{metric}");
    }
    let mut drawn = chart::of_run(&results).into_iter();
    assert!(drawn.any(|chart| chart.name == "storage"));
}

#[test]
fn the_disk_of_a_guest_that_stays_has_every_write() {
    let text = TEXT.replace(
        "downtime_limit = \"300ms\"",
        "downtime_limit = \"1ns\"\nmax_rounds = 3",
    );
    let made = run(&text, &["--arms", "plain,aws-lc", "--reps", "1"]);
    assert_eq!(made.code, 0);
    for m in made.results.migrations {
        assert_eq!(m.outcome.status, OutcomeStatus::NotConverged);
        let disk = m.storage.unwrap();
        assert_eq!(disk.writes_verified, Some(true));
        assert!(
            disk.mirrored_writes > 0 && disk.verified.source_hash.is_empty(),
            "{disk:?}"
        );
        assert!(disk.write_latency_after_ns.count > 0, "{disk:?}");
    }
}

#[test]
fn a_disk_goes_past_the_page_cache() {
    if let Err(error) = Disk::create(&folder(None), Size(PAGE_SIZE as u64), DiskIo::Direct) {
        assert!(error.to_string().contains("storage.io"), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    let text = TEXT.replace("[storage]", "[storage]\nio = \"direct\"");
    let made = run(&text, &["--arms", "plain,copy,aws-lc,tls", "--reps", "1"]);
    assert_eq!(made.code, 0);
    let storage = made.results.scenario.storage.unwrap();
    assert_eq!(storage.io, DiskIo::Direct);
    assert_eq!(made.results.migrations.len(), 4);
    for m in made.results.migrations {
        assert_eq!(m.outcome.status, OutcomeStatus::Completed, "{}", m.arm);
        let disk = m.storage.unwrap();
        // Three quarters of it are content, and what was written meanwhile is there as well.
        assert!(disk.verified.equal, "{}: {disk:?}", m.arm);
        assert!(
            disk.copied_bytes >= 9 << 20 && disk.mirrored_writes > 0,
            "{}: {disk:?}",
            m.arm
        );
    }
}

#[test]
fn an_empty_disk_takes_no_room_and_an_idle_one_no_writes() {
    let text = TEXT
        .replace(
            "rate = \"20MiB/s\"\ncontent = { zero = 0.25 }",
            "rate = \"0MiB/s\"\ncontent = { zero = 1.0, compressible = 0.0 }",
        )
        .replace("12MiB", "512MiB");
    let made = run(&text, &["--arms", "plain", "--reps", "1"]);
    assert_eq!(made.code, 0);
    let disk = made.results.migrations[0].storage.as_ref().unwrap();
    assert_eq!((disk.copied_bytes, disk.writes, disk.records), (0, 0, 1));
    assert!(disk.verified.equal);
}

#[test]
fn what_is_said_of_a_disk_is_named_if_it_can_not_be() {
    for (from, to, expected) in [
        ("12MiB", "12345B", "storage.size = 12345B: "),
        ("12MiB", "1024TiB", "storage.size = "),
        (
            "zero = 0.25",
            "zero = 1.5",
            "storage.content.zero = 1.5: a share from 0 to 1",
        ),
        ("[storage]", "[storage]\nio = \"mapped\"", "storage.io"),
        ("[storage]", "[storage]\nsise = 1", "sise"),
        (
            "[storage]",
            "[storage]\nfolder = \"/nowhere\"",
            "storage.folder = /nowhere: a folder on this host",
        ),
        (
            "[storage]",
            "[storage]\nplacement = { model = \"uniform\", working_set = 2.0 }",
            "storage.placement.working_set = 2",
        ),
        (
            "[storage]",
            "[storage]\nplacement = { model = \"trace\", file = \"redis\" }",
            "storage.placement = \"trace\": ",
        ),
        (
            "warmup = 0",
            "warmup = 0\nclock = \"virtual\"",
            "storage = given: none with the virtual clock",
        ),
        ("\"tls\"]", "\"ssh\"]", "storage = given: none with ssh"),
        (
            "\"tls\"]",
            "\"qemu-plain\"]",
            "storage = given: none with qemu-plain",
        ),
    ] {
        let (folder, path) = scenario_file(&TEXT.replacen(from, to, 1));
        let out = folder.path().join("out");
        let said = migtax().args(["run", &path, "--out"]).arg(&out).output();
        let said = said.unwrap();
        assert!(!out.exists(), "{expected}");
        let text = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(2), "{expected}: {text}");
        assert!(
            text.contains(expected) && text.lines().count() == 1,
            "{expected}: {text}"
        );
    }
}
