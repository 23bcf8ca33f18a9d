//! What a run says of an arm beside its baseline.

use serde::{Deserialize, Deserializer, Serialize};

use crate::arm::Arm;

/// One arm's metric beside another arm's in the same blocks: as a ratio, and as what it adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The arm that is compared.
    pub arm: Arm,
    /// The baseline that it is compared with.
    pub against: Arm,
    /// Of what: the name of a metric.
    pub metric: String,
    /// Median of the paired ratios, or with `bound` what bounds it.
    pub ratio: f64,
    /// Lower end of the interval; 0 where nothing bounds it.
    pub ci_low: f64,
    /// Upper end of the interval; infinite, in JSON null, where nothing bounds it: a block that the
    /// end rests on was given up.
    #[serde(deserialize_with = "null_is_unbounded")]
    pub ci_high: f64,
    /// Median of the paired differences, arm minus baseline, in the metric's unit; with `bound`
    /// what bounds it. None in files of older builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<f64>,
    /// Lower end of its interval, at the same level. None where nothing bounds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_low: Option<f64>,
    /// Upper end of its interval, at the same level. None where nothing bounds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_high: Option<f64>,
    /// The interval's level, as achieved, 0 to 1.
    pub level: f64,
    /// Blocks in which both arms have a figure or a bound of it.
    pub blocks: u32,
    /// Those among them in which one of the two did not converge: of a time only a bound is known
    /// there; CPU and throughput are of the rounds that were made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_converged: u32,
    /// Which way the true median may lie from `ratio` and `added`, where so many blocks did not
    /// converge that only a bound of it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// What a figure bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The true value is at least the figure: the arm did not converge.
    Lower,
    /// The true value is at most the figure: its baseline did not converge.
    Upper,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn null_is_unbounded<'de, D: Deserializer<'de>>(end: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(end)?.unwrap_or(f64::INFINITY))
}
