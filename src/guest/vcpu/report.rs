//! What vCPUs did.

use hdrhistogram::Histogram;

/// Latencies are kept up to an hour, with three digits.
const LONGEST_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

/// Where a run stands: which histogram the writes go into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The window before the migration: the latency baseline.
    Before,
    /// The migration.
    During,
    /// The window after it.
    After,
}

/// What all vCPUs of a guest did.
#[derive(Debug, Clone, Default)]
pub struct VcpuReport {
    /// By phase, in the order in which they come.
    pub phases: [PhaseReport; 3],
    /// Wall-clock time in [`Phase::During`] while the vCPUs were not paused, seconds.
    pub running_s: f64,
    /// Writes whose intended time lies in [`Phase::During`], up to the pause if the guest did not
    /// run again: what the vCPUs should have done in `running_s`. Beside the phase's `writes` it
    /// says whether they kept to the schedule.
    pub asked_writes: u64,
    /// Writes that were due at the end and were not executed here.
    pub pending: u64,
    /// Stream time at the end: at the switchover, or when the vCPUs stopped; nanoseconds.
    pub stream_time_ns: u64,
    /// Per vCPU, how many writes it executed here, in all phases.
    pub executed: Vec<u64>,
}

/// What they did in one phase.
#[derive(Debug, Clone)]
pub struct PhaseReport {
    /// Writes executed.
    pub writes: u64,
    /// Their latencies against the intended time, nanoseconds; and, at the source of a completed
    /// migration, those of the pending writes.
    pub latency: Histogram<u64>,
}

impl Default for PhaseReport {
    fn default() -> Self {
        PhaseReport {
            writes: 0,
            latency: Histogram::new_with_bounds(1, LONGEST_NS, DIGITS)
                .expect("the bounds are constants that fit"),
        }
    }
}

/// What one thread did.
#[derive(Debug, Default)]
pub(super) struct ThreadReport {
    pub(super) phases: [PhaseReport; 3],
    pub(super) asked_writes: u64,
    pub(super) pending: u64,
}

impl VcpuReport {
    /// What they did in `phase`.
    pub fn phase(&self, phase: Phase) -> &PhaseReport {
        &self.phases[phase as usize]
    }

    /// Adds what the next vCPU did.
    pub(super) fn add(&mut self, part: &ThreadReport) {
        for (sum, phase) in self.phases.iter_mut().zip(&part.phases) {
            sum.writes += phase.writes;
            sum.latency
                .add(&phase.latency)
                .expect("all histograms have the same bounds");
        }
        let executed = part.phases.iter().map(|phase| phase.writes).sum();
        self.executed.push(executed);
        self.asked_writes += part.asked_writes;
        self.pending += part.pending;
    }
}
