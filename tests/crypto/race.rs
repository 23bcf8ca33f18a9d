//! Pages that vCPUs write while they are sealed.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use migtax::arm::{Arm, Backend};
use migtax::crypto::{KeyLimits, Opener, Sealer, TAG_LEN};
use migtax::memory::Segment;

use crate::{backends, both_sides, sequences};

/// Words of a page.
const PAGE: usize = 512;
const PAGES: usize = 16;
/// Records for each head.
const RECORDS: usize = 150;

/// A writer changes every page all the time while records are sealed from them. Every record
/// opens, and every word that comes out is one that the writer wrote: the record is consistent,
/// and its content is a mixture of the page's states.
#[test]
fn records_sealed_under_a_racing_writer_open() {
    for backend in backends() {
        let memory: Vec<AtomicU64> = (0..PAGES * PAGE).map(|_| AtomicU64::new(0)).collect();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1u64.. {
                    for (at, word) in memory.iter().enumerate() {
                        word.store(round << 16 | at as u64, Relaxed);
                    }
                    if done.load(Relaxed) {
                        break;
                    }
                }
            });
            let end = SetOnDrop(&done);
            // Heads that keep the pages on the cipher's block boundaries, and that don't. Again if
            // the writer never got to run meanwhile, as on a busy machine.
            let raced = (0..50).any(|_| {
                let torn = [64, 0, 61, 1].map(|head| seal_all(backend, &memory, head));
                torn.iter().sum::<usize>() > 0
            });
            drop(end);
            assert!(raced, "{backend:?}: the writer never raced a record");
        });
    }
}

/// Ends the writer also when an assertion fails, which would wait for it otherwise.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
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
        let (mut first, mut last) = (u64::MAX, 0);
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
            (first, last) = (first.min(word >> 16), last.max(word >> 16));
        }
        torn += usize::from(first != last);
    }
    torn
}

/// aws-lc's other implementations read the pages in their own ways.
#[test]
fn the_same_under_every_mask() {
    let masked = Arm::own().filter(|arm| !arm.row().environment.is_empty());
    for arm in masked.filter(|arm| migtax::crypto::supported(*arm).is_ok()) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "race::records_sealed_under_a_racing_writer_open"]);
        arm.prepare(&mut child);
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed; 0 failed"), "{arm}: {text}");
    }
}
