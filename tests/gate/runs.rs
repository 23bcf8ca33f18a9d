//! The gate through its command: files in, report and exit code out.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use migtax::arm::Arm;
use migtax::cli::gate::{Args, run};
use migtax::error::{Error, ExitCode};
use migtax::figures::Metric;
use migtax::gate::noise::Scales;
use migtax::gate::selftest::Method;
use migtax::gate::simulate::{Simulation, Stage, raw, results};
use migtax::gate::{Config, Verdict, judge_runs, selftest};
use migtax::report;
use migtax::results::{OutcomeStatus, Results, SCHEMA_VERSION};
use migtax::run_folder::{read, write};
use migtax::scenario::ClockKind;
use migtax::units::{Bandwidth, Rate};
use strum::IntoEnumIterator as _;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn gate(arguments: &[&str]) -> Result<ExitCode, Error> {
    let all = ["gate"].iter().chain(arguments);
    run(Command::try_parse_from(all).expect("arguments fit").args)
}

fn saved(folder: &Path, name: &str, results: &Results) -> PathBuf {
    let path = folder.join(name);
    write(results, &path).unwrap();
    path
}

fn quiet(seed: u64) -> Simulation {
    Simulation {
        seed,
        machine_seed: seed,
        blocks: 12,
        noise: Scales::of(0.05, 0.008, 0.03),
        ..Simulation::default()
    }
}

type Change = fn(&mut Results);

/// The exit code for a candidate that was changed after it was measured. Comparisons and
/// warnings are left out, since they would no longer fit.
fn code_for(change: Change) -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let baseline = saved(folder.path(), "baseline", &results(&quiet(1)));
    let mut candidate = raw(&quiet(2));
    change(&mut candidate);
    let candidate = saved(folder.path(), "candidate", &candidate);
    let (a, b) = (baseline.to_str().unwrap(), candidate.to_str().unwrap());
    gate(&["--baseline", a, "--candidate", b, "--format", "json"]).unwrap()
}

#[test]
fn exit_codes_follow_the_contract() {
    let table: &[(&str, ExitCode, Change)] = &[
        ("nothing", ExitCode::Done, |_| {}),
        ("seal of one arm 20% slower", ExitCode::Regression, |r| {
            for m in r.migrations.iter_mut().filter(|m| m.arm == Arm::AWS_LC) {
                let more = 0.2 * m.cpu.source.stages.unwrap().seal_s;
                m.cpu.source.stages.as_mut().unwrap().seal_s += more;
                m.cpu.source.total_s += more;
            }
        }),
        ("seal of one arm 20% faster", ExitCode::Done, |r| {
            for m in r.migrations.iter_mut().filter(|m| m.arm == Arm::AWS_LC) {
                let less = 0.2 * m.cpu.source.stages.unwrap().seal_s;
                m.cpu.source.stages.as_mut().unwrap().seal_s -= less;
                m.cpu.source.total_s -= less;
            }
        }),
        ("too few blocks", ExitCode::Inconclusive, |r| {
            r.migrations.retain(|m| m.block < 3);
        }),
        ("an arm is missing", ExitCode::Incomparable, |r| {
            r.arms.retain(|a| a.name != Arm::RUSTCRYPTO_SOFT);
            r.migrations.retain(|m| m.arm != Arm::RUSTCRYPTO_SOFT);
        }),
        ("an arm did not run", ExitCode::Incomparable, |r| {
            r.migrations.retain(|m| m.arm != Arm::RUSTCRYPTO_SOFT);
        }),
        ("an arm is unsupported", ExitCode::Incomparable, |r| {
            r.arms[6].supported = false;
            r.migrations.retain(|m| m.arm != Arm::AWS_LC);
        }),
        ("an arm stopped converging", ExitCode::Regression, |r| {
            for m in r
                .migrations
                .iter_mut()
                .filter(|m| m.arm == Arm::AWS_LC_SOFT)
            {
                m.outcome.status = OutcomeStatus::NotConverged;
                m.outcome.reason = Some("30 rounds".to_owned());
            }
        }),
        ("a metric has no value", ExitCode::Incomparable, |r| {
            for m in &mut r.migrations {
                // As of a run made before windows were recorded: what it holds is another figure.
                m.guest.write_latency_start_ns = None;
            }
        }),
        ("another scenario", ExitCode::Incomparable, |r| {
            r.scenario.workload.rate = Rate(1 << 20);
        }),
        ("another host", ExitCode::Incomparable, |r| {
            r.host.cores = 64
        }),
        ("nothing ran", ExitCode::Incomparable, |r| {
            r.migrations.clear()
        }),
    ];
    for (what, expected, change) in table {
        assert_eq!(code_for(*change), *expected, "{what}");
    }
}

