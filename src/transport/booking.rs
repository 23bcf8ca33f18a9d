//! Memory in which sources in different processes book a link that they share.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::error::{Error, Result};

/// Length of the memory: the least that can be mapped.
const LEN: usize = crate::units::PAGE_SIZE;

/// When a shared link is free next: one number in memory that several processes map.
#[derive(Debug)]
pub struct Booking {
    free_at: NonNull<AtomicU64>,
}

// SAFETY: the mapping belongs to this value alone; what is in it is reached as an atomic only.
unsafe impl Send for Booking {}
// SAFETY: as for Send.
unsafe impl Sync for Booking {}

/// A link's memory, held by whoever starts the sources. Every process that is started while it is there
/// inherits its descriptor, under the same number.
#[derive(Debug)]
pub struct SharedLink(OwnedFd);

impl SharedLink {
    /// A link that is free now.
    ///
    /// # Errors
    /// If the kernel has no memory for it.
    pub fn new() -> Result<SharedLink> {
        // Not closed at an exec: that is how it reaches the hosts.
        let memory = memfd_create("migtax-link", MemfdFlags::empty());
        let memory = memory.map_err(refused)?;
        ftruncate(&memory, LEN as u64).map_err(refused)?;
        Ok(SharedLink(memory))
    }

    /// The number that the descriptor has here and in every process that inherits it.
    pub fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

impl Booking {
    /// Maps the memory behind an inherited descriptor.
    ///
    /// # Errors
    /// If there is no such descriptor, or it is that of no link.
    pub fn inherited(descriptor: i32) -> Result<Booking> {
        // Opened anew, so that whatever has the number now keeps it.
        let path = format!("/proc/self/fd/{descriptor}");
        let file = OpenOptions::new().read(true).write(true).open(path);
        let is_link = |file: &File| {
            file.metadata()
                .is_ok_and(|of| of.is_file() && of.len() == LEN as u64)
        };
        match file {
            Ok(file) if is_link(&file) => Booking::of(&file),
            _ => Err(Error::invalid(
                "spec.fleet.link",
                descriptor,
                "the inherited descriptor of a shared link",
            )),
        }
    }

    /// Maps a link's memory.
    fn of(memory: &impl AsFd) -> Result<Booking> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, wherever the kernel has room; nothing else is touched.
        let base = unsafe { mmap(ptr::null_mut(), LEN, access, MapFlags::SHARED, memory, 0) };
        let base = base.map_err(refused)?;
        let free_at = NonNull::new(base.cast());
        free_at
            .map(|free_at| Booking { free_at })
            .ok_or_else(|| Error::CannotRun("the kernel mapped a link at address 0".to_owned()))
    }

    /// When the link is free next, nanoseconds on the machine's monotonic clock.
    pub(super) fn free_at(&self) -> &AtomicU64 {
        // SAFETY: a page-aligned mapping that lives as long as this value, of a file that nobody shortens;
        // every process reaches it as an atomic.
        unsafe { self.free_at.as_ref() }
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no reference outlives it. A failure leaves a page mapped.
        let _ = unsafe { munmap(self.free_at.as_ptr().cast(), LEN) };
    }
}

fn refused(error: rustix::io::Errno) -> Error {
    Error::io("the memory of a shared link", error.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn all_that_map_a_link_see_one_number() {
        let link = SharedLink::new().unwrap();
        let bookings = [(); 2].map(|()| Booking::inherited(link.descriptor()).unwrap());
        bookings[0].free_at().store(7, Relaxed);
        assert_eq!(bookings[1].free_at().load(Relaxed), 7);
        drop(bookings);
        let again = Booking::inherited(link.descriptor()).unwrap();
        assert_eq!(again.free_at().load(Relaxed), 7);
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for descriptor in [-1, 0, 1, 999_999] {
            let error = Booking::inherited(descriptor).unwrap_err().to_string();
            assert!(error.contains("spec.fleet.link"), "{error}");
        }
    }
}
