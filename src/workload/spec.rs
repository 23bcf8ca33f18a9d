//! What a dirty-page stream is generated from: the part of a scenario that decides which page is
//! written when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Rate, Size, Span};

/// All that a stream depends on. The same specification gives the same stream on every machine.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSpec {
    /// Guest memory, a whole number of pages.
    pub memory: Size,
    /// vCPUs, which share the rate.
    pub vcpus: u32,
    /// Seed of every draw.
    pub seed: u64,
    /// Page writes per second times the page size, over all vCPUs.
    pub rate: Rate,
    /// When pages are written.
    pub arrival: Arrival,
    /// Which pages are written.
    pub placement: Placement,
    /// Unit of placement, one of 4 KiB and 2 MiB.
    pub granularity: Size,
}

/// When pages are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrival {
    /// Evenly spaced in time.
    Constant {},
    /// At random, independently of each other: a Poisson process.
    Poisson {},
    /// A Poisson process at the mean rate over `duty`, switched on and off. Give `duty` and
    /// `period`, or `burstiness` and one of both.
    OnOff {
        /// Share of time that is on, above 0 to 1. Peak over mean rate is its reciprocal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duty: Option<f64>,
        /// Length of an on phase and an off phase together (the mean, if exponential).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period: Option<Span>,
        /// How the lengths of phases vary.
        #[serde(default)]
        phases: Phases,
        /// Index of dispersion of the writes in windows of `window`, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burstiness: Option<f64>,
        /// 100 ms if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Span>,
    },
    /// A Poisson process that alternates between two rates, staying exponential times (a
    /// Markov-modulated Poisson process). Give `duty` and `period`, or `burstiness` and one of
    /// both.
    Mmpp {
        /// Share of time at the high rate, above 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duty: Option<f64>,
        /// Mean length of a stay at the high rate and one at the low rate together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period: Option<Span>,
        /// The low rate as a share of the mean rate, 0 to 1.
        #[serde(default = "mmpp_low")]
        low: f64,
        /// Index of dispersion of the writes in windows of `window`, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burstiness: Option<f64>,
        /// 100 ms if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Span>,
    },
    /// On and off phases whose lengths have heavy tails: a Pareto law, cut off far out. Give `duty`
    /// and `period`, or `burstiness` and one of both.
    ParetoOnOff {
        /// Share of time that is on, above 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duty: Option<f64>,
        /// Mean length of an on phase and an off phase together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period: Option<Span>,
        /// Tail exponent of the lengths, above 1 to 5; the smaller, the heavier.
        #[serde(default = "pareto_shape")]
        shape: f64,
        /// The longest phase over the shortest, 2 to 1000000.
        #[serde(default = "pareto_longest")]
        longest: f64,
        /// Index of dispersion of the writes in windows of `window`, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burstiness: Option<f64>,
        /// 100 ms if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Span>,
    },
    /// The b-model: bursts within bursts, and the exact number of writes in every span of
    /// `slot x 2^levels`. Give `b`, or `burstiness`.
    BModel {
        /// Share of an interval's writes that falls into one of its halves, 0.5 to below 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        b: Option<f64>,
        /// The smallest interval.
        #[serde(default = "b_slot")]
        slot: Span,
        /// How often a span is halved, 1 to 24.
        #[serde(default = "b_levels")]
        levels: u32,
        /// Index of dispersion of the writes in windows of `window`, from 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burstiness: Option<f64>,
        /// `slot` times a power of two; 100 ms if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Span>,
    },
    /// The times of a recorded trace. Its mean rate is `workload.rate`, to which it is slowed down
    /// or sped up; with `rate` left out, or `speed` given, it runs at that speed.
    Trace {
        /// An embedded trace's name, or a path (seen from the scenario file's folder).
        file: String,
        /// Recorded time over replayed time; 1 if neither it nor `workload.rate` is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed: Option<f64>,
        /// Whether it begins again at its end. If not, the guest is idle from there.
        #[serde(default = "yes")]
        repeat: bool,
    },
}

/// How the lengths of on and off phases vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phases {
    /// Every on phase is as long as every other, and so is every off phase.
    #[default]
    Fixed,
    /// Each length is drawn from an exponential distribution.
    Exponential,
}

/// Which pages are written.
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
    /// A share of the writes goes to a share of the pages, evenly; the rest to the other pages.
    HotCold {
        /// Share of writes that go to the hot pages, 0 to 1.
        #[serde(default = "hot_writes")]
        writes: f64,
        /// Share of the working set that is hot, above 0 to 1. Hot pages are scattered over it.
        #[serde(default = "hot_pages")]
        pages: f64,
        /// Share of guest memory, above 0 to 1.
        #[serde(default = "whole")]
        working_set: f64,
    },
    /// One page after the other, again from the start at the end.
    Sweep {
        /// Share of guest memory, above 0 to 1.
        #[serde(default = "whole")]
        working_set: f64,
    },
    /// As hot-cold, with a hot set that is replaced by the next one from time to time.
    MovingHotSet {
        /// Share of writes that go to the hot pages, 0 to 1; the rest goes anywhere.
        #[serde(default = "hot_writes")]
        writes: f64,
        /// Share of the working set that is hot at a time, above 0 to 1.
        #[serde(default = "hot_pages")]
        pages: f64,
        /// How long a hot set lasts.
        #[serde(default = "hot_every")]
        every: Span,
        /// Share of guest memory, above 0 to 1.
        #[serde(default = "whole")]
        working_set: f64,
    },
    /// Each write follows one of the parts, drawn by their shares. The parts' working sets lie one
    /// after another in guest memory (one that would not fit ends at its end).
    Mixture {
        /// The parts; their shares sum to 1.
        parts: Vec<Part>,
    },
    /// The pages of a recorded trace, in order.
    Trace {
        /// An embedded trace's name, or a path (seen from the scenario file's folder).
        file: String,
        /// Whether the trace's pages are stretched or folded to fill the guest; otherwise they are
        /// the guest's first pages, and it must have as many.
        #[serde(default)]
        scale_pages: bool,
    },
}

/// A part of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Share of the writes, above 0 to 1.
    pub share: f64,
    /// The pages that they go to; no mixture and no trace.
    pub placement: Placement,
}

fn yes() -> bool {
    true
}

fn mmpp_low() -> f64 {
    0.2
}

fn pareto_shape() -> f64 {
    1.5
}

fn pareto_longest() -> f64 {
    1000.0
}

fn b_slot() -> Span {
    Span(Duration::from_nanos(12_500_000))
}

fn b_levels() -> u32 {
    10
}

fn hot_writes() -> f64 {
    0.9
}

fn hot_pages() -> f64 {
    0.1
}

fn hot_every() -> Span {
    Span(Duration::from_secs(1))
}

fn whole() -> f64 {
    1.0
}

fn zipf_exponent() -> f64 {
    0.99
}
