//! Sealing and opening records, over every library that migtax compares.
//!
//! A record is one AES-256-GCM message: a head and pages of guest memory. A
//! [`Sealer`] or [`Opener`] belongs to one thread, takes the pair of key and IV for each record
//! from a slot of a [`sequence`], and holds the cipher of its current epoch.
//!
//! # Pages that change while they are sealed
//!
//! vCPUs run on while their memory is sealed, so a page may change under the cipher. The record
//! is consistent all the same: every path either copies guest memory once and ciphers the copy,
//! or reads each byte once, writes its ciphertext to the private output and runs GHASH over that
//! output (GCM authenticates the ciphertext). The record then opens to some mixture of the page's
//! old and new content. The mixture does no harm: the write that made it has marked the page
//! dirty after the harvest, so a later round sends it again. `tests/crypto/race.rs` hammers pages
//! while they are sealed and opens every record.
//!
//! No Rust reference ever points at guest memory: it is handed over as [`Segment`]s and read by
//! code that the compiler does not see into.

pub mod key;
pub mod sequence;

mod aws_lc;
mod guard;
mod identity;
mod known_answer;
mod locked;
mod null;
mod rustcrypto;
mod rustcrypto_soft;

use std::sync::Arc;

use crate::arm::Backend;
use crate::error::{Error, Result};
use crate::memory::Segment;

pub use identity::{
    backend_version, engaged_features, engaged_implementation, library_versions, supported,
};
pub use key::MigrationSecret;
pub use known_answer::known_answer_test;
pub use locked::{guard_stack, keys_are_locked, scrub_stack};
pub use sequence::{
    FlowDirection, KeyLimits, OpenSequence, OpenSlot, SealSequence, SealSlot, SequenceError,
};

use guard::ReuseGuard;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of an IV.
pub const IV_LEN: usize = 12;
/// Bytes of an authentication tag.
pub const TAG_LEN: usize = 16;
/// Bytes of the longest record: what aws-lc's C interface can express in one call (an `int`),
/// and far above the 16 MiB that scenarios allow. AES-GCM itself allows 2^36 - 32.
pub const MAX_RECORD_LEN: usize = i32::MAX as usize - TAG_LEN;

/// Why a record could not be sealed. All of these are faults of the program, not of the peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The output can't hold the record.
    #[error("a sealed record of {need} bytes does not fit an output of {have}")]
    OutputTooSmall {
        /// Bytes of the sealed record.
        need: usize,
        /// Bytes of the output.
        have: usize,
    },
    /// The record is longer than [`MAX_RECORD_LEN`].
    #[error("a record of {0} bytes is longer than {MAX_RECORD_LEN}")]
    TooLong(usize),
    /// The guard against reuse of a pair of key and IV fired.
    #[error("refused to seal with a key and IV that may have been used: {0}")]
    Reused(String),
    /// The library refused; it does so only when it runs out of memory or is misused.
    #[error("{0} failed")]
    Library(&'static str),
    /// The epoch's key could not be set up.
    #[error("{0}")]
    KeySetup(String),
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Error::CannotRun(error.to_string())
    }
}

impl From<SequenceError> for Error {
    fn from(error: SequenceError) -> Self {
        Error::CannotRun(error.to_string())
    }
}

/// A record that did not authenticate: damaged, forged, replayed or out of place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} did not authenticate")]
pub struct AuthError {
    place: String,
}

/// The library could not say whether or not a record is authentic, or said that it isn't; the
/// caller gets an [`AuthError`] that names the record.
struct Refused;

/// One cipher with one key. What a library must offer to be compared.
trait Cipher: Send {
    /// Writes the ciphertext of `head` and `pages` and then the tag to `out`, which has exactly
    /// their length.
    fn seal(
        &mut self,
        iv: &[u8; IV_LEN],
        aad: &[u8],
        head: &[u8],
        pages: &[Segment],
        out: &mut [u8],
    ) -> Result<(), SealError>;

