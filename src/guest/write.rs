//! Executing one page write.
//!
//! A write flips bits: each word that it touches is XORed with a word that is not zero, drawn from
//! the write's value. So a write always changes its page, whatever the page held; and since XOR
//! commutes, guest memory after a set of word writes is the same in whichever order the vCPUs got
//! to them, which tests use to show that no write was lost or made twice.

use std::sync::atomic::Ordering::Relaxed;

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use serde::{Deserialize, Serialize};

use super::mix::mix;
use crate::memory::GuestMemory;
use crate::memory::raw::PAGE_WORDS;
use crate::workload::PageWrite;

/// How much of a page one write changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteExtent {
    /// One aligned 8-byte word.
    Word,
    /// The whole page.
    Page,
}

/// The word of its page that a write of one word flips, and the bits that it flips in it.
#[inline]
pub fn word_flip(value: u64) -> (usize, u64) {
    let bits = mix(value);
    // The top bits choose the word; bit 0 is set, so the mask is not zero.
    let index = (bits >> (u64::BITS - PAGE_WORDS.ilog2())) as usize;
    (index, bits | 1)
}

/// Executes `write` and nothing else: the caller tells its tracker afterwards.
///
/// # Panics
/// If the page lies outside guest memory.
#[inline]
pub fn execute(memory: &GuestMemory, write: &PageWrite, extent: WriteExtent) {
    let words = memory.words(write.page);
    match extent {
        WriteExtent::Word => {
            let (index, bits) = word_flip(write.value);
            words[index].fetch_xor(bits.to_le(), Relaxed);
        }
        WriteExtent::Page => {
            let mut masks = SplitMix64::seed_from_u64(write.value);
            // One word atomically, so that even two vCPUs on the same page both change it; the
            // others by load and store, a tenth of the cost.
            let [first, others @ ..] = words;
            first.fetch_xor((masks.next_u64() | 1).to_le(), Relaxed);
            for word in others {
                word.store(word.load(Relaxed) ^ masks.next_u64().to_le(), Relaxed);
            }
        }
    }
}

/// Fills the first page with what a write of that value leaves in a block of a disk, whatever was there.
pub(super) fn fill_page(block: &GuestMemory, value: u64) {
    let mut content = SplitMix64::seed_from_u64(value);
    for word in block.words(0) {
        word.store(content.next_u64().to_le(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{PAGE_SIZE, Size};

    fn page(memory: &GuestMemory, page: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_SIZE];
        memory.copy_out(page, &mut bytes);
        bytes
    }

    fn changed_words(a: &[u8], b: &[u8]) -> usize {
        a.chunks(8).zip(b.chunks(8)).filter(|(a, b)| a != b).count()
    }

    #[test]
    fn every_write_changes_its_page_by_its_extent_and_no_other() {
        let memory = GuestMemory::new(Size(3 * PAGE_SIZE as u64), false).unwrap();
        for value in (0..500).chain([u64::MAX, 1 << 63]) {
            for extent in [WriteExtent::Word, WriteExtent::Page] {
                let before = page(&memory, 1);
                let write = PageWrite {
                    at_ns: 0,
                    page: 1,
                    value,
                };
                execute(&memory, &write, extent);
                let changed = changed_words(&before, &page(&memory, 1));
                match extent {
                    WriteExtent::Word => assert_eq!(changed, 1, "value {value}"),
                    WriteExtent::Page => assert_eq!(changed, PAGE_WORDS, "value {value}"),
                }
            }
        }
        assert!(memory.is_zero(0) && memory.is_zero(2));
    }

    #[test]
    fn values_hit_all_words_of_a_page() {
        let memory = GuestMemory::new(Size(PAGE_SIZE as u64), false).unwrap();
        for value in 0..16384 {
            let write = PageWrite {
                at_ns: 0,
                page: 0,
                value,
            };
            execute(&memory, &write, WriteExtent::Word);
        }
        assert_eq!(
            changed_words(&page(&memory, 0), &[0; PAGE_SIZE]),
            PAGE_WORDS
        );
    }

    #[test]
    fn writes_are_deterministic_and_words_commute() {
        let writes: Vec<PageWrite> = (0..100)
            .map(|value| PageWrite {
                at_ns: 0,
                page: value % 4,
                value,
            })
            .collect();
        let run = |extent, writes: &mut dyn Iterator<Item = &PageWrite>| {
            let memory = GuestMemory::new(Size(4 * PAGE_SIZE as u64), false).unwrap();
            writes.for_each(|write| execute(&memory, write, extent));
            memory.hash()
        };
        for extent in [WriteExtent::Word, WriteExtent::Page] {
            let forward = run(extent, &mut writes.iter());
            assert_eq!(forward, run(extent, &mut writes.iter()));
            assert_eq!(forward, run(extent, &mut writes.iter().rev()));
            assert_ne!(forward, run(extent, &mut writes.iter().skip(1)));
        }
    }
}
