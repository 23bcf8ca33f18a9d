//! Predictions set beside what was measured, in runs that the costs are not from.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::errors::{Validation, joined};
use super::hosts::{Binds, Hosts};
use super::predict::{Planner, Prediction};
use super::simple::{Simple, geometric};
use crate::arm::Arm;
use crate::error::{Error as Failure, Result};
use crate::figures::per_gib;
use crate::results::{Migration, OutcomeStatus, Results};
use crate::run_folder;
use crate::scenario::Scenario;
use crate::units::Rate;

/// How near the frontier a point may lie before its outcome counts as either: a tenth of its rate.
const NEAR: f64 = 0.1;

/// One measured migration and what was predicted of it.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// The run's scenario and where it stands in its matrix.
    pub run: String,
    /// The arm.
    pub arm: Arm,
    /// What the plan expects to bind.
    pub binds: Binds,
    /// Whether it converged, and whether the plan says so.
    pub converges: Checked<bool>,
    /// Whether a tenth more or less of its rate changes what the plan says of it.
    pub near_the_frontier: bool,
    /// Total time, seconds; of one that converged as predicted.
    pub total_time_s: Option<Checked<f64>>,
    /// Downtime, seconds; of one that converged as predicted.
    pub downtime_s: Option<Checked<f64>>,
    /// Source CPU a GiB of payload, seconds.
    pub source_cpu_s_per_gib: Option<Checked<f64>>,
    /// Destination CPU a GiB of payload, seconds.
    pub destination_cpu_s_per_gib: Option<Checked<f64>>,
    /// What the geometric model says.
    pub geometric: Simpler,
    /// What this model says with the rate in place of the curve.
    pub constant_rate: Simpler,
}

/// A figure measured and predicted, with the prediction's interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Checked<T> {
    /// Measured.
    pub measured: T,
    /// Predicted.
    pub predicted: T,
    /// Its interval, where it has one.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// What a simpler model says of a point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Simpler {
    /// Whether it converges.
    pub converges: bool,
    /// In what time, seconds.
    pub total_time_s: f64,
}

/// Runs in a file, a run folder, or folders below it.
///
/// # Errors
/// A folder that can't be read or holds none.
pub fn runs_in(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    look(path, 0, &mut found)?;
    match found.is_empty() {
        true => Err(Failure::Invalid(format!(
            "{}: no run: a run folder, its results.json, or a folder of run folders",
            path.display()
        ))),
        false => Ok(found),
    }
}

fn look(path: &Path, depth: u32, found: &mut Vec<PathBuf>) -> Result<()> {
    let file = run_folder::file_of(path);
    if file.is_file() || !path.is_dir() {
        found.push(file);
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|e| Failure::reading(path, e))?;
    let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    below.sort();
    for folder in below.iter().filter(|p| p.is_dir() && depth < 3) {
        look(folder, depth + 1, found)?;
    }
    Ok(())
}

/// Predicts every migration of runs that completed or did not converge, of arms that the planner has costs of.
/// The planner's own run is left out.
///
/// # Errors
/// A stream that can't be; runs without such a migration.
pub fn validate(planner: &Planner, runs: &[Results]) -> Result<Validation> {
    let mut points = Vec::new();
    let own = planner.run();
    let others = runs
        .iter()
        .filter(|run| run.started_at != own.started_at || run.scenario != own.scenario);
    for run in others {
        let hosts = Hosts::of(run);
        for info in &run.arms {
            let measured = run.migrations.iter().filter(|m| m.arm == info.name);
            let ended = |m: &&Migration| {
                matches!(
                    m.outcome.status,
                    OutcomeStatus::Completed | OutcomeStatus::NotConverged
                )
            };
            let mut measured = measured.filter(ended).peekable();
            if measured.peek().is_none() {
                continue;
            }
            let Some(predicted) = planner.predict(info.name, &run.scenario, hosts)? else {
                continue;
            };
            let near = is_near(planner, info.name, &run.scenario, hosts, &predicted)?;
            let geometric = geometric(planner.calibration(), info.name, &run.scenario, hosts);
            let constant = planner.predict_at_constant_rate(info.name, &run.scenario, hosts)?;
            for migration in measured {
                points.push(point(
                    run,
                    migration,
                    &predicted,
                    near,
                    geometric,
                    constant.as_ref(),
                ));
            }
        }
    }
    if points.is_empty() {
        return Err(Failure::Invalid(
            "--validate: no migration of these runs completed or did not converge, of an arm that RUN measured"
                .to_owned(),
        ));
    }
    Ok(joined(points))
}

fn is_near(
    planner: &Planner,
    arm: Arm,
    scenario: &Scenario,
    hosts: Hosts,
    predicted: &Prediction,
) -> Result<bool> {
    for factor in [1.0 - NEAR, 1.0 + NEAR] {
        let mut beside = scenario.clone();
        beside.workload.rate = Rate((scenario.workload.rate.0 as f64 * factor) as u64);
        let other = planner.predict(arm, &beside, hosts)?;
        if other.is_some_and(|other| other.converges != predicted.converges) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn point(
    run: &Results,
    m: &Migration,
    predicted: &Prediction,
    near_the_frontier: bool,
    geometric: Option<Simple>,
    constant: Option<&Prediction>,
) -> Point {
    let converged = m.outcome.status == OutcomeStatus::Completed;
    let both = converged && predicted.converges;
    let gib = |cpu_s: f64| per_gib(cpu_s, predicted.payload_bytes).unwrap_or(f64::NAN);
    let cpu = |measured_s: f64, expected_s: f64, low_s: f64, high_s: f64| {
        per_gib(measured_s, m.payload_bytes).map(|measured| Checked {
            measured,
            predicted: gib(expected_s),
            low: Some(gib(low_s)),
            high: Some(gib(high_s)),
        })
    };
    Point {
        run: run.scenario.title(),
        arm: m.arm,
        binds: predicted.binds,
        converges: Checked {
            measured: converged,
            predicted: predicted.converges,
            low: None,
            high: None,
        },
        near_the_frontier,
        total_time_s: both.then_some(Checked {
            measured: m.total_time_s,
            predicted: predicted.total_time_s,
            low: Some(predicted.total_time_low_s),
            high: Some(predicted.total_time_high_s),
        }),
        downtime_s: predicted
            .downtime_s
            .filter(|_| both)
            .map(|expected| Checked {
                measured: m.downtime.total_s,
                predicted: expected,
                low: predicted.downtime_low_s,
                high: predicted.downtime_high_s,
            }),
        source_cpu_s_per_gib: cpu(
            m.cpu.source.total_s,
            predicted.source_cpu_s,
            predicted.source_cpu_low_s,
            predicted.source_cpu_high_s,
        ),
        destination_cpu_s_per_gib: cpu(
            m.cpu.destination.total_s,
            predicted.destination_cpu_s,
            predicted.destination_cpu_low_s,
            predicted.destination_cpu_high_s,
        ),
        geometric: geometric.map_or(UNKNOWN, |g| Simpler {
            converges: g.converges,
            total_time_s: g.total_time_s,
        }),
        constant_rate: constant.map_or(UNKNOWN, |c| Simpler {
            converges: c.converges,
            total_time_s: c.total_time_s,
        }),
    }
}

const UNKNOWN: Simpler = Simpler {
    converges: false,
    total_time_s: f64::NAN,
};
