//! CPU time by stage, for threads that run several stages in turn.
//!
//! A thread CPU clock read is a system call of 0.4 to 0.7 us: reading it around every stage of
//! every unit of work would cost a fast arm several per cent of its time. So the clock is read
//! around the stages of a *sample* of units, as many as keep the cost below half a per cent, and
//! at the beginning and end of the loop. A unit is what a thread does between two samples'
//! decisions: the records of one socket call at the source, a record at the destination.
//!
//! Each unit is sampled by a draw of its own, with a chance that was settled before it began and
//! that later weights it: neither what a unit costs nor how units resemble their neighbours can
//! favour it. A stage's total is the ratio estimate of its CPU time to the bytes of content, times
//! the bytes of all units; with it goes a standard error. The socket stage, which varies most, is
//! what remains of the loop's exact CPU time, so its error is that of the other stages together.
//! Where every unit is sampled (slow ciphers, or on request) all is exact and the errors are zero.
//!
//! What a read costs depends on what runs beside it, by more than a short stage takes. So each
//! sampled unit tells it anew: at its end the clock is read twice in a row, and the difference is
//! taken off each of the unit's laps.
//!
//! A preempted thread's CPU clock stands still, so preemption does not distort a stage.

use std::time::Duration;

use crate::machine::clock::{thread_clock_read_ns, thread_cpu_ns};

mod estimate;

use estimate::{Estimate, Size};

/// The share of a unit's CPU time that reading clocks may cost.
const COST_SHARE: f64 = 0.005;
/// Units a sample on average at most.
const MAX_STRIDE: u64 = 256;
/// The first units are all sampled: from their cost follows the first stride.
const CALIBRATION: u64 = 16;

/// Meters the `N` stages of one thread's loop. One of them is the socket stage, whose time is the
/// loop's remainder.
#[derive(Debug)]
pub struct StageMeter<const N: usize> {
    socket_stage: usize,
    now: fn() -> u64,
    read_cost_ns: u64,
    all: bool,
    /// One in so many units is sampled, on average.
    stride: u64,
    draws: u64,
    /// Of the unit under way, if it is sampled.
    unit: Option<Unit<N>>,
    /// Units and their bytes of content.
    units: u64,
    bytes: u64,
    samples: u64,
    sampled_ns: u64,
    /// What clock reads took in the loop, and of other threads, nanoseconds.
    reads_ns: u64,
    reads_elsewhere_ns: u64,
    size: Size,
    stages: [Estimate; N],
    /// All stages but the socket's.
    known: Estimate,
    /// What other threads spent.
    elsewhere: [Estimate; N],
    loop_ns: u64,
    loop_start_ns: u64,
}

/// CPU nanoseconds of the unit under way.
#[derive(Debug)]
struct Unit<const N: usize> {
    start_ns: u64,
    last_ns: u64,
    /// Per stage: its laps, each with a clock read, and their number.
    laps_ns: [u64; N],
    laps: [u64; N],
    elsewhere_ns: [u64; N],
}

/// CPU time of one thread's loop by stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageTimes<const N: usize> {
    /// Per stage, other threads' share included.
    pub stages: [Duration; N],
    /// Standard errors of `stages`, seconds; zero where every unit was sampled.
    pub errors_s: [f64; N],
    /// What reading clocks cost; in no stage.
    pub clock: Duration,
    /// Units of work.
    pub units: u64,
    /// Those of them around whose stages clocks were read.
    pub samples: u64,
}

impl<const N: usize> StageMeter<N> {
    /// A meter whose stage `socket_stage` holds the socket calls. With `all`, clocks are read
    /// around every unit, whatever it costs.
    pub fn new(socket_stage: usize, all: bool) -> Self {
        StageMeter {
            socket_stage,
            now: thread_cpu_ns,
            read_cost_ns: thread_clock_read_ns().round() as u64,
            all,
            stride: 1,
            draws: 0x9e37_79b9_7f4a_7c15,
            unit: None,
            units: 0,
            bytes: 0,
            samples: 0,
            sampled_ns: 0,
            reads_ns: 0,
            reads_elsewhere_ns: 0,
            size: Size::default(),
            stages: [Estimate::default(); N],
            known: Estimate::default(),
            elsewhere: [Estimate::default(); N],
            loop_ns: 0,
            loop_start_ns: 0,
        }
    }

    /// Enters the loop.
    pub fn enter(&mut self) {
        self.loop_start_ns = (self.now)();
    }

    /// Leaves the loop.
    pub fn leave(&mut self) {
        self.loop_ns += (self.now)().saturating_sub(self.loop_start_ns);
    }

    /// A round has ended: what was sampled so far settles how often the next one is. It stays so
    /// until the next call, however the units' cost changes.
    pub fn settle(&mut self) {
        if self.all || self.samples < CALIBRATION {
            return;
        }
        let stride = self.reads_ns as f64 / (COST_SHARE * self.sampled_ns.max(1) as f64);
        self.stride = (stride.ceil() as u64).clamp(1, MAX_STRIDE);
    }

    /// A unit begins.
    pub fn begin(&mut self) {
        self.unit = self.draw().then(|| {
            let now = (self.now)();
            Unit {
                start_ns: now,
                last_ns: now,
                laps_ns: [0; N],
                laps: [0; N],
                elsewhere_ns: [0; N],
            }
        });
    }

