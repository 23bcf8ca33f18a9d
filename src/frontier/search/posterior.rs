//! Where a frontier probably is, after answers that may be wrong.
//!
//! A migration at rate r converges with probability
//!
//! ```text
//! l + (1 - 2 l) / (1 + exp((ln r - ln f) / w))
//! ```
//!
//! f is the frontier: there, one of two migrations converges. w is how wide the change from all to none
//! is, as a logarithm: bursts and the machine's noise make it wide. Neither is known. The prior is flat in ln f
//! over all rates that may be probed, and over six widths from 0.5% to 16%; l = 1% is the share of answers that have
//! nothing to do with the rate.

/// Widths of the change, as logarithms of rates.
const WIDTHS: [f64; 6] = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16];
/// Share of answers that have nothing to do with the rate, on each side.
const LAPSES: f64 = 0.01;
/// Between neighbouring frontiers of the grid, as a logarithm.
const STEP: f64 = 0.004;

/// What is believed of a frontier.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// Logarithm of the lowest frontier.
    first: f64,
    /// By frontier, then by width; the largest is 1.
    weights: Vec<[f64; WIDTHS.len()]>,
}

impl Posterior {
    /// Level of its intervals.
    pub const LEVEL: f64 = 0.95;

    /// Nothing is known but the range.
    pub fn flat(lowest: f64, highest: f64) -> Posterior {
        let first = libm::log(lowest);
        let count = ((libm::log(highest) - first) / STEP).ceil() as usize + 1;
        Posterior {
            first,
            weights: vec![[1.0; WIDTHS.len()]; count],
        }
    }

    /// A migration at this rate converged or did not.
    pub fn learn(&mut self, rate: f64, converged: bool) {
        let at = libm::log(rate.max(f64::MIN_POSITIVE));
        let mut largest = 0.0f64;
        for (index, weights) in self.weights.iter_mut().enumerate() {
            let beyond = at - (self.first + STEP * index as f64);
            for (weight, width) in weights.iter_mut().zip(WIDTHS) {
                // Of the answer that was given.
                let beyond = if converged { beyond } else { -beyond };
                let likely = LAPSES + (1.0 - 2.0 * LAPSES) / (1.0 + libm::exp(beyond / width));
                *weight *= likely;
                largest = largest.max(*weight);
            }
        }
        for weight in self.weights.iter_mut().flatten() {
            *weight /= largest;
        }
    }

    /// The rate below which the frontier is with this probability.
    pub fn quantile(&self, share: f64) -> f64 {
        let mass = |weights: &[f64; WIDTHS.len()]| weights.iter().sum::<f64>();
        let all: f64 = self.weights.iter().map(mass).sum();
        let mut below = 0.0;
        for (index, weights) in self.weights.iter().enumerate() {
            let here = mass(weights);
            if below + here >= share * all {
                let within = (share * all - below) / here - 0.5;
                return libm::exp(self.first + STEP * (index as f64 + within));
            }
            below += here;
        }
        libm::exp(self.first + STEP * self.weights.len() as f64)
    }

    /// The frontier's interval, of [`Posterior::LEVEL`]: as much is below as above.
    pub fn interval(&self) -> (f64, f64) {
        let outside = (1.0 - Self::LEVEL) / 2.0;
        (self.quantile(outside), self.quantile(1.0 - outside))
    }

    /// Half the interval's width, as a logarithm.
    pub fn half_width(&self) -> f64 {
        let (low, high) = self.interval();
        libm::log(high / low) / 2.0
    }
}
