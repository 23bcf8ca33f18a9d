//! The fields of a scenario and their defaults.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::engines::{QemuSpec, TunnelValues};
use super::platform::Platform;
use super::storage::StorageSpec;
use crate::arm::Arm;
use crate::compression::Compression;
use crate::guest::content::ContentSpec;
use crate::guest::write::WriteExtent;
use crate::memory::{Pages, Presence};
use crate::precopy::{DowntimeGrowth, Limits, OnStall, Throttle};
use crate::tracking::TrackerSpec;
use crate::units::{Bandwidth, PAGE_SIZE, Rate, Size, Span};
use crate::workload::{Arrival, Placement, StreamSpec};

/// A scenario with every value resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name in results, tables and folder names.
    pub name: String,
    /// Why it exists and how to read its result.
    #[serde(default)]
    pub analysis: String,
    /// Where a scenario of a matrix stands in it: the varied fields, dotted, and their values.
    /// Empty outside a matrix. Made by expansion, never written in a file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub point: BTreeMap<String, String>,
    /// The VM that migrates.
    #[serde(default)]
    pub guest: GuestSpec,
    /// What its vCPUs do.
    #[serde(default)]
    pub workload: WorkloadSpec,
    /// Its disk, which is migrated too; none has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,
    /// How it is migrated.
    #[serde(default)]
    pub migration: MigrationSpec,
    /// How that is measured.
    #[serde(default)]
    pub measure: MeasureSpec,
    /// What only QEMU's migrations know.
    #[serde(default, skip_serializing_if = "QemuSpec::is_default")]
    pub qemu: QemuSpec,
    /// What only the tunnels of the arms `ssh` and `stunnel` know.
    #[serde(default, skip_serializing_if = "TunnelValues::is_default")]
    pub tunnel: TunnelValues,
}

impl Scenario {
    /// Whether encrypted arms may not go in the clear: the policy says so, or the guest is encrypted.
    pub fn requires_encryption(&self) -> bool {
        self.guest.encrypted || self.migration.policy == Policy::Required
    }

    /// Connections between the hosts: the streams of memory, and one of the disk.
    pub fn connections(&self) -> u32 {
        self.migration.streams + u32::from(self.storage.is_some())
    }

    /// What is migrated, memory and disk, bytes.
    pub fn bytes_in_all(&self) -> u64 {
        let disk = self.storage.as_ref().map_or(0, |storage| storage.size.0);
        self.guest.memory.0.saturating_add(disk)
    }

    /// What its dirty-page stream is generated from.
    pub fn stream_spec(&self) -> StreamSpec {
        StreamSpec {
            memory: self.guest.memory,
            vcpus: self.guest.vcpus,
            seed: self.guest.seed,
            rate: self.workload.rate,
            arrival: self.workload.arrival.clone(),
            placement: self.workload.placement.clone(),
            granularity: self.workload.granularity,
        }
    }
}

/// The VM that migrates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuestSpec {
    /// Guest memory, a whole number of pages.
    pub memory: Size,
    /// vCPU threads, 1 to 64.
    pub vcpus: u32,
    /// Seed of memory content, stream and block order.
    pub seed: u64,
    /// What pages hold at the start.
    pub content: ContentSpec,
    /// Size of the device-state blob.
    pub device_state: Size,
    /// An encrypted VM always requires encrypted migration.
    pub encrypted: bool,
    /// What backs guest memory, on both hosts.
    #[serde(alias = "huge_pages")] // earlier results: true or false
    pub pages: Pages,
}

/// What the vCPUs do: a dirty-page stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadSpec {
    /// Page writes per second times the page size, over all vCPUs; `0MiB/s` is an idle guest.
    pub rate: Rate,
    /// When pages are written.
    pub arrival: Arrival,
    /// Which pages are written.
    pub placement: Placement,
    /// Unit of placement: `4KiB`, or `2MiB`, where each draw is a block of 512 pages that
    /// successive writes of the vCPU fill from its first page to its last.
    pub granularity: Size,
    /// How much of a page a write changes.
    pub write: WriteExtent,
}

/// The VM's encryption setting, as in encrypted vMotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Encrypted arms do not run.
    Disabled,
    /// Encrypted where both hosts can, else in the clear.
    Opportunistic,
    /// Encrypted, or not at all.
    Required,
}

/// How many threads seal records, all streams together: with 1 each stream's own, with more a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// By the cores and the streams.
    Auto,
    /// This many, 1 to 64.
    Count(u32),
}

