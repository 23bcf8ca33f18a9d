//! The end of a process that may hold keys and can't unwind to where they are wiped: on a panic, or
//! when its coordinator is gone.
//!
//! Every place that holds key material is kept in mind here with what wipes it: locked memory, the
//! libraries' contexts, the stacks on which ciphers work. At such an end the other threads are
//! stopped first. Else one of them could seal a record with a key that is half zeros, and send it.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

/// Overwrites the key material at an address, of a length.
///
/// # Safety
/// The place must be one that was kept with it, and nobody may use it at the same time.
pub(super) type Wipe = unsafe fn(*mut u8, usize);

/// A place that holds key material.
struct Kept {
    start: usize,
    len: usize,
    wipe: Wipe,
}

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// Threads that stand still for good.
static STOPPED: AtomicUsize = AtomicUsize::new(0);

/// How long a thread may take to stop. Then the process ends without wiping, as if it was killed.
const PATIENCE: Duration = Duration::from_secs(1);

/// What stops a thread; nothing else uses it here.
const SIGNAL: c_int = libc::SIGUSR2;

fn kept() -> MutexGuard<'static, Vec<Kept>> {
    KEPT.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Keeps a place in mind until [`forget`]. It must stay writable until then.
pub(super) fn keep(start: *const u8, len: usize, wipe: Wipe) {
    kept().push(Kept {
        start: start as usize,
        len,
        wipe,
    });
}

/// The place at `start` holds no key material any more.
pub(super) fn forget(start: *const u8) {
    let mut kept = kept();
    let at = kept.iter().position(|kept| kept.start == start as usize);
    at.map(|at| kept.swap_remove(at));
}

/// Overwrites plain memory with zeros that the compiler may not leave out. A [`Wipe`].
pub(super) unsafe fn wipe_bytes(start: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: the caller's promise: `len` bytes from `start` are writable and nobody's now.
        unsafe { start.add(at).write_volatile(0) };
    }
}

/// Stops all other threads for good, wipes every key of the process, and ends it by `end`, which must
/// not allocate, lock or print through the standard library: stopped threads may hold what it
/// would wait for.
pub fn end_wiped(end: fn() -> !) -> ! {
    // From a thread of its own, so that this one's stack is wiped like any other.
    let helper = std::thread::Builder::new().spawn(move || {
        if let Some(kept) = stop_others() {
            for place in kept.iter() {
                let start = ptr::with_exposed_provenance_mut(place.start);
                // SAFETY: it was kept with this wipe and not forgotten, for which the lock is needed
                // that is held here; every other thread stands still.
                unsafe { (place.wipe)(start, place.len) };
            }
        }
        end()
    });
    match helper {
        Ok(_) => loop {
            std::thread::park();
        },
        Err(_) => end(),
    }
}

/// What is kept, with every other thread stopped; `None` if one does not stop in time. Afterwards
/// nothing may be allocated.
fn stop_others() -> Option<MutexGuard<'static, Vec<Kept>>> {
    let deadline = Instant::now() + PATIENCE;
    // Before a thread is stopped that may hold it.
    let kept = loop {
        match KEPT.try_lock() {
            Ok(kept) => break kept,
            Err(TryLockError::Poisoned(kept)) => break kept.into_inner(),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::yield_now();
            }
            Err(TryLockError::WouldBlock) => return None,
        }
    };
    // SAFETY: takes nothing, gives the caller's number.
    let own = unsafe { libc::gettid() };
    let others: Vec<i32> = std::fs::read_dir("/proc/self/task")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|thread| *thread != own)
        .collect();
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zero is a valid `sigaction`, whose fields are then set; the handler calls nothing
    // but what a signal handler may call.
    let installed = unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = stand_still as extern "C" fn(c_int) as usize;
        libc::sigfillset(&mut action.sa_mask);
        libc::sigaction(SIGNAL, action, ptr::null_mut())
    };
    if installed != 0 {
        return None;
    }
    // SAFETY: a number without memory.
    let process = unsafe { libc::getpid() };
    let mut stopping = 0;
    for thread in others {
        // SAFETY: a signal to a thread of this process, by its number.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGNAL) };
        // One that has ended meanwhile needs no stopping.
        stopping += usize::from(sent == 0);
    }
    while STOPPED.load(Ordering::SeqCst) < stopping {
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    Some(kept)
}

extern "C" fn stand_still(_: c_int) {
    STOPPED.fetch_add(1, Ordering::SeqCst);
    loop {
        // SAFETY: waits for a signal, and touches nothing.
        unsafe { libc::pause() };
    }
}
