//! What whole migrations cost their guests, as results record it.

use crate::command::run;
use migtax::results::{Migration, OutcomeStatus};

/// A guest that has always a write due on each vCPU: no core makes 64 GiB/s of page writes.
const BUSY: &str = r#"
name = "busy"
[guest]
memory = "16MiB"
vcpus = 2
[workload]
rate = "64GiB/s"
[migration]
max_rounds = 3
on_stall = "switchover"
downtime_limit = "1us"
[measure]
repetitions = 2
warmup = 0
window = "20ms"
"#;

/// One that keeps to its schedule.
const CALM: &str = r#"
name = "calm"
[guest]
memory = "16MiB"
[workload]
rate = "20MiB/s"
[migration]
downtime_limit = "1m"
[measure]
repetitions = 2
warmup = 0
window = "60ms"
"#;

fn migrations(scenario: &str, flags: &[&str]) -> Vec<Migration> {
    let made = run(scenario, flags);
    assert_eq!(made.code, 0);
    let done = |m: &Migration| m.outcome.status == OutcomeStatus::Completed;
    assert!(made.results.migrations.iter().all(done));
    made.results.migrations
}

#[test]
fn the_longest_stall_of_a_busy_guest_outlasts_its_downtime() {
    for m in migrations(BUSY, &["--arms", "plain,aws-lc"]) {
        let guest = &m.guest;
        let (longest, all) = (guest.longest_stall_s.unwrap(), guest.stall_s.unwrap());
        let first = guest.first_write_s.unwrap();
        assert!(first > 0.0);
        // The vCPUs were stopped at the end of the pause part at the latest, until the switchover, and
        // could not execute before the first write at the destination.
        let stopped = m.downtime.total_s - m.downtime.parts.unwrap().pause_s;
        assert!(longest >= stopped, "{longest} {first} {:?}", m.downtime);
        // Both of them were.
        assert!(all >= 2.0 * stopped, "{all} {:?}", m.downtime);
        // A guest that is always late makes fewer than it is asked for.
        assert!(guest.progress.unwrap() < 1.0, "{guest:?}");
    }
}

#[test]
fn windows_are_equally_long_in_every_migration_and_outlast_a_short_one() {
    for m in migrations(CALM, &["--arms", "plain,rustcrypto-soft"]) {
        let guest = &m.guest;
        let start = guest.write_latency_start_ns.as_ref().unwrap();
        let pause = guest.write_latency_pause_ns.as_ref().unwrap();
        let before = guest.write_latency_before_ns.as_ref().unwrap();
        let after = guest.write_latency_after_ns.as_ref().unwrap();
        // A Poisson stream of 5120 writes a second, in 60 ms: 307, give or take four of the 17 or 18
        // that are one standard deviation; however long the migration was.
        for (name, window) in [("before", before), ("start", start), ("pause", pause)] {
            assert!(window.count.abs_diff(307) < 75, "{name}: {}", window.count);
        }
        assert!(after.count.abs_diff(307) < 75);
        // What was due in the pause waited for its end.
        assert!(pause.max > 0 && pause.count <= start.count + before.count + 307);
        let progress = guest.progress.unwrap();
        assert!(progress > 0.0, "{progress}");
    }
}

#[test]
fn a_vcpu_pays_a_fault_for_each_page_found_dirty_under_write_protection() {
    let kinds = migtax::tracking::available();
    // So long that the vCPU surely gets to write meanwhile.
    let slow = CALM.replace("[migration]", "[migration]\nlink = \"1Gbit/s\"");
    for (tracker, available) in kinds {
        if available.is_err() {
            eprintln!("skipped: this kernel has no {tracker}");
            continue;
        }
        let tracker = tracker.to_string();
        for m in migrations(&slow, &["--arms", "copy", "--tracker", &tracker]) {
            let dirtied: u64 = m
                .rounds
                .iter()
                .map(|round| round.pages_dirtied.unwrap())
                .sum();
            let (before, during, after) = (
                m.guest.work_before.unwrap(),
                m.guest.work_during.unwrap(),
                m.guest.work_after.unwrap(),
            );
            for work in [before, during, after] {
                assert!(work.writes > 0 && work.cpu_s > 0.0, "{work:?}");
            }
            assert_eq!(during.writes, m.guest.writes);
            assert!(dirtied > 0);
            match tracker.as_str() {
                "userfaultfd" => assert!(during.minor_faults >= dirtied, "{during:?}, {dirtied}"),
                _ => assert!(
                    during.minor_faults < dirtied.max(20),
                    "{during:?}, {dirtied}"
                ),
            }
        }
    }
}

#[test]
fn a_guest_that_stayed_has_a_start_and_no_pause() {
    // After the first round, in which it has surely written.
    let stays = BUSY
        .replace("\"switchover\"", "\"abort\"")
        .replace("max_rounds = 3", "max_rounds = 1");
    let made = run(&stays, &["--arms", "plain"]);
    for m in &made.results.migrations {
        assert_eq!(m.outcome.status, OutcomeStatus::NotConverged);
        let guest = &m.guest;
        assert!(guest.write_latency_start_ns.as_ref().unwrap().count > 0);
        assert!(guest.write_latency_after_ns.as_ref().unwrap().count > 0);
        assert!(guest.work_after.unwrap().writes > 0);
        assert_eq!(guest.write_latency_pause_ns, None);
        assert_eq!(guest.first_write_s, None);
    }
}
