//! What a migration came to, from what both hosts told.

use crate::results::{Cpu, Downtime, Guest, Latency, Migration, Outcome, OutcomeStatus, Verified};
use crate::runner::pair::Task;

/// The outcome, from both sides' accounts.
pub(super) fn judge(
    outcome: Outcome,
    verified: &Verified,
    failure: Option<String>,
    destination_failure: Option<String>,
) -> Outcome {
    let failed = |reason: String| Outcome {
        status: OutcomeStatus::Failed,
        reason: Some(reason),
    };
    match outcome.status {
        OutcomeStatus::Completed | OutcomeStatus::FellBack => {
            if let Some(reason) = failure {
                failed(reason)
            } else if let Some(reason) = destination_failure {
                failed(reason)
            } else if !verified.equal {
                failed(differing(&verified.source_hash, &verified.destination_hash))
            } else {
                outcome
            }
        }
        OutcomeStatus::NotConverged => outcome,
        OutcomeStatus::Failed => {
            // A host that died explains broken streams; else each side says what it saw.
            let mut reasons: Vec<String> = failure.into_iter().collect();
            reasons.extend(outcome.reason);
            reasons.extend(destination_failure);
            failed(if reasons.is_empty() {
                "no host reported".to_owned()
            } else {
                reasons.join("; ")
            })
        }
    }
}

/// Why two memories that should be equal fail a migration.
pub(super) fn differing(source: &str, destination: &str) -> String {
    format!("guest memory differs: source {source}, destination {destination}")
}

/// A migration of which nothing is known yet: failed, without a reason.
pub(super) fn blank(task: &Task<'_>) -> Migration {
    Migration {
        arm: task.arm,
        block: task.block,
        outcome: Outcome {
            status: OutcomeStatus::Failed,
            reason: None,
        },
        total_time_s: 0.0,
        setup_time_s: 0.0,
        downtime: Downtime::default(),
        rounds: Vec::new(),
        pages_sent: 0,
        zero_pages: 0,
        memory_bytes: task.scenario.guest.memory.0,
        payload_bytes: 0,
        bytes_on_wire: 0,
        records: 0,
        source_resident_bytes: 0,
        destination_resident_bytes: 0,
        cpu: Cpu::default(),
        verified: Verified::default(),
        guest: Guest {
            write_latency_ns: Latency::default(),
            ..Guest::default()
        },
        warnings: Vec::new(),
    }
}
