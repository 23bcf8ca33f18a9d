//! The userfaultfd tracker: the kernel write-protects guest memory and lifts the protection of a
//! page by itself at the first write (`UFFD_FEATURE_WP_ASYNC`, Linux 6.7); PAGEMAP_SCAN finds the
//! pages without protection and protects them again in the same walk.
//!
//! Nothing is instrumented: writes by system calls and by the device model are found as well, and a
//! vCPU pays a page fault at the first write to a page after each harvest.
//!
//! # No write is lost
//!
//! PAGEMAP_SCAN holds the page-table lock over testing a page and protecting it, and flushes the
//! translation caches before it returns. A write that got in through a stale translation was made
//! before the return, so whoever reads the page after the harvest sees it; one after it faults and
//! lifts the protection, which the next harvest finds.
//!
//! # Transparent huge pages
//!
//! A huge page is protected as a whole. The first write to it splits its mapping into 4 KiB pages
//! and lifts the protection of the one page that is written, so tracking stays exact to 4 KiB, and
//! that one write bears the cost of the split. A mapping that was split stays so while one of its
//! pages is protected. A guest that writes everywhere therefore has small pages from the first
//! round on; one that is clean keeps its huge pages, and a walk over them takes less than a
//! tenth of the time (`benches/tracking.rs`).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use super::tracker::{Tracker, TrackerKind, not_started};
use super::uapi::{self, PageRegion, PmScanArg, UffdioApi, UffdioRange, UffdioRegister};
use crate::error::{Error, Result};
use crate::memory::{GuestMemory, PageRun, RunBuilder};
use crate::units::{PAGE_SIZE, Size};

/// Regions that one system call may return: 96 KiB. A random dirty set has a region per page.
const REGIONS: usize = 4096;

const FEATURES: u64 = uapi::UFFD_FEATURE_PAGEFAULT_FLAG_WP
    | uapi::UFFD_FEATURE_WP_UNPOPULATED
    | uapi::UFFD_FEATURE_WP_ASYNC;

/// The tracker; the module says how it works.
#[derive(Debug)]
pub struct Userfaultfd {
    memory: Arc<GuestMemory>,
    uffd: OwnedFd,
    pagemap: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    registered: bool,
    regions: Vec<PageRegion>,
}

impl Userfaultfd {
    /// Opens a tracker over `memory`, which is not touched before it is started.
    ///
    /// # Errors
    /// Why this machine lacks it: one line.
    pub fn open(memory: &Arc<GuestMemory>) -> Result<Userfaultfd, String> {
        let host_page = rustix::param::page_size();
        if host_page != PAGE_SIZE {
            return Err(format!(
                "host pages of {host_page} bytes, {PAGE_SIZE} needed"
            ));
        }
        let uffd = uapi::userfaultfd().map_err(|error| match error.raw_os_error() {
            Some(libc::ENOSYS) => "kernel built without userfaultfd".to_owned(),
            _ => format!("userfaultfd refused: {error}"),
        })?;
        let mut api = UffdioApi {
            api: uapi::UFFD_API,
            features: FEATURES,
            ioctls: 0,
        };
        // SAFETY: UFFDIO_API passes this structure, which holds no address.
        unsafe { uapi::ioctl(uffd.as_fd(), uapi::UFFDIO_API, &mut api) }.map_err(|error| {
            match error.raw_os_error() {
                Some(libc::EINVAL) => {
                    "kernel lacks asynchronous write protection (Linux 6.7)".to_owned()
                }
                _ => format!("UFFDIO_API: {error}"),
            }
        })?;
        let pagemap = File::open("/proc/self/pagemap")
            .map_err(|error| format!("cannot open /proc/self/pagemap: {error}"))?;
        Ok(Userfaultfd {
            memory: Arc::clone(memory),
            uffd,
            pagemap,
            state: Mutex::new(State {
                registered: false,
                regions: vec![PageRegion::default(); REGIONS],
            }),
        })
    }

    fn range(&self) -> UffdioRange {
        UffdioRange {
            start: self.memory.base_ptr() as u64,
            len: self.memory.len() as u64,
        }
    }

