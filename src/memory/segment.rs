//! Stretches of guest memory, which vCPUs may be writing while they are read.

/// A stretch of guest memory: where it starts and how long it is, never a reference.
///
/// # Why reading it is sound
///
/// vCPUs may write the memory at any moment, so no Rust reference to it may exist, and Rust's own
/// loads would race with those writes. It is read only by machine code that the compiler does not
/// see into: aws-lc's C and assembly, called with raw pointers, and the C library's `memcpy`,
/// called through a pointer that is read anew each time, so that the compiler neither recognises
/// the function nor assumes anything about what it read. The memory is a mapping that no Rust
/// allocation lies in. What such code may then observe is what the processor allows: any mixture
/// of old and new bytes, which is all that a copy of a running guest's page can be. Nothing is
/// decided by a byte that is read twice.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    start: *const u8,
    len: usize,
}

// SAFETY: a segment is an address and a length; whoever made it promised, to `Segment::new`, that
// the memory stays readable, which does not depend on the thread that reads.
unsafe impl Send for Segment {}
// SAFETY: as above; sharing a segment only shares the address and the length.
unsafe impl Sync for Segment {}

impl Segment {
    /// A segment of `len` bytes from `start`.
    ///
    /// # Safety
    /// For as long as the segment or a copy of it is used, the bytes must be mapped readable, and
    /// there must be no Rust reference to them through which they are written. They may be
    /// written by other means meanwhile.
    pub const unsafe fn new(start: *const u8, len: usize) -> Self {
        Segment { start, len }
    }

    /// Its length in bytes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no caller asks whether it is empty"
    )]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Its first byte.
    pub const fn start(&self) -> *const u8 {
        self.start
    }

    /// Copies the segment to private memory.
    ///
    /// # Panics
    /// If `to` has another length.
    pub fn copy_to(&self, to: &mut [u8]) {
        assert_eq!(to.len(), self.len);
        // SAFETY: `Segment::new` was promised that the source is readable, the destination is a
        // unique reference of the same length, and so the two don't overlap. On races see above.
        unsafe { copy_unseen(to.as_mut_ptr(), self.start, self.len) };
    }

    /// Copies `from` to the segment.
    ///
    /// # Panics
    /// If `from` has another length.
    ///
    /// # Safety
    /// The segment must be writable, and must not overlap `from`. Others may write it meanwhile by code that the
    /// compiler does not see into; what it holds then is not known.
    pub unsafe fn copy_from(&self, from: &[u8]) {
        assert_eq!(from.len(), self.len);
        // SAFETY: the caller vouches for the segment, which is as long as `from`. On races see above.
        unsafe { copy_unseen(self.start.cast_mut(), from.as_ptr(), self.len) };
    }
}

/// The C library's `memcpy`, where the compiler can't know that.
///
/// # Safety
/// As of that function, but for races.
unsafe fn copy_unseen(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: a valid function pointer, read from a static; volatile so that the compiler
    // can't know which function it calls.
    let copy = unsafe { (&raw const COPY).read_volatile() };
    // SAFETY: the caller vouches for both.
    unsafe { copy(to.cast(), from.cast(), len) };
}

type CopyFunction =
    unsafe extern "C" fn(*mut libc::c_void, *const libc::c_void, libc::size_t) -> *mut libc::c_void;

static COPY: CopyFunction = libc::memcpy;

/// Copies `head` and `pages`, one after the other, to `out`, which has exactly their length.
pub(crate) fn gather(head: &[u8], pages: &[Segment], out: &mut [u8]) {
    let (first, mut rest) = out.split_at_mut(head.len());
    first.copy_from_slice(head);
    for page in pages {
        let (to, next) = rest.split_at_mut(page.len());
        page.copy_to(to);
        rest = next;
    }
    debug_assert!(rest.is_empty());
}

/// Copies `from` to `pages`, one after the other, which have exactly its length.
///
/// # Safety
/// As of [`Segment::copy_from`].
pub(crate) unsafe fn scatter(from: &[u8], pages: &[Segment]) {
    let mut rest = from;
    for page in pages {
        let (here, next) = rest.split_at(page.len());
        // SAFETY: as the caller promises.
        unsafe { page.copy_from(here) };
        rest = next;
    }
    debug_assert!(rest.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathering_puts_head_and_segments_in_order() {
        let memory: Vec<u8> = (0..100).collect();
        // SAFETY: `memory` outlives the segments and is not written meanwhile.
        let segment = |from: usize, len| unsafe { Segment::new(memory[from..].as_ptr(), len) };
        let pages = [segment(10, 3), segment(50, 0), segment(20, 2)];
        let mut out = [0; 7];
        gather(&[200, 201], &pages, &mut out);
        assert_eq!(out, [200, 201, 10, 11, 12, 20, 21]);
    }
}
