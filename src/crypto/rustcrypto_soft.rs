//! `aes-gcm` 0.9 with `force-soft`: portable constant-time software, fixsliced AES and a
//! multiplication-based GHASH.
//!
//! This release is the one way to have software and hardware of the same family in one build: in
//! later ones the choice is a flag for the whole compilation. It can't wipe its key schedule (its
//! `zeroize` feature asks for a release that nothing else here can use), so [`Locked`] does.

use aes_gcm_soft::aead::{AeadInPlace, NewAead};
use aes_gcm_soft::{Aes256Gcm, Nonce, Tag};

use super::cipher::{
    Algorithm, Cipher, Engaged, IV_LEN, Implementation, KEY_LEN, Refused, SealError, TAG_LEN,
};
use super::locked::Locked;
use crate::error::Result;
use crate::machine::versions;
use crate::memory::{Segment, gather};

pub(super) const IMPLEMENTATION: Implementation = Implementation {
    version: || {
        let version = versions::of_generation("aes-gcm", "0.9.");
        format!("aes-gcm {version} force-soft")
    },
    engaged: || Engaged {
        implementation: "fixsliced AES, then multiplication GHASH",
        features: Vec::new(),
    },
    algorithm: Some(Algorithm::Aes256Gcm),
    cipher: |key| Ok(Box::new(Soft::new(key)?)),
};

/// The cipher is plain data in locked memory: it owns no heap memory, so overwriting its bytes
/// wipes all of it, and it has no destructor that could still read them. The first is a property
/// of fixed-size arrays of round keys and field elements; the second is checked here.
struct Soft(Locked<Aes256Gcm>);

const _: () = assert!(!std::mem::needs_drop::<Aes256Gcm>());

impl Soft {
    fn new(key: &[u8; KEY_LEN]) -> Result<Self> {
        Locked::new_with(|| Aes256Gcm::new(key.into())).map(Soft)
    }
}

impl Cipher for Soft {
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
        let made = self
            .0
            .encrypt_in_place_detached(&Nonce::from(*iv), aad, text)
            .map_err(|_| SealError::Library("aes-gcm 0.9"))?;
        tag.copy_from_slice(&made);
        Ok(())
    }

    fn open(&mut self, iv: &[u8; IV_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<(), Refused> {
        let (text, tag) = buffer.split_last_chunk_mut::<TAG_LEN>().ok_or(Refused)?;
        self.0
            .decrypt_in_place_detached(&Nonce::from(*iv), aad, text, &Tag::from(*tag))
            .map_err(|_| Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_schedule_is_wiped() {
        super::super::conformance::assert_wiped(Soft::new(&[0x5A; KEY_LEN]).unwrap().0, 200);
    }
}
