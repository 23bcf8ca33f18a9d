//! The least link, the least cores, the highest rate that still meet a target.

use serde::Serialize;

use super::hosts::Hosts;
use super::predict::{LEVEL, Planner, Prediction};
use super::vm::Vm;
use crate::arm::Arm;
use crate::error::Result;
use crate::scenario::Scenario;
use crate::units::{Bandwidth, Rate, Span};

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Find {
    /// The slowest link.
    Link,
    /// The fewest cores on each host.
    Cores,
    /// The highest rate.
    Rate,
}

/// What is to be met, beside convergence.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Target {
    /// The migration's time at most.
    pub total_time: Option<Span>,
    /// The pause at most.
    pub downtime: Option<Span>,
}

impl Target {
    /// Whether a prediction meets it, by what is expected and not by the interval's ends.
    pub fn is_met(&self, prediction: &Prediction) -> bool {
        let within = |limit: Option<Span>, seconds: Option<f64>| {
            limit.is_none_or(|limit| seconds.is_some_and(|s| s <= limit.as_secs_f64()))
        };
        prediction.converges
            && within(self.total_time, Some(prediction.total_time_s))
            && within(self.downtime, prediction.downtime_s)
    }
}

/// What was found for an arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// The arm.
    pub arm: Arm,
    /// What was looked for.
    pub find: Find,
    /// The value, in scenario units; none if nothing in the range meets the target.
    pub value: Option<String>,
    /// What is expected there.
    pub prediction: Option<Prediction>,
}

/// Links that are tried, bits a second, and rates, bytes a second.
const LINKS: [u64; 2] = [10_000_000, 400_000_000_000];
const RATES: [u64; 2] = [1 << 20, 64 << 30];
/// Cores that are tried.
const MOST_CORES: u32 = 128;
/// Two values closer than that are the same.
const NEAR: f64 = 1.005;

/// Looks for a value for one arm; `None` of an arm without costs.
///
/// # Errors
/// A VM that can't be.
pub fn find(
    planner: &Planner,
    arm: Arm,
    vm: &Vm,
    hosts: Hosts,
    what: Find,
    target: &Target,
) -> Result<Option<Found>> {
    let at = |vm: &Vm, hosts: Hosts| {
        let scenario = vm.scenario(&planner.run().scenario)?;
        planner.predict(arm, &scenario, hosts)
    };
    let met = |value: u64| -> Result<Option<(bool, Prediction)>> {
        let mut vm = vm.clone();
        let mut hosts = hosts;
        match what {
            Find::Link => vm.link = Some(Bandwidth::BitsPerSecond(value)),
            Find::Rate => vm.rate = Some(Rate(value)),
            Find::Cores => hosts = hosts.with_cores(value as u32),
        }
        Ok(at(&vm, hosts)?.map(|p| (target.is_met(&p), p)))
    };
    let Some((_, _)) = met(match what {
        Find::Link => LINKS[1],
        Find::Rate => RATES[0],
        Find::Cores => 1,
    })?
    else {
        return Ok(None);
    };
    let (value, prediction) = match what {
        // More of it helps; the search keeps `good` on the side that meets the target.
        Find::Link => bisected(LINKS[1], LINKS[0], &met)?,
        Find::Rate => bisected(RATES[0], RATES[1], &met)?,
        Find::Cores => {
            let mut found = None;
            for cores in 1..=MOST_CORES {
                if let Some((true, prediction)) = met(u64::from(cores))? {
                    found = Some((u64::from(cores), prediction));
                    break;
                }
            }
            found
        }
    }
    .unzip();
    let written = |value: u64| match what {
        Find::Link => Bandwidth::BitsPerSecond(value).to_string(),
        Find::Rate => Rate(value).to_string(),
        Find::Cores => value.to_string(),
    };
    Ok(Some(Found {
        arm,
        find: what,
        value: value.map(written),
        prediction,
    }))
}

/// The highest rate at which a migration is expected to converge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HighestRate {
    /// By what is expected.
    pub rate: Rate,
    /// Of the courses that were followed as many converge as lie above the interval's lower end; none below what is
    /// looked at.
    pub low: Option<Rate>,
    /// The interval's upper end; none beyond what is looked at.
    pub high: Option<Rate>,
    /// Whether it lies beyond what the run measured.
    pub extrapolated: bool,
}

/// The highest rate at which an arm's migration is expected to converge, everything else of the scenario being
/// held; `None` of an arm without costs, or if that is beyond what [`find`] looks at on either side.
///
/// # Errors
/// A stream that can't be.
pub fn highest_rate(
    planner: &Planner,
    arm: Arm,
    scenario: &Scenario,
    hosts: Hosts,
) -> Result<Option<HighestRate>> {
    const TAIL: f64 = 0.5 * (1.0 - LEVEL);
    let highest = |holds: fn(&Prediction) -> bool| -> Result<Option<(Rate, Prediction)>> {
        let met = |value: u64| -> Result<Option<(bool, Prediction)>> {
            let mut scenario = scenario.clone();
            scenario.set_rate(Rate(value));
            let predicted = planner.predict(arm, &scenario, hosts)?;
            Ok(predicted.map(|p| (holds(&p), p)))
        };
        let found = bisected(RATES[0], RATES[1], &met)?;
        let within = found.filter(|(value, _)| *value < RATES[1]);
        Ok(within.map(|(value, there)| (Rate(value), there)))
    };
    let Some((rate, there)) = highest(|p| p.converges)? else {
        return Ok(None);
    };
    let low = highest(|p| p.converges_share >= 1.0 - TAIL)?;
    let high = highest(|p| p.converges_share > TAIL)?;
    Ok(Some(HighestRate {
        rate,
        low: low.map(|(low, _)| low.min(rate)),
        high: high.map(|(high, _)| high.max(rate)),
        extrapolated: there.extrapolated,
    }))
}

/// Between a value that meets the target and one that does not, the last that does; on a scale of ratios, to
/// within [`NEAR`], a round figure.
fn bisected(
    mut good: u64,
    mut bad: u64,
    met: &impl Fn(u64) -> Result<Option<(bool, Prediction)>>,
) -> Result<Option<(u64, Prediction)>> {
    let Some((true, mut prediction)) = met(good)? else {
        return Ok(None);
    };
    if let Some((true, at_the_end)) = met(bad)? {
        return Ok(Some((bad, at_the_end)));
    }
    while (good.max(bad) as f64) / (good.min(bad) as f64) > NEAR {
        let middle = rounded((good as f64 * bad as f64).sqrt());
        if middle == good || middle == bad {
            break;
        }
        match met(middle)? {
            Some((true, at_middle)) => (good, prediction) = (middle, at_middle),
            _ => bad = middle,
        }
    }
    Ok(Some((good, prediction)))
}

/// Three significant figures: in millions of bits, or in MiB.
fn rounded(value: f64) -> u64 {
    let unit = match value > 1e9 {
        true => 1e6,
        false => 65_536.0,
    };
    ((value / unit).round().max(1.0) * unit) as u64
}
