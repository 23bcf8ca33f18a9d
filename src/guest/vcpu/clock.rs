//! Clocks, and the sleep of a vCPU.

use std::num::{NonZeroU32, NonZeroU64};
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;

use rustix::io::Errno;
use rustix::thread::{Timespec, futex, set_current_timer_slack};

const NANOS: u64 = 1_000_000_000;

/// The monotonic clock, nanoseconds: the clock of [`std::time::Instant`], as a number.
#[inline]
pub(super) fn monotonic_ns() -> u64 {
    read_ns(libc::CLOCK_MONOTONIC)
}

/// A clock that is known to exist.
#[inline]
fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the structure that it is given. It fails only for a clock that does not
    // exist; the time is then 0.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * NANOS + time.tv_nsec as u64
}

/// The CPU clock of another thread.
#[derive(Debug)]
pub(super) struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    /// The clock of a thread that has not been joined. It reads 0 once the thread has ended.
    pub(super) fn of<T>(thread: &JoinHandle<T>) -> ThreadClock {
        let mut clock = 0;
        // SAFETY: the handle is that of a thread which was not joined, so it is valid.
        unsafe {
            libc::pthread_getcpuclockid(thread.as_pthread_t() as libc::pthread_t, &mut clock)
        };
        ThreadClock(clock)
    }

    pub(super) fn read_ns(&self) -> u64 {
        read_ns(self.0)
    }
}

/// How a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The time has come.
    Due,
    /// Something else happened, or nothing: look again.
    Early,
}

/// Sleeps until `until_ns` on the monotonic clock (for ever if `None`), or until `word` no longer
/// holds `expected` and [`wake_all`] was called. One system call: the timer has the kernel's
/// precision and a change of the word ends the sleep at once.
pub(super) fn sleep(word: &AtomicU32, expected: u32, until_ns: Option<u64>) -> Woken {
    let until = until_ns.map(|ns| Timespec {
        tv_sec: (ns / NANOS) as i64,
        tv_nsec: (ns % NANOS) as i64,
    });
    let flags = futex::Flags::PRIVATE;
    match futex::wait_bitset(word, flags, expected, until.as_ref(), NonZeroU32::MAX) {
        Err(Errno::TIMEDOUT) => Woken::Due,
        _ => Woken::Early,
    }
}

/// Ends every sleep on `word`.
pub(super) fn wake_all(word: &AtomicU32) {
    // It can't fail on a word of this process.
    let _ = futex::wake(word, futex::Flags::PRIVATE, i32::MAX as u32);
}

/// Lets this thread's timers be as exact as the hardware's: by default the kernel may be 50 us late.
pub(super) fn exact_timers() {
    // A kernel that refuses leaves things as they were.
    let _ = set_current_timer_slack(Some(NonZeroU64::MIN));
}

/// Page faults that the kernel resolved for a thread of this process without I/O; those that lift a
/// page's write protection are among them. 0 if the kernel does not say.
pub(super) fn minor_faults(thread_id: i32) -> u64 {
    std::fs::read_to_string(format!("/proc/self/task/{thread_id}/stat"))
        .ok()
        .and_then(|stat| parse_minor_faults(&stat))
        .unwrap_or(0)
}

/// `pid (comm) state ppid pgrp session tty_nr tpgid flags minflt ...`, and `comm` may hold anything
/// (proc_pid_stat(5)).
fn parse_minor_faults(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::memory::{GuestMemory, Pages, Presence};
    use crate::units::{PAGE_SIZE, Size};

    #[test]
    fn faults_are_read_after_the_name_whatever_it_holds() {
        let stat = "123 (vcpu) 0) S 1 2 3 0 -1 4194368 4567 8 9 10 11 12\n";
        assert_eq!(parse_minor_faults(stat), Some(4567));
        assert_eq!(parse_minor_faults("123 (vcpu-0) S 1 2"), None);
        assert_eq!(parse_minor_faults(""), None);
    }

    #[test]
    fn the_faults_of_a_thread_are_its_own() {
        const PAGES: usize = 2000;
        let own = || rustix::thread::gettid().as_raw_nonzero().get();
        let before = minor_faults(own());
        std::thread::scope(|scope| {
            let toucher = scope.spawn(|| {
                let before = minor_faults(own());
                // A mapping of its own: what an allocator gives may have been touched before.
                let size = Size((PAGES * PAGE_SIZE) as u64);
                let memory = GuestMemory::backed(size, Pages::Small, Presence::OnDemand).unwrap();
                (0..memory.pages()).for_each(|page| memory.write_word(page, 0, 1));
                minor_faults(own()) - before
            });
            assert!(toucher.join().unwrap() >= PAGES as u64);
        });
        assert!(minor_faults(own()) - before < PAGES as u64 / 2);
    }

    #[test]
    fn a_sleep_ends_at_its_time_or_when_the_word_changes() {
        let word = AtomicU32::new(1);
        let until = monotonic_ns() + 2_000_000;
        // A sleep may end early for no reason, never as due.
        while sleep(&word, 1, Some(until)) == Woken::Early {}
        assert!(monotonic_ns() >= until);
        assert_eq!(sleep(&word, 2, None), Woken::Early, "the word differs");
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                while word.load(Relaxed) == 1 {
                    sleep(&word, 1, None);
                }
            });
            word.store(0, Relaxed);
            wake_all(&word);
            sleeper.join().unwrap();
        });
    }

    #[test]
    fn thread_clocks_count_that_thread_alone() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let start = read_ns(libc::CLOCK_THREAD_CPUTIME_ID);
            while read_ns(libc::CLOCK_THREAD_CPUTIME_ID) < start + 1_000_000 {}
            tell.send(read_ns(libc::CLOCK_THREAD_CPUTIME_ID)).unwrap();
            let _ = ended.recv();
        });
        let clock = ThreadClock::of(&thread);
        let own = told.recv().unwrap();
        let seen = clock.read_ns();
        assert!(own >= 1_000_000 && seen >= own && seen < own + 1_000_000_000);
        drop(end);
        thread.join().unwrap();
    }
}
