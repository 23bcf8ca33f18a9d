//! The law of arrival with every parameter known: what a scenario asks for, solved.

use super::pareto::Pareto;
use super::trace::Trace;
use super::{Arrival, Phases, solve};
use crate::error::{Error, Result};
use crate::scenario::Scenario;
use crate::units::{PAGE_SIZE, Span};

/// How writes arrive, with nothing left to solve. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Evenly spaced.
    Constant,
    /// A Poisson process.
    Poisson,
    /// A Poisson process that alternates between two rates.
    Alternating(Alternating),
    /// The b-model.
    Cascade(Cascade),
    /// A recorded trace.
    Trace {
        /// The trace.
        trace: std::sync::Arc<Trace>,
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
    /// Not at all.
    Fixed,
    /// Exponentially.
    Exponential,
    /// By a Pareto law cut off at the top, scaled to the mean.
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

impl Shape {
    /// The shape that a scenario asks for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters that can't be, and for a burstiness that the model can't
    /// reach, with what is possible.
    pub fn of(scenario: &Scenario) -> Result<Shape> {
        let rate = scenario.workload.rate.0;
        let per_second = rate as f64 / PAGE_SIZE as f64;
        Ok(match &scenario.workload.arrival {
            Arrival::Constant {} => Shape::Constant,
            Arrival::Poisson {} => Shape::Poisson,
            Arrival::OnOff {
                duty,
                period,
                phases,
                burstiness,
                window,
            } => solve::Request {
                duty: *duty,
                period: *period,
                low: 0.0,
                law: match phases {
                    Phases::Fixed => LengthLaw::Fixed,
                    Phases::Exponential => LengthLaw::Exponential,
                },
                burstiness: *burstiness,
                window: *window,
            }
            .solve(per_second)?,
            Arrival::Mmpp {
                duty,
                period,
                low,
                burstiness,
                window,
            } => {
                share(
                    *low,
                    "low",
                    "a share of the mean rate from 0 to 1",
                    0.0,
                    1.0,
                )?;
                solve::Request {
                    duty: *duty,
                    period: *period,
                    low: *low,
                    law: LengthLaw::Exponential,
                    burstiness: *burstiness,
                    window: *window,
                }
                .solve(per_second)?
            }
            Arrival::ParetoOnOff {
                duty,
                period,
                shape,
                longest,
                burstiness,
                window,
            } => {
                share(*shape, "shape", "above 1, up to 5", 1.0 + 1e-9, 5.0)?;
                share(*longest, "longest", "2 to 1000000", 2.0, 1e6)?;
                solve::Request {
                    duty: *duty,
                    period: *period,
                    low: 0.0,
                    law: LengthLaw::Pareto(Pareto::new(*shape, *longest)),
                    burstiness: *burstiness,
                    window: *window,
                }
                .solve(per_second)?
            }
            Arrival::BModel {
                b,
                slot,
                levels,
                burstiness,
                window,
            } => Shape::Cascade(solve::cascade(
                *b,
                *slot,
                *levels,
                *burstiness,
                *window,
                per_second,
            )?),
            Arrival::Trace {
                file,
                speed,
                repeat,
            } => {
                let trace = Trace::open(file)?;
                let speed = match speed {
                    Some(speed) => {
                        share(*speed, "speed", "above 0, up to 1000000", 1e-6, 1e6)?;
                        agree(&trace, *speed, scenario)?;
                        *speed
                    }
                    None => rate as f64 / trace.rate(),
                };
                Shape::Trace {
                    trace,
                    speed,
                    repeat: *repeat,
                }
            }
        })
    }

    /// Peak rate over mean rate, where the model has a bound.
    pub fn peak_to_mean(&self) -> f64 {
        match self {
            Shape::Alternating(a) => a.levels[0].max(a.levels[1]),
            Shape::Cascade(c) => libm::pow(2.0 * c.b, f64::from(c.levels)),
            Shape::Constant | Shape::Poisson | Shape::Trace { .. } => 1.0,
        }
    }

    /// The solved parameters in words.
    pub fn describe(&self) -> String {
        let span = |ns: f64| Span(std::time::Duration::from_nanos(ns as u64));
        match self {
            Shape::Constant => "constant".to_owned(),
            Shape::Poisson => "poisson".to_owned(),
            Shape::Alternating(a) => {
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
            Shape::Cascade(c) => format!(
                "b-model, b {:.4}, {} levels, slot {}, span {}",
                c.b,
                c.levels,
                span(c.slot_ns as f64),
                span(c.span_ns() as f64)
            ),
            Shape::Trace { trace, speed, .. } => format!(
                "trace of {} at speed {speed:.4}",
                span(trace.duration_ns() as f64)
            ),
        }
    }
}

/// A trace with a speed has its rate; another one asked for beside it can't be kept.
fn agree(trace: &Trace, speed: f64, scenario: &Scenario) -> Result<()> {
    let rate = scenario.workload.rate;
    let own = trace.rate() * speed;
    if (rate.0 as f64 - own).abs() <= 1.0 + own * 1e-6 {
        return Ok(());
    }
    Err(Error::invalid(
        "workload.rate",
        rate,
        format_args!(
            "at speed {speed} the trace writes {own:.0}B/s; leave out rate or workload.arrival.speed"
        ),
    ))
}

/// Refuses a parameter of the arrival outside `least..=most`, NaN included.
fn share(value: f64, name: &str, allowed: &str, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(
        format_args!("workload.arrival.{name}"),
        value,
        allowed,
    ))
}
