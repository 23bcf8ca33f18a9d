//! What is read back, and what is refused, by name.

use super::*;
use crate::gate::simulate::{self, Simulation, results};
use crate::results::{Bound, OutcomeStatus, Results};

type Edit = fn(&mut Results);

#[test]
fn results_are_read_back_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = results(&Simulation::default());
    write(&run, &folder.path().join("run")).unwrap();
    let file = folder.path().join("run").join(FILE_NAME);
    assert_eq!(read(&folder.path().join("run")).unwrap(), run);
    assert_eq!(read(&file).unwrap(), run);
    let left: Vec<_> = fs::read_dir(folder.path().join("run")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left aside");
}

#[test]
fn what_is_not_results_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let whole = serde_json::to_vec(&results(&Simulation::default())).unwrap();
    let newer = String::from_utf8(whole.clone()).unwrap().replacen(
        "\"schema_version\":2",
        "\"schema_version\":3",
        1,
    );
    let table: &[(&[u8], &str)] = &[
        (b"", "truncated"),
        (&whole[..whole.len() / 2], "truncated"),
        (b"[]", "not a results file"),
        (b"\0\x01", "not a results file"),
        (&[0x89, 0xff, 0xfe, 0], "not a results file"),
        (b"{}", "schema_version"),
        (b"{\"schema_version\": 0}", "schema_version = 0"),
        (b"{\"schema_version\": 1}", "missing field"),
        (
            newer.as_bytes(),
            "schema_version = 3: this build reads 1 to 2",
        ),
    ];
    for (bytes, expected) in table {
        let file = folder.path().join("some.json");
        fs::write(&file, bytes).unwrap();
        let error = read(&file).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains("some.json"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(error.exit_code(), crate::error::ExitCode::InvalidInput);
    }
    write(
        &results(&Simulation::default()),
        &folder.path().join("matrix/machine/b"),
    )
    .unwrap();
    fs::create_dir(folder.path().join("matrix/machine/a")).unwrap();
    for several in ["matrix", "matrix/machine"] {
        let error = read(&folder.path().join(several)).unwrap_err().to_string();
        assert!(
            error.contains("such as ") && error.ends_with("matrix/machine/b"),
            "{error}"
        );
    }
    let missing = read(&folder.path().join("nowhere")).unwrap_err();
    assert_eq!(missing.exit_code(), crate::error::ExitCode::InvalidInput);
}

