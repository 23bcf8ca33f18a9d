//! Whole fleets: guests that leave a host together, in each way, and what is refused before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use migtax::arm::Arm;
use migtax::fleet::file::{Evacuation, Moved};
use migtax::fleet::{Course, FleetFile, Way, file};
use migtax::results::{OutcomeStatus, PolicyDecision};
use migtax::runner::Place;

use crate::command::{migtax, wait_for_host};

/// Small guests of different settings, several at once over a link that takes them a while.
pub const FLEET: &str = r#"
name = "office"
[evacuation]
concurrent = 2
link = "2Gbit/s"
[measure]
ways = ["plain", "aws-lc", "configured"]
arm = "aws-lc"
repetitions = 1
warmup = 0
window = "20ms"
[[guests]]
name = "web"
count = 2
guest = { memory = "4MiB", device_state = "4KiB" }
workload = { rate = "4MiB/s" }
migration = { downtime_limit = "500ms" }
[[guests]]
name = "db"
encrypted = true
guest = { memory = "8MiB", device_state = "4KiB" }
workload = { rate = "0MiB/s" }
migration = { downtime_limit = "500ms" }
[[guests]]
name = "lab"
encryption = "disabled"
guest = { memory = "2MiB", device_state = "4KiB" }
workload = { rate = "1MiB/s" }
migration = { downtime_limit = "500ms" }
"#;

pub struct Run {
    pub folder: tempfile::TempDir,
    pub output: Output,
}

pub fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

pub fn fleet(path: &Path, out: &Path, flags: &[&str]) -> Command {
    let mut command = migtax();
    command
        .arg("fleet")
        .arg(path)
        .arg("--out")
        .arg(out)
        .args(flags);
    command
}

pub fn run(text: &str, flags: &[&str]) -> Run {
    let (folder, path) = written(text);
    let output = fleet(&path, &folder.path().join("out"), flags)
        .output()
        .unwrap();
    Run { folder, output }
}

impl Run {
    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub fn file(&self) -> FleetFile {
        file::read(&self.out()).unwrap_or_else(|error| panic!("{error}; {}", self.said()))
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }
}

pub fn only(file: &FleetFile, way: Way) -> &Evacuation {
    let concurrent = file.fleet.evacuation.concurrent[0];
    let mut made = file.of(Course { way, concurrent });
    let first = made.next().expect("an evacuation");
    assert!(made.next().is_none());
    first
}

pub fn assert_arrived(moved: &Moved) {
    assert_eq!(moved.place, Place::Destination, "{moved:?}");
    assert!(moved.verified, "{moved:?}");
}

