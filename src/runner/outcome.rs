//! What a migration came to, from what both hosts told.

use crate::arm::Arm;
use crate::host::{DestinationReport, SourceReport, process};
use crate::results::{Cpu, Downtime, Guest, Migration, Outcome, OutcomeStatus, Verified};

/// What the hosts of a migration told of it.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Until both hosts were ready, without filling memory.
    pub(super) starting_s: f64,
    pub(super) source: Option<SourceReport>,
    pub(super) destination: Option<DestinationReport>,
    /// What the destination hashed before it could report.
    pub(super) destination_hash: Option<String>,
    /// The first thing that went wrong.
    pub(super) failure: Option<String>,
}

impl Told {
    /// The migration as it goes into the results.
    pub(super) fn migration(
        self,
        arm: Arm,
        block: u32,
        memory_bytes: u64,
        sealed: bool,
    ) -> Migration {
        let mut migration = blank(arm, block, memory_bytes);
        migration.setup_time_s = self.starting_s;
        if let Some(source) = self.source {
            migration.warnings = source.warnings;
            migration.outcome = source.outcome;
            migration.setup_time_s += source.connect_s;
            migration.total_time_s = source.total_time_s;
            migration.downtime = source.downtime;
            migration.pages_sent = source.rounds.iter().map(|r| r.pages_sent).sum();
            migration.zero_pages = source.rounds.iter().map(|r| r.zero_pages).sum();
            migration.payload_bytes = source.rounds.iter().map(|r| r.payload_bytes).sum();
            migration.rounds = source.rounds;
            migration.bytes_on_wire = source.bytes_on_wire;
            migration.records = source.records;
            migration.cpu.source = source.cpu;
            migration.guest = source.guest;
            migration.verified.source_hash = source.hash;
            migration.source_resident_bytes = source.resident_beyond_guest_bytes;
        }
        migration
            .warnings
            .extend(process::unlocked_keys("coordinator", sealed));
        let mut destination_failure = None;
        if let Some(destination) = self.destination {
            migration.cpu.destination = destination.cpu;
            migration.warnings.extend(destination.warnings);
            migration.destination_resident_bytes = destination.resident_beyond_guest_bytes;
            migration.verified.destination_hash = destination.hash;
            if destination.switched_over {
                migration.guest.write_latency_after_ns = destination.write_latency_after_ns;
            }
            destination_failure = destination.failure;
        } else if let Some(hash) = self.destination_hash {
            migration.verified.destination_hash = hash;
        }
        let verified = &mut migration.verified;
        verified.equal =
            !verified.source_hash.is_empty() && verified.source_hash == verified.destination_hash;
        migration.outcome = judge(
            migration.outcome,
            verified,
            self.failure,
            destination_failure,
        );
        if !sealed && arm.is_encrypted() && migration.outcome.status == OutcomeStatus::Completed {
            migration.outcome = Outcome {
                status: OutcomeStatus::FellBack,
                reason: Some("went in the clear under policy opportunistic".to_owned()),
            };
        }
        migration
    }
}

/// The outcome, from both sides' accounts.
fn judge(
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
            if let Some(reason) = failure.or(destination_failure) {
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
            let told = [failure, outcome.reason, destination_failure];
            let reasons: Vec<String> = told.into_iter().flatten().collect();
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
fn blank(arm: Arm, block: u32, memory_bytes: u64) -> Migration {
    Migration {
        arm,
        block,
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
        memory_bytes,
        payload_bytes: 0,
        bytes_on_wire: 0,
        records: 0,
        source_resident_bytes: 0,
        destination_resident_bytes: 0,
        cpu: Cpu::default(),
        verified: Verified::default(),
        guest: Guest::default(),
        warnings: Vec::new(),
    }
}
