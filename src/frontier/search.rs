//! Where to probe next, and what the answers say: pure, so that a simulated guest can answer.
//!
//! Rates are gone through as page writes a second. Both ways begin alike: from the scenario's rate upwards
//! in growing steps while it converges, or downwards while it does not, until both were seen.
//!
//! - [`Method::Exact`], for the virtual clock: then the middle between the highest rate that converged
//!   below one that did not, and that one. Such a pair always stays, whether or not convergence is monotone in
//!   the rate, and closes in on one page write a second, or as far as is asked for.
//! - [`Method::Noisy`], for the live clock: then where the [`Posterior`] of the frontier has its median
//!   (probabilistic bisection: Horstein 1963; Waeber, Frazier and Henderson 2013).

mod posterior;

pub use posterior::Posterior;

use crate::units::PAGE_SIZE;

/// Probes of a noisy search at least: fewer agree by chance.
const LEAST_PROBES: usize = 8;
/// Probes of a search at most.
pub const MOST_PROBES: usize = 200;
/// A guest that was asked for twice as much and wrote less than this times as much can't write faster.
const SATURATED: f64 = 1.1;

/// How a frontier is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Every answer is final.
    Exact,
    /// An answer is one of those that this rate might get.
    Noisy,
}

/// What a search needs to know at its start. Rates in page writes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// How it is looked for.
    pub method: Method,
    /// The first rate to probe.
    pub start: u64,
    /// The lowest rate that may be probed.
    pub lowest: u64,
    /// The highest rate that may be probed.
    pub highest: u64,
    /// Precise enough: the interval's ends are within this share of the frontier. 0 with
    /// [`Method::Exact`] is one page write a second.
    pub precision: f64,
}

/// What is known of a frontier, in page writes per second; what is unknown is absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// The frontier.
    pub rate: Option<f64>,
    /// It is no lower.
    pub low: Option<f64>,
    /// It is no higher.
    pub high: Option<f64>,
}

/// How a search stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// This rate is to be probed next.
    Open(u64),
    /// The frontier is known as precisely as was asked for.
    Precise,
    /// The highest rate that can be probed, or that the guest can write at, still converges.
    Above,
    /// The lowest rate that is probed does not converge.
    Below,
    /// [`MOST_PROBES`] did not make it precise.
    Exhausted,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer {
    /// The rate asked for.
    asked: u64,
    /// What the guest wrote.
    wrote: f64,
    converged: bool,
}

/// A search for one frontier.
#[derive(Debug, Clone)]
pub struct Search {
    question: Question,
    answers: Vec<Answer>,
    posterior: Posterior,
    /// Rates to probe first, because the frontier is expected between them.
    expected: Vec<u64>,
}

