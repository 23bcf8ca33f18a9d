//! What guest memory holds at the start, and the device state: both from a seed alone.

use std::sync::atomic::Ordering::Relaxed;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use serde::{Deserialize, Serialize};

use super::mix::{Permutation, mix, sub_seed};
use crate::memory::GuestMemory;
use crate::units::Size;

/// Pages that one task fills.
const CHUNK_PAGES: u64 = 1024;

/// Letters of compressible pages: 16, so that four random bits choose one.
const LETTERS: [u8; 16] = *b"etaoinshrdlucm, ";

/// Phrases that a compressible page is made of, 16 bytes each.
const PHRASES: usize = 32;

/// Names of the sequences that are drawn from a guest's seed.
mod domain {
    pub const PLACE: u64 = 1;
    pub const PAGE: u64 = 2;
    pub const DEVICE: u64 = 3;
}

/// Shares of pages by content, 0 to 1 each; the rest is random.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContentSpec {
    /// Pages of zeros.
    pub zero: f64,
    /// Pages that hold one repeated word.
    pub constant: f64,
    /// Pages of text-like content that a compressor halves at least.
    pub compressible: f64,
}

impl Default for ContentSpec {
    fn default() -> Self {
        ContentSpec {
            zero: 0.10,
            constant: 0.0,
            compressible: 0.30,
        }
    }
}

/// What one page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageContent {
    /// Zeros.
    Zero,
    /// One repeated word that is not zero.
    Constant,
    /// Text-like content that a compressor halves at least.
    Compressible,
    /// Random bytes.
    Random,
}

/// Which page holds what: shares exact to the page, spread pseudo-randomly over memory.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Pages of zero content; with constant; with compressible content, each added to the former.
    ends: [u64; 3],
    place: Permutation,
}

impl Layout {
    /// The layout of `pages` pages (at least 1). Each kind's share is rounded to whole pages; shares
    /// that add up to more than 1 are cut in the order zero, constant, compressible.
    pub fn new(pages: u64, content: &ContentSpec, seed: u64) -> Layout {
        let mut end = 0u64;
        let ends = [content.zero, content.constant, content.compressible].map(|share| {
            // Multiplying and rounding to nearest are exact operations of IEEE 754: the same
            // everywhere. The cast saturates.
            let count = (share * pages as f64).round() as u64;
            end = end.saturating_add(count).min(pages);
            end
        });
        Layout {
            ends,
            place: Permutation::new(pages, sub_seed(seed, domain::PLACE, 0)),
        }
    }

    /// What page `page` holds.
    pub fn of(&self, page: u64) -> PageContent {
        let place = self.place.of(page);
        match self.ends {
            [zero, _, _] if place < zero => PageContent::Zero,
            [_, constant, _] if place < constant => PageContent::Constant,
            [_, _, compressible] if place < compressible => PageContent::Compressible,
            _ => PageContent::Random,
        }
    }
}

/// Fills all of guest memory, in parallel. The result depends on the size, the shares and the seed
/// alone, on every machine and with any number of threads.
pub fn fill(memory: &GuestMemory, content: &ContentSpec, seed: u64) {
    let layout = Layout::new(memory.pages(), content, seed);
    fill_part(memory, memory.pages(), 0, &layout, seed);
}

/// Fills the first `pages` pages of `memory` with what a guest of that layout and seed has from page `from` on, in
/// parallel.
///
/// # Panics
/// If `memory` has fewer pages.
pub fn fill_part(memory: &GuestMemory, pages: u64, from: u64, layout: &Layout, seed: u64) {
    (0..pages.div_ceil(CHUNK_PAGES))
        .into_par_iter()
        .for_each(|chunk| {
            let first = chunk * CHUNK_PAGES;
            for page in first..pages.min(first + CHUNK_PAGES) {
                let page_seed = sub_seed(seed, domain::PAGE, from + page);
                match layout.of(from + page) {
                    PageContent::Zero => memory.zero_pages(page, 1),
                    PageContent::Constant => {
                        let word = mix(page_seed) | 1;
                        write_page(memory, page, |_| word);
                    }
                    PageContent::Compressible => fill_compressible(memory, page, page_seed),
                    PageContent::Random => {
                        let mut random = Xoshiro256PlusPlus::seed_from_u64(page_seed);
                        write_page(memory, page, |_| random.next_u64());
                    }
                }
            }
        });
}

/// Text-like: phrases of 16 letters, drawn from a small vocabulary of the page's own.
fn fill_compressible(memory: &GuestMemory, page: u64, seed: u64) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut phrases = [[0u64; 2]; PHRASES];
    for phrase in &mut phrases {
        let draw = random.next_u64();
        let letter = |i: u32| LETTERS[(draw >> (4 * i)) as usize % LETTERS.len()];
        phrase[0] = u64::from_le_bytes(std::array::from_fn(|i| letter(i as u32)));
        phrase[1] = u64::from_le_bytes(std::array::from_fn(|i| letter(i as u32 + 8)));
    }
    let mut draw = 0;
    write_page(memory, page, |word| {
        // Five bits choose one of 32 phrases of two words; a draw of 64 bits serves twelve.
        let unit = word / 2;
        if word % 2 == 0 {
            draw = if unit % 12 == 0 {
                random.next_u64()
            } else {
                draw >> 5
            };
        }
        phrases[draw as usize % PHRASES][word % 2]
    });
}

/// Writes every word of a page, given by its index, as little-endian bytes.
#[inline]
fn write_page(memory: &GuestMemory, page: u64, mut word: impl FnMut(usize) -> u64) {
    for (index, to) in memory.words(page).iter().enumerate() {
        to.store(word(index).to_le(), Relaxed);
    }
}

