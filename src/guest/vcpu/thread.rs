//! The loop of a vCPU.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::clock::{Woken, exact_timers, monotonic_ns};
use super::report::{FirstWrite, Phase, STALL_NS, ThreadReport, Window};
use super::state::{Mode, VcpuState};
use super::stream::{PageWrites, StreamReader, StreamStart};
use super::throttle::ThrottledFrom;

struct VcpuThread<S> {
    state: Arc<VcpuState>,
    index: usize,
    stream: StreamReader<S>,
    /// Stream time at which the last write was done: from then on the vCPU could execute the next.
    free_at_ns: u64,
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
    state.introduce(index, rustix::thread::gettid().as_raw_nonzero().get());
    let mut vcpu = VcpuThread {
        stream: StreamReader::new(stream, index, start),
        state,
        index,
        free_at_ns: 0,
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

    /// Executes what is due when it is due, until told otherwise. The clock is read as a write is begun,
    /// and when it is done: that reading is its completion and tells whether the next one is due.
    fn execute(&mut self) {
        let mut now = self.stream_now();
        while self.state.is_running() {
            let throttle = self.state.throttle.get();
            if let Some(throttle) = throttle
                && let Some(until) = throttle.asleep_until(now)
            {
                now = self.sleep_throttled(throttle, now, until);
                continue;
            }
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
            if throttle.is_some_and(|throttle| throttle.asleep_until(write.at_ns).is_some()) {
                self.lose(write.at_ns, now);
                continue;
            }
            let begun = self.stream_now();
            self.state.target.execute(&write);
            now = self.stream_now();
            self.stream.advance();
            self.done(write.at_ns, begun, now);
        }
    }

    /// Sleeps until a throttled vCPU wakes, or another mode or cycle; what fell due meanwhile is lost. Stream
    /// time then.
    fn sleep_throttled(&mut self, throttle: ThrottledFrom, from: u64, until: u64) -> u64 {
        let now = match self.state.sleep(Some(until)) {
            Woken::Due => until,
            Woken::Early => self.stream_now(),
        };
        self.report.throttled_ns += self.state.during_within(from, now);
        let mut stalled_since = None;
        while let Some(write) = self.stream.peek()
            && write.at_ns < now
            && throttle.asleep_until(write.at_ns).is_some()
        {
            stalled_since.get_or_insert(write.at_ns.max(from).max(self.free_at_ns));
            self.lose(write.at_ns, now);
        }
        if let Some(since) = stalled_since
            && now.saturating_sub(since) > STALL_NS
        {
            let stall_ns = self.state.during_within(since, now);
            self.report.stall_ns += stall_ns;
            self.report.longest_stall_ns = self.report.longest_stall_ns.max(stall_ns);
            // What is done next could not be begun before.
            self.free_at_ns = now;
        }
        now
    }

    /// Goes on past the next write, which was intended at `at_ns` while its vCPU slept, until `now`.
    fn lose(&mut self, at_ns: u64, now: u64) {
        self.stream.advance();
        let report = &mut self.report;
        let executed: u64 = report.phases.iter().map(|count| count.writes).sum();
        let number = executed + report.lost.count();
        report.lost.push(number);
        let latency_ns = now - at_ns;
        report.latency.saturating_record(latency_ns);
        self.record_in_windows(at_ns, latency_ns);
    }

    /// Counts a write that was intended at `at_ns`, begun at `begun` and is done at `now`.
    fn done(&mut self, at_ns: u64, begun: u64, now: u64) {
        let phase = self.state.phase.load(Acquire);
        let during = phase == Phase::During as u8;
        let offset_ns = self.state.offset_ns.load(Relaxed);
        // It could have been begun when it was due and the one before was done.
        let could_ns = at_ns.max(self.free_at_ns).max(offset_ns);
        let took_ns = now.saturating_sub(could_ns);
        self.free_at_ns = now;
        let report = &mut self.report;
        let count = &mut report.phases[usize::from(phase)];
        count.writes += 1;
        // One that took longer lost its CPU meanwhile.
        if now - begun <= STALL_NS {
            count.timed += 1;
            count.timed_ns += now - begun;
        }
        report.first_write.get_or_insert(FirstWrite {
            done_ns: now - offset_ns,
            delay_ns: took_ns,
        });
        // A write from before the start was pending when the guest came here; its latency
        // stands in the histogram of the host that it came from.
        let latency_ns = now.saturating_sub(at_ns);
        if during && at_ns >= offset_ns {
            report.latency.saturating_record(latency_ns);
        }
        if took_ns > STALL_NS {
            let stall_ns = self.state.during_within(could_ns, now);
            report.stall_ns += stall_ns;
            report.longest_stall_ns = report.longest_stall_ns.max(stall_ns);
            report.stall_before_ns += self.state.window_within(Window::Before, could_ns, now);
        }
        report.asked_writes += u64::from(self.state.in_during(at_ns));
        self.record_in_windows(at_ns, latency_ns);
    }

    fn record_in_windows(&mut self, at_ns: u64, latency_ns: u64) {
        for window in Window::ALL {
            if self.state.in_window(window, at_ns) {
                self.report.windows[window as usize].saturating_record(latency_ns);
            }
        }
    }

    /// At the end: counts the writes that are due and were not executed, and records their stall.
    fn account(&mut self) {
        let (due_until, stalled) = {
            let stops = self.state.stops();
            (stops.due_until_ns, stops.stalled)
        };
        if stalled
            && let Some(write) = self.stream.peek()
            && write.at_ns < due_until
        {
            let could_ns = write.at_ns.max(self.free_at_ns);
            self.report.open_stall_ns = due_until.saturating_sub(could_ns);
        }
        while let Some(write) = self.stream.peek()
            && write.at_ns < due_until
        {
            self.stream.advance();
            self.report.pending += 1;
            let asked = self.state.in_during(write.at_ns);
            self.report.asked_writes += u64::from(asked);
            let latency_ns = due_until - write.at_ns;
            self.record_in_windows(write.at_ns, latency_ns);
            if stalled {
                let paused = self.state.is_after_during(write.at_ns);
                self.report.asked_in_pause += u64::from(paused);
                self.report.latency.saturating_record(latency_ns);
            }
        }
    }
}
