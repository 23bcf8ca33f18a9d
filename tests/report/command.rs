//! `migtax report` on folders: good runs, bad input, runs side by side.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support;
use migtax::arm::Arm;
use migtax::cli::report::{Args, run};
use migtax::error::{Error, ExitCode};
use migtax::memory::Pages;
use migtax::results::{Results, SCHEMA_VERSION};
use migtax::scenario::{ClockKind, Scenario};
use migtax::units::{Rate, Size};

fn save(folder: &Path, results: &Results) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join("results.json");
    fs::write(&file, serde_json::to_vec_pretty(results).unwrap()).unwrap();
    file
}

fn report(runs: &[&Path], out: Option<&Path>) -> Result<ExitCode, Error> {
    run(Args {
        runs: runs.iter().map(|run| run.to_path_buf()).collect(),
        out: out.map(Path::to_path_buf),
    })
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_gets_its_report_beside_it_or_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let file = save(&folder, &support::run(3, 1));
    assert_eq!(report(&[&folder], None).unwrap(), ExitCode::Done);
    let expected = [
        "cpu.png",
        "downtime.png",
        "index.html",
        "latency.png",
        "migrations.csv",
        "results.json",
        "rounds.png",
        "summary.md",
        "tax.png",
        "wire.png",
    ];
    assert_eq!(names(&folder), expected);
    // Again, from the file itself, into a new folder: the same page.
    let page = fs::read(folder.join("index.html")).unwrap();
    let out = root.path().join("a/b");
    report(&[&file], Some(&out)).unwrap();
    assert_eq!(fs::read(out.join("index.html")).unwrap(), page);
}

#[test]
fn bad_input_is_one_line_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let whole = serde_json::to_string(&support::run(2, 2)).unwrap();
    let newer = SCHEMA_VERSION + 1;
    let cases = [
        ("missing", None, "No such file"),
        (
            "truncated",
            Some(whole[..whole.len() / 2].to_owned()),
            "truncated",
        ),
        (
            "newer",
            Some(format!("{{\"schema_version\": {newer}, \"new\": 1}}")),
            "this build reads 1 to",
        ),
    ];
    for (name, content, says) in cases {
        let folder = root.path().join(name);
        fs::create_dir(&folder).unwrap();
        if let Some(content) = content {
            fs::write(folder.join("results.json"), content).unwrap();
        }
        let before = names(&folder);
        let error = report(&[&folder], None).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::InvalidInput, "{name}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(says) && text.contains("results.json"),
            "{name}: {text}"
        );
        assert_eq!(text.lines().count(), 1, "{name}: {text}");
        assert_eq!(names(&folder), before, "{name}");
    }
    let error = report(&[&root.path().join("no-such-run")], None).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    // One bad run among good ones spoils the comparison, and no folder is made for it.
    let good = root.path().join("good");
    save(&good, &support::run(2, 3));
    let out = root.path().join("out");
    assert!(report(&[&good, &root.path().join("truncated")], Some(&out)).is_err());
    assert!(!out.exists());
}

fn base() -> Scenario {
    support::run(3, 1).scenario
}

fn page(runs: &[Results]) -> String {
    let root = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = (0..runs.len())
        .map(|index| root.path().join(format!("run-{index}")))
        .collect();
    for (folder, results) in folders.iter().zip(runs) {
        save(folder, results);
    }
    let paths: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    report(&paths, None).unwrap();
    let name = format!("compare-run-0-run-{}", runs.len() - 1);
    fs::read_to_string(root.path().join(name).join("index.html")).unwrap()
}

#[test]
fn runs_of_one_scenario_and_machine_are_compared_in_everything() {
    let mut later = support::run_of(base(), 5);
    later.started_at = "2026-11-25T03:00:00Z".to_owned();
    // Repetitions and prose say how much was measured and why, not what.
    later.scenario.analysis = "Another text.".to_owned();
    let page = page(&[support::run_of(base(), 4), later]);
    assert!(page.contains("2 runs of one scenario on one machine"));
    assert!(page.contains("figure id=\"trend\""));
    assert!(page.contains("median-0-total-time"));
}

#[test]
fn different_machines_are_not_compared() {
    let mut other = support::run_of(base(), 5);
    other.host.cpu_model = "<b>Another</b>".to_owned();
    let page = page(&[support::run_of(base(), 4), other]);
    assert!(page.contains("2 runs that may not be compared"));
    assert!(page.contains("Run 2 differs from run 1 in host CPU."));
    assert!(!page.contains("<b>Another") && !page.contains("id=\"median-"));
}

#[test]
fn runs_that_differ_in_arms_and_destination_have_the_taxes_of_shared_arms_side_by_side() {
    let here = support::run_of(base(), 4);
    let mut there = support::run_of(base(), 5);
    there.host.destination = Some("ssh other migtax".to_owned());
    there.arms.retain(|arm| arm.name != Arm::AWS_LC_AESNI);
    there.migrations.retain(|m| m.arm != Arm::AWS_LC_AESNI);
    let page = page(&[here, support::compared(there)]);
    assert!(page.contains("Run 2 differs from run 1 in host destination."));
    assert_eq!(page.matches("figure id=").count(), 1);
    assert!(page.contains("figure id=\"taxes\""));
    assert_eq!(page.matches("id=\"tax-").count(), 1, "one table of taxes");
    let table = page.split("id=\"tax-table\"").nth(1).unwrap();
    let table = table.split("</table>").next().unwrap();
    assert!(table.contains("</i>aws-lc<") && !table.contains("</i>aws-lc-aesni<"));
    // What converged in neither has no tax, but an outcome.
    assert!(table.contains("</i>rustcrypto-soft<") && table.contains("not\u{a0}converged"));
    assert!(page.contains("In one run alone, compared with nothing: aws-lc-aesni (run 1)."));
}

