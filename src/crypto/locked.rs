//! Memory for secrets: locked, left out of core dumps, wiped before it goes back to the kernel.

use std::cell::RefCell;
use std::ffi::c_void;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use rustix::param::page_size;

use zeroize::Zeroize;

use super::ending::{forget, keep, wipe_bytes};
use crate::error::{Error, Result};

/// Whether the kernel refused to lock some memory.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether the kernel locked all memory that this process has given to keys. An unprivileged
/// process may reach its limit (`ulimit -l`); it goes on then.
pub fn keys_are_locked() -> bool {
    !REFUSED.load(Ordering::Relaxed)
}

/// A private anonymous mapping of whole pages, nobody else's, unmapped on drop.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone; nothing about it is tied to a thread.
unsafe impl Send for Mapping {}
// SAFETY: a shared `Mapping` gives out no access to the memory.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(bytes: usize) -> Result<Self> {
        let length = whole_pages(bytes);
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no
        // existing memory.
        let start = unsafe {
            let access = ProtFlags::READ | ProtFlags::WRITE;
            mmap_anonymous(ptr::null_mut(), length, access, MapFlags::PRIVATE)
        }
        .map_err(|error| Error::io("cannot map memory for a key", error.into()))?;
        // Each is best effort: an unprivileged process may have used up what it may lock, and a
        // migration with a key in swappable memory is better than none. The results say so.
        // SAFETY: the range is exactly the mapping made above; neither call unmaps it.
        unsafe {
            let _ = madvise(start, length, Advice::LinuxDontDump);
            let _ = madvise(start, length, Advice::LinuxWipeOnFork);
        }
        lock(start, length);
        let start = NonNull::new(start.cast()).ok_or_else(|| {
            Error::CannotRun("the kernel mapped memory for a key at address 0".to_owned())
        })?;
        keep(start.as_ptr(), length, wipe_bytes);
        Ok(Mapping { start, length })
    }

    /// Overwrites all of it with zeros that the compiler may not leave out.
    fn wipe(&mut self) {
        // SAFETY: the mapping is writable for its length, and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }.zeroize();
    }
}

/// Memory for a library that keeps secrets in what it allocates: mappings as above, of whole pages,
/// given back through [`give_back`]. `None` if there is no memory.
pub(crate) fn lend(bytes: usize) -> Option<(NonNull<u8>, usize)> {
    let mapping = std::mem::ManuallyDrop::new(Mapping::new(bytes).ok()?);
    Some((mapping.start, mapping.length))
}

/// Overwrites and unmaps what was lent.
///
/// # Safety
/// `start` must be what one call of [`lend`] gave, `bytes` the length that it was asked for or gave, or
/// anything between; not given back before, and no longer in use.
pub(crate) unsafe fn give_back(start: NonNull<u8>, bytes: usize) {
    let length = whole_pages(bytes);
    let mut mapping = Mapping { start, length };
    mapping.wipe();
}

/// Bytes of the pages that hold so many: one page at least.
fn whole_pages(bytes: usize) -> usize {
    bytes.max(1).next_multiple_of(page_size())
}

impl Drop for Mapping {
    fn drop(&mut self) {
        forget(self.start.as_ptr());
        // SAFETY: the range was mapped by `new` and is unmapped nowhere else. Unmapping unlocks.
        unsafe {
            let _ = munmap(self.start.as_ptr().cast(), self.length);
        }
    }
}

/// A value in locked memory of its own. On drop the value is dropped, then every byte of its pages
/// is overwritten.
pub(crate) struct Locked<T> {
    mapping: Mapping,
    marker: std::marker::PhantomData<T>,
}

impl<T> Locked<T> {
    /// Makes the value straight into locked memory, as far as the compiler builds in place; what
    /// it leaves on the stack is scrubbed.
    ///
    /// # Errors
    /// If the kernel has no memory to map. Memory that can't be locked is no error; see
    /// [`keys_are_locked`].
    pub(crate) fn new_with(make: impl FnOnce() -> T) -> Result<Self> {
        let locked = Self::build(make);
        scrub_stack();
        locked
    }