#[test]
fn every_guest_leaves_in_every_way_as_it_is_set() {
    let run = run(FLEET, &["--reps", "2"]);
    assert_eq!(run.code(), Some(0), "{}", run.said());
    let file = run.file();
    assert!(!file.interrupted);
    assert_eq!(file.evacuations.len(), 6);
    assert_eq!(file.whole_blocks(), 2);
    for made in &file.evacuations {
        let names: Vec<&str> = made
            .guests
            .iter()
            .map(|moved| moved.guest.as_str())
            .collect();
        assert_eq!(names, ["web-1", "web-2", "db", "lab"]);
        made.guests.iter().for_each(assert_arrived);
        for moved in &made.guests {
            let (policy, arm) = (moved.policy_decision, (moved.arm, moved.sealed));
            match (made.way, moved.guest.as_str()) {
                (Way::PLAIN, _) => assert_eq!(arm, (Arm::PLAIN, false)),
                (Way::Configured, "lab") => {
                    assert_eq!(
                        (policy, arm),
                        (PolicyDecision::Disabled, (Arm::PLAIN, false))
                    );
                }
                _ => assert_eq!(
                    (policy, arm),
                    (PolicyDecision::Encrypted, (Arm::AWS_LC, true))
                ),
            }
        }
        // Never more under way than are allowed, at whatever moment a turn came.
        for moved in &made.guests {
            let began = moved.began_s.unwrap();
            let at_once = made
                .guests
                .iter()
                .filter(|other| other.began_s.unwrap() <= began && began < other.ended_s.unwrap());
            assert!((1..=2).contains(&at_once.count()), "{made:?}");
        }
        let last = made
            .guests
            .iter()
            .filter_map(|moved| moved.ended_s)
            .fold(0.0, f64::max);
        assert_eq!(made.time_s, last);
        assert!(
            made.cores
                .iter()
                .any(|used| used.source > 0.0 && used.destination > Some(0.0))
        );
        let memory = file.fleet.memory();
        assert!(
            made.peak_memory.source_bytes > memory,
            "{:?}",
            made.peak_memory
        );
        assert!(
            made.coordinator.holds.descriptors >= 4 * 4,
            "{:?}",
            made.coordinator
        );
    }
    for metric in [
        "evacuation_time",
        "source_cpu",
        "destination_cpu",
        "downtime",
    ] {
        for way in [Way::All(Arm::AWS_LC), Way::Configured] {
            let mut found = file.comparisons.iter();
            let found = found.find(|c| (c.way, c.metric.as_str()) == (way, metric));
            assert_eq!(found.map(|c| c.blocks), Some(2), "{way} {metric}");
        }
    }
    let page = fs::read_to_string(run.out().join("index.html")).unwrap();
    for part in [
        "id=\"guests\"",
        "id=\"cores\"",
        "fleet-taxes",
        "web-2",
        "left-behind",
    ] {
        assert_eq!(page.contains(part), part != "left-behind", "{part}");
    }
    fs::remove_file(run.out().join("index.html")).unwrap();
    let again = migtax().arg("report").arg(run.out()).output().unwrap();
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(
        fs::read_to_string(run.out().join("index.html")).unwrap(),
        page
    );
    let lines = fs::read_to_string(run.out().join("guests.csv")).unwrap();
    assert_eq!(lines.lines().count(), 1 + 6 * 4);
    let said = String::from_utf8_lossy(&run.output.stdout).into_owned();
    assert!(
        said.contains("4 guests with 18MiB in sum, 2 at once"),
        "{said}"
    );
}

/// Each number at once is a course of its own, and all stand beside plain's of the same number.
#[test]
fn several_numbers_at_once_are_compared_number_by_number() {
    let flags = ["--concurrent", "1,4", "--ways", "plain,aws-lc"];
    let run = run(FLEET, &flags);
    assert_eq!(run.code(), Some(0), "{}", run.said());
    let file = run.file();
    assert_eq!((file.evacuations.len(), file.whole_blocks()), (4, 1));
    for made in &file.evacuations {
        let most = made.cores.iter().map(|used| used.under_way).max();
        assert!(most <= Some(made.concurrent), "{made:?}");
        made.guests.iter().for_each(assert_arrived);
    }
    let mut compared = file.comparisons.iter();
    assert!(compared.all(|c| c.way == Way::All(Arm::AWS_LC) && [1, 4].contains(&c.concurrent)));
    assert_eq!(file.comparisons.len(), 2 * 5);
    let page = fs::read_to_string(run.out().join("index.html")).unwrap();
    assert!(page.contains("id=\"concurrency\""));
}

/// If each source had a link of its own, four at once would take a quarter of the time.
#[test]
fn all_guests_share_one_link() {
    let text = r#"
        name = "narrow"
        evacuation = { concurrent = 4, link = "400Mbit/s" }
        measure = { ways = ["plain"], repetitions = 1, warmup = 0, window = "1ms" }
        [[guests]]
        name = "g"
        count = 4
        guest = { memory = "4MiB", content = { zero = 0.0, compressible = 0.0 } }
        workload = { rate = "0MiB/s" }
    "#;
    let run = run(text, &[]);
    assert_eq!(run.code(), Some(0), "{}", run.said());
    let file = run.file();
    let made = only(&file, Way::PLAIN);
    let bytes: u64 = made.guests.iter().map(|moved| moved.bytes_on_wire).sum();
    let link_s = bytes as f64 * 8.0 / 400e6;
    // The first call goes out at once.
    assert!(
        link_s > 0.3 && made.time_s > 0.8 * link_s,
        "{link_s} {}",
        made.time_s
    );
    let began = made.guests.iter().filter_map(|moved| moved.began_s);
    assert!(
        began.fold(0.0, f64::max) < 0.1,
        "all begin at once: {made:?}"
    );
}

