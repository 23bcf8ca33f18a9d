//! Poisson arrivals whose rate alternates between two levels.

use super::law::{Alternating, LengthLaw};
use super::pareto::Pareto;
use crate::workload::random::{Draws, Exponential, Purpose};
use crate::workload::write::PageWrite;

/// Random times are counted in 2^-12 ns, so that rounding does not bias short gaps; 52 days fit.
const TICK_BITS: u32 = 12;
const TICKS_PER_NS: f64 = (1u64 << TICK_BITS) as f64;

/// A Poisson process whose rate alternates between two levels.
#[derive(Debug)]
pub(in crate::workload) struct Modulated {
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
    Pareto(Pareto, [f64; 2]),
}

impl Modulated {
    /// A Poisson process with the given mean gap.
    pub(super) fn poisson(gap_ns: f64, seed: u64, vcpu: u32) -> Modulated {
        let gap = gap_ns * TICKS_PER_NS;
        Modulated::start([gap, f64::INFINITY], Lengths::Endless, seed, vcpu)
    }

    /// An alternating process with the given mean gap over all time.
    pub(super) fn alternating(gap_ns: f64, a: &Alternating, seed: u64, vcpu: u32) -> Modulated {
        let gap = gap_ns * TICKS_PER_NS;
        let means = a.means_ns.map(|ns| ns * TICKS_PER_NS);
        let phases = match a.law {
            _ if means[1] <= 0.0 => Lengths::Endless,
            LengthLaw::Fixed => Lengths::Fixed(means),
            LengthLaw::Exponential => Lengths::Exponential(means),
            LengthLaw::Pareto(law) => Lengths::Pareto(law, means),
        };
        Modulated::start(a.levels.map(|level| gap / level), phases, seed, vcpu)
    }

    fn start(gap: [f64; 2], phases: Lengths, seed: u64, vcpu: u32) -> Modulated {
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

    /// Appends `count` writes with their times set.
    pub(super) fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        let mut left = count;
        while left > 0 {
            let gap = self.gap[self.level];
            if gap.is_finite() {
                while left > 0 {
                    let step = (self.exponential.draw(&mut self.draws) * gap + 0.5) as u64;
                    let now = self.now.saturating_add(step);
                    // Past the end of the phase the draw is void: the process has no memory.
                    if now >= self.end {
                        break;
                    }
                    self.now = now;
                    out.push(PageWrite::at(now >> TICK_BITS));
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
            Lengths::Pareto(law, means) => {
                let level = usize::from(draws.unit() * (means[0] + means[1]) >= means[0]);
                // Time 0 falls into a phase in proportion to its length, anywhere within it.
                let phase = law.quantile_of_covering(draws.unit()) * means[level];
                (level, (phase * draws.unit()) as u64)
            }
        }
    }

    /// The length of the next phase.
    fn draw(&self, level: usize, draws: &mut Draws) -> u64 {
        match self {
            Lengths::Endless => u64::MAX,
            Lengths::Fixed(lengths) => (lengths[level] + 0.5) as u64,
            Lengths::Exponential(means) => (draws.exponential() * means[level] + 0.5) as u64,
            Lengths::Pareto(law, means) => (law.quantile(draws.unit()) * means[level] + 0.5) as u64,
        }
    }
}
