//! Runs with a marker in their environment, which every process of theirs inherits, and what must
//! hold after each.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use migtax::arm::Arm;
use migtax::host::capabilities;
use migtax::results::{Migration, OutcomeStatus, Results};

/// No run here may take longer, on however busy a machine.
const LIMIT: Duration = Duration::from_secs(120);

pub const MARKER: &str = "MIGTAX_TEST_RUN";

/// What is migrated, in [`crate::relay::ROUNDS`] rounds: a downtime that can't be met, then
/// switchover; a link that is slow enough for the guest to write in each round. Fewer are made only
/// if the vCPU gets no CPU for the length of a round.
pub fn scenario(peer_timeout: &str) -> String {
    format!(
        r#"
name = "faults"
[guest]
memory = "4MiB"
device_state = "8KiB"
[workload]
rate = "150MiB/s"
arrival = {{ model = "constant" }}
placement = {{ model = "uniform", working_set = 0.5 }}
[migration]
streams = 2
record = "64KiB"
link = "800Mbit/s"
downtime_limit = "1ns"
max_rounds = 3
time_limit = "1h"
on_stall = "switchover"
peer_timeout = "{peer_timeout}"
[measure]
repetitions = 1
warmup = 0
window = "100ms"
"#
    )
}

/// `plain` and every encrypted arm that this machine can run.
pub fn arms() -> Vec<Arm> {
    // Tunnels are on 127.0.0.1 by themselves: `crate::tunnel`.
    let wanted = Arm::hosted().filter(|arm| *arm != Arm::COPY && !arm.is_tunnel());
    wanted.filter(|arm| is_supported(*arm)).collect()
}

/// Whether this machine can run an arm; told of aloud if not.
pub fn is_supported(arm: Arm) -> bool {
    let told = capabilities(arm, false);
    let lacks = [
        told.missing_features.join(", "),
        told.lacking.unwrap_or_default(),
    ]
    .concat();
    if !lacks.is_empty() {
        eprintln!("skipped: {arm}: {lacks}");
    }
    lacks.is_empty()
}

/// If it is set, every arm meets each fault at each phase, which takes three times as long.
const EVERY: &str = "MIGTAX_TEST_EVERY_ARM";

/// `plain` and a third of the other [`arms`], another third from number to number: whoever takes one
/// number after the other meets each arm. All of them with [`EVERY`].
pub fn some_arms(number: usize) -> Vec<Arm> {
    if std::env::var_os(EVERY).is_some() {
        return arms();
    }
    let numbered = arms().into_iter().enumerate();
    numbered
        .filter(|(at, arm)| *arm == Arm::PLAIN || (at + number).is_multiple_of(3))
        .map(|(_, arm)| arm)
        .collect()
}

/// Names for `--arms`.
pub fn names(arms: &[Arm]) -> String {
    let names: Vec<&str> = arms.iter().map(|arm| arm.name()).collect();
    names.join(",")
}

/// An address at which nobody listens, of a port given out once. It lies below those that the
/// kernel gives to connections by itself: else one of another run's could take it before a
/// destination listens there, or between two migrations.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let ephemeral: u32 = range.split_whitespace().next().unwrap().parse().unwrap();
    let lowest = 1024;
    assert!(ephemeral > lowest, "no port is left to tests: {range}");
    // Processes that test at the same time begin far from each other.
    let begin = std::process::id().wrapping_mul(7919);
    loop {
        let number = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = lowest + number % (ephemeral - lowest);
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A run that goes on.
pub struct Running {
    pub child: Child,
    pub marker: String,
    pub out: PathBuf,
    folder: tempfile::TempDir,
    began: Instant,
}

/// A run that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub results: Option<Results>,
    pub said: String,
    _folder: tempfile::TempDir,
}

/// Does all of the work, eight pieces at once: most of a piece is waiting.
pub fn several_at_once<T: Send>(work: impl IntoIterator<Item = T>, each: impl Fn(T) + Sync) {
    let mut work: Vec<T> = work.into_iter().collect();
    work.reverse();
    let work = Mutex::new(work);
    let next = || work.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(piece) = next() {
                    each(piece);
                }
            });
        }
    });
}

