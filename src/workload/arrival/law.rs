//! The law of arrival with every parameter known: what is asked for, solved.

use std::sync::Arc;

use super::pareto::Pareto;
use crate::units::Span;
use crate::workload::trace::Trace;

/// How writes arrive, with nothing left to solve. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrivalLaw {
    /// Evenly spaced in time.
    Constant,
    /// A Poisson process.
    Poisson,
    /// A Poisson process that alternates between two rates.
    Alternating(Alternating),
    /// The b-model: bursts within bursts.
    Cascade(Cascade),
    /// The times of a recorded trace.
    Trace {
        /// The recording.
        trace: Arc<Trace>,
        /// Recorded time over replayed time.
        speed: f64,
        /// Whether it begins again at its end.
        repeat: bool,
    },
}

/// A Poisson process whose rate alternates between a high and a low level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alternating {
    /// Rates at the high and the low level over the mean rate.
    pub levels: [f64; 2],
    /// Mean lengths of the phases at each level.
    pub means_ns: [f64; 2],
    /// How the lengths vary.
    pub law: LengthLaw,
}

/// How lengths of phases vary about their mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LengthLaw {
    /// All are as long as the mean.
    Fixed,
    /// They are exponentially distributed.
    Exponential,
    /// They follow a Pareto law cut off at the top, scaled to the mean.
    Pareto(Pareto),
}

/// The b-model (Wang et al., ICDE 2002): the writes of a span are split b : 1-b between its
/// halves, the larger part left or right at random, and so on for `levels` levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cascade {
    /// Share of the larger part, 0.5 to 1.
    pub b: f64,
    /// Length of the smallest interval; writes are evenly spaced in it.
    pub slot_ns: u64,
    /// Levels; a span is `slot x 2^levels` long and holds its writes exactly.
    pub levels: u32,
}

impl Cascade {
    /// Length of a span.
    pub fn span_ns(&self) -> u64 {
        self.slot_ns << self.levels
    }
}

impl Alternating {
    /// High level over duty: levels that keep the mean at 1.
    pub(super) fn new(duty: f64, low: f64, period_ns: f64, law: LengthLaw) -> Alternating {
        Alternating {
            levels: [(1.0 - low * (1.0 - duty)) / duty, low],
            means_ns: [duty * period_ns, (1.0 - duty) * period_ns],
            law,
        }
    }
}

impl ArrivalLaw {
    /// Peak rate over mean rate, where the model has a bound: of two alternating rates the high one
    /// over the mean, `(1 - low (1 - duty)) / duty`, so 1 / duty where the low one is 0; of the b-model
    /// the fullest of its smallest intervals, which has `b^levels` of a span's writes in `2^-levels` of
    /// its time: `(2 b)^levels` (Wang et al., ICDE 2002). 1 where the rate is constant, and for a trace,
    /// which has no rate but its own.
    pub fn peak_to_mean(&self) -> f64 {
        match self {
            ArrivalLaw::Alternating(a) => a.levels[0].max(a.levels[1]),
            ArrivalLaw::Cascade(c) => libm::pow(2.0 * c.b, f64::from(c.levels)),
            ArrivalLaw::Constant | ArrivalLaw::Poisson | ArrivalLaw::Trace { .. } => 1.0,
        }
    }

    /// The solved parameters in words.
    pub fn describe(&self) -> String {
        let span = |ns: f64| Span(std::time::Duration::from_nanos(ns as u64));
        match self {
            ArrivalLaw::Constant => "constant".to_owned(),
            ArrivalLaw::Poisson => "poisson".to_owned(),
            ArrivalLaw::Alternating(a) => {
                let [high, low] = a.levels;
                let [on, off] = a.means_ns;
                let law = match a.law {
                    LengthLaw::Fixed => "fixed",
                    LengthLaw::Exponential => "exponential",
                    LengthLaw::Pareto(_) => "pareto",
                };
                format!(
                    "{high:.3} x mean rate for {:.3} ms, {low:.3} x for {:.3} ms, {law} lengths",
                    on / 1e6,
                    off / 1e6
                )
            }
            ArrivalLaw::Cascade(c) => format!(
                "b-model, b {:.4}, {} levels, slot {}, span {}",
                c.b,
                c.levels,
                span(c.slot_ns as f64),
                span(c.span_ns() as f64)
            ),
            ArrivalLaw::Trace { trace, speed, .. } => format!(
                "trace of {} at speed {speed:.4}",
                span(trace.duration_ns() as f64)
            ),
        }
    }
}
