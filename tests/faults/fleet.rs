//! Fleets of which a part breaks while eight guests are under way.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use migtax::fleet::FleetFile;
use migtax::fleet::file::{self, Moved};
use migtax::runner::Place;

use crate::runs::{MARKER, marker, processes};

const LIMIT: Duration = Duration::from_secs(60);

/// Eight guests that write to memory and disk, all under way at once over a link that takes them seconds.
const FLEET: &str = r#"
name = "eight"
evacuation = { concurrent = 8, link = "160Mbit/s", on_stall = "switchover" }
measure = { ways = ["configured"], arm = "aws-lc", repetitions = 2, warmup = 0, window = "10ms" }
[[guests]]
name = "g"
count = 8
guest = { memory = "8MiB", device_state = "4KiB" }
storage = { size = "DISKB", rate = "1MiB/s", content = { zero = 0.0 }, folder = "FOLDER" }
workload = { rate = "2MiB/s" }
migration = { streams = 2, max_rounds = 3, peer_timeout = "5s" }
"#;

const DISK: u64 = 3 << 20;

/// The fleet with `act` done once all guests are under way, and what it said.
fn run(act: impl FnOnce(&str, i32)) -> (Option<i32>, FleetFile) {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("fleet.toml"), folder.path().join("out"));
    let disks = tempfile::tempdir().unwrap();
    let text = FLEET
        .replace("DISK", &DISK.to_string())
        .replace("FOLDER", disks.path().to_str().unwrap());
    fs::write(&path, text).unwrap();
    let marker = marker();
    let mut child = Command::new(env!("CARGO_BIN_EXE_migtax"))
        .arg("fleet")
        .arg(&path)
        .arg("--out")
        .arg(&out)
        .env(MARKER, &marker)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        while !done() {
            assert!(began.elapsed() < LIMIT, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait("eight guests under way", &|| {
        ["source", "destination"]
            .iter()
            .all(|role| under_way(&marker, role).len() == 8)
    });
    for role in ["source", "destination"] {
        let hosts = under_way(&marker, role);
        let disks = |pid: &i32| disks_of(*pid, disks.path()) == 1;
        assert!(hosts.iter().all(disks), "each {role} has its guest's disk");
    }
    act(&marker, child.id() as i32);
    let status = child.wait().unwrap();
    wait("every process ends", &|| processes(&marker).is_empty());
    // A disk is gone with the last process that had it.
    assert_eq!(fs::read_dir(disks.path()).unwrap().count(), 0);
    (status.code(), file::read(&out).unwrap())
}

/// Disks of a folder that a process has open; they have no names.
fn disks_of(pid: i32, folder: &Path) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let is_disk = |file: &fs::DirEntry| {
        let name = fs::read_link(file.path()).unwrap_or_default();
        let len = fs::metadata(file.path()).map_or(0, |of| of.len());
        name.starts_with(folder) && len == DISK
    };
    files.flatten().filter(is_disk).count()
}

/// The hosts of a role whose pages are on their way.
fn under_way(marker: &str, role: &str) -> Vec<i32> {
    let is = |pid: &i32| {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let of_role = cmdline
            .split(|byte| *byte == 0)
            .any(|word| word == role.as_bytes());
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten();
        let mut names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        of_role && names.any(|name| name.starts_with("stream-"))
    };
    processes(marker).into_iter().filter(is).collect()
}

fn kill(pid: i32) {
    // SAFETY: a signal to a process of this test's own run.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

#[test]
fn a_killed_coordinator_takes_all_hosts_along() {
    let (code, file) = run(|_, coordinator| kill(coordinator));
    assert_eq!(code, None);
    // No guest goes on anywhere, nor its disk, and none is told to be somewhere that it is not.
    assert!(file.interrupted && file.evacuations.is_empty());
}

#[test]
fn hosts_that_die_leave_every_other_guest_in_one_place() {
    let (code, file) = run(|marker, _| {
        // Of the first pair and of the last: hosts are started in the order of their guests.
        let victims = ["destination", "source"].map(|role| under_way(marker, role));
        kill(victims[0][0]);
        kill(victims[1][7]);
    });
    assert_eq!(code, Some(6));
    assert_eq!(file.evacuations.len(), 2, "the run goes on");
    let place = |of: Place| {
        file.evacuations[0]
            .guests
            .iter()
            .filter(move |moved| moved.place == of)
    };
    let counts = [Place::Destination, Place::Source, Place::Ended].map(|of| place(of).count());
    // Numbers of processes begin anew now and then: both victims may have been hosts of one guest.
    assert!(matches!(counts, [6, 1, 1] | [7, 0, 1]), "{counts:?}");
    // Memory and disk, as one.
    assert!(place(Place::Destination).all(|moved| moved.verified && moved.disk_copy_s.is_some()));
    let whole = |moved: &Moved| moved.writes_verified == Some(true);
    assert!(place(Place::Source).all(whole), "{:?}", file.evacuations[0]);
    let again = &file.evacuations[1].guests;
    assert!(
        again
            .iter()
            .all(|moved| moved.place == Place::Destination && moved.verified)
    );
}
