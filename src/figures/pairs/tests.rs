//! Comparisons: what they rest on, and what is left of them where arms did not converge.

use super::*;
use crate::gate::simulate::{Simulation, results};

#[test]
fn every_arm_is_compared_with_plain_and_encrypted_ones_with_copy() {
    let run = results(&Simulation::default());
    let pairs: std::collections::BTreeSet<_> =
        run.comparisons.iter().map(|c| (c.arm, c.against)).collect();
    assert_eq!(pairs.len(), 1 + 5 * 2);
    assert!(pairs.contains(&(Arm::AWS_LC, Arm::COPY)));
    assert!(!pairs.contains(&(Arm::COPY, Arm::COPY)));
    for c in &run.comparisons {
        assert!(c.ci_low <= c.ratio && c.ratio <= c.ci_high, "{c:?}");
        assert_eq!(c.blocks, 5);
        assert!((c.level - 0.9375).abs() < 1e-12);
    }
}

/// An arm that gives up in its slowest blocks, as one at the edge of convergence does: it takes
/// `ratios` times plain's time, and is given up after `give_up_s`.
fn stalled(ratios: [f64; 5], give_up_s: f64) -> Results {
    let mut run = results(&Simulation::default());
    for m in &mut run.migrations {
        match m.arm {
            Arm::PLAIN => m.total_time_s = 1.0,
            Arm::AWS_LC => {
                m.total_time_s = ratios[m.block as usize].min(give_up_s);
                if m.total_time_s == give_up_s {
                    m.outcome.status = OutcomeStatus::NotConverged;
                    m.outcome.reason = Some("30 rounds".to_owned());
                    for round in &mut m.rounds {
                        round.expected_downtime_s = Some(0.4);
                    }
                }
            }
            _ => {}
        }
    }
    run.comparisons = comparisons(&run);
    run
}

fn of(run: &Results, arm: Arm, metric: Metric) -> Option<&Comparison> {
    comparison(run, arm, Arm::PLAIN, metric)
}

#[test]
fn time_given_up_counts_as_longer_and_never_as_missing() {
    // Two in five are given up: the median is that of all five, not of the three fast ones.
    let run = stalled([1.1, 4.0, 1.3, 5.0, 1.2], 3.0);
    let time = of(&run, Arm::AWS_LC, Metric::TOTAL_TIME).unwrap();
    assert!((time.ratio - 1.3).abs() < 1e-12, "{time:?}");
    assert!((time.added.unwrap() - 0.3).abs() < 1e-12, "{time:?}");
    assert_eq!((time.blocks, time.not_converged, time.bound), (5, 2, None));
    // The interval reaches to the largest of five, which nothing bounds.
    assert!((time.ci_low - 1.1).abs() < 1e-12 && time.ci_high == f64::INFINITY);
    assert_eq!(time.added_high, None);
    assert_eq!(added(time).unwrap().high, f64::INFINITY);
    let json = serde_json::to_value(time).unwrap();
    assert!(
        json["ci_high"].is_null() && json.get("added_high").is_none(),
        "{json}"
    );
    assert_eq!(&serde_json::from_value::<Comparison>(json).unwrap(), time);

    // Three in five: only that the median is above what was waited for.
    let run = stalled([1.1, 4.0, 3.5, 5.0, 1.2], 3.0);
    let time = of(&run, Arm::AWS_LC, Metric::TOTAL_TIME).unwrap();
    assert_eq!((time.blocks, time.not_converged), (5, 3));
    assert_eq!(time.bound, Some(Bound::Lower));
    assert!((time.ratio - 3.0).abs() < 1e-12, "{time:?}");
    assert!((time.added.unwrap() - 2.0).abs() < 1e-12, "{time:?}");
    assert!((time.ci_low - 1.1).abs() < 1e-12);
    // An expected downtime is no bound that was measured: no figure.
    assert!(of(&run, Arm::AWS_LC, Metric::DOWNTIME).is_none());
    crate::run_folder::check(&run).unwrap();

    // None completed: still a bound, with one for its interval too.
    let run = stalled([9.0; 5], 3.0);
    let time = of(&run, Arm::AWS_LC, Metric::TOTAL_TIME).unwrap();
    assert_eq!(time.bound, Some(Bound::Lower));
    assert!((time.ci_low - 3.0).abs() < 1e-12);
}

#[test]
fn cpu_does_not_take_completion_and_failures_are_no_bounds() {
    let whole = results(&Simulation::default());
    let run = stalled([9.0; 5], 3.0);
    for metric in [Metric::SOURCE_CPU_PER_GIB, Metric::THROUGHPUT] {
        let tax = of(&run, Arm::AWS_LC, metric).unwrap();
        let same = of(&whole, Arm::AWS_LC, metric).unwrap();
        assert_eq!(tax.ratio, same.ratio);
        assert_eq!((tax.blocks, tax.not_converged, tax.bound), (5, 5, None));
    }
    let mut run = run;
    for m in &mut run.migrations {
        if m.arm == Arm::AWS_LC && m.block < 2 {
            m.outcome.status = OutcomeStatus::Failed;
        }
        if m.arm == Arm::AWS_LC_SOFT {
            m.outcome.status = OutcomeStatus::FellBack;
        }
    }
    run.comparisons = comparisons(&run);
    let tax = of(&run, Arm::AWS_LC, Metric::TOTAL_TIME).unwrap();
    assert_eq!((tax.blocks, tax.not_converged), (3, 3));
    assert!(of(&run, Arm::AWS_LC_SOFT, Metric::SOURCE_CPU_PER_GIB).is_none());
}