/// How the guest is migrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MigrationSpec {
    /// The platform whose values stand wherever this scenario gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// TCP connections, 1 to 64.
    pub streams: u32,
    /// Page content in one record at most, one page to 16 MiB.
    pub record: Size,
    /// How page content is compressed before it is sealed, each record by itself.
    pub compression: Compression,
    /// When the destination's guest memory is made; the source's is there before.
    pub destination_memory: Presence,
    /// How dirty pages are found.
    pub tracker: TrackerSpec,
    /// Bandwidth that the source keeps to.
    pub link: Bandwidth,
    /// Round trip between the hosts, on top of the network's own; none adds none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<Span>,
    /// The pause that pre-copy aims at.
    pub downtime_limit: Span,
    /// How that grows while the migration goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime_growth: Option<DowntimeGrowth>,
    /// Pre-copy rounds at most.
    pub max_rounds: u32,
    /// Time for pre-copy at most.
    pub time_limit: Span,
    /// Time for pre-copy at most without a round that leaves less dirty than every one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_timeout: Option<Span>,
    /// What happens when it does not converge, or `max_rounds`, `time_limit` or `progress_timeout` is reached.
    pub on_stall: OnStall,
    /// How the guest is slowed down, with `on_stall = "throttle"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Whether encrypted arms may, or must, run.
    pub policy: Policy,
    /// A peer that neither sends nor receives for this long is given up.
    pub peer_timeout: Span,
    /// Threads that seal records.
    pub seal_workers: Workers,
    /// Bytes sealed under one key at most; then the next epoch's key.
    pub rekey_bytes: Size,
    /// Records sealed under one key at most; then the next epoch's key.
    pub rekey_records: u64,
}

/// Which clock a run is made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ClockKind {
    /// Wall-clock time; vCPU threads write while the migration runs.
    Live,
    /// Exact, machine-independent counts.
    Virtual,
}

/// Around how many records clocks are read, for CPU time by stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// A sample, as large as keeps its cost below half a per cent.
    #[default]
    Auto,
    /// All of them, whatever it costs: what the sample's errors are checked against.
    All,
}

/// How the migrations are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeasureSpec {
    /// Arms to run, each once.
    pub arms: Vec<Arm>,
    /// Measured blocks; each holds every arm once.
    pub repetitions: u32,
    /// Blocks run first and not counted.
    pub warmup: u32,
    /// Clock that the runs are made under.
    pub clock: ClockKind,
    /// Length of every window of write latency; the vCPUs run for so long before the migration and
    /// after it.
    pub window: Span,
    /// How many records the stages' clocks are read around.
    pub sampling: Sampling,
}

impl Default for GuestSpec {
    fn default() -> Self {
        GuestSpec {
            memory: Size(512 << 20),
            vcpus: 1,
            seed: 1,
            content: ContentSpec::default(),
            device_state: Size(1 << 20),
            encrypted: false,
            pages: Pages::Small,
        }
    }
}

impl Default for WorkloadSpec {
    fn default() -> Self {
        WorkloadSpec {
            rate: Rate(50 << 20),
            arrival: Arrival::Poisson {},
            placement: Placement::Uniform { working_set: 0.25 },
            granularity: Size(PAGE_SIZE as u64),
            write: WriteExtent::Word,
        }
    }
}

impl Default for MigrationSpec {
    fn default() -> Self {
        MigrationSpec {
            platform: None,
            streams: 1,
            record: Size(256 << 10),
            compression: Compression::None,
            destination_memory: Presence::FaultedIn,
            tracker: TrackerSpec::Auto,
            link: Bandwidth::Unlimited,
            rtt: None,
            downtime_limit: Span(std::time::Duration::from_millis(20)),
            downtime_growth: None,
            max_rounds: 30,
            time_limit: Span(std::time::Duration::from_secs(60)),
            progress_timeout: None,
            on_stall: OnStall::Abort,
            throttle: None,
            policy: Policy::Opportunistic,
            peer_timeout: Span(std::time::Duration::from_secs(10)),
            seal_workers: Workers::Count(1),
            rekey_bytes: Size(256 << 30),
            rekey_records: 1 << 32,
        }
    }
}

impl MigrationSpec {
    /// What bounds pre-copy.
    pub fn limits(&self) -> Limits {
        Limits {
            downtime_ns: self.downtime_limit.as_nanos(),
            growth: self.downtime_growth,
            rounds: self.max_rounds,
            time_ns: self.time_limit.as_nanos(),
            progress_ns: self.progress_timeout.map(|span| span.as_nanos()),
            on_stall: self.on_stall,
        }
    }
}

impl Default for MeasureSpec {
    fn default() -> Self {
        MeasureSpec {
            arms: Arm::by_default().collect(),
            repetitions: 5,
            warmup: 1,
            clock: ClockKind::Live,
            window: Span(std::time::Duration::from_millis(100)),
            sampling: Sampling::Auto,
        }
    }
}

impl Serialize for Workers {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Workers::Auto => s.serialize_str("auto"),
            Workers::Count(n) => s.serialize_u32(*n),
        }
    }
}

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Count(u32),
            Word(String),
        }
        match Raw::deserialize(d)? {
            Raw::Count(n) => Ok(Workers::Count(n)),
            Raw::Word(word) if word == "auto" => Ok(Workers::Auto),
            Raw::Word(word) => Err(serde::de::Error::custom(format!(
                "\"{word}\" is not a number of workers: 1 to 64, or \"auto\""
            ))),
        }
    }
}
