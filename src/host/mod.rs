//! The host roles: what the coordinator tells a source or destination process, and what the
//! process answers. One JSON object a line, on standard input and output.
//!
//! ```text
//! coordinator                                    host
//!   │── spec ─────────────────────────────────────►│
//!   │── secret (encrypted arms only) ─────────────►│ fills memory
//!   │◄──────────────────── ready { address, ... } ─│
//!   │── run ──► source only, in a fleet            │ lets its guest run until its turn comes
//!   │── connect { address } ──► source only        │ migrates
//!   │◄──────────────────────── unacknowledged ─────│ source, if the switchover ack was lost
//!   │── switched_over | fenced ──► source only     │
//!   │◄──────────────────────────────── moved ──────│ source, in a fleet
//!   │── verify ──► both, in a fleet                │ once no migration is under way
//!   │◄──────────────────── took_over, hashed ──────│ destination
//!   │── resume ──► destination only                │ runs the vCPUs for the window
//!   │◄──────────────────────────────── report ─────│
//! ```
//!
//! The secret travels as one line of its own, so that it never passes through a JSON parser or a
//! shared buffer. A host ends when its standard input does.
//!
//! The guests of a fleet run side by side from the start, take turns at moving and are hashed when none is
//! under way any more: neither starting, filling nor hashing takes CPU from a migration of another guest.

pub mod control;
pub mod framing;
pub mod guest_state;
pub mod guest_view;
pub mod latency;
pub mod probe;
pub mod process;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arm::{Arm, Backend, Channel};
use crate::crypto;
use crate::host::guest_view::{AtDestination, AtSource, OpenWindows, StorageAtDestination};
use crate::machine::{self, Counted, Limits};
use crate::results::{
    ArmInfo, ChannelInfo, DestinationCpu, Downtime, Guest, Outcome, PolicyDecision, Round,
    SourceCpu, Storage, Warning,
};
use crate::scenario::{ClockKind, Scenario};
use crate::tls;
use crate::tunnel::{self, Programs, TunnelSpec};
use crate::workload::StreamSpec;

/// Version of this protocol; both sides must have the same.
pub const PROTOCOL: u32 = 9;

/// See [`HostSpec::silence_between_records`].
const VIRTUAL_SILENCE: Duration = Duration::from_secs(600);

/// A host's task, for either role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The data path to measure.
    pub arm: Arm,
    /// Whether records are sealed; then a secret line follows. False for the baselines and for an
    /// arm that fell back to plain.
    pub sealed: bool,
    /// What is migrated and how, resolved and checked.
    pub scenario: Scenario,
    /// 128 random bits in hexadecimal, which name the migration.
    pub migration_id: String,
    /// Seed of the dirty-page stream in this block; memory content keeps the guest's own.
    pub stream_seed: u64,
    /// Where in the dirty-page stream this block starts, nanoseconds.
    pub start_offset_ns: u64,
    /// Destination: the address to listen at, port 0 for any.
    pub listen: String,
    /// CPUs to keep to; empty for any.
    pub pin: Vec<usize>,
    /// What a read of the thread CPU clock counts as on the host's machine, as the results record
    /// it, nanoseconds.
    pub thread_clock_read_ns: f64,
    /// The tunnel of an arm that goes through one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<TunnelSpec>,
    /// What the guest shares with others that leave the same host; none of one that migrates by itself.
    pub fleet: Option<InFleet>,
}

/// How a guest's hosts behave as those of one guest among many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InFleet {
    /// The inherited descriptor of the [`Booking`](crate::transport::Booking) that all sources share; none
    /// where the link is unlimited.
    pub link: Option<i32>,
    /// Migrations that are under way at once at most.
    pub sharers: u32,
}

impl HostSpec {
    /// The library on the data path: an encrypted arm that fell back to plain has none.
    pub fn backend(&self) -> Backend {
        if self.arm.is_encrypted() && !self.sealed {
            Backend::None
        } else {
            self.arm.backend()
        }
    }

    /// What protects the streams below their records; nothing in an arm that fell back to plain.
    pub fn channel(&self) -> Option<Channel> {
        self.arm.channel().filter(|_| self.sealed)
    }

    /// The dirty-page stream of this block.
    pub fn stream_spec(&self) -> StreamSpec {
        StreamSpec {
            seed: self.stream_seed,
            ..self.scenario.stream_spec()
        }
    }

    /// The disk's writes of this block; none of a guest without a disk.
    pub fn disk_stream_spec(&self) -> Option<StreamSpec> {
        self.scenario.disk_stream_spec(self.stream_seed)
    }