#[test]
fn blocks_that_could_not_show_a_regression_do_not_pass() {
    let few = |seed| {
        raw(&Simulation {
            blocks: 4,
            noise: Scales::of(0.0, 0.0001, 0.0001),
            ..quiet(seed)
        })
    };
    let names = ["a".to_owned(), "b".to_owned()];
    let report = judge_runs(&few(1), &few(2), &Config::built_in(), names);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert!(
        report.sentence.contains("4 blocks can't"),
        "{}",
        report.sentence
    );
}

#[test]
fn a_faster_plain_makes_tax_rises_inconclusive_not_regressed() {
    let config = Config::built_in();
    let names = || ["a".to_owned(), "b".to_owned()];
    let faster = Simulation {
        plain: 0.8,
        ..quiet(2)
    };
    let report = judge_runs(&raw(&quiet(1)), &raw(&faster), &config, names());
    assert_ne!(report.verdict, Verdict::Regressed, "{}", report.sentence);
    let told: Vec<_> = report
        .rows
        .iter()
        .filter(|r| r.metric == "source_cpu_per_gib" && r.sentence.contains("migtax ab"))
        .collect();
    assert!(!told.is_empty());
    assert!(told.iter().all(|r| r.verdict == Verdict::Inconclusive));
}

/// A verdict that says nothing of the totals, of apply or of time is none.
#[test]
fn undecided_totals_are_no_pass() {
    let config = Config::built_in();
    let noisy = |seed, change: fn(&mut Scales)| {
        let mut run = quiet(seed);
        change(&mut run.noise);
        raw(&run)
    };
    let names = || ["a".to_owned(), "b".to_owned()];
    type Unsteady = fn(&mut Scales);
    let changes: [(&str, Unsteady); 4] = [
        ("apply_cpu_per_gib", |n| n.apply = 0.6),
        ("source_cpu_per_gib", |n| n.transmit = 0.9),
        ("destination_cpu_per_gib", |n| n.receive = 0.9),
        ("total_time", |n| n.time = 0.9),
    ];
    for (metric, change) in changes {
        let report = judge_runs(&noisy(1, change), &noisy(2, change), &config, names());
        assert_eq!(report.verdict, Verdict::Inconclusive, "{metric}");
        let of = report
            .rows
            .iter()
            .filter(|row| row.verdict == Verdict::Inconclusive);
        assert!(
            of.clone().any(|row| row.metric == metric && row.blocking),
            "{metric}"
        );
        assert_eq!(report.verdict.exit_code(), ExitCode::Inconclusive);
    }
}

/// Times of the virtual clock are arithmetic: nothing is to be said of them.
#[test]
fn times_of_the_virtual_clock_are_not_judged() {
    let virtual_run = |seed| {
        let mut run = raw(&quiet(seed));
        run.scenario.measure.clock = ClockKind::Virtual;
        run
    };
    let names = ["a".to_owned(), "b".to_owned()];
    let config = Config::built_in();
    let report = judge_runs(&virtual_run(1), &virtual_run(2), &config, names);
    let metrics: Vec<&str> = report.rows.iter().map(|row| row.metric.as_str()).collect();
    assert!(metrics.contains(&"seal_cpu_per_gib"));
    for time in ["total_time", "downtime", "write_latency_p99"] {
        assert!(!metrics.contains(&time), "{time}");
    }
}

