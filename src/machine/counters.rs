//! Hardware counters of a process through `perf_event_open`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::FromRawFd;

const TYPE_HARDWARE: u32 = 0;
const HW_CPU_CYCLES: u64 = 0;
const HW_INSTRUCTIONS: u64 = 1;

const FORMAT_TOTAL_TIME_ENABLED: u64 = 1;
const FORMAT_TOTAL_TIME_RUNNING: u64 = 2;
const FLAG_INHERIT: u64 = 1 << 1;
const FLAG_EXCLUDE_HV: u64 = 1 << 6;

/// The first version of `struct perf_event_attr`, which every kernel takes (linux/perf_event.h).
#[repr(C)]
#[derive(Debug, Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

/// Cycles and instructions of the calling thread and of the threads that are started after.
#[derive(Debug)]
pub struct Counters {
    cycles: Event,
    instructions: Event,
}

impl Counters {
    /// Begins to count. It costs every thread of the process its part of each context switch from then
    /// on, the same in every arm.
    ///
    /// # Errors
    /// Why this machine does not count: one line.
    pub fn open() -> Result<Counters, String> {
        let event = |config, what| {
            Event::open(TYPE_HARDWARE, config).map_err(|error| match error.raw_os_error() {
                Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => {
                    format!("the machine exposes no counter of {what}")
                }
                Some(libc::EACCES | libc::EPERM) => {
                    format!("counting {what} is not permitted: kernel.perf_event_paranoid of 1 or less, or CAP_PERFMON, permits it")
                }
                _ => format!("perf_event_open: {error}"),
            })
        };
        Ok(Counters {
            cycles: event(HW_CPU_CYCLES, "cycles")?,
            instructions: event(HW_INSTRUCTIONS, "instructions")?,
        })
    }

    /// Cycles and instructions so far; `None` if the counters were shared with others, so that some
    /// were missed.
    pub fn read(&self) -> Option<[u64; 2]> {
        Some([self.cycles.read()?, self.instructions.read()?])
    }
}

#[derive(Debug)]
struct Event(File);

impl Event {
    fn open(kind: u32, config: u64) -> io::Result<Event> {
        let attr = PerfEventAttr {
            kind,
            size: size_of::<PerfEventAttr>() as u32,
            config,
            read_format: FORMAT_TOTAL_TIME_ENABLED | FORMAT_TOTAL_TIME_RUNNING,
            flags: FLAG_INHERIT | FLAG_EXCLUDE_HV,
            ..PerfEventAttr::default()
        };
        const THIS_THREAD: libc::pid_t = 0;
        const ANY_CPU: libc::c_int = -1;
        const NO_GROUP: libc::c_int = -1;
        const CLOSE_ON_EXEC: libc::c_ulong = 8;
        // SAFETY: the structure is whole, says its size, and is only read during the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attr,
                THIS_THREAD,
                ANY_CPU,
                NO_GROUP,
                CLOSE_ON_EXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call returned a new descriptor, which nobody else has.
        Ok(Event(unsafe { File::from_raw_fd(fd as i32) }))
    }

    /// The count so far, over all threads.
    fn read(&self) -> Option<u64> {
        let mut words = [0; 24];
        (&self.0).read_exact(&mut words).ok()?;
        parse(&words)
    }
}

/// Count, time enabled, time running: a counter that did not run all the time has missed some.
fn parse(words: &[u8; 24]) -> Option<u64> {
    let word = |at: usize| u64::from_ne_bytes(words[at..at + 8].try_into().expect("8 bytes"));
    (word(8) == word(16)).then(|| word(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_missed_some_is_none() {
        let words = |count: u64, enabled: u64, running: u64| {
            let mut bytes = [0; 24];
            for (at, word) in [count, enabled, running].into_iter().enumerate() {
                bytes[at * 8..][..8].copy_from_slice(&word.to_ne_bytes());
            }
            bytes
        };
        assert_eq!(parse(&words(77, 1000, 1000)), Some(77));
        assert_eq!(parse(&words(77, 1000, 999)), None);
    }

    #[test]
    fn threads_that_are_started_later_are_counted_while_they_run() {
        // Page faults are counted by the kernel itself, so also where no hardware counts.
        const TYPE_SOFTWARE: u32 = 1;
        const SW_PAGE_FAULTS: u64 = 2;
        let Ok(event) = Event::open(TYPE_SOFTWARE, SW_PAGE_FAULTS) else {
            return; // not permitted here
        };
        let before = event.read().unwrap();
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    // More than the allocator keeps, so that it is faulted in.
                    drop(std::hint::black_box(vec![1_u8; 40 << 20]));
                    assert!(event.read().unwrap() > before);
                })
                .join()
                .unwrap();
        });
        assert!(event.read().unwrap() > before);
    }

    #[test]
    fn a_machine_without_counters_says_so() {
        if let Err(reason) = Counters::open() {
            assert!(
                !reason.contains('\n') && reason.contains("count"),
                "{reason}"
            );
        }
    }
}
