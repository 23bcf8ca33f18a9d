//! Where a stream's content goes.

use std::io;
use std::sync::Arc;

use crate::guest::disk::Disk;
use crate::memory::GuestMemory;
use crate::record::Inbound;
use crate::units::PAGE_SIZE;
use crate::wire::{Head, Totals};

/// Where a stream's content goes.
pub(super) enum Place {
    /// Guest memory.
    Memory(Arc<GuestMemory>),
    /// The guest's disk, and memory to write from past the page cache.
    Disk(Arc<Disk>, GuestMemory),
}

impl Place {
    /// Pages or blocks that it has.
    fn pages(&self) -> u64 {
        match self {
            Place::Memory(memory) => memory.pages(),
            Place::Disk(disk, _) => disk.blocks(),
        }
    }

    /// Whether a round of which so much was applied has room for a record's pages: it sends a page once.
    pub(super) fn has_room(&self, applied: Totals, head: &Head, head_bytes: &[u8]) -> bool {
        let zero = head.zero(head_bytes).map(|run| run.pages).sum::<u64>();
        let pages = u64::from(head.payload) / PAGE_SIZE as u64 + zero;
        applied.pages + applied.zero_pages + pages <= self.pages()
    }
}

/// Writes a record's blocks to the disk.
///
/// # Errors
/// What the file system says.
pub(super) fn write_blocks(
    (disk, staging): (&Disk, &GuestMemory),
    inbound: &Inbound,
    head: &Head,
) -> io::Result<Totals> {
    let mut totals = Totals {
        records: 1,
        ..Totals::default()
    };
    let mut content = inbound.payload(head);
    for run in head.data(inbound.head_bytes()) {
        let (blocks, rest) = content.split_at(run.pages as usize * PAGE_SIZE);
        // A single block is a write of the guest's, as a rule to where there is something already.
        if run.pages > 1 {
            disk.allocate(run);
        }
        disk.write_from(blocks, staging, run.first)?;
        content = rest;
        totals.pages += run.pages;
    }
    // They are part of the copy, ahead of all else that is written to them: holes already.
    let zero = head.zero(inbound.head_bytes());
    totals.zero_pages = zero.map(|run| run.pages).sum();
    Ok(totals)
}