    /// Whether the next unit is sampled: one in `stride`, by a draw of its own.
    fn draw(&mut self) -> bool {
        self.draws ^= self.draws << 13;
        self.draws ^= self.draws >> 7;
        self.draws ^= self.draws << 17;
        self.draws.is_multiple_of(self.stride)
    }

    /// The unit's stage `stage` is done; what follows belongs to the next stage. A stage may come
    /// several times.
    pub fn lap(&mut self, stage: usize) {
        if let Some(unit) = &mut self.unit {
            let now = (self.now)();
            unit.laps[stage] += 1;
            unit.laps_ns[stage] += now - unit.last_ns;
            unit.last_ns = now;
        }
    }

    /// As [`StageMeter::lap`], for work within which other clock reads told `ns` of another stage, by
    /// `pairs` of them.
    pub fn lap_around(&mut self, stage: usize, (within, ns, pairs): (usize, u64, u64)) {
        let before = self.unit.as_ref().map(|unit| unit.laps_ns[stage]);
        self.lap(stage);
        if let (Some(unit), Some(before)) = (&mut self.unit, before) {
            let ns = ns.min(unit.laps_ns[stage] - before);
            unit.laps_ns[stage] -= ns;
            unit.laps_ns[within] += ns;
            // Of a pair, one read is between its clocks, the other outside.
            unit.laps[stage] += pairs;
            unit.laps[within] += pairs;
        }
    }

    /// Whether clocks are read around the stages of the present unit.
    pub fn is_sampling(&self) -> bool {
        self.unit.is_some()
    }

    /// CPU time between two clock reads that another thread spent on a stage of the present unit.
    pub fn add_elsewhere(&mut self, stage: usize, ns: u64) {
        if let Some(unit) = &mut self.unit {
            unit.elsewhere_ns[stage] += ns.saturating_sub(self.read_cost_ns);
            self.reads_elsewhere_ns += 2 * self.read_cost_ns;
        }
    }

    /// There was no unit after all: its laps belong to no stage.
    pub fn cancel(&mut self) {
        if let Some(unit) = self.unit.take() {
            self.reads_ns += (unit.laps.iter().sum::<u64>() + 1) * self.read_cost_ns;
        }
    }

    /// The unit, of `bytes` content, is done. Comes right after its last lap.
    pub fn done(&mut self, bytes: u64) {
        self.units += 1;
        self.bytes += bytes;
        let Some(unit) = self.unit.take() else {
            return;
        };
        let now = (self.now)();
        // Nothing but a read lies between the last lap and now.
        let read_ns = now - unit.last_ns;
        self.samples += 1;
        self.sampled_ns += now - unit.start_ns;
        self.reads_ns += (unit.laps.iter().sum::<u64>() + 2) * read_ns;
        let weight = self.stride as f64;
        let size = bytes as f64;
        self.size.add(weight, size);
        let mut known = 0.0;
        for stage in 0..N {
            // Signed: a short lap that came out below a read balances those above it.
            let own = unit.laps_ns[stage] as f64 - (unit.laps[stage] * read_ns) as f64;
            self.stages[stage].add(weight, size, own);
            self.elsewhere[stage].add(weight, size, unit.elsewhere_ns[stage] as f64);
            if stage != self.socket_stage {
                known += own;
            }
        }
        self.known.add(weight, size, known);
        if self.samples == CALIBRATION {
            self.settle();
        }
    }

    /// What was metered so far.
    pub fn times(&self) -> StageTimes<N> {
        let all = self.bytes as f64;
        let total = |estimate: &Estimate| estimate.total(&self.size, all);
        let mut stages = [0.0; N];
        let mut errors_s = [0.0; N];
        for (stage, (own, elsewhere)) in self.stages.iter().zip(&self.elsewhere).enumerate() {
            let (own_ns, own_error) = match stage == self.socket_stage {
                true => (0.0, total(&self.known).1),
                false => total(own),
            };
            let elsewhere_error = total(elsewhere).1;
            stages[stage] = own_ns.max(0.0);
            errors_s[stage] = own_error.hypot(elsewhere_error) / 1e9;
        }
        let known: f64 = stages.iter().sum();
        let spent = self.loop_ns.saturating_sub(self.reads_ns) as f64;
        if known > spent {
            // A sample that overstates: keep the proportions within what the thread really used.
            stages = stages.map(|ns| ns * spent / known);
        } else {
            stages[self.socket_stage] = spent - known;
        }
        for (stage, elsewhere) in stages.iter_mut().zip(&self.elsewhere) {
            *stage += total(elsewhere).0;
        }
        StageTimes {
            stages: stages.map(|ns| Duration::from_nanos(ns as u64)),
            errors_s,
            clock: Duration::from_nanos(self.reads_ns + self.reads_elsewhere_ns),
            units: self.units,
            samples: self.samples,
        }
    }
}

impl<const N: usize> StageTimes<N> {
    /// The standard error of a stage's total over several threads, seconds.
    pub fn error_s(threads: &[StageTimes<N>], stage: usize) -> f64 {
        let errors = threads.iter().map(|times| times.errors_s[stage]);
        errors.fold(0.0, f64::hypot)
    }
}

#[cfg(test)]
mod tests;
