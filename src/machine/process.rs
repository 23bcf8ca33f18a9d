//! What a process holds: memory, descriptors, threads.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What this process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holds {
    /// Open descriptors.
    pub descriptors: u32,
    /// Threads.
    pub threads: u32,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
}

impl Holds {
    /// Of this process now. What the kernel does not say is 0.
    pub fn of_this_process() -> Holds {
        let count = |folder: &str| fs::read_dir(folder).map_or(0, |entries| entries.count() as u32);
        Holds {
            // Without that of the listing itself.
            descriptors: count("/proc/self/fd").saturating_sub(1),
            threads: count("/proc/self/task"),
            resident_bytes: status(std::process::id(), "VmRSS:").unwrap_or(0),
        }
    }
}

/// A process and all below it, as they are now.
pub fn family(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        next += 1;
        let threads = fs::read_dir(format!("/proc/{parent}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            let ids = children.split_whitespace();
            all.extend(ids.filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    all
}

/// The most memory that a process has had resident, bytes; `None` once it is gone.
pub fn most_resident_bytes(process: u32) -> Option<u64> {
    status(process, "VmHWM:")
}

/// A size in `/proc/PID/status`, bytes.
fn status(process: u32, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Lets this process, and those it starts, have so many descriptors.
///
/// # Errors
/// If the system allows fewer, with both figures.
pub fn raise_descriptors(needed: u64) -> Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the call only writes the limit.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    if !known || limit.rlim_cur >= needed {
        return Ok(());
    }
    limit.rlim_cur = needed;
    // SAFETY: the call only reads the limit.
    let raised = limit.rlim_max >= needed
        && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0;
    Error::unless(
        raised,
        "guests",
        format_args!("{needed} open files needed"),
        format_args!("at most {}: raise the limit (ulimit -n)", limit.rlim_max),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_holds() {
        let before = Holds::of_this_process();
        let files: Vec<_> = (0..20)
            .map(|_| fs::File::open("/proc/self/stat").unwrap())
            .collect();
        let held = Holds::of_this_process();
        assert!(held.descriptors >= 20, "{held:?}");
        assert!(
            before.threads > 0 && before.resident_bytes > 0,
            "{before:?}"
        );
        assert!(most_resident_bytes(std::process::id()).unwrap() >= before.resident_bytes);
        assert_eq!(most_resident_bytes(u32::MAX / 2), None);
        drop(files);
    }

    #[test]
    fn more_descriptors_than_the_system_allows_are_refused_with_both_figures() {
        let error = raise_descriptors(u64::MAX / 4).unwrap_err().to_string();
        assert!(
            error.contains("4611686018427387903") && error.contains("at most "),
            "{error}"
        );
    }
}
