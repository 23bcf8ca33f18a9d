//! What a plan says of the frontiers that were searched for.

use super::file::{FrontierFile, Predicted, runs};
use crate::error::Result;
use crate::plan::{self, Hosts, Planner};
use crate::units::Rate;

/// Puts beside each frontier what a run's costs let expect of it. An arm that the run has no costs of, and a frontier
/// beyond what a plan looks at, are left out.
///
/// # Errors
/// A stream that can't be.
pub fn predict(file: &mut FrontierFile, planner: &Planner) -> Result<()> {
    let hosts = Hosts::of(planner.run());
    let mut predicted = Vec::new();
    for (index, scenario) in file.scenarios.iter().enumerate() {
        for info in file.arms.iter().filter(|info| runs(info)) {
            let rate = plan::highest_rate(planner, info.name, scenario, hosts)?;
            let bytes = |rate: Rate| rate.0 as f64;
            predicted.extend(rate.map(|found| Predicted {
                scenario: index,
                arm: info.name,
                rate_bytes_per_s: bytes(found.rate),
                low: found.low.map(bytes),
                high: found.high.map(bytes),
                extrapolated: found.extrapolated,
            }));
        }
    }
    file.predicted = predicted;
    Ok(())
}