    /// Opens `buffer`, ciphertext and tag, in place. On refusal the buffer may hold anything.
    fn open(&mut self, iv: &[u8; IV_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<(), Refused>;
}

/// Bytes that a sealed record is longer than its plaintext.
pub fn tag_len(backend: Backend) -> usize {
    match backend {
        Backend::None | Backend::Null => 0,
        Backend::RustcryptoSoft | Backend::Rustcrypto | Backend::AwsLc => TAG_LEN,
    }
}

/// A backend's cipher with a key. The null cipher ignores it.
fn cipher(backend: Backend, key: &[u8; KEY_LEN]) -> Result<Box<dyn Cipher>> {
    Ok(match backend {
        Backend::None => {
            return Err(Error::CannotRun(
                "the plain data path has no cipher".to_owned(),
            ));
        }
        Backend::Null => Box::new(null::Null),
        Backend::RustcryptoSoft => Box::new(rustcrypto_soft::Soft::new(key)?),
        Backend::Rustcrypto => Box::new(rustcrypto::Rustcrypto::new(key)?),
        Backend::AwsLc => Box::new(aws_lc::AwsLc::new(key)?),
    })
}

/// The cipher of the epoch that a context is in.
struct EpochCipher {
    backend: Backend,
    secret: Arc<MigrationSecret>,
    epoch: u32,
    cipher: Box<dyn Cipher>,
}

impl EpochCipher {
    fn new(backend: Backend, secret: Arc<MigrationSecret>) -> Result<Self> {
        let cipher = Self::keyed(backend, &secret, 0)?;
        Ok(EpochCipher {
            backend,
            secret,
            epoch: 0,
            cipher,
        })
    }

    fn keyed(backend: Backend, secret: &MigrationSecret, epoch: u32) -> Result<Box<dyn Cipher>> {
        let cipher = match backend {
            // No key is derived where none is used.
            Backend::None | Backend::Null => cipher(backend, &[0; KEY_LEN]),
            _ => {
                let key = secret.epoch_key(epoch)?;
                cipher(backend, &key)
            }
        };
        locked::scrub_stack();
        cipher
    }

    fn at(&mut self, epoch: u32) -> Result<&mut dyn Cipher> {
        if epoch != self.epoch {
            self.cipher = Self::keyed(self.backend, &self.secret, epoch)?;
            self.epoch = epoch;
        }
        Ok(&mut *self.cipher)
    }
}

/// Seals records, on one thread.
///
/// Its key schedules are wiped on drop. Drop it on the thread that used it: the stack that the
/// ciphers used is scrubbed then too.
pub struct Sealer {
    cipher: EpochCipher,
    guard: ReuseGuard,
}

impl Sealer {
    /// A sealer in epoch 0.
    ///
    /// # Errors
    /// For [`Backend::None`], which has no cipher, and if there is no memory for the key.
    pub fn new(backend: Backend, secret: Arc<MigrationSecret>) -> Result<Self> {
        Ok(Sealer {
            cipher: EpochCipher::new(backend, secret)?,
            guard: ReuseGuard::default(),
        })
    }

    /// Seals `head` and then `pages` as one record: writes their ciphertext and the tag to the
    /// start of `out` and returns the bytes written, `head.len()`, the pages' lengths and
    /// [`tag_len`](Self::tag_len). `aad` is authenticated and not written.
    ///
    /// A head of a multiple of 16 bytes keeps the pages on the cipher's block boundaries, which
    /// is faster.
    ///
    /// # Errors
    /// If `out` is too small, the record too long, the slot not after the last one of its stream
    /// and direction, or there is no memory for the next epoch's key. Nothing that `out` holds
    /// may be sent then.
    pub fn seal(
        &mut self,
        slot: SealSlot,
        aad: &[u8],
        head: &[u8],
        pages: &[Segment],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let plaintext = pages
            .iter()
            .try_fold(head.len(), |sum, page| sum.checked_add(page.len()))
            .filter(|length| *length <= MAX_RECORD_LEN)
            .ok_or_else(|| {
                SealError::TooLong(
                    pages
                        .iter()
                        .map(Segment::len)
                        .fold(head.len(), usize::saturating_add),
                )
            })?;
        let need = plaintext + self.tag_len();
        let have = out.len();
        let out = out
            .get_mut(..need)
            .ok_or(SealError::OutputTooSmall { need, have })?;
        self.guard.check(&slot.0)?;
        self.cipher
            .at(slot.epoch())
            .map_err(|e| SealError::KeySetup(e.to_string()))?
            .seal(&slot.iv(), aad, head, pages, out)?;
        Ok(need)
    }

    /// Bytes that a sealed record is longer than its plaintext: [`TAG_LEN`], or 0 for the null
    /// cipher.
    pub fn tag_len(&self) -> usize {
        tag_len(self.cipher.backend)
    }
}

/// Opens records, on one thread. Wiped on drop like a [`Sealer`].
pub struct Opener {
    cipher: EpochCipher,
}

impl Opener {
    /// An opener in epoch 0.
    ///
    /// # Errors
    /// As [`Sealer::new`].
    pub fn new(backend: Backend, secret: Arc<MigrationSecret>) -> Result<Self> {
        Ok(Opener {
            cipher: EpochCipher::new(backend, secret)?,
        })
    }

    /// Opens a record, ciphertext and tag, in a private buffer: on success its first bytes are
    /// the plaintext, whose length is returned.
    ///
    /// # Errors
    /// If the record is not the one that was sealed with this slot and `aad`. The buffer is then
    /// zeroed. The same error, since nothing was authenticated, if there is no memory for the
    /// next epoch's key.
    pub fn open_in_place(
        &mut self,
        slot: OpenSlot,
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize, AuthError> {
        let length = buffer.len().checked_sub(self.tag_len());
        let opened = match (length, self.cipher.at(slot.epoch())) {
            (Some(length), Ok(cipher)) if length <= MAX_RECORD_LEN => {
                cipher.open(&slot.iv(), aad, buffer).map(|()| length)
            }
            _ => Err(Refused),
        };
        opened.map_err(|Refused| {
            buffer.fill(0);
            AuthError {
                place: slot.0.to_string(),
            }
        })
    }

    /// As [`Sealer::tag_len`].
    pub fn tag_len(&self) -> usize {
        tag_len(self.cipher.backend)
    }
}

impl Drop for EpochCipher {
    fn drop(&mut self) {
        // The cipher wipes itself when it is dropped after this; what it left on the stack while
        // it was used lies below this frame.
        locked::scrub_stack();
    }
}

#[cfg(test)]
mod conformance;
