//! The gate: whether a candidate is worse than a baseline, in words that CI can act on.
//!
//! Three callers share one decision ([`decide`]): two stored runs ([`runs`]), two builds measured
//! in turns ([`builds`]), and two criterion baselines ([`criterion`]). Exact counts of the virtual
//! clock are compared for equality ([`exact`]), instruction counts with a fine threshold
//! ([`instructions`]). [`selftest`] measures how often the decision is
//! wrong. Everything here is a pure function of results and configuration, except for reading
//! the files that the caller names.

pub mod builds;
pub mod config;
pub mod criterion;
pub mod decide;
pub mod exact;
pub mod format;
mod identity;
pub mod instructions;
pub mod noise;
pub mod runs;
pub mod selftest;
pub mod simulate;
pub mod verdict;

pub use config::Config;
pub use identity::comparable;
pub use runs::judge_runs;
pub use verdict::{Report, Row, Tier, Verdict};
