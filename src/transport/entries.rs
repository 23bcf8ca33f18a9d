//! Entries of vectored calls.

/// Memory as the kernel's vectored calls name it.
pub(crate) fn iovec(start: *const u8, len: usize) -> libc::iovec {
    libc::iovec {
        iov_base: start.cast_mut().cast(),
        iov_len: len,
    }
}

/// Drops `count` bytes from the front, and empty entries.
pub(super) fn advance(mut left: &mut [libc::iovec], mut count: usize) -> &mut [libc::iovec] {
    while let Some(first) = left.first_mut() {
        if count < first.iov_len {
            first.iov_base = first.iov_base.wrapping_byte_add(count);
            first.iov_len -= count;
            break;
        }
        count -= first.iov_len;
        left = &mut left[1..];
    }
    left
}
