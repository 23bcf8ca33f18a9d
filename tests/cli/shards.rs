//! Runs in shards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use migtax::results::{Migration, Results};
use migtax::run_folder::{self, FILE_NAME};

use crate::bad_input::refused;
use crate::command::{migtax, scenario_file};
use crate::interrupted::interrupt_after;
use crate::migration::IDLE;

/// Two points by three blocks, whose counts are exact.
pub const MATRIX: &str = r#"
name = "swept"
[guest]
memory = "8MiB"
[workload]
rate = "100MiB/s"
[migration]
link = "10Gbit/s"
downtime_limit = "500us"
streams = [1, 2]
[measure]
arms = ["plain", "copy"]
clock = "virtual"
repetitions = 3
warmup = 0
"#;

pub fn shard(path: &str, which: &str, out: &Path) -> Command {
    let mut command = migtax();
    // The tests themselves may run in a task of an engine's.
    for variable in [
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
        "JOB_COMPLETION_INDEX",
        "MIGTAX_SHARDS",
    ] {
        command.env_remove(variable);
    }
    command
        .args(["run", path, "--shard", which, "--out"])
        .arg(out);
    command
}

pub fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    said.into_owned()
}

pub fn merge(parts: &[PathBuf], out: &Path) -> Output {
    let mut command = migtax();
    command.arg("merge").args(parts).arg("--out").arg(out);
    command.output().unwrap()
}

/// Shards 1 to `of` of a scenario, each in its folder.
pub fn shards(path: &str, of: u32, under: &Path) -> Vec<PathBuf> {
    let make = |index: u32| {
        let out = under.join(format!("part-{index}"));
        done(
            &shard(path, &format!("{index}/{of}"), &out)
                .output()
                .unwrap(),
        );
        out
    };
    (1..=of).map(make).collect()
}

/// What is the same on every machine.
fn exact(results: &Results) -> Vec<String> {
    let counts = |m: &Migration| {
        let rounds: Vec<_> = m
            .rounds
            .iter()
            .map(|r| (r.pages_sent, r.zero_pages))
            .collect();
        let (seed, hash) = (m.stream_seed, &m.verified.source_hash);
        format!(
            "{} {} {seed:?} {hash} {} {rounds:?}",
            m.arm,
            m.block,
            m.records.unwrap_or(0)
        )
    };
    results.migrations.iter().map(counts).collect()
}

pub fn points(folder: &Path) -> [Results; 2] {
    ["streams-1", "streams-2"].map(|point| run_folder::read(&folder.join(point)).unwrap())
}

