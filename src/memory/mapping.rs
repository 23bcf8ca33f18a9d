//! Guest memory: a page-aligned anonymous mapping, as a rule present before it is used.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::prelude::*;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::backing::{Pages, Presence};
use super::raw::{self, PAGE_WORDS};
use super::runs::PageRun;
use super::segment::Segment;
use crate::error::{Error, Result};
use crate::units::{PAGE_SIZE, Size};

/// Size of a transparent huge page on x86-64, to which the mapping is aligned.
const HUGE_PAGE: usize = 2 << 20;

/// Bytes faulted in by one system call; a multiple of [`HUGE_PAGE`].
const POPULATE_CHUNK: usize = 32 << 20;

/// The guest's memory. Every page is present, unless asked otherwise, so that no first touch falls
/// into a measurement.
///
/// Only raw pointers go out: no Rust reference may point at memory that vCPUs write.
#[derive(Debug)]
pub struct GuestMemory {
    base: NonNull<u8>,
    len: usize,
    pages: Pages,
    presence: Presence,
}

// SAFETY: the mapping belongs to this value alone and is accessed by atomics, assembly and system
// calls only, which any thread may do at any time.
unsafe impl Send for GuestMemory {}
// SAFETY: as for Send.
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    /// Maps `size` bytes of zeros, faulted in; with `huge_pages` by transparent huge pages where the
    /// kernel finds them.
    ///
    /// # Errors
    /// As [`GuestMemory::backed`].
    pub fn new(size: Size, huge_pages: bool) -> Result<GuestMemory> {
        let pages = match huge_pages {
            true => Pages::Huge,
            false => Pages::Small,
        };
        GuestMemory::backed(size, pages, Presence::FaultedIn)
    }

    /// Maps `size` bytes of zeros and, unless that is to happen on demand, faults them in, in
    /// parallel.
    ///
    /// A huge page is split at the first write after it was write-protected, so tracking stays exact
    /// to 4 KiB.
    ///
    /// # Errors
    /// A size that is zero or no whole number of pages; memory that the kernel refuses.
    pub fn backed(size: Size, pages: Pages, presence: Presence) -> Result<GuestMemory> {
        Error::unless(
            size.0 > 0 && size.0.is_multiple_of(PAGE_SIZE as u64),
            "guest.memory",
            size,
            "must be a whole number of 4KiB pages, at least one",
        )?;
        let refused =
            |error: Errno| Error::io(format!("cannot map {size} of guest memory"), error.into());
        let len = usize::try_from(size.0).map_err(|_| refused(Errno::NOMEM))?;
        let memory = GuestMemory::map(len, pages, presence).map_err(refused)?;
        memory.advise().map_err(refused)?;
        if presence == Presence::OnDemand {
            return Ok(memory);
        }
        memory.populate().map_err(|error| {
            Error::io(
                format!("cannot fault in {size} of guest memory"),
                error.into(),
            )
        })?;
        Ok(memory)
    }

    /// Maps more than asked and gives back what lies outside the aligned part.
    fn map(len: usize, pages: Pages, presence: Presence) -> Result<GuestMemory, Errno> {
        let padded = len.checked_add(HUGE_PAGE).ok_or(Errno::NOMEM)?;
        let (readable, private) = (
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        );
        // SAFETY: a fresh mapping at an address of the kernel's choice; the ranges that are given
        // back lie inside it, outside the part that is kept, and are whole pages; nothing points at
        // them.
        unsafe {
            let mapped = mmap_anonymous(std::ptr::null_mut(), padded, readable, private)?;
            let before = mapped.align_offset(HUGE_PAGE);
            let after = padded - before - len;
            let base = mapped.cast::<u8>().add(before);
            if before > 0 {
                munmap(mapped, before)?;
            }
            if after > 0 {
                munmap(base.add(len).cast(), after)?;
            }
            let base = NonNull::new(base).ok_or(Errno::NOMEM)?;
            Ok(GuestMemory {
                base,
                len,
                pages,
                presence,
            })
        }
    }

    fn advise(&self) -> Result<(), Errno> {
        let huge = match self.pages {
            Pages::Huge => Advice::LinuxHugepage,
            Pages::Small => Advice::LinuxNoHugepage,
        };
        match self.madvise(0, self.len, huge) {
            // A kernel without transparent huge pages knows neither advice: there are none then.
            Err(Errno::INVAL) => {}
            other => other?,
        }
        // A child process would share the pages copy-on-write: a fault per page, for nothing.
        self.madvise(0, self.len, Advice::LinuxDontFork)
    }

    fn madvise(&self, offset: usize, len: usize, advice: Advice) -> Result<(), Errno> {
        // SAFETY: the range lies inside the mapping; none of the advice used here discards pages.
        unsafe { madvise(self.base.as_ptr().add(offset).cast(), len, advice) }
    }

    fn populate(&self) -> Result<(), Errno> {
        (0..self.len.div_ceil(POPULATE_CHUNK))
            .into_par_iter()
            .try_for_each(|chunk| {
                let offset = chunk * POPULATE_CHUNK;
                let len = POPULATE_CHUNK.min(self.len - offset);
                match self.madvise(offset, len, Advice::LinuxPopulateWrite) {
                    // Before Linux 5.14: touch every page instead.
                    Err(Errno::INVAL) => {
                        let first = (offset / PAGE_SIZE) as u64;
                        for page in first..first + (len / PAGE_SIZE) as u64 {
                            self.write_word(page, 0, 0);
                        }
                        Ok(())
                    }
                    other => other,
                }
            })
    }

    /// Bytes of it that are resident: all of it, unless its pages are made on demand.
    pub fn resident_bytes(&self) -> u64 {
        match self.presence {
            Presence::FaultedIn => self.len as u64,
            Presence::OnDemand => self.footprint().resident,
        }
    }

    /// Bytes of it that huge pages back; `None` if it was not to have any.
    pub fn huge_bytes(&self) -> Option<u64> {
        (self.pages == Pages::Huge).then(|| self.footprint().huge)
    }

    /// Pages of the guest.
    pub fn pages(&self) -> u64 {
        (self.len / PAGE_SIZE) as u64
    }

    /// Bytes of the guest, a whole number of pages.
    #[expect(clippy::len_without_is_empty, reason = "guest memory is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where the memory starts.
    pub fn base_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Where a page starts. The following pages come after it without a gap.
    ///
    /// # Panics
    /// If the page lies outside guest memory.
    #[inline]
    pub fn page_ptr(&self, page: u64) -> *mut u8 {
        assert!(page < self.pages(), "page {page} of {} pages", self.pages());
        // SAFETY: inside the mapping, by the assertion.
        unsafe { self.base.as_ptr().add(page as usize * PAGE_SIZE) }
    }

    /// A run of pages, for what sends, seals or receives them.
    ///
    /// # Panics
    /// If a page of the run lies outside guest memory.
    ///
    /// # Safety
    /// The guest memory must outlive the use of the segment and of its copies.
    pub unsafe fn segment(&self, run: PageRun) -> Segment {
        let len = (run.pages as usize).saturating_mul(PAGE_SIZE);
        let offset = self.checked_offset(run.first, len);
        // SAFETY: inside the mapping, as was checked, which stays by the caller's promise; nothing
        // holds references to its bytes, and vCPUs write it through raw pointers.
        unsafe { Segment::new(self.base.as_ptr().add(offset).cast_const(), len) }
    }

    /// The words of a page, for access while others may write them too.
    ///
    /// # Panics
    /// If the page lies outside guest memory.
    #[inline]
    pub fn words(&self, page: u64) -> &[AtomicU64; PAGE_WORDS] {
        // SAFETY: a page of the mapping, which lives as long as `self` and is accessed as the type
        // promises.
        unsafe { raw::words(self.page_ptr(page)) }
    }

    /// Whether a page holds only zeros, at one cache line's cost for a page of random content.
    ///
    /// # Panics
    /// If the page lies outside guest memory.
    #[inline]
    pub fn is_zero(&self, page: u64) -> bool {
        // SAFETY: `page_ptr` gives a mapped, aligned page; access is as the type promises.
        unsafe { raw::page_is_zero(self.page_ptr(page)) }
    }

    /// Makes pages zero. Reads first and writes only pages that hold something, since most zero
    /// pages that arrive are zero already and a write costs twice the memory traffic.
    ///
    /// # Panics
    /// If a page lies outside guest memory.
    pub fn zero_pages(&self, first: u64, count: u64) {
        for page in first..first + count {
            if !self.is_zero(page) {
                for word in self.words(page) {
                    word.store(0, Relaxed);
                }
            }
        }
    }

    /// Writes the aligned 8-byte word at byte `offset` of a page.
    ///
    /// # Panics
    /// If the page lies outside guest memory, or `offset` is no multiple of 8 below the page size.
    #[inline]
    pub fn write_word(&self, page: u64, offset: usize, value: u64) {
        assert!(
            offset.is_multiple_of(8),
            "offset {offset} is no word of a page"
        );
        self.words(page)[offset / 8].store(value, Relaxed);
    }

    /// Copies whole pages out, from page `first` on, while they may be written.
    ///
    /// # Panics
    /// If `to` is no whole number of pages, or the pages lie outside guest memory.
    pub fn copy_out(&self, first: u64, to: &mut [u8]) {
        let offset = self.checked_offset(first, to.len());
        // SAFETY: the range lies inside the mapping; `to` is the caller's alone, so no overlap.
        unsafe { raw::copy(self.base.as_ptr().add(offset), to.as_mut_ptr(), to.len()) }
    }

    /// Copies whole pages in, from page `first` on. For a guest that does not run: a vCPU that
    /// writes the same page meanwhile leaves a mixture.
    ///
    /// # Panics
    /// As [`GuestMemory::copy_out`].
    pub fn copy_in(&self, first: u64, from: &[u8]) {
        let offset = self.checked_offset(first, from.len());
        // SAFETY: the range lies inside the mapping, which `from`, a Rust slice, can't overlap.
        unsafe { raw::copy(from.as_ptr(), self.base.as_ptr().add(offset), from.len()) }
    }

    fn checked_offset(&self, first: u64, len: usize) -> usize {
        let offset = (first as usize).saturating_mul(PAGE_SIZE);
        assert!(
            len.is_multiple_of(PAGE_SIZE) && offset <= self.len && len <= self.len - offset,
            "{len} bytes from page {first} are not whole pages of guest memory"
        );
        offset
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `map` kept; whoever holds a raw pointer into it also
        // holds this value, by the contract of `page_ptr`'s users. It can't fail.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        for size in [0, 1, 4095, 4097] {
            let error = GuestMemory::new(Size(size), false).unwrap_err().to_string();
            assert!(error.contains("guest.memory"), "{error}");
        }
        assert!(GuestMemory::new(Size(1 << 62), false).is_err());
    }

    #[test]
    fn starts_as_zeros_that_are_present() {
        for huge in [false, true] {
            let memory = GuestMemory::new(Size(4 << 20), huge).unwrap();
            assert_eq!(memory.pages(), 1024);
            assert_eq!(memory.base_ptr().align_offset(HUGE_PAGE), 0);
            let mut present = vec![0u8; 1024];
            // SAFETY: one byte per page of the mapping.
            let done = unsafe {
                libc::mincore(memory.base_ptr().cast(), memory.len(), present.as_mut_ptr())
            };
            assert_eq!(done, 0);
            assert!(present.iter().all(|p| p & 1 == 1));
            assert!((0..1024).all(|page| memory.is_zero(page)));
        }
    }

    #[test]
    fn zero_pages_zeroes_what_was_asked_and_nothing_else() {
        let memory = GuestMemory::new(Size(8 * PAGE_SIZE as u64), false).unwrap();
        for page in 0..8 {
            memory.write_word(page, PAGE_SIZE - 8, 1);
        }
        memory.zero_pages(2, 3);
        let zero: Vec<bool> = (0..8).map(|page| memory.is_zero(page)).collect();
        assert_eq!(zero, [false, false, true, true, true, false, false, false]);
    }

    #[test]
    fn pages_go_in_and_out() {
        let memory = GuestMemory::new(Size(4 * PAGE_SIZE as u64), false).unwrap();
        let from: Vec<u8> = (0..2 * PAGE_SIZE).map(|i| (i % 253) as u8).collect();
        memory.copy_in(1, &from);
        let mut to = vec![0; 2 * PAGE_SIZE];
        memory.copy_out(1, &mut to);
        assert_eq!(from, to);
        assert!(memory.is_zero(0) && memory.is_zero(3));
    }

    #[test]
    #[should_panic(expected = "not whole pages of guest memory")]
    fn copying_beyond_the_end_panics() {
        let memory = GuestMemory::new(Size(PAGE_SIZE as u64), false).unwrap();
        memory.copy_out(1, &mut [0; PAGE_SIZE]);
    }

    /// Also a run whose end is no number, and whose first page is inside.
    #[test]
    fn a_run_that_is_not_all_inside_panics() {
        let memory = GuestMemory::new(Size(2 * PAGE_SIZE as u64), false).unwrap();
        for (first, pages) in [
            (0, 3),
            (1, 2),
            (2, 1),
            (0, u64::MAX),
            (1, 1 << 52),
            (u64::MAX, 1),
        ] {
            let run = PageRun { first, pages };
            // SAFETY: the memory outlives the segment, which is not used.
            let made = std::panic::catch_unwind(|| unsafe { memory.segment(run) }.len());
            assert!(made.is_err(), "{run:?}");
        }
        // SAFETY: as above.
        assert_eq!(
            unsafe { memory.segment(PageRun { first: 0, pages: 2 }) }.len(),
            2 * PAGE_SIZE
        );
    }

    #[test]
    #[should_panic(expected = "page 1 of 1 pages")]
    fn a_page_outside_panics() {
        let memory = GuestMemory::new(Size(PAGE_SIZE as u64), false).unwrap();
        memory.page_ptr(1);
    }
}
