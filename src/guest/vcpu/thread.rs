//! The loop of a vCPU.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use super::clock::{Woken, exact_timers, monotonic_ns};
use super::cursor::{Cursor, PageWrites, StreamStart};
use super::report::ThreadReport;
use super::shared::{Command, Shared};
use crate::guest::write;

struct VcpuThread<S> {
    shared: Arc<Shared>,
    index: usize,
    cursor: Cursor<S>,
    report: ThreadReport,
}

/// Says that the thread is gone, also if it panics: whoever waits for it to stop must not hang.
struct Leave(Arc<Shared>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// What vCPU `index`'s thread does, from beginning to end.
pub(super) fn run<S: PageWrites>(
    shared: Arc<Shared>,
    index: usize,
    stream: S,
    start: &StreamStart,
) -> ThreadReport {
    let _leave = Leave(Arc::clone(&shared));
    exact_timers();
    let mut vcpu = VcpuThread {
        cursor: Cursor::new(stream, index, start),
        shared,
        index,
        report: ThreadReport::new(),
    };
    while vcpu.park() == Command::Run {
        vcpu.execute();
    }
    vcpu.account();
    vcpu.report
}

impl<S: PageWrites> VcpuThread<S> {
    fn park(&mut self) -> Command {
        let position = self.cursor.position();
        self.shared.park(self.index, position)
    }

    fn stream_now(&self) -> u64 {
        self.shared.stream_time(monotonic_ns())
    }

    /// Executes what is due when it is due, until told otherwise. The clock is read once per write,
    /// when it is done: that reading is its completion and tells whether the next one is due.
    fn execute(&mut self) {
        let mut now = self.stream_now();
        while self.shared.is_running() {
            let Some(write) = self.cursor.peek() else {
                self.shared.sleep(None);
                continue;
            };
            if write.at_ns > now {
                now = match self.shared.sleep(Some(write.at_ns)) {
                    Woken::Due => write.at_ns,
                    Woken::Early => self.stream_now(),
                };
                continue;
            }
            write::execute(&self.shared.memory, &write, self.shared.extent);
            self.shared.tracker.mark(write.page);
            self.cursor.advance();
            now = self.stream_now();
            let phase = self.shared.phase.load(Acquire);
            let count = &mut self.report.phases[usize::from(phase)];
            count.writes += 1;
            // A write from before the start was pending when the guest came here; its latency
            // stands in the histogram of the host that it came from.
            if write.at_ns >= self.shared.offset_ns {
                count
                    .latency
                    .saturating_record(now.saturating_sub(write.at_ns));
            }
            self.report.asked_writes += u64::from(self.shared.in_during(write.at_ns));
        }
    }

    /// At the end: counts the writes that are due and were not executed, and records their stall.
    fn account(&mut self) {
        let (due_until, stalled) = {
            let control = self.shared.control();
            (control.due_until_ns, control.stalled)
        };
        let phase = self.shared.phase.load(Acquire);
        while let Some(write) = self.cursor.peek()
            && write.at_ns < due_until
        {
            self.cursor.advance();
            self.report.pending += 1;
            self.report.asked_writes += u64::from(self.shared.in_during(write.at_ns));
            if stalled {
                self.report.phases[usize::from(phase)]
                    .latency
                    .saturating_record(due_until - write.at_ns);
            }
        }
    }
}
