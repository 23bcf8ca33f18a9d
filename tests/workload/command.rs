//! `migtax workload` through its entry, and matrices and burstiness as scenario files have them.

use clap::Parser;
use migtax::cli::workload::{Args, run};
use migtax::error::{Error, ExitCode};
use migtax::scenario::{self, EMBEDDED, Overrides};
use migtax::workload::measure::measure;
use migtax::workload::{ArrivalLaw, MergedStream};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn workload(flags: &[&str]) -> Result<ExitCode, Error> {
    let all = std::iter::once("workload").chain(flags.iter().copied());
    run(&Command::try_parse_from(all).unwrap().args)
}

#[test]
fn measurements_have_the_agreed_fields() {
    let scenario = scenario::load(None).unwrap();
    let windows = ["100ms".parse().unwrap(), "1s".parse().unwrap()];
    let m = measure(
        "t",
        &scenario.stream_spec(),
        &windows,
        "10s".parse().unwrap(),
    )
    .unwrap();
    let json = serde_json::to_value(&m).unwrap();
    let windows = json["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 2);
    for (window, (size, count)) in windows.iter().zip([(0.1, 100), (1.0, 10)]) {
        assert_eq!(window["window_s"], size);
        assert_eq!(window["count"], count);
        for field in [
            "mean_writes",
            "mean_distinct_pages",
            "idc_writes",
            "idc_distinct_pages",
            "peak_to_mean",
        ] {
            assert!(window[field].as_f64().unwrap() > 0.0, "{field}");
        }
    }
    for field in [
        "zipf_exponent",
        "b",
        "working_set_bytes",
        "rate_bytes_per_s",
    ] {
        assert!(json[field].is_number(), "{field}");
    }
}

#[test]
fn pictures_and_exports_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().join("w.png");
    let csv = folder.path().join("w.csv");
    for source in ["trace:redis", "default", "burstiness", "idle"] {
        workload(&[
            source,
            "--duration",
            "800ms",
            "--windows",
            "100ms",
            "--png",
            png.to_str().unwrap(),
            "--csv",
            csv.to_str().unwrap(),
        ])
        .unwrap();
        let bytes = std::fs::read(&png).unwrap();
        assert!(
            bytes.starts_with(b"\x89PNG") && bytes.len() > 5000,
            "{source}"
        );
        std::fs::remove_file(&png).unwrap();
    }
    workload(&["steady", "--duration", "1s", "--csv", csv.to_str().unwrap()]).unwrap_err();
    workload(&[
        "steady",
        "--duration",
        "1s",
        "--windows",
        "10ms",
        "--csv",
        csv.to_str().unwrap(),
    ])
    .unwrap();
    let text = std::fs::read_to_string(&csv).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("at_ns,vcpu,page"));
    let scenario = scenario::load(Some("steady")).unwrap();
    let mut stream = MergedStream::new(&scenario.stream_spec()).unwrap();
    for line in lines {
        let (vcpu, w) = stream.next_until(1_000_000_000).unwrap();
        assert_eq!(line, format!("{},{vcpu},{}", w.at_ns, w.page));
    }
    assert!(stream.next_until(1_000_000_000).is_none());
}

#[test]
fn bad_flags_are_invalid_input() {
    let cases: &[(&[&str], &str)] = &[
        (&["nothing"], "default"),
        (&["trace:nothing"], "redis"),
        (&["no/such.trace"], "no/such.trace"),
        (&["--duration", "0s"], "--duration = 0ns"),
        (&["--windows", "2min"], "--windows = 2min"),
        (&["--windows", "1ns"], "--windows = 1ns"),
        (&["--png", "x.gif"], "--png = x.gif"),
        (&["--memory", "5KiB"], "guest.memory = 5KiB"),
        (&["trace:redis", "--memory", "4KiB"], "scale_pages"),
        (
            &["dirty-rates", "--rate", "1MiB/s"],
            "workload.rate: the scenario varies it",
        ),
        (
            &["--from-lackey", "/nonexistent", "--out", "x"],
            "/nonexistent",
        ),
        (
            &[
                "--from-lackey",
                "/dev/null",
                "--out",
                "x",
                "--quantum",
                "1ns",
            ],
            "--quantum = 1ns",
        ),
    ];
    for (flags, wanted) in cases {
        let error = workload(flags).expect_err(&format!("{flags:?}"));
        assert_eq!(
            error.exit_code(),
            ExitCode::InvalidInput,
            "{flags:?}: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(wanted) && !text.contains('\n'),
            "{flags:?}: {text}"
        );
    }
}

#[test]
fn flags_that_would_do_nothing_are_refused_by_name() {
    let cases: &[&[&str]] = &[
        &["--arms", "plain"],
        &["--streams", "2"],
        &["--policy", "required"],
        &["--clock", "virtual"],
        &["--reps", "2"],
        &["--memory", "1GiB", "--trace-table"],
        &["--seed", "1", "--from-lackey", "x", "--out", "y"],
        &["--windows", "1s", "--from-lackey", "x", "--out", "y"],
    ];
    for flags in cases {
        let all = std::iter::once("workload").chain(flags.iter().copied());
        let error = Command::try_parse_from(all).map(|_| flags);
        let error = error.expect_err("no option does nothing").to_string();
        assert!(error.contains(flags[0]), "{error}");
    }
}

