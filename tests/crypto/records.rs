//! Records: what is sealed is opened, by every pair of backends, and nothing else is.

use migtax::arm::Backend;
use migtax::crypto::{
    FlowDirection, KeyLimits, OpenSequence, OpenSlot, Opener, SealError, SealSequence, Sealer,
    TAG_LEN,
};

use crate::{backends, both_sides, quiet, sequences};

const AAD: &[u8] = b"preamble";

/// What a backend seals with.
fn algorithm(backend: Backend) -> &'static str {
    match backend {
        Backend::None | Backend::Null => "none",
        Backend::AwsLc128 => "AES-128-GCM",
        Backend::AwsLcChaCha20 => "ChaCha20-Poly1305",
        Backend::RustcryptoSoft | Backend::Rustcrypto | Backend::AwsLc => "AES-256-GCM",
    }
}

#[test]
fn each_backend_opens_what_every_other_of_its_algorithm_sealed_across_epochs() {
    let memory: Vec<u8> = (0..20_000u32).map(|i| ((i * i) >> 7) as u8).collect();
    let pages = [quiet(&memory[..4096]), quiet(&memory[8192..16_384])];
    // Three records of this size fill a stream's share of a key.
    let record = 64 + 4096 + 8192;
    let limits = KeyLimits {
        bytes: 2 * 3 * record as u64 + 1,
        records: 1000,
        streams: 1,
    };
    for from in backends() {
        for to in backends() {
            if algorithm(from) != algorithm(to) {
                continue;
            }
            let secrets = both_sides();
            let (mut seal, mut open) = sequences(&secrets, limits);
            let mut sealer = Sealer::new(from, secrets[0].clone()).unwrap();
            let mut opener = Opener::new(to, secrets[1].clone()).unwrap();
            let mut epochs = Vec::new();
            for number in 0..8u8 {
                let head = [number; 64];
                let mut out = vec![0; record + TAG_LEN];
                let slot = seal.next(record).unwrap();
                epochs.push(slot.epoch());
                let written = sealer.seal(slot, AAD, &head, &pages, &mut out).unwrap();
                assert_eq!(written, record + sealer.tag_len());
                out.truncate(written);
                let text = [&head, &memory[..4096], &memory[8192..16_384]].concat();
                assert_eq!(out[..record] != text, from.has_cipher());
                let opened = opener
                    .open_in_place(open.next(record).unwrap(), AAD, &mut out)
                    .unwrap_or_else(|error| panic!("{from:?} to {to:?}: {error}"));
                assert_eq!(opened, record);
                assert!(out[..record] == text, "{from:?} to {to:?}");
            }
            assert_eq!(epochs, [0, 0, 0, 1, 1, 1, 2, 2]);
        }
    }
}

