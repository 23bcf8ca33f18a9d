//! `migtax list`, `report` and the help, as a user sees them.

use crate::command::{migtax, run};
use migtax::arm::Arm;

fn said(args: &[&str]) -> String {
    let output = migtax().args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn lists_name_everything_there_is() {
    let arms = said(&["list", "arms"]);
    let json = said(&["list", "arms", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (arm, listed) in Arm::all().zip(json["arms"].as_array().unwrap()) {
        assert!(arms.contains(arm.name()), "{arm}");
        assert_eq!(listed["name"], arm.name());
        assert_eq!(listed["encrypted"], arm.is_encrypted());
        assert_eq!(listed["supported"], listed["reason"].is_null());
    }
    assert!(json["scenarios"].is_null() && json["trackers"].is_null());
    let trackers = said(&["list", "trackers"]);
    assert!(trackers.contains("bitmap") && trackers.contains("userfaultfd"));
    let scenarios = said(&["list", "scenarios"]);
    for (name, _) in migtax::scenario::embedded() {
        assert!(scenarios.contains(name));
    }
    let all = said(&["list"]);
    assert!(all.contains(&arms) && all.contains(&trackers) && all.contains(&scenarios));
}

/// A machine without QEMU, OpenSSH and stunnel loses their arms, with the package that has each, and nothing
/// else.
#[test]
fn without_other_programs_only_their_arms_are_missing() {
    let without = |args: &[&str]| {
        let output = migtax().env("PATH", "").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let json = without(&["list", "arms", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let with: serde_json::Value = serde_json::from_str(&said(&["list", "arms", "--json"])).unwrap();
    for (index, arm) in Arm::all().enumerate() {
        let listed = &json["arms"][index];
        let package = match arm {
            Arm::SSH => "openssh-client",
            Arm::STUNNEL => "stunnel4",
            arm if arm.is_qemu() => "qemu-system-x86",
            _ => {
                assert_eq!(listed, &with["arms"][index]);
                continue;
            }
        };
        let reason = listed["reason"].as_str().unwrap();
        assert!(
            reason.ends_with(&format!("Debian package {package}")) || arm.is_qemu(),
            "{reason}"
        );
        assert!(reason.contains(package), "{reason}");
        assert_eq!(listed["supported"], false);
        assert!(listed["qemu"].is_null());
    }
    assert!(without(&["list", "arms"]).contains("qemu-system-x86_64 not found"));
    let doctor = without(&["doctor"]);
    assert!(
        doctor.contains("QEMU's arms are unsupported: qemu-system-x86_64 not found"),
        "{doctor}"
    );
}

#[test]
fn qemus_arms_tell_which_qemu_runs_them() {
    let json: serde_json::Value = serde_json::from_str(&said(&["list", "arms", "--json"])).unwrap();
    let Ok(program) = migtax::qemu::program::Program::probe(None) else {
        eprintln!("skipped: no qemu-system-x86_64 (Debian package qemu-system-x86)");
        return;
    };
    for (arm, listed) in Arm::all().zip(json["arms"].as_array().unwrap()) {
        assert_eq!(
            listed["qemu"]["version"] == *program.version,
            arm.is_qemu(),
            "{listed}"
        );
    }
    let accelerator = if program.kvm.is_ok() { "KVM" } else { "TCG" };
    let state = format!("supported, QEMU {} with {accelerator}", program.version);
    assert!(said(&["list", "arms"]).contains(&state), "{state}");
    assert!(said(&["doctor"]).contains(&program.version));
}

#[test]
fn help_and_version_are_no_errors() {
    assert!(said(&["--help"]).contains("run"));
    assert!(said(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn capabilities_speak_for_the_process_that_is_asked() {
    let json = said(&["host", "capabilities", "--arm", "rustcrypto-soft"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["engaged_features"].as_array().unwrap().len(), 0);
    assert!(value["known_answer_failure"].is_null());
}

/// The points of a matrix run in one session, each into its own folder, and none is lost.
#[test]
fn a_matrix_runs_every_point() {
    let text = r#"
name = "matrix"
[guest]
memory = "4MiB"
[workload]
rate = "0MiB/s"
[migration]
streams = [1, 2]
downtime_limit = "1m"
[measure]
arms = ["plain", "copy"]
repetitions = 1
warmup = 0
window = "1ms"
"#;
    let (folder, path) = crate::command::scenario_file(text);
    let out = folder.path().join("run");
    let output = migtax()
        .args(["run", &path, "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).unwrap();
    let mut streams: Vec<u32> = std::fs::read_dir(&out)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let results = migtax::run_folder::read(&entry.path()).unwrap();
            assert_eq!(results.migrations.len(), 2);
            let streams = results.scenario.migration.streams;
            let page = std::fs::read_to_string(entry.path().join("index.html")).unwrap();
            let title = format!("matrix (streams {streams})");
            assert!(page.contains(&title), "{title}");
            // One table for all points, in which each stands under its values.
            let point = format!("\nstreams {streams}\nplain ");
            assert_eq!(said.matches(&point).count(), 1, "{point}: {said}");
            streams
        })
        .collect();
    streams.sort_unstable();
    assert_eq!(streams, [1, 2]);
    assert_eq!(said.matches("With both hosts on one machine").count(), 1);
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    for name in ["1: streams-1", "2: streams-2"] {
        assert!(
            page.contains(name),
            "{name} is not on the page that compares the points"
        );
    }
}

/// The resolved scenario in results.json is one that can be run again.
#[test]
fn a_recorded_scenario_reads_back() {
    let text = "name = \"again\"\n[guest]\nmemory = \"4MiB\"\n[workload]\nrate = \"0MiB/s\"\n\
                [measure]\narms = [\"plain\"]\nrepetitions = 1\nwarmup = 0\nwindow = \"1ms\"\n";
    let made = run(text, &[]);
    let json = serde_json::to_string(&made.results.scenario).unwrap();
    let scenario: migtax::scenario::Scenario = serde_json::from_str(&json).unwrap();
    assert_eq!(scenario, made.results.scenario);
    scenario.check().unwrap();
}

/// A reader that goes away, such as `head`, is no reason to panic.
#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let mut child = migtax()
        .args(["list", "scenarios"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn completions_and_the_manual_know_every_verb() {
    let verbs = [
        "run", "list", "workload", "report", "gate", "ab", "doctor", "fleet",
    ];
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = said(&["completions", shell]);
        for verb in verbs {
            assert!(text.contains(verb), "{shell}: {verb}");
        }
    }
    let page = said(&["man"]);
    assert!(page.contains(".TH migtax 1"), "{page}");
    assert!(page.contains("migtax\\-run(1)"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    said(&["man", "--out", folder.path().to_str().unwrap()]);
    for verb in verbs {
        let page = std::fs::read_to_string(folder.path().join(format!("migtax-{verb}.1")));
        let page = page.unwrap();
        assert!(page.contains(&format!("migtax\\-{verb}")), "{page}");
    }
    assert!(folder.path().join("migtax.1").exists());
}

#[test]
fn the_version_names_build_and_machine() {
    let told = said(&["--version"]);
    for word in [
        "commit: ",
        "target: ",
        "compiled for: ",
        "features of this CPU: ",
        "aws-lc-sys",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(said(&["-V"]).lines().count(), 1);
}
