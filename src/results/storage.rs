//! How the guest's disk was migrated.

use serde::{Deserialize, Serialize};

use super::{Latency, Verified};

/// How the guest's disk was migrated beside its memory, on a stream and by threads of its own. Nothing of it
/// is in the migration's other figures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Storage {
    /// The disk, holes included.
    pub size_bytes: u64,
    /// From the begin of the bulk copy until all of it stood at the destination, ahead of the first harvest;
    /// 0 if it did not come to that.
    pub copy_s: f64,
    /// Blocks with content that the bulk copy sent, times their size: holes and zero blocks are not sent.
    pub copied_bytes: u64,
    /// The guest's writes to its disk at the source.
    pub writes: u64,
    /// Those of them that were mirrored: made behind the bulk copy, or after it.
    pub mirrored_writes: u64,
    /// Their content.
    pub mirrored_bytes: u64,
    /// Everything on the disk's stream, framing and control included.
    pub bytes_on_wire: u64,
    /// Records on it, control records included.
    pub records: u64,
    /// CPU time at the source.
    pub source_cpu: StorageSourceCpu,
    /// CPU time at the destination.
    pub destination_cpu: StorageDestinationCpu,
    /// Both disks' hashes.
    pub verified: Verified,
    /// Of a guest that stayed: whether its disk holds its first content with exactly the writes that were
    /// counted, made again on another disk. None where the guest left, or there was no room for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_verified: Option<bool>,
    /// Latency of disk writes against their intended time, in the window before the bulk copy.
    pub write_latency_before_ns: Latency,
    /// The same while the disk was copied.
    pub write_latency_copying_ns: Latency,
    /// The same from then on to the switchover, or to the end, the pause included.
    pub write_latency_mirroring_ns: Latency,
    /// The same in the window after the migration, where the guest then ran.
    pub write_latency_after_ns: Latency,
}

impl Storage {
    /// Bytes of blocks' content that were sent, in bulk and mirrored.
    pub fn sent_bytes(&self) -> u64 {
        self.copied_bytes + self.mirrored_bytes
    }
}

/// CPU time that the disk took at the source. The guest's own writes are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StorageSourceCpu {
    /// Of the disk's stream; the others are its parts.
    pub total_s: f64,
    /// Reading the disk, finding zero blocks, building records.
    pub read_s: f64,
    /// The cipher.
    pub seal_s: f64,
    /// The socket: sending, and receiving acknowledgements.
    pub transmit_s: f64,
}

/// CPU time that the disk took at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StorageDestinationCpu {
    /// Of the disk's stream; the others are its parts.
    pub total_s: f64,
    /// The socket.
    pub receive_s: f64,
    /// The cipher.
    pub open_s: f64,
    /// Writing the disk.
    pub write_s: f64,
}
