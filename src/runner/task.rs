//! What a migration is about, and what comes of it.

use serde::{Deserialize, Serialize};

use crate::arm::Arm;
use crate::error::Error;
use crate::host::{HostSpec, InFleet, PROTOCOL};
use crate::machine::MachineInfo;
use crate::results::Migration;
use crate::runner::process::Role;
use crate::runner::route::Route;
use crate::scenario::Scenario;
use crate::tunnel::TunnelSpec;

/// What one migration is about.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// Guest, workload, migration.
    pub scenario: &'a Scenario,
    /// The data path.
    pub arm: Arm,
    /// Whether it is sealed; false for baselines and fallbacks.
    pub sealed: bool,
    /// The block that it counts in.
    pub block: u32,
    /// Seed of the block's dirty-page stream.
    pub stream_seed: u64,
    /// Where in the dirty-page stream the block starts.
    pub start_offset_ns: u64,
    /// CPUs to keep the source and the destination to.
    pub pin: (&'a [usize], &'a [usize]),
    /// How the source reaches the destination.
    pub route: &'a Route,
    /// What the results say of the hosts' machines.
    pub machine: &'a MachineInfo,
    /// What the guest shares with the others of its fleet; none of one that migrates by itself.
    pub fleet: Option<InFleet>,
}

impl Task<'_> {
    /// What the host of a role is told.
    pub(super) fn spec(
        &self,
        role: Role,
        migration_id: u128,
        tunnel: Option<&TunnelSpec>,
    ) -> HostSpec {
        let (pin, thread_clock_read_ns) = match role {
            Role::Source => (self.pin.0, self.machine.thread_clock_read_ns),
            Role::Destination => (self.pin.1, self.machine.destination_clock_read_ns()),
        };
        HostSpec {
            protocol: PROTOCOL,
            arm: self.arm,
            sealed: self.sealed,
            scenario: self.scenario.clone(),
            migration_id: format!("{migration_id:032x}"),
            stream_seed: self.stream_seed,
            start_offset_ns: self.start_offset_ns,
            listen: self.route.listen.clone(),
            pin: pin.to_vec(),
            thread_clock_read_ns,
            tunnel: tunnel.cloned(),
            fleet: self.fleet,
        }
    }
}

/// Why a migration was not made.
#[derive(Debug)]
pub enum NotMade {
    /// SIGINT or SIGTERM.
    Interrupted,
    /// The coordinator itself could not go on.
    Error(Error),
}

impl From<Error> for NotMade {
    fn from(error: Error) -> Self {
        NotMade::Error(error)
    }
}

/// A migration that was made.
#[derive(Debug)]
pub struct Made {
    /// As it goes into the results.
    pub migration: Migration,
    /// The tracker that was used, if it is known.
    pub tracker: Option<String>,
    /// CPU seconds of the destination's process, wherever it ran, that are not among those of this
    /// process's ended children.
    pub unseen_cpu_s: f64,
}

/// Where a guest is once its migration has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum Place {
    /// Where it was.
    Source,
    /// Where it was to go.
    Destination,
    /// Nowhere: the host process that ran it has ended, as a host that loses its power.
    Ended,
}
