//! QEMU's migrations under faults: each is an outcome with QEMU's words, the guest stays where it is with
//! every write, and nothing is left behind.

use std::fs;
use std::time::{Duration, Instant};

use migtax::arm::Arm;
use migtax::qemu::program::Program;
use migtax::results::{Migration, OutcomeStatus};

use crate::runs::{Ended, Running, marker, processes, reason, start};

/// Whether QEMU is here; says so if not.
fn is_here() -> bool {
    let program = Program::probe(None);
    if let Err(missing) = &program {
        eprintln!("skipped: {missing}");
    }
    program.is_ok()
}

/// A guest that dirties more than the link carries, so that a migration goes on until it is told
/// to end: time to do something to it.
fn endless(migration: &str, workload: &str) -> String {
    format!(
        r#"
name = "qemu faults"
[guest]
memory = "48MiB"
content = {{ zero = 0.2 }}
[workload]
rate = "100MiB/s"
{workload}
[migration]
link = "200Mbit/s"
downtime_limit = "1ms"
peer_timeout = "2s"
max_rounds = 1000
time_limit = "1h"
{migration}
[measure]
repetitions = 1
warmup = 0
window = "20ms"
"#
    )
}

/// Waits until a run's migration is under way: memory has come to the destination.
fn under_way(marker: &str) {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let destination = named(marker, "migtax-destination,debug-threads=on");
        // A connection that QEMU reads the guest from is one more than it starts with.
        let established = destination.is_some_and(|pid| {
            let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
            sockets(pid).iter().any(|inode| {
                table
                    .lines()
                    .any(|line| line.contains(" 01 ") && line.contains(&format!(" {inode} ")))
            })
        });
        if established {
            return;
        }
        assert!(Instant::now() < limit, "no migration has begun");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process of a run that has a word among its arguments, of those with the scenario's guest: a run
/// makes migrations of another one to look at its TLS.
fn named(marker: &str, word: &str) -> Option<i32> {
    processes(marker).into_iter().find(|pid| {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = || cmdline.split(|byte| *byte == 0);
        let has = |word: &str| words().any(|part| part == word.as_bytes());
        has(word) && has(MACHINE)
    })
}

/// The machine's memory: the guest's and 16 MiB for the program in it.
const MACHINE: &str = "64M";

/// The inodes of a process's sockets.
fn sockets(pid: i32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let links = entries
        .flatten()
        .filter_map(|e| fs::read_link(e.path()).ok());
    let texts = links.filter_map(|link| Some(link.to_str()?.to_owned()));
    texts
        .filter_map(|text| Some(text.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect()
}

/// Runs an arm, does something once its migration is under way, and waits for its end.
fn struck(arm: Arm, text: &str, strike: impl Fn(&Running)) -> Ended {
    let run = start(text, &marker(), &["--arms", arm.name()]);
    under_way(&run.marker);
    strike(&run);
    run.end()
}

fn only(ended: &Ended) -> &Migration {
    let results = ended
        .results
        .as_ref()
        .unwrap_or_else(|| panic!("{}", ended.said));
    &results.migrations[0]
}

const SOURCE: &str = "migtax-source,debug-threads=on";
const DESTINATION: &str = "migtax-destination,debug-threads=on";

#[test]
fn a_side_that_is_killed_or_hangs_is_an_outcome_with_its_words() {
    if !is_here() {
        return;
    }
    for arm in [Arm::QEMU_PLAIN, Arm::QEMU_TLS] {
        for (side, number, part) in [
            (
                SOURCE,
                libc::SIGKILL,
                "the source QEMU process ended: signal: 9",
            ),
            (
                DESTINATION,
                libc::SIGKILL,
                "the destination QEMU process ended: signal: 9",
            ),
            (
                DESTINATION,
                libc::SIGSTOP,
                "the migration stood still for 2000 ms",
            ),
            (SOURCE, libc::SIGSTOP, "QEMU did not answer within"),
        ] {
            let context = format!("{arm}, {side}, signal {number}");
            let ended = struck(arm, &endless("", ""), |run| {
                {
                    let pid = named(&run.marker, side).expect("it runs");
                    // SAFETY: a signal to a process of this test's own run.
                    assert_eq!(unsafe { libc::kill(pid, number) }, 0);
                }
            });
            let migration = only(&ended);
            assert_eq!(migration.outcome.status, OutcomeStatus::Failed, "{context}");
            assert!(
                reason(migration).contains(part),
                "{context}: {}",
                reason(migration)
            );
            assert_eq!(ended.status.code(), Some(6), "{context}");
            // The source's guest goes on wherever it still can.
            let goes_on = (side == DESTINATION).then_some(true);
            assert_eq!(
                migration.guest.writes_verified, goes_on,
                "{context}: {:?}",
                migration.outcome
            );
        }
    }
}

#[test]
fn a_migration_that_does_not_converge_ends_as_the_scenario_says() {
    if !is_here() {
        return;
    }
    // All kinds of writes, several vCPUs' in one order: the memory of a guest that stayed is compared
    // with what the stream makes of it.
    let large = "granularity = \"2MiB\"\nplacement = { model = \"uniform\", working_set = 1.0 }";
    for (workload, limits) in [
        ("", &["max_rounds = 2", "time_limit = \"1500ms\""][..]),
        (large, &["max_rounds = 2"]),
        // Where KVM has to emulate instructions, a page takes milliseconds to write: a limit within the
        // first round holds however fast the guest is.
        ("write = \"page\"", &["time_limit = \"700ms\""]),
    ] {
        for limit in limits {
            let context = format!("{workload}, {limit}");
            let text = endless("", workload);
            let (name, _) = limit.split_once(" =").unwrap();
            let text: String = text
                .lines()
                .map(|line| match line.starts_with(name) {
                    true => format!("{limit}\n"),
                    false => format!("{line}\n"),
                })
                .collect();
            let run = start(&text, &marker(), &["--arms", "qemu-plain"]);
            let ended = run.end();
            let migration = only(&ended);
            assert_eq!(
                migration.outcome.status,
                OutcomeStatus::NotConverged,
                "{context}: {:?}",
                migration.outcome
            );
            assert_eq!(migration.guest.writes_verified, Some(true), "{context}");
            assert!(migration.guest.writes > 0, "{context}");
            // What was sent in the round that was broken off counts too.
            let answer = &migration.qemu.as_ref().unwrap().answer;
            let sent = answer["ram"]["normal"].as_u64().unwrap();
            assert_eq!(migration.pages_sent, sent, "{context}");
            assert!(!migration.rounds.is_empty() && sent > 0, "{context}");
            assert_eq!(ended.status.code(), Some(0), "{context}");
        }
    }
    // Told to stop and copy instead, it completes.
    let text =
        endless("on_stall = \"switchover\"", "").replace("max_rounds = 1000", "max_rounds = 1");
    let ended = start(&text, &marker(), &["--arms", "qemu-plain,qemu-tls"]).end();
    let results = ended.results.as_ref().unwrap();
    assert_eq!(results.migrations.len(), 2);
    for migration in &results.migrations {
        assert_eq!(
            migration.outcome.status,
            OutcomeStatus::Completed,
            "{:?}",
            migration.outcome
        );
        assert!(migration.verified.equal && migration.downtime.total_s > 0.0);
    }
}

#[test]
fn an_interrupt_and_a_killed_coordinator_leave_nothing_behind() {
    if !is_here() {
        return;
    }
    let credentials = || -> Vec<_> {
        let entries = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter(|name| name.starts_with("migtax-tls-"))
            .collect()
    };
    for number in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
        let ended = struck(Arm::QEMU_TLS, &endless("", ""), |run| {
            // SAFETY: a signal to this test's own child.
            let sent = unsafe { libc::kill(run.child.id() as i32, number) };
            assert_eq!(sent, 0);
        });
        let killed = number == libc::SIGKILL;
        assert_eq!(
            ended.status.code(),
            (!killed).then_some(130),
            "{}",
            ended.said
        );
    }
    assert_eq!(credentials(), Vec::<String>::new());
}

#[test]
fn a_qemu_that_is_none_is_refused_before_anything_starts() {
    for (binary, part) in [
        ("/nonexistent/qemu", "/nonexistent/qemu"),
        ("/bin/true", "/bin/true: no QEMU"),
    ] {
        let flags = ["--arms", "plain,qemu-plain", "--qemu", binary];
        let text =
            endless("on_stall = \"switchover\"", "").replace("max_rounds = 1000", "max_rounds = 1");
        let ended = start(&text, &marker(), &flags).end();
        assert_eq!(ended.status.code(), Some(2), "{}", ended.said);
        assert!(ended.results.is_none());
        let named = ended.said.contains(&format!("--qemu {part}"));
        assert!(named, "{}", ended.said);
    }
}
