//! CPU time by stage, for threads that run several stages in turn.
//!
//! A thread CPU clock read is a system call of 0.4 to 0.7 us: reading it around every stage of
//! every record would cost several per cent of a fast arm's time. So the clock is read around the
//! stages of a *sample* of records, as many as keep the cost below half a per cent, and at the
//! beginning and end of every round. From the sample comes each stage's CPU time per byte; times
//! the bytes of all records gives the stage's total. The socket stage, which varies most, is what
//! remains of the loop's exact CPU time. With slow ciphers every record is sampled and all is exact.
//! A preempted thread's CPU clock stands still, so preemption does not distort a stage.

use std::time::Duration;

use crate::machine::clock::{thread_clock_read_ns, thread_cpu_ns};

/// The share of a record's CPU time that reading clocks may cost.
const COST_SHARE: f64 = 0.005;
/// Records between samples at most.
const MAX_STRIDE: u64 = 64;

/// Meters the `N` stages of one thread's record loop. One of them is the socket stage, whose time
/// is the loop's remainder.
#[derive(Debug)]
pub struct StageMeter<const N: usize> {
    socket_stage: usize,
    read_cost_ns: u64,
    /// Per stage: CPU nanoseconds of sampled records.
    sampled_ns: [u64; N],
    /// Between stages of sampled records: bookkeeping of the loop itself.
    sampled_other_ns: u64,
    /// Per stage: CPU nanoseconds of sampled records that other threads spent.
    elsewhere_ns: [u64; N],
    sampled_bytes: u64,
    bytes: u64,
    records: u64,
    samples: u64,
    until_sample: u64,
    jitter: u64,
    loop_ns: u64,
    loop_start_ns: u64,
    record_start_ns: u64,
    last_ns: u64,
    /// Laps of the present record.
    reads: u64,
    sampling: bool,
}

/// CPU time of one thread's loop by stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageTimes<const N: usize> {
    /// Per stage, other threads' share included.
    pub stages: [Duration; N],
    /// The loop's CPU time outside its stages.
    pub between: Duration,
    /// Records, and those of them around whose stages clocks were read.
    pub records: u64,
    /// See `records`.
    pub samples: u64,
}

impl<const N: usize> StageMeter<N> {
    /// A meter whose stage `socket_stage` holds the socket calls.
    pub fn new(socket_stage: usize) -> Self {
        StageMeter {
            socket_stage,
            read_cost_ns: thread_clock_read_ns().round() as u64,
            sampled_ns: [0; N],
            sampled_other_ns: 0,
            elsewhere_ns: [0; N],
            sampled_bytes: 0,
            bytes: 0,
            records: 0,
            samples: 0,
            until_sample: 0,
            jitter: 0x9e37_79b9_7f4a_7c15,
            loop_ns: 0,
            loop_start_ns: 0,
            record_start_ns: 0,
            last_ns: 0,
            reads: 0,
            sampling: false,
        }
    }

    /// Reads clocks around every record from now on, whatever it costs, so that equal work takes
    /// equal instructions. Without it the time that a record took decides when the next sample is.
    pub fn sample_all(&mut self) {
        self.read_cost_ns = 0;
        self.until_sample = 0;
    }

    /// Enters the loop (a round begins).
    pub fn enter(&mut self) {
        self.loop_start_ns = thread_cpu_ns();
    }

    /// Leaves the loop (a round ends).
    pub fn leave(&mut self) {
        self.loop_ns += thread_cpu_ns().saturating_sub(self.loop_start_ns);
    }

    /// A record begins.
    pub fn record(&mut self) {
        self.sampling = self.until_sample == 0;
        if self.sampling {
            self.reads = 0;
            self.record_start_ns = thread_cpu_ns();
            self.last_ns = self.record_start_ns;
        } else {
            self.until_sample -= 1;
        }
    }

    /// The record's stage `stage` is done; what follows belongs to the next stage. A stage may come
    /// several times.
    pub fn lap(&mut self, stage: usize) {
        if self.sampling {
            self.reads += 1;
            let now = thread_cpu_ns();
            self.sampled_ns[stage] += (now - self.last_ns).saturating_sub(self.read_cost_ns);
            self.last_ns = now;
        }
    }

    /// Whether clocks are read around the stages of the present record.
    pub fn is_sampling(&self) -> bool {
        self.sampling
    }

