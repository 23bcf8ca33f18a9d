//! What predictions were wrong by, over the points that were measured.

use std::collections::BTreeMap;

use serde::Serialize;

use super::hosts::Binds;
use super::validate::{Checked, Point, Simpler};
use crate::arm::Arm;
use crate::stats::{median, quantile};

/// Errors of a figure over some points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Error {
    /// The figure.
    pub figure: &'static str,
    /// The arm; none for all of them.
    pub arm: Option<Arm>,
    /// `link` or `cores`: what the plan expects to bind.
    pub bound: &'static str,
    /// Points: scenarios of a matrix and arms.
    pub points: usize,
    /// Median over points of |predicted / measured - 1|, where measured is the median of a point's migrations.
    pub median: f64,
    /// Its 90th percentile.
    pub p90: f64,
    /// Migrations of these points.
    pub migrations: usize,
    /// Median of the same error over single migrations.
    pub single_median: f64,
    /// The same with the median of a point's other migrations in place of the prediction: what
    /// another measurement misses by. None where no point was measured twice.
    pub repeated_median: Option<f64>,
    /// Share of the migrations within the 90% interval.
    pub covered: f64,
    /// The geometric model's median error over points.
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

type Figure = (&'static str, fn(&Point) -> Option<Checked<f64>>);

const FIGURES: [Figure; 4] = [
    ("total_time", |p| p.total_time_s),
    ("downtime", |p| p.downtime_s),
    ("source_cpu_per_gib", |p| p.source_cpu_s_per_gib),
    ("destination_cpu_per_gib", |p| p.destination_cpu_s_per_gib),
];

/// Migrations, gathered to points and their errors.
pub(super) fn joined(points: Vec<Point>) -> Validation {
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

/// A migration that has a figure, and the figure.
type Known<'a> = (&'a Point, Checked<f64>);

fn error(
    figure: &'static str,
    value: fn(&Point) -> Option<Checked<f64>>,
    arm: Option<Arm>,
    bound: &'static str,
    migrations: &[&Point],
) -> Option<Error> {
    let known = migrations.iter().filter_map(|p| Some((*p, value(p)?)));
    let known = known.filter(|(_, checked)| checked.predicted.is_finite());
    let mut points: BTreeMap<(&str, Arm, u64), Vec<Known<'_>>> = BTreeMap::new();
    for (p, checked) in known {
        // Runs of one title that differ in what stands beside it have predictions of their own.
        let own = points.entry((&p.run, p.arm, checked.predicted.to_bits()));
        let own = own.or_default();
        own.push((p, checked));
    }
    let points: Vec<Vec<Known<'_>>> = points.into_values().collect();
    let off = |predicted: f64, measured: f64| (predicted / measured - 1.0).abs();
    let middle = |point: &[Known<'_>]| {
        let measured: Vec<f64> = point.iter().map(|(_, c)| c.measured).collect();
        median(&measured).unwrap_or(f64::NAN)
    };
    let over_points = |predicted: &dyn Fn(&Point, Checked<f64>) -> f64| -> Vec<f64> {
        let errors = points.iter().map(|point| {
            let (p, checked) = point[0];
            off(predicted(p, checked), middle(point))
        });
        errors.filter(|e| e.is_finite()).collect()
    };
    let errors = over_points(&|_, checked| checked.predicted);
    let simpler = |model: fn(&Point) -> Simpler| {
        let errors = over_points(&|p, _| model(p).total_time_s);
        median(&errors).filter(|_| figure == "total_time")
    };
    let singles: Vec<Checked<f64>> = points.iter().flatten().map(|(_, c)| *c).collect();
    let single_errors: Vec<f64> = singles
        .iter()
        .map(|c| off(c.predicted, c.measured))
        .collect();
    let inside = |c: &&Checked<f64>| {
        c.low.is_none_or(|low| c.measured >= low) && c.high.is_none_or(|high| c.measured <= high)
    };
    let repeated = points.iter().flat_map(|point| {
        (0..point.len()).filter_map(|left_out| {
            let mut others = point.clone();
            let (_, one) = others.remove(left_out);
            (!others.is_empty()).then(|| off(middle(&others), one.measured))
        })
    });
    let repeated: Vec<f64> = repeated.collect();
    Some(Error {
        figure,
        arm,
        bound,
        points: points.len(),
        median: median(&errors)?,
        p90: quantile(&errors, 0.9)?,
        migrations: singles.len(),
        single_median: median(&single_errors)?,
        repeated_median: median(&repeated),
        covered: singles.iter().filter(inside).count() as f64 / singles.len() as f64,
        geometric_median: simpler(|p| p.geometric),
        constant_rate_median: simpler(|p| p.constant_rate),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(run: &str, measured: f64, predicted: f64, geometric: f64) -> Point {
        let checked = Some(Checked {
            measured,
            predicted,
            low: Some(0.9 * predicted),
            high: Some(1.1 * predicted),
        });
        let simpler = Simpler {
            converges: true,
            total_time_s: geometric,
        };
        Point {
            run: run.to_owned(),
            arm: Arm::PLAIN,
            binds: Binds::Link,
            converges: Checked {
                measured: true,
                predicted: true,
                low: None,
                high: None,
            },
            near_the_frontier: false,
            total_time_s: checked,
            downtime_s: None,
            source_cpu_s_per_gib: checked,
            destination_cpu_s_per_gib: None,
            geometric: simpler,
            constant_rate: simpler,
        }
    }

    #[test]
    fn a_point_is_the_median_of_its_migrations_and_the_interval_is_for_each() {
        let points = vec![
            migration("a", 1.0, 1.0, 1.5),
            migration("a", 1.25, 1.0, 1.5),
            migration("a", 2.0, 1.0, 1.5),
            migration("b", 2.0, 3.0, 2.0),
        ];
        let found = joined(points);
        let of = |figure| {
            let mut all = found.errors.iter();
            all.find(|e| e.figure == figure && e.arm.is_none())
        };
        let time = of("total_time").unwrap();
        assert_eq!((time.points, time.migrations), (2, 4));
        // 1 of 1.25, and 3 of 2.
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}");
        close(time.median, 0.5 * (0.2 + 0.5));
        // 0, 0.2, 0.5, 0.5.
        close(time.single_median, 0.35);
        close(time.covered, 0.25);
        // 1.625, 1.5 and 1.125 in place of 1, 1.25 and 2.
        close(time.repeated_median.unwrap(), 0.4375);
        close(time.geometric_median.unwrap(), 0.5 * (0.2 + 0.0));
        assert_eq!(of("source_cpu_per_gib").unwrap().geometric_median, None);
        assert!(of("downtime").is_none());
        assert_eq!(found.converges, Outcomes { of: 4, right: 4 });
    }
}
