//! The bitmap tracker: every instrumented write sets its page's bit.
//!
//! Two levels: a bit per page, and a summary bit per word of those, so that harvesting a huge guest
//! with few dirty pages looks at one bit per 64 pages: an 8 GiB guest's summary is 4 KiB.
//!
//! # No write is lost
//!
//! A vCPU writes the page, then sets the page bit, then sees to the summary bit. A harvest swaps a
//! summary word for zero, and then, for each bit that was set, the word of page bits.
//!
//! - *The write itself.* Setting the bit releases, the swap acquires: a harvest that finds the bit
//!   sees the write. One that swaps before leaves the bit to the next harvest. The bit is set by a
//!   read-modify-write even if it is set already: a plain test could be satisfied early, while the
//!   write still sits in the store buffer, and a harvest in between would clear the bit and read
//!   the old page.
//! - *The summary.* A mark that finds the summary bit set leaves it alone. Bit setting, that test,
//!   and both swaps are sequentially consistent. If the test saw the bit set, then the harvest that
//!   clears it comes later in that order, and its swap of the page bits later still, hence after
//!   the page bit was set. If not, the mark sets the summary bit itself before it returns.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use super::tracker::{Tracker, TrackerKind, not_started};
use crate::error::Result;
use crate::memory::{PageRun, RunBuilder};

/// Bits in a word.
const BITS: u64 = u64::BITS as u64;

/// The tracker; the module says how it works.
#[derive(Debug)]
pub struct Bitmap {
    pages: u64,
    /// Bit p of the whole: page p was written.
    words: Vec<AtomicU64>,
    /// Bit w of the whole: `words[w]` may have bits set.
    summary: Vec<AtomicU64>,
    started: AtomicBool,
}

impl Bitmap {
    /// A tracker for guest memory of `pages` pages.
    pub fn new(pages: u64) -> Bitmap {
        let zeros = |n: u64| (0..n).map(|_| AtomicU64::new(0)).collect();
        let words = pages.div_ceil(BITS);
        Bitmap {
            pages,
            words: zeros(words),
            summary: zeros(words.div_ceil(BITS)),
            started: AtomicBool::new(false),
        }
    }

    /// Clears every bit and tells `each` (first page, bits) of the words that had any, ascending.
    fn take(&self, mut each: impl FnMut(u64, u64)) {
        for (i, summary) in self.summary.iter().enumerate() {
            // A load is far cheaper than a swap, and most words of a large guest are zero. A mark
            // that had returned before this harvest began is seen by it as well.
            if summary.load(SeqCst) == 0 {
                continue;
            }
            let mut set = summary.swap(0, SeqCst);
            while set != 0 {
                let word = i * BITS as usize + set.trailing_zeros() as usize;
                set &= set - 1;
                let bits = self.words[word].swap(0, SeqCst);
                each(word as u64 * BITS, bits);
            }
        }
    }
}

impl Tracker for Bitmap {
    fn kind(&self) -> TrackerKind {
        TrackerKind::Bitmap
    }

    fn start(&self) -> Result<()> {
        self.take(|_, _| {});
        self.started.store(true, SeqCst);
        Ok(())
    }

    #[inline]
    fn mark(&self, page: u64) {
        assert!(page < self.pages, "page {page} of {} pages", self.pages);
        let word = page / BITS;
        self.words[word as usize].fetch_or(1 << (page % BITS), SeqCst);
        let summary = &self.summary[(word / BITS) as usize];
        let bit = 1 << (word % BITS);
        if summary.load(SeqCst) & bit == 0 {
            summary.fetch_or(bit, SeqCst);
        }
    }

    fn harvest(&self, into: &mut Vec<PageRun>) -> Result<u64> {
        if !self.started.load(SeqCst) {
            return Err(not_started(self.kind()));
        }
        let mut runs = RunBuilder::new(into);
        self.take(|first, bits| runs.push_bits(first, bits));
        Ok(runs.finish())
    }

    /// Marks go on being made: a test for it would cost a vCPU what the mark costs.
    fn stop(&self) -> Result<()> {
        self.started.store(false, SeqCst);
        Ok(())
    }
}
