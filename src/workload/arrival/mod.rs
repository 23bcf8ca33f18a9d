//! When pages are written: the instants of one vCPU's writes.

mod cascade;
pub(super) mod law;
mod modulated;
pub(super) mod pareto;
mod solve;
pub mod theory;

use std::iter::{Skip, StepBy};

use self::cascade::Cascading;
use self::law::ArrivalLaw;
use self::modulated::Modulated;
use super::spec::StreamSpec;
use super::trace::Replay;
use super::write::PageWrite;
use crate::error::Result;
use crate::units::PAGE_SIZE;

/// Generates the times of writes, in order.
#[derive(Debug)]
pub(super) enum Arrivals {
    /// Rate 0.
    Idle,
    Constant(Even),
    Modulated(Box<Modulated>),
    Cascade(Box<Cascading>),
    /// Every vCPU takes its turn in the trace, which runs at the given speed.
    Trace(Box<StepBy<Skip<Replay>>>, f64),
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

impl Arrivals {
    /// The arrivals of vCPU `vcpu` under a checked specification.
    ///
    /// # Errors
    /// A trace that can't be opened.
    pub(super) fn new(spec: &StreamSpec, vcpu: u32) -> Result<Arrivals> {
        let rate = spec.rate.0;
        if rate == 0 {
            return Ok(Arrivals::Idle);
        }
        let (vcpus, seed) = (spec.vcpus, spec.seed);
        // Mean gap between the writes of this vCPU.
        let gap_ns = PAGE_SIZE as f64 * 1e9 / rate as f64 * f64::from(vcpus);
        Ok(match ArrivalLaw::of(spec)? {
            ArrivalLaw::Constant => Arrivals::Constant(Even::new(rate, vcpus, vcpu)),
            ArrivalLaw::Poisson => {
                Arrivals::Modulated(Box::new(Modulated::poisson(gap_ns, seed, vcpu)))
            }
            ArrivalLaw::Alternating(a) => {
                Arrivals::Modulated(Box::new(Modulated::alternating(gap_ns, &a, seed, vcpu)))
            }
            ArrivalLaw::Cascade(law) => {
                Arrivals::Cascade(Box::new(Cascading::new(law, rate, vcpus, vcpu, seed)))
            }
            ArrivalLaw::Trace {
                trace,
                speed,
                repeat,
            } => {
                let replay = Replay::new(trace, repeat);
                let own = replay.skip(vcpu as usize).step_by(vcpus as usize);
                Arrivals::Trace(Box::new(own), speed)
            }
        })
    }

    /// Appends `count` writes with their times set; fewer only if the stream has ended.
    pub(super) fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        match self {
            Arrivals::Idle => {}
            Arrivals::Constant(even) => out.extend((0..count).map(|_| PageWrite::at(even.next()))),
            Arrivals::Modulated(modulated) => modulated.fill(out, count),
            Arrivals::Cascade(cascade) => cascade.fill(out, count),
            Arrivals::Trace(replay, speed) => {
                let times = replay.take(count).map(|(at_ns, _)| at_ns as f64 / *speed);
                out.extend(times.map(|at_ns| PageWrite::at(at_ns as u64)));
            }
        }
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
