//! Migrations that QEMU makes, from outside: every arm, its options, its figures.

use migtax::arm::Arm;
use migtax::qemu::program::Program;
use migtax::results::{Migration, OutcomeStatus, PolicyDecision, RoundKind};

use crate::command::{migtax, run, scenario_file};

/// Whether QEMU is here; says so if not.
fn is_here() -> bool {
    let program = Program::probe(None);
    if let Err(missing) = &program {
        eprintln!("skipped: {missing}");
    }
    program.is_ok()
}

fn scenario(more: &str) -> String {
    format!(
        r#"
name = "qemu arms"
[guest]
memory = "32MiB"
vcpus = 2
content = {{ zero = 0.25, compressible = 0.25 }}
[workload]
rate = "8MiB/s"
[migration]
downtime_limit = "300ms"
time_limit = "60s"
{more}
[measure]
repetitions = 1
warmup = 0
window = "20ms"
"#
    )
}

fn of(migrations: &[Migration], arm: Arm) -> &Migration {
    migrations.iter().find(|m| m.arm == arm).unwrap()
}

#[test]
fn every_arm_moves_the_same_guest_and_tells_what_it_can() {
    if !is_here() {
        return;
    }
    let arms = "plain,qemu-plain,qemu-tls-soft,qemu-tls";
    let outcome = run(&scenario(""), &["--arms", arms]);
    let results = &outcome.results;
    for info in &results.arms {
        assert!(info.supported, "{}: {:?}", info.name, info.reason);
        assert_eq!(info.qemu.is_some(), info.name.is_qemu());
        let Some(qemu) = &info.qemu else { continue };
        assert!(qemu.machine.starts_with("pc-i440fx-"), "{qemu:?}");
        let Some(tls) = &qemu.tls else {
            assert_eq!(info.policy_decision, PolicyDecision::Baseline);
            continue;
        };
        assert_eq!(tls.protocol, "TLS1.3");
        assert_eq!(tls.cipher_suite, "TLS_AES_256_GCM_SHA384");
        assert!(tls.library.starts_with("GnuTLS 3."), "{tls:?}");
        // The mask takes the instructions away, which costs.
        let masked = tls
            .mask
            .map(|mask| mask.masked_cpu_s_per_gib / mask.unmasked_cpu_s_per_gib);
        assert_eq!(masked.is_some(), info.name == Arm::QEMU_TLS_SOFT);
        assert!(masked.is_none_or(|ratio| ratio > 2.0), "{tls:?}");
    }
    assert_eq!(outcome.code, 0);
    let plain = of(&results.migrations, Arm::PLAIN);
    for m in results.migrations.iter().filter(|m| m.arm.is_qemu()) {
        let context = format!("{}: {:?}", m.arm, m.outcome);
        assert_eq!(m.outcome.status, OutcomeStatus::Completed, "{context}");
        assert!(m.verified.equal, "{context}");
        assert_eq!((m.block, m.stream_seed), (plain.block, plain.stream_seed));
        assert_eq!(m.rounds.last().unwrap().kind, RoundKind::StopAndCopy);
        // All of the guest was sent, and a quarter of it as zero pages at least.
        let pages = m.memory_bytes / 4096;
        assert!(m.pages_sent + m.zero_pages >= pages, "{context}");
        assert!(m.zero_pages >= pages / 4, "{context}");
        assert!(m.guest.writes > 0 && m.guest.asked_rate > 0.0, "{context}");
        let qemu = m.qemu.as_ref().unwrap();
        assert_eq!(qemu.answer["status"], "completed");
        let close = |seen: f64, stated: f64| seen + 0.005 >= stated;
        assert!(
            close(m.total_time_s, qemu.stated_total_time_s.unwrap()),
            "{context}: {qemu:?}"
        );
        assert!(m.total_time_s >= m.downtime.total_s);
        // The first of its syncs is the start; the last finds what is left once the guest has stopped, and
        // the one before that is what the stop was decided on. What ends before QEMU has measured bandwidth
        // (100 ms) is decided on without one.
        let syncs = qemu.answer["ram"]["dirty-sync-count"]
            .as_u64()
            .unwrap()
            .max(3);
        assert_eq!(m.rounds.len() as u64, syncs - 1, "{context}: {syncs} syncs");
        let kinds = m.rounds.iter().filter(|r| r.kind == RoundKind::PreCopy);
        assert_eq!(kinds.count() as u64, syncs - 2, "{context}");
        let zero = |r: &migtax::results::Round| {
            r.zero_pages as f64 / (r.pages_sent + r.zero_pages).max(1) as f64
        };
        assert!(zero(&m.rounds[0]) > 0.2, "{context}: {:?}", m.rounds[0]);
        // What QEMU does not tell is absent.
        assert!(m.cpu.source.stages.is_none() && m.cpu.destination.stages.is_none());
        assert!(m.downtime.parts.is_none());
        let json = serde_json::to_value(m).unwrap();
        assert!(json["cpu"]["source"].get("seal_s").is_none());
        assert!(json["downtime"].get("pause_s").is_none());
        for field in [
            "records",
            "source_resident_bytes",
            "destination_resident_bytes",
        ] {
            assert!(json.get(field).is_none(), "{field}");
        }
        for field in [
            "write_latency_ns",
            "write_latency_before_ns",
            "write_latency_after_ns",
        ] {
            assert!(json["guest"].get(field).is_none(), "{field}");
        }
        for field in ["pages_dirtied", "expected_downtime_s"] {
            assert!(json["rounds"][0].get(field).is_none(), "{field}");
        }
        let of_threads: f64 = qemu.source_threads.iter().map(|t| t.cpu_s).sum();
        assert!(
            (of_threads - m.cpu.source.total_s).abs() < 1e-6,
            "{context}"
        );
    }
    for comparison in &results.comparisons {
        assert_eq!(comparison.against, comparison.arm.base(), "{comparison:?}");
    }
    assert!(results.comparisons.iter().any(|c| c.arm == Arm::QEMU_TLS));
}

