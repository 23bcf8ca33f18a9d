//! Runs whose source reaches its destination through a relay.

use migtax::arm::Arm;
use migtax::results::{Migration, OutcomeStatus, Results};

use crate::relay::{Fault, Phase, ROUNDS, Relay};
use crate::runs::{Ended, free_address, names, scenario, start};

/// What a relay is to do, and in which run.
pub struct Plan<'a> {
    /// Where in a migration.
    pub phase: Phase,
    /// What, once in each migration.
    pub fault: Option<Fault>,
    /// Migrations before this one pass unharmed.
    pub first: usize,
    /// How long a peer may be silent.
    pub peer_timeout: &'a str,
    /// The run's marker.
    pub marker: &'a str,
}

/// Runs arms through a relay, to the end.
pub fn run(plan: Plan<'_>, arms: &[Arm], flags: &[&str]) -> (Ended, Relay) {
    let text = scenario(plan.peer_timeout);
    run_scenario(&text, plan, arms, flags)
}

/// As [`run`], of another scenario.
pub fn run_scenario(text: &str, plan: Plan<'_>, arms: &[Arm], flags: &[&str]) -> (Ended, Relay) {
    let destination = free_address();
    let relay = Relay::start(destination, plan.phase, plan.fault, plan.first);
    let (listen, connect) = (destination.to_string(), relay.address().to_string());
    let names = names(arms);
    let mut all = vec!["--arms", &names, "--listen", &listen, "--connect", &connect];
    all.extend(flags);
    (start(text, plan.marker, &all).end(), relay)
}

/// The migrations in which a relay's fault struck. The others came to an end in fewer rounds.
pub fn struck<'a>(results: &'a Results, relay: &Relay, context: &str) -> Vec<&'a Migration> {
    let struck = relay.struck();
    assert_eq!(results.migrations.len(), struck.len(), "{context}");
    let (hit, missed): (Vec<_>, Vec<_>) = results
        .migrations
        .iter()
        .zip(struck)
        .partition(|(_, struck)| *struck);
    for (migration, _) in missed {
        let context = format!("{context}, {}, not struck", migration.arm);
        assert_eq!(
            migration.outcome.status,
            OutcomeStatus::Completed,
            "{context}"
        );
        assert!((migration.rounds.len() as u32) < ROUNDS, "{context}");
    }
    assert!(!hit.is_empty(), "{context}");
    hit.into_iter().map(|(migration, _)| migration).collect()
}
