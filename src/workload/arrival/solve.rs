//! From what people think in, a burstiness at a window, to the parameters of a model.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::law::{Alternating, ArrivalLaw, Cascade, LengthLaw};
use super::pareto::Pareto;
use super::theory;
use crate::error::{Error, Result};
use crate::units::{PAGE_SIZE, Rate, Span};
use crate::workload::spec::{Arrival, Phases, StreamSpec};
use crate::workload::trace::Trace;

/// Periods of phases: 1 us to 24 h.
const PERIOD_NS: [f64; 2] = [1e3, 86_400e9];
/// The shortest duty that is solved for.
const LEAST_DUTY: f64 = 1e-4;
/// The window that a burstiness is measured in, if none is named.
const DEFAULT_WINDOW_NS: u64 = 100_000_000;

impl ArrivalLaw {
    /// The law that a stream's arrival asks for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters that can't be, and for a burstiness that the model can't
    /// reach, with what is possible.
    pub fn of(spec: &StreamSpec) -> Result<ArrivalLaw> {
        let rate = spec.rate.0;
        let per_second = rate as f64 / PAGE_SIZE as f64;
        match spec.arrival {
            Arrival::Constant {} => Ok(ArrivalLaw::Constant),
            Arrival::Poisson {} => Ok(ArrivalLaw::Poisson),
            Arrival::OnOff {
                duty,
                period,
                phases,
                burstiness,
                window,
            } => Request {
                duty,
                period,
                low: 0.0,
                law: match phases {
                    Phases::Fixed => LengthLaw::Fixed,
                    Phases::Exponential => LengthLaw::Exponential,
                },
                burstiness,
                window,
            }
            .solve(per_second),
            Arrival::Mmpp {
                duty,
                period,
                low,
                burstiness,
                window,
            } => {
                within(
                    "low",
                    low,
                    0.0..=1.0,
                    "a share of the mean rate from 0 to 1",
                )?;
                Request {
                    duty,
                    period,
                    low,
                    law: LengthLaw::Exponential,
                    burstiness,
                    window,
                }
                .solve(per_second)
            }
            Arrival::ParetoOnOff {
                duty,
                period,
                shape,
                longest,
                burstiness,
                window,
            } => {
                within("shape", shape, 1.0 + 1e-9..=5.0, "above 1, up to 5")?;
                within("longest", longest, 2.0..=1e6, "2 to 1000000")?;
                Request {
                    duty,
                    period,
                    low: 0.0,
                    law: LengthLaw::Pareto(Pareto::new(shape, longest)),
                    burstiness,
                    window,
                }
                .solve(per_second)
            }
            Arrival::BModel {
                b,
                slot,
                levels,
                burstiness,
                window,
            } => cascade(b, slot, levels, burstiness, window, per_second).map(ArrivalLaw::Cascade),
            Arrival::Trace {
                ref file,
                speed,
                repeat,
            } => {
                let trace = Trace::open(file)?;
                if let Some(speed) = speed {
                    within("speed", speed, 1e-6..=1e6, "above 0, up to 1000000")?;
                    agree(&trace, speed, spec.rate)?;
                }
                let speed = speed.unwrap_or(rate as f64 / trace.rate());
                Ok(ArrivalLaw::Trace {
                    trace,
                    speed,
                    repeat,
                })
            }
        }
    }
}

/// A trace with a speed has its rate; another one asked for beside it can't be kept.
fn agree(trace: &Trace, speed: f64, rate: Rate) -> Result<()> {
    let own = trace.rate() * speed;
    Error::unless(
        (rate.0 as f64 - own).abs() <= 1.0 + own * 1e-6,
        "workload.rate",
        rate,
        format_args!(
            "at speed {speed} the trace writes {own:.0}B/s; leave out rate or workload.arrival.speed"
        ),
    )
}

/// Refuses a parameter of the arrival outside `range`, NaN included.
fn within(name: &str, value: f64, range: RangeInclusive<f64>, allowed: &str) -> Result<()> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(invalid(name, value, allowed)),
    }
}

/// What is asked of an alternating process.
struct Request {
    duty: Option<f64>,
    period: Option<Span>,
    low: f64,
    law: LengthLaw,
    burstiness: Option<f64>,
    window: Option<Span>,
}

fn invalid(name: &str, value: impl std::fmt::Display, allowed: impl std::fmt::Display) -> Error {
    Error::invalid(format_args!("workload.arrival.{name}"), value, allowed)
}

fn missing(name: &str, when: &str) -> Error {
    Error::Invalid(format!("workload.arrival: missing field `{name}`: {when}"))
}

/// The window of a burstiness.
fn window_ns(burstiness: Option<f64>, window: Option<Span>) -> Result<u64> {
    match (burstiness, window) {
        (None, Some(window)) => Err(invalid(
            "window",
            window,
            "only beside burstiness, whose window it is",
        )),
        (_, None) => Ok(DEFAULT_WINDOW_NS),
        (Some(_), Some(window)) => match window.as_nanos() {
            ns @ 1_000..=3_600_000_000_000 => Ok(ns),
            _ => Err(invalid("window", window, "a duration from 1us to 1h")),
        },
    }
}