/// Seals one record, lets `damage` have it and a chance to choose other slots and associated data,
/// and tells whether it opened.
fn opens_after(
    backend: Backend,
    damage: impl FnOnce(&mut Vec<u8>, &mut OpenSlots) -> (OpenSlot, &'static [u8]),
) -> bool {
    let secrets = both_sides();
    let limits = KeyLimits {
        bytes: 1 << 30,
        records: 8,
        streams: 2,
    };
    let (mut seal, _) = sequences(&secrets, limits);
    let mut sealer = Sealer::new(backend, secrets[0].clone()).unwrap();
    let memory = vec![0xC3; 5000];
    let mut out = vec![0; 16 + 5000 + TAG_LEN];
    sealer
        .seal(
            seal.next(5016).unwrap(),
            AAD,
            &[1; 16],
            &[quiet(&memory)],
            &mut out,
        )
        .unwrap();
    let open = |stream, direction| OpenSequence::new(&secrets[1], stream, direction, limits);
    let mut slots = OpenSlots {
        right: open(0, FlowDirection::ToDestination),
        other_stream: open(1, FlowDirection::ToDestination),
        other_direction: open(0, FlowDirection::ToSource),
    };
    let (slot, aad) = damage(&mut out, &mut slots);
    let named = format!("{slot:?}");
    let mut opener = Opener::new(backend, secrets[1].clone()).unwrap();
    match opener.open_in_place(slot, aad, &mut out) {
        Ok(length) => {
            assert_eq!(length, 5016);
            true
        }
        Err(error) => {
            assert!(out.iter().all(|byte| *byte == 0), "the buffer is zeroed");
            assert_eq!(error.to_string(), format!("{named} did not authenticate"));
            false
        }
    }
}

struct OpenSlots {
    right: OpenSequence,
    other_stream: OpenSequence,
    other_direction: OpenSequence,
}

impl OpenSlots {
    fn right(&mut self) -> OpenSlot {
        self.right.next(5016).unwrap()
    }
}

#[test]
fn whatever_is_changed_does_not_open() {
    for backend in backends().filter(|backend| backend.has_cipher()) {
        let refused = |name: &str, opened: bool| assert!(!opened, "{backend:?}: {name}");
        assert!(opens_after(backend, |_, slots| (slots.right(), AAD)));
        for at in [0, 15, 16, 2500, 5015, 5016, 5031] {
            for bit in [1, 0x80] {
                let opened = opens_after(backend, |record, slots| {
                    record[at] ^= bit;
                    (slots.right(), AAD)
                });
                refused(&format!("bit {bit} of byte {at}"), opened);
            }
        }
        for length in [0, 1, 15, 16, 17, 5016, 5031] {
            let opened = opens_after(backend, |record, slots| {
                record.truncate(length);
                (slots.right(), AAD)
            });
            refused(&format!("cut to {length}"), opened);
        }
        refused(
            "lengthened",
            opens_after(backend, |record, slots| {
                record.push(0);
                (slots.right(), AAD)
            }),
        );
        for aad in [&b"preambl"[..], b"preamble\0", b"Preamble", b""] {
            let opened = opens_after(backend, |_, slots| (slots.right(), aad));
            refused(&format!("associated data {aad:?}"), opened);
        }
        refused(
            "replayed as the next",
            opens_after(backend, |_, slots| {
                slots.right();
                (slots.right(), AAD)
            }),
        );
        refused(
            "in the next epoch",
            opens_after(backend, |_, slots| {
                // Two records fill a stream's share: the third has the first's IV, another key.
                slots.right();
                slots.right();
                (slots.right(), AAD)
            }),
        );
        refused(
            "on another stream",
            opens_after(backend, |_, slots| {
                (slots.other_stream.next(5016).unwrap(), AAD)
            }),
        );
        refused(
            "reflected",
            opens_after(backend, |_, slots| {
                (slots.other_direction.next(5016).unwrap(), AAD)
            }),
        );
    }
}

#[test]
fn another_migration_does_not_open_it() {
    for backend in backends().filter(|backend| backend.has_cipher()) {
        let (ours, theirs) = (both_sides(), both_sides());
        let limits = KeyLimits::for_streams(1);
        let (mut seal, _) = sequences(&ours, limits);
        let (_, mut open) = sequences(&theirs, limits);
        let mut out = [0; 16 + TAG_LEN];
        Sealer::new(backend, ours[0].clone())
            .unwrap()
            .seal(seal.next(16).unwrap(), AAD, &[7; 16], &[], &mut out)
            .unwrap();
        Opener::new(backend, theirs[1].clone())
            .unwrap()
            .open_in_place(open.next(16).unwrap(), AAD, &mut out)
            .unwrap_err();
    }
}

#[test]
fn an_output_that_is_too_small_is_refused() {
    for backend in backends() {
        let secrets = both_sides();
        let (mut seal, _) = sequences(&secrets, KeyLimits::for_streams(1));
        let mut sealer = Sealer::new(backend, secrets[0].clone()).unwrap();
        let need = 100 + sealer.tag_len();
        let mut out = vec![0; need - 1];
        let slot = seal.next(100).unwrap();
        let result = sealer.seal(slot, AAD, &[1; 100], &[], &mut out);
        let have = need - 1;
        assert_eq!(result, Err(SealError::OutputTooSmall { need, have }));
        // What is longer than the record stays untouched.
        let mut out = vec![0xEE; need + 3];
        let slot = seal.next(100).unwrap();
        assert_eq!(sealer.seal(slot, AAD, &[1; 100], &[], &mut out), Ok(need));
        assert_eq!(out[need..], [0xEE; 3]);
    }
}

#[test]
fn one_stream_sealed_by_two_workers_opens_in_order() {
    for backend in backends() {
        let secrets = both_sides();
        let limits = KeyLimits {
            bytes: 1 << 30,
            records: 2 * 7,
            streams: 1,
        };
        let (mut seal, mut open) = sequences(&secrets, limits);
        let memory = vec![0x11; 4096];
        let slots: Vec<_> = (0..20).map(|_| seal.next(4096).unwrap()).collect();
        let mut shares = [Vec::new(), Vec::new()];
        for (number, slot) in slots.into_iter().enumerate() {
            shares[number % 2].push((number, slot));
        }
        let mut records: Vec<(usize, Vec<u8>)> = std::thread::scope(|scope| {
            let workers = shares.map(|share| {
                let mut sealer = Sealer::new(backend, secrets[0].clone()).unwrap();
                let memory = &memory;
                scope.spawn(move || {
                    let seal = |(number, slot)| {
                        let mut out = vec![0; 4096 + sealer.tag_len()];
                        sealer
                            .seal(slot, AAD, &[], &[quiet(memory)], &mut out)
                            .unwrap();
                        (number, out)
                    };
                    share.into_iter().map(seal).collect::<Vec<_>>()
                })
            });
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });
        records.sort_by_key(|(number, _)| *number);
        let mut opener = Opener::new(backend, secrets[1].clone()).unwrap();
        for (number, mut record) in records {
            let slot = open.next(4096).unwrap();
            assert_eq!(slot.epoch(), number as u32 / 7);
            opener.open_in_place(slot, AAD, &mut record).unwrap();
            assert!(record[..4096] == memory[..], "{backend:?}");
        }
    }
}

#[test]
fn plain_has_neither_sealer_nor_opener() {
    let [secret, _] = both_sides();
    assert!(Sealer::new(Backend::None, secret.clone()).is_err());
    assert!(Opener::new(Backend::None, secret.clone()).is_err());
    // One stream and direction is sealed once per secret.
    let limits = KeyLimits::for_streams(1);
    assert!(SealSequence::new(&secret, 3, FlowDirection::ToSource, limits).is_ok());
    assert!(SealSequence::new(&secret, 3, FlowDirection::ToSource, limits).is_err());
}