#[test]
fn exact_counts_are_compared_across_machines_under_the_virtual_clock() {
    let mut scenario = base();
    scenario.measure.clock = ClockKind::Virtual;
    scenario.migration.link = "10Gbit/s".parse().unwrap();
    let mut here = support::run_of(scenario, 4);
    // Under the virtual clock every block has the same counts.
    let first = here.migrations.clone();
    for migration in &mut here.migrations {
        let twin = first
            .iter()
            .find(|m| m.arm == migration.arm && m.block == 0)
            .unwrap();
        migration.rounds.clone_from(&twin.rounds);
        migration.pages_sent = twin.pages_sent;
        migration.payload_bytes = twin.payload_bytes;
        migration.zero_pages = twin.zero_pages;
        migration.records = twin.records;
        migration.bytes_on_wire = twin.bytes_on_wire;
    }
    let here = support::compared(here);
    let mut there = here.clone();
    there.host.cpu_model = "Another".to_owned();
    for migration in &mut there.migrations {
        let ran = !migration.rounds.is_empty();
        let more = u64::from(ran && migration.arm.is_encrypted());
        migration.records = migration.records.map(|records| records + more);
    }
    let page = page(&[here, there]);
    assert!(page.contains("only exact counts may be compared"));
    let table = page
        .split("id=\"count-table\"")
        .nth(1)
        .unwrap()
        .split("</table>")
        .next()
        .unwrap();
    let row = |arm: &str, count: &str| {
        let rows: Vec<&str> = table.split("<tr>").collect();
        let found = rows
            .iter()
            .find(|r| r.contains(&format!("</i>{arm}<")) && r.contains(count));
        (*found.unwrap()).to_owned()
    };
    assert!(row("plain", ">records<").contains(">equal<"));
    assert!(row("aws-lc", ">records<").contains(">differs<"));
    assert!(row("aws-lc", ">pages sent<").contains(">equal<"));
}

#[test]
fn one_value_that_differs_is_a_sweep() {
    let with = |change: fn(&mut Scenario)| {
        let mut scenario = base();
        change(&mut scenario);
        support::run_of(scenario, 6)
    };
    let records = page(&[
        with(|s| s.migration.record = Size(16 << 10)),
        with(|s| s.migration.record = Size(64 << 10)),
    ]);
    assert!(records.contains("2 runs on one machine that sweep one value"));
    assert!(records.contains("Tax against record size"));
    let streams = page(&[
        with(|s| s.migration.streams = 1),
        with(|s| s.migration.streams = 4),
    ]);
    assert!(streams.contains("Tax against streams") && streams.contains("throughput, GiB/s"));
    assert!(streams.contains("What the tax does over streams, 1 to 4"));
    let arms = [
        ("aws-lc", "all instructions"),
        ("aws-lc-soft", "software AES"),
    ];
    for (arm, name) in arms {
        let told = format!("<b>{name}, aws-lc</b> <code>{arm}</code> source CPU, CPU-s/GiB: +");
        assert!(streams.contains(&told), "{told}");
    }
    // Every other arm that has a tax as well.
    for arm in ["copy", "rustcrypto-soft"] {
        let told = format!("<code>{arm}</code> source CPU, CPU-s/GiB: +");
        assert!(streams.contains(&told), "{told}");
    }
    // A value without an order is an axis too.
    let memory = page(&[
        with(|s| s.guest.pages = Pages::Small),
        with(|s| s.guest.pages = Pages::Huge),
    ]);
    assert!(memory.contains("What the tax does over pages, 4k to thp"));
    assert!(memory.contains("Tax against guest.pages"));
    let rates = page(&[
        with(|s| s.workload.rate = Rate(10 << 20)),
        with(|s| s.workload.rate = Rate(90 << 20)),
        with(|s| s.migration.streams = 2),
    ]);
    assert!(rates.contains("Tax against dirty rate"));
    assert!(
        rates.contains("migration.streams, workload.rate"),
        "what keeps run 3 apart"
    );
}

/// The points of the embedded scenario that exists for this, and models asked for by parameters of
/// their own.
#[test]
fn burstiness_is_a_sweep_whatever_the_model() {
    let runs = |text: &str| -> Vec<Results> {
        let points = migtax::scenario::parse("t", text).unwrap();
        let simulated = |mut point: Scenario| {
            point.guest.memory = base().guest.memory;
            support::run_of(point, 6)
        };
        points.into_iter().map(simulated).collect()
    };
    let embedded = migtax::scenario::EMBEDDED;
    let (_, burstiness) = embedded.iter().find(|(n, _)| *n == "burstiness").unwrap();
    let drawn = page(&runs(burstiness));
    assert!(drawn.contains("Tax against burstiness"));
    assert!(drawn.contains("index of dispersion of the writes in windows of 100 ms"));
    for value in ["1", "10", "100"] {
        let ticked = drawn.lines().any(|line| line.trim() == value);
        assert!(ticked, "a tick at {value}");
    }
    for model in [
        "\"b-model\", b = [0.5, 0.6, 0.7]",
        "\"mmpp\", duty = [0.2, 0.5, 1.0], period = \"100ms\"",
        "\"pareto-on-off\", duty = [0.2, 0.5, 1.0], period = \"100ms\"",
    ] {
        let drawn = page(&runs(&format!(
            "name = \"t\"\n[workload]\narrival = {{ model = {model} }}"
        )));
        assert!(drawn.contains("Tax against burstiness"), "{model}");
        assert!(drawn.contains("peak over mean arrival rate"), "{model}");
    }
}
