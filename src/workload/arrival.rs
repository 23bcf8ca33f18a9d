//! When pages are written: the instants of one vCPU's writes.

use super::random::{Draws, Exponential, Purpose};
use super::{Arrival, PageWrite, Phases};
use crate::scenario::Scenario;
use crate::units::PAGE_SIZE;

/// Times are counted in 2^-12 ns, so that rounding does not bias short gaps; 52 days fit.
const TICK_BITS: u32 = 12;
const TICKS_PER_NS: f64 = (1u64 << TICK_BITS) as f64;

/// Generates the times of writes, in order.
#[derive(Debug)]
pub(super) enum Arrivals {
    /// Rate 0.
    Idle,
    Constant(Even),
    Modulated(Box<Modulated>),
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

/// A Poisson process whose rate alternates between two levels.
#[derive(Debug)]
pub(super) struct Modulated {
    /// Mean gap between this vCPU's writes at each level, in ticks; infinite at rate 0.
    gap: [f64; 2],
    phases: Lengths,
    level: usize,
    /// When the current level ends.
    end: u64,
    now: u64,
    phase_draws: Draws,
    draws: Draws,
    exponential: Box<Exponential>,
}

/// Lengths of the phases at each level, in ticks.
#[derive(Debug)]
enum Lengths {
    /// The first level lasts for ever.
    Endless,
    Fixed([f64; 2]),
    Exponential([f64; 2]),
}

impl Arrivals {
    /// The arrivals of vCPU `vcpu` under a checked scenario.
    pub(super) fn new(scenario: &Scenario, vcpu: u32) -> Arrivals {
        let rate = scenario.workload.rate.0;
        if rate == 0 {
            return Arrivals::Idle;
        }
        let vcpus = scenario.guest.vcpus;
        // Mean gap between the writes of this vCPU.
        let gap = PAGE_SIZE as f64 * 1e9 / rate as f64 * f64::from(vcpus) * TICKS_PER_NS;
        let modulated = |gap, phases| {
            Arrivals::Modulated(Box::new(Modulated::new(
                gap,
                phases,
                scenario.guest.seed,
                vcpu,
            )))
        };
        match &scenario.workload.arrival {
            Arrival::Constant {} => Arrivals::Constant(Even::new(rate, vcpus, vcpu)),
            Arrival::Poisson {} => modulated([gap, f64::INFINITY], Lengths::Endless),
            Arrival::OnOff {
                duty,
                period,
                phases,
            } => {
                let period = period.as_nanos() as f64 * TICKS_PER_NS;
                let lengths = [duty * period, (1.0 - duty) * period];
                let lengths = match phases {
                    Phases::Fixed => Lengths::Fixed(lengths),
                    Phases::Exponential => Lengths::Exponential(lengths),
                };
                modulated([gap * duty, f64::INFINITY], lengths)
            }
        }
    }

    /// Appends `count` writes with their times set; fewer only if the stream has ended.
    pub(super) fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        match self {
            Arrivals::Idle => {}
            Arrivals::Constant(even) => out.extend((0..count).map(|_| write_at(even.next()))),
            Arrivals::Modulated(modulated) => modulated.fill(out, count),
        }
    }
}

#[inline]
fn write_at(at_ns: u64) -> PageWrite {
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

impl Modulated {
    fn new(gap: [f64; 2], phases: Lengths, seed: u64, vcpu: u32) -> Modulated {
        // Phases are the guest's: every vCPU draws the same ones.
        let mut phase_draws = Draws::new(seed, Purpose::Phase, 0);
        let (level, end) = phases.start(&mut phase_draws);
        Modulated {
            gap,
            phases,
            level,
            end,
            now: 0,
            phase_draws,
            draws: Draws::new(seed, Purpose::Instant, u64::from(vcpu)),
            exponential: Exponential::new(),
        }
    }

    fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        let mut left = count;
        while left > 0 {
            let gap = self.gap[self.level];
            if gap.is_finite() {
                let mut now = self.now;
                while left > 0 {
                    let step = (self.exponential.draw(&mut self.draws) * gap + 0.5) as u64;
                    now = now.saturating_add(step);
                    // Past the end of the phase the draw is void: the process has no memory.
                    if now >= self.end {
                        break;
                    }
                    self.now = now;
                    out.push(write_at(now >> TICK_BITS));
                    left -= 1;
                }
                if left == 0 {
                    return;
                }
            }
            if self.end == u64::MAX {
                return;
            }
            self.now = self.end;
            self.level ^= 1;
            let length = self.phases.draw(self.level, &mut self.phase_draws);
            self.end = self.end.saturating_add(length);
        }
    }
}

impl Lengths {
    /// Level and end of the phase at time 0, in the stationary process.
    fn start(&self, draws: &mut Draws) -> (usize, u64) {
        match self {
            Lengths::Endless => (0, u64::MAX),
            Lengths::Fixed([on, off]) => {
                let at = draws.unit() * (on + off);
                if at < *on {
                    (0, (on - at) as u64)
                } else {
                    (1, (on + off - at) as u64)
                }
            }
            Lengths::Exponential([on, off]) => {
                let level = usize::from(draws.unit() * (on + off) >= *on);
                (level, self.draw(level, draws))
            }
        }
    }

    /// The length of the next phase.
    fn draw(&self, level: usize, draws: &mut Draws) -> u64 {
        match self {
            Lengths::Endless => u64::MAX,
            Lengths::Fixed(lengths) => (lengths[level] + 0.5) as u64,
            Lengths::Exponential(means) => (draws.exponential() * means[level] + 0.5) as u64,
        }
    }
}