    /// There was no record after all.
    pub fn cancel(&mut self) {
        if !self.sampling {
            self.until_sample += 1;
        }
        self.sampling = false;
    }

    /// CPU time that another thread spent on a stage of a sampled record.
    pub fn add_elsewhere(&mut self, stage: usize, ns: u64) {
        self.elsewhere_ns[stage] += ns.saturating_sub(self.read_cost_ns);
    }

    /// The record, of `bytes` content, is done.
    pub fn done(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
        if self.sampling {
            let now = thread_cpu_ns();
            self.sampled_other_ns += (now - self.last_ns).saturating_sub(self.read_cost_ns);
            self.sampled_bytes += bytes;
            self.samples += 1;
            let reads = (self.reads + 2) * self.read_cost_ns;
            let record_ns = (now - self.record_start_ns).max(1);
            let stride = (reads as f64 / (COST_SHARE * record_ns as f64)).ceil() as u64;
            self.until_sample = self.gap(stride.clamp(1, MAX_STRIDE));
        }
    }

    /// Records until the next sample: `stride` on average, varied so that sampling can't keep step
    /// with anything periodic in the stream.
    fn gap(&mut self, stride: u64) -> u64 {
        if stride == 1 {
            return 0;
        }
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        self.jitter % (2 * stride - 1)
    }

    /// What was metered so far.
    pub fn times(&self) -> StageTimes<N> {
        let scale = if self.sampled_bytes == 0 {
            0.0
        } else {
            self.bytes as f64 / self.sampled_bytes as f64
        };
        let mut stages = self.sampled_ns.map(|ns| ns as f64 * scale);
        let mut between = self.sampled_other_ns as f64 * scale;
        stages[self.socket_stage] = 0.0;
        let known: f64 = stages.iter().sum::<f64>() + between;
        let all = self.loop_ns as f64;
        if known > all {
            // A sample that overstates: keep the proportions within what the thread really used.
            stages = stages.map(|ns| ns * all / known);
            between *= all / known;
        } else {
            stages[self.socket_stage] = all - known;
        }
        for (stage, elsewhere) in stages.iter_mut().zip(self.elsewhere_ns) {
            *stage += elsewhere as f64 * scale;
        }
        StageTimes {
            stages: stages.map(|ns| Duration::from_nanos(ns as u64)),
            between: Duration::from_nanos(between as u64),
            records: self.records,
            samples: self.samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burn(ns: u64) {
        let until = thread_cpu_ns() + ns;
        while thread_cpu_ns() < until {}
    }

    #[test]
    fn stages_are_told_apart_and_add_up_to_the_loop() {
        let mut meter = StageMeter::<3>::new(2);
        let before = thread_cpu_ns();
        meter.enter();
        for _ in 0..40 {
            meter.record();
            burn(50_000);
            meter.lap(0);
            burn(100_000);
            meter.lap(1);
            burn(50_000);
            meter.lap(2);
            meter.done(4096);
        }
        meter.leave();
        let all = Duration::from_nanos(thread_cpu_ns() - before);
        let times = meter.times();
        let sum = times.stages.iter().sum::<Duration>() + times.between;
        assert!(sum <= all, "{sum:?} of {all:?}");
        assert_eq!(times.records, 40);
        assert!(times.samples > 1 && times.samples <= 40);
        // CPU clocks, not wall time: a busy machine does not change the proportions.
        assert!(times.stages[1] > times.stages[0], "{times:?}");
        assert!(times.stages[1] > times.stages[2], "{times:?}");
    }

    /// What is subtracted is what the results record: the one figure of this process.
    #[test]
    fn a_clock_read_costs_what_the_process_counts_it_as() {
        let meter = StageMeter::<1>::new(0);
        assert_eq!(meter.read_cost_ns as f64, thread_clock_read_ns());
    }

    #[test]
    fn every_record_is_sampled_on_request() {
        let mut meter = StageMeter::<1>::new(0);
        meter.sample_all();
        for _ in 0..1000 {
            meter.record();
            assert!(meter.is_sampling());
            meter.done(1);
        }
        assert_eq!(meter.times().samples, 1000);
    }

    #[test]
    fn a_loop_without_records_is_all_socket() {
        let mut meter = StageMeter::<3>::new(2);
        meter.enter();
        burn(100_000);
        meter.leave();
        let times = meter.times();
        assert!(times.stages[2] >= Duration::from_micros(100));
        assert_eq!(times.stages[0], Duration::ZERO);
    }
}
