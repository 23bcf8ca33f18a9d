//! The guest's disk at the source: what the guest writes to, and which of its writes are mirrored.
//!
//! The bulk copy goes over the disk once, from its first block to its last, and says how far it is *before*
//! it reads a stretch. A write goes to the source's file first and asks then: behind that mark it is mirrored,
//! and ahead of it the copy is yet to come by and finds it in the file. The stream that carries both keeps
//! their order, so that the destination never sees an older block after a newer one. A mirrored write is done,
//! for the guest, once the destination has it: as with QEMU's write-blocking mirror.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::guest::disk::{self, Disk};
use crate::guest::vcpu::Target;
use crate::host::HostSpec;
use crate::memory::GuestMemory;
use crate::units::PAGE_SIZE;
use crate::workload::{PageWrite, WriteStream};

/// Writes drawn from a stream at once.
const BATCH: usize = 4096;

/// What the disk's stream is told.
#[derive(Debug)]
pub enum DiskOrder {
    /// Copy all of it.
    Copy,
    /// Send a write's block. Dropping `done`, or a word on it, lets the guest go on.
    Mirror {
        /// Where it belongs.
        block: u64,
        /// What the guest wrote.
        content: Box<[u8]>,
        /// Whoever waits for it.
        done: Sender<()>,
    },
}

/// The guest's disk at the source.
#[derive(Debug)]
pub struct SourceDisk {
    /// Where its blocks are.
    pub disk: Disk,
    /// Blocks that the bulk copy has read or is reading: writes to them are mirrored.
    copied_until: AtomicU64,
    guest: Mutex<GuestSide>,
    /// How much longer than the network's own way to the destination and back is.
    round_trip: Option<Duration>,
}

/// What a guest's writes need; one at a time.
#[derive(Debug)]
struct GuestSide {
    block: GuestMemory,
    mirror: Option<Sender<DiskOrder>>,
    failure: Option<String>,
}

impl SourceDisk {
    /// The disk of the spec's guest, filled; `None` if it has none.
    ///
    /// # Errors
    /// If there is no room for it, or the file system refuses.
    pub fn of(spec: &HostSpec) -> Result<Option<SourceDisk>> {
        let Some(storage) = &spec.scenario.storage else {
            return Ok(None);
        };
        let disk = storage.create()?;
        disk.fill(&storage.content, spec.scenario.guest.seed)?;
        disk.settle()?;
        Ok(Some(SourceDisk {
            disk,
            copied_until: AtomicU64::new(0),
            guest: Mutex::new(GuestSide {
                block: disk::block().map_err(|error| Error::io("a block", error))?,
                mirror: None,
                failure: None,
            }),
            round_trip: spec.scenario.migration.rtt.map(|rtt| rtt.0),
        }))
    }

    /// Mirrors writes over a stream from now on.
    pub fn attach(&self, mirror: Sender<DiskOrder>) {
        self.guest().mirror = Some(mirror);
    }

    /// Mirrors no more: the migration has ended.
    pub fn detach(&self) {
        self.guest().mirror = None;
    }

    /// Where the bulk copy is about to read up to.
    pub fn copies_until(&self, block: u64) {
        // SeqCst: what was written before is in the file, and what is written from now on is mirrored.
        self.copied_until.store(block, SeqCst);
    }

    /// Why the guest could not write to its disk, if it could not.
    pub fn failure(&self) -> Option<String> {
        self.guest().failure.clone()
    }

    /// A guest that panicked in a write left it valid.
    fn guest(&self) -> MutexGuard<'_, GuestSide> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target for SourceDisk {
    /// A write that the host's file system refuses is none: the migration fails by it, and what is on the
    /// disk stays as it was.
    fn execute(&self, write: &PageWrite) {
        let mut guest = self.guest();
        if guest.failure.is_some() {
            return;
        }
        disk::write_content(&guest.block, write);
        if let Err(error) = self.disk.execute(&guest.block, write) {
            guest.failure = Some(error.to_string());
            return;
        }
        if write.page >= self.copied_until.load(SeqCst) {
            return;
        }
        let Some(mirror) = &guest.mirror else { return };
        let mut content = vec![0; PAGE_SIZE].into_boxed_slice();
        guest.block.copy_out(0, &mut content);
        let (done, is_done) = channel();
        let order = DiskOrder::Mirror {
            block: write.page,
            content,
            done,
        };
        // A stream that is gone mirrors nothing, and the guest stays with what stands in the file.
        if mirror.send(order).is_ok() && is_done.recv().is_ok() {
            drop(guest);
            if let Some(trip) = self.round_trip {
                std::thread::sleep(trip);
            }
        }
    }
}

/// Whether the disk of a guest that stayed is what it was at first, with exactly the writes that were counted:
/// they are made again on another one. `None` if there is no room for that, or it can't be read.
///
/// # Errors
/// If the stream can't be made, or the file system refuses.
pub fn writes_verified(spec: &HostSpec, disk: &Disk, executed: u64) -> Result<Option<bool>> {
    let (Some(storage), Some(stream)) = (&spec.scenario.storage, spec.disk_stream_spec()) else {
        return Ok(None);
    };
    let Ok(again) = storage.create() else {
        return Ok(None);
    };
    again.fill(&storage.content, spec.scenario.guest.seed)?;
    let mut stream = WriteStream::new(&stream, 0)?;
    stream.skip_to(spec.start_offset_ns);
    let (mut batch, mut left) = (Vec::with_capacity(BATCH), executed);
    while left > 0 {
        batch.clear();
        stream.fill(&mut batch, left.min(BATCH as u64) as usize);
        if batch.is_empty() {
            // It counts more writes than its stream has.
            return Ok(Some(false));
        }
        again
            .replay(&batch)
            .map_err(|error| Error::io("making writes again", error))?;
        left -= batch.len() as u64;
    }
    // One that can't be read any more is not one that lost a write.
    let here = disk.hash().ok();
    let again = again.hash()?;
    Ok(here.map(|hash| hash == again))
}