#[test]
fn on_different_hosts_exact_counts_are_still_compared() {
    let config = Config::built_in();
    let names = || ["a".to_owned(), "b".to_owned()];
    let virtual_run = |seed| {
        let mut run = raw(&quiet(seed));
        run.scenario.measure.clock = ClockKind::Virtual;
        run
    };
    let (baseline, mut candidate) = (virtual_run(1), virtual_run(2));
    candidate.host.cpu_model = "another".to_owned();
    let report = judge_runs(&baseline, &candidate, &config, names());
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.sentence);
    assert!(report.rows.iter().all(|r| r.metric == "counts"));
    assert!(report.notes.iter().any(|n| n.contains("cpu_model")));
    for m in &mut candidate.migrations {
        m.records = m.records.map(|n| n + 1);
    }
    let report = judge_runs(&baseline, &candidate, &config, names());
    assert_eq!(report.verdict, Verdict::Regressed);
}

#[test]
fn bad_input_is_named_and_never_passes() {
    let folder = tempfile::tempdir().unwrap();
    let good = saved(folder.path(), "good", &results(&quiet(1)));
    let text = fs::read_to_string(good.join("results.json")).unwrap();
    let version = |number: u32| format!("\"schema_version\": {number}");
    let newer = text.replacen(&version(SCHEMA_VERSION), &version(SCHEMA_VERSION + 1), 1);
    assert_ne!(newer, text);
    let edited = text.replacen("\"pages_sent\": ", "\"pages_sent\": 1", 1);
    let table = [
        (
            "truncated",
            text[..text.len() / 3].to_owned(),
            ExitCode::InvalidInput,
        ),
        ("empty", String::new(), ExitCode::InvalidInput),
        ("not JSON", "hello".to_owned(), ExitCode::InvalidInput),
        ("edited", edited, ExitCode::InvalidInput),
        ("newer", newer, ExitCode::Incomparable),
    ];
    let good = good.to_str().unwrap();
    for (name, content, expected) in table {
        let file = folder.path().join("bad.json");
        fs::write(&file, content).unwrap();
        let file = file.to_str().unwrap();
        for order in [[good, file], [file, good]] {
            let error = gate(&["--baseline", order[0], "--candidate", order[1]]).unwrap_err();
            assert_eq!(error.exit_code(), expected, "{name}: {error}");
            assert!(error.to_string().contains("bad.json"), "{error}");
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
    let error = gate(&["--baseline", good, "--candidate", "/nowhere"]).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    let error = gate(&["--candidate", good]).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
}

/// The committed file is of a build that wrote schema 1. The other run holds the same values under
/// another name, as this build writes them.
#[test]
fn a_run_of_schema_1_is_read_reported_and_gated() {
    let old = read(Path::new("tests/data/results-schema-1.json")).unwrap();
    assert_eq!(old.schema_version, 1);
    assert!(
        old.migrations
            .iter()
            .any(|m| m.downtime.parts.unwrap().switchover_s > 0.0)
    );
    let folder = tempfile::tempdir().unwrap();
    let mut new = old.clone();
    new.schema_version = SCHEMA_VERSION;
    new.scenario.name = "renamed".to_owned();
    let new_folder = saved(folder.path(), "new", &new);
    let text = fs::read_to_string(new_folder.join("results.json")).unwrap();
    assert!(text.contains("\"switchover_s\"") && !text.contains("\"takeover_s\""));
    let new = read(&new_folder).unwrap();

    let pages: Vec<Vec<u8>> = [&old, &new]
        .map(|run| report::files(run).unwrap())
        .map(|files| {
            files
                .into_iter()
                .find(|f| f.0 == "migrations.csv")
                .unwrap()
                .1
        })
        .into();
    assert_eq!(pages[0], pages[1]);
    let runs = [("old", &old), ("new", &new)]
        .map(|(name, run)| (Path::new(name).join("results.json"), run.clone()));
    let page = report::runs::page_of(&runs).unwrap();
    assert!(
        page.contains("2 runs of one scenario on one machine"),
        "not comparable"
    );

    let names = || ["old".to_owned(), "new".to_owned()];
    let config = Config::built_in();
    let itself = judge_runs(&old, &old, &config, names());
    assert!(!itself.rows.is_empty());
    assert!(![Verdict::Regressed, Verdict::Incomparable].contains(&itself.verdict));
    assert_eq!(judge_runs(&old, &new, &config, names()), itself);
    assert_eq!(judge_runs(&new, &old, &config, names()), itself);
}

#[test]
fn exact_counts_are_updated_and_judged_through_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = raw(&quiet(1));
    run.scenario.measure.clock = ClockKind::Virtual;
    run.scenario.migration.link = Bandwidth::BitsPerSecond(10_000_000_000);
    let candidate = saved(folder.path(), "run", &run);
    let candidate = candidate.to_str().unwrap();
    let file = folder.path().join("exact.json");
    let file = file.to_str().unwrap();
    assert!(gate(&["--candidate", candidate, "--exact", file]).is_err());
    let code = gate(&["--candidate", candidate, "--update-exact", file]).unwrap();
    assert_eq!(code, ExitCode::Done);
    let code = gate(&["--candidate", candidate, "--exact", file]).unwrap();
    assert_eq!(code, ExitCode::Done);
    for m in &mut run.migrations {
        m.rounds[2].pages_dirtied = Some(1);
    }
    let changed = saved(folder.path(), "changed", &run);
    let changed = changed.to_str().unwrap();
    let code = gate(&["--candidate", changed, "--exact", file]).unwrap();
    assert_eq!(code, ExitCode::Regression);
}

#[test]
fn the_bencher_export_is_written_beside_the_verdict_or_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = saved(folder.path(), "run", &raw(&quiet(1)));
    let run = run.to_str().unwrap();
    let file = folder.path().join("bmf.json");
    let path = file.to_str().unwrap();
    let code = gate(&["--candidate", run, "--export-bencher", path]).unwrap();
    assert_eq!(code, ExitCode::Done);
    let value: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for metric in Metric::gated() {
        let exported = &value["simulated/aws-lc"][metric.name()];
        assert!(exported["value"].is_number(), "{metric:?}");
    }
}

