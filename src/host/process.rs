//! The host process itself: its threads, CPUs, resident memory and locked keys.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::crypto;
use crate::error::{Error, ExitCode, Result};
use crate::memory::GuestMemory;
use crate::results::Warning;

/// Starts the threads that fill and hash memory: after the switchover the lack of one could no longer
/// be an error. They keep to the CPUs that the process was pinned to before.
///
/// # Errors
/// If the system has no room for them.
pub fn start_threads() -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .build_global()
        .map_err(|error| Error::CannotRun(format!("starting threads: {error}")))
}

/// What the calling thread, and those it starts, are kept to, and what it might have used before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pinned(Option<[CpuSet; 2]>);

impl Pinned {
    /// Does something without being kept to the CPUs: threads that it starts may use any.
    pub fn freed<T>(self, work: impl FnOnce() -> T) -> T {
        let Some([before, held]) = self.0 else {
            return work();
        };
        // Both were in force before, so neither is refused.
        let _ = sched_setaffinity(None, &before);
        let done = work();
        let _ = sched_setaffinity(None, &held);
        done
    }
}

/// Keeps the calling thread, and those it starts, to some CPUs; to any if there are none.
///
/// # Errors
/// If a CPU does not exist or may not be used.
pub fn pin(cpus: &[usize]) -> Result<Pinned> {
    if cpus.is_empty() {
        return Ok(Pinned::default());
    }
    let before = sched_getaffinity(None)
        .map_err(|error| Error::io("asking for this process's CPUs", error.into()))?;
    let mut set = CpuSet::new();
    for cpu in cpus {
        if *cpu >= CpuSet::MAX_CPU {
            return Err(Error::invalid("pin", cpu, "no such CPU"));
        }
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).map_err(|error| {
        Error::invalid(
            "pin",
            format!("{cpus:?}"),
            format!(
                "CPUs that this process may use ({})",
                std::io::Error::from(error)
            ),
        )
    })?;
    Ok(Pinned(Some([before, set])))
}

/// Resident memory of this process beyond guest memory, bytes; 0 if the kernel does not say.
pub fn resident_beyond(memory: &GuestMemory) -> u64 {
    let resident = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| {
            let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
            Some(pages * crate::units::PAGE_SIZE as u64)
        });
    resident
        .unwrap_or(0)
        .saturating_sub(memory.resident_bytes())
}

/// Ends the process at once, without what the standard library does at an exit; see
/// [`crypto::end_wiped`].
pub fn end() -> ! {
    // SAFETY: ends the process; nothing runs afterwards.
    unsafe { libc::_exit(ExitCode::CannotRun as i32) }
}

/// What is to be said if a process of that role could not lock all memory that held the key of a
/// sealed migration.
pub fn unlocked_keys(role: &str, sealed: bool) -> Option<Warning> {
    (sealed && !crypto::keys_are_locked()).then(|| Warning {
        code: "unlocked_keys".to_owned(),
        message: format!(
            "the {role} could not lock all memory that held keys: some may be swapped out"
        ),
        remedy: "raise the limit of locked memory (ulimit -l), or turn swap off".to_owned(),
    })
}
