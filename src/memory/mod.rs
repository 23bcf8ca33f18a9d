//! Guest memory: the mapping, stretches and runs of its pages, and access to them that is sound
//! while vCPUs write.
//!
//! Guest memory is written by vCPU threads while the migration reads it. So no Rust reference to
//! plain bytes ever points into it: it is reached through raw pointers, atomic accesses, system
//! calls and the few primitives of [`raw`]. A [`Segment`] names a stretch by address, for what
//! seals or sends it; a [`PageRun`] names pages by number.

mod backing;
mod hash;
mod mapping;
mod placed;
pub mod raw;
mod runs;
mod segment;

pub use backing::{Footprint, Pages, Presence};
pub use mapping::GuestMemory;
pub use placed::Placed;
pub use runs::{PageRun, RunBuilder, normalize};
pub use segment::Segment;
pub(crate) use segment::{gather, scatter};

/// An empty buffer whose memory is faulted in: a page fault in the downtime would count.
pub fn touched(capacity: usize) -> Vec<u8> {
    let mut buffer = vec![0xff; capacity];
    buffer.clear();
    buffer
}
