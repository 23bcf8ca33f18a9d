//! By how much: estimates of a shift with bounds that belong to the permutation tests.

use super::null;
use super::robust::median;

/// A shift with one-sided bounds, each at the level asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The estimate (Hodges and Lehmann 1963).
    pub estimate: f64,
    /// The shift is above this, with the confidence asked for; minus infinity if the values are
    /// too few for it.
    pub low: f64,
    /// The shift is below this, with the confidence asked for; infinity if the values are too
    /// few for it.
    pub high: f64,
}

/// The shift of paired values from 0: the median of all means of two of them. The bounds are
/// those shifts that [`super::permutation::sign_flip`] does not reject at `alpha`. `None` of nothing.
pub fn paired_shift(values: &[f64], alpha: f64) -> Option<Shift> {
    let mut means = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
    for (i, a) in values.iter().enumerate() {
        means.extend(values[i..].iter().map(|b| (a + b) / 2.0));
    }
    bounded(means, &null::untied_signed_tail(values.len()), 0, alpha)
}

/// The shift of `candidate` over `baseline`: the median of all differences. The bounds are those
/// shifts that [`super::permutation::two_sample`] does not reject at `alpha`. `None` if either is empty.
pub fn two_sample_shift(baseline: &[f64], candidate: &[f64], alpha: f64) -> Option<Shift> {
    if baseline.is_empty() || candidate.is_empty() {
        return None;
    }
    let differences = candidate
        .iter()
        .flat_map(|c| baseline.iter().map(move |b| c - b))
        .collect();
    let (n, m) = (baseline.len(), candidate.len());
    bounded(
        differences,
        &null::untied_split_tail(n, m),
        m * (m + 1) / 2,
        alpha,
    )
}

/// The number of elementary shifts above a supposed shift is the test's statistic (less its
/// smallest value, `lowest`), so a bound is the order statistic at the critical value.
fn bounded(mut shifts: Vec<f64>, tail: &[f64], lowest: usize, alpha: f64) -> Option<Shift> {
    let estimate = median(&shifts)?;
    shifts.sort_by(f64::total_cmp);
    let count = shifts.len();
    // The largest c with P(statistic <= c) <= alpha; tails are over doubled sums.
    let critical = (0..count)
        .take_while(|c| {
            // By symmetry P(statistic <= c) = P(statistic >= count - c).
            tail[2 * (lowest + count - c)] <= alpha
        })
        .last();
    let (low, high) = match critical {
        Some(c) => (shifts[c], shifts[count - 1 - c]),
        None => (f64::NEG_INFINITY, f64::INFINITY),
    };
    Some(Shift {
        estimate,
        low,
        high,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Random, sign_flip, two_sample};

    #[test]
    fn hodges_lehmann_of_small_examples() {
        // Means of pairs of {1, 2, 6}: 1, 1.5, 2, 3.5, 4, 6.
        let got = paired_shift(&[1.0, 2.0, 6.0], 0.05).unwrap();
        assert_eq!(got.estimate, 2.75);
        assert_eq!(got.high, f64::INFINITY);
        // Differences of {3, 5} over {1, 2}: 1, 2, 3, 4.
        let got = two_sample_shift(&[1.0, 2.0], &[3.0, 5.0], 0.2).unwrap();
        assert_eq!(got.estimate, 2.5);
        assert_eq!((got.low, got.high), (1.0, 4.0));
        assert!(paired_shift(&[], 0.05).is_none());
        assert!(two_sample_shift(&[], &[1.0], 0.05).is_none());
    }

    /// A bound above 0 and a p-value below alpha are the same statement.
    #[test]
    fn bounds_and_tests_agree() {
        for trial in 0..200 {
            let mut random = Random::new(4, trial);
            let alpha = [0.05, 0.01, 0.2][trial as usize % 3];
            let shift = 0.8 * random.uniform();
            let a: Vec<f64> = (0..8).map(|_| random.normal()).collect();
            let b: Vec<f64> = (0..7).map(|_| random.normal() + shift).collect();
            let bound = two_sample_shift(&a, &b, alpha).unwrap();
            let test = two_sample(&a, &b);
            assert_eq!(bound.low > 0.0, test.greater <= alpha);
            assert_eq!(bound.high < 0.0, test.less <= alpha);
            let bound = paired_shift(&b, alpha).unwrap();
            let test = sign_flip(&b);
            assert_eq!(bound.low > 0.0, test.greater <= alpha);
            assert_eq!(bound.high < 0.0, test.less <= alpha);
        }
    }
}
