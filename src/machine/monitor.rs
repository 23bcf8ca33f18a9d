//! What the machine did while a run was on: steal, and CPU taken by others.

use std::fs;
use std::mem::MaybeUninit;

/// A snapshot before a run; [`Monitor::finish`] gives what happened since.
#[derive(Debug, Clone)]
pub struct Monitor {
    machine: CpuTimes,
    own_s: f64,
    /// CPU seconds of this run that no process told of by the kernel as its own took.
    elsewhere_s: f64,
}

/// What the machine did between a monitor's start and its finish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// Share of CPU time stolen by the hypervisor, 0 to 1.
    pub steal_share: f64,
    /// Share of CPU time that neither this process nor its ended children took, nor what
    /// [`Monitor::leave_out`] was told of, 0 to 1.
    pub other_cpu_share: f64,
    /// One-minute load average now.
    pub load_after: f64,
}

/// The first line of `/proc/stat`, in ticks since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CpuTimes {
    busy: u64,
    idle: u64,
    steal: u64,
}

impl Monitor {
    /// Takes the snapshot.
    pub fn start() -> Monitor {
        Monitor {
            machine: read_cpu_times(),
            own_s: own_cpu_s(),
            elsewhere_s: 0.0,
        }
    }

    /// Counts CPU seconds of this machine as the run's own that none of its children took: those of
    /// a host that another program started, as sshd does.
    pub fn leave_out(&mut self, cpu_s: f64) {
        self.elsewhere_s += cpu_s;
    }

    /// What happened since the start. Children count as own once they have been waited for.
    pub fn finish(&self) -> Observed {
        observed(
            self.machine,
            read_cpu_times(),
            own_cpu_s() - self.own_s + self.elsewhere_s,
            rustix::param::clock_ticks_per_second() as f64,
            load_average(),
        )
    }
}

fn observed(
    before: CpuTimes,
    after: CpuTimes,
    own_s: f64,
    ticks_per_s: f64,
    load_after: f64,
) -> Observed {
    let since = |field: fn(&CpuTimes) -> u64| field(&after).saturating_sub(field(&before)) as f64;
    let (busy, steal) = (since(|t| t.busy), since(|t| t.steal));
    let all = (busy + since(|t| t.idle) + steal).max(1.0);
    Observed {
        steal_share: steal / all,
        other_cpu_share: ((busy - own_s * ticks_per_s) / all).clamp(0.0, 1.0),
        load_after,
    }
}

/// The one-minute load average; 0 where it can't be read.
pub(super) fn load_average() -> f64 {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

fn read_cpu_times() -> CpuTimes {
    fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|text| parse_cpu_times(&text))
        .unwrap_or_default()
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`; the guests' time is
/// already within user and nice (proc_stat(5)).
fn parse_cpu_times(stat: &str) -> Option<CpuTimes> {
    let line = stat.lines().find(|l| l.starts_with("cpu "))?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .map_while(|t| t.parse().ok())
        .collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
    (ticks.len() >= 4).then(|| CpuTimes {
        busy: at(0) + at(1) + at(2) + at(5) + at(6),
        idle: at(3) + at(4),
        steal: at(7),
    })
}

/// CPU seconds of this process and of its ended children.
fn own_cpu_s() -> f64 {
    usage_s(libc::RUSAGE_SELF) + children_cpu_s()
}

/// CPU seconds of this process's children that have ended and been waited for, and of theirs.
pub fn children_cpu_s() -> f64 {
    usage_s(libc::RUSAGE_CHILDREN)
}

fn usage_s(who: libc::c_int) -> f64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole rusage, zeroed, which the call only fills in.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_from_the_first_line_of_proc_stat() {
        let before = parse_cpu_times("cpu  100 0 50 800 10 1 2 5 0 0\ncpu0 1 2 3 4\n").unwrap();
        assert_eq!(
            before,
            CpuTimes {
                busy: 153,
                idle: 810,
                steal: 5
            }
        );
        let after = CpuTimes {
            busy: 253,
            idle: 900,
            steal: 15,
        };
        let got = observed(before, after, 0.8, 100.0, 1.5);
        assert!((got.steal_share - 0.05).abs() < 1e-12, "{got:?}");
        assert!((got.other_cpu_share - 0.1).abs() < 1e-12, "{got:?}");
        assert_eq!(parse_cpu_times("intr 5"), None);
    }

    #[test]
    fn what_another_program_started_for_the_run_is_not_counted_as_others() {
        let whole_s = |monitor: &Monitor| own_cpu_s() - monitor.own_s + monitor.elsewhere_s;
        let mut monitor = Monitor::start();
        monitor.leave_out(2.5);
        monitor.leave_out(0.5);
        assert!((3.0..3.0 + 60.0).contains(&whole_s(&monitor)));
    }

    #[test]
    fn own_cpu_is_not_counted_as_others() {
        let before = own_cpu_s();
        let mut x = 1u64;
        while own_cpu_s() - before < 0.01 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        let seen = Monitor::start().finish();
        assert!((0.0..=1.0).contains(&seen.other_cpu_share));
        assert!((0.0..=1.0).contains(&seen.steal_share));
    }
}
