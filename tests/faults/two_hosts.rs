//! Two hosts: a real sshd in a network namespace, a shaped pair of links between it and the
//! coordinator's. `scripts/two-hosts` makes them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use migtax::results::{OutcomeStatus, Results};

use crate::runs::{
    Ended, Running, arms, assert_guest_stayed, marker, names, reason, scenario, signal, start_by,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/two-hosts");
const MIGTAX: &str = env!("CARGO_BIN_EXE_migtax");

/// Longer than anything here may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A pair of hosts; dropping it removes them.
struct Pair {
    folder: tempfile::TempDir,
}

impl Pair {
    /// Hosts with a link of that rate; none where they can't be made, which is said aloud.
    fn new(rate: &str) -> Option<Pair> {
        let folder = tempfile::tempdir().unwrap();
        let mut script = Command::new(SCRIPT);
        script.arg("up").arg(folder.path()).arg(rate);
        let made = script.output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        if made.status.code() == Some(3) {
            eprintln!("skipped: {}", said.trim());
            return None;
        }
        assert!(made.status.success(), "{said}");
        Some(Pair { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the script left in a file.
    fn told(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path().join(name)).unwrap();
        text.trim().to_owned()
    }

    /// A command in a host's network namespace.
    fn on(&self, host: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.told(host)])
            .args(words);
        command
    }

    /// What reaches the destination: ssh with these options, and what it starts there.
    fn ssh(&self, options: &str, program: &str) -> String {
        let config = self.path().join("ssh_config");
        format!("ssh -F {}{options} there {program}", config.display())
    }

    /// Starts a run from the source's host to a destination that `command` starts.
    fn start(&self, text: &str, arms: &str, command: &str, more: &[&str]) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let address = self.told("address");
        let mut flags = vec![
            "--arms",
            arms,
            "--destination",
            command,
            "--connect",
            &address,
        ];
        flags.extend(more);
        let coordinator = self.on("source", &[MIGTAX]);
        start_by(coordinator, folder, &out, text, &marker(), &flags)
    }

    /// Bytes that the source's host has sent.
    fn sent(&self) -> u64 {
        let counter = "/sys/class/net/pair/statistics/tx_bytes";
        let output = self.on("source", &["cat", counter]).output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    /// Waits until pages are on their way: more than the control channel carries.
    fn wait_for_pages(&self, running: &mut Running) {
        let (had, began) = (self.sent(), Instant::now());
        while self.sent() < had + (2 << 20) {
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < LIMIT, "{ended:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until no host is left where the guest goes: sshd alone runs there.
    fn assert_nothing_is_left(&self) {
        let began = Instant::now();
        let is_left = || {
            let output = Command::new("ip")
                .args(["netns", "pids", &self.told("destination")])
                .output()
                .unwrap();
            let pids = String::from_utf8(output.stdout).unwrap();
            pids.lines().any(|pid| {
                let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                words.starts_with(MIGTAX.as_bytes())
            })
        };
        while is_left() {
            assert!(began.elapsed() < LIMIT, "a host was left behind");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let down = Command::new(SCRIPT).arg("down").arg(self.path()).status();
        if !std::thread::panicking() {
            assert!(down.unwrap().success());
        }
    }
}

/// A migration that takes longer than what is to strike it needs: 32 MiB at 80 Mbit/s.
fn long() -> String {
    scenario("1s")
        .replace("4MiB", "32MiB")
        .replace("800Mbit/s", "80Mbit/s")
}

fn results(ended: Ended, code: i32) -> Results {
    assert_eq!(ended.status.code(), Some(code), "{}", ended.said);
    ended.results.unwrap()
}

#[test]
fn every_arm_moves_its_guest_over_ssh() {
    let Some(pair) = Pair::new("800Mbit/s") else {
        return;
    };
    let (arms, command) = (arms(), pair.ssh("", MIGTAX));
    let ended = pair
        .start(&scenario("5s"), &names(&arms), &command, &[])
        .end();
    let results = results(ended, 0);
    assert_eq!(results.migrations.len(), arms.len());
    for migration in &results.migrations {
        assert_eq!(migration.outcome.status, OutcomeStatus::Completed);
        assert!(migration.verified.equal);
    }
    // sshd passes no environment on: the destination put its masks on by itself.
    assert!(!results.warnings.iter().any(|w| w.code == "hosts_differ"));
    assert_eq!(results.host.destination.as_deref(), Some(command.as_str()));
    pair.assert_nothing_is_left();
}

#[test]
fn an_interrupt_leaves_no_host_on_either_side() {
    let Some(pair) = Pair::new("80Mbit/s") else {
        return;
    };
    let command = pair.ssh("", MIGTAX);
    let mut running = pair.start(&long(), "plain", &command, &[]);
    pair.wait_for_pages(&mut running);
    signal(&running.marker, "run", libc::SIGINT);
    let results = results(running.end(), 130);
    assert!(results.interrupted && results.migrations.is_empty());
    pair.assert_nothing_is_left();
}

#[test]
fn a_killed_ssh_leaves_the_guest_at_the_source_and_no_host_behind() {
    let Some(pair) = Pair::new("80Mbit/s") else {
        return;
    };
    let command = pair.ssh("", MIGTAX);
    let mut running = pair.start(&long(), "plain", &command, &[]);
    pair.wait_for_pages(&mut running);
    signal(&running.marker, "destination", libc::SIGKILL);
    let results = results(running.end(), 6);
    let said = reason(&results.migrations[0]);
    assert!(
        said.contains("the destination host process ended: signal: 9"),
        "{said}"
    );
    assert_guest_stayed(&results.migrations[0], said);
    pair.assert_nothing_is_left();
}

/// The destination's end can't be known then; that it gives up by itself is.
#[test]
fn a_link_that_vanishes_leaves_the_guest_at_the_source() {
    let Some(pair) = Pair::new("80Mbit/s") else {
        return;
    };
    let command = pair.ssh("", MIGTAX);
    let mut running = pair.start(&long(), "plain", &command, &[]);
    pair.wait_for_pages(&mut running);
    let source = pair.told("source");
    let cut = Command::new("ip")
        .args(["-n", &source, "link", "del", "pair"])
        .status();
    assert!(cut.unwrap().success());
    let results = results(running.end(), 6);
    let said = reason(&results.migrations[0]);
    assert!(said.starts_with("source: stream "), "{said}");
    assert_guest_stayed(&results.migrations[0], said);
    pair.assert_nothing_is_left();
}

/// What is said of a run that can't be: one line after the command's own.
fn refused(pair: &Pair, command: &str) -> String {
    let ended = pair.start(&scenario("5s"), "plain", command, &[]).end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said);
    assert!(ended.results.is_none());
    pair.assert_nothing_is_left();
    ended.said.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_destination_that_is_not_reached_or_not_this_build_is_named() {
    let Some(pair) = Pair::new("800Mbit/s") else {
        return;
    };
    let wrong = pair.path().join("wrong_hosts");
    let key = pair.told("client_key.pub");
    fs::write(&wrong, format!("{} {key}\n", pair.told("address"))).unwrap();
    let option = format!(" -o UserKnownHostsFile={}", wrong.display());
    let said = refused(&pair, &pair.ssh(&option, MIGTAX));
    let ending = "its command ended before it told anything of itself (exit status: 255); \
                  its last words: Host key verification failed.";
    assert!(said.ends_with(ending), "{said}");
    let said = refused(&pair, &pair.ssh("", "/nonexistent/migtax"));
    assert!(
        said.contains("(exit status: 127)") && said.contains("/nonexistent/migtax"),
        "{said}"
    );

    // A build that speaks another protocol, in all that it tells before.
    let other = pair.path().join("other-build");
    let text = format!("{MIGTAX} \"$@\" | sed 's/\"protocol\": [0-9]*/\"protocol\": 1/'\n");
    fs::write(&other, text).unwrap();
    let said = refused(&pair, &pair.ssh("", &format!("sh {}", other.display())));
    assert!(said.contains("with protocol 1, this one speaks"), "{said}");
    assert!(said.contains("use the same build on both sides"), "{said}");
}

#[test]
fn doctor_tells_what_a_pair_is() {
    let Some(pair) = Pair::new("800Mbit/s") else {
        return;
    };
    let address = pair.told("address");
    let doctor = |command: &str, connect: &str, more: &[&str]| -> Output {
        let words = [
            MIGTAX,
            "doctor",
            "--destination",
            command,
            "--connect",
            connect,
        ];
        let mut doctor = pair.on("source", &words);
        doctor.args(more).stdin(Stdio::null()).output().unwrap()
    };
    let ssh = pair.ssh("", MIGTAX);
    let told = doctor(&ssh, &address, &["--json"]);
    let said = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(0), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let link = &told["link"];
    let rate = link["bits_per_second"].as_f64().unwrap();
    assert!(rate > 1e6 && rate < 900e6, "shaped to 800 Mbit/s: {link}");
    assert_eq!(link["mtu_bytes"].as_u64(), Some(1500), "{link}");
    assert!(
        link["rtt_s"]
            .as_f64()
            .is_some_and(|rtt| rtt > 0.0 && rtt < 1.0),
        "{link}"
    );
    for host in ["source", "destination"] {
        assert!(
            told[host]["limits"]["available_memory_bytes"].as_u64() > Some(0),
            "{told}"
        );
        assert!(
            !told[host]["cpu_features"].as_array().unwrap().is_empty(),
            "{told}"
        );
    }

    // The control channel works, and nothing else does.
    let told = doctor(&ssh, "10.213.78.2:9", &[]);
    assert_eq!(told.status.code(), Some(1));
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(
        said.contains("10.213.78.2:9") && said.contains("firewall"),
        "{said}"
    );
    let memory = doctor(&ssh, &address, &["--memory", "900TiB"]);
    let said = String::from_utf8_lossy(&memory.stdout);
    assert!(said.contains("a guest of 900TiB does not fit"), "{said}");
    pair.assert_nothing_is_left();
}
