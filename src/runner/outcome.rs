//! What a migration came to, from what both hosts told.

use crate::arm::Arm;
use crate::host::{DestinationReport, SourceReport, guest_view, process};
use crate::results::{Cpu, Migration, Outcome, OutcomeStatus, Round, SocketCalls, Verified};

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
        (block, stream_seed): (u32, u64),
        memory_bytes: u64,
        sealed: bool,
    ) -> Migration {
        let mut source = self.source.unwrap_or_default();
        let sum = |field: fn(&Round) -> u64| source.rounds.iter().map(field).sum();
        let hash = self.destination_hash.unwrap_or_default();
        let mut destination = self.destination.unwrap_or(DestinationReport {
            hash,
            ..DestinationReport::default()
        });
        // Those of a host that told nothing are zero, unless nobody can know them.
        if arm.has_stages() || !sealed {
            source.cpu.stages.get_or_insert_default();
            destination.cpu.stages.get_or_insert_default();
        }
        source.downtime.parts.get_or_insert_default();
        let mut guest = source.guest;
        if let Some(at_source) = &source.at_source {
            let there = destination.guest.as_ref();
            guest_view::complete(
                &mut guest,
                at_source,
                there.filter(|_| destination.switched_over),
            );
        }
        let storage = source.storage.map(|storage| {
            let there = destination.storage.clone().unwrap_or_default();
            Box::new(guest_view::complete_storage(
                storage,
                there,
                destination.switched_over,
            ))
        });
        let unlocked = process::unlocked_keys("coordinator", sealed);
        let warnings = source.warnings.into_iter().chain(unlocked);
        let verified = Verified {
            equal: !source.hash.is_empty() && source.hash == destination.hash,
            source_hash: source.hash,
            destination_hash: destination.hash,
        };
        let mut migration = Migration {
            arm,
            block,
            stream_seed: Some(stream_seed),
            outcome: judge(
                source.outcome,
                (&verified, storage.is_some()),
                self.failure,
                destination.failure,
            ),
            total_time_s: source.total_time_s,
            setup_time_s: self.starting_s + source.connect_s,
            channel: source.channel,
            downtime: source.downtime,
            pages_sent: sum(|r| r.pages_sent),
            zero_pages: sum(|r| r.zero_pages),
            memory_bytes,
            payload_bytes: sum(|r| r.payload_bytes),
            compressed_bytes: source.rounds.iter().map(|r| r.compressed_bytes).sum(),
            rounds: source.rounds,
            bytes_on_wire: source.bytes_on_wire,
            device_state_bytes: Some(source.device_state_bytes),
            records: Some(source.records),
            // A source that never reported has sealed with no worker.
            seal_workers: (source.seal_workers > 0).then_some(source.seal_workers),
            socket_calls: (source.seal_workers > 0).then_some(SocketCalls {
                source_sends: source.send_calls,
                source_receives: source.receive_calls,
                destination_sends: destination.send_calls,
                destination_receives: destination.receive_calls,
            }),
            source_resident_bytes: Some(source.resident_beyond_guest_bytes),
            destination_resident_bytes: Some(destination.resident_beyond_guest_bytes),
            source_huge_bytes: source.huge_bytes,
            destination_huge_bytes: destination.huge_bytes,
            cpu: Cpu {
                source: source.cpu,
                destination: destination.cpu,
            },
            verified,
            guest,
            storage,
            source_counted: source.counted,
            destination_counted: destination.counted,
            qemu: None,
            warnings: warnings.chain(destination.warnings).collect(),
        };
        if !sealed && arm.is_encrypted() && migration.outcome.status == OutcomeStatus::Completed {
            migration.outcome = Outcome::fell_back();
        }
        migration
    }
}

/// The outcome, from both sides' accounts.
fn judge(
    outcome: Outcome,
    (verified, has_disk): (&Verified, bool),
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
                let (here, there) = (&verified.source_hash, &verified.destination_hash);
                failed(differing(here, there, has_disk))
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

/// Why two guests that should be equal fail a migration.
pub(super) fn differing(source: &str, destination: &str, has_disk: bool) -> String {
    let what = if has_disk { "memory or disk" } else { "memory" };
    format!("guest {what} differs: source {source}, destination {destination}")
}
