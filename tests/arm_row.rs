//! A row is all that an arm takes. This program is `migtax` with one row more in its table: with
//! [`PLAYED`] set it does what its arguments say, as do the hosts that it starts, which are this
//! program again; without, it calls itself so and looks for the arm in what each verb shows.

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use migtax::arm::{Arm, Backend, Engine, Row, Rung, extend};
use migtax::results::{OutcomeStatus, PolicyDecision};

const PLAYED: &str = "MIGTAX_TEST_PLAYED";
const NAME: &str = "one-row-more";

/// A library that there is, under a mask of its own.
static ROWS: [Row; 1] = [Row {
    name: NAME,
    summary: "aws-lc without carry-less multiplication",
    short: "half of the instructions",
    engine: Engine::Migtax(Backend::AwsLc),
    environment: &[("OPENSSL_ia32cap", "~0x200000000:~0x60000000000")],
    required_features: &[],
    told_apart_by: None,
    baselines: &["plain", "copy"],
    headline: Some((Rung::AesNi, 1)),
    by_default: false,
    colour: (0x12, 0x34, 0x56),
}];

const SCENARIO: &str = r#"
name = "one row more"
[guest]
memory = "8MiB"
[workload]
rate = "0MiB/s"
[migration]
downtime_limit = "1m"
[measure]
arms = ["plain", "copy", "one-row-more"]
repetitions = 2
warmup = 0
window = "1ms"
"#;

fn main() -> ExitCode {
    extend(&ROWS);
    if std::env::var_os(PLAYED).is_some() {
        return migtax::cli::main();
    }
    if cfg!(not(target_arch = "x86_64")) {
        println!("skipped: masks are for x86-64");
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // A check that fails panics, which ends the program with a code of its own.
    is_listed();
    runs(folder.path(), &run);
    is_on_the_page(&run);
    is_gated(&run);
    println!("test result: ok. 4 passed; 0 failed");
    ExitCode::SUCCESS
}

fn migtax(arguments: &[&str]) -> Output {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(PLAYED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code().is_some_and(|c| c == 0 || c == 4),
        "{arguments:?}: {said}"
    );
    output
}

fn is_listed() {
    let output = migtax(&["list", "arms", "--json"]);
    let lists: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let arms = lists["arms"].as_array().unwrap();
    assert_eq!(arms.len(), Arm::all().count());
    let listed = arms.iter().find(|arm| arm["name"] == NAME).unwrap();
    assert_eq!(listed["supported"], true, "{listed}");
    assert_eq!(listed["rung"], "aes-ni");
    let text = migtax(&["list", "arms"]).stdout;
    assert!(String::from_utf8(text).unwrap().contains(ROWS[0].summary));
}

fn runs(folder: &Path, out: &Path) {
    let scenario = folder.join("scenario.toml");
    std::fs::write(&scenario, SCENARIO).unwrap();
    let (scenario, out) = (scenario.to_str().unwrap(), out.to_str().unwrap());
    let output = migtax(&["run", scenario, "--json", "--out", out]);
    let results = migtax::run_folder::parse(&output.stdout).unwrap();
    let arm: Arm = NAME.parse().unwrap();
    let told = results.arms.iter().find(|told| told.name == arm).unwrap();
    assert_eq!(told.policy_decision, PolicyDecision::Encrypted);
    // The mask of the row reached the host.
    assert!(
        !told.engaged_features.iter().any(|f| f.contains("clmul")),
        "{told:?}"
    );
    let made: Vec<_> = results.migrations.iter().filter(|m| m.arm == arm).collect();
    assert_eq!(made.len(), 2);
    for migration in made {
        assert_eq!(migration.outcome.status, OutcomeStatus::Completed);
        assert!(migration.verified.equal && migration.cpu.source.stages.unwrap().seal_s > 0.0);
    }
    let against: Vec<Arm> = results
        .comparisons
        .iter()
        .filter(|comparison| comparison.arm == arm)
        .map(|comparison| comparison.against)
        .collect();
    assert!(against.contains(&Arm::PLAIN) && against.contains(&Arm::COPY));
}

fn is_on_the_page(run: &Path) {
    let page = run.join("index.html");
    std::fs::remove_file(&page).unwrap();
    migtax(&["report", run.to_str().unwrap()]);
    let page = std::fs::read_to_string(page).unwrap();
    for shown in [NAME, ROWS[0].short, "#123456"] {
        assert!(page.contains(shown), "{shown}");
    }
    let summary = std::fs::read_to_string(run.join("summary.md")).unwrap();
    assert!(summary.contains(NAME), "{summary}");
}

fn is_gated(run: &Path) {
    let run = run.to_str().unwrap();
    let output = migtax(&[
        "gate",
        "--baseline",
        run,
        "--candidate",
        run,
        "--format",
        "json",
    ]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["arm"] == NAME), "{report}");
}
