//! `migtax plan`, from the committed sample run.

use std::fs;
use std::path::Path;

use crate::command::migtax;
use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/sample");

fn plan(args: &[&str]) -> std::process::Output {
    migtax().args(["plan", SAMPLE]).args(args).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = plan(&[args, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn of<'a>(plan: &'a Value, arm: &str) -> &'a Value {
    let all = plan["predictions"].as_array().unwrap();
    all.iter().find(|p| p["arm"] == arm).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

/// An idle guest takes one round and an empty pause: its bytes and, on a link that binds, its time are arithmetic.
#[test]
fn an_idle_guest_is_arithmetic() {
    let plan = json(&["--memory", "2GiB", "--rate", "0MiB/s", "--link", "1Gbit/s"]);
    for arm in ["plain", "copy", "aws-lc"] {
        let p = of(&plan, arm);
        assert_eq!(
            (&p["converges"], &p["rounds"]),
            (&Value::Bool(true), &Value::from(2))
        );
        // A tenth of the pages is zero; a MiB of device state comes on top.
        let content = 0.9 * (2u64 << 30) as f64 + (1u64 << 20) as f64;
        let wire = number(&p["bytes_on_wire"]);
        assert!(
            (wire / content - 1.0).abs() < 0.005,
            "{arm}: {wire} {content}"
        );
        let time_s = number(&p["total_time_s"]);
        assert!(
            (time_s / (wire * 8.0 / 1e9) - 1.0).abs() < 0.05,
            "{arm}: {time_s}"
        );
        assert_eq!(p["binds"], "link");
        let low = number(&p["total_time_low_s"]);
        assert!(low <= time_s && time_s <= number(&p["total_time_high_s"]));
    }
}

#[test]
fn more_of_everything_takes_longer_and_slow_ciphers_longest() {
    let times = |args: &[&str]| {
        let plan = json(args);
        ["plain", "aws-lc", "aws-lc-soft"].map(|arm| number(&of(&plan, arm)["total_time_s"]))
    };
    let few = times(&[
        "--memory", "1GiB", "--rate", "50MiB/s", "--link", "10Gbit/s",
    ]);
    let slower = times(&["--memory", "1GiB", "--rate", "50MiB/s", "--link", "5Gbit/s"]);
    let larger = times(&[
        "--memory", "4GiB", "--rate", "50MiB/s", "--link", "10Gbit/s",
    ]);
    for arm in 0..2 {
        // Whatever kept up with half the link.
        let on_link = slower[arm] > slower[0] * 0.99 && slower[arm] > few[arm];
        assert!(
            on_link && larger[arm] > 3.5 * few[arm],
            "{few:?} {slower:?} {larger:?}"
        );
    }
    // Without a cipher the link binds.
    assert!(slower[0] > 1.7 * few[0], "{few:?} {slower:?}");
    assert!(few[2] > 3.0 * few[1]);
}

/// What was measured is predicted when it is asked for: the model is not the measurement, so not to the last digit.
#[test]
fn the_run_itself_is_predicted() {
    let plan = json(&["--one-machine"]);
    let text = fs::read_to_string(Path::new(SAMPLE).join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&text).unwrap();
    for arm in ["plain", "copy", "aws-lc", "aws-lc-soft", "rustcrypto"] {
        let own = |path: &dyn Fn(&Value) -> f64| {
            let migrations = results["migrations"].as_array().unwrap().iter();
            let mut values: Vec<f64> = migrations.filter(|m| m["arm"] == arm).map(path).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let p = of(&plan, arm);
        let time_s = own(&|m| number(&m["total_time_s"]));
        let off = number(&p["total_time_s"]) / time_s - 1.0;
        assert!(off.abs() < 0.15, "{arm}: {off}");
        let cpu_s = own(&|m| number(&m["cpu"]["source"]["total_s"]));
        let off = number(&p["source_cpu_s"]) / cpu_s - 1.0;
        assert!(off.abs() < 0.2, "{arm}: source CPU {off}");
        assert_eq!(p["extrapolated"], false);
    }
}

/// One that writes ten times as fast sleeps less often and meets fewer clean pages a write: it leaves a cipher that all
/// cores work for nearly as much of them. While it is stopped it leaves all.
#[test]
fn a_fast_guest_slows_a_cipher_on_its_cores_little() {
    let bytes_a_second = |rate| {
        let plan = json(&["--one-machine", "--rate", rate, "--arms", "aws-lc-soft"]);
        let p = of(&plan, "aws-lc-soft");
        number(&p["payload_bytes"]) / number(&p["total_time_s"])
    };
    let slower = bytes_a_second("1000MiB/s") / bytes_a_second("100MiB/s");
    assert!((0.85..1.0).contains(&slower), "{slower}");
}

#[test]
fn what_lies_beyond_the_run_is_marked() {
    for (args, because) in [
        (
            &["--link", "100Gbit/s"][..],
            "link 100Gbit/s, measured 10Gbit/s",
        ),
        (&["--streams", "64"], "64 streams on"),
        (&["--cores", "64"], "64 cores, measured on"),
        (&["--memory", "1TiB"], "memory 1TiB"),
    ] {
        let plan = json(args);
        let p = of(&plan, "plain");
        assert_eq!(p["extrapolated"], true, "{args:?}");
        let said = p["extrapolated_because"].to_string();
        assert!(said.contains(because), "{said}");
    }
}

#[test]
fn a_platform_aborts_in_words() {
    let vm = [
        "--memory",
        "64GiB",
        "--rate",
        "3000MiB/s",
        "--platform",
        "kubevirt",
        "--link",
        "25Gbit/s",
    ];
    let output = plan(&[&vm[..], &["--arms", "aws-lc-soft", "--working-set", "1.0"]].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("Under KubeVirt's "), "{said}");
    assert!(said.contains("this VM is aborted with"), "{said}");
}

#[test]
fn what_is_found_meets_the_target_and_what_is_less_does_not() {
    let vm = ["--memory", "8GiB", "--rate", "100MiB/s", "--arms", "aws-lc"];
    let find = json(&[&vm[..], &["--find", "link", "--total-time", "30s"]].concat());
    let link = find["found"][0]["value"].as_str().unwrap().to_owned();
    let time_at = |link: &str| {
        let plan = json(&[&vm[..], &["--link", link]].concat());
        number(&of(&plan, "aws-lc")["total_time_s"])
    };
    let (at, slower) = (time_at(&link), {
        let bits: migtax::units::Bandwidth = link.parse().unwrap();
        let bits = bits.bits_per_second().unwrap();
        time_at(&format!("{}bit/s", bits * 97 / 100))
    });
    assert!(at <= 30.0 && slower > 30.0, "{link}: {at}, {slower}");
    let find = json(&[&vm[..], &["--find", "rate", "--link", "10Gbit/s"]].concat());
    let rate = find["found"][0]["value"].as_str().unwrap().to_owned();
    let fits = json(&[
        "--memory", "8GiB", "--rate", &rate, "--link", "10Gbit/s", "--arms", "aws-lc",
    ]);
    assert_eq!(fits["predictions"][0]["converges"], true, "{rate}");
    let cores = json(&[&vm[..], &["--find", "cores", "--link", "10Gbit/s"]].concat());
    assert_eq!(cores["found"][0]["value"], "1");
}

#[test]
fn an_inventory_becomes_a_table_csv_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let vms = folder.path().join("vms.csv");
    let mut text = String::from("name,memory,rate,link\n");
    for n in 0..10_000u64 {
        let (memory, rate) = (1 + n % 64, n * 37 % 500);
        text.push_str(&format!(
            "vm{n},{memory}GiB,{rate}MiB/s,{}Gbit/s\n",
            1 + n % 25
        ));
    }
    fs::write(&vms, text).unwrap();
    let csv = folder.path().join("plan.csv");
    let (vms, csv_name) = (vms.to_str().unwrap(), csv.to_str().unwrap());
    let output = plan(&[
        "--vms",
        vms,
        "--arms",
        "plain,aws-lc",
        "--csv",
        csv_name,
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let plan_of: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan_of["predictions"].as_array().unwrap().len(), 20_000);
    assert_eq!(plan_of["predictions"][1]["vm"], "vm0");
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 20_001);
    let out = folder.path().join("page");
    let output = plan(&[
        "--memory",
        "16GiB",
        "--rate",
        "80MiB/s",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    for words in [
        "vSphere's rule",
        "100Gbit/s",
        "grid-aws-lc",
        "does not converge",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn bad_input_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let vms = folder.path().join("vms.csv");
    fs::write(&vms, "name,memory,rate\na,1GiB,100\n").unwrap();
    let nothing = folder.path().to_str().unwrap();
    for (args, words) in [
        (
            &["--arms", "qemu-tls"][..],
            "arms that the run has costs of: plain",
        ),
        (&["--arms", "aes"], "aes"),
        (&["--rate=-5MiB/s"], "-5MiB/s"),
        (&["--rate", "5"], "such as 150MiB/s"),
        (&["--memory", "5000B"], "5000B"),
        (&["--working-set", "3"], "a share of guest memory"),
        (&["--cores", "0"], "0"),
        (&["--streams", "65"], "65"),
        (
            &["--vms", vms.to_str().unwrap()],
            "line 2, column rate: \"100\" is not a rate",
        ),
        (&["--vms", "/nowhere.csv"], "/nowhere.csv"),
        (&["--total-time", "3s"], "--find"),
        (&["--validate", nothing], "no run"),
        (&["--validate", SAMPLE], "--validate"),
    ] {
        let output = plan(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            output.stdout.is_empty() && said.contains(words),
            "{args:?}: {said}"
        );
    }
    let missing = migtax().args(["plan", nothing]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(
        migtax().arg("plan").output().unwrap().status.code(),
        Some(2)
    );
}

/// Of a run under the virtual clock nothing is uncertain but the draws of pages.
#[test]
fn exact_rounds_are_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = migtax()
        .args([
            "run", "steady", "--clock", "virtual", "--memory", "64MiB", "--rate", "60MiB/s",
        ])
        .args([
            "--link", "2Gbit/s", "--arms", "plain", "--reps", "1", "--warmup", "0",
        ])
        .args(["--downtime-limit", "20ms", "--out", out.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let exact = migtax::run_folder::read(&out).unwrap();
    let m = &exact.migrations[0];
    let planner = migtax::plan::Planner::new(&migtax::run_folder::read(Path::new(SAMPLE)).unwrap());
    let hosts = migtax::plan::Hosts::of(&exact);
    let p = planner
        .unwrap()
        .predict(m.arm, &exact.scenario, hosts)
        .unwrap()
        .unwrap();
    assert_eq!(p.rounds as usize, m.rounds.len());
    let off = p.payload_bytes as f64 / m.payload_bytes as f64 - 1.0;
    assert!(off.abs() < 0.01, "{off}");
    // Costs, on the other hand, are not taken from it.
    let refused = migtax()
        .args(["plan", out.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said.contains("virtual") && said.lines().count() == 1,
        "{said}"
    );
}

/// A run that the costs are not from: other guest, other arms beside.
#[test]
fn another_run_is_predicted_and_its_errors_told() {
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/qemu");
    let output = plan(&["--validate", other, SAMPLE]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for words in [
        "total_time",
        "source_cpu_per_gib",
        "converges or not: right in",
        "geometric",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let checked = json(&["--validate", other]);
    let points = checked["points"].as_array().unwrap();
    assert!(!points.is_empty());
    // Arms that RUN has no costs of are not predicted.
    assert!(
        points
            .iter()
            .all(|p| !p["arm"].as_str().unwrap().starts_with("qemu"))
    );
}

/// QEMU tells totals and no stages: they are enough.
#[test]
fn qemus_arms_are_planned_from_their_totals() {
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/qemu");
    let output = migtax()
        .args([
            "plan", run, "--memory", "8GiB", "--rate", "0MiB/s", "--link", "10Gbit/s",
        ])
        .args(["--arms", "qemu-plain,qemu-tls", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [plain, soft] = ["qemu-plain", "qemu-tls"].map(|arm| of(&plan, arm));
    assert_eq!(plain["converges"], true);
    assert!(
        number(&soft["total_time_s"]) > 1.3 * number(&plain["total_time_s"]),
        "{soft}"
    );
    assert!(number(&soft["source_cpu_s"]) > number(&plain["source_cpu_s"]));
}
