//! The one-time secret of a migration: where it lives, how it is handed over, what is derived.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use super::cipher::KEY_LEN;
use super::locked::{Locked, scrub_stack};
use crate::error::{Error, Result};

/// What the derived keys are for; changes with the wire format.
const LABEL: &[u8] = b"migtax epoch key 1";
/// What the key shared before a TLS handshake is for.
const TLS_LABEL: &[u8] = b"migtax tls key 1";

/// Bytes of the line that [`MigrationSecret::from_hex_line`] reads, its end included.
pub const HEX_LINE_LEN: usize = HEX_LINE + 1;
/// Characters of the line in which a secret is handed over: key, space, nonce.
const HEX_LINE: usize = 2 * KEY_LEN + 1 + 16;

/// The 256-bit key and 64-bit nonce of one migration.
///
/// It lies in memory that is locked, left out of core dumps and emptied in forked children where
/// the kernel allows, and is wiped on drop. It is not `Clone`: threads share it in an `Arc`, and
/// the last one wipes it. It has no `Debug` and is never formatted.
pub struct MigrationSecret {
    memory: Locked<Bytes>,
    /// Streams (with their direction bit) that somebody seals with this secret.
    sealing: Mutex<BTreeSet<u32>>,
}

struct Bytes {
    key: [u8; KEY_LEN],
    nonce: u64,
}

/// The key that both sides of a TLS handshake have, in memory as that of a [`MigrationSecret`].
pub struct TlsKey(Locked<[u8; KEY_LEN]>);

impl TlsKey {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &*self.0
    }
}

impl MigrationSecret {
    /// A new secret from the operating system's generator.
    ///
    /// # Errors
    /// If the generator or memory is not to be had.
    pub fn generate() -> Result<Self> {
        let mut secret = Self::empty()?;
        let mut nonce = [0; 8];
        getrandom::fill(&mut secret.memory.key)
            .and_then(|()| getrandom::fill(&mut nonce))
            .map_err(|e| Error::CannotRun(format!("no key from the system's generator: {e}")))?;
        secret.memory.nonce = u64::from_be_bytes(nonce);
        Ok(secret)
    }

    /// Reads `<64 hex digits> <16 hex digits>`, with or without a line end, and wipes the text,
    /// also when it is refused.
    ///
    /// # Errors
    /// If the line has another form; the text of the error holds nothing of it.
    pub fn from_hex_line(line: &mut [u8]) -> Result<Self> {
        let secret = Self::decode(line);
        line.zeroize();
        secret
    }

    fn decode(line: &[u8]) -> Result<Self> {
        let refused = || {
            Error::invalid(
                "key line",
                "(not shown)",
                "64 hexadecimal digits, a space, 16 hexadecimal digits",
            )
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() != HEX_LINE || line[2 * KEY_LEN] != b' ' {
            return Err(refused());
        }
        let mut secret = Self::empty()?;
        let mut nonce = [0; 8];
        let ok = decode_hex(&line[..2 * KEY_LEN], &mut secret.memory.key)
            && decode_hex(&line[2 * KEY_LEN + 1..], &mut nonce);
        secret.memory.nonce = u64::from_be_bytes(nonce);
        if ok { Ok(secret) } else { Err(refused()) }
    }

    /// Writes the line that [`from_hex_line`](Self::from_hex_line) reads, with a line end, in one
    /// write, and wipes its scratch. `to` must not keep a copy: no buffered writer.
    ///
    /// # Errors
    /// What the write says.
    pub fn write_hex_line(&self, to: &mut impl Write) -> std::io::Result<()> {
        let mut line = [b' '; HEX_LINE + 1];
        encode_hex(&self.memory.key, &mut line[..2 * KEY_LEN]);
        encode_hex(
            &self.memory.nonce.to_be_bytes(),
            &mut line[2 * KEY_LEN + 1..HEX_LINE],
        );
        line[HEX_LINE] = b'\n';
        let written = to.write_all(&line);
        line.zeroize();
        written
    }

    /// The nonce that, with the sequence number, makes the IVs. It is not secret by itself.
    pub fn nonce(&self) -> u64 {
        self.memory.nonce
    }

    /// The key of an epoch: HKDF-SHA256 (RFC 5869) of the migration key, no salt, with a label
    /// and the epoch as big-endian 32 bits as its info.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn epoch_key(&self, epoch: u32) -> Result<Locked<[u8; KEY_LEN]>> {
        self.derived(&[LABEL, &epoch.to_be_bytes()])
    }

