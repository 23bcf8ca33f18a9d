//! vCPUs: threads that execute the dirty-page stream against the clock.
//!
//! # Stream time
//!
//! Each vCPU has its stream, whose times count from the stream's start. [`Vcpus::start`] ties the
//! stream's start offset to that moment; from then on stream time is wall-clock time and never
//! stands still, neither while the guest is paused nor while a vCPU is behind. The latency of a
//! write is the time of its completion minus its intended time, so a stall of any cause shows in
//! the latency of every write that was due meanwhile (no coordinated omission).
//!
//! # A pause that ends elsewhere
//!
//! When a guest is migrated, the writes due between its pause and the switchover are executed at the
//! destination, but only the source's clock spans the stall. So:
//!
//! 1. The source pauses for good; [`Vcpus::positions`] says, per vCPU, which write comes next. The
//!    guest's state carries this to the destination.
//! 2. After the switchover the source calls [`Vcpus::finish`] with its time. Every write that was due
//!    by then and not executed is drawn from its stream and recorded with the latency
//!    `switchover - intended` in the current phase. It is counted in [`VcpuReport::pending`], not as
//!    written. The report's `stream_time_ns` is stream time at the switchover.
//! 3. The destination spawns its vCPUs with [`StreamStart::resumed`] at those positions and starts
//!    them at that stream time ([`Vcpus::start_at`]). They first execute exactly the pending writes,
//!    at once, and record no latency for them, since the source has; then they go on as if nothing
//!    had happened.
//!
//! So each write is executed once and its latency recorded once. Only those that fall due while a throttle
//! has its vCPU asleep ([`Vcpus::throttle`]) are never executed; they are counted as lost.
//!
//! # Stalls
//!
//! A write could be begun when it was due and the vCPU had done the one before. A write that is done
//! more than [`STALL_NS`] after that is a stall of that length: for so long its vCPU could not
//! execute, whether it was paused, lacked a CPU or hung in a fault. No moment of a vCPU counts twice,
//! however many writes queue up behind it, which is what sets a stall apart from latency. A vCPU with nothing
//! due is not stalled. The stall over the pause is open when the source's vCPUs end
//! ([`VcpuReport::open_stalls_ns`]); [`VcpuReport::first_writes`] of the destination ends it.

mod clock;
mod report;
mod state;
mod stream;
mod target;
mod thread;
mod throttle;

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::thread::JoinHandle;
use std::time::Instant;

pub use report::{FirstWrite, Phase, PhaseReport, STALL_NS, VcpuReport, Window, histogram};
pub use stream::{PageWrites, StreamPosition, StreamStart};
pub use target::Target;
pub use throttle::LostWrites;

use self::clock::{ThreadClock, monotonic_ns};
use self::report::ThreadReport;
use self::state::{Mode, VcpuState};
use self::target::Tracked;
use super::write::WriteExtent;
use crate::error::{Error, Result};
use crate::memory::GuestMemory;
use crate::precopy::Cycle;
use crate::tracking::Tracker;

/// The running vCPUs of a guest. One thread controls them; dropping them ends them.
#[derive(Debug)]
pub struct Vcpus {
    state: Arc<VcpuState>,
    threads: Vec<JoinHandle<ThreadReport>>,
    clocks: Vec<ThreadClock>,
    phase: Phase,
    started: bool,
    /// When the vCPUs were last set running, if they are.
    running_since_ns: Option<u64>,
    /// When they last stopped.
    paused_at_ns: u64,
    /// Time running in [`Phase::During`] up to the last pause or change of phase.
    running_ns: u64,
    /// What the threads had used when the present phase began.
    used: Usage,
    /// By phase, what they used in it.
    by_phase: [Usage; 3],
}

/// What vCPU threads used.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    cpu_ns: u64,
    minor_faults: u64,
}