impl Request {
    /// The law at a mean rate of `per_second` writes.
    fn solve(&self, per_second: f64) -> Result<ArrivalLaw> {
        let window = window_ns(self.burstiness, self.window)?;
        if let Some(duty) = self.duty
            && !(duty > 0.0 && duty <= 1.0)
        {
            return Err(invalid("duty", duty, "a share above 0, up to 1"));
        }
        if let Some(period) = self.period
            && !(PERIOD_NS[0]..=PERIOD_NS[1]).contains(&(period.as_nanos() as f64))
        {
            return Err(invalid("period", period, "a duration from 1us to 24h"));
        }
        let period_ns = self.period.map(|p| p.as_nanos() as f64);
        let Some(wanted) = self.burstiness else {
            let lacks = |name| missing(name, "duty and period, or burstiness and one of both");
            let duty = self.duty.ok_or_else(|| lacks("duty"))?;
            let period_ns = period_ns.ok_or_else(|| lacks("period"))?;
            return Ok(self.at(duty, period_ns));
        };
        if !(1.0..=1e12).contains(&wanted) {
            return Err(invalid(
                "burstiness",
                wanted,
                "from 1, where the model is a Poisson process",
            ));
        }
        if wanted == 1.0 || per_second == 0.0 {
            return Ok(ArrivalLaw::Poisson);
        }
        let solve = |between, parameters: &dyn Fn(f64) -> (f64, f64)| {
            let x = self.bisect(wanted, per_second, window, between, parameters)?;
            let (duty, period) = parameters(x);
            Ok(self.at(duty, period))
        };
        match (self.duty, period_ns) {
            (Some(_), Some(_)) => Err(invalid(
                "burstiness",
                wanted,
                "it is solved for: leave out duty or period",
            )),
            (None, None) => Err(missing("duty", "burstiness needs one of duty and period")),
            (Some(duty), None) => {
                // Below its window a fixed period can come out even, so that is where it begins.
                let least = match self.law {
                    LengthLaw::Fixed => window as f64,
                    _ => PERIOD_NS[0],
                };
                solve([least, PERIOD_NS[1]], &|period| (duty, period))
            }
            (None, Some(period)) => solve([1.0, LEAST_DUTY], &|duty| (duty, period)),
        }
    }

    fn at(&self, duty: f64, period_ns: f64) -> ArrivalLaw {
        ArrivalLaw::Alternating(Alternating::new(duty, self.low, period_ns, self.law))
    }

    /// The parameter between `tame` and `wild`, on a logarithmic scale, whose dispersion is the one
    /// wanted; it rises from the one to the other.
    fn bisect(
        &self,
        wanted: f64,
        per_second: f64,
        window: u64,
        [mut tame, mut wild]: [f64; 2],
        parameters: &dyn Fn(f64) -> (f64, f64),
    ) -> Result<f64> {
        let dispersion = |x: f64| {
            let (duty, period) = parameters(x);
            let a = Alternating::new(duty, self.low, period, self.law);
            theory::alternating(&a, per_second, window as f64)
        };
        let (least, most) = (dispersion(tame), dispersion(wild));
        if !(least..=most).contains(&wanted) {
            return Err(invalid(
                "burstiness",
                wanted,
                format_args!(
                    "this model reaches {least:.3} to {most:.0} in windows of {} at this rate",
                    Span(Duration::from_nanos(window))
                ),
            ));
        }
        for _ in 0..100 {
            let middle = (tame * wild).sqrt();
            if dispersion(middle) < wanted {
                tame = middle;
            } else {
                wild = middle;
            }
        }
        Ok((tame * wild).sqrt())
    }
}

/// The b-model that is asked for.
fn cascade(
    b: Option<f64>,
    slot: Span,
    levels: u32,
    burstiness: Option<f64>,
    window: Option<Span>,
    per_second: f64,
) -> Result<Cascade> {
    if !(1..=24).contains(&levels) {
        return Err(invalid("levels", levels, "1 to 24"));
    }
    let slot_ns = slot.as_nanos();
    if !(1_000..=1_000_000_000).contains(&slot_ns) {
        return Err(invalid("slot", slot, "a duration from 1us to 1s"));
    }
    let window = window_ns(burstiness, window)?;
    let mut cascade = Cascade {
        b: 0.5,
        slot_ns,
        levels,
    };
    match (b, burstiness) {
        (Some(b), None) => {
            if !(0.5..1.0).contains(&b) {
                return Err(invalid("b", b, "0.5 (even) to below 1"));
            }
            cascade.b = b;
        }
        (None, None) => return Err(missing("b", "b, or burstiness")),
        (Some(b), Some(_)) => {
            return Err(invalid(
                "b",
                b,
                "burstiness solves for it: leave out one of both",
            ));
        }
        (None, Some(wanted)) => {
            let above = theory::levels_above(&cascade, window).filter(|above| *above > 0);
            let Some(above) = above else {
                return Err(invalid(
                    "window",
                    Span(Duration::from_nanos(window)),
                    format_args!("slot ({slot}) times a power of two below 2^levels"),
                ));
            };
            let mean = per_second * window as f64 / 1e9;
            let most = mean * (libm::pow(2.0, f64::from(above)) - 1.0);
            if !(0.0..most.max(1e-300)).contains(&wanted) {
                return Err(invalid(
                    "burstiness",
                    wanted,
                    format_args!("from 0 to below {most:.0} at this rate, window and levels"),
                ));
            }
            if mean > 0.0 {
                // (1 + 4 (b - 1/2)^2)^above = 1 + wanted / mean.
                let growth = libm::pow(1.0 + wanted / mean, 1.0 / f64::from(above));
                cascade.b = 0.5 + 0.5 * (growth - 1.0).max(0.0).sqrt();
            }
        }
    }
    Ok(cascade)
}
