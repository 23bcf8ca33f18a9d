//! What a migration by QEMU is about, and what comes of it.

use std::path::Path;

use super::threads::Used;
use crate::arm::Arm;
use crate::error::Error;
use crate::results::{Guest, Outcome, QemuMigration, Verified};
use crate::scenario::Scenario;
use crate::workload::MergedStream;

/// What one migration is about.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// Guest, workload, migration.
    pub scenario: &'a Scenario,
    /// The arm, which is QEMU's.
    pub arm: Arm,
    /// Seed of the block's dirty-page stream.
    pub stream_seed: u64,
    /// Where in the stream the block starts.
    pub start_offset_ns: u64,
    /// CPUs to keep the source and the destination to.
    pub pin: (&'a [usize], &'a [usize]),
    /// The binary.
    pub binary: &'a Path,
    /// `kvm` or `tcg`.
    pub accelerator: &'a str,
    /// Folders with the credentials of source and destination, if they speak TLS.
    pub credentials: Option<(&'a Path, &'a Path)>,
    /// Whether GnuTLS tells what it negotiates.
    pub tells_tls: bool,
    /// Whether the run was interrupted: asked about every 10 ms.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Called once both processes have what they need from the file system.
    pub started: &'a dyn Fn(),
}

/// What came of a migration.
#[derive(Debug, Default)]
pub struct Told {
    /// How it ended.
    pub outcome: Outcome,
    /// Until both processes were ready, without filling memory, seconds.
    pub setup_time_s: f64,
    /// From the command to the destination's word that it is complete, seconds.
    pub total_time_s: f64,
    /// From the source's stop to that word, seconds.
    pub downtime_s: f64,
    /// Its rounds.
    pub rounds: Vec<crate::results::Round>,
    /// CPU time of the source.
    pub source: Used,
    /// CPU time of the destination.
    pub destination: Used,
    /// Both sides' hashes of guest memory.
    pub verified: Verified,
    /// What the guest did.
    pub guest: Guest,
    /// What QEMU states.
    pub qemu: QemuMigration,
    /// What the source said on standard error.
    pub source_said: String,
}

/// The run was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// Why a migration goes on no further.
pub(super) enum Stop {
    Interrupted,
    /// It failed; why.
    Broken(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Stop::Broken(reason)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Broken(error.to_string())
    }
}

/// Channels of multifd; 0 for the single channel.
pub(super) fn channels(scenario: &Scenario) -> u32 {
    match scenario.migration.streams {
        1 => 0,
        streams => streams,
    }
}

/// The block's dirty-page stream: that of all vCPUs in one order, since QEMU's guest has one.
pub(super) fn stream(plan: &Plan<'_>) -> crate::error::Result<MergedStream> {
    let mut spec = plan.scenario.stream_spec();
    spec.seed = plan.stream_seed;
    MergedStream::new(&spec)
}
