//! Sealing and opening records, over every library that migtax compares.
//!
//! A record is one message of AES-256-GCM, or what else an arm seals with: a head and pages of guest
//! memory. A [`Sealer`] or [`Opener`] belongs to one thread, takes the pair of key and IV for each record
//! from a slot of a [`sequence`], and holds the cipher of its current epoch.
//!
//! # Pages that change while they are sealed
//!
//! vCPUs run on while their memory is sealed, so a page may change under the cipher. The record
//! is consistent all the same: every path either copies guest memory once and ciphers the copy (which
//! all but aws-lc's AES-GCM do), or reads each byte once, writes its ciphertext to the private output
//! and runs GHASH over that output (GCM authenticates the ciphertext). The record then opens to some mixture of the page's
//! old and new content. The mixture does no harm: the write that made it has marked the page
//! dirty after the harvest, so a later round sends it again. `tests/crypto/race.rs` hammers pages
//! while they are sealed and opens every record.
//!
//! No Rust reference ever points at guest memory: it is handed over as [`Segment`](crate::memory::Segment)s and read by
//! code that the compiler does not see into.

mod aws_lc;
mod backend;
mod cipher;
mod context;
mod ending;
mod guard;
pub mod key;
mod known_answer;
mod locked;
mod null;
mod rustcrypto;
mod rustcrypto_soft;
pub mod sequence;

#[cfg(test)]
mod conformance;

pub use backend::{implementation, library_versions, supported};
pub use cipher::{
    AuthError, Engaged, IV_LEN, Implementation, KEY_LEN, MAX_RECORD_LEN, Placing, SealError,
    TAG_LEN,
};
pub use context::{Opener, Sealer};
pub use ending::end_wiped;
pub use key::{MigrationSecret, TlsKey};
pub use known_answer::known_answer_test;
pub use locked::{check_guarded, guard_stack, keys_are_locked, scrub_stack};
pub(crate) use locked::{give_back, lend};
pub use sequence::{
    FlowDirection, KeyLimits, OpenSequence, OpenSlot, SealSequence, SealSlot, SequenceError,
};