/// The full self-test takes 2,000 trials a condition; this one shows that it works and that
/// nothing is grossly off.
#[test]
fn the_self_test_is_as_designed_at_small_scale() {
    let result = selftest::run(&Config::built_in(), 24, 1);
    assert_eq!(result.conditions.len(), 15);
    assert_eq!(result.failures(), Vec::<String>::new());
    let (alarms, trials) = result.false_alarms();
    assert_eq!(trials, 15 * 24);
    // Designed for 0.5%: 1.8 expected; 8 or more have a probability below 0.001.
    assert!(alarms < 8, "{alarms} of {trials}");
    assert!(
        result.conditions.iter().all(|c| c.passed == 0),
        "{}",
        result.text()
    );
    // Whatever noise was recorded: every stage is asked about, and what is claimed is found.
    assert_eq!(result.claims.len(), 2 * Stage::iter().count() + 3);
    for claim in &result.claims {
        assert!(claim.claimed > 0.0 && claim.share > 0.0, "{claim:?}");
    }
    let of_ab = |stage, effect| {
        let points = result.curve.iter();
        let mut points =
            points.filter(|p| (p.method, p.stage, p.effect) == (Method::Ab, stage, effect));
        points.next().unwrap().shares
    };
    for stage in Stage::iter() {
        assert!(of_ab(stage, 0.0)[0] == 0.0 && of_ab(stage, 0.02)[0] <= of_ab(stage, 0.5)[0]);
    }
    assert!(of_ab(Stage::Seal, 0.5)[0] > 0.9, "{}", result.text());
    let short = |seed| selftest::run(&Config::built_in(), 2, seed);
    assert_eq!(short(1), short(1), "seeded");
    assert_ne!(short(1), short(2), "another seed is another experiment");
}