#[test]
fn guests_take_turns_in_the_order_that_is_asked_for() {
    let flags = [
        "--order",
        "largest-first",
        "--concurrent",
        "1",
        "--ways",
        "plain",
    ];
    let run = run(FLEET, &flags);
    assert_eq!(run.code(), Some(0), "{}", run.said());
    let file = run.file();
    let mut turns: Vec<&Moved> = only(&file, Way::PLAIN).guests.iter().collect();
    turns.sort_by(|a, b| a.began_s.unwrap().total_cmp(&b.began_s.unwrap()));
    let names: Vec<&str> = turns.iter().map(|moved| moved.guest.as_str()).collect();
    assert_eq!(names, ["db", "web-1", "web-2", "lab"]);
    assert!(
        turns
            .windows(2)
            .all(|pair| pair[0].ended_s <= pair[1].began_s)
    );
}

/// A guest that is too busy stays, and says why; the others leave.
#[test]
fn a_guest_that_does_not_converge_is_left_behind() {
    let busy = r#"
        [[guests]]
        name = "busy"
        guest = { memory = "4MiB", device_state = "4KiB" }
        workload = { rate = "200MiB/s", placement = { model = "uniform", working_set = 1.0 } }
        migration = { downtime_limit = "1ns", max_rounds = 2 }
    "#;
    let text = format!("{FLEET}{busy}");
    let run = self::run(&text, &["--ways", "plain"]);
    assert_eq!(run.code(), Some(0), "{}", run.said());
    let file = run.file();
    let made = only(&file, Way::PLAIN);
    let left: Vec<&Moved> = made.left_behind().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].guest.as_str(), left[0].place),
        ("busy", Place::Source)
    );
    assert_eq!(left[0].outcome, Some(OutcomeStatus::NotConverged));
    assert_eq!(left[0].writes_verified, Some(true));
    assert!(
        file.warnings
            .iter()
            .any(|warning| warning.code == "left_behind")
    );
    let said = String::from_utf8_lossy(&run.output.stdout).into_owned();
    assert!(
        said.contains("Guests left behind") && said.contains("limit of rounds")
            || said.contains("rounds"),
        "{said}"
    );
    // The same guest leaves if it is stopped and copied.
    let text = text.replacen(
        "concurrent = 2",
        "concurrent = 2\non_stall = \"switchover\"",
        1,
    );
    let run = self::run(&text, &["--ways", "plain"]);
    run.file().evacuations[0]
        .guests
        .iter()
        .for_each(assert_arrived);
}

/// Guests under way arrive, the others stay, and each place is known; then it goes on.
#[test]
fn an_interrupted_fleet_leaves_no_guest_in_doubt_and_is_resumed() {
    let text = r#"
        name = "interrupted"
        evacuation = { concurrent = 2, link = "80Mbit/s" }
        measure = { ways = ["plain"], repetitions = 1, warmup = 0, window = "1ms" }
        [[guests]]
        name = "g"
        count = 6
        guest = { memory = "4MiB", device_state = "4KiB" }
        workload = { rate = "0MiB/s" }
        migration = { downtime_limit = "500ms" }
    "#;
    let (folder, path) = written(text);
    let out = folder.path().join("out");
    let mut child = fleet(&path, &out, &[])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_host(child.id(), "source");
    // SAFETY: a signal to this test's own child.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let file = file::read(&out).unwrap();
    assert!(file.interrupted && file.whole_blocks() == 0);
    let made = &file.evacuations[0];
    assert!(made.interrupted);
    let (arrived, stayed): (Vec<&Moved>, Vec<&Moved>) = made
        .guests
        .iter()
        .partition(|moved| moved.began_s.is_some());
    assert!(!arrived.is_empty() && !stayed.is_empty(), "{made:?}");
    arrived.into_iter().for_each(assert_arrived);
    for moved in stayed {
        assert_eq!(moved.place, Place::Source);
        assert_eq!(moved.reason.as_deref(), Some("interrupted before its turn"));
    }
    let resume = || {
        migtax()
            .args(["fleet", "--resume"])
            .arg(&out)
            .output()
            .unwrap()
    };
    let resumed = resume();
    assert_eq!(
        resumed.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&resumed.stderr)
    );
    let after = file::read(&out).unwrap();
    assert!(!after.interrupted && after.whole_blocks() == 1);
    assert_eq!(after.evacuations[0], file.evacuations[0]);
    after.evacuations[1].guests.iter().for_each(assert_arrived);
    assert_eq!(
        resume().status.code(),
        Some(2),
        "a complete one can't be resumed"
    );
}
