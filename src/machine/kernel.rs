//! What the kernel allows this process: probed by asking, not by version.

use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// `_IOWR(0xAA, 0x3F, struct uffdio_api)` of linux/userfaultfd.h.
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFD_API: u64 = 0xaa;
const UFFD_USER_MODE_ONLY: i32 = 1;
const UFFD_FEATURE_WP_ASYNC: u64 = 1 << 15;
/// `_IOWR('f', 16, struct pm_scan_arg)` of linux/fs.h.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// `struct uffdio_api`.
#[repr(C)]
struct UffdioApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// Why the `userfaultfd` tracker can't run here, with what would help; `None` if it can.
pub fn userfaultfd_missing() -> Option<String> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | UFFD_USER_MODE_ONLY;
    // SAFETY: userfaultfd(2) takes flags only and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
    let Some(fd) = i32::try_from(fd).ok().filter(|fd| *fd >= 0) else {
        let error = std::io::Error::last_os_error();
        return Some(format!(
            "userfaultfd is refused ({error}): build the kernel with CONFIG_USERFAULTFD, or allow the system call in the container"
        ));
    };
    // SAFETY: the descriptor was just returned to us and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut api = UffdioApi {
        api: UFFD_API,
        features: UFFD_FEATURE_WP_ASYNC,
        ioctls: 0,
    };
    // SAFETY: the request matches the layout of the struct, which outlives the call.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_API as _, &raw mut api) };
    if answer != 0 {
        return Some(
            "userfaultfd has no asynchronous write protection: Linux 6.7 or newer is needed"
                .to_owned(),
        );
    }
    let pagemap = match File::open("/proc/self/pagemap") {
        Ok(file) => file,
        Err(error) => return Some(format!("/proc/self/pagemap can't be opened ({error})")),
    };
    // SAFETY: a null argument makes the call fail before it writes anything; only the kind of
    // failure is looked at.
    unsafe {
        libc::ioctl(
            pagemap.as_raw_fd(),
            PAGEMAP_SCAN as _,
            std::ptr::null_mut::<u8>(),
        )
    };
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ENOTTY) => {
            Some("PAGEMAP_SCAN is missing: Linux 6.7 or newer is needed".to_owned())
        }
        _ => None,
    }
}
