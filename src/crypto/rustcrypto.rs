//! `aes-gcm` 0.11: the instructions it finds, CTR and GHASH as separate passes.
//!
//! Its interface takes references, which may not point at guest memory: pages are copied to the
//! record buffer and sealed in place there. The copy is part of this library's cost.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};

use crate::crypto::locked::Locked;
use crate::crypto::{Cipher, IV_LEN, KEY_LEN, Refused, SealError, TAG_LEN};
use crate::error::Result;
use crate::memory::{Segment, gather};

/// The library's `zeroize` feature wipes the schedules when the cipher is dropped; the memory it
/// lies in is wiped as well.
pub(super) struct Rustcrypto(Locked<Aes256Gcm>);

impl Rustcrypto {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Result<Self> {
        Locked::new_with(|| Aes256Gcm::new(key.into())).map(Rustcrypto)
    }
}

impl Cipher for Rustcrypto {
    fn seal(
        &mut self,
        iv: &[u8; IV_LEN],
        aad: &[u8],
        head: &[u8],
        pages: &[Segment],
        out: &mut [u8],
    ) -> Result<(), SealError> {
        let (text, tag) = out.split_at_mut(out.len() - TAG_LEN);
        gather(head, pages, text);
        let made: Tag = self
            .0
            .encrypt_inout_detached(&Nonce::from(*iv), aad, InOutBuf::from(text))
            .map_err(|_| SealError::Library("aes-gcm 0.11"))?;
        tag.copy_from_slice(&made);
        Ok(())
    }

    fn open(&mut self, iv: &[u8; IV_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<(), Refused> {
        let (text, tag) = buffer.split_last_chunk_mut::<TAG_LEN>().ok_or(Refused)?;
        self.0
            .decrypt_inout_detached(
                &Nonce::from(*iv),
                aad,
                InOutBuf::from(text),
                &Tag::from(*tag),
            )
            .map_err(|_| Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_schedule_is_wiped() {
        super::super::conformance::assert_wiped(Rustcrypto::new(&[0x5A; KEY_LEN]).unwrap().0);
    }
}
