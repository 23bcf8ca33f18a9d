//! Contexts that seal and open records, each on one thread, from epoch to epoch.

use std::sync::Arc;

use super::backend::implementation;
use super::cipher::{
    AuthError, Cipher, IV_LEN, KEY_LEN, MAX_RECORD_LEN, Placing, Refused, SealError,
};
use super::guard::ReuseGuard;
use super::key::MigrationSecret;
use super::locked::scrub_stack;
use super::sequence::{OpenSlot, SealSlot};
use crate::arm::Backend;
use crate::error::Result;
use crate::memory::Segment;

/// The cipher of the epoch that a context is in.
struct EpochCipher {
    backend: Backend,
    /// Of the backend, at hand for every record.
    tag_len: usize,
    secret: Arc<MigrationSecret>,
    epoch: u32,
    cipher: Box<dyn Cipher>,
}

impl EpochCipher {
    fn new(backend: Backend, secret: Arc<MigrationSecret>) -> Result<Self> {
        let cipher = Self::keyed(backend, &secret, 0)?;
        Ok(EpochCipher {
            backend,
            tag_len: implementation(backend).tag_len(),
            secret,
            epoch: 0,
            cipher,
        })
    }

    fn keyed(backend: Backend, secret: &MigrationSecret, epoch: u32) -> Result<Box<dyn Cipher>> {
        let make = implementation(backend).cipher;
        let cipher = if backend.has_cipher() {
            make(&*secret.epoch_key(epoch)?)
        } else {
            // No key is derived where none is used.
            make(&[0; KEY_LEN])
        };
        scrub_stack();
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

    /// Bytes that a sealed record is longer than its plaintext; 0 for the null cipher.
    pub fn tag_len(&self) -> usize {
        self.cipher.tag_len
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
        self.open(&slot, aad, buffer, |cipher, iv, aad, buffer| {
            cipher.open(iv, aad, buffer)
        })
    }

    /// As [`Opener::open_in_place`], but for the content behind the record's head, which goes where `placing`
    /// says: a pass over memory less. Libraries that open a record in one piece only don't ask it, and open in
    /// place.
    ///
    /// # Errors
    /// As [`Opener::open_in_place`]. Where content went may then hold anything.
    ///
    /// # Panics
    /// If what `placing` names is not as long as the content, or the head longer than the record.
    pub fn open_placing(
        &mut self,
        slot: OpenSlot,
        aad: &[u8],
        buffer: &mut [u8],
        placing: &mut Placing,
    ) -> Result<usize, AuthError> {
        self.open(&slot, aad, buffer, |cipher, iv, aad, buffer| {
            cipher.open_placing(iv, aad, buffer, placing)
        })
    }

    fn open(
        &mut self,
        slot: &OpenSlot,
        aad: &[u8],
        buffer: &mut [u8],
        open: impl FnOnce(&mut dyn Cipher, &[u8; IV_LEN], &[u8], &mut [u8]) -> Result<(), Refused>,
    ) -> Result<usize, AuthError> {
        let length = buffer.len().checked_sub(self.tag_len());
        let opened = match (length, self.cipher.at(slot.epoch())) {
            (Some(length), Ok(cipher)) if length <= MAX_RECORD_LEN => {
                open(cipher, &slot.iv(), aad, buffer).map(|()| length)
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
        self.cipher.tag_len
    }
}

impl Drop for EpochCipher {
    fn drop(&mut self) {
        // The cipher wipes itself when it is dropped after this; what it left on the stack while
        // it was used lies below this frame.
        scrub_stack();
    }
}