#[test]
fn burstiness_out_of_reach_is_refused_with_what_is_possible() {
    // (arrival, what the error must hold); the rate is 12800 writes/s, 1280 a window.
    let cases = [
        (
            "model = \"on-off\", burstiness = 0.5, duty = 0.2",
            "burstiness = 0.5: from 1",
        ),
        // At most 1 + 1280 (1 - d) / d for the longest period.
        (
            "model = \"on-off\", burstiness = 1e6, duty = 0.2, phases = \"exponential\"",
            "to 5121 ",
        ),
        (
            "model = \"mmpp\", burstiness = 1e5, duty = 0.5, low = 0.5",
            "to 321 ",
        ),
        (
            "model = \"mmpp\", burstiness = 1e9, period = \"10ms\"",
            "this model reaches 1.000 to",
        ),
        (
            "model = \"mmpp\", burstiness = 2, period = \"10ms\", duty = 0.1",
            "leave out duty or period",
        ),
        ("model = \"mmpp\", burstiness = 2", "missing field `duty`"),
        ("model = \"mmpp\", duty = 0.1", "missing field `period`"),
        (
            "model = \"mmpp\", duty = 0.1, period = \"1s\", window = \"1s\"",
            "workload.arrival.window",
        ),
        (
            "model = \"mmpp\", duty = 0.1, period = \"1s\", low = 1.5",
            "arrival.low = 1.5",
        ),
        (
            "model = \"pareto-on-off\", duty = 0.1, period = \"1s\", shape = 1.0",
            "arrival.shape = 1",
        ),
        (
            "model = \"pareto-on-off\", duty = 0.1, period = \"1s\", longest = nan",
            "arrival.longest = NaN",
        ),
        ("model = \"b-model\", burstiness = 1e9", "below 162560 "),
        ("model = \"b-model\", burstiness = -1.0", "from 0"),
        (
            "model = \"b-model\", burstiness = 2, b = 0.7",
            "leave out one of both",
        ),
        ("model = \"b-model\"", "missing field `b`"),
        ("model = \"b-model\", b = 1.0", "arrival.b = 1"),
        (
            "model = \"b-model\", b = 0.7, levels = 0",
            "arrival.levels = 0",
        ),
        (
            "model = \"b-model\", b = 0.7, slot = \"1ns\"",
            "arrival.slot = 1ns",
        ),
        (
            "model = \"trace\", file = \"redis\", speed = 0.0",
            "arrival.speed = 0",
        ),
        ("model = \"trace\", file = \"radish\"", "redis"),
    ];
    for (arrival, wanted) in cases {
        // A trace has its own rate unless one is given.
        let rate = if arrival.contains("trace") {
            ""
        } else {
            "rate = \"50MiB/s\"\n"
        };
        let text = format!("name = \"t\"\n[workload]\n{rate}arrival = {{ {arrival} }}");
        let error = scenario::parse("t", &text).expect_err(arrival).to_string();
        assert!(
            error.contains(wanted) && !error.contains('\n'),
            "{arrival}: {error}"
        );
    }
    let placements = [
        (
            "model = \"hot-cold\", writes = 1.5",
            "placement.writes = 1.5",
        ),
        ("model = \"hot-cold\", pages = 0.0", "placement.pages = 0"),
        (
            "model = \"moving-hot-set\", every = \"0s\"",
            "placement.every = 0ns",
        ),
        (
            "model = \"sweep\", working_set = nan",
            "placement.working_set = NaN",
        ),
        ("model = \"mixture\", parts = []", "1 to 16 parts"),
        (
            "model = \"mixture\", parts = [{ share = 0.5, placement = { model = \"sweep\" } }]",
            "sum to 1",
        ),
        (
            "model = \"mixture\", parts = [{ share = 1.0, placement = { model = \"mixture\", parts = [] } }]",
            "parts.0.placement.model",
        ),
        (
            "model = \"mixture\", parts = [{ share = 1.0, placement = { model = \"zipf\", working_set = 2.0 } }]",
            "parts.0.placement.working_set = 2",
        ),
    ];
    for (placement, wanted) in placements {
        let text = format!("name = \"t\"\n[workload]\nplacement = {{ {placement} }}");
        let error = scenario::parse("t", &text)
            .expect_err(placement)
            .to_string();
        assert!(
            error.contains(wanted) && !error.contains('\n'),
            "{placement}: {error}"
        );
    }
}

#[test]
fn matrices_expand_and_single_scenarios_are_wanted_elsewhere() {
    let points = scenario::load_points(Some("records-and-streams"), &Overrides::default()).unwrap();
    assert_eq!(points.len(), 6);
    let labels: Vec<String> = points
        .iter()
        .map(|s| s.point.values().cloned().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(labels[..3], ["4KiB 1", "4KiB 2", "64KiB 1"]);
    let error = scenario::load(Some("records-and-streams"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("6 points"), "{error}");
    // Every embedded scenario has a stream, and a burstiness that can be reached.
    for (name, _) in EMBEDDED {
        for point in scenario::load_points(Some(name), &Overrides::default()).unwrap() {
            ArrivalLaw::of(&point.stream_spec()).unwrap();
            MergedStream::new(&point.stream_spec()).unwrap();
        }
    }
}