    /// In a frame of its own, so that `new_with` can scrub it.
    #[inline(never)]
    fn build(make: impl FnOnce() -> T) -> Result<Self> {
        const { assert!(align_of::<T>() <= 4096) };
        let mapping = Mapping::new(size_of::<T>())?;
        // SAFETY: the mapping is writable, at least as large as `T`, aligned to a page, and holds
        // no value yet.
        unsafe { mapping.start.cast::<T>().write(make()) };
        Ok(Locked {
            mapping,
            marker: std::marker::PhantomData,
        })
    }

    /// Drops the value and wipes its memory. Must be the last use of the value.
    fn end(&mut self) {
        // SAFETY: `new_with` wrote a value there; both callers end the life of `self` afterwards.
        unsafe { self.mapping.start.cast::<T>().drop_in_place() };
        self.mapping.wipe();
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: `new_with` wrote a value there that lives as long as `self`.
        unsafe { self.mapping.start.cast::<T>().as_ref() }
    }
}

impl<T> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { self.mapping.start.cast::<T>().as_mut() }
    }
}

// SAFETY: `Locked<T>` owns its `T` as a `Box` does.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Locked<T> {}

/// Locks the pages that hold a range of somebody else's memory and leaves them out of core dumps,
/// where the kernel allows. They stay so: other secrets may lie on the same pages.
pub(crate) fn protect(start: *const u8, length: usize) {
    let page = page_size();
    let first = start as usize / page * page;
    let end = (start as usize + length).next_multiple_of(page);
    let (first, length) = (first as *mut c_void, end - first);
    // SAFETY: leaving pages out of dumps changes no content and no mapping; pages that are not
    // mapped are an error that the kernel reports.
    let _ = unsafe { madvise(first, length, Advice::LinuxDontDump) };
    lock(first, length);
}

/// Locks pages, and remembers if the kernel refuses.
fn lock(first: *mut c_void, length: usize) {
    // SAFETY: locking pages changes no content and no mapping; pages that are not mapped are an
    // error that the kernel reports.
    if unsafe { mlock(first, length) }.is_err() {
        REFUSED.store(true, Ordering::Relaxed);
    }
}

/// Overwrites the stack below the caller, where the ciphers' functions had their frames: key
/// schedules are built there before they are moved, and copied per record.
///
/// Runs when a key is set up and when a context ends, never per record. Threads that don't drop the
/// `Sealer` or `Opener` that they used call it themselves.
pub fn scrub_stack() {
    overwrite_stack();
}

/// Locks the stack below the caller, where the ciphers' functions will have their frames, and
/// leaves it out of core dumps, where the kernel allows. It stays so.
pub fn guard_stack() {
    // Written first: the main thread's stack grows only when it is used.
    let start = overwrite_stack();
    protect(start, STACK_BYTES);
    // A thread guards one stretch, the last one.
    GUARDED.with(|guarded| guarded.replace(Some(Guarded::new(start))));
}

thread_local! {
    static GUARDED: RefCell<Option<Guarded>> = const { RefCell::new(None) };
}

/// The stack of a thread on which ciphers work, for as long as the thread lives.
struct Guarded(*const u8);

impl Guarded {
    fn new(start: *const u8) -> Self {
        keep(start, STACK_BYTES, wipe_bytes);
        Guarded(start)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        forget(self.0);
    }
}

/// More stack than keys are moved over, from the caller of a cipher down; 12 KiB were seen.
const STACK_BYTES: usize = 64 << 10;

/// Checks, in a debug build, that a cipher called here has its frames where this thread's stack is guarded, if it is.
pub fn check_guarded() {
    if cfg!(debug_assertions) {
        let here = 0u8;
        let at = std::ptr::from_ref(&here) as usize;
        GUARDED.with(|guarded| {
            if let Some(Guarded(start)) = &*guarded.borrow() {
                let room = at.checked_sub(*start as usize);
                let enough = room.is_some_and(|room| (CIPHER_BYTES..STACK_BYTES).contains(&room));
                assert!(
                    enough,
                    "a cipher's frames lie outside the guarded stack: {room:?} bytes are left"
                );
            }
        });
    }
}

