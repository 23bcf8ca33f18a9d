//! Processes of a tunnel, and hosts that have one, killed while pages are on their way.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use migtax::arm::Arm;
use migtax::results::OutcomeStatus;

use crate::runs::{
    assert_guest_stayed, is_supported, marker, processes, reason, several_at_once, signal, start,
};

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

/// A tunnel that is up.
struct Tunnel {
    /// The processes of both sides, the source's first.
    sides: [Vec<i32>; 2],
    /// Where its keys are, or were.
    keys: PathBuf,
}

/// The tunnel of a run, once both sides have read as many bytes.
fn tunnel(marker: &str, bytes: u64) -> Tunnel {
    let words = |pid: i32| {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).replace('\0', " ")
    };
    let role = |pid: i32, role: &str| words(pid).split(' ').any(|word| word == role);
    let busy = |pid: &i32| {
        // Bytes that it has read by system calls.
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
        let read = read.and_then(|bytes| bytes.parse::<u64>().ok());
        read.unwrap_or(0) > bytes
    };
    let folder = |pid: &i32| {
        let words = words(*pid);
        let (_, rest) = words.split_once("/dev/shm/migtax-")?;
        let name = rest.split('/').next()?;
        Some(PathBuf::from(format!("/dev/shm/migtax-{name}")))
    };
    let began = Instant::now();
    loop {
        let hosts = processes(marker);
        let of = |name: &str| {
            let host = hosts.iter().find(|pid| role(**pid, name));
            host.map_or_else(Vec::new, |pid| below(*pid))
        };
        let sides = [of("source"), of("destination")];
        let keys = sides[0].iter().find_map(folder);
        if let Some(keys) = keys
            && sides.iter().all(|side| side.iter().any(busy))
        {
            return Tunnel { sides, keys };
        }
        assert!(began.elapsed() < LIMIT, "no tunnel came up");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn gone(pid: i32) -> bool {
    // A zombie has ended; somebody else is to wait for it.
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Nothing is left of it: no process, and with it no socket, and no key.
fn assert_gone(tunnel: &Tunnel, context: &str) {
    let began = Instant::now();
    for pid in tunnel.sides.iter().flatten() {
        while !gone(*pid) {
            let waited = began.elapsed() < LIMIT;
            assert!(waited, "{context}: process {pid} was left behind");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    while tunnel.keys.exists() {
        let waited = began.elapsed() < LIMIT;
        assert!(waited, "{context}: {} was left", tunnel.keys.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes after which pages are on their way.
const MOVING: u64 = 4 << 20;

#[test]
fn a_tunnel_that_breaks_is_named_and_the_guest_stays() {
    let work = arms().into_iter().flat_map(|arm| [(arm, 0), (arm, 1)]);
    several_at_once(work, |(arm, side)| {
        let run = start(SLOW, &marker(), &["--arms", arm.name()]);
        let tunnel = tunnel(&run.marker, MOVING);
        for pid in &tunnel.sides[side] {
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
        let is_named = named.iter().any(|word| said.contains(word));
        assert!(is_named, "{context}: {said}");
        assert_guest_stayed(migration, &context);
        assert_gone(&tunnel, &context);
    });
}

/// However a run ends, and how early, its tunnels end with it, and their keys.
#[test]
fn nothing_of_a_tunnel_is_left_behind() {
    let ends = [
        ("run", libc::SIGINT, MOVING),
        ("run", libc::SIGKILL, MOVING),
        // The handshake is not over.
        ("run", libc::SIGKILL, 0),
        ("source", libc::SIGKILL, MOVING),
        ("destination", libc::SIGKILL, MOVING),
    ];
    let work = arms()
        .into_iter()
        .flat_map(|arm| ends.map(|end| (arm, end)));
    several_at_once(work, |(arm, (role, number, bytes))| {
        let run = start(SLOW, &marker(), &["--arms", arm.name()]);
        let tunnel = tunnel(&run.marker, bytes);
        signal(&run.marker, role, number);
        let ended = run.end();
        let context = format!("{arm}, {role}, signal {number}: {}", ended.said);
        if let Some(results) = &ended.results {
            let made = results.migrations.iter();
            let completed = made.filter(|m| m.outcome.status == OutcomeStatus::Completed);
            assert_eq!(completed.count(), 0, "{context}");
        }
        assert_gone(&tunnel, &context);
    });
}
