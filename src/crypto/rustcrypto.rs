//! `aes-gcm` 0.11: the instructions it finds, CTR and GHASH as separate passes.
//!
//! Its interface takes references, which may not point at guest memory: pages are copied to the
//! record buffer and sealed in place there. The copy is part of this library's cost.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};

use super::cipher::{
    Algorithm, Cipher, Engaged, IV_LEN, Implementation, KEY_LEN, Refused, SealError, TAG_LEN,
};
use super::locked::Locked;
use crate::error::Result;
use crate::machine::versions;
use crate::memory::{Segment, gather};

pub(super) const IMPLEMENTATION: Implementation = Implementation {
    version: || format!("aes-gcm {}", versions::of_generation("aes-gcm", "0.11.")),
    engaged,
    algorithm: Some(Algorithm::Aes256Gcm),
    cipher: |key| Ok(Box::new(Rustcrypto::new(key)?)),
};

/// The library's `zeroize` feature wipes the schedules when the cipher is dropped; the memory it
/// lies in is wiped as well.
struct Rustcrypto(Locked<Aes256Gcm>);

impl Rustcrypto {
    fn new(key: &[u8; KEY_LEN]) -> Result<Self> {
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

/// The checks of `aes` 0.9 (its `backends`) and `polyval` 0.7 (its intrinsics), by the same
/// macros of `cpufeatures` and in the same order. That crate asks for 512-bit registers before it
/// reports VAES, so a CPU with VAES and no AVX-512 runs AES-NI here.
#[cfg(target_arch = "x86_64")]
fn engaged() -> Engaged {
    cpufeatures::new!(vaes512, "avx512f", "vaes");
    cpufeatures::new!(vaes256, "vaes");
    cpufeatures::new!(clmul, "avx", "pclmulqdq");
    let hash: &[&str] = if cfg!(polyval_backend = "soft") || !clmul::get() {
        &[]
    } else {
        &["pclmulqdq", "avx"]
    };
    let (implementation, aes): (_, &[&str]) = if !aes::hardware_accelerated() {
        ("fixsliced AES, then GHASH", &[])
    } else if vaes512::get() {
        (
            "VAES-512 CTR, then CLMUL GHASH",
            &["aes", "vaes", "avx512f"],
        )
    } else if vaes256::get() {
        ("VAES-256 CTR, then CLMUL GHASH", &["aes", "vaes"])
    } else {
        ("AES-NI CTR, then CLMUL GHASH", &["aes"])
    };
    Engaged {
        implementation,
        features: [aes, hash].concat(),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn engaged() -> Engaged {
    Engaged {
        implementation: "CTR, then GHASH",
        features: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_schedule_is_wiped() {
        super::super::conformance::assert_wiped(Rustcrypto::new(&[0x5A; KEY_LEN]).unwrap().0, 200);
    }
}