    /// The key that both sides of a TLS handshake have: derived as the keys of epochs, with another
    /// label and without an epoch.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn tls_key(&self) -> Result<TlsKey> {
        self.derived(&[TLS_LABEL]).map(TlsKey)
    }

    fn derived(&self, info: &[&[u8]]) -> Result<Locked<[u8; KEY_LEN]>> {
        let mut key = Locked::new_with(|| [0; KEY_LEN])?;
        derive(&self.memory.key, info, &mut key);
        scrub_stack();
        Ok(key)
    }

    /// Claims a stream and direction for sealing; false if it was claimed before.
    pub(crate) fn claim_sealing(&self, stream_id: u32) -> bool {
        self.sealing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(stream_id)
    }

    fn empty() -> Result<Self> {
        Ok(MigrationSecret {
            memory: Locked::new_with(|| Bytes {
                key: [0; KEY_LEN],
                nonce: 0,
            })?,
            sealing: Mutex::default(),
        })
    }
}

/// In a frame of its own, so that the caller can scrub what the hash leaves on the stack. The hash
/// states themselves are wiped by sha2's `zeroize` feature.
#[inline(never)]
fn derive(key: &[u8; KEY_LEN], info: &[&[u8]], out: &mut [u8; KEY_LEN]) {
    let (mut prk, hkdf) = Hkdf::<Sha256>::extract(None, key);
    prk.as_mut_slice().zeroize();
    hkdf.expand_multi_info(info, out)
        .expect("32 bytes are within what HKDF-SHA256 gives (8160)");
}

fn decode_hex(text: &[u8], out: &mut [u8]) -> bool {
    let digit = |c: u8| (c as char).to_digit(16);
    text.len() == 2 * out.len()
        && text.chunks_exact(2).zip(out).all(|(pair, byte)| {
            match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => {
                    *byte = (high << 4 | low) as u8;
                    true
                }
                _ => false,
            }
        })
}

fn encode_hex(bytes: &[u8], out: &mut [u8]) {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("four bits") as u8;
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl MigrationSecret {
        /// A secret with a known key, for comparison with other implementations.
        pub(crate) fn from_parts(key: [u8; KEY_LEN], nonce: u64) -> Self {
            let mut secret = Self::empty().unwrap();
            secret.memory.key = key;
            secret.memory.nonce = nonce;
            secret
        }
    }

    #[test]
    fn a_secret_survives_its_line_and_the_text_is_wiped() {
        let secret = MigrationSecret::generate().unwrap();
        let mut line = Vec::new();
        secret.write_hex_line(&mut line).unwrap();
        assert_eq!(line.len(), HEX_LINE + 1);
        let read = MigrationSecret::from_hex_line(&mut line).unwrap();
        assert!(line.iter().all(|byte| *byte == 0));
        assert_eq!(read.memory.key, secret.memory.key);
        assert_eq!(read.nonce(), secret.nonce());
        assert_ne!(
            MigrationSecret::generate().unwrap().memory.key,
            secret.memory.key
        );
    }

    #[test]
    fn bad_lines_are_refused_without_a_word_of_them_and_wiped() {
        let good = format!("{} {}", "0f".repeat(32), "A1".repeat(8));
        assert!(MigrationSecret::from_hex_line(&mut good.clone().into_bytes()).is_ok());
        for bad in [
            String::new(),
            good[1..].to_owned(),
            good.replace(' ', "0"),
            good.replace('f', "g"),
            good.replace("A1A1", "A1é"),
            format!("{good} "),
            format!("{good}\r\n"),
        ] {
            let mut line = bad.clone().into_bytes();
            let error = MigrationSecret::from_hex_line(&mut line).err().unwrap();
            assert!(line.iter().all(|byte| *byte == 0), "{bad}");
            assert!(!error.to_string().contains("0f0"), "{error}");
        }
    }

    /// RFC 5869, appendix A.3: the test case without salt and info, as this module uses HKDF.
    #[test]
    fn hkdf_is_that_of_rfc_5869() {
        let mut okm = [0; 42];
        Hkdf::<Sha256>::new(None, &[0x0b; 22])
            .expand_multi_info(&[], &mut okm)
            .unwrap();
        let mut expected = [0; 42];
        assert!(decode_hex(
            b"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            &mut expected
        ));
        assert_eq!(okm, expected);
    }

    #[test]
    fn epoch_keys_are_those_of_another_hkdf_and_differ() {
        let secret = MigrationSecret::from_parts([7; KEY_LEN], 0);
        let salt = aws_lc_rs::hkdf::Salt::new(aws_lc_rs::hkdf::HKDF_SHA256, &[]);
        let prk = salt.extract(&[7; KEY_LEN]);
        let mut seen = BTreeSet::new();
        for epoch in [0, 1, 2, 256, u32::MAX] {
            let mut expected = [0; KEY_LEN];
            prk.expand(&[LABEL, &epoch.to_be_bytes()], aws_lc_rs::hkdf::HKDF_SHA256)
                .unwrap()
                .fill(&mut expected)
                .unwrap();
            assert_eq!(*secret.epoch_key(epoch).unwrap(), expected, "{epoch}");
            assert!(seen.insert(expected), "{epoch}");
        }
    }
}
