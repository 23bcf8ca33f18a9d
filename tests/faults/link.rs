//! Faults of the link, from a table.

use std::sync::Mutex;

use migtax::arm::Arm;
use migtax::results::{Migration, OutcomeStatus};

use crate::relay::{Fault, Phase, Relay};
use crate::relayed::{self, Plan, struck};
use crate::runs::{
    arms, assert_guest_stayed, free_address, marker, names, reason, scenario, several_at_once,
    some_arms, start,
};

/// A fault, how long a peer may be silent under it, and what the error must say: any of these, on
/// a sealed stream and on one in the clear.
struct Case {
    name: &'static str,
    fault: Fault,
    peer_timeout: &'static str,
    sealed: &'static [&'static str],
    clear: &'static [&'static str],
}

const LOST: &[&str] = &["closed by the", "reset by peer", "Broken pipe"];

fn cases() -> Vec<Case> {
    let case = |name, fault, sealed, clear| Case {
        name,
        fault,
        peer_timeout: "5s",
        sealed,
        clear,
    };
    let forged: &[&str] = &["is not authentic"];
    vec![
        case("reset", Fault::Reset, LOST, LOST),
        case("one stream dies", Fault::StreamDies, LOST, LOST),
        Case {
            peer_timeout: "1s",
            ..case(
                "stall",
                Fault::Stall,
                &["was silent for 1000 ms"],
                &["was silent for 1000 ms"],
            )
        },
        case("half-close", Fault::HalfClose, LOST, LOST),
        case("slow reader", Fault::SlowReader, &[], &[]),
        Case {
            peer_timeout: "1s",
            ..case(
                "corrupted length",
                Fault::CorruptLength,
                &[
                    "is not authentic",
                    "out of bounds",
                    "was silent for",
                    "malformed record",
                ],
                &[
                    "damaged record",
                    "out of bounds",
                    "was silent for",
                    "malformed record",
                ],
            )
        },
        case(
            "corrupted head",
            Fault::CorruptHead,
            forged,
            &["damaged record"],
        ),
        case(
            "corrupted end",
            Fault::CorruptEnd,
            forged,
            &["damaged record", "guest memory differs"],
        ),
        case("truncated", Fault::Truncate, LOST, LOST),
        case("duplicated", Fault::Duplicate, forged, &["record sequence"]),
    ]
}

#[test]
fn every_fault_of_the_link_is_named_and_the_guest_is_in_one_place_with_every_write() {
    let cases = cases();
    // Every arm meets each fault and is struck at each phase, not each fault at each phase.
    let work = cases.iter().enumerate().flat_map(|(number, case)| {
        Phase::ALL.map(|phase| (case, phase, some_arms(number + phase as usize)))
    });
    let counts = Mutex::new((0, 0));
    several_at_once(work, |(case, phase, arms)| {
        let (struck, completed) = strike(case, phase, &arms);
        let mut counts = counts.lock().unwrap();
        counts.0 += struck;
        counts.1 += completed;
    });
    let (struck, completed) = counts.into_inner().unwrap();
    println!("link faults: {struck} struck, {completed} migrations completed in spite of them");
}

/// Runs arms with a fault at a phase; how many it struck, and how many completed.
fn strike(case: &Case, phase: Phase, arms: &[Arm]) -> (u32, u32) {
    let context = format!("{} at {phase:?}", case.name);
    let plan = Plan {
        phase,
        fault: Some(case.fault.clone()),
        first: 0,
        peer_timeout: case.peer_timeout,
        marker: &marker(),
    };
    let (run, relay) = relayed::run(plan, arms, &[]);
    let results = run
        .results
        .unwrap_or_else(|| panic!("{context}: {}", run.said));
    assert_eq!(results.migrations.len(), arms.len(), "{context}");
    let struck = struck(&results, &relay, &context);
    let mut completed = 0;
    for migration in &struck {
        let context = format!("{context}, {}: {:?}", migration.arm, migration.outcome);
        match migration.outcome.status {
            OutcomeStatus::Completed => {
                assert!(migration.verified.equal, "{context}");
                assert!(may_complete(case, phase, migration), "{context}");
                completed += 1;
            }
            _ => {
                assert_named(case, migration, &context);
                assert_counted(phase, migration, &context);
            }
        }
    }
    let failed = struck.len() as u32 != completed;
    assert_eq!(
        run.status.code(),
        Some(if failed { 6 } else { 0 }),
        "{context}"
    );
    // A switchover whose acknowledgement was lost is told of.
    let warned = results
        .warnings
        .iter()
        .filter(|w| w.code == "lost_acknowledgement");
    if phase != Phase::FinalAcknowledgement {
        assert_eq!(warned.count(), 0, "{context}");
    }
    (struck.len() as u32, completed)
}

