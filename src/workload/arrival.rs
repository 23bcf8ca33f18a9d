//! When pages are written: the instants of one vCPU's writes.

use super::cascade::Cascading;
use super::modulated::Modulated;
use super::trace::Cursor;
use super::{PageWrite, Shape};
use crate::error::Result;
use crate::scenario::Scenario;
use crate::units::PAGE_SIZE;

/// Random times are counted in 2^-12 ns, so that rounding does not bias short gaps; 52 days fit.
pub(super) const TICK_BITS: u32 = 12;
pub(super) const TICKS_PER_NS: f64 = (1u64 << TICK_BITS) as f64;

/// Generates the times of writes, in order.
#[derive(Debug)]
pub(super) enum Arrivals {
    /// Rate 0.
    Idle,
    Constant(Even),
    Modulated(Box<Modulated>),
    Cascade(Box<Cascading>),
    Trace(Box<Replay>),
}

/// Evenly spaced writes at exact rational times.
#[derive(Debug)]
pub(super) struct Even {
    next_ns: u64,
    /// Numerator of the part of a nanosecond beyond `next_ns`; the denominator is `rate`.
    part: u64,
    step_ns: u64,
    step_part: u64,
    rate: u64,
}

/// The times of a trace, of which this vCPU takes every `vcpus`-th.
#[derive(Debug)]
pub(super) struct Replay {
    cursor: Cursor,
    speed: f64,
    skip_first: u32,
    vcpus: u32,
}

impl Arrivals {
    /// The arrivals of vCPU `vcpu` under a checked scenario.
    ///
    /// # Errors
    /// A trace that can't be opened.
    pub(super) fn new(scenario: &Scenario, vcpu: u32) -> Result<Arrivals> {
        let rate = scenario.workload.rate.0;
        if rate == 0 {
            return Ok(Arrivals::Idle);
        }
        let (vcpus, seed) = (scenario.guest.vcpus, scenario.guest.seed);
        // Mean gap between the writes of this vCPU.
        let gap = PAGE_SIZE as f64 * 1e9 / rate as f64 * f64::from(vcpus) * TICKS_PER_NS;
        Ok(match Shape::of(scenario)? {
            Shape::Constant => Arrivals::Constant(Even::new(rate, vcpus, vcpu)),
            Shape::Poisson => Arrivals::Modulated(Box::new(Modulated::poisson(gap, seed, vcpu))),
            Shape::Alternating(a) => {
                Arrivals::Modulated(Box::new(Modulated::alternating(gap, &a, seed, vcpu)))
            }
            Shape::Cascade(law) => {
                Arrivals::Cascade(Box::new(Cascading::new(law, rate, vcpus, vcpu, seed)))
            }
            Shape::Trace {
                trace,
                speed,
                repeat,
            } => Arrivals::Trace(Box::new(Replay {
                cursor: Cursor::new(trace, repeat),
                speed,
                skip_first: vcpu,
                vcpus,
            })),
        })
    }

    /// Appends `count` writes with their times set; fewer only if the stream has ended.
    pub(super) fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        match self {
            Arrivals::Idle => {}
            Arrivals::Constant(even) => out.extend((0..count).map(|_| write_at(even.next()))),
            Arrivals::Modulated(modulated) => modulated.fill(out, count),
            Arrivals::Cascade(cascade) => cascade.fill(out, count),
            Arrivals::Trace(replay) => {
                out.extend((0..count).map_while(|_| replay.next().map(write_at)));
            }
        }
    }
}

#[inline]
pub(super) fn write_at(at_ns: u64) -> PageWrite {
    PageWrite {
        at_ns,
        page: 0,
        value: 0,
    }
}

impl Even {
    /// Write k of the guest is due at k pages / rate; vCPU v of V makes the writes v, v + V, ...
    fn new(rate: u64, vcpus: u32, vcpu: u32) -> Even {
        let page_ns = PAGE_SIZE as u64 * 1_000_000_000;
        let first = page_ns * u64::from(vcpu);
        let step = page_ns * u64::from(vcpus);
        Even {
            next_ns: first / rate,
            part: first % rate,
            step_ns: step / rate,
            step_part: step % rate,
            rate,
        }
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let now = self.next_ns;
        self.next_ns = now.saturating_add(self.step_ns);
        self.part += self.step_part;
        if self.part >= self.rate {
            self.part -= self.rate;
            self.next_ns = self.next_ns.saturating_add(1);
        }
        now
    }
}

impl Replay {
    fn next(&mut self) -> Option<u64> {
        let skip = std::mem::replace(&mut self.skip_first, self.vcpus - 1);
        for _ in 0..skip {
            self.cursor.next_write()?;
        }
        let (at_ns, _) = self.cursor.next_write()?;
        Some((at_ns as f64 / self.speed) as u64)
    }
}
