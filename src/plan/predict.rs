//! Predictions: many courses of one migration, and what they have in common.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calibration::{Calibration, DRAWS, Draw};
use super::curve::{Curve, Curves};
use super::hosts::{Binds, Hosts};
use super::range::beyond;
use super::rounds::{Case, Course, follow};
use crate::arm::Arm;
use crate::error::Result;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::stats::quantile;

/// The share of migrations that are to fall into a prediction's interval.
pub const LEVEL: f64 = 0.9;

/// What is expected of one arm's migration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The arm.
    pub arm: Arm,
    /// Whether it switches over because what is left fits the downtime limit, more often than not.
    pub converges: bool,
    /// How often it does, of the courses that were followed.
    pub converges_share: f64,
    /// How it ends, in words.
    pub ends: String,
    /// Rounds, the pause's included.
    pub rounds: u32,
    /// From the first harvest to the switchover, or until it is given up, seconds.
    pub total_time_s: f64,
    /// Lower end of the 90% interval of one migration's.
    pub total_time_low_s: f64,
    /// Its upper end.
    pub total_time_high_s: f64,
    /// The pause, seconds; none of a migration that is given up.
    pub downtime_s: Option<f64>,
    /// Lower end of the 90% interval.
    pub downtime_low_s: Option<f64>,
    /// Its upper end.
    pub downtime_high_s: Option<f64>,
    /// What the pause is expected to be after the last round before it, seconds.
    pub expected_downtime_s: f64,
    /// CPU of the source host, vCPUs apart, seconds.
    pub source_cpu_s: f64,
    /// Lower end of the 90% interval.
    pub source_cpu_low_s: f64,
    /// Its upper end.
    pub source_cpu_high_s: f64,
    /// CPU of the destination host, seconds.
    pub destination_cpu_s: f64,
    /// Lower end of the 90% interval.
    pub destination_cpu_low_s: f64,
    /// Its upper end.
    pub destination_cpu_high_s: f64,
    /// Cores that the source keeps busy while it lasts, in the mean.
    pub source_cores: f64,
    /// The same of the destination.
    pub destination_cores: f64,
    /// Page content sent, bytes.
    pub payload_bytes: u64,
    /// All bytes sent.
    pub bytes_on_wire: u64,
    /// Of the guest's writes, the share that a throttle takes; 0 where nothing slows it down.
    pub writes_lost: f64,
    /// What most of the time is spent waiting for.
    pub binds: Binds,
    /// Whether something lies beyond what the run measured.
    pub extrapolated: bool,
    /// What does, and by how much.
    pub extrapolated_because: Vec<String>,
}

/// Predicts from one run.
#[derive(Debug)]
pub struct Planner {
    calibration: Calibration,
    curves: Curves,
}

impl Planner {
    /// From a run's costs.
    ///
    /// # Errors
    /// As [`Calibration::of`].
    pub fn new(results: &Results) -> Result<Planner> {
        Ok(Planner {
            calibration: Calibration::of(results)?,
            curves: Curves::default(),
        })
    }

    /// The run without its migrations.
    pub fn run(&self) -> &Results {
        &self.calibration.run
    }

    /// Its costs.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Arms with costs, in table order.
    pub fn arms(&self) -> impl Iterator<Item = Arm> {
        self.calibration.arms.iter().map(|costs| costs.arm)
    }

    /// What is to be expected of an arm's migration; `None` of an arm that the run has no costs of.
    ///
    /// # Errors
    /// A stream that can't be.
    pub fn predict(
        &self,
        arm: Arm,
        scenario: &Scenario,
        hosts: Hosts,
    ) -> Result<Option<Prediction>> {
        self.predict_from(arm, scenario, hosts, DRAWS)
    }

    /// The same from fewer courses, at least 5: quicker, with an interval that is less certain.
    ///
    /// # Errors
    /// As [`Planner::predict`].
    pub fn predict_from(
        &self,
        arm: Arm,
        scenario: &Scenario,
        hosts: Hosts,
        courses: usize,
    ) -> Result<Option<Prediction>> {
        let curve = self.curves.of(&scenario.stream_spec())?;
        Ok(self.along(arm, scenario, hosts, &curve, courses))
    }

    /// What is to be expected if each write dirtied a page of its own, at a constant rate: what a model without
    /// the stream's curve says.
    ///
    /// # Errors
    /// As [`Planner::predict`].
    pub fn predict_at_constant_rate(
        &self,
        arm: Arm,
        scenario: &Scenario,
        hosts: Hosts,
    ) -> Result<Option<Prediction>> {
        let curve = Curve::at_constant_rate(&scenario.stream_spec());
        Ok(self.along(arm, scenario, hosts, &curve, DRAWS))
    }

