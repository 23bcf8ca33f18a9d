//! Predictions set beside what was measured, in runs that the costs are not from.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::hosts::{Binds, Hosts};
use super::predict::{Planner, Prediction};
use super::simple::{Simple, geometric};
use crate::arm::Arm;
use crate::error::{Error as Failure, Result};
use crate::figures::per_gib;
use crate::results::{Migration, OutcomeStatus, Results};
use crate::run_folder;
use crate::scenario::Scenario;
use crate::stats::quantile;
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

/// Errors of a figure over some points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Error {
    /// The figure.
    pub figure: &'static str,
    /// The arm; none for all of them.
    pub arm: Option<Arm>,
    /// `link` or `cores`: what the plan expects to bind.
    pub bound: &'static str,
    /// Migrations.
    pub migrations: usize,
    /// Median of |predicted / measured - 1|.
    pub median: f64,
    /// Its 90th percentile.
    pub p90: f64,
    /// Share of the measured within the 90% interval.
    pub covered: f64,
    /// Median of the same error with the other measurements of a point in place of the prediction: what no
    /// prediction can better by much. None where no point was measured twice.
    pub repeated_median: Option<f64>,
    /// The geometric model's median error.
    pub geometric_median: Option<f64>,
    /// The constant-rate model's.
    pub constant_rate_median: Option<f64>,
}

/// All points and what they come to.
#[derive(Debug, Clone, Serialize)]
pub struct Validation {
    /// By figure, arm and what binds.
    pub errors: Vec<Error>,
    /// Migrations away from the frontier, and of them those whose outcome was predicted.
    pub converges: Outcomes,
    /// The same of the geometric model.
    pub geometric_converges: Outcomes,
    /// The same with the rate in place of the curve.
    pub constant_rate_converges: Outcomes,
    /// Migrations nearer to the frontier than a tenth of their rate.
    pub near_the_frontier: usize,
    /// Every migration.
    pub points: Vec<Point>,
}

/// Outcomes predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Outcomes {
    /// Migrations.
    pub of: usize,
    /// Those whose outcome was predicted.
    pub right: usize,
}

impl Outcomes {
    fn count(&mut self, right: bool) {
        self.of += 1;
        self.right += usize::from(right);
    }
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

type Figure = (&'static str, fn(&Point) -> Option<Checked<f64>>);

const FIGURES: [Figure; 4] = [
    ("total_time", |p| p.total_time_s),
    ("downtime", |p| p.downtime_s),
    ("source_cpu_per_gib", |p| p.source_cpu_s_per_gib),
    ("destination_cpu_per_gib", |p| p.destination_cpu_s_per_gib),
];

fn joined(points: Vec<Point>) -> Validation {
    let mut arms: Vec<Arm> = points.iter().map(|p| p.arm).collect();
    arms.sort();
    arms.dedup();
    let mut errors = Vec::new();
    for (figure, value) in FIGURES {
        for bound in ["link", "cores"] {
            let every = std::iter::once(None);
            for arm in every.chain(arms.iter().copied().map(Some)) {
                let of: Vec<&Point> = points
                    .iter()
                    .filter(|p| (p.binds == Binds::Link) == (bound == "link"))
                    .filter(|p| arm.is_none_or(|arm| p.arm == arm))
                    .collect();
                errors.extend(error(figure, value, arm, bound, &of));
            }
        }
    }
    let mut outcomes = [Outcomes::default(); 3];
    let away = points.iter().filter(|p| !p.near_the_frontier);
    for p in away {
        let measured = p.converges.measured;
        outcomes[0].count(p.converges.predicted == measured);
        outcomes[1].count(p.geometric.converges == measured);
        outcomes[2].count(p.constant_rate.converges == measured);
    }
    Validation {
        errors,
        converges: outcomes[0],
        geometric_converges: outcomes[1],
        constant_rate_converges: outcomes[2],
        near_the_frontier: points.iter().filter(|p| p.near_the_frontier).count(),
        points,
    }
}

fn error(
    figure: &'static str,
    value: fn(&Point) -> Option<Checked<f64>>,
    arm: Option<Arm>,
    bound: &'static str,
    points: &[&Point],
) -> Option<Error> {
    let checked: Vec<Checked<f64>> = points.iter().filter_map(|p| value(p)).collect();
    let off = |predicted: f64, measured: f64| (predicted / measured - 1.0).abs();
    let errors: Vec<f64> = checked
        .iter()
        .map(|c| off(c.predicted, c.measured))
        .collect();
    let inside = |c: &&Checked<f64>| {
        c.low.is_none_or(|low| c.measured >= low) && c.high.is_none_or(|high| c.measured <= high)
    };
    let simpler = |model: fn(&Point) -> Simpler| {
        let times = points.iter().filter(|_| figure == "total_time");
        let errors = times.filter_map(|p| {
            let measured = p.total_time_s?.measured;
            Some(off(model(p).total_time_s, measured)).filter(|e| e.is_finite())
        });
        quantile(&errors.collect::<Vec<_>>(), 0.5)
    };
    let repeated = points.iter().filter_map(|p| {
        let same = points.iter().filter(|q| !std::ptr::eq(**q, *p));
        let same = same.filter(|q| (&q.run, q.arm) == (&p.run, p.arm));
        let others: Vec<f64> = same.filter_map(|q| Some(value(q)?.measured)).collect();
        Some(off(quantile(&others, 0.5)?, value(p)?.measured))
    });
    let repeated: Vec<f64> = repeated.collect();
    Some(Error {
        figure,
        arm,
        bound,
        migrations: errors.len(),
        median: quantile(&errors, 0.5)?,
        p90: quantile(&errors, 0.9)?,
        covered: checked.iter().filter(inside).count() as f64 / checked.len() as f64,
        repeated_median: quantile(&repeated, 0.5),
        geometric_median: simpler(|p| p.geometric),
        constant_rate_median: simpler(|p| p.constant_rate),
    })
}
