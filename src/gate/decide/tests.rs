//! Tests of [`super`], in a file of their own for length.

use super::*;

const STRICT: Strictness = Strictness {
    alpha: 0.005,
    power: 0.95,
    pass_confidence: 0.95,
};

fn question(values: Values, direction: Direction) -> Question {
    Question {
        arm: "aws-lc".to_owned(),
        metric: "seal_cpu_per_gib".to_owned(),
        unit: "CPU-s/GiB",
        direction,
        values,
        medians: [0.08, 0.08],
        reference: None,
        relative_floor: 0.02,
        absolute_floor: 0.001,
        tolerance: 0.05,
        blocking: true,
    }
}

/// Noise without luck: the quantiles of a logistic distribution with that standard deviation.
fn noisy(n: usize, shift: f64, sd: f64) -> Vec<f64> {
    let scale = sd * 3f64.sqrt() / std::f64::consts::PI;
    (0..n)
        .map(|i| (i as f64 + 0.5) / n as f64)
        .map(|u| shift + scale * libm::log(u / (1.0 - u)))
        .collect()
}

fn verdict(question: &Question) -> Verdict {
    decide(std::slice::from_ref(question), &[], STRICT)[0].verdict
}

#[test]
fn verdicts_follow_effect_noise_and_blocks() {
    use Verdict::{Improved, Inconclusive, Pass, Regressed};
    let table = [
        (20, 0.0, 0.01, Pass),
        (20, 0.10, 0.02, Regressed),
        (20, -0.10, 0.02, Improved),
        (20, 0.01, 0.002, Pass), // significant, below the floor
        (20, 0.0, 0.30, Inconclusive),
        (20, 0.06, 0.10, Inconclusive),
        (5, 0.5, 0.01, Inconclusive), // 5 pairs reach p = 1/32
    ];
    for (n, shift, sd, expected) in table {
        let lower = question(
            Values::Paired(noisy(n, shift, sd)),
            Direction::LowerIsBetter,
        );
        let row = decide(std::slice::from_ref(&lower), &[], STRICT).remove(0);
        assert_eq!(row.verdict, expected, "{n} {shift} {sd}: {row:?} {lower:?}");
        let negated = noisy(n, shift, sd).into_iter().map(|v| -v).collect();
        let higher = question(Values::Paired(negated), Direction::HigherIsBetter);
        assert_eq!(verdict(&higher), expected, "{n} {shift} {sd}, a rate");
    }
}

#[test]
fn a_tax_that_rose_because_plain_got_faster_is_inconclusive() {
    let values = Values::TwoSample(noisy(12, 0.0, 0.01), noisy(13, 0.10, 0.01));
    let mut asked = question(values, Direction::LowerIsBetter);
    for (shift, expected) in [
        (0.0, Verdict::Regressed),
        (0.2, Verdict::Regressed),
        (-0.04, Verdict::Regressed),
        (-0.08, Verdict::Inconclusive), // own 0.02, less than half of 0.10
        (-0.12, Verdict::Inconclusive),
    ] {
        let own = 0.10 + shift;
        asked.reference = Some(Reference {
            name: "plain".to_owned(),
            shift,
            own: Shift {
                estimate: own,
                low: own - 0.01,
                high: own + 0.01,
            },
            own_noise: 0.01,
        });
        assert_eq!(verdict(&asked), expected, "{shift}");
    }
    let reference = asked.reference.as_mut().unwrap();
    reference.own.estimate = 0.08;
    reference.own.low = -0.01;
    assert_eq!(verdict(&asked), Verdict::Inconclusive, "own within noise");
}

#[test]
fn an_inconclusive_row_says_how_many_blocks_would_decide() {
    let asked = question(
        Values::Paired(noisy(8, 0.0, 0.08)),
        Direction::LowerIsBetter,
    );
    let row = &decide(&[asked], &[], STRICT)[0];
    let figures = row.figures.unwrap();
    let needed = figures.blocks_needed.unwrap();
    assert!(needed > 8, "{needed}");
    assert!(
        row.sentence.contains(&format!("{needed} blocks")),
        "{row:?}"
    );
    let hopeless = question(Values::Paired(noisy(8, 0.0, 3.0)), Direction::LowerIsBetter);
    let row = &decide(&[hopeless], &[], STRICT)[0];
    assert!(row.sentence.contains("more than 400"), "{row:?}");
}

#[test]
fn absolute_floors_forgive_changes_too_small_to_matter() {
    let mut asked = question(
        Values::Paired(noisy(20, 0.10, 0.01)),
        Direction::LowerIsBetter,
    );
    asked.absolute_floor = 0.02; // 25% of 0.08
    asked.tolerance = 0.3;
    assert_eq!(verdict(&asked), Verdict::Pass);
}

#[test]
fn fewer_completed_migrations_regress_once_there_are_enough() {
    let completion = |n: usize| {
        let (before, now) = (vec![0.0; n], vec![1.0; n]);
        Completion {
            arm: "aws-lc-soft".to_owned(),
            baseline: [n, n],
            candidate: [0, n],
            test: two_sample(&before, &now),
        }
    };
    let row = |n| decide(&[], &[completion(n)], STRICT).remove(0);
    assert_eq!(row(10).verdict, Verdict::Regressed);
    assert_eq!(row(3).verdict, Verdict::Inconclusive);
    assert!(row(3).sentence.contains("0 of 3"));
}

/// What is left of a stage that an arm hardly has: its share varies, its cost does not matter.
#[test]
fn a_figure_near_nothing_passes_by_its_absolute_floor() {
    let noise = Values::Paired(noisy(24, 0.0, 0.20));
    let mut asked = question(noise, Direction::LowerIsBetter);
    assert_eq!(verdict(&asked), Verdict::Inconclusive);
    asked.medians = [0.004, 0.004];
    assert_eq!(verdict(&asked), Verdict::Pass);
}