/// What a cipher's frames take at most: 12 KiB were seen.
const CIPHER_BYTES: usize = 16 << 10;

/// Where the overwritten stack begins: an address to lock, not to read.
#[inline(never)]
fn overwrite_stack() -> *const u8 {
    let mut frame = std::mem::MaybeUninit::<[u8; STACK_BYTES]>::uninit();
    // Words as bytes, because the array may start anywhere.
    let start = frame.as_mut_ptr().cast::<[u8; 8]>();
    for at in 0..STACK_BYTES / 8 {
        // SAFETY: `at` stays within the local array.
        unsafe { start.add(at).write_volatile([0; 8]) };
    }
    std::hint::black_box(&mut frame).as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<T> Locked<T> {
        /// Drops the value and wipes its memory, which stays mapped until the result is dropped.
        pub(crate) fn into_wiped(self) -> Mapping {
            let mut this = std::mem::ManuallyDrop::new(self);
            this.end();
            // SAFETY: `this` is never dropped and not used again, so the mapping has one owner.
            unsafe { ptr::read(&this.mapping) }
        }
    }

    #[test]
    fn memory_is_wiped_before_it_is_unmapped() {
        let secret = Locked::new_with(|| [0xA5u8; 100]).unwrap();
        let at: *const u8 = secret.as_ptr();
        assert_eq!(*secret, [0xA5; 100]);
        let mapping = secret.into_wiped();
        for offset in 0..mapping.length {
            // SAFETY: `mapping` still owns the pages, and nothing else writes them.
            assert_eq!(unsafe { at.add(offset).read_volatile() }, 0, "{offset}");
        }
    }

    #[test]
    fn what_was_lent_goes_back_whole_by_either_length() {
        for bytes in [0, 1, 100, 4096, 4097, 100_000] {
            let (start, length) = lend(bytes).unwrap();
            assert!(length >= bytes.max(1) && length.is_multiple_of(page_size()));
            assert_eq!((whole_pages(bytes), whole_pages(length)), (length, length));
            // SAFETY: lent just now, and nobody uses it.
            unsafe { give_back(start, bytes) };
        }
    }

    #[test]
    fn a_value_is_dropped_once() {
        let counted = std::rc::Rc::new(());
        drop(Locked::new_with(|| counted.clone()).unwrap());
        assert_eq!(std::rc::Rc::strong_count(&counted), 1);
        drop(Locked::new_with(|| counted.clone()).unwrap().into_wiped());
        assert_eq!(std::rc::Rc::strong_count(&counted), 1);
    }

    #[test]
    fn locked_pages_show_in_the_memory_map() {
        let secret = Locked::new_with(|| [1u8; 32]).unwrap();
        let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else {
            return;
        };
        let at = secret.as_ptr() as usize;
        let mut inside = false;
        let mut flags = None;
        for line in maps.lines() {
            if let Some((range, _)) = line.split_once(' ')
                && let Some((first, end)) = range.split_once('-')
                && let (Ok(first), Ok(end)) = (
                    usize::from_str_radix(first, 16),
                    usize::from_str_radix(end, 16),
                )
            {
                inside = (first..end).contains(&at);
            } else if inside && let Some(found) = line.strip_prefix("VmFlags:") {
                flags = Some(found.split_whitespace().collect::<Vec<_>>());
            }
        }
        let flags = flags.expect("the mapping is in the map");
        assert!(flags.contains(&"dd"), "not left out of dumps: {flags:?}");
        assert!(flags.contains(&"wf"), "not wiped on fork: {flags:?}");
        assert!(flags.contains(&"lo") || !keys_are_locked(), "{flags:?}");
    }
}
