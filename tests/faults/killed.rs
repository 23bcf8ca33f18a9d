//! Processes that are killed or interrupted while pages are on their way.

use std::sync::{Arc, Mutex};

use migtax::arm::Arm;
use migtax::results::{OutcomeStatus, Results};

use crate::relay::{Fault, Phase, Relay};
use crate::runs::{
    Ended, arms, assert_guest_stayed, free_address, marker, names, reason, scenario, signal, start,
    struck,
};

/// Runs `work` for every phase, several at once.
fn at_every_phase(work: impl Fn(Phase) + Sync) {
    let phases = Mutex::new(Phase::ALL.to_vec());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(phase) = phases.lock().unwrap().pop() else {
                        return;
                    };
                    work(phase);
                }
            });
        }
    });
}

/// A run in which each migration from the `first` on has a signal sent to a process of its own.
fn run_with_signal(
    arms: &[Arm],
    phase: Phase,
    role: &'static str,
    number: i32,
    first: usize,
    flags: &[&str],
) -> (Ended, Relay) {
    let marker = marker();
    let destination = free_address();
    let victim = marker.clone();
    let act = Arc::new(move || signal(&victim, role, number));
    let fault = match role {
        // So that the migration does not end before the signal arrives.
        "run" => Fault::ElsewhereAndStall(act),
        _ => Fault::Elsewhere(act),
    };
    let relay = Relay::start(destination, phase, Some(fault), first);
    let (listen, connect) = (destination.to_string(), relay.address().to_string());
    let names = names(arms);
    let mut all = vec!["--arms", &names, "--listen", &listen, "--connect", &connect];
    all.extend(flags);
    (start(&scenario("5s"), &marker, &all).end(), relay)
}

#[test]
fn a_killed_destination_leaves_the_guest_at_the_source_unless_it_had_taken_over() {
    at_every_phase(|phase| {
        let arms = arms();
        let (ended, relay) = run_with_signal(&arms, phase, "destination", libc::SIGKILL, 0, &[]);
        assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
        let results = ended.results.unwrap();
        assert_eq!(results.migrations.len(), arms.len());
        for migration in struck(&results, &relay, "killed") {
            let context = format!("{phase:?}, {}: {:?}", migration.arm, migration.outcome);
            assert_eq!(migration.outcome.status, OutcomeStatus::Failed, "{context}");
            let said = reason(migration);
            let taken = phase == Phase::FinalAcknowledgement;
            let sent = taken || phase == Phase::FinalRecord;
            assert!(
                said.contains("the destination host process ended: signal: 9")
                    // The source may see its streams close before the process counts as ended;
                    // then the coordinator fences it.
                    || (sent && said.contains("the destination was ended")),
                "{context}"
            );
            if migration.guest.writes_kept.is_some() || !taken {
                assert_guest_stayed(migration, &context);
            }
        }
    });
}

#[test]
fn a_killed_source_ends_its_guest_and_its_destination() {
    at_every_phase(|phase| {
        let arms = arms();
        let (ended, relay) = run_with_signal(&arms, phase, "source", libc::SIGKILL, 0, &[]);
        assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
        let results = ended.results.unwrap();
        assert_eq!(results.migrations.len(), arms.len());
        for migration in struck(&results, &relay, "killed") {
            let context = format!("{phase:?}, {}: {:?}", migration.arm, migration.outcome);
            assert_eq!(migration.outcome.status, OutcomeStatus::Failed, "{context}");
            let ended = "the source host process ended: signal: 9";
            assert!(reason(migration).contains(ended), "{context}");
        }
    });
}

/// Each arm's run has finished one migration when the coordinator goes.
fn coordinator(number: i32, check: impl Fn(&Ended, &Results) + Sync) {
    at_every_phase(|phase| {
        for arm in arms() {
            let flags = ["--reps", "10"];
            let (ended, relay) = run_with_signal(&[arm], phase, "run", number, 1, &flags);
            let results = ended.results.as_ref().unwrap();
            let context = format!("{phase:?}, {arm}: {}", ended.said);
            assert!(results.interrupted, "{context}");
            let finished = relay.struck().iter().position(|struck| *struck);
            assert_eq!(Some(results.migrations.len()), finished, "{context}");
            for migration in &results.migrations {
                assert_eq!(
                    migration.outcome.status,
                    OutcomeStatus::Completed,
                    "{context}"
                );
            }
            check(&ended, results);
        }
    });
}

#[test]
fn a_killed_coordinator_takes_its_hosts_along_and_leaves_what_was_finished() {
    coordinator(libc::SIGKILL, |ended, _| {
        assert_eq!(ended.status.code(), None)
    });
}

#[test]
fn an_interrupted_coordinator_saves_what_was_finished() {
    for number in [libc::SIGINT, libc::SIGTERM] {
        coordinator(number, |ended, results| {
            assert_eq!(ended.status.code(), Some(130), "{}", ended.said);
            assert!(
                results.comparisons.is_empty(),
                "one arm compares with nothing"
            );
        });
    }
}
