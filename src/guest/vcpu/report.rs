//! What vCPUs did.

use hdrhistogram::Histogram;

use super::throttle::LostWrites;

/// Latencies are kept up to an hour, with three digits.
const LONGEST_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

/// A write that takes longer than this, from the time at which its vCPU could have begun it, is a
/// stall; nanoseconds. A write takes less than a microsecond, one that lifts a page's write protection
/// a few, and a vCPU that slept until its write was due some tens, on a busy virtual machine.
pub const STALL_NS: u64 = 100_000;

/// Where a run stands: which phase the writes are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Until the migration begins.
    Before,
    /// The migration.
    During,
    /// After it.
    After,
}

/// A stretch of the stream, equally long for every migration, in which latencies are compared. Windows
/// may overlap: a write belongs to each in which it was intended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// When the vCPUs began, ahead of the migration: the baseline.
    Before,
    /// From the first harvest on.
    Start,
    /// From the pause request on.
    Pause,
    /// From the end of the migration on.
    After,
}

impl Window {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Window; WINDOWS] =
        [Window::Before, Window::Start, Window::Pause, Window::After];
}

/// Windows there are.
pub(super) const WINDOWS: usize = 4;

/// What all vCPUs of a guest did.
#[derive(Debug, Clone)]
pub struct VcpuReport {
    /// By phase, in the order in which they come.
    pub phases: [PhaseReport; 3],
    /// Latencies of writes in [`Phase::During`] against the intended time, nanoseconds; and, at the
    /// source of a completed migration, those of the pending writes.
    pub latency: Histogram<u64>,
    /// By window, the latencies of the writes intended in it, nanoseconds. Of those that were due at
    /// the end and not executed here it holds how late they were then.
    windows: [Histogram<u64>; WINDOWS],
    /// Wall-clock time in [`Phase::During`] while the vCPUs were not paused, seconds.
    pub running_s: f64,
    /// Writes whose intended time lies in [`Phase::During`], up to the pause if the guest did not
    /// run again: what the vCPUs should have done in `running_s`. Beside the phase's `writes` it
    /// says whether they kept to the schedule.
    pub asked_writes: u64,
    /// Writes that were due between the pause and the switchover.
    pub asked_in_pause: u64,
    /// Writes that were due at the end and were not executed here.
    pub pending: u64,
    /// Stream time at the end: at the switchover, or when the vCPUs stopped; nanoseconds.
    pub stream_time_ns: u64,
    /// Per vCPU, how many writes it executed here, in all phases.
    pub executed: Vec<u64>,
    /// Per vCPU, the writes that it lost to a throttle, which are in no other count.
    pub lost: Vec<LostWrites>,
    /// Time that vCPUs slept for a throttle in [`Phase::During`], summed over them, nanoseconds.
    pub throttled_ns: u64,
    /// Stalls in [`Phase::During`], summed over vCPUs, nanoseconds: without the open ones. Of a stall
    /// over its border the part inside counts.
    pub stall_ns: u64,
    /// The longest of them, nanoseconds.
    pub longest_stall_ns: u64,
    /// The same in [`Window::Before`].
    pub stall_before_ns: u64,
    /// Per vCPU, for how long it had not been able to execute the write that was due when the guest
    /// was switched over, nanoseconds; 0 where none was due.
    pub open_stalls_ns: Vec<u64>,
    /// Per vCPU, its first write here; `None` if it made none.
    pub first_writes: Vec<Option<FirstWrite>>,
}

/// What the vCPUs did in one phase, and what it cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PhaseReport {
    /// Writes executed.
    pub writes: u64,
    /// Those of them that took at most [`STALL_NS`] from begin to end.
    pub timed_writes: u64,
    /// What these took, from begin to end, seconds.
    pub timed_s: f64,
    /// CPU time of the vCPU threads, seconds.
    pub cpu_s: f64,
    /// Page faults that the kernel resolved without I/O for the vCPU threads.
    pub minor_faults: u64,
}

