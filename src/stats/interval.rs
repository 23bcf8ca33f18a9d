//! Intervals for a median: exact from order statistics, or by bootstrap.

use super::random::Random;
use super::robust::{median, quantile};

/// Blocks from which intervals come from the bootstrap instead of order statistics.
const BOOTSTRAP_FROM: usize = 20;

/// The level that intervals aim at.
pub const NOMINAL_LEVEL: f64 = 0.95;

/// Resamples of a bootstrap: enough that its ends move by less than a hundredth of their width.
const RESAMPLES: usize = 10_000;
/// Every bootstrap draws from this seed, so that the same data give the same interval.
const BOOTSTRAP_SEED: u64 = 0x6d69_6774_6178;

/// A median with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The median.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Probability, before the data are seen, that such an interval holds the true median.
    pub level: f64,
    /// Values that it rests on.
    pub n: usize,
}

/// The interval that fits the number of values: exact below 20, bootstrap from there on. `None` of nothing.
pub fn median_interval(values: &[f64]) -> Option<Interval> {
    if values.len() < BOOTSTRAP_FROM {
        order_statistic_interval(values, NOMINAL_LEVEL)
    } else {
        bootstrap_median(values, NOMINAL_LEVEL)
    }
}

/// The exact interval between the k-th smallest and the k-th largest value. Its level is
/// 1 - 2 P(Binomial(n, 1/2) < k), whatever the distribution (Thompson 1936; David and Nagaraja,
/// "Order Statistics", 7.1). `k` is the largest that reaches `nominal`; where none does (below 6
/// values for 95%) it is 1, and the level says what was achieved. `None` of nothing.
pub fn order_statistic_interval(values: &[f64], nominal: f64) -> Option<Interval> {
    let n = values.len();
    let centre = median(values)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut best = (1, 1.0 - 2.0 * binomial_half_below(n, 1));
    for k in 2..=n / 2 {
        let level = 1.0 - 2.0 * binomial_half_below(n, k);
        if level < nominal {
            break;
        }
        best = (k, level);
    }
    let (k, level) = best;
    Some(Interval {
        median: centre,
        low: sorted[k - 1],
        high: sorted[n - k],
        level: level.max(0.0),
        n,
    })
}

/// P(Binomial(n, 1/2) < k).
fn binomial_half_below(n: usize, k: usize) -> f64 {
    let mut term = libm::exp2(-(n as f64));
    let mut sum = 0.0;
    for i in 0..k {
        sum += term;
        term *= (n - i) as f64 / (i + 1) as f64;
    }
    sum
}

/// The percentile bootstrap of the median over values (Efron 1979), seeded. For a median the
/// bias-corrected variants gain nothing: its jackknife is degenerate. `None` of nothing.
fn bootstrap_median(values: &[f64], level: f64) -> Option<Interval> {
    let centre = median(values)?;
    let n = values.len();
    let mut random = Random::new(BOOTSTRAP_SEED, n as u64);
    let mut sample = vec![0.0; n];
    let mut medians: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for slot in &mut sample {
            *slot = values[random.below(n)];
        }
        let (below, middle, _) = sample.select_nth_unstable_by(n / 2, f64::total_cmp);
        let upper = *middle;
        medians.push(if n % 2 == 1 {
            upper
        } else {
            let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (lower + upper) / 2.0
        });
    }
    let tail = (1.0 - level) / 2.0;
    Some(Interval {
        median: centre,
        low: quantile(&medians, tail)?,
        high: quantile(&medians, 1.0 - tail)?,
        level,
        n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks and levels as tabulated for the sign test (n, k, level in percent).
    #[test]
    fn order_statistic_ranks_and_levels_match_the_tables() {
        let table: &[(usize, usize, f64)] = &[
            (1, 1, 0.0),
            (2, 1, 50.0),
            (3, 1, 75.0),
            (5, 1, 93.75),
            (6, 1, 96.875),
            (7, 1, 98.4375),
            (8, 1, 99.21875),
            (9, 2, 96.09375),
            (10, 2, 97.8515625),
            (12, 3, 96.142578125),
            (15, 4, 96.484375),
            (17, 5, 95.0958251953125),
            (19, 5, 98.0789184570312),
        ];
        for &(n, k, percent) in table {
            let values: Vec<f64> = (1..=n).map(|v| v as f64).collect();
            let got = order_statistic_interval(&values, 0.95).unwrap();
            assert_eq!(got.low, k as f64, "n {n}");
            assert_eq!(got.high, (n + 1 - k) as f64, "n {n}");
            assert!((got.level * 100.0 - percent).abs() < 1e-6, "n {n}: {got:?}");
        }
        assert!(order_statistic_interval(&[], 0.95).is_none());
    }

    /// Both intervals must hold the true median as often as they say, for a skewed noise too.
    #[test]
    fn coverage_is_what_the_level_says() {
        for (n, trials) in [(5, 4000), (7, 4000), (12, 4000), (20, 300), (30, 300)] {
            let mut held = 0;
            let mut level = 0.0;
            for trial in 0..trials {
                let mut random = Random::new(11, trial);
                // Log-normal noise: median 1, skewed to the right.
                let values: Vec<f64> = (0..n).map(|_| libm::exp(0.3 * random.normal())).collect();
                let got = median_interval(&values).unwrap();
                level = got.level;
                held += u32::from(got.low <= 1.0 && 1.0 <= got.high);
            }
            let covered = f64::from(held) / trials as f64;
            // Three standard errors of a proportion; the bootstrap is allowed two points more.
            let slack = 3.0 * (level * (1.0 - level) / trials as f64).sqrt()
                + if n >= BOOTSTRAP_FROM { 0.02 } else { 0.0 };
            assert!(
                (covered - level).abs() <= slack,
                "n {n}: covered {covered}, level {level}"
            );
        }
    }

    #[test]
    fn the_bootstrap_repeats_itself() {
        let values: Vec<f64> = (0..25).map(|v| (v * v % 17) as f64).collect();
        assert_eq!(
            bootstrap_median(&values, 0.95),
            bootstrap_median(&values, 0.95)
        );
    }
}
