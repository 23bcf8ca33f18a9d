//! What weakens a fleet's results.

use super::file::{FleetFile, Moved};
use super::spec::Way;
use crate::figures::median;
use crate::results::{OutcomeStatus, Warning};
use crate::runner::Place;

/// Blocks below which no interval reaches 95%.
const FEW: usize = 6;
/// Steal from which on times are in doubt.
const STEAL: f64 = 0.01;
/// What the coordinator may take of the CPU of the migrations.
const COORDINATOR: f64 = 0.02;

/// Everything that weakens the results, each with a remedy.
pub fn warnings(file: &FleetFile) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |code: &str, message: String, remedy: &str| {
        found.push(Warning {
            code: code.to_owned(),
            message,
            remedy: remedy.to_owned(),
        });
    };
    for (way, reason) in &file.not_run {
        warn(
            "not_run",
            format!("{way} was not run: {reason}"),
            "run it where both hosts have what it needs",
        );
    }
    let blocks = file.whole_blocks();
    if !file.evacuations.is_empty() && blocks < FEW {
        warn(
            "few_repetitions",
            format!("{blocks} whole blocks: no interval of a tax reaches 95% below {FEW}"),
            "--reps 6 or more",
        );
    }
    let steal = file.host.steal_share;
    if steal > STEAL {
        warn(
            "steal",
            format!(
                "the hypervisor took {:.1}% of the CPU during the run",
                100.0 * steal
            ),
            "run at a quieter time or on a machine with dedicated cores; trust CPU figures before times",
        );
    }
    for way in file.courses() {
        let guests = || file.of(way).flat_map(|made| &made.guests);
        let count = |of: &dyn Fn(&Moved) -> bool| guests().filter(|moved| of(moved)).count();
        let (all, left) = (
            guests().count(),
            count(&|moved| moved.place == Place::Source),
        );
        if left > 0 {
            warn(
                "left_behind",
                format!(
                    "{way}: {left} of {all} guests stayed at the source: evacuation times count as longer than what was \
                     waited for"
                ),
                "that is a result for this fleet; on_stall = \"throttle\" or \"switchover\", fewer at once or a lower rate \
                 let a guest leave, another setting what policy keeps",
            );
        }
        let failed = count(&|moved| {
            moved.outcome == Some(OutcomeStatus::Failed) || moved.place == Place::Ended
        });
        if failed > 0 {
            warn(
                "failed",
                format!("{way}: {failed} of {all} migrations failed"),
                "find the cause before trusting this result",
            );
        }
        let shares = file.of(way).filter_map(|made| made.coordinator_share());
        if let Some(share) =
            median(shares).filter(|share| *share > COORDINATOR && way.way == Way::PLAIN)
        {
            warn(
                "coordinator",
                format!(
                    "{way}: the coordinator took {:.1}% of the CPU that the migrations took, median over evacuations",
                    100.0 * share
                ),
                "larger guests, or read CPU figures, which do not hold it, before times",
            );
        }
    }
    found
}