/// The device-state blob of a guest: random bytes from its seed.
pub fn device_state(size: Size, seed: u64) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(sub_seed(seed, domain::DEVICE, 0));
    let mut state = vec![0; size.0 as usize];
    for chunk in state.chunks_mut(8) {
        let word = random.next_u64().to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PAGE_SIZE;

    const KINDS: [PageContent; 4] = [
        PageContent::Zero,
        PageContent::Constant,
        PageContent::Compressible,
        PageContent::Random,
    ];

    fn spec(zero: f64, constant: f64, compressible: f64) -> ContentSpec {
        ContentSpec {
            zero,
            constant,
            compressible,
        }
    }

    fn filled(pages: u64, content: &ContentSpec, seed: u64) -> GuestMemory {
        let memory = GuestMemory::new(Size(pages * PAGE_SIZE as u64), false).unwrap();
        fill(&memory, content, seed);
        memory
    }

    fn bytes(memory: &GuestMemory, page: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_SIZE];
        memory.copy_out(page, &mut bytes);
        bytes
    }

    /// Bytes after a greedy compressor that finds repeats of at least 8 bytes and codes each in 4
    /// bytes, literals as they are: weaker than any LZ compressor in use.
    fn compressed(bytes: &[u8]) -> usize {
        let (mut at, mut cost) = (0, 0);
        while at < bytes.len() {
            let longest = (0..at)
                .map(|from| {
                    let ahead = bytes[at..].iter();
                    bytes[from..]
                        .iter()
                        .zip(ahead)
                        .take_while(|(a, b)| a == b)
                        .count()
                })
                .max()
                .unwrap_or(0);
            let (step, price) = if longest >= 8 { (longest, 4) } else { (1, 1) };
            at += step;
            cost += price;
        }
        cost
    }

    #[test]
    fn shares_are_exact_to_the_page() {
        // pages, zero, constant, compressible, expected counts in the order of KINDS
        let table = [
            (1000, 0.10, 0.05, 0.30, [100, 50, 300, 550]),
            (1000, 0.0, 0.0, 0.0, [0, 0, 0, 1000]),
            (1000, 1.0, 0.0, 0.0, [1000, 0, 0, 0]),
            (1000, 0.5, 0.5, 0.5, [500, 500, 0, 0]),
            (3, 0.5, 0.0, 0.0, [2, 0, 0, 1]),
            (1, 0.4, 0.0, 0.6, [0, 0, 1, 0]),
        ];
        for (pages, zero, constant, compressible, expected) in table {
            for seed in 0..3 {
                let layout = Layout::new(pages, &spec(zero, constant, compressible), seed);
                let counts =
                    KINDS.map(|kind| (0..pages).filter(|page| layout.of(*page) == kind).count());
                assert_eq!(
                    counts, expected,
                    "{pages} pages, {zero}/{constant}/{compressible}"
                );
            }
        }
    }

    #[test]
    fn pages_hold_what_the_layout_says() {
        let content = spec(0.25, 0.25, 0.25);
        let memory = filled(64, &content, 5);
        let layout = Layout::new(64, &content, 5);
        for page in 0..64 {
            let bytes = bytes(&memory, page);
            let constant = bytes.chunks(8).all(|word| word == &bytes[..8]);
            let small = compressed(&bytes) * 2 <= PAGE_SIZE;
            let seen = match (memory.is_zero(page), constant, small) {
                (true, ..) => PageContent::Zero,
                (_, true, _) => PageContent::Constant,
                (_, _, true) => PageContent::Compressible,
                _ => PageContent::Random,
            };
            assert_eq!(seen, layout.of(page), "page {page}");
        }
    }

    #[test]
    fn random_pages_do_not_compress_and_all_differ() {
        let memory = filled(16, &spec(0.0, 0.0, 0.0), 1);
        let pages: std::collections::BTreeSet<_> = (0..16).map(|p| bytes(&memory, p)).collect();
        assert_eq!(pages.len(), 16);
        assert!(compressed(&bytes(&memory, 0)) == PAGE_SIZE);
    }

    #[test]
    fn content_depends_on_seed_and_size_alone() {
        let content = spec(0.1, 0.1, 0.3);
        let reference = filled(2500, &content, 9);
        assert_eq!(reference.hash(), filled(2500, &content, 9).hash());
        assert_ne!(reference.hash(), filled(2500, &content, 10).hash());
        // Filling is complete: what was there before does not show.
        fill(&reference, &spec(0.0, 1.0, 0.0), 3);
        fill(&reference, &content, 9);
        assert_eq!(reference.hash(), filled(2500, &content, 9).hash());
        let alone = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let hash = alone.install(|| filled(2500, &content, 9).hash());
        assert_eq!(reference.hash(), hash);
    }

    #[test]
    fn content_is_what_it_was_in_every_earlier_version() {
        let memory = filled(256, &spec(0.1, 0.1, 0.3), 1);
        let hash = blake3::Hash::from_bytes(memory.hash());
        assert_eq!(
            hash.to_hex().as_str(),
            "cae9c3e7c66997e8d8cf01199c0f7cde1c5fdcf51ba7386cabb34bcf7dbab7c7"
        );
        let state = blake3::hash(&device_state(Size(1000), 1));
        assert_eq!(
            state.to_hex().as_str(),
            "bf253f7ec232b5008f807e63f9c7c6cdca0bfba5265981bb30ddd7782bee3c19"
        );
    }

    #[test]
    fn device_state_has_its_size_and_follows_the_seed() {
        for size in [0, 1, 7, 8, 1000] {
            assert_eq!(device_state(Size(size), 1).len() as u64, size);
        }
        assert_eq!(device_state(Size(64), 1), device_state(Size(64), 1));
        assert_ne!(device_state(Size(64), 1), device_state(Size(64), 2));
    }
}
