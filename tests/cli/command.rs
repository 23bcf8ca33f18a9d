//! Running the `migtax` command in tests.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use migtax::results::Results;

/// What a run came to.
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// results.json, as printed.
    pub results: Results,
}

/// The command under test.
pub fn migtax() -> Command {
    Command::new(env!("CARGO_BIN_EXE_migtax"))
}

/// A scenario's text as a file, which goes with its folder.
pub fn scenario_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// Runs a scenario with flags and reads the results that it prints.
pub fn run(text: &str, flags: &[&str]) -> Outcome {
    let (folder, path) = scenario_file(text);
    let output = migtax()
        .args(["run", &path, "--json", "--out"])
        .arg(folder.path().join("run"))
        .args(flags)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let results = migtax::run_folder::parse(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}; it said: {said}"));
    Outcome {
        code: output.status.code().expect("it was not killed"),
        results,
    }
}

/// The hosts that a coordinator has started.
pub fn hosts(coordinator: u32) -> Vec<i32> {
    let path = format!("/proc/{coordinator}/task/{coordinator}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .filter(|pid| is_host(*pid))
        .collect()
}

/// Whether a process is one of our hosts.
pub fn is_host(pid: i32) -> bool {
    role(pid).is_some()
}

fn role(pid: i32) -> Option<String> {
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&[u8]> = cmdline
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .collect();
    match words[..] {
        [_, b"host", .., role] => Some(String::from_utf8_lossy(role).into_owned()),
        _ => None,
    }
}

/// Waits until the coordinator has a host of this role, and pages are on their way, i.e. a destination of it
/// has a stream's thread: a source sends its first stream by the thread that decides.
pub fn wait_for_host(coordinator: u32, wanted: &str) -> i32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let hosts = hosts(coordinator);
        let is = |pid: &i32, wanted: &str| role(*pid).as_deref() == Some(wanted);
        if hosts
            .iter()
            .any(|pid| is(pid, "destination") && has_stream(*pid))
            && let Some(pid) = hosts.iter().find(|pid| is(pid, wanted))
        {
            return *pid;
        }
        assert!(Instant::now() < deadline, "no {wanted} host with a stream");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn has_stream(pid: i32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    tasks.flatten().any(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with("stream-"))
    })
}
