//! `results.json`: a run as written, read and agreed with other programs.
//!
//! Raw times and bytes are stored; rates, ratios and per-GiB figures are derived from them in
//! one place, the module `figures`. Units are in the field names: `_s` seconds, `_ns` nanoseconds,
//! `_bytes` bytes. A format version stands in `schema_version` from the first day.

mod arms;
mod blocks;
mod comparison;
mod cpu;
mod parts;
mod plumbing;
mod qemu;
mod rounds;
mod shard;
mod storage;
mod throttle;

pub use arms::{ArmInfo, PolicyDecision};
pub use comparison::{Bound, Comparison};
pub use cpu::{
    Cpu, DestinationCpu, DestinationSampling, DestinationStages, SourceCpu, SourceSampling,
    SourceStages,
};
pub use plumbing::{ChannelInfo, SocketCalls};
pub use qemu::{LONGEST_ANSWER_BYTES, QemuInfo, QemuMask, QemuMigration, QemuTls, ThreadCpu};
pub use rounds::{Downtime, DowntimeParts, Round, RoundKind, least_expected_downtime};
pub use shard::{MOST_SHARDS, Parts, Shard};
pub use storage::{Storage, StorageDestinationCpu, StorageSourceCpu};
pub use throttle::Throttled;

use serde::{Deserialize, Serialize};

use crate::arm::Arm;
use crate::machine::{Counted, MachineInfo};
use crate::scenario::Scenario;

/// The version of the format that this build writes, and the newest that it reads.
pub const SCHEMA_VERSION: u32 = 2;

/// The oldest version whose fields, once read, mean what this build's mean: version 2 only renamed
/// some of version 1's.
const SAME_MEANING_SINCE: u32 = 1;

/// Whether figures of two format versions mean the same, so that runs of both may be compared.
pub fn same_meaning(version: u32, other: u32) -> bool {
    let known = |version| (SAME_MEANING_SINCE..=SCHEMA_VERSION).contains(&version);
    version == other || known(version) && known(other)
}

/// A whole run: one scenario, its arms, every migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA_VERSION`] of the build that wrote it.
    pub schema_version: u32,
    /// Version of the build that wrote it.
    pub migtax_version: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Whether the run ended before all its migrations were made.
    pub interrupted: bool,
    /// The command that repeats this run, with `***` for secrets of known forms.
    pub command: Vec<String>,
    /// Which part of which matrix it is; absent of a run that is whole or was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Of a merged run some of whose shards are missing, those that it has; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// The machine that it was made on.
    pub host: MachineInfo,
    /// Every value as resolved, seed included.
    pub scenario: Scenario,
    /// The arms asked for, in table order, unsupported ones included.
    pub arms: Vec<ArmInfo>,
    /// Every measured migration, in the order in which they ran. Warm-up is not among them.
    pub migrations: Vec<Migration>,
    /// Ratios against a baseline with their intervals, derived from `migrations`.
    pub comparisons: Vec<Comparison>,
    /// What weakens the result, with a remedy.
    pub warnings: Vec<Warning>,
}

/// How a migration ended; printed, in words for tables.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum OutcomeStatus {
    /// The guest runs at the destination and both memories are equal.
    Completed,
    /// Pre-copy did not converge; the guest ran on at the source.
    #[strum(to_string = "not converged")]
    NotConverged,
    /// Something broke; the reason says what and where.
    #[default]
    Failed,
    /// Policy sent it in the clear instead; never enters the arm's statistics.
    #[strum(to_string = "fell back to plain")]
    FellBack,
}

/// How a migration ended, and why. By default it failed, without a reason: nothing is known yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub status: OutcomeStatus,
    /// Why, in words; always present when it did not complete.
    pub reason: Option<String>,
}

impl Outcome {
    /// Of a migration that policy sent in the clear.
    pub fn fell_back() -> Outcome {
        Outcome {
            status: OutcomeStatus::FellBack,
            reason: Some("went in the clear under policy opportunistic".to_owned()),
        }
    }
}

/// One migration of one arm. Fields that a failed migration has no value for are zero or empty;
/// such a migration never enters statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// The arm that was migrated.
    pub arm: Arm,
    /// Which block of interleaved arms, from 0.
    pub block: u32,
    /// Seed of the dirty-page stream that all arms of the block met: `migtax workload --seed` shows
    /// it. None in runs of earlier builds, all of whose blocks met the scenario's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_seed: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// From the first harvest to the switchover acknowledgement.
    pub total_time_s: f64,
    /// Before that: processes, connections, handshake; without filling memory.
    pub setup_time_s: f64,
    /// What protected the streams below their records; absent where records are sealed themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelInfo>,
    /// The guest's pause, by part.
    pub downtime: Downtime,
    /// Rounds in order; the last of a completed migration is `stop-and-copy`.
    pub rounds: Vec<Round>,
    /// Pages sent with content, over all rounds; zero pages not included.
    pub pages_sent: u64,
    /// Pages sent as zero, over all rounds.
    pub zero_pages: u64,
    /// The guest's memory, zero pages included.
    pub memory_bytes: u64,
    /// Page content sent: `pages_sent` times the page size.
    pub payload_bytes: u64,
    /// What that took on the wire, compressed where that shrank it; the rest was saved. None where nothing is
    /// compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed_bytes: Option<u64>,
    /// Everything written to the sockets by the source, framing and control included; a disk's stream apart.
    pub bytes_on_wire: u64,
    /// Device state sent, part of `bytes_on_wire`; 0 of a migration that ended before. Of one that broke
    /// off in it, what had been sent, to within its records' framing. None in
    /// files of older builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_state_bytes: Option<u64>,
    /// Records sent by the source, control records included. None of a migration by QEMU, which does not
    /// count those of its TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Threads that sealed, all streams together: those of a pool, or with 1 each stream's own. The
    /// same for every arm. None before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal_workers: Option<u32>,
    /// Calls on the sockets. None before they were counted, or by an engine that doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket_calls: Option<SocketCalls>,
    /// Resident memory of the source host beyond guest memory, at the end. None before it was recorded,
    /// or by an engine that doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_resident_bytes: Option<u64>,
    /// The same of the destination host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_resident_bytes: Option<u64>,
    /// The source's guest memory in transparent huge pages before the migration; absent where the
    /// scenario asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_huge_bytes: Option<u64>,
    /// The same at the destination, after the migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_huge_bytes: Option<u64>,
    /// CPU time by side and stage.
    pub cpu: Cpu,
    /// Both sides' memory hashes.
    pub verified: Verified,
    /// The guest's own view.
    pub guest: Guest,
    /// How the guest's disk was migrated; absent of a guest without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Box<Storage>>,
    /// What the source counted from the first harvest to the end.
    #[serde(default, skip_serializing_if = "Counted::is_empty")]
    pub source_counted: Counted,
    /// What the destination counted from the source's connection to the switchover. On one machine its
    /// energy is the same as the source's: they must not be added.
    #[serde(default, skip_serializing_if = "Counted::is_empty")]
    pub destination_counted: Counted,
    /// What only QEMU tells; absent of this program's own migrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qemu: Option<Box<QemuMigration>>,
    /// What its hosts say against it; the run's warnings repeat it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl Migration {
    /// Bytes of page content as it was sent: compressed where it was.
    pub fn content_bytes(&self) -> u64 {
        self.compressed_bytes.unwrap_or(self.payload_bytes)
    }
}

