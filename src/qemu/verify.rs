//! Whether guest memories are what they should be: the other side's, or what the stream makes of them.

use super::guest::layout::Layout;
use super::memory::ProcessMemory;
use crate::error::Result;
use crate::guest::{content, write};
use crate::machine::{RESERVE_BYTES, available_memory};
use crate::memory::GuestMemory;
use crate::results::Verified;
use crate::scenario::Scenario;
use crate::units::PAGE_SIZE;
use crate::workload::MergedStream;

/// Bytes of each side that are compared at a time.
const PIECE: usize = 32 << 20;

/// Compares `pages` pages of guest memory byte by byte, and hashes them. Both guests must be stopped.
///
/// # Errors
/// If a memory can't be read.
pub fn compare(
    source: &ProcessMemory,
    destination: &ProcessMemory,
    layout: Layout,
    pages: u64,
) -> Result<Verified> {
    let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
    let mut hashers = [blake3::Hasher::new(), blake3::Hasher::new()];
    // As long as all bytes are equal, one hash is that of both.
    let mut equal = true;
    let len = pages * PAGE_SIZE as u64;
    for at in (0..len).step_by(PIECE) {
        let count = (PIECE as u64).min(len - at) as usize;
        for (memory, piece) in [source, destination].into_iter().zip(&mut pieces) {
            memory.read(layout.offset(0) + at, &mut piece[..count])?;
        }
        let [here, there] = [0, 1].map(|side| &pieces[side][..count]);
        if equal && here != there {
            equal = false;
            hashers[1] = hashers[0].clone();
        }
        hashers[0].update_rayon(here);
        if !equal {
            hashers[1].update_rayon(there);
        }
    }
    if equal {
        hashers[1] = hashers[0].clone();
    }
    let [source_hash, destination_hash] = hashers.map(|h| h.finalize().to_hex().to_string());
    Ok(Verified {
        equal,
        source_hash,
        destination_hash,
    })
}

/// Whether the memory of a stopped guest is its first content with the first `executed` writes of its
/// stream, and no others. None if there is no room for a second guest.
///
/// # Errors
/// If a memory can't be read or made.
pub fn writes_verified(
    memory: &ProcessMemory,
    layout: Layout,
    scenario: &Scenario,
    mut stream: MergedStream,
    executed: u64,
) -> Result<Option<bool>> {
    let size = scenario.guest.memory;
    if available_memory()? < size.0.saturating_add(RESERVE_BYTES) {
        return Ok(None);
    }
    let again = GuestMemory::new(size, false)?;
    content::fill(&again, &scenario.guest.content, scenario.guest.seed);
    for _ in 0..executed {
        match stream.next_until(u64::MAX) {
            Some((_, page_write)) => write::execute(&again, &page_write, scenario.workload.write),
            // It counts more writes than its stream has.
            None => return Ok(Some(false)),
        }
    }
    let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
    let [there, here] = &mut pieces;
    let pages = (PIECE / PAGE_SIZE) as u64;
    for first in (0..again.pages()).step_by(pages as usize) {
        let count = pages.min(again.pages() - first) as usize * PAGE_SIZE;
        memory.read(layout.offset(first), &mut there[..count])?;
        again.copy_out(first, &mut here[..count]);
        if there[..count] != here[..count] {
            return Ok(Some(false));
        }
    }
    Ok(Some(true))
}