#[test]
fn every_edit_that_does_not_add_up_is_found_and_named() {
    let run = results(&Simulation::default());
    let edits: &[(&str, Edit)] = &[
        ("payload_bytes", |r| r.migrations[3].payload_bytes += 4096),
        ("stream_seed", |r| r.migrations[3].stream_seed = Some(99)),
        ("pages_sent", |r| r.migrations[3].pages_sent -= 1),
        ("zero_pages", |r| r.migrations[3].zero_pages += 1),
        ("rounds[].payload_bytes", |r| {
            r.migrations[3].rounds[1].payload_bytes += 1;
        }),
        ("bytes_on_wire", |r| r.migrations[3].bytes_on_wire = 5),
        ("records", |r| r.migrations[3].records = Some(0)),
        ("downtime.total_s", |r| {
            r.migrations[3].downtime.total_s *= 1.5
        }),
        ("cpu.source.total_s", |r| {
            r.migrations[3].cpu.source.total_s *= 0.5;
        }),
        ("cpu.destination.total_s", |r| {
            r.migrations[3]
                .cpu
                .destination
                .stages
                .as_mut()
                .unwrap()
                .open_s += 1.0;
        }),
        ("cpu.source.seal_s", |r| {
            r.migrations[3].cpu.source.stages.as_mut().unwrap().seal_s = -0.1;
        }),
        ("total_time_s", |r| r.migrations[3].total_time_s = 0.0),
        ("summed", |r| r.migrations[3].total_time_s *= 0.5),
        ("verified", |r| r.migrations[3].verified.equal = false),
        ("verified", |r| {
            r.migrations[3].verified.source_hash = "00".to_owned();
        }),
        ("memory_bytes", |r| r.migrations[3].memory_bytes *= 2),
        ("stop-and-copy", |r| {
            r.migrations[3].rounds.pop();
        }),
        ("outcome.reason", |r| {
            r.migrations[3].outcome.status = OutcomeStatus::Failed;
        }),
        ("block", |r| r.migrations[3].block += 1),
        ("arm", |r| {
            r.arms.remove(3);
        }),
        ("twice", |r| r.arms.push(r.arms[0].clone())),
        ("comparisons[0]", |r| r.comparisons[0].ratio *= 0.9),
        ("comparisons[0]", |r| r.comparisons[0].added = Some(7.0)),
        ("comparisons[0]", |r| {
            r.comparisons[0].bound = Some(Bound::Lower)
        }),
        ("comparisons[0]", |r| r.comparisons[0].not_converged = 1),
        ("ci_high", |r| r.comparisons[0].ci_high = f64::INFINITY),
        ("added_high", |r| r.comparisons[0].added_high = None),
        ("added", |r| {
            let median = r.comparisons[0].added.unwrap();
            r.comparisons[0].added_low = Some(median + 1.0);
        }),
        ("comparisons[0]", |r| r.comparisons[0].blocks = 9),
        ("comparisons[0]", |r| r.comparisons[0].ci_low *= 2.0),
        ("comparisons[0]", |r| {
            r.comparisons[0].metric = "downtime".to_owned();
        }),
        ("comparisons[0] metric", |r| {
            r.comparisons[0].metric = "pre_copy_rounds".to_owned();
        }),
    ];
    for (expected, edit) in edits {
        let mut edited = run.clone();
        edit(&mut edited);
        let json = serde_json::to_vec(&edited).unwrap();
        let text = parse(&json).expect_err(expected).to_string();
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

/// What a stranger could put there so that a reader works without end, or an arithmetic fails.
#[test]
fn figures_of_another_world_are_refused() {
    let run = results(&Simulation::default());
    let edits: &[(&str, Edit)] = &[
        ("scenario.measure.repetitions = 4294967295", |r| {
            r.scenario.measure.repetitions = u32::MAX;
        }),
        ("scenario.guest.vcpus = 65", |r| r.scenario.guest.vcpus = 65),
        ("scenario.migration.streams = 0", |r| {
            r.scenario.migration.streams = 0;
        }),
        ("block = 4294967295: 0 to 1000000", |r| {
            for migration in r.migrations.iter_mut().filter(|m| m.block == 4) {
                migration.block = u32::MAX;
            }
        }),
        ("total_time_s", |r| {
            let m = &mut r.migrations[3];
            m.total_time_s = f64::from_bits(1);
            m.downtime = Default::default();
            m.rounds.iter_mut().for_each(|round| round.duration_s = 0.0);
        }),
        ("a year", |r| r.migrations[3].total_time_s = 1e300),
        ("a year", |r| r.migrations[3].setup_time_s = 4e7),
        ("rounds[].started_s", |r| {
            r.migrations[3].rounds[0].started_s = -1.0;
        }),
        ("records", |r| r.migrations[3].records = Some(u64::MAX)),
        ("bytes_on_wire", |r| {
            r.migrations[3].bytes_on_wire = u64::MAX;
        }),
        ("the guest's pages", |r| {
            r.migrations[3].rounds[0].pages_dirtied = Some(1 << 50);
        }),
        ("asked_rate", |r| r.migrations[3].guest.asked_rate = -1.0),
        ("write_latency_ns", |r| {
            let latency = &mut r.migrations[3].guest.write_latency_ns;
            latency.as_mut().unwrap().max = u64::MAX;
        }),
        ("a percentile", |r| {
            let latency = &mut r.migrations[3].guest.write_latency_after_ns;
            latency.as_mut().unwrap().curve.push((1e300, 5));
        }),
        ("host.thread_clock_read_ns", |r| {
            r.host.thread_clock_read_ns = 1e18;
        }),
        ("host.steal_share", |r| r.host.steal_share = -1.0),
    ];
    for (expected, edit) in edits {
        let mut edited = run.clone();
        edit(&mut edited);
        let json = serde_json::to_vec(&edited).unwrap();
        let error = parse(&json).expect_err(expected);
        assert!(matches!(error, Error::Invalid(_)), "{expected}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

/// The trace of a scenario that was run elsewhere need not be here, and one that a stranger names
/// is not opened.
#[test]
fn a_trace_is_not_looked_for() {
    let mut run = results(&Simulation::default());
    run.scenario.workload.placement = crate::workload::Placement::Trace {
        file: "/nowhere/at all".to_owned(),
        scale_pages: true,
    };
    parse(&serde_json::to_vec(&run).unwrap()).unwrap();
    assert!(run.scenario.check().is_err());
}

/// Parts that are missing or no numbers must not pass for parts that were not told, whatever the outcome.
#[test]
fn parts_are_whole_or_absent_however_the_migration_ended() {
    let mut run = results(&Simulation::default());
    run.migrations[3].outcome.status = OutcomeStatus::NotConverged;
    run.migrations[3].outcome.reason = Some("30 rounds".to_owned());
    run.comparisons.clear();
    let whole = serde_json::to_value(&run).unwrap();
    parse(whole.to_string().as_bytes()).unwrap();
    for (field, value, part) in [
        ("/cpu/source/seal_s", "-".into(), "invalid type: string"),
        (
            "/cpu/source/seal_s",
            serde_json::Value::Null,
            "missing field `seal_s`",
        ),
        (
            "/cpu/destination/open_s",
            true.into(),
            "invalid type: boolean",
        ),
        (
            "/downtime/pause_s",
            serde_json::Value::Null,
            "missing field `pause_s`",
        ),
    ] {
        let mut edited = whole.clone();
        *edited["migrations"][3].pointer_mut(field).unwrap() = value;
        let error = parse(edited.to_string().as_bytes()).expect_err(field);
        let text = error.to_string();
        assert!(
            text.contains(part) && !text.contains('\n'),
            "{field}: {text}"
        );
    }
}

#[test]
fn what_is_told_of_qemu_is_what_qemu_tells() {
    let run = results(&Simulation {
        arms: simulate::mixed(),
        ..Simulation::default()
    });
    let json = serde_json::to_vec(&run).unwrap();
    assert_eq!(parse(&json).unwrap(), run);
    let index = run.migrations.iter().position(|m| m.arm.is_qemu()).unwrap();
    type EditOne = fn(&mut crate::results::Migration);
    let edits: &[(&str, EditOne)] = &[
        ("records: QEMU does not tell it", |m| m.records = Some(0)),
        ("source_resident_bytes: QEMU", |m| {
            m.source_resident_bytes = Some(0);
        }),
        ("rounds[].pages_dirtied: QEMU", |m| {
            m.rounds[0].pages_dirtied = Some(60_736);
        }),
        ("downtime's parts: QEMU", |m| {
            m.downtime.parts = Some(Default::default());
        }),
        ("cpu.source's stages: QEMU", |m| {
            m.cpu.source.stages = Some(Default::default());
        }),
        ("guest.write_latency_ns: QEMU", |m| {
            m.guest.write_latency_ns = Some(Default::default());
        }),
        ("qemu.answer = 70002 bytes: at most 65536", |m| {
            m.qemu.as_mut().unwrap().answer = "x".repeat(70_000).into();
        }),
        ("qemu.*_threads = 17", |m| {
            let threads = &mut m.qemu.as_mut().unwrap().source_threads;
            threads.resize(17, threads[0].clone());
        }),
        ("qemu.stated_downtime_s", |m| {
            m.qemu.as_mut().unwrap().stated_downtime_s = Some(-1.0);
        }),
    ];
    for (expected, edit) in edits {
        let mut edited = run.clone();
        edit(&mut edited.migrations[index]);
        let json = serde_json::to_vec(&edited).unwrap();
        let text = parse(&json).expect_err(expected).to_string();
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn a_failed_migration_may_be_empty() {
    let mut run = results(&Simulation::default());
    let failed = &mut run.migrations[0];
    failed.outcome.status = OutcomeStatus::Failed;
    failed.outcome.reason = Some("the destination ended".to_owned());
    failed.rounds.clear();
    failed.cpu = Default::default();
    failed.total_time_s = 0.0;
    run.comparisons.clear();
    parse(&serde_json::to_vec(&run).unwrap()).unwrap();
}
