//! What a migration by QEMU tells beside what all have.

use serde::{Deserialize, Serialize};

use super::Latency;

/// No answer of QEMU's that is kept is longer, as text; one takes about 2 KB.
pub const LONGEST_ANSWER_BYTES: usize = 64 << 10;

/// The QEMU that runs an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QemuInfo {
    /// Its version, such as `7.2.22`.
    pub version: String,
    /// What its packager calls it; empty if it does not say.
    pub package: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// The machine that the guest runs in, with its version: `pc-i440fx-7.2`.
    pub machine: String,
    /// What the arm's migrations speak with each other; None in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<QemuTls>,
}

/// The TLS of an arm, as negotiated in a short migration before the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QemuTls {
    /// The library and its version, such as `GnuTLS 3.7.9`.
    pub library: String,
    /// The protocol that was negotiated, such as `TLS1.3`.
    pub protocol: String,
    /// The cipher suite that was negotiated, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
    /// Of an arm that masks instructions: what shows that the mask acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<QemuMask>,
}

/// CPU time of two short migrations of the same bytes, one with the instructions and one without.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QemuMask {
    /// Both sides' CPU seconds per GiB with all instructions.
    pub unmasked_cpu_s_per_gib: f64,
    /// The same with the arm's mask.
    pub masked_cpu_s_per_gib: f64,
}

/// What QEMU tells of one migration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QemuMigration {
    /// Channels of multifd; 0 for the single channel.
    pub channels: u32,
    /// The total time that QEMU states, seconds, in whole milliseconds. The migration's own
    /// `total_time_s` is seen from outside: from the command to the destination's word that it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_total_time_s: Option<f64>,
    /// The downtime that QEMU states, seconds. The migration's own is seen from outside: from the
    /// source's stop to the destination's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_downtime_s: Option<f64>,
    /// The setup time that QEMU states, seconds; part of its total time. What an answer does not hold is
    /// None here as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_setup_time_s: Option<f64>,
    /// Everything that QEMU migrates as memory, bytes: the guest's, that of the program which runs in it
    /// and firmware.
    pub ram_bytes: u64,
    /// CPU time of the source's threads by what they do, vCPUs not included.
    pub source_threads: Vec<ThreadCpu>,
    /// The same of the destination.
    pub destination_threads: Vec<ThreadCpu>,
    /// How late the guest's writes were by the guest's own clock, which stands still in the pause. None of
    /// an idle guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_ns: Option<Latency>,
    /// The guest's throttle at the end, per cent, with `auto_converge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_percent: Option<u64>,
    /// The last answer to `query-migrate`, as it came, of a migration that did not converge before it was
    /// cancelled; null if there was none, or one longer than
    /// [`LONGEST_ANSWER_BYTES`].
    pub answer: serde_json::Value,
}

/// CPU time of one kind of thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadCpu {
    /// What they do: `migration`, `multifd`, `io`.
    pub threads: String,
    /// CPU seconds of all of them.
    pub cpu_s: f64,
}
