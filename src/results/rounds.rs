//! What a migration did: its rounds and the guest's pause.

use serde::{Deserialize, Serialize};

/// Downtime on the source's clock, from the pause request to the authenticated switchover
/// acknowledgement. Of a migration by QEMU, from the source's stop to the destination's word that it is
/// complete.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "super::parts::ReadDowntime")]
pub struct Downtime {
    /// All of it.
    pub total_s: f64,
    /// What it consists of. None of a migration by an engine that does not tell.
    #[serde(flatten)]
    pub parts: Option<DowntimeParts>,
}

/// The parts of a downtime; they add up to it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct DowntimeParts {
    /// Pause request until every vCPU has stopped.
    pub pause_s: f64,
    /// Finding the last dirty pages.
    pub harvest_s: f64,
    /// Sending the last pages until the destination has applied them.
    pub transfer_s: f64,
    /// Device state and the final record until the switchover acknowledgement.
    pub switchover_s: f64,
}

impl DowntimeParts {
    /// All of them.
    pub fn sum_s(&self) -> f64 {
        self.pause_s + self.harvest_s + self.transfer_s + self.switchover_s
    }
}

/// What a round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoundKind {
    /// vCPUs run while it is sent.
    PreCopy,
    /// vCPUs are paused; the last round.
    StopAndCopy,
}

/// One harvest of the dirty set and its sending.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// What it is.
    pub kind: RoundKind,
    /// Since the migration's start, on the source's clock.
    pub started_s: f64,
    /// Its harvest and its sending, until the destination acknowledged it. Under the virtual
    /// clock: virtual time.
    pub duration_s: f64,
    /// Pages sent with content.
    pub pages_sent: u64,
    /// Pages sent as zero.
    pub zero_pages: u64,
    /// Page content sent.
    pub payload_bytes: u64,
    /// What that took on the wire, compressed where that shrank it. None where nothing is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed_bytes: Option<u64>,
    /// Everything sent in it.
    pub bytes_on_wire: u64,
    /// Pages found dirty at its end. 0 for the last round. None in a migration by QEMU, whose count of
    /// what is dirty at a sync holds pages that it has not sent yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_dirtied: Option<u64>,
    /// How long the guest's pause would have been, had it begun at the round's end, by the estimate
    /// that pre-copy was decided on. None after the last round, in files of older builds, and of QEMU,
    /// which states its limit until it has an estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_downtime_s: Option<f64>,
    /// The downtime limit that held at its end, where the limit grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_limit_s: Option<f64>,
    /// The share of time that vCPUs slept while it was sent, where the guest may be slowed down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_share: Option<f64>,
}

/// The least downtime that could be expected after one of some rounds, seconds: what the pause would have
/// been at the best moment, by the estimate made then. None where no estimate was recorded.
pub fn least_expected_downtime(rounds: &[Round]) -> Option<f64> {
    let expected = rounds.iter().filter_map(|r| r.expected_downtime_s);
    expected.min_by(f64::total_cmp)
}
