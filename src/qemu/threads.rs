//! CPU time of another process by thread, from outside.

use std::collections::BTreeMap;
use std::fs;

use crate::error::{Error, Result};
use crate::results::ThreadCpu;

/// What a QEMU thread does, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Executes the guest's instructions; not part of a migration's CPU time.
    Vcpu,
    /// Finds dirty pages; sends them, where there is a single channel.
    Migration,
    /// A channel of multifd.
    Multifd,
    /// Everything else: the main loop, which receives a single channel, and workers.
    Io,
}

impl Kind {
    fn of(name: &str) -> Kind {
        let is = |part| name.contains(part);
        match name {
            _ if name.starts_with("CPU ") => Kind::Vcpu,
            _ if is("multifd") || is("mig/src/send") || is("mig/dst/recv") => Kind::Multifd,
            _ if is("migration") || is("mig/src/main") => Kind::Migration,
            _ => Kind::Io,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Vcpu => "vcpu",
            Kind::Migration => "migration",
            Kind::Multifd => "multifd",
            Kind::Io => "io",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    kind: Kind,
    first_ns: u64,
    last_ns: u64,
    alive: bool,
}

/// CPU time that a process uses from the first look on.
#[derive(Debug)]
pub struct Threads {
    pid: u32,
    process_ns: u64,
    seen: BTreeMap<u32, Seen>,
}

/// What a process used.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Used {
    /// All threads but vCPUs, seconds, those that have ended included.
    pub total_s: f64,
    /// The vCPUs, seconds.
    pub vcpu_s: f64,
    /// The parts of `total_s`, by what threads do. Exact but for threads that ended since the look
    /// before: what they then used is shared among those that ended, by what they had used before.
    pub by_kind: Vec<ThreadCpu>,
}

impl Threads {
    /// Begins to count.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> Result<Threads> {
        let mut threads = Threads {
            pid,
            process_ns: process_ns(pid)?,
            seen: BTreeMap::new(),
        };
        threads.look();
        for seen in threads.seen.values_mut() {
            seen.first_ns = seen.last_ns;
        }
        Ok(threads)
    }

    /// Notes what each thread has used, so that little is unknown of those that end.
    pub fn look(&mut self) {
        self.seen.values_mut().for_each(|seen| seen.alive = false);
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid));
        for task in tasks.into_iter().flatten().flatten() {
            let path = task.path();
            let read = |file| fs::read_to_string(path.join(file)).ok();
            // "run_ns wait_ns slices" (Documentation/scheduler/sched-stats.rst)
            let id = task.file_name().to_str().and_then(|id| id.parse().ok());
            let ns = read("schedstat").and_then(|s| s.split(' ').next()?.parse().ok());
            if let (Some(id), Some(last_ns), Some(name)) = (id, ns, read("comm")) {
                let kind = Kind::of(name.trim_end());
                let new = Seen {
                    kind,
                    first_ns: 0,
                    last_ns,
                    alive: true,
                };
                let seen = self.seen.entry(id).or_insert(new);
                (seen.last_ns, seen.alive) = (last_ns, true);
                // A thread is named by itself, after it was started.
                seen.kind = kind;
            }
        }
    }

    /// What was used since the beginning.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn used(&mut self) -> Result<Used> {
        self.look();
        let all_ns = process_ns(self.pid)?.saturating_sub(self.process_ns);
        Ok(used(self.seen.values(), all_ns))
    }
}

