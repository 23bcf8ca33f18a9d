//! `migtax ab` with stand-ins for the two binaries: scripts that print results made before.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Parser;
use migtax::arm::Arm;
use migtax::cli::ab::{Args, run};
use migtax::error::{Error, ExitCode};
use migtax::gate::noise::Scales;
use migtax::gate::simulate::{Simulation, Slowdown, Stage, raw};
use migtax::results::Results;
use migtax::run_folder::read;

const FIRST_SEED: u64 = 100;
const BLOCKS: u64 = 14;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

/// A binary that answers `run ... --seed N` with the file N.json of its folder, and writes down
/// how it was called.
fn binary(folder: &Path, name: &str, made: impl Fn(u64) -> Results) -> PathBuf {
    let data = folder.join(format!("{name}-data"));
    fs::create_dir_all(&data).unwrap();
    for block in 0..2 * BLOCKS {
        let mut results = made(block);
        results.scenario.guest.seed = FIRST_SEED + block;
        let file = data.join(format!("{}.json", FIRST_SEED + block));
        fs::write(file, serde_json::to_vec(&results).unwrap()).unwrap();
    }
    script(
        folder,
        name,
        &format!(
            "data={}\necho \"{name} $*\" >> {}/calls\nwhile [ \"$1\" != --seed ]; do shift; done\ncat \"$data/$2.json\"\n",
            data.display(),
            folder.display()
        ),
    )
}

fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// One block of a build; both builds share the machine's noise. Blocks from the second batch
/// may have another seal cost than those of the first.
fn block(side: u64, seal: [f64; 2]) -> impl Fn(u64) -> Results {
    move |block| {
        raw(&Simulation {
            seed: 1000 * side + block,
            machine_seed: block,
            blocks: 1,
            noise: Scales::of(0.05, 0.01, 0.05),
            slowdown: Some(Slowdown {
                stage: Stage::Seal,
                factor: seal[usize::from(block >= BLOCKS)],
                arm: Some(Arm::AWS_LC),
            }),
            ..Simulation::default()
        })
    }
}

fn ab(folder: &Path, baseline: &Path, candidate: &Path, more: &[&str]) -> Result<ExitCode, Error> {
    let out = folder.join("out");
    let mut arguments = vec![
        "ab".to_owned(),
        format!("--baseline={}", baseline.display()),
        format!("--candidate={}", candidate.display()),
        format!("--blocks={BLOCKS}"),
        format!("--seed={FIRST_SEED}"),
        format!("--out={}", out.display()),
        "--format=json".to_owned(),
    ];
    arguments.extend(more.iter().map(|a| (*a).to_owned()));
    run(Command::try_parse_from(arguments)
        .expect("arguments fit")
        .args)
}

fn calls(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("calls")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn report(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join("out/gate.json")).unwrap()).unwrap()
}

#[test]
fn flags_that_ab_gives_itself_are_refused_by_name() {
    for (flag, said) in [("--reps", "'--blocks'"), ("--warmup", "'--warmup'")] {
        let flags = ["ab", "--baseline=a", "--candidate=b", flag, "3"];
        let error = Command::try_parse_from(flags).map(|_| flag);
        let error = error.expect_err("no option does nothing").to_string();
        assert!(error.contains(flag) && error.contains(said), "{error}");
    }
}

#[test]
fn equal_builds_pass_after_one_batch_in_alternating_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let a = binary(at, "old", block(1, [1.0, 1.0]));
    let b = binary(at, "new", block(2, [1.0, 1.0]));
    let code = ab(
        at,
        &a,
        &b,
        &["some-scenario", "--memory", "64MiB", "--pin=source=0"],
    )
    .unwrap();
    assert_eq!(code, ExitCode::Done);
    let calls = calls(at);
    // One warm-up block, then the batch.
    assert_eq!(calls.len() as u64, 2 + 2 * BLOCKS);
    let order: Vec<&str> = calls[2..8].iter().map(|c| &c[..3]).collect();
    assert_eq!(order, ["old", "new", "new", "old", "old", "new"]);
    for call in &calls {
        assert!(call.contains(" run some-scenario --reps 1 "), "{call}");
        assert!(
            call.contains("--json") && call.ends_with("--memory=64MiB --pin=source=0"),
            "{call}"
        );
    }
    let kept = read(&at.join("out/baseline")).unwrap();
    assert_eq!(kept.migrations.len() as u64, 7 * BLOCKS);
    assert_eq!(kept.migrations.last().unwrap().block as u64, BLOCKS - 1);
    assert!(!at.join("out/confirm-baseline").exists());
}

#[test]
fn a_slowdown_is_confirmed_in_a_fresh_batch_of_the_flagged_arm() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let a = binary(at, "old", block(1, [1.0, 1.0]));
    let b = binary(at, "new", block(2, [1.15, 1.15]));
    assert_eq!(ab(at, &a, &b, &[]).unwrap(), ExitCode::Regression);
    let calls = calls(at);
    assert_eq!(calls.len() as u64, 2 + 4 * BLOCKS);
    assert!(
        calls.last().unwrap().contains("--arms aws-lc "),
        "{calls:?}"
    );
    let sentence = report(at)["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains("aws-lc seal_cpu_per_gib"), "{sentence}");
    assert!(sentence.contains("; again "), "{sentence}");
}

#[test]
fn what_the_fresh_batch_does_not_show_is_inconclusive() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let a = binary(at, "old", block(1, [1.0, 1.0]));
    let b = binary(at, "new", block(2, [1.15, 1.0]));
    assert_eq!(ab(at, &a, &b, &[]).unwrap(), ExitCode::Inconclusive);
    let sentence = report(at)["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains("did not confirm"), "{sentence}");
}

#[test]
fn a_faster_candidate_is_improved_and_an_arm_less_is_incomparable() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let a = binary(at, "old", block(1, [1.0, 1.0]));
    let b = binary(at, "new", block(2, [0.8, 0.8]));
    assert_eq!(ab(at, &a, &b, &[]).unwrap(), ExitCode::Done);
    assert_eq!(report(at)["verdict"], "improved");
    let less = block(2, [1.0, 1.0]);
    let c = binary(at, "less", |n| {
        let mut results = less(n);
        results.arms.retain(|a| a.name != Arm::RUSTCRYPTO);
        results.migrations.retain(|m| m.arm != Arm::RUSTCRYPTO);
        results
    });
    assert_eq!(ab(at, &a, &c, &[]).unwrap(), ExitCode::Incomparable);
}

#[test]
fn binaries_that_fail_are_named_with_what_they_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let good = binary(at, "good", block(1, [1.0, 1.0]));
    let table = [
        (
            "echo unknown scenario >&2; exit 2\n",
            ExitCode::InvalidInput,
            "unknown scenario",
        ),
        (
            "echo no room >&2; exit 1\n",
            ExitCode::CannotRun,
            "exit code 1: no room",
        ),
        ("echo hello\n", ExitCode::CannotRun, "printed no results"),
        ("kill -9 $$\n", ExitCode::CannotRun, "signal"),
    ];
    for (body, code, expected) in table {
        let bad = script(at, "bad", body);
        let error = ab(at, &good, &bad, &[]).unwrap_err();
        assert_eq!(error.exit_code(), code, "{error}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("bad"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
    let error = ab(at, &at.join("nowhere"), &good, &[]).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
}