impl Search {
    /// A search that has asked nothing yet.
    ///
    /// # Panics
    /// If the question's rates are not in order, or 0.
    pub fn new(question: Question) -> Search {
        let Question {
            start,
            lowest,
            highest,
            ..
        } = question;
        assert!(
            0 < lowest && lowest <= start && start <= highest,
            "{question:?}"
        );
        Search {
            posterior: Posterior::flat(lowest as f64, highest as f64),
            question,
            answers: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// Expects the frontier between two rates: they are probed first. If that is right, an exact search
    /// needs no more.
    pub fn expecting(mut self, low: u64, high: u64) -> Search {
        self.expected = vec![low, high];
        self
    }

    /// A migration at the rate asked for, in which the guest wrote at `wrote`, converged or did not.
    pub fn told(&mut self, asked: u64, wrote: f64, converged: bool) {
        self.answers.push(Answer {
            asked,
            wrote,
            converged,
        });
        self.posterior.learn(wrote, converged);
    }

    /// Answers so far.
    pub fn probes(&self) -> usize {
        self.answers.len()
    }

    /// How it stands, and what to probe next.
    pub fn standing(&self) -> Standing {
        let asked = |rate: &u64| self.answers.iter().any(|answer| answer.asked == *rate);
        if let Some(rate) = self.expected.iter().find(|rate| !asked(rate)) {
            return Standing::Open(*rate);
        }
        let (all, none) = (self.all(true), self.all(false));
        match self.answers.len() {
            0 => Standing::Open(self.question.start),
            _ if all => self.upwards(),
            _ if none => self.downwards(),
            made if self.is_precise(made) => Standing::Precise,
            MOST_PROBES.. => Standing::Exhausted,
            _ => Standing::Open(self.between()),
        }
    }

    fn all(&self, converged: bool) -> bool {
        let mut answers = self.answers.iter();
        answers.all(|answer| answer.converged == converged)
    }

    /// By how much the next step of a search for the other answer is longer than the last.
    fn step(&self) -> u64 {
        1 << self.answers.len().min(16)
    }

    fn upwards(&self) -> Standing {
        let highest = self.question.highest;
        let mut by_rate: Vec<&Answer> = self.answers.iter().collect();
        by_rate.sort_by_key(|answer| answer.asked);
        if let [.., before, last] = by_rate[..]
            && last.asked / 2 >= before.asked
            && last.wrote < before.wrote * SATURATED
        {
            return Standing::Above;
        }
        match by_rate.last().map_or(0, |answer| answer.asked) {
            last if last >= highest => Standing::Above,
            last => Standing::Open(last.saturating_mul(self.step()).min(highest)),
        }
    }

    fn downwards(&self) -> Standing {
        let lowest = self.question.lowest;
        match self.answers.iter().map(|answer| answer.asked).min() {
            Some(last) if last > lowest => Standing::Open((last / self.step()).max(lowest)),
            _ => Standing::Below,
        }
    }

    /// The highest rate that converged below one that did not, and that one; the guest wrote both.
    fn pair(&self) -> (Option<u64>, Option<u64>) {
        let rates = |converged| {
            let answers = self.answers.iter();
            answers.filter_map(move |a| (a.converged == converged).then_some(a.asked))
        };
        let high = rates(false).min();
        let below = |rate: &u64| high.is_none_or(|high| *rate < high);
        (rates(true).filter(below).max(), high)
    }

    fn between(&self) -> u64 {
        let Question {
            lowest, highest, ..
        } = self.question;
        match (self.question.method, self.pair()) {
            (Method::Exact, (Some(low), Some(high))) => low + (high - low) / 2,
            // What converged lies above what did not: look below both.
            (Method::Exact, (_, Some(high))) => (high / 2).max(lowest),
            _ => {
                let median = self.posterior.quantile(0.5).round();
                (median as u64).clamp(lowest, highest)
            }
        }
    }

    fn is_precise(&self, made: usize) -> bool {
        let precision = self.question.precision;
        match (self.question.method, self.pair()) {
            (Method::Exact, (Some(low), Some(high))) => {
                high - low <= 1 || (high as f64) <= low as f64 * (1.0 + precision)
            }
            (Method::Exact, _) => false,
            (Method::Noisy, _) => {
                made >= LEAST_PROBES && self.posterior.half_width() <= libm::log1p(precision)
            }
        }
    }

    /// What is known so far. Of a noisy search an interval of [`Posterior::LEVEL`], once both answers were
    /// seen; before, the rate of the last answer on this side of the frontier.
    pub fn known(&self) -> Known {
        let wrote = self.answers.iter().map(|answer| answer.wrote);
        let unknown = Known {
            rate: None,
            low: None,
            high: None,
        };
        if self.answers.is_empty() {
            return unknown;
        }
        match (self.all(true), self.all(false), self.question.method) {
            (true, ..) => Known {
                low: wrote.max_by(f64::total_cmp),
                ..unknown
            },
            (_, true, _) => Known {
                high: wrote.min_by(f64::total_cmp),
                ..unknown
            },
            (.., Method::Exact) => {
                let (low, high) = self.pair();
                let low = low.map(|rate| rate as f64);
                Known {
                    rate: low,
                    low,
                    high: high.map(|rate| rate as f64),
                }
            }
            (.., Method::Noisy) => {
                let (low, high) = self.posterior.interval();
                Known {
                    rate: Some(self.posterior.quantile(0.5)),
                    low: Some(low),
                    high: Some(high),
                }
            }
        }
    }

    /// About how many probes it still takes.
    pub fn left(&self) -> usize {
        let halvings = |from: f64, to: f64| (from / to).log2().ceil().max(1.0) as usize;
        let Standing::Open(next) = self.standing() else {
            return 0;
        };
        let precision = self.question.precision;
        match (self.question.method, self.pair()) {
            (Method::Exact, (Some(low), Some(high))) => {
                halvings((high - low) as f64, (low as f64 * precision).max(1.0))
            }
            (Method::Exact, _) => halvings(next as f64, (next as f64 * precision).max(1.0)) + 2,
            (Method::Noisy, _) if self.all(true) || self.all(false) => LEAST_PROBES + 2,
            (Method::Noisy, _) => {
                // An answer at the median takes about a quarter of the interval away.
                let narrowing = self.posterior.half_width() / libm::log1p(precision);
                let narrowing = (narrowing.ln() / (4.0f64 / 3.0).ln()).ceil().max(1.0) as usize;
                narrowing.max(LEAST_PROBES.saturating_sub(self.answers.len()))
            }
        }
    }
}

/// A rate in bytes per second as page writes per second.
pub fn writes_per_s(bytes_per_s: u64) -> u64 {
    bytes_per_s / PAGE_SIZE as u64
}

/// Page writes per second as a rate in bytes per second.
pub fn bytes_per_s(writes_per_s: f64) -> f64 {
    writes_per_s * PAGE_SIZE as f64
}

#[cfg(test)]
mod tests;
