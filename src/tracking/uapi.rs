//! The kernel interface of `userfaultfd` and `PAGEMAP_SCAN`: `linux/userfaultfd.h`, `linux/fs.h`.
//!
//! Written out here because the C library's headers are often older than the kernel, and no
//! bindings crate has asynchronous write protection without a C parser at build time.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::mm::UserfaultfdFlags;

/// The one version of the userfaultfd interface.
pub const UFFD_API: u64 = 0xaa;
/// Only faults from user mode raise events: what an unprivileged user may ask for. No event is ever
/// raised under asynchronous write protection, so nothing is lost by it.
pub const UFFD_USER_MODE_ONLY: u32 = 1;
/// Write-protect faults can be asked for.
pub const UFFD_FEATURE_PAGEFAULT_FLAG_WP: u64 = 1 << 0;
/// Pages that are not there can be protected too (Linux 6.4).
pub const UFFD_FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
/// The kernel itself resolves write-protect faults (Linux 6.7).
pub const UFFD_FEATURE_WP_ASYNC: u64 = 1 << 15;
/// Registered for write protection.
pub const UFFDIO_REGISTER_MODE_WP: u64 = 1 << 1;

/// Write-protect the pages that match.
pub const PM_SCAN_WP_MATCHING: u64 = 1 << 0;
/// Fail on memory without asynchronous write protection.
pub const PM_SCAN_CHECK_WPASYNC: u64 = 1 << 1;
/// Written since it was last protected.
pub const PAGE_IS_WRITTEN: u64 = 1 << 1;

/// `struct uffdio_api`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct UffdioApi {
    /// In: [`UFFD_API`], the version asked for.
    pub api: u64,
    /// In: features wanted; out: features that the kernel has.
    pub features: u64,
    /// Out: the requests that the kernel has, a bit each.
    pub ioctls: u64,
}

/// `struct uffdio_range`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct UffdioRange {
    /// Its first address, a page's.
    pub start: u64,
    /// Its length in bytes, whole pages.
    pub len: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct UffdioRegister {
    /// The memory to register.
    pub range: UffdioRange,
    /// `UFFDIO_REGISTER_MODE_*`.
    pub mode: u64,
    /// Out: the requests that the range takes, a bit each.
    pub ioctls: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct PageRegion {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// `PAGE_IS_*` of its pages.
    pub categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct PmScanArg {
    /// Size of this structure.
    pub size: u64,
    /// `PM_SCAN_*`.
    pub flags: u64,
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Out: where the walk stopped.
    pub walk_end: u64,
    /// Address of an array of [`PageRegion`], or 0.
    pub vec: u64,
    /// Regions that the array has room for.
    pub vec_len: u64,
    /// 0: no limit.
    pub max_pages: u64,
    /// Categories to invert before matching.
    pub category_inverted: u64,
    /// All of these must match.
    pub category_mask: u64,
    /// Any of these must match, if not 0.
    pub category_anyof_mask: u64,
    /// Categories to report.
    pub return_mask: u64,
}

/// The number of an ioctl that passes a `T` (see `asm-generic/ioctl.h`).
const fn number<T>(direction: u32, kind: u32, nr: u32) -> libc::Ioctl {
    ((direction << 30) | ((size_of::<T>() as u32) << 16) | (kind << 8) | nr) as libc::Ioctl
}

const READ: u32 = 2;
const READ_WRITE: u32 = 3;
const UFFDIO: u32 = 0xaa;

/// Agrees on the interface and its features.
pub const UFFDIO_API: libc::Ioctl = number::<UffdioApi>(READ_WRITE, UFFDIO, 0x3f);
/// Registers a range.
pub const UFFDIO_REGISTER: libc::Ioctl = number::<UffdioRegister>(READ_WRITE, UFFDIO, 0x00);
/// Takes it back, and with it all its write protection.
pub const UFFDIO_UNREGISTER: libc::Ioctl = number::<UffdioRange>(READ, UFFDIO, 0x01);
/// Finds pages by category and write-protects them in the same step.
pub const PAGEMAP_SCAN: libc::Ioctl = number::<PmScanArg>(READ_WRITE, b'f' as u32, 16);

/// Opens a userfaultfd.
pub fn userfaultfd() -> io::Result<OwnedFd> {
    let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::from_bits_retain(UFFD_USER_MODE_ONLY);
    // SAFETY: the descriptor acts on memory only through the requests below, whose callers vouch.
    Ok(unsafe { rustix::mm::userfaultfd(flags) }?)
}

/// An ioctl whose argument is a `T`. Returns its non-negative result.
///
/// # Safety
/// `request` passes a `T`, and whatever addresses the `T` holds are what `request` demands.
pub unsafe fn ioctl<T>(fd: BorrowedFd<'_>, request: libc::Ioctl, arg: &mut T) -> io::Result<u64> {
    // SAFETY: `arg` lives through the call; the rest is the caller's promise.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(arg)) };
    u64::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel_headers() {
        // As the macros of linux/userfaultfd.h and linux/fs.h expand.
        assert_eq!(UFFDIO_API, 0xc018_aa3f);
        assert_eq!(UFFDIO_REGISTER, 0xc020_aa00);
        assert_eq!(UFFDIO_UNREGISTER, 0x8010_aa01);
        assert_eq!(PAGEMAP_SCAN, 0xc060_6610);
    }
}