#[test]
fn qemus_options_reach_it() {
    if !is_here() {
        return;
    }
    let arms = ["--arms", "qemu-plain,qemu-tls"];
    for (more, flags) in [
        ("streams = 2", &arms[..]),
        ("streams = 2\n[qemu]\ncompression = \"zlib\"", &arms),
        ("streams = 3\n[qemu]\ncompression = \"zstd\"", &arms),
        ("streams = 2\n[qemu]\nzero_copy_send = true", &arms),
        (
            "[qemu]\nauto_converge = true\naccelerator = \"tcg\"",
            &arms[..],
        ),
        (
            "destination_memory = \"on-demand\"",
            &["--arms", "qemu-plain", "--pages", "thp"],
        ),
    ] {
        let outcome = run(&scenario(more), flags);
        for m in &outcome.results.migrations {
            assert_eq!(
                m.outcome.status,
                OutcomeStatus::Completed,
                "{more}: {:?}",
                m.outcome
            );
            let qemu = m.qemu.as_ref().unwrap();
            let streams = outcome.results.scenario.migration.streams;
            assert_eq!(
                qemu.channels,
                if streams == 1 { 0 } else { streams },
                "{more}"
            );
            let multifd = qemu.answer["ram"]["multifd-bytes"].as_u64().unwrap();
            assert_eq!(multifd > 0, streams > 1, "{more}");
            // A QEMU that counts what it had before it compressed is told of.
            if more.contains("compression") {
                let told = m.warnings.iter().any(|w| w.code == "uncompressed_bytes");
                assert_eq!(told, m.bytes_on_wire >= m.payload_bytes, "{more}");
            }
        }
    }
}

#[test]
fn a_saved_answer_stands_beside_a_run_and_two_runs_are_judged() {
    if !is_here() {
        return;
    }
    let (folder, path) = scenario_file(&scenario(""));
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["a", "b"] {
        let out = at(name);
        let status = migtax()
            .args(["run", &path, "--arms", "qemu-plain,qemu-tls", "--out", &out])
            .status();
        assert!(status.unwrap().success());
    }
    let page = std::fs::read_to_string(at("a/index.html")).unwrap();
    assert!(page.contains("id=\"qemu-table\"") && page.contains("id=\"tax-table-qemu-plain\""));
    assert!(page.contains("TLS_AES_256_GCM_SHA384") && page.contains("In QEMU, encrypting"));
    let verdict = migtax()
        .args([
            "gate",
            "--baseline",
            &at("a"),
            "--candidate",
            &at("b"),
            "--format",
            "json",
        ])
        .output()
        .unwrap();
    let verdict: serde_json::Value = serde_json::from_slice(&verdict.stdout).unwrap();
    let rows = verdict["rows"].as_array().unwrap();
    let judged = |metric: &str| {
        let named = |row: &&serde_json::Value| row["arm"] == "qemu-tls" && row["metric"] == metric;
        rows.iter().find(named).map(|row| row["verdict"].clone())
    };
    // One block proves nothing of figures.
    assert_eq!(judged("completed").unwrap(), "pass", "{verdict}");
    assert_eq!(judged("seal_cpu_per_gib"), None, "{verdict}");
    let saved = r#"{"return": {"status": "completed", "total-time": 61000, "downtime": 250,
        "ram": {"transferred": 68719476736, "normal": 16777216}}, "label": "host7 <b>"}"#;
    std::fs::write(at("answer.json"), saved).unwrap();
    let out = at("beside");
    let done = migtax()
        .args(["report", &at("a"), &at("answer.json"), "--out", &out])
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let page = std::fs::read_to_string(at("beside/index.html")).unwrap();
    assert!(page.contains("host7 &lt;b&gt;") && page.contains("1.05") && page.contains("qemu-tls"));
    let alone = migtax()
        .args(["report", &at("answer.json")])
        .output()
        .unwrap();
    assert_eq!(alone.status.code(), Some(2));
    std::fs::write(at("answer.json"), "[{}]").unwrap();
    let none = migtax()
        .args(["report", &at("a"), &at("answer.json")])
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&none.stderr).lines().count(), 1);
}
