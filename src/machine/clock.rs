//! CPU clocks, and what reading one costs.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// What this process counts a read of the thread CPU clock as.
static READ_NS: OnceLock<f64> = OnceLock::new();

/// CPU time of the calling thread, nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    clock_ns(ClockId::ThreadCPUTime)
}

/// CPU time of the process, all its threads, ended ones included, nanoseconds.
pub fn process_cpu_ns() -> u64 {
    clock_ns(ClockId::ProcessCPUTime)
}

/// CPU time of another process, all its threads, ended ones included, nanoseconds; `None` once it is gone.
pub fn cpu_ns_of(process: u32) -> Option<u64> {
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both calls only write to what they are given, which is as large as they expect.
    let known = unsafe {
        libc::clock_getcpuclockid(process as libc::pid_t, &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    known.then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

fn clock_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Cost of one read of the thread CPU clock, whole nanoseconds: measured at the first call, or what
/// [`adopt_read_ns`] was given before. It is what results record and what meters subtract.
pub fn thread_clock_read_ns() -> f64 {
    *READ_NS.get_or_init(measure_read_ns)
}

/// From now on a read counts as `ns` in this process: a host takes the figure that its coordinator
/// records. It stays what it is if it was measured or given before.
pub fn adopt_read_ns(ns: f64) {
    READ_NS.get_or_init(|| ns);
}

/// The fastest of several batches.
fn measure_read_ns() -> f64 {
    const READS: u32 = 200;
    let batch = || {
        let start = Instant::now();
        for _ in 0..READS {
            black_box(thread_cpu_ns());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(READS)
    };
    (0..10)
        .map(|_| batch())
        .fold(f64::INFINITY, f64::min)
        .round()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_a_clock_takes_time() {
        let ns = measure_read_ns();
        assert!(ns > 1.0 && ns < 1e6 && ns.fract() == 0.0, "{ns}");
    }

    #[test]
    fn the_clock_of_a_process_is_read_from_outside() {
        let own = cpu_ns_of(std::process::id()).unwrap();
        assert!(own > 0 && own <= process_cpu_ns());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(cpu_ns_of(child.id()), None);
    }

    #[test]
    fn the_cost_of_a_read_is_settled_once() {
        let settled = thread_clock_read_ns();
        adopt_read_ns(settled + 1.0);
        assert_eq!(thread_clock_read_ns(), settled);
    }
}
