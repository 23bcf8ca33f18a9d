//! Access to memory that another thread may be writing: sound against the race, and fast.
//!
//! A plain load or store that races is undefined behaviour in Rust, whatever the processor does.
//! Words are therefore accessed as relaxed atomics, which cost the same instruction, and whole
//! pages by inline assembly, whose accesses the compiler knows nothing about. What a racing reader
//! gets is a mix of old and new words; the dirty tracker sees to it that such a page is read again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::units::PAGE_SIZE;

/// 8-byte words in a page.
pub const PAGE_WORDS: usize = PAGE_SIZE / 8;

/// The words of a page, for atomic access.
///
/// # Safety
/// `page` is the start of a mapped, writable, page-aligned page that outlives the reference, and
/// nobody accesses it but by atomics, assembly or system calls while the reference lives.
#[inline]
pub unsafe fn words<'a>(page: *mut u8) -> &'a [AtomicU64; PAGE_WORDS] {
    // SAFETY: aligned since the page is; atomics may change under a shared reference. The rest is
    // the caller's promise.
    unsafe { &*page.cast() }
}

/// Whether a page holds only zeros. Looks at one word first, so that a page of random content
/// costs one cache line, then at blocks of 256 bytes by whole vectors.
///
/// # Safety
/// As for [`words`].
#[inline]
pub unsafe fn page_is_zero(page: *mut u8) -> bool {
    // SAFETY: the caller's promise.
    if unsafe { words(page) }[0].load(Relaxed) != 0 {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe { page_is_zero_by_vectors(page) }
}

/// The whole page by 16-byte vectors, which every x86-64 CPU has: two loads a cycle outrun memory.
#[cfg(target_arch = "x86_64")]
unsafe fn page_is_zero_by_vectors(page: *mut u8) -> bool {
    let equal: u32;
    // SAFETY: reads the 4096 bytes of the page and nothing else; the pointer is aligned to a page,
    // so `movdqa` and the aligned memory operands of `por` are allowed.
    unsafe {
        std::arch::asm!(
            "pxor {zero}, {zero}",
            "2:",
            "movdqa {a}, [{at}]",
            "movdqa {b}, [{at} + 16]",
            "por {a}, [{at} + 32]",
            "por {b}, [{at} + 48]",
            "por {a}, [{at} + 64]",
            "por {b}, [{at} + 80]",
            "por {a}, [{at} + 96]",
            "por {b}, [{at} + 112]",
            "por {a}, [{at} + 128]",
            "por {b}, [{at} + 144]",
            "por {a}, [{at} + 160]",
            "por {b}, [{at} + 176]",
            "por {a}, [{at} + 192]",
            "por {b}, [{at} + 208]",
            "por {a}, [{at} + 224]",
            "por {b}, [{at} + 240]",
            "por {a}, {b}",
            "pcmpeqb {a}, {zero}",
            "pmovmskb {equal:e}, {a}",
            "cmp {equal:e}, 0xffff",
            "jne 3f",
            "add {at}, 256",
            "cmp {at}, {end}",
            "jne 2b",
            "3:",
            at = inout(reg) page => _,
            end = in(reg) page.add(PAGE_SIZE),
            equal = out(reg) equal,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            zero = out(xmm_reg) _,
            options(nostack, readonly),
        );
    }
    equal == 0xffff
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn page_is_zero_by_vectors(page: *mut u8) -> bool {
    // SAFETY: the caller's promise.
    let words = unsafe { words(page) };
    let any = |line: &[AtomicU64]| line.iter().fold(0, |any, word| any | word.load(Relaxed));
    words.chunks_exact(8).all(|line| any(line) == 0)
}

/// Copies `len` bytes out of memory that may be written meanwhile.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes; they do not overlap; nobody else accesses
/// the bytes at `to`.
#[inline]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise; the direction flag is clear, as the ABI demands.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..len {
        // SAFETY: the caller's promise; a byte-sized atomic has no alignment.
        unsafe {
            let byte = std::sync::atomic::AtomicU8::from_ptr(from.cast_mut().add(i)).load(Relaxed);
            to.add(i).write(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(4096))]
    struct Page([u64; PAGE_WORDS]);

    #[test]
    fn one_set_bit_anywhere_is_found() {
        let mut page = Box::new(Page([0; PAGE_WORDS]));
        let start = page.0.as_mut_ptr().cast::<u8>();
        // SAFETY: the box is a page, aligned, and this thread alone uses it.
        assert!(unsafe { page_is_zero(start) });
        for byte in 0..PAGE_SIZE {
            // SAFETY: as above; the byte lies inside the page.
            let zero = unsafe {
                start.add(byte).write(1 << (byte % 8));
                let zero = page_is_zero(start);
                start.add(byte).write(0);
                zero
            };
            assert!(!zero, "byte {byte}");
        }
        // SAFETY: as above.
        assert!(unsafe { page_is_zero(start) });
    }

    #[test]
    fn copies_exactly_what_was_asked() {
        let from: Vec<u8> = (0..1000u32).map(|i| (i % 251) as u8).collect();
        for len in [0, 1, 7, 64, 999] {
            let mut to = vec![0xee; 1000];
            // SAFETY: both vectors hold 1000 bytes and are this thread's alone.
            unsafe { copy(from.as_ptr(), to.as_mut_ptr(), len) };
            assert_eq!(to[..len], from[..len]);
            assert!(to[len..].iter().all(|b| *b == 0xee));
        }
    }
}
