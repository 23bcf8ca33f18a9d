//! Processes that are killed or interrupted while pages are on their way.

use std::sync::Arc;

use migtax::arm::Arm;
use migtax::results::{Migration, OutcomeStatus, Results};

use crate::relay::{Fault, Phase, Relay};
use crate::relayed::{self, Plan, struck};
use crate::runs::{
    Ended, arms, assert_guest_stayed, marker, reason, several_at_once, signal, some_arms,
};

/// A run in which each migration from the `first` on has a signal sent to a process of its own.
fn run_with_signal(
    arms: &[Arm],
    phase: Phase,
    (role, number): (&'static str, i32),
    first: usize,
    flags: &[&str],
) -> (Ended, Relay) {
    let marker = marker();
    let victim = marker.clone();
    let act = Arc::new(move || signal(&victim, role, number));
    let fault = match role {
        // So that the migration does not end before the signal arrives.
        "run" => Fault::ElsewhereAndStall(act),
        _ => Fault::Elsewhere(act),
    };
    let plan = Plan {
        phase,
        fault: Some(fault),
        first,
        peer_timeout: "5s",
        marker: &marker,
    };
    relayed::run(plan, arms, flags)
}

/// Kills the host of a role at every phase, on every arm: each migration fails.
fn kill(role: &'static str, check: impl Fn(Phase, &Migration, &str) + Sync) {
    several_at_once(Phase::ALL, |phase| {
        let arms = arms();
        let (ended, relay) = run_with_signal(&arms, phase, (role, libc::SIGKILL), 0, &[]);
        assert_eq!(ended.status.code(), Some(6), "{}", ended.said);
        let results = ended.results.unwrap();
        assert_eq!(results.migrations.len(), arms.len());
        for migration in struck(&results, &relay, "killed") {
            let context = format!("{phase:?}, {}: {:?}", migration.arm, migration.outcome);
            assert_eq!(migration.outcome.status, OutcomeStatus::Failed, "{context}");
            check(phase, migration, &context);
        }
    });
}

#[test]
fn a_killed_destination_leaves_the_guest_at_the_source_unless_it_had_switched_over() {
    kill("destination", |phase, migration, context| {
        let said = reason(migration);
        let taken = phase == Phase::FinalAcknowledgement;
        let sent = taken || phase == Phase::FinalRecord;
        assert!(
            said.contains("the destination host process ended: signal: 9")
                // The source may see its streams close before the process counts as ended; then
                // the coordinator fences it.
                || (sent && said.contains("the destination was ended")),
            "{context}"
        );
        if migration.guest.writes_verified.is_some() || !taken {
            assert_guest_stayed(migration, context);
        }
    });
}

#[test]
fn a_killed_source_ends_its_guest_and_its_destination() {
    kill("source", |_, migration, context| {
        let ended = "the source host process ended: signal: 9";
        assert!(reason(migration).contains(ended), "{context}");
    });
}

/// An arm's run has finished one migration when the coordinator goes. Every arm meets it, at two
/// phases, and every phase; of two signals each arm and each phase meets both.
fn coordinator(signals: &[i32], check: impl Fn(&Ended, &Results) + Sync) {
    let cases = Phase::ALL.into_iter().flat_map(|phase| {
        let arms = some_arms(phase as usize).into_iter().enumerate();
        arms.map(move |(at, arm)| (phase, arm, signals[(at + phase as usize) % signals.len()]))
    });
    several_at_once(cases, |(phase, arm, number)| {
        let (ended, relay) = run_with_signal(&[arm], phase, ("run", number), 1, &["--reps", "10"]);
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
    });
}

#[test]
fn a_killed_coordinator_takes_its_hosts_along_and_leaves_what_was_finished() {
    coordinator(&[libc::SIGKILL], |ended, _| {
        assert_eq!(ended.status.code(), None)
    });
}

#[test]
fn an_interrupted_coordinator_saves_what_was_finished() {
    coordinator(&[libc::SIGINT, libc::SIGTERM], |ended, results| {
        assert_eq!(ended.status.code(), Some(130), "{}", ended.said);
        assert!(
            results.comparisons.is_empty(),
            "one arm compares with nothing"
        );
    });
}