    /// How long a source may be silent between records. Under the virtual clock a round's writes are made
    /// between rounds, however long that takes, and nothing is sent meanwhile.
    pub fn silence_between_records(&self) -> Duration {
        let own = self.scenario.migration.peer_timeout.0;
        match self.scenario.measure.clock {
            ClockKind::Live => own,
            ClockKind::Virtual => own.max(VIRTUAL_SILENCE),
        }
    }
}

/// From the coordinator, after the spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Source: let the guest run until it is to connect.
    Run,
    /// Source: connect and migrate.
    Connect {
        /// The destination's address.
        address: String,
        /// Where its side of the tunnel listens, if there is one; `address` lies behind it.
        tunnel: Option<String>,
    },
    /// Source: the destination reported that it took over, though its acknowledgement was lost.
    SwitchedOver,
    /// Source: the destination was ended without having switched over.
    Fenced,
    /// Hash the guest now; the source of one that stayed checks its writes.
    Verify,
    /// Destination: both memories are equal; let the vCPUs run.
    Resume {
        /// Stream time at the switchover, nanoseconds.
        stream_time_ns: u64,
        /// Where windows that began at the source end.
        windows: OpenWindows,
    },
}

/// What a host can do, and what it engaged: taken from the process that does the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Version of the migtax that this process runs.
    pub migtax_version: String,
    /// The commit that it was built from, if that is known.
    pub commit: Option<String>,
    /// The arm that this process was started for.
    pub arm: Arm,
    /// Version of the library that the arm seals with.
    pub backend_version: String,
    /// Tells whether another process runs on the same machine: [`machine::boot_mark`].
    pub boot_mark: Option<String>,
    /// What the kernel grants it.
    pub limits: Limits,
    /// CPU features of the machine.
    pub cpu_features: Vec<String>,
    /// CPU features that the library engages in this process.
    pub engaged_features: Vec<String>,
    /// CPU features that the arm needs and that are missing (or hidden).
    pub missing_features: Vec<String>,
    /// What this process counts a read of the thread CPU clock as, nanoseconds.
    pub thread_clock_read_ns: f64,
    /// What else the arm needs and this machine lacks, in words.
    pub lacking: Option<String>,
    /// The known-answer test's complaint, if it failed.
    pub known_answer_failure: Option<String>,
    /// Versions of the libraries that touch the data path.
    pub versions: std::collections::BTreeMap<String, String>,
}

impl Capabilities {
    /// What results say of its arm, as this host, the source, has it.
    pub fn arm_info(&self, decision: PolicyDecision, reason: Option<String>) -> ArmInfo {
        ArmInfo {
            name: self.arm,
            backend: self.arm.library().to_owned(),
            backend_version: self.backend_version.clone(),
            engaged_features: self.engaged_features.clone(),
            supported: self.missing_features.is_empty() && decision != PolicyDecision::Unsupported,
            reason,
            policy_decision: decision,
            qemu: None,
        }
    }

    /// The version and, if it is known, the commit of its build.
    pub fn build(&self) -> String {
        machine::build::named(&self.migtax_version, self.commit.as_deref())
    }
}

/// To the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Memory is filled; a destination listens.
    Ready {
        /// What this process engaged.
        capabilities: Box<Capabilities>,
        /// Time that filling memory took, seconds; not part of the setup time.
        fill_s: f64,
        /// Source: which tracker is used.
        tracker: Option<String>,
        /// Destination: where it listens.
        address: Option<String>,
        /// Destination: where its side of the tunnel listens, if there is one.
        tunnel: Option<String>,
    },
    /// Source: everything was sent and no acknowledgement came.
    Unacknowledged,
    /// Source: its part in a fleet is done, whether the guest left or stays; it waits for `verify` now.
    Moved,
    /// Destination: it took over.
    TookOver,
    /// Destination: the hash of its guest; it waits for `resume` now.
    Hashed {
        /// As in the report.
        hash: String,
    },
    /// Source: how it went. The last event.
    Source(Box<SourceReport>),
    /// Destination: how it went. The last event.
    Destination(Box<DestinationReport>),
    /// The spec can't be carried out. The last event.
    Refused {
        /// Why, in one line.
        reason: String,
    },
}

