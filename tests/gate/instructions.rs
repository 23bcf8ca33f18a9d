//! Instruction counts through the gate's command: files in, report and exit code out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use migtax::error::ExitCode;
use migtax::gate::instructions::{Case, Counts, Function, Host, SCHEMA_VERSION};

fn counts(instructions: u64) -> Counts {
    Counts {
        schema_version: SCHEMA_VERSION,
        migtax_version: "0.1.0".to_owned(),
        valgrind_version: "valgrind-3.19.0".to_owned(),
        rustc_version: "rustc version 1.95.0".to_owned(),
        target: "x86_64-linux-gnu".to_owned(),
        libc_version: "glibc 2.36".to_owned(),
        host: Host {
            cpu_model: "a CPU".to_owned(),
            cpu_features: vec!["aes".to_owned()],
        },
        cpu_features_seen: vec!["aes".to_owned()],
        injected_seal_slowdown: None,
        cases: vec![Case {
            name: "encode/64-runs".to_owned(),
            arm: None,
            work: "100 heads of 64 runs".to_owned(),
            instructions,
            runs: vec![instructions, instructions + 1],
            backend_version: String::new(),
            implementation: String::new(),
            engaged_features: Vec::new(),
            functions: vec![Function {
                name: "encode".to_owned(),
                instructions: 17,
            }],
        }],
    }
}

fn saved(folder: &Path, name: &str, counts: &Counts) -> PathBuf {
    let file = folder.join(name);
    counts.write(&file).unwrap();
    file
}

/// Exit code, standard output and standard error of `migtax gate --instructions`.
fn gate(baseline: &Path, candidate: &Path, more: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_migtax"))
        .args(["gate", "--instructions"])
        .args([baseline, candidate])
        .args(more)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("it was not killed");
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn exit_codes_follow_the_contract_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let baseline = saved(at, "main.json", &counts(1_000_000));
    let mut noisy = counts(1_004_000);
    noisy.cases[0].runs.push(1_010_000);
    let mut other = counts(1_000_000);
    other.valgrind_version = "valgrind-3.25.0".to_owned();
    let table = [
        ("same.json", counts(1_000_000), ExitCode::Done, "pass"),
        ("fewer.json", counts(900_000), ExitCode::Done, "improved"),
        (
            "more.json",
            counts(1_006_000),
            ExitCode::Regression,
            "regressed",
        ),
        ("noisy.json", noisy, ExitCode::Inconclusive, "inconclusive"),
        ("other.json", other, ExitCode::Incomparable, "incomparable"),
    ];
    for (name, candidate, code, verdict) in table {
        let candidate = saved(at, name, &candidate);
        for format in ["text", "json", "markdown", "junit"] {
            let (found, out, _) = gate(&baseline, &candidate, &["--format", format]);
            assert_eq!(found, code as i32, "{name}, {format}: {out}");
            assert!(out.contains(verdict), "{name}, {format}: {out}");
        }
    }
}

#[test]
fn a_configuration_sets_the_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let baseline = saved(at, "main.json", &counts(1_000_000));
    let candidate = saved(at, "new.json", &counts(1_006_000));
    let built_in = include_str!("../../datasets/gate.toml");
    let config = at.join("gate.toml");
    fs::write(
        &config,
        built_in.replace("threshold = 0.005", "threshold = 0.01"),
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let (code, out, _) = gate(&baseline, &candidate, &["--config", config]);
    assert_eq!(code, 0, "{out}");
    let (code, out, _) = gate(&baseline, &candidate, &[]);
    assert_eq!(code, 3, "{out}");
}

#[test]
fn bad_files_are_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let good = saved(at, "good.json", &counts(1_000_000));
    let text = fs::read_to_string(&good).unwrap();
    let edited = |from: &str, to: &str| {
        let edited = text.replacen(from, to, 1);
        assert_ne!(edited, text, "{from}");
        edited
    };
    let twice = {
        let mut counts = counts(1_000_000);
        counts.cases.push(counts.cases[0].clone());
        serde_json::to_string(&counts).unwrap()
    };
    let table = [
        (text[..text.len() / 2].to_owned(), 2, "not JSON"),
        (String::new(), 2, "not JSON"),
        ("[]".to_owned(), 2, "no schema_version"),
        ("7".to_owned(), 2, "no schema_version"),
        (
            edited("\"schema_version\": 1", "\"schema_version\": 2"),
            5,
            "schema_version = 2",
        ),
        (
            edited("\"instructions\": 1000000", "\"instructions\": 1"),
            2,
            "the least of runs, 1000000",
        ),
        (
            edited("\"instructions\": 1000000", "\"instructions\": -1"),
            2,
            "cases[0].instructions",
        ),
        (text.replace("1000000", "0"), 2, "instructions = 0"),
        (
            edited("\"instructions\": 17", "\"instructions\": 1000001"),
            2,
            "none has more",
        ),
        (edited("\"work\"", "\"wrok\""), 2, "work"),
        (
            edited("\"arm\": null", "\"arm\": \"rot13\""),
            2,
            "cases[0].arm",
        ),
        (twice, 2, "stands there twice"),
    ];
    for (content, code, expected) in table {
        let bad = at.join("bad.json");
        fs::write(&bad, &content).unwrap();
        for files in [[&good, &bad], [&bad, &good]] {
            let (found, out, error) = gate(files[0], files[1], &[]);
            assert_eq!(found, code, "{expected}: {out}{error}");
            assert!(error.contains("bad.json"), "{error}");
            assert!(error.contains(expected), "{expected}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
    let (code, _, error) = gate(&good, &at.join("nowhere.json"), &[]);
    assert_eq!(code, 2, "{error}");
}

#[test]
fn two_files_are_needed_and_nothing_else_fits() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migtax"));
        let output = command.arg("gate").args(arguments).output().unwrap();
        output.status.code()
    };
    for arguments in [
        &["--instructions", "a.json"][..],
        &["--instructions", "a.json", "b.json", "--self-test"],
        &["--instructions", "a.json", "b.json", "--candidate", "c"],
        &[
            "--instructions",
            "a.json",
            "b.json",
            "--criterion",
            "c",
            "d",
        ],
    ] {
        assert_eq!(run(arguments), Some(2), "{arguments:?}");
    }
}