#[test]
fn an_array_put_together_is_the_run_that_was_not_divided() {
    let (folder, path) = scenario_file(MATRIX);
    let whole = folder.path().join("whole");
    done(
        &migtax()
            .args(["run", &path, "--out"])
            .arg(&whole)
            .output()
            .unwrap(),
    );
    let parts = shards(&path, 4, folder.path());
    // 6 blocks over 4 shards: two have two, two have one.
    let mut made: Vec<usize> = parts
        .iter()
        .map(|part| {
            let files = ["streams-1", "streams-2"].map(|point| part.join(point).join(FILE_NAME));
            let files = files.iter().filter(|file| file.exists());
            files
                .map(|file| run_folder::read(file).unwrap().migrations.len())
                .sum()
        })
        .collect();
    made.sort_unstable();
    assert_eq!(made, [2, 2, 4, 4]);

    let merged = folder.path().join("new/merged");
    let output = merge(&parts, &merged);
    assert_eq!(done(&output), "");
    for (whole, merged) in points(&whole).iter().zip(points(&merged)) {
        assert_eq!(exact(whole), exact(&merged));
        assert_eq!(whole.scenario, merged.scenario);
        assert_eq!(whole.arms, merged.arms);
        assert!(!merged.interrupted && merged.shard.is_none());
        assert!(merged.warnings.iter().all(|w| w.code != "missing_blocks"));
        assert!(!merged.command.iter().any(|word| word.contains("shard")));
        let of = |r: &Results| {
            r.comparisons
                .iter()
                .map(|c| (c.arm, c.metric.clone(), c.blocks))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(whole), of(&merged));
    }
    // As any other run: reported together and gated point by point.
    let report = migtax().arg("report").arg(&merged).output().unwrap();
    done(&report);
    for page in ["index.html", "streams-1/index.html", "streams-2/summary.md"] {
        assert!(merged.join(page).exists(), "{page}");
    }
    let gate = |candidate: &Path| {
        let mut gate = migtax();
        gate.args(["gate", "--baseline"])
            .arg(whole.join("streams-2"));
        gate.arg("--candidate")
            .arg(candidate)
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(gate(&merged.join("streams-2")), Some(0));
    assert_eq!(gate(&merged.join("streams-1")), Some(5));
}

#[test]
fn the_tasks_of_an_engine_find_their_parts() {
    let (folder, path) = scenario_file(MATRIX);
    let arrays: [&[(&str, &str)]; 2] = [
        &[
            ("SLURM_ARRAY_TASK_ID", "3"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
        ],
        &[("JOB_COMPLETION_INDEX", "2"), ("MIGTAX_SHARDS", "4")],
    ];
    for (index, variables) in arrays.into_iter().enumerate() {
        let out = folder.path().join(format!("part-{index}"));
        let mut run = shard(&path, "auto", &out);
        done(&run.envs(variables.iter().copied()).output().unwrap());
        let found: Vec<_> = fs::read_dir(&out).unwrap().flatten().collect();
        let results = run_folder::read(&found[0].path()).unwrap();
        let shard = results.shard.unwrap();
        assert_eq!((shard.index, shard.of, shard.points), (3, 4, 2));
    }
    refused(
        &shard(&path, "auto", &folder.path().join("none"))
            .output()
            .unwrap(),
        &["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "--shard I/N"],
    );
}

#[test]
fn a_shard_without_work_says_so_and_is_no_failure() {
    let (folder, path) = scenario_file(MATRIX);
    let out = folder.path().join("part");
    let said = done(&shard(&path, "7/7", &out).output().unwrap());
    assert!(
        said.contains("shard 7 of 7: nothing to do") && said.contains("2 points x 3 blocks"),
        "{said}"
    );
    assert!(!out.exists());
}

#[test]
fn an_interrupted_shard_goes_on_with_its_own_blocks() {
    let (folder, path) = scenario_file(&IDLE.replace("repetitions = 1", "repetitions = 40"));
    let [one, two] = ["1", "2"].map(|name| folder.path().join(name));
    let arms = ["--arms", "plain,copy"];
    let mut child = shard(&path, "1/2", &one)
        .args(arms)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    interrupt_after(&mut child, libc::SIGTERM, 3, || {
        run_folder::read(&one).map_or(0, |results| results.migrations.len())
    });
    done(&shard(&path, "2/2", &two).args(arms).output().unwrap());

    let part = folder.path().join("part");
    let said = done(&merge(&[one.clone(), two.clone()], &part));
    assert!(
        said.contains("blocks are missing") && said.contains("shard 1 of 2"),
        "{said}"
    );
    let lacking = run_folder::read(&part).unwrap();
    assert!(lacking.interrupted);
    let told = lacking
        .warnings
        .iter()
        .find(|w| w.code == "missing_blocks")
        .unwrap();
    assert!(told.message.contains("of 40 blocks"), "{}", told.message);

    let resume = |flags: &[&str]| {
        migtax()
            .args(["run", "--resume"])
            .arg(&one)
            .args(flags)
            .output()
            .unwrap()
    };
    refused(&resume(&["--reps", "auto"]), &["fixed number of blocks"]);
    refused(&resume(&["--shard", "2/2"]), &["--shard"]);
    done(&resume(&[]));
    let results = run_folder::read(&one).unwrap();
    let shard = results.shard.clone().unwrap();
    assert!(results.migrations.iter().all(|m| shard.holds(m.block)));
    assert_eq!(results.whole_blocks().len(), 20);

    let whole = folder.path().join("whole");
    assert_eq!(done(&merge(&[two, one], &whole)), "");
    let whole = run_folder::read(&whole).unwrap();
    assert!(!whole.interrupted);
    assert_eq!(whole.whole_blocks().len(), 40);
}

#[test]
fn what_is_no_shard_is_refused_before_anything_starts() {
    let (folder, path) = scenario_file(MATRIX);
    let out = folder.path().join("part");
    for which in ["0/4", "5/4", "x/4", "4", "1/0"] {
        let output = shard(&path, which, &out).output().unwrap();
        refused(&output, &[which, "I/N", "1 <= I <= N"]);
    }
    let auto = shard(&path, "1/4", &out)
        .args(["--reps", "auto"])
        .output()
        .unwrap();
    refused(&auto, &["--shard", "--reps"]);
    assert!(!out.exists());
}
