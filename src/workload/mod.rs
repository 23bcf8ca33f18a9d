//! The workload: dirty-page streams, i.e. page writes in time order.
//!
//! *Arrival* says when pages are written, *placement* says where; they are independent of each
//! other. A stream is a pure function of the scenario (its seed included) and the vCPU: integer
//! arithmetic, IEEE additions, multiplications and divisions, and `libm` for everything else, so
//! it is the same on every machine.
//!
//! What all vCPUs share: the phases of a bursty arrival (on-off, MMPP, b-model: bursts are the
//! guest's, so the merged stream follows the model at the full rate whatever the number of vCPUs)
//! and the pages (working set and its hot pages). What each has for itself: its share of the rate,
//! the instants of its writes and the draws of its pages.

mod arrival;
mod check;
mod merged;
mod placement;
mod random;
mod scatter;
mod stream;
pub mod trace;
mod zipf;

pub use merged::MergedStream;
pub use stream::WriteStream;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::scenario::Scenario;
use crate::units::Span;

/// The most page writes per second that a vCPU can be asked for: one per nanosecond.
pub const MAX_VCPU_RATE: f64 = 1e9;

/// When pages are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrival {
    /// Evenly spaced.
    Constant {},
    /// A Poisson process.
    Poisson {},
    /// A Poisson process at the mean rate over `duty`, switched on and off.
    OnOff {
        /// Share of time that is on, above 0 to 1. Peak over mean rate is its reciprocal.
        duty: f64,
        /// Length of an on phase and an off phase together (the mean, if exponential).
        period: Span,
        /// How the lengths of phases vary.
        #[serde(default)]
        phases: Phases,
    },
}

/// How the lengths of on and off phases vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phases {
    /// All alike.
    #[default]
    Fixed,
    /// Exponential, each drawn by itself.
    Exponential,
}

/// Where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Placement {
    /// Every page of the working set alike.
    Uniform {
        /// Share of guest memory, above 0 to 1.
        #[serde(default = "whole")]
        working_set: f64,
    },
    /// The page of rank k is written in proportion to k^-exponent. Ranks are scattered over the
    /// working set, so that hot pages are not neighbours.
    Zipf {
        /// Above 0 to 10.
        #[serde(default = "zipf_exponent")]
        exponent: f64,
        /// Share of guest memory, above 0 to 1.
        #[serde(default = "whole")]
        working_set: f64,
    },
}

fn whole() -> f64 {
    1.0
}

fn zipf_exponent() -> f64 {
    0.99
}

/// One page write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageWrite {
    /// Intended time, nanoseconds since the start of the stream. Never decreases.
    pub at_ns: u64,
    /// Page number within guest memory.
    pub page: u64,
    /// What the write puts into the page: seeds its content and the word that it hits.
    pub value: u64,
}

pub(crate) use placement::GRANULARITIES;

/// Refuses parameters of arrival and placement that can't be.
pub(crate) fn check(scenario: &Scenario) -> Result<()> {
    check::arrival(scenario)?;
    check::placement(&scenario.workload.placement, "workload.placement")
}
