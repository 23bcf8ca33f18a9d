//! How the guest's disk fared, as the source knows it.

use std::time::Duration;

use crate::error::Result;
use crate::host::HostSpec;
use crate::meter::StageTimes;
use crate::results::{Storage, StorageSourceCpu, Verified};
use crate::source::disk::writes_verified;
use crate::source::disk_stream::{DiskSent, READ, SEAL, STAGES, TRANSMIT};
use crate::source::timeline::GuestEnd;
use crate::source::tracked_guest::TrackedGuest;
use crate::units::PAGE_SIZE;

/// The report of a disk, whose guest has ended here; `None` of a guest without one. That of a guest that stays
/// is checked for its writes. `mirrored` is what its stream did, if there was one.
///
/// # Errors
/// If the disk can't be read.
pub(super) fn storage(
    spec: &HostSpec,
    guest: &TrackedGuest,
    end: &GuestEnd,
    mirrored: Option<(DiskSent, Option<StageTimes<STAGES>>)>,
    hash: String,
    stays: bool,
) -> Result<Option<Storage>> {
    let (Some(disk), Some(view)) = (&guest.disk, &end.disk) else {
        return Ok(None);
    };
    let (sent, times) = mirrored.unwrap_or_default();
    let stages = times.map_or([Duration::ZERO; STAGES], |times| times.stages);
    let content = |pages: u64| pages * PAGE_SIZE as u64;
    let checks = stays && disk.failure().is_none();
    Ok(Some(Storage {
        size_bytes: content(disk.disk.blocks()),
        copy_s: sent.copy_ns as f64 / 1e9,
        copied_bytes: content(sent.totals.pages - sent.mirrored),
        writes: view.writes,
        mirrored_writes: sent.mirrored,
        mirrored_bytes: content(sent.mirrored),
        bytes_on_wire: sent.wire_bytes,
        records: sent.records,
        source_cpu: StorageSourceCpu {
            total_s: stages.iter().sum::<Duration>().as_secs_f64(),
            read_s: stages[READ].as_secs_f64(),
            seal_s: stages[SEAL].as_secs_f64(),
            transmit_s: stages[TRANSMIT].as_secs_f64(),
        },
        verified: Verified {
            source_hash: hash,
            ..Verified::default()
        },
        writes_verified: match checks {
            true => writes_verified(spec, &disk.disk, view.writes)?,
            false => None,
        },
        write_latency_before_ns: view.before.clone(),
        write_latency_copying_ns: view.copying.clone(),
        write_latency_mirroring_ns: view.mirroring.clone(),
        write_latency_after_ns: view.after.clone(),
        ..Storage::default()
    }))
}
