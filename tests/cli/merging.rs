//! Shards put together: which may be, what is missing, and what the whole is good for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use migtax::results::Results;
use migtax::run_folder::{self, FILE_NAME};
use serde_json::{Value, json};

use crate::bad_input::refused;
use crate::command::{migtax, scenario_file};
use crate::shards::{MATRIX, done, merge, points, shard, shards};

fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, serde_json::to_vec(&value).unwrap()).unwrap();
}

/// Every file of results below a folder, by its path there.
fn files(folder: &Path) -> Vec<(PathBuf, Results)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == FILE_NAME {
                let results = run_folder::read(&entry.path()).unwrap();
                found.push((
                    entry.path().strip_prefix(folder).unwrap().to_owned(),
                    results,
                ));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// As shards end on a cluster: some are put together when the others are not there yet.
#[test]
fn missing_shards_are_added_to_what_was_put_together() {
    let (folder, path) = scenario_file(MATRIX);
    let at = |name: &str| folder.path().join(name);
    let parts = shards(&path, 4, folder.path());
    // The last ran on a machine of another type.
    for (file, _) in files(&parts[3]) {
        edit(&parts[3].join(file), |results| {
            results["host"]["cpu_model"] = json!("Other")
        });
    }
    done(&merge(&parts, &at("at-once")));

    let said = done(&merge(&[parts[1].clone(), parts[3].clone()], &at("some")));
    assert!(said.contains("run or resume shard 1, 3 of 4"), "{said}");
    for (_, results) in files(&at("some")) {
        let parts = results.parts.as_ref().expect("what is in it");
        assert_eq!((parts.first.of, parts.whole.len()), (4, 1));
    }
    let said = done(&merge(&[at("some"), parts[0].clone()], &at("more")));
    assert!(
        said.contains("run or resume shard 3 of 4") && !said.contains("1, 3"),
        "{said}"
    );
    assert_eq!(
        done(&merge(&[parts[2].clone(), at("more")], &at("all"))),
        ""
    );
    assert_eq!(files(&at("all")), files(&at("at-once")));

    let again = merge(&[at("some"), parts[1].clone()], &at("none"));
    refused(&again, &["stands in", "as well: each part once"]);
    let again = merge(&[at("all"), parts[1].clone()], &at("none"));
    refused(&again, &["no part of a run"]);
    let resumed = migtax()
        .args(["run", "--resume"])
        .arg(at("some"))
        .output()
        .unwrap();
    refused(
        &resumed,
        &["--resume", "some", "shards are missing", "migtax merge"],
    );
    assert!(!at("none").exists());
}

/// As any other run: a plan takes its times, exact counts are gated; what it lacks is reported.
#[test]
fn what_was_put_together_is_planned_from_reported_and_gated() {
    for clock in ["live", "virtual"] {
        let (folder, path) = scenario_file(
            &MATRIX
                .replace("streams = [1, 2]", "streams = 1")
                .replace("repetitions = 3", "repetitions = 2")
                .replace("500us", "1s")
                .replace("virtual", clock),
        );
        let at = |name: &str| folder.path().join(name);
        let parts = shards(&path, 2, folder.path());
        done(&merge(&parts, &at("whole")));
        done(&merge(&parts[..1], &at("half")));
        let run = |words: &[&str], run: &str, more: &[&str]| -> Output {
            let mut command = migtax();
            command.args(words).arg(at(run)).args(more);
            command.output().unwrap()
        };
        for merged in ["whole", "half"] {
            done(&run(&["report"], merged, &[]));
            let summary = fs::read_to_string(at(merged).join("summary.md")).unwrap();
            let is_told = summary.contains("1 of 2 blocks are missing: 1");
            assert_eq!(is_told, merged == "half", "{summary}");
            if clock == "live" {
                let flags = ["--memory", "1GiB", "--rate", "10MiB/s", "--json"];
                let planned = run(&["plan"], merged, &flags);
                done(&planned);
                let planned: Value = serde_json::from_slice(&planned.stdout).unwrap();
                let predictions = planned["predictions"].as_array().map(Vec::len);
                assert_eq!(predictions, Some(2));
                continue;
            }
            let exact = at("exact.json");
            let exact = exact.to_str().unwrap();
            let candidate = ["gate", "--candidate"];
            done(&run(&candidate, merged, &["--update-exact", exact]));
            done(&run(&candidate, "whole", &["--exact", exact]));
        }
    }
}

/// A matrix is planned from point by point.
#[test]
fn a_folder_of_points_is_no_run() {
    let (folder, path) = scenario_file(MATRIX);
    let merged = folder.path().join("merged");
    done(&merge(&shards(&path, 1, folder.path()), &merged));
    assert_eq!(points(&merged).map(|point| point.migrations.len()), [6, 6]);
    for words in [&["plan"][..], &["gate", "--candidate"]] {
        let output = migtax().args(words).arg(&merged).output().unwrap();
        refused(&output, &["a folder of runs", "merged/streams-1"]);
    }
}

#[test]
fn what_does_not_belong_together_is_not_put_together() {
    let (folder, path) = scenario_file(MATRIX);
    let at = |name: &str| folder.path().join(name);
    let parts = shards(&path, 2, folder.path());
    let merged = at("merged");
    let one_line = |parts: &[PathBuf], words: &[&str]| {
        let output = merge(parts, &merged);
        refused(&output, words);
        assert!(!merged.exists());
        let stray = fs::read_dir(folder.path()).unwrap().flatten();
        let stray = stray.filter(|entry| entry.file_name().to_string_lossy().starts_with(".merge"));
        assert_eq!(stray.count(), 0, "nothing is left aside");
    };

    one_line(
        &[parts[0].clone(), parts[0].clone()],
        &["part-1", "stands in", "as well", "each part once"],
    );
    one_line(&[at("nowhere")], &["nowhere"]);
    let file = |part: &Path| {
        let mut points = fs::read_dir(part)
            .unwrap()
            .flatten()
            .filter(|e| e.path().is_dir());
        points.next().unwrap().path().join(FILE_NAME)
    };
    // Each change of the second part, and what is said of it.
    type Change = Box<dyn Fn(&mut Value)>;
    let set = |place: &'static str, value: Value| -> Change {
        Box::new(move |results| *results.pointer_mut(place).unwrap() = value.clone())
    };
    let cases: [(Change, &[&str]); 8] = [
        (
            set("/migtax_version", json!("0.0.9")),
            &["migtax_version differs", "0.0.9"],
        ),
        (
            set("/schema_version", json!(1)),
            &["schema_version differs: 1 and 2"],
        ),
        (
            set("/host/versions/aes", json!("0.0.1")),
            &["host.versions.aes differs: 0.0.1"],
        ),
        (
            set("/scenario/name", json!("other")),
            &["scenario", "differs"],
        ),
        (
            set("/shard/matrix", json!("0123456789abcdef0123456789abcdef")),
            &["of another scenario"],
        ),
        (set("/shard/matrix", json!("x")), &["shard.matrix"]),
        (set("/shard/of", json!(4)), &["shard"]),
        (
            Box::new(|results| {
                results.as_object_mut().unwrap().remove("shard");
            }),
            &["no part of a run", "--shard I/N"],
        ),
    ];
    let second = file(&parts[1]);
    let genuine = fs::read(&second).unwrap();
    for (change, words) in &cases {
        fs::write(&second, &genuine).unwrap();
        edit(&second, change);
        let words: Vec<&str> = std::iter::once("part-2")
            .chain(words.iter().copied())
            .collect();
        one_line(&parts, &words);
    }
    // At a line's end: what is cut within a number is no number.
    let half = &genuine[..genuine.len() / 2];
    let line = half.iter().rposition(|byte| *byte == b'\n').unwrap();
    fs::write(&second, &half[..line]).unwrap();
    one_line(&parts, &["part-2", "truncated"]);
    fs::write(&second, &genuine).unwrap();

    // Another matrix, and another division of this one.
    let (_other, longer) = scenario_file(&MATRIX.replace("100MiB/s", "50MiB/s"));
    let other = at("other");
    done(&shard(&longer, "2/2", &other).output().unwrap());
    one_line(
        &[parts[0].clone(), other],
        &["other", "workload.rate", "50MiB/s"],
    );
    let third = at("third");
    done(&shard(&path, "3/3", &third).output().unwrap());
    one_line(&[parts[0].clone(), third], &["third", "divided into"]);

    fs::create_dir(&merged).unwrap();
    refused(&merge(&parts, &merged), &["--out", "merged", "exists"]);
    assert_eq!(fs::read_dir(&merged).unwrap().count(), 0);
}

