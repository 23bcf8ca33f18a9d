//! Pages that vCPUs write while they are sealed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use migtax::arm::Backend;
use migtax::crypto::{KeyLimits, Opener, Sealer, Segment, TAG_LEN};

use crate::{BACKENDS, both_sides, sequences};

/// Words of a page.
const PAGE: usize = 512;
const PAGES: usize = 16;
/// Records for each head.
const RECORDS: usize = 400;

/// A writer changes every page all the time while records are sealed from them. Every record
/// opens, and every word that comes out is one that the writer wrote: the record is consistent,
/// and its content is a mixture of the page's states.
#[test]
fn records_sealed_under_a_racing_writer_open() {
    for backend in BACKENDS {
        let memory: Vec<AtomicU64> = (0..PAGES * PAGE).map(|_| AtomicU64::new(0)).collect();
        let done = AtomicBool::new(false);
        let rounds = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut round = 0u64;
                while !done.load(Relaxed) {
                    round += 1;
                    for (at, word) in memory.iter().enumerate() {
                        word.store(round << 16 | at as u64, Relaxed);
                    }
                }
                round
            });
            // Heads that keep the pages on the cipher's block boundaries, and that don't.
            let changed: usize = [64, 0, 61, 1]
                .map(|head| seal_all(backend, &memory, head))
                .iter()
                .sum();
            done.store(true, Relaxed);
            assert!(changed > 0, "{backend:?}: the writer never raced a record");
            writer.join().unwrap()
        });
        assert!(rounds > 1);
    }
}

/// Seals and opens records of all pages; returns how many hold words of different rounds.
fn seal_all(backend: Backend, memory: &[AtomicU64], head_len: usize) -> usize {
    let secrets = both_sides();
    let (mut seal, mut open) = sequences(&secrets, KeyLimits::for_streams(1));
    let mut sealer = Sealer::new(backend, secrets[0].clone()).unwrap();
    let mut opener = Opener::new(backend, secrets[1].clone()).unwrap();
    // Pages one by one, last first, and a run of four.
    let segments: Vec<Segment> = memory
        .chunks(PAGE)
        .rev()
        .chain([&memory[..4 * PAGE]])
        // SAFETY: `memory` outlives the segments; it is written through atomics only.
        .map(|page| unsafe { Segment::new(page.as_ptr().cast(), size_of_val(page)) })
        .collect();
    let length = head_len + segments.iter().map(Segment::len).sum::<usize>();
    let head = vec![0xAB; head_len];
    let mut out = vec![0; length + TAG_LEN];
    let mut torn = 0;
    let records = match backend {
        Backend::RustcryptoSoft => RECORDS / 10,
        _ => RECORDS,
    };
    for _ in 0..records {
        let slot = seal.next(length).unwrap();
        let sealed = sealer.seal(slot, b"a", &head, &segments, &mut out).unwrap();
        let slot = open.next(length).unwrap();
        let opened = opener.open_in_place(slot, b"a", &mut out[..sealed]);
        assert_eq!(opened, Ok(length), "{backend:?}, head of {head_len}");
        assert!(out[..head_len] == head);
        let mut rounds = std::collections::BTreeSet::new();
        let words = out[head_len..length].chunks_exact(8);
        for (number, word) in words.enumerate() {
            let word = u64::from_le_bytes(word.try_into().unwrap());
            let at = match number / PAGE {
                page if page < PAGES => (PAGES - 1 - page) * PAGE + number % PAGE,
                page => (page - PAGES) * PAGE + number % PAGE,
            };
            assert!(
                word == 0 || word as usize & 0xFFFF == at,
                "{word:x} at {at}"
            );
            rounds.insert(word >> 16);
        }
        torn += usize::from(rounds.len() > 1);
    }
    torn
}