impl Vcpus {
    /// Makes the threads `vcpu-0` to `vcpu-N`, one per stream, and brings the streams to `start`.
    /// Returns when all stand ready; none has written.
    ///
    /// # Errors
    /// Threads that the system refuses; positions of another number of vCPUs.
    pub fn spawn<S: PageWrites + 'static>(
        memory: Arc<GuestMemory>,
        tracker: Arc<dyn Tracker>,
        streams: Vec<S>,
        extent: WriteExtent,
        start: &StreamStart,
    ) -> Result<Vcpus> {
        let memory = Tracked {
            memory,
            tracker,
            extent,
        };
        Vcpus::over(Arc::new(memory), streams, start)
    }

    /// As [`Vcpus::spawn`], with something else than memory to write to.
    ///
    /// # Errors
    /// As [`Vcpus::spawn`].
    pub fn over<S: PageWrites + 'static>(
        target: Arc<dyn Target>,
        streams: Vec<S>,
        start: &StreamStart,
    ) -> Result<Vcpus> {
        let count = streams.len();
        if let Some(positions) = &start.positions
            && positions.len() != count
        {
            return Err(Error::invalid(
                "positions",
                positions.len(),
                format!("one per vCPU is needed, there are {count}"),
            ));
        }
        let state = Arc::new(VcpuState::new(target, start.offset_ns, count));
        let mut vcpus = Vcpus {
            state,
            threads: Vec::with_capacity(count),
            clocks: Vec::with_capacity(count),
            phase: Phase::Before,
            started: false,
            running_since_ns: None,
            paused_at_ns: 0,
            running_ns: 0,
            used: Usage::default(),
            by_phase: [Usage::default(); 3],
        };
        for (index, stream) in streams.into_iter().enumerate() {
            let state = Arc::clone(&vcpus.state);
            let start = start.clone();
            let thread = std::thread::Builder::new()
                .name(format!("vcpu-{index}"))
                .spawn(move || thread::run(state, index, stream, &start))
                .map_err(|error| Error::io(format!("cannot start vcpu-{index}"), error))?;
            vcpus.clocks.push(ThreadClock::of(&thread));
            vcpus.threads.push(thread);
        }
        vcpus.state.wait_until_stopped();
        Ok(vcpus)
    }

    /// Sets the vCPUs running: stream time is the start offset now.
    ///
    /// # Panics
    /// If they were started before.
    pub fn start(&mut self) {
        assert!(!self.started, "the vCPUs were started before");
        self.started = true;
        // What they used to reach the start of their streams is nobody's.
        self.used = self.usage();
        self.state.start_ns.store(monotonic_ns(), Relaxed);
        self.resume();
    }

    /// As [`Vcpus::start`], at a stream time that was not known when they were made.
    ///
    /// # Panics
    /// If they were started before.
    pub fn start_at(&mut self, stream_time_ns: u64) {
        assert!(!self.started, "the vCPUs were started before");
        self.state.offset_ns.store(stream_time_ns, Relaxed);
        self.start();
    }

    /// Opens a window from now on, `length_ns` long: where it ends in stream time. The write on its
    /// border may be missed.
    pub fn open_window(&self, window: Window, length_ns: u64) -> u64 {
        let from_ns = self.stream_time_ns();
        let to_ns = from_ns.saturating_add(length_ns);
        self.set_window(window, from_ns, to_ns);
        to_ns
    }

    /// Opens a window over a stretch of stream time, `to_ns` excluded.
    pub fn set_window(&self, window: Window, from_ns: u64, to_ns: u64) {
        self.state.set_window(window, from_ns, to_ns);
    }

    /// Stream time now, nanoseconds.
    pub fn stream_time_ns(&self) -> u64 {
        self.state.stream_time(self.now_ns())
    }

    /// Now, or the start while there was none: stream time does not go on before it.
    fn now_ns(&self) -> u64 {
        if self.started {
            monotonic_ns()
        } else {
            self.state.start_ns.load(Relaxed)
        }
    }

    /// The phase that the following writes belong to; whether it is another than before.
    ///
    /// # Panics
    /// If the phase is an earlier one: phases only go forward.
    pub fn mark_phase(&mut self, phase: Phase) -> bool {
        assert!(phase >= self.phase, "{phase:?} after {:?}", self.phase);
        if phase == self.phase {
            return false;
        }
        self.count_usage();
        let now = self.now_ns();
        let stream_time = self.state.stream_time(now);
        if self.phase == Phase::During {
            self.count_running(now);
            self.state.end_during(stream_time);
        }
        if phase == Phase::During {
            self.running_since_ns = self.running_since_ns.map(|_| now);
            self.state.begin_during(stream_time);
        }
        self.phase = phase;
        self.state.phase.store(phase as u8, Release);
        true
    }

    /// Stops the vCPUs. Returns when each has stopped between two writes, the last write complete
    /// and marked. Nothing happens to vCPUs that are paused.
    pub fn pause(&mut self) {
        if self.running_since_ns.is_none() {
            return;
        }
        self.state.set_mode(Mode::Hold);
        self.state.wait_until_stopped();
        self.paused_at_ns = monotonic_ns();
        self.count_running(self.paused_at_ns);
        self.running_since_ns = None;
    }

    /// Lets paused vCPUs go on. What was due meanwhile is late, and its latency says so.
    ///
    /// # Panics
    /// If they were never started.
    pub fn resume(&mut self) {
        assert!(self.started, "the vCPUs were never started");
        if self.running_since_ns.is_none() {
            self.running_since_ns = Some(monotonic_ns());
            self.state.set_mode(Mode::Run);
        }
    }

    /// Slows the vCPUs down from now on: in each cycle they run and then sleep, all at once. None lets them run
    /// as before.
    pub fn throttle(&mut self, cycle: Option<Cycle>) {
        self.state.throttle.set(cycle, self.stream_time_ns());
        // A vCPU that sleeps for a cycle that holds no longer looks again.
        self.state.wake();
    }

    /// Whether they have been told to run.
    pub fn is_running(&self) -> bool {
        self.running_since_ns.is_some()
    }

    /// Per vCPU, where its stream goes on: the next write that it has not executed.
    ///
    /// # Panics
    /// If the vCPUs are running.
    pub fn positions(&self) -> Vec<StreamPosition> {
        assert!(self.running_since_ns.is_none(), "the vCPUs are running");
        self.state.stops().positions.clone()
    }

    /// Ends the vCPUs of a guest that stays here. Writes that are due and not executed are counted
    /// as pending.
    ///
    /// # Panics
    /// If a vCPU thread panicked.
    pub fn stop(mut self) -> VcpuReport {
        self.pause();
        let now = if self.started {
            self.paused_at_ns
        } else {
            self.now_ns()
        };
        self.end(now, false)
    }

    /// Ends the vCPUs of a guest that runs elsewhere since `switchover`, and records the stall of the
    /// writes that were due by then: the module says how. Costs time in proportion to their number.
    ///
    /// # Panics
    /// If the vCPUs are running, or a vCPU thread panicked.
    pub fn finish(mut self, switchover: Instant) -> VcpuReport {
        assert!(self.running_since_ns.is_none(), "the vCPUs are running");
        let ago = u64::try_from(switchover.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let switchover_ns = monotonic_ns().saturating_sub(ago);
        self.end(switchover_ns.max(self.paused_at_ns), true)
    }

    /// Ends paused vCPUs; `at_ns` is the time up to which a write counts as due.
    fn end(&mut self, at_ns: u64, stalled: bool) -> VcpuReport {
        self.count_usage();
        let stream_time_ns = self.state.stream_time(at_ns);
        if self.phase == Phase::During {
            // Asked for during the migration is what was due before the guest stopped for good.
            let paused_at = self.state.stream_time(self.paused_at_ns);
            self.state.end_during(paused_at);
        }
        self.state.stops().due_until_ns = stream_time_ns;
        self.state.stops().stalled = stalled;
        self.state.set_mode(Mode::End);
        let mut report = VcpuReport::default();
        report.stream_time_ns = stream_time_ns;
        report.running_s = self.running_ns as f64 / 1e9;
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(part) => report.add(&part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        for (phase, used) in report.phases.iter_mut().zip(self.by_phase) {
            phase.cpu_s = used.cpu_ns as f64 / 1e9;
            phase.minor_faults = used.minor_faults;
        }
        report
    }

    fn count_running(&mut self, now: u64) {
        if self.phase == Phase::During
            && let Some(since) = self.running_since_ns
        {
            self.running_ns += now.saturating_sub(since);
        }
    }

    /// Counts what the threads used since the last time in the present phase.
    fn count_usage(&mut self) {
        if !self.started {
            return;
        }
        let now = self.usage();
        let sum = &mut self.by_phase[self.phase as usize];
        sum.cpu_ns += now.cpu_ns.saturating_sub(self.used.cpu_ns);
        sum.minor_faults += now.minor_faults.saturating_sub(self.used.minor_faults);
        self.used = now;
    }

    fn usage(&self) -> Usage {
        Usage {
            cpu_ns: self.clocks.iter().map(ThreadClock::read_ns).sum(),
            minor_faults: self.state.minor_faults(),
        }
    }

    /// CPU time of all vCPU threads since they were made, seconds.
    pub fn cpu_s(&self) -> f64 {
        let ns: u64 = self.clocks.iter().map(ThreadClock::read_ns).sum();
        ns as f64 / 1e9
    }
}

impl Drop for Vcpus {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.state.stops().due_until_ns = 0;
            self.state.set_mode(Mode::End);
            for thread in self.threads.drain(..) {
                // A panic of a vCPU was reported on standard error; there is nobody to tell here.
                drop(thread.join());
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;
