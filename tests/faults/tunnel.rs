//! Processes of a tunnel, and hosts that have one, killed while pages are on their way.

use std::fs;
use std::time::{Duration, Instant};

use migtax::arm::Arm;
use migtax::results::OutcomeStatus;

use crate::runs::{assert_guest_stayed, is_supported, marker, processes, reason, signal, start};

/// Seconds of pre-copy.
const SLOW: &str = r#"
name = "tunnel"
[guest]
memory = "32MiB"
content = { zero = 0.0, constant = 0.0, compressible = 0.0 }
[workload]
rate = "8MiB/s"
[migration]
link = "100Mbit/s"
downtime_limit = "50ms"
peer_timeout = "5s"
[measure]
repetitions = 1
warmup = 0
window = "100ms"
"#;

const LIMIT: Duration = Duration::from_secs(60);

fn arms() -> Vec<Arm> {
    let tunnels = Arm::hosted().filter(|arm| arm.is_tunnel());
    tunnels.filter(|arm| is_supported(*arm)).collect()
}

/// The run's hosts have a marker in their environment, what they start has none of it: children, and theirs.
fn below(parent: i32) -> Vec<i32> {
    let mut all = Vec::new();
    for thread in fs::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|c| c.parse().ok()) {
            all.push(child);
            all.extend(below(child));
        }
    }
    all
}

/// The processes of both sides of a tunnel, the source's first, once both are there and have moved pages.
fn tunnel(marker: &str) -> [Vec<i32>; 2] {
    let role = |pid: i32, role: &str| {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        cmdline
            .split(|byte| *byte == 0)
            .any(|word| word == role.as_bytes())
    };
    let busy = |pid: &i32| {
        // Bytes that it has read and written by system calls.
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
        read.and_then(|bytes| bytes.parse::<u64>().ok())
            .unwrap_or(0)
            > 4 << 20
    };
    let began = Instant::now();
    loop {
        let hosts = processes(marker);
        let of = |name: &str| {
            let host = hosts.iter().find(|pid| role(**pid, name));
            host.map_or_else(Vec::new, |pid| below(*pid))
        };
        let sides = [of("source"), of("destination")];
        if sides.iter().all(|side| side.iter().any(busy)) {
            return sides;
        }
        assert!(began.elapsed() < LIMIT, "no tunnel came up");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn gone(pid: i32) -> bool {
    // A zombie has ended; somebody else is to wait for it.
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn assert_gone(all: &[Vec<i32>; 2], context: &str) {
    let began = Instant::now();
    for pid in all.iter().flatten() {
        while !gone(*pid) {
            assert!(
                began.elapsed() < LIMIT,
                "{context}: process {pid} was left behind"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_tunnel_that_breaks_is_named_and_the_guest_stays() {
    for arm in arms() {
        for side in [0, 1] {
            let run = start(SLOW, &marker(), &["--arms", arm.name()]);
            let all = tunnel(&run.marker);
            for pid in &all[side] {
                // SAFETY: a signal to a process of this test's own run.
                unsafe { libc::kill(*pid, libc::SIGKILL) };
            }
            let ended = run.end();
            let context = format!("{arm}, side {side}: {}", ended.said);
            assert_eq!(ended.status.code(), Some(6), "{context}");
            let results = ended.results.unwrap();
            let migration = &results.migrations[0];
            let said = reason(migration);
            let named = ["closed by the", "reset by peer", "Broken pipe"];
            assert!(
                named.iter().any(|word| said.contains(word)),
                "{context}: {said}"
            );
            assert_guest_stayed(migration, &context);
            assert_gone(&all, &context);
        }
    }
}

/// However a run ends, its tunnels end with it.
#[test]
fn no_process_of_a_tunnel_is_left_behind() {
    for arm in arms() {
        for (role, number) in [
            ("run", libc::SIGINT),
            ("run", libc::SIGKILL),
            ("source", libc::SIGKILL),
            ("destination", libc::SIGKILL),
        ] {
            let run = start(SLOW, &marker(), &["--arms", arm.name()]);
            let all = tunnel(&run.marker);
            signal(&run.marker, role, number);
            let ended = run.end();
            let context = format!("{arm}, {role}, signal {number}: {}", ended.said);
            if let Some(results) = &ended.results {
                let made = results.migrations.iter();
                let completed = made.filter(|m| m.outcome.status == OutcomeStatus::Completed);
                assert_eq!(completed.count(), 0, "{context}");
            }
            assert_gone(&all, &context);
        }
    }
}
