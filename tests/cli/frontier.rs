//! The frontier: found exactly under the virtual clock, with an interval under the live one.

use std::path::Path;
use std::process::{Output, Stdio};

use crate::bad_input::refused;
use crate::command::{migtax, run, scenario_file};
use crate::interrupted::interrupt_after;
use migtax::arm::Arm;
use migtax::frontier::{Entry, FrontierFile, file};
use migtax::results::{Bound, OutcomeStatus};

/// A guest that converges over this link up to some rate.
const EDGE: &str = r#"
name = "edge"
[guest]
memory = "16MiB"
device_state = "64KiB"
[workload]
rate = "20MiB/s"
placement = { model = "uniform", working_set = 0.5 }
[migration]
link = "1Gbit/s"
downtime_limit = "10ms"
max_rounds = 12
[measure]
clock = "virtual"
warmup = 0
arms = ["plain", "aws-lc"]
"#;

fn frontier(text: &str, flags: &[&str]) -> (FrontierFile, i32) {
    let (folder, path) = scenario_file(text);
    let out = folder.path().join("run");
    let output = start(&path, &out, flags).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let found = file::parse(&output.stdout).unwrap_or_else(|e| panic!("{e}; it said: {said}"));
    for name in ["frontier.json", "frontier.png", "index.html", "summary.md"] {
        let there = out.join(name).exists();
        // Without anything to draw there is no picture.
        let drawn = found
            .frontier
            .iter()
            .any(|entry| entry.low.or(entry.high).is_some());
        assert!(there || (name == "frontier.png" && !drawn), "{name}");
    }
    assert_eq!(file::read(&out).unwrap(), found);
    (found, output.status.code().unwrap())
}

fn start(path: &str, out: &Path, flags: &[&str]) -> std::process::Command {
    let mut command = migtax();
    command.args(["frontier", path, "--json", "--out"]).arg(out);
    command.args(flags);
    command
}

#[test]
fn under_the_virtual_clock_it_lies_between_two_neighbouring_rates_that_run_confirms() {
    let (found, code) = frontier(EDGE, &[]);
    assert_eq!(code, 0);
    assert_eq!(found.frontier.len(), 2);
    let [plain, sealed] = &found.frontier[..] else {
        panic!("{found:?}")
    };
    assert_eq!((plain.arm, sealed.arm), (Arm::PLAIN, Arm::AWS_LC));
    let (low, high) = (plain.low.unwrap(), plain.high.unwrap());
    assert_eq!(high - low, 4096.0, "one page write a second");
    assert_eq!(plain.rate_bytes_per_s, plain.low);
    assert!(plain.precise && plain.level.is_none() && plain.reason.is_none());
    // Payload decides there, so the other arm has the same; it was probed on both sides all the same.
    assert_eq!(
        (sealed.low, sealed.high, sealed.probes),
        (plain.low, plain.high, 2)
    );
    assert!(plain.probes < 40, "{}", plain.probes);
    for (rate, status) in [
        (low, OutcomeStatus::Completed),
        (high, OutcomeStatus::NotConverged),
    ] {
        let rate = format!("{}B/s", rate as u64);
        let made = run(EDGE, &["--rate", &rate, "--reps", "1"]);
        assert_eq!(made.results.migrations.len(), 2);
        for m in made.results.migrations {
            assert_eq!(m.outcome.status, status, "{rate} {}", m.arm);
        }
    }
    let (again, _) = frontier(EDGE, &[]);
    assert_eq!(
        (again.frontier, again.probes),
        (found.frontier, found.probes)
    );
}

#[test]
fn a_share_ends_the_search_earlier_and_links_and_limits_make_a_matrix() {
    let flags = ["--arms", "plain", "--precision", "0.05"];
    let matrix = [
        "--link",
        "500Mbit/s,1Gbit/s",
        "--downtime-limits",
        "10ms,20ms",
    ];
    let (found, _) = frontier(EDGE, &[&flags[..], &matrix].concat());
    let all: Vec<(&str, f64, f64)> = (found.frontier.iter())
        .map(|e| (&e.link[..], e.downtime_limit_s, e.rate_bytes_per_s.unwrap()))
        .collect();
    let rate = |link, limit| {
        let of = |entry: &&(&str, f64, f64)| (entry.0, entry.1) == (link, limit);
        all.iter().find(of).unwrap().2
    };
    assert_eq!(all.len(), 4);
    assert!(
        rate("1Gbit/s", 0.01) > 1.5 * rate("500Mbit/s", 0.01),
        "{all:?}"
    );
    for link in ["500Mbit/s", "1Gbit/s"] {
        assert!(rate(link, 0.02) > rate(link, 0.01), "{all:?}");
    }
    for entry in &found.frontier {
        let (low, high) = (entry.low.unwrap(), entry.high.unwrap());
        assert!(high / low <= 1.05 && high - low > 4096.0 && entry.probes < 14);
    }
}