#[test]
fn a_baseline_that_did_not_converge_bounds_from_above() {
    let mut run = results(&Simulation::default());
    for m in &mut run.migrations {
        m.total_time_s = 2.0;
        if m.arm == Arm::PLAIN {
            m.outcome.status = OutcomeStatus::NotConverged;
        }
    }
    run.comparisons = comparisons(&run);
    let time = of(&run, Arm::AWS_LC, Metric::TOTAL_TIME).unwrap();
    assert_eq!((time.ratio, time.bound), (1.0, Some(Bound::Upper)));
    assert_eq!((time.ci_low, time.added_low), (0.0, None));
    // Neither converged: nothing is known of the ratio.
    for m in &mut run.migrations {
        m.outcome.status = OutcomeStatus::NotConverged;
    }
    run.comparisons = comparisons(&run);
    assert!(of(&run, Arm::AWS_LC, Metric::TOTAL_TIME).is_none());
    assert!(of(&run, Arm::AWS_LC, Metric::SOURCE_CPU_PER_GIB).is_some());
}

#[test]
fn what_is_added_is_the_median_of_the_differences_within_blocks() {
    let run = results(&Simulation::default());
    for c in &run.comparisons {
        let metric = Metric::among(&c.metric, Metric::ever_compared()).unwrap();
        let value = |arm, block| {
            let found = completed(arm, &run.migrations);
            metric.value(found[&block]).unwrap()
        };
        let differences: Vec<f64> = (0..5)
            .map(|block| value(c.arm, block) - value(c.against, block))
            .collect();
        let expected = stats::median_interval(&differences).unwrap();
        let got = added(c).unwrap();
        assert_eq!(
            (got.median, got.low, got.high),
            (expected.median, expected.low, expected.high)
        );
    }
}

#[test]
fn many_intervals_are_expected_to_miss_some() {
    let run = results(&Simulation::default());
    // Five blocks each: 1 - 0.9375 of them, 4 of 64.
    let text = chance(run.comparisons.iter().cycle().take(64)).unwrap();
    assert!(
        text.starts_with("64 intervals of taxes at 93.8%: about 4 of them"),
        "{text}"
    );
    let text = chance(run.comparisons[..3].iter()).unwrap();
    assert!(
        text.starts_with("3 intervals of taxes at 93.8%: about 0.2"),
        "{text}"
    );
    assert_eq!(chance([].iter()), None);
}

#[test]
fn times_of_the_virtual_clock_are_not_compared() {
    let mut run = results(&Simulation::default());
    let stored = run.comparisons.clone();
    run.scenario.measure.clock = crate::scenario::ClockKind::Virtual;
    let names: std::collections::BTreeSet<String> =
        comparisons(&run).into_iter().map(|c| c.metric).collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["destination_cpu_per_gib", "source_cpu_per_gib"]
    );
    // Nor those that an older build recorded.
    run.comparisons = stored;
    assert!(of(&run, Arm::AWS_LC, Metric::DOWNTIME).is_none());
    assert!(of(&run, Arm::AWS_LC, Metric::SOURCE_CPU_PER_GIB).is_some());
}

#[test]
fn the_widest_interval_is_watched_once_all_reach_their_level() {
    let five = results(&Simulation::default());
    assert_eq!(
        widest_half_width(&five.comparisons, Metric::TOTAL_TIME),
        None
    );
    assert_eq!(widest_half_width(&[], Metric::TOTAL_TIME), None);
    let ten = results(&Simulation {
        blocks: 10,
        ..Simulation::default()
    });
    let widest = widest_half_width(&ten.comparisons, Metric::TOTAL_TIME).unwrap();
    for c in &ten.comparisons {
        if c.against == Arm::PLAIN && c.metric == Metric::TOTAL_TIME.name() {
            let width = stats::StopRule::half_width_of(c.ratio, c.ci_low, c.ci_high);
            assert!(width <= widest);
        }
    }
    assert!(widest > 0.0 && widest < 2.0, "{widest}");
}

#[test]
fn the_ratio_is_the_median_of_the_paired_ratios() {
    let mut run = results(&Simulation::default());
    for m in &mut run.migrations {
        m.total_time_s = match m.arm {
            Arm::PLAIN => [1.0, 2.0, 4.0, 8.0, 16.0][m.block as usize],
            Arm::AWS_LC => [1.2, 2.2, 5.2, 8.8, 24.0][m.block as usize],
            _ => m.total_time_s,
        };
    }
    let got = comparisons(&run);
    let mut total = got
        .iter()
        .filter(|c| c.arm == Arm::AWS_LC && c.against == Arm::PLAIN);
    let total = total
        .find(|c| c.metric == Metric::TOTAL_TIME.name())
        .unwrap();
    assert!((total.ratio - 1.2).abs() < 1e-12, "{total:?}");
    assert!((total.ci_low - 1.1).abs() < 1e-12, "{total:?}");
    assert!((total.ci_high - 1.5).abs() < 1e-12, "{total:?}");
}