    fn register(&self) -> io::Result<()> {
        let mut register = UffdioRegister {
            range: self.range(),
            mode: uapi::UFFDIO_REGISTER_MODE_WP,
            ioctls: 0,
        };
        // SAFETY: UFFDIO_REGISTER passes this structure; the range is guest memory, all of it.
        // Registering changes no content.
        unsafe { uapi::ioctl(self.uffd.as_fd(), uapi::UFFDIO_REGISTER, &mut register) }.map(drop)
    }

    /// Walks the page table once: write-protects every page that lacks protection and, if there is
    /// room for `regions`, tells `found` which those were, ascending. Without, the walk is all
    /// there is to do, and takes half the time of `UFFDIO_WRITEPROTECT`.
    fn scan(
        &self,
        regions: &mut [PageRegion],
        mut found: impl FnMut(&PageRegion),
    ) -> io::Result<()> {
        let range = self.range();
        let mut scan = PmScanArg {
            size: size_of::<PmScanArg>() as u64,
            flags: uapi::PM_SCAN_WP_MATCHING | uapi::PM_SCAN_CHECK_WPASYNC,
            start: range.start,
            end: range.start + range.len,
            // Exactly these two masks put the kernel on its short path over the page table.
            category_mask: uapi::PAGE_IS_WRITTEN,
            return_mask: uapi::PAGE_IS_WRITTEN,
            ..PmScanArg::default()
        };
        if !regions.is_empty() {
            scan.vec = regions.as_mut_ptr() as u64;
            scan.vec_len = regions.len() as u64;
        }
        while scan.start < scan.end {
            // SAFETY: PAGEMAP_SCAN passes this structure; `vec` and `vec_len` are a live array of
            // regions that nobody else uses, or nothing; protecting changes no content.
            let count =
                unsafe { uapi::ioctl(self.pagemap.as_fd(), uapi::PAGEMAP_SCAN, &mut scan) }?;
            regions[..count as usize].iter().for_each(&mut found);
            if scan.walk_end <= scan.start {
                return Err(io::Error::other("PAGEMAP_SCAN made no progress"));
            }
            scan.start = scan.walk_end;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is valid between any two statements, so a panic elsewhere changes nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(what: &str) -> impl FnOnce(io::Error) -> Error {
    let context = format!("tracker userfaultfd cannot {what}");
    move |error| Error::io(context, error)
}

impl Tracker for Userfaultfd {
    fn kind(&self) -> TrackerKind {
        TrackerKind::Userfaultfd
    }

    fn start(&self) -> Result<()> {
        let mut state = self.lock();
        if !state.registered {
            self.register().map_err(refused("register guest memory"))?;
            state.registered = true;
        }
        self.scan(&mut [], |_| {})
            .map_err(refused("write-protect guest memory"))
    }

    #[inline]
    fn mark(&self, _page: u64) {}

    fn harvest(&self, into: &mut Vec<PageRun>) -> Result<u64> {
        let state = &mut *self.lock();
        if !state.registered {
            return Err(not_started(self.kind()));
        }
        let mut runs = RunBuilder::new(into);
        let base = self.range().start;
        self.scan(&mut state.regions, |region| {
            let page = PAGE_SIZE as u64;
            runs.push(
                (region.start - base) / page,
                (region.end - region.start) / page,
            );
        })
        .map_err(refused("scan the page table"))?;
        Ok(runs.finish())
    }

    fn stop(&self) -> Result<()> {
        let mut state = self.lock();
        if state.registered {
            // SAFETY: UFFDIO_UNREGISTER passes this structure; the range was registered.
            unsafe {
                uapi::ioctl(
                    self.uffd.as_fd(),
                    uapi::UFFDIO_UNREGISTER,
                    &mut self.range(),
                )
            }
            .map_err(refused("release guest memory"))?;
            state.registered = false;
        }
        Ok(())
    }
}

/// Tries the tracker on one page.
///
/// # Errors
/// Why this machine lacks it: one line.
pub fn probe() -> Result<(), String> {
    let memory = GuestMemory::new(Size(PAGE_SIZE as u64), false).map_err(|e| e.to_string())?;
    let memory = Arc::new(memory);
    let tracker = Userfaultfd::open(&memory)?;
    let mut runs = Vec::new();
    let tracked = tracker.start().and_then(|()| {
        memory.write_word(0, 0, 1);
        tracker.harvest(&mut runs)
    });
    match tracked {
        Ok(1) => Ok(()),
        Ok(pages) => Err(format!("one page was written, {pages} were found")),
        Err(error) => Err(error.to_string()),
    }
}