#[test]
fn what_no_rate_reaches_is_a_bound() {
    // All that it writes to fits the limit: it converges at any rate.
    let small = EDGE.replace("working_set = 0.5", "working_set = 0.01");
    let (found, _) = frontier(&small, &["--arms", "plain"]);
    let entry = &found.frontier[0];
    assert_eq!(entry.bound, Some(Bound::Lower));
    assert_eq!((entry.rate_bytes_per_s, entry.high), (None, None));
    assert!(entry.low.unwrap() >= 1e9 && entry.reason.is_some());
    // Its device state alone takes longer.
    let large = EDGE.replace("64KiB", "8MiB");
    let (found, code) = frontier(&large, &["--arms", "plain"]);
    let entry = &found.frontier[0];
    assert_eq!(
        (entry.bound, entry.low, code),
        (Some(Bound::Upper), None, 0)
    );
}

#[test]
fn an_interrupted_search_goes_on_and_finds_the_same() {
    let (whole, _) = frontier(EDGE, &[]);
    let (folder, path) = scenario_file(EDGE);
    let out = folder.path().join("run");
    let mut child = start(&path, &out, &[])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let probes = || file::read(&out).map_or(0, |found| found.probes.len());
    interrupt_after(&mut child, libc::SIGINT, 3, probes);
    let cut = file::read(&out).unwrap();
    assert!(cut.interrupted && !cut.frontier[0].precise && cut.frontier[0].reason.is_some());
    assert_eq!(cut.probes[..], whole.probes[..cut.probes.len()]);
    let resume = |flags: &[&str]| -> Output {
        let mut command = migtax();
        command.args(["frontier", "--json", "--resume"]).arg(&out);
        command.args(flags).output().unwrap()
    };
    refused(&resume(&["--memory", "8MiB"]), &["--resume"]);
    assert_eq!(file::read(&out).unwrap(), cut, "nothing is lost by that");
    let output = resume(&[]);
    assert_eq!(output.status.code(), Some(0));
    let found = file::parse(&output.stdout).unwrap();
    assert!(!found.interrupted);
    assert_eq!(
        (found.frontier, found.probes),
        (whole.frontier, whole.probes)
    );
}