/// A marker for a run, so that faults can find its processes.
pub fn marker() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    )
}

/// Starts a run of a scenario's text.
pub fn start(text: &str, marker: &str, flags: &[&str]) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    start_in(folder, &out, text, marker, flags)
}

/// Runs arms to a destination that a command starts, reached at `host`.
pub fn run_elsewhere(text: &str, arms: &str, command: &str, host: &str) -> Ended {
    let flags = ["--arms", arms, "--destination", command, "--connect", host];
    start(text, &marker(), &flags).end()
}

/// Starts a run whose folder is `out`.
pub fn start_in(
    folder: tempfile::TempDir,
    out: &Path,
    text: &str,
    marker: &str,
    flags: &[&str],
) -> Running {
    let command = Command::new(env!("CARGO_BIN_EXE_migtax"));
    start_by(command, folder, out, text, marker, flags)
}

/// Starts a run whose folder is `out` by a command that ends in the program's name.
pub fn start_by(
    mut command: Command,
    folder: tempfile::TempDir,
    out: &Path,
    text: &str,
    marker: &str,
    flags: &[&str],
) -> Running {
    let path = folder.path().join("scenario.toml");
    fs::write(&path, text).unwrap();
    let said = fs::File::create(folder.path().join("stderr")).unwrap();
    let child = command
        .arg("run")
        .arg(path)
        .arg("--out")
        .arg(out)
        .args(flags)
        .env(MARKER, marker)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .unwrap();
    Running {
        child,
        marker: marker.to_owned(),
        out: out.to_owned(),
        folder,
        began: Instant::now(),
    }
}

impl Running {
    /// Waits for the coordinator's end and for that of every process it has started.
    pub fn end(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.began.elapsed() > LIMIT {
                let _ = self.child.kill();
                panic!("the run hangs: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // The coordinator reaps its hosts before it ends, and a killed one leaves hosts that see
        // their input end; either way they are gone soon.
        while let Some(left) = processes(&self.marker).first() {
            assert!(
                self.began.elapsed() < LIMIT,
                "process {left} was left behind: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let results = self.out.join("results.json");
        Ended {
            status,
            results: results
                .exists()
                .then(|| migtax::run_folder::read(&results).unwrap()),
            said: self.said(),
            _folder: self.folder,
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }
}

/// Every process of a run that has not ended.
pub fn processes(marker: &str) -> Vec<i32> {
    let wanted = format!("{MARKER}={marker}");
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        // Empty for a zombie: that one has ended.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut entries = environment.split(|byte| *byte == 0);
        entries.any(|entry| entry == wanted.as_bytes())
    })
    .collect()
}

/// Sends a signal to a run's host of that role, or to its coordinator (`run`).
pub fn signal(marker: &str, role: &str, signal: i32) {
    let mut found = false;
    for pid in processes(marker) {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if cmdline
            .split(|byte| *byte == 0)
            .any(|word| word == role.as_bytes())
        {
            // SAFETY: a signal to a process of this test's own run.
            found |= unsafe { libc::kill(pid, signal) } == 0;
        }
    }
    assert!(found, "no {role} to signal");
}

/// The reason of a migration that did not simply complete.
pub fn reason(migration: &Migration) -> &str {
    migration.outcome.reason.as_deref().unwrap_or_default()
}

/// A migration that failed: its guest went on at the source and has every write.
pub fn assert_guest_stayed(migration: &Migration, context: &str) {
    let Migration { outcome, guest, .. } = migration;
    assert_eq!(
        outcome.status,
        OutcomeStatus::Failed,
        "{context}: {outcome:?}"
    );
    assert_eq!(guest.writes_verified, Some(true), "{context}: {outcome:?}");
    assert!(
        (guest.write_latency_after_ns.as_ref()).is_some_and(|after| after.count > 0),
        "{context}: the guest did not go on: {outcome:?}"
    );
}
