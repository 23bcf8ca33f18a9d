//! The loop of a vCPU.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use super::clock::{Woken, exact_timers, monotonic_ns};
use super::report::ThreadReport;
use super::state::{Mode, VcpuState};
use super::stream::{PageWrites, StreamReader, StreamStart};
use crate::guest::write;

struct VcpuThread<S> {
    state: Arc<VcpuState>,
    index: usize,
    stream: StreamReader<S>,
    report: ThreadReport,
}

/// Says that the thread is gone, also if it panics: whoever waits for it to stop must not hang.
struct Leave(Arc<VcpuState>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// What vCPU `index`'s thread does, from beginning to end.
pub(super) fn run<S: PageWrites>(
    state: Arc<VcpuState>,
    index: usize,
    stream: S,
    start: &StreamStart,
) -> ThreadReport {
    let _leave = Leave(Arc::clone(&state));
    exact_timers();
    let mut vcpu = VcpuThread {
        stream: StreamReader::new(stream, index, start),
        state,
        index,
        report: ThreadReport::default(),
    };
    while vcpu.park() == Mode::Run {
        vcpu.execute();
    }
    vcpu.account();
    vcpu.report
}

impl<S: PageWrites> VcpuThread<S> {
    fn park(&mut self) -> Mode {
        let position = self.stream.position();
        self.state.park(self.index, position)
    }

    fn stream_now(&self) -> u64 {
        self.state.stream_time(monotonic_ns())
    }

    /// Executes what is due when it is due, until told otherwise. The clock is read once per write,
    /// when it is done: that reading is its completion and tells whether the next one is due.
    fn execute(&mut self) {
        let mut now = self.stream_now();
        while self.state.is_running() {
            let Some(write) = self.stream.peek() else {
                self.state.sleep(None);
                continue;
            };
            if write.at_ns > now {
                now = match self.state.sleep(Some(write.at_ns)) {
                    Woken::Due => write.at_ns,
                    Woken::Early => self.stream_now(),
                };
                continue;
            }
            write::execute(&self.state.memory, &write, self.state.extent);
            self.state.tracker.mark(write.page);
            self.stream.advance();
            now = self.stream_now();
            let phase = self.state.phase.load(Acquire);
            let count = &mut self.report.phases[usize::from(phase)];
            count.writes += 1;
            // A write from before the start was pending when the guest came here; its latency
            // stands in the histogram of the host that it came from.
            if write.at_ns >= self.state.offset_ns {
                count
                    .latency
                    .saturating_record(now.saturating_sub(write.at_ns));
            }
            self.report.asked_writes += u64::from(self.state.in_during(write.at_ns));
        }
    }

    /// At the end: counts the writes that are due and were not executed, and records their stall.
    fn account(&mut self) {
        let (due_until, stalled) = {
            let stops = self.state.stops();
            (stops.due_until_ns, stops.stalled)
        };
        let phase = self.state.phase.load(Acquire);
        while let Some(write) = self.stream.peek()
            && write.at_ns < due_until
        {
            self.stream.advance();
            self.report.pending += 1;
            self.report.asked_writes += u64::from(self.state.in_during(write.at_ns));
            if stalled {
                self.report.phases[usize::from(phase)]
                    .latency
                    .saturating_record(due_until - write.at_ns);
            }
        }
    }
}
