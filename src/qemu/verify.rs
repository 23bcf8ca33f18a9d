//! Whether both sides' guest memories are the same.

use super::guest::layout::Layout;
use super::memory::ProcessMemory;
use crate::error::Result;
use crate::results::Verified;
use crate::units::PAGE_SIZE;

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
    let mut equal = true;
    let len = pages * PAGE_SIZE as u64;
    for at in (0..len).step_by(PIECE) {
        let count = (PIECE as u64).min(len - at) as usize;
        for ((memory, piece), hasher) in [source, destination]
            .into_iter()
            .zip(&mut pieces)
            .zip(&mut hashers)
        {
            memory.read(layout.offset(0) + at, &mut piece[..count])?;
            hasher.update_rayon(&piece[..count]);
        }
        equal &= pieces[0][..count] == pieces[1][..count];
    }
    let [source_hash, destination_hash] = hashers.map(|h| h.finalize().to_hex().to_string());
    Ok(Verified {
        equal,
        source_hash,
        destination_hash,
    })
}