/// How the migration went, as the source saw it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SourceReport {
    /// How it ended.
    pub outcome: Outcome,
    /// What weakens an outcome that stands, such as a lost acknowledgement.
    pub warnings: Vec<Warning>,
    /// Connections and handshake, seconds.
    pub connect_s: f64,
    /// What protects the streams below their records, as it was agreed on.
    pub channel: Option<ChannelInfo>,
    /// From the first harvest to the switchover acknowledgement, or to the end otherwise.
    pub total_time_s: f64,
    /// The pause, by part.
    pub downtime: Downtime,
    /// Rounds in order.
    pub rounds: Vec<Round>,
    /// Everything written to the sockets.
    pub bytes_on_wire: u64,
    /// Device state sent.
    pub device_state_bytes: u64,
    /// Records sent.
    pub records: u64,
    /// Threads that seal, all streams together.
    pub seal_workers: u32,
    /// Calls that sent, on all sockets.
    pub send_calls: u64,
    /// Calls that received.
    pub receive_calls: u64,
    /// CPU by stage.
    pub cpu: SourceCpu,
    /// Hash of guest memory and device state; empty unless completed.
    pub hash: String,
    /// The guest's view.
    pub guest: Guest,
    /// How its disk fared, as far as this side knows; none of a guest without one.
    pub storage: Option<Storage>,
    /// What of it the destination may have to complete; none under the virtual clock.
    pub at_source: Option<AtSource>,
    /// What this machine counted.
    pub counted: Counted,
    /// Stream time at the switchover, from which the destination goes on, nanoseconds.
    pub stream_time_ns: u64,
    /// Resident memory beyond guest memory at the end, bytes.
    pub resident_beyond_guest_bytes: u64,
    /// Guest memory in huge pages before the migration, bytes; none if it was to have none.
    pub huge_bytes: Option<u64>,
}

/// How the migration went, as the destination saw it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DestinationReport {
    /// Whether it took over.
    pub switched_over: bool,
    /// Why not, if something broke; an abort by the source is none.
    pub failure: Option<String>,
    /// What weakens an outcome that stands.
    pub warnings: Vec<Warning>,
    /// Calls that sent, on all sockets.
    pub send_calls: u64,
    /// Calls that received.
    pub receive_calls: u64,
    /// CPU by stage.
    pub cpu: DestinationCpu,
    /// Hash of guest memory and device state; empty unless it took over.
    pub hash: String,
    /// The guest's view; none if it did not run here.
    pub guest: Option<AtDestination>,
    /// How its disk fared; none of a guest without one.
    pub storage: Option<StorageAtDestination>,
    /// What this machine counted.
    pub counted: Counted,
    /// Resident memory beyond guest memory at the end, bytes.
    pub resident_beyond_guest_bytes: u64,
    /// Guest memory in huge pages after the migration, bytes; none if it was to have none.
    pub huge_bytes: Option<u64>,
    /// CPU time of the whole process until this report, filling and hashing included, seconds.
    pub process_cpu_s: f64,
}

/// What this process can do and engages, for `arm`; with `hide_aes` as a host that lacks what the
/// hardware arms need.
pub fn capabilities(arm: Arm, hide_aes: bool) -> Capabilities {
    let backend = match arm.channel() {
        // What is below it.
        Some(Channel::Tls | Channel::KernelTls) => Backend::AwsLc,
        Some(Channel::Ssh | Channel::Stunnel) | None => arm.backend(),
    };
    let library = crypto::implementation(backend).version();
    let engaged = crypto::implementation(backend).engaged();
    let is_hidden = |feature: &str| {
        hide_aes && Arm::own().any(|arm| arm.row().required_features.contains(&feature))
    };
    let missing = match hide_aes {
        true => arm.row().required_features.to_vec(),
        false => crypto::supported(arm).err().unwrap_or_default(),
    };
    Capabilities {
        protocol: PROTOCOL,
        migtax_version: machine::build::VERSION.to_owned(),
        commit: machine::build::COMMIT.map(str::to_owned),
        arm,
        backend_version: match arm.channel() {
            Some(channel) if channel.is_tunnel() => Programs::find(channel)
                .map(|programs| programs.version(channel))
                .unwrap_or_default(),
            Some(_) => format!("s2n-tls {} over {library}", tls::version()),
            None => library,
        },
        boot_mark: machine::boot_mark(),
        limits: Limits::of_this_process(),
        cpu_features: machine::cpu::features()
            .into_iter()
            .filter(|feature| !is_hidden(feature))
            .map(str::to_owned)
            .collect(),
        engaged_features: engaged.features.into_iter().map(str::to_owned).collect(),
        lacking: match arm.channel() {
            Some(Channel::KernelTls) => tls::kernel_lacks(),
            Some(channel) if channel.is_tunnel() => tunnel::lacks(channel),
            _ => None,
        },
        missing_features: missing.into_iter().map(str::to_owned).collect(),
        thread_clock_read_ns: machine::clock::thread_clock_read_ns(),
        known_answer_failure: crypto::known_answer_test(backend)
            .err()
            .map(|error| error.to_string()),
        versions: crypto::library_versions(),
    }
}