/// Whether a migration may complete although the fault struck.
fn may_complete(case: &Case, phase: Phase, migration: &Migration) -> bool {
    match (&case.fault, phase) {
        (Fault::SlowReader, _) => true,
        // The destination has switched over, and its report says so.
        (_, Phase::FinalAcknowledgement) => true,
        // In the clear a page's content has no checksum; here a later round sent it again, and the
        // hashes say that it is right.
        (Fault::CorruptEnd, Phase::FirstRound | Phase::LaterRound) => migration.arm == Arm::PLAIN,
        _ => false,
    }
}

/// What a broken order had sent is counted too.
fn assert_counted(phase: Phase, migration: &Migration, context: &str) {
    if phase == Phase::Handshake {
        return;
    }
    let in_rounds: u64 = migration.rounds.iter().map(|r| r.bytes_on_wire).sum();
    let beyond = migration.bytes_on_wire - in_rounds;
    assert!(beyond > 0 && migration.records.unwrap() > 0, "{context}");
    let device_state = migration.device_state_bytes.unwrap();
    let at_end = matches!(phase, Phase::FinalRecord | Phase::FinalAcknowledgement);
    assert!(device_state > 0 || !at_end, "{context}");
    assert!(
        beyond >= device_state,
        "{context}: {beyond}, {device_state}"
    );
}

fn assert_named(case: &Case, migration: &Migration, context: &str) {
    let words = match migration.arm {
        Arm::PLAIN => case.clear,
        _ => case.sealed,
    };
    let said = reason(migration);
    assert!(words.iter().any(|word| said.contains(word)), "{context}");
    assert!(
        said.contains("source") || said.contains("destination"),
        "{context}"
    );
    if said.starts_with("guest memory differs") {
        // Found by the hashes after the switchover: the source has given the guest away, and it
        // never runs at the destination.
        assert_eq!(migration.guest.writes_verified, None, "{context}");
        let after = migration.guest.write_latency_after_ns.as_ref();
        assert_eq!(after.unwrap().count, 0, "{context}");
        return;
    }
    assert_guest_stayed(migration, context);
}

/// What becomes of a TLS handshake in which somebody takes part: another protocol is offered, or it ends
/// midway. The guest has not moved, and runs on at the source.
#[test]
fn a_handshake_that_fails_is_named_and_the_guest_stays() {
    let arms: Vec<Arm> = arms()
        .into_iter()
        .filter(|arm| arm.channel().is_some())
        .collect();
    for (fault, words) in [
        (Fault::Downgrade, &["TLS handshake: "][..]),
        (
            Fault::EndHandshake,
            &["closed by the", "TLS handshake: "][..],
        ),
    ] {
        let plan = Plan {
            phase: Phase::Handshake,
            fault: Some(fault),
            first: 0,
            peer_timeout: "5s",
            marker: &marker(),
        };
        let (run, relay) = relayed::run(plan, &arms, &[]);
        let results = run.results.unwrap_or_else(|| panic!("{}", run.said));
        let struck = struck(&results, &relay, "handshake");
        assert_eq!(struck.len(), arms.len());
        for migration in struck {
            let context = format!("{words:?}, {}: {:?}", migration.arm, migration.outcome);
            let said = reason(migration);
            assert!(words.iter().any(|word| said.contains(word)), "{context}");
            assert!(
                migration.channel.is_none() && migration.rounds.is_empty(),
                "{context}"
            );
            assert_guest_stayed(migration, &context);
        }
    }
}

#[test]
fn the_relay_alone_changes_nothing() {
    several_at_once(Phase::ALL, |phase| {
        let plan = Plan {
            phase,
            fault: None,
            first: 0,
            peer_timeout: "5s",
            marker: &marker(),
        };
        let (run, relay) = relayed::run(plan, &some_arms(phase as usize), &[]);
        assert_eq!(run.status.code(), Some(0), "{}", run.said);
        let results = run.results.unwrap();
        for migration in struck(&results, &relay, "no fault") {
            assert_eq!(migration.outcome.status, OutcomeStatus::Completed);
        }
    });
}

#[test]
fn a_stream_waits_for_a_slower_one_beyond_the_timeout() {
    let destination = free_address();
    // Stream 1 brings its 16 MiB at 8 MB/s at most; stream 0 has long ended the round.
    let relay = Relay::start(destination, Phase::FirstRound, Some(Fault::SlowReader), 0);
    let text = scenario("1s")
        .replace("4MiB", "32MiB")
        .replace("150MiB/s", "1MiB/s");
    let (listen, connect) = (destination.to_string(), relay.address().to_string());
    let names = names(&[Arm::PLAIN, Arm::RUSTCRYPTO_SOFT]);
    let flags = ["--arms", &names, "--listen", &listen, "--connect", &connect];
    let run = start(&text, &marker(), &flags).end();
    assert_eq!(run.status.code(), Some(0), "{}", run.said);
    assert_eq!(relay.struck(), [true, true]);
    for migration in run.results.unwrap().migrations {
        assert_eq!(migration.outcome.status, OutcomeStatus::Completed);
        assert!(
            migration.rounds[0].duration_s > 2.0,
            "{:?}",
            migration.rounds[0]
        );
    }
}