    fn along(
        &self,
        arm: Arm,
        scenario: &Scenario,
        hosts: Hosts,
        curve: &Curve,
        courses: usize,
    ) -> Option<Prediction> {
        let costs = self.calibration.arm(arm)?;
        let case = Case {
            scenario,
            curve,
            hosts,
        };
        let draws = &costs.draws[..courses.clamp(5, costs.draws.len())];
        let courses: Vec<Course> = draws.iter().map(|draw| follow(&case, draw)).collect();
        // The costs as measured, at the same moments of the stream, for what is in the middle.
        let middle = |draw: &Draw| Draw {
            costs: costs.draws[0].costs,
            source: 1.0,
            destination: 1.0,
            pace: 1.0,
            link: 1.0,
            phase: draw.phase,
        };
        let phases = match curve.length_s() {
            None => &draws[..1],
            // A median takes fewer than an interval's ends.
            Some(_) => &draws[..draws.len().div_ceil(2)],
        };
        let central: Vec<Course> = phases.iter().map(|d| follow(&case, &middle(d))).collect();
        let because = beyond(self.run(), scenario, hosts);
        Some(joined(arm, &central, &courses, because))
    }
}

fn joined(arm: Arm, central: &[Course], courses: &[Course], because: Vec<String>) -> Prediction {
    let converging = courses.iter().filter(|c| is_converged(c)).count();
    let inner = central.iter().filter(|c| is_converged(c)).count();
    let converges = 2 * inner >= central.len();
    // Of those that end as most do.
    let alike = |c: &&Course| is_converged(c) == converges;
    let middle: Vec<&Course> = central.iter().filter(alike).collect();
    let mut spread: Vec<&Course> = courses.iter().filter(alike).collect();
    if spread.len() < 3 {
        spread.extend(&middle);
    }
    let at = |of: &[&Course], q: f64, value: fn(&Course) -> f64| {
        let values: Vec<f64> = of.iter().map(|c| value(c)).collect();
        quantile(&values, q).unwrap_or(0.0)
    };
    let median = |value: fn(&Course) -> f64| at(&middle, 0.5, value);
    let interval = |value: fn(&Course) -> f64| {
        let known = median(value);
        let tail = 0.5 * (1.0 - LEVEL);
        let low = at(&spread, tail, value).min(known);
        (low, at(&spread, 1.0 - tail, value).max(known))
    };
    let total_time_s = median(|c| c.total_time_s);
    let (total_time_low_s, total_time_high_s) = interval(|c| c.total_time_s);
    let downtime = |c: &Course| c.downtime_s.unwrap_or(f64::NAN);
    let completes = middle.iter().all(|c| c.completes);
    let (downtime_low_s, downtime_high_s) = interval(downtime);
    let source_cpu_s = median(|c| c.source_cpu_s);
    let (source_cpu_low_s, source_cpu_high_s) = interval(|c| c.source_cpu_s);
    let destination_cpu_s = median(|c| c.destination_cpu_s);
    let (destination_cpu_low_s, destination_cpu_high_s) = interval(|c| c.destination_cpu_s);
    let mut binds: BTreeMap<Binds, usize> = BTreeMap::new();
    for course in &middle {
        *binds.entry(course.binds).or_default() += 1;
    }
    let binds = binds.into_iter().max_by_key(|(_, count)| *count);
    let mut reasons: Vec<String> = middle.iter().map(|c| c.reason.to_string()).collect();
    reasons.sort();
    Prediction {
        arm,
        converges,
        converges_share: converging as f64 / courses.len() as f64,
        ends: reasons[reasons.len() / 2].clone(),
        rounds: median(|c| f64::from(c.rounds)).round() as u32,
        total_time_s,
        total_time_low_s,
        total_time_high_s,
        downtime_s: completes.then(|| median(downtime)),
        downtime_low_s: completes.then_some(downtime_low_s),
        downtime_high_s: completes.then_some(downtime_high_s),
        expected_downtime_s: median(|c| c.expected_downtime_s),
        source_cpu_s,
        source_cpu_low_s,
        source_cpu_high_s,
        destination_cpu_s,
        destination_cpu_low_s,
        destination_cpu_high_s,
        source_cores: source_cpu_s / total_time_s,
        destination_cores: destination_cpu_s / total_time_s,
        payload_bytes: median(|c| c.pages * crate::units::PAGE_SIZE as f64) as u64,
        bytes_on_wire: median(|c| c.bytes_on_wire) as u64,
        writes_lost: median(|c| c.writes_lost),
        binds: binds.map_or(Binds::Link, |(binds, _)| binds),
        extrapolated: !because.is_empty(),
        extrapolated_because: because,
    }
}

fn is_converged(course: &Course) -> bool {
    course.completes && course.reason == crate::precopy::StopReason::Converged
}