/// Blocks of different machines are never in one ratio.
#[test]
fn the_machine_is_a_factor() {
    let (folder, path) = scenario_file(MATRIX);
    let parts = shards(&path, 2, folder.path());
    for point in ["streams-1", "streams-2"] {
        let file = parts[1].join(point).join(FILE_NAME);
        if file.exists() {
            edit(&file, |results| {
                results["host"]["cpu_model"] = json!("Other CPU / 7");
                results["host"]["steal_share"] = json!(0.5);
            });
        }
    }
    let merged = folder.path().join("merged");
    let output = merge(&parts, &merged);
    done(&output);
    let mut machines: Vec<_> = fs::read_dir(&merged)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .collect();
    machines.sort();
    assert_eq!(machines.len(), 2);
    assert!(
        machines[1].ends_with("machine-2-Other-CPU---7"),
        "{machines:?}"
    );
    let mut blocks = Vec::new();
    for machine in &machines {
        for point in fs::read_dir(machine).unwrap().flatten() {
            let results = run_folder::read(&point.path()).unwrap();
            let other = machine == &machines[1];
            assert_eq!(results.host.cpu_model == "Other CPU / 7", other);
            assert_eq!(results.host.steal_share == 0.5, other);
            assert!(!results.interrupted, "together they are complete");
            let told = results
                .warnings
                .iter()
                .find(|w| w.code == "several_machines")
                .unwrap();
            assert!(
                told.message.contains("2 types of machine"),
                "{}",
                told.message
            );
            let made = results
                .migrations
                .iter()
                .map(|m| (m.block, m.arm.to_string()));
            blocks.extend(made.map(|made| (point.file_name(), made)));
        }
    }
    let all = blocks.len();
    blocks.sort();
    blocks.dedup();
    assert_eq!((all, blocks.len()), (12, 12));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Other CPU / 7"), "{said}");
    done(&migtax().arg("report").arg(&merged).output().unwrap());
    assert!(merged.join("index.html").exists());
}
