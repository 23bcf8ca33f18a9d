//! Sealing and opening through the public interface.

mod child;
mod live;
mod masks;
mod needles;
mod panics;
mod race;
mod records;
mod wipe;

use std::sync::Arc;

use migtax::arm::Backend;
use migtax::crypto::{FlowDirection, KeyLimits, MigrationSecret, OpenSequence, SealSequence};
use migtax::memory::Segment;
use strum::IntoEnumIterator;

/// Every backend that makes records, the null cipher first.
fn backends() -> impl Iterator<Item = Backend> {
    Backend::iter().filter(|backend| *backend != Backend::None)
}

/// The same secret twice, as the two sides have it.
fn both_sides() -> [Arc<MigrationSecret>; 2] {
    let secret = MigrationSecret::generate().unwrap();
    let mut line = Vec::new();
    secret.write_hex_line(&mut line).unwrap();
    [secret, MigrationSecret::from_hex_line(&mut line).unwrap()].map(Arc::new)
}

fn sequences(
    secrets: &[Arc<MigrationSecret>; 2],
    limits: KeyLimits,
) -> (SealSequence, OpenSequence) {
    (
        SealSequence::new(&secrets[0], 0, FlowDirection::ToDestination, limits).unwrap(),
        OpenSequence::new(&secrets[1], 0, FlowDirection::ToDestination, limits),
    )
}

/// Whether this process, and so what it starts, may lock the memory that keys take; says so if not.
fn can_lock_keys() -> bool {
    migtax::crypto::guard_stack();
    let can = migtax::crypto::keys_are_locked();
    if !can {
        eprintln!("skipped: this needs 8 MiB of locked memory (ulimit -l)");
    }
    can
}

/// A segment of memory that nobody writes while it is used.
fn quiet(memory: &[u8]) -> Segment {
    // SAFETY: the tests keep `memory` for longer than the segment and write it only in between.
    unsafe { Segment::new(memory.as_ptr(), memory.len()) }
}