/// A vCPU's first write after the guest was set running, on this host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FirstWrite {
    /// When it was done, nanoseconds since the guest was set running.
    pub done_ns: u64,
    /// The same since it was also due, nanoseconds.
    pub delay_ns: u64,
}

/// An empty histogram of latencies, nanoseconds, of the bounds that all of them have.
///
/// # Panics
/// Never: the bounds are constants that fit.
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS)
        .expect("the bounds are constants that fit");
    // Touches its memory, which would otherwise be faulted in by the first latencies.
    histogram.clear();
    histogram
}

/// What one thread did in a phase.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PhaseCount {
    pub(super) writes: u64,
    pub(super) timed: u64,
    pub(super) timed_ns: u64,
}

/// What one thread did.
#[derive(Debug)]
pub(super) struct ThreadReport {
    /// By phase.
    pub(super) phases: [PhaseCount; 3],
    pub(super) latency: Histogram<u64>,
    pub(super) windows: [Histogram<u64>; WINDOWS],
    pub(super) asked_writes: u64,
    pub(super) asked_in_pause: u64,
    pub(super) pending: u64,
    pub(super) lost: LostWrites,
    pub(super) throttled_ns: u64,
    pub(super) stall_ns: u64,
    pub(super) longest_stall_ns: u64,
    pub(super) stall_before_ns: u64,
    pub(super) open_stall_ns: u64,
    pub(super) first_write: Option<FirstWrite>,
}

impl Default for ThreadReport {
    fn default() -> Self {
        ThreadReport {
            phases: [PhaseCount::default(); 3],
            latency: histogram(),
            windows: std::array::from_fn(|_| histogram()),
            asked_writes: 0,
            asked_in_pause: 0,
            pending: 0,
            lost: LostWrites::default(),
            throttled_ns: 0,
            stall_ns: 0,
            longest_stall_ns: 0,
            stall_before_ns: 0,
            open_stall_ns: 0,
            first_write: None,
        }
    }
}

impl Default for VcpuReport {
    fn default() -> Self {
        VcpuReport {
            phases: [PhaseReport::default(); 3],
            latency: histogram(),
            windows: std::array::from_fn(|_| histogram()),
            running_s: 0.0,
            asked_writes: 0,
            asked_in_pause: 0,
            pending: 0,
            stream_time_ns: 0,
            executed: Vec::new(),
            lost: Vec::new(),
            throttled_ns: 0,
            stall_ns: 0,
            longest_stall_ns: 0,
            stall_before_ns: 0,
            open_stalls_ns: Vec::new(),
            first_writes: Vec::new(),
        }
    }
}

impl VcpuReport {
    /// What they did in `phase`.
    pub fn phase(&self, phase: Phase) -> &PhaseReport {
        &self.phases[phase as usize]
    }

    /// The latencies of the writes intended in `window`, nanoseconds.
    pub fn window(&self, window: Window) -> &Histogram<u64> {
        &self.windows[window as usize]
    }

    /// Adds what the next vCPU did.
    pub(super) fn add(&mut self, part: &ThreadReport) {
        for (sum, count) in self.phases.iter_mut().zip(part.phases) {
            sum.writes += count.writes;
            sum.timed_writes += count.timed;
            sum.timed_s += count.timed_ns as f64 / 1e9;
        }
        let own = std::iter::once(&mut self.latency).chain(&mut self.windows);
        let parts = std::iter::once(&part.latency).chain(&part.windows);
        for (sum, histogram) in own.zip(parts) {
            sum.add(histogram)
                .expect("all histograms have the same bounds");
        }
        let executed = part.phases.iter().map(|count| count.writes).sum();
        self.executed.push(executed);
        self.lost.push(part.lost.clone());
        self.throttled_ns += part.throttled_ns;
        self.asked_writes += part.asked_writes;
        self.asked_in_pause += part.asked_in_pause;
        self.pending += part.pending;
        self.stall_ns += part.stall_ns;
        self.longest_stall_ns = self.longest_stall_ns.max(part.longest_stall_ns);
        self.stall_before_ns += part.stall_before_ns;
        self.open_stalls_ns.push(part.open_stall_ns);
        self.first_writes.push(part.first_write);
    }
}