/// Hashes of guest memory and device state, taken outside the timed part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verified {
    /// BLAKE3 at the source, hexadecimal; empty if none was taken.
    pub source_hash: String,
    /// BLAKE3 at the destination, hexadecimal; empty if none was taken.
    pub destination_hash: String,
    /// Whether both were taken and are equal.
    pub equal: bool,
}

/// The guest's own view of its migration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Guest {
    /// Page writes that the vCPUs made during the migration.
    pub writes: u64,
    /// Writes per second over the time in which the vCPUs were running, times the page size,
    /// relative to the rate asked for over the same stretch of the stream, without what a throttle took; 1
    /// is on schedule.
    pub schedule_kept: f64,
    /// Of a guest that stayed at the source: whether its memory in the end was its first content
    /// with exactly the writes that its vCPUs count, executed again from the stream. None where
    /// the guest left, or the check was not possible (too little memory for a second guest, or
    /// several vCPUs that write whole pages, which do not commute).
    #[serde(default, alias = "writes_kept")] // schema 1
    pub writes_verified: Option<bool>,
    /// Page writes times the page size per second while the vCPUs were running, bytes/s.
    pub achieved_rate: f64,
    /// The same stretch of the stream as it was asked for, bytes/s.
    pub asked_rate: f64,
    /// Latency of writes against their intended time during the whole migration, pause included. A long
    /// migration dilutes its stalls: arms are compared by windows. None of a guest in QEMU, whose writes
    /// are not timed from outside, as for the windows below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_latency_ns: Option<Latency>,
    /// The same of writes intended in the window ahead of the migration, `measure.window` long: the
    /// baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_latency_before_ns: Option<Latency>,
    /// The same in a window as long from the first harvest on. Of a shorter migration it holds the pause
    /// and how the guest got on at the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_latency_start_ns: Option<Latency>,
    /// The same in a window as long from the pause request on. A shorter pause leaves the rest of it to
    /// the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_latency_pause_ns: Option<Latency>,
    /// The same in a window as long from the end of the migration on, where the guest then ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_latency_after_ns: Option<Latency>,
    /// Writes made from the first harvest to the switchover, or to the end, over those asked for in that
    /// time, the pause included. Above 1 where vCPUs caught up on what was due before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// Time during the migration in which a vCPU could not execute the write that was due, summed over
    /// vCPUs, in stalls of more than 100 us each. The one over the pause ends with the vCPU's first
    /// write at the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_s: Option<f64>,
    /// The longest of these stalls; 0 if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_stall_s: Option<f64>,
    /// The same sum in the window before the migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_before_s: Option<f64>,
    /// At the destination, from the order to run until the guest's first write was done, or since that
    /// write was due if that came later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_write_s: Option<f64>,
    /// What the vCPUs did and used before the migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_before: Option<VcpuWork>,
    /// The same during it, at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_during: Option<VcpuWork>,
    /// The same after it, where the guest then ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_after: Option<VcpuWork>,
    /// What it lost to the throttle. None where the guest was not slowed down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Throttled>,
}

/// What the vCPUs of a guest did in a stretch of time, and what they used.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VcpuWork {
    /// Page writes that they made.
    pub writes: u64,
    /// Those of them that took at most 100 us, from begin to end: in others the vCPU lost its CPU.
    pub timed_writes: u64,
    /// What these took together, on the monotonic clock.
    pub timed_s: f64,
    /// CPU time of their threads, by the threads' clocks.
    pub cpu_s: f64,
    /// Page faults of their threads that the kernel resolved without I/O. Guest memory is faulted in
    /// beforehand, so those above the number before are write-protection faults of dirty tracking.
    pub minor_faults: u64,
}

/// Percentiles of a latency histogram, nanoseconds. All zero if nothing was recorded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Values recorded.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Largest.
    pub max: u64,
    /// Points of the percentile curve: (percentile 0-100, value), for the percentile plot.
    pub curve: Vec<(f64, u64)>,
}

/// Something that weakens a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable name, such as `few_repetitions`.
    pub code: String,
    /// What is the matter, with figures.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}