#[test]
fn live_searches_take_turns_and_keep_to_their_budget() {
    let live = EDGE.replace("\"virtual\"", "\"live\"\nwindow = \"10ms\"");
    let (folder, path) = scenario_file(&live);
    let (out, again) = (folder.path().join("run"), folder.path().join("again"));
    let output = start(&path, &out, &["--budget", "10s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let found = file::parse(&output.stdout).unwrap();
    assert_eq!(file::read(&out).unwrap(), found);
    assert!(
        !found.interrupted && found.probes.len() >= 2,
        "{:?}",
        found.probes
    );
    for turn in found.probes.chunks_exact(2) {
        assert_ne!(turn[0].arm, turn[1].arm);
        assert_eq!(turn[0].block, turn[1].block);
        assert_eq!(turn[0].stream_seed, turn[1].stream_seed);
    }
    for probe in &found.probes {
        let kept = probe.schedule_kept.unwrap();
        let asked = probe.rate_asked_bytes_per_s as f64;
        assert_eq!(probe.rate_achieved_bytes_per_s, Some(kept * asked));
        assert!(kept > 0.0 && probe.total_time_s > 0.0 && probe.rounds > 0);
    }
    for entry in &found.frontier {
        let Entry { low, high, .. } = entry;
        assert_eq!(entry.level.is_some(), entry.rate_bytes_per_s.is_some());
        assert!(low.zip(*high).is_none_or(|(low, high)| low < high));
    }
    // Costs were measured first; from them, and from no others, come the predictions.
    for arm in [Arm::PLAIN, Arm::AWS_LC] {
        let predicted = found.predicted(0, arm).unwrap();
        let rate = predicted.rate_bytes_per_s;
        assert!((1e6..1e9).contains(&rate), "{arm}: {rate}");
    }
    let calibration = out.join("calibration");
    let flags = ["--budget", "0s", "--predict", calibration.to_str().unwrap()];
    let output = start(&path, &again, &flags).output().unwrap();
    let quick = file::parse(&output.stdout).unwrap();
    assert_eq!(
        (quick.probes.len(), &quick.predicted),
        (0, &found.predicted)
    );
    assert!(!again.join("calibration").exists());
}

#[test]
fn bad_input() {
    let idle = EDGE.replace("20MiB/s", "0MiB/s");
    let throttled = EDGE.replace("[measure]", "on_stall = \"throttle\"\n[measure]");
    let rates = EDGE.replace("\"20MiB/s\"", "[\"20MiB/s\", \"30MiB/s\"]");
    let cases: &[(&str, &[&str], &[&str])] = &[
        (&idle, &[], &["workload.rate", "0B/s", "idle"]),
        (
            &throttled,
            &[],
            &["migration.on_stall", "throttle", "abort"],
        ),
        (&rates, &[], &["workload.rate", "list"]),
        (EDGE, &["--link", "1Gbit/s,10GB/s"], &["10GB/s", "Gbit/s"]),
        (
            EDGE,
            &["--link", "1Gbit/s,1Gbit/s"],
            &["migration.link", "once"],
        ),
        (EDGE, &["--downtime-limits", "50ms,300"], &["300", "ms"]),
        (
            EDGE,
            &["--link", "unlimited"],
            &["migration.link", "virtual"],
        ),
        (EDGE, &["--precision", "0"], &["precision", "0.05"]),
        (EDGE, &["--predict", "."], &["--predict", "live clock"]),
        (EDGE, &["--reps", "3"], &["--reps", "--precision"]),
        (EDGE, &["--resume", "nowhere"], &["--resume"]),
    ];
    for (text, flags, words) in cases {
        let (folder, path) = scenario_file(text);
        let out = folder.path().join("run");
        refused(&start(&path, &out, flags).output().unwrap(), words);
        assert!(!out.exists(), "{flags:?} left a folder");
    }
}

#[test]
fn a_folder_with_a_search_is_not_written_over_and_a_damaged_one_not_resumed() {
    let (folder, path) = scenario_file(EDGE);
    let out = folder.path().join("run");
    let flags = ["--arms", "plain", "--precision", "0.5"];
    assert_eq!(
        start(&path, &out, &flags).output().unwrap().status.code(),
        Some(0)
    );
    refused(
        &start(&path, &out, &flags).output().unwrap(),
        &["--out", "--resume"],
    );
    let whole: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("frontier.json")).unwrap()).unwrap();
    type Edit = fn(&mut serde_json::Value);
    let edits: &[(&str, Edit)] = &[
        ("scenario", |f| f["probes"][0]["scenario"] = 7.into()),
        ("arm", |f| f["probes"][0]["arm"] = "aws-lc".into()),
        ("block", |f| f["probes"][1]["block"] = 9.into()),
        ("converged", |f| f["probes"][0]["converged"] = false.into()),
        ("schedule_kept", |f| {
            f["probes"][0]["schedule_kept"] = 2.into()
        }),
        ("rate_asked", |f| {
            f["probes"][0]["rate_asked_bytes_per_s"] = 5.into()
        }),
        ("total_time_s", |f| {
            f["probes"][0]["total_time_s"] = 1e300.into()
        }),
        ("precision", |f| f["precision"] = 9.into()),
        ("vcpus", |f| f["scenarios"][0]["guest"]["vcpus"] = 65.into()),
        ("schema_version", |f| f["schema_version"] = 2.into()),
        ("scenarios", |f| f["scenarios"] = serde_json::json!([])),
        ("not a frontier", |f| {
            *f = serde_json::json!({"schema_version": 1})
        }),
    ];
    for (word, edit) in edits {
        let mut edited = whole.clone();
        edit(&mut edited);
        let damaged = folder.path().join("damaged");
        std::fs::create_dir_all(&damaged).unwrap();
        std::fs::write(damaged.join("frontier.json"), edited.to_string()).unwrap();
        let mut command = migtax();
        command.args(["frontier", "--resume"]).arg(&damaged);
        refused(&command.output().unwrap(), &[word, "frontier.json"]);
    }
}

#[test]
fn an_arm_that_policy_forbids_is_named_with_its_reason() {
    let flags = [
        "--arms",
        "plain,aws-lc-soft",
        "--policy",
        "required",
        "--precision",
        "0.5",
    ];
    let (found, code) = frontier(EDGE, &flags);
    assert_eq!(code, 6);
    assert!(found.frontier[0].precise);
    let forbidden = &found.frontier[1];
    assert_eq!((forbidden.probes, forbidden.rate_bytes_per_s), (0, None));
    assert!(
        forbidden
            .reason
            .as_ref()
            .unwrap()
            .contains("policy required")
    );
}