fn used<'a>(seen: impl Iterator<Item = &'a Seen>, all_ns: u64) -> Used {
    let mut by_kind = BTreeMap::<Kind, (u64, u64)>::new();
    for thread in seen {
        let ns = thread.last_ns.saturating_sub(thread.first_ns);
        let (alive, ended) = by_kind.entry(thread.kind).or_default();
        *(if thread.alive { alive } else { ended }) += ns;
    }
    let known: u64 = by_kind.values().map(|(alive, ended)| alive + ended).sum();
    let all_ended: u64 = by_kind.values().map(|(_, ended)| ended).sum();
    let missing = all_ns.saturating_sub(known) as f64;
    let seconds = |(kind, (alive, ended)): (&Kind, &(u64, u64))| {
        let share = match all_ended {
            0 if *kind == Kind::Io => 1.0,
            0 => 0.0,
            all => *ended as f64 / all as f64,
        };
        (*kind, ((alive + ended) as f64 + missing * share) / 1e9)
    };
    let parts: Vec<(Kind, f64)> = by_kind.iter().map(seconds).collect();
    let vcpu = |(kind, _): &&(Kind, f64)| *kind == Kind::Vcpu;
    let vcpu_s = parts.iter().filter(vcpu).map(|(_, s)| s).sum();
    let others = parts.iter().filter(|part| !vcpu(part));
    Used {
        total_s: others.clone().map(|(_, s)| s).sum(),
        vcpu_s,
        by_kind: others
            .map(|(kind, cpu_s)| ThreadCpu {
                threads: kind.name().to_owned(),
                cpu_s: *cpu_s,
            })
            .collect(),
    }
}

/// CPU time of a process with all threads that it ever had, nanoseconds.
fn process_ns(pid: u32) -> Result<u64> {
    let mut clock = 0;
    // SAFETY: writes the clock's number to the place that it is given.
    let failed = unsafe { libc::clock_getcpuclockid(pid as i32, &mut clock) };
    if failed != 0 {
        let error = std::io::Error::from_raw_os_error(failed);
        return Err(Error::io(format!("CPU time of process {pid}"), error));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the structure that it is given.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        let error = std::io::Error::last_os_error();
        return Err(Error::io(format!("CPU time of process {pid}"), error));
    }
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_known_by_their_names() {
        for (name, kind) in [
            ("CPU 0/KVM", Kind::Vcpu),
            ("CPU 0/TCG", Kind::Vcpu),
            ("live_migration", Kind::Migration),
            ("mig/src/main", Kind::Migration),
            ("multifdsend_1", Kind::Multifd),
            ("multifdrecv_0", Kind::Multifd),
            ("mig/src/send_0", Kind::Multifd),
            ("mig/dst/recv_1", Kind::Multifd),
            ("qemu-system-x86", Kind::Io),
            ("IO mon_iothread", Kind::Io),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn what_ended_threads_used_unseen_is_theirs() {
        let thread = |kind, first_ns, last_ns, alive| Seen {
            kind,
            first_ns,
            last_ns,
            alive,
        };
        let threads = [
            thread(Kind::Vcpu, 100, 1_000_000_100, true),
            thread(Kind::Io, 0, 500_000_000, true),
            thread(Kind::Migration, 0, 3_000_000_000, false),
            thread(Kind::Multifd, 0, 1_000_000_000, false),
        ];
        let used = used(threads.iter(), 5_900_000_000);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a}, {b}");
        close(used.vcpu_s, 1.0);
        close(used.total_s, 4.9);
        let parts: Vec<f64> = used.by_kind.iter().map(|part| part.cpu_s).collect();
        close(parts[0], 3.3);
        close(parts[1], 1.1);
        close(parts[2], 0.5);
    }

    #[test]
    fn threads_that_have_ended_are_counted() {
        let mut threads = Threads::of(std::process::id()).unwrap();
        let burn = || {
            let began = std::time::Instant::now();
            while began.elapsed() < std::time::Duration::from_millis(30) {
                std::hint::black_box(0u64);
            }
        };
        std::thread::scope(|scope| scope.spawn(burn).join().unwrap());
        let used = threads.used().unwrap();
        assert!(used.total_s > 0.001, "{used:?}");
        // Beyond any number that the kernel gives.
        assert!(Threads::of(1 << 23).is_err());
    }
}
