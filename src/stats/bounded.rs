//! Medians of values of which some are known by a bound only.

use super::interval::median_interval;
use super::robust::median;

/// What is known of a value: that it is not below `low` and not above `high`. Equal where it was
/// observed; infinite where nothing bounds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// At least this.
    pub low: f64,
    /// At most this.
    pub high: f64,
}

impl Known {
    /// A value that was observed.
    pub fn exactly(value: f64) -> Known {
        Known {
            low: value,
            high: value,
        }
    }
}

/// A median with its interval, as far as bounds give them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundedMedian {
    /// What is known of the median: one value where no bound reaches the middle of the order.
    pub median: Known,
    /// The interval's ends, infinite where a value that an end needs has no bound.
    pub interval: Known,
    /// Probability at least, before the data are seen, that the interval holds the true median.
    pub level: f64,
}

/// What is known of the median alone. `None` of nothing.
pub fn known_median(values: &[Known]) -> Option<Known> {
    let end = |of: fn(&Known) -> f64| median(&values.iter().map(of).collect::<Vec<_>>());
    Some(Known {
        low: end(|v| v.low)?,
        high: end(|v| v.high)?,
    })
}

/// The median of values known by bounds, without any assumption on how a bound and the value
/// behind it hang together. An order statistic rises with every value, so it lies between the same
/// order statistic of the lower and of the upper bounds; so do the ends of an interval between
/// order statistics, and those of a bootstrap, resample by resample. `None` of nothing.
pub fn bounded_median(values: &[Known]) -> Option<BoundedMedian> {
    let lows: Vec<f64> = values.iter().map(|v| v.low).collect();
    let highs: Vec<f64> = values.iter().map(|v| v.high).collect();
    let low = median_interval(&lows)?;
    let high = match lows == highs {
        true => low,
        false => median_interval(&highs)?,
    };
    Some(BoundedMedian {
        median: Known {
            low: low.median,
            high: high.median,
        },
        interval: Known {
            low: low.low,
            high: high.high,
        },
        level: low.level,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Random;

    const MORE: f64 = f64::INFINITY;

    fn known(values: &[(f64, f64)]) -> Vec<Known> {
        let known = values.iter().map(|&(low, high)| Known { low, high });
        known.collect()
    }

    #[test]
    fn a_median_is_one_value_only_where_no_bound_reaches_the_middle() {
        type Case = (&'static [(f64, f64)], (f64, f64), (f64, f64));
        let table: &[Case] = &[
            // Values, what is known of the median, the interval of five: smallest to largest.
            (
                &[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (9.0, MORE), (8.0, MORE)],
                (3.0, 3.0),
                (1.0, MORE),
            ),
            (
                &[
                    (1.0, 1.0),
                    (2.0, 2.0),
                    (7.0, MORE),
                    (9.0, MORE),
                    (8.0, MORE),
                ],
                (7.0, MORE),
                (1.0, MORE),
            ),
            // Fewer than half are bounds, but one below the middle may lie above it.
            (
                &[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0), (0.5, MORE)],
                (2.0, 3.0),
                (0.5, MORE),
            ),
            (
                &[
                    (-MORE, 1.0),
                    (-MORE, 2.0),
                    (-MORE, 3.0),
                    (4.0, 4.0),
                    (5.0, 5.0),
                ],
                (-MORE, 3.0),
                (-MORE, 5.0),
            ),
        ];
        for (values, median, interval) in table {
            let got = bounded_median(&known(values)).unwrap();
            assert_eq!((got.median.low, got.median.high), *median, "{values:?}");
            assert_eq!(
                (got.interval.low, got.interval.high),
                *interval,
                "{values:?}"
            );
            assert_eq!(got.level, 0.9375);
            assert_eq!(known_median(&known(values)), Some(got.median));
        }
        let even = known(&[(1.0, 1.0), (2.0, 2.0), (5.0, MORE), (6.0, MORE)]);
        let got = bounded_median(&even).unwrap().median;
        assert_eq!((got.low, got.high), (3.5, MORE));
        assert!(bounded_median(&[]).is_none());
    }

    #[test]
    fn observed_values_give_what_they_always_gave() {
        for n in [1, 2, 5, 12, 25] {
            let values: Vec<f64> = (0..n).map(|v| f64::from(v * v % 17)).collect();
            let plain = median_interval(&values).unwrap();
            let exact: Vec<Known> = values.into_iter().map(Known::exactly).collect();
            let got = bounded_median(&exact).unwrap();
            assert_eq!(got.median, Known::exactly(plain.median));
            assert_eq!(
                (got.interval.low, got.interval.high),
                (plain.low, plain.high)
            );
            assert_eq!(got.level, plain.level);
        }
    }

    /// Values above a limit are cut off there, as those of migrations that are given up: the interval
    /// still holds the true median as often as it says, and without the values cut off it does not.
    #[test]
    fn coverage_holds_where_values_are_cut_off() {
        for (n, trials) in [(5, 3000), (12, 3000), (24, 200)] {
            let (mut held, mut survivors_held, mut level) = (0, 0, 0.0);
            for trial in 0..trials {
                let mut random = Random::new(7, trial);
                // Median 1; four in ten are above the limit.
                let limit = 1.08;
                let values: Vec<f64> = (0..n).map(|_| libm::exp(0.3 * random.normal())).collect();
                let cut = |v: &f64| match *v > limit {
                    true => Known {
                        low: limit,
                        high: MORE,
                    },
                    false => Known::exactly(*v),
                };
                let got = bounded_median(&values.iter().map(cut).collect::<Vec<_>>()).unwrap();
                level = got.level;
                held += u32::from(got.interval.low <= 1.0 && 1.0 <= got.interval.high);
                let survivors: Vec<f64> = values.into_iter().filter(|v| *v <= limit).collect();
                let biased = median_interval(&survivors);
                survivors_held += u32::from(biased.is_some_and(|b| b.low <= 1.0 && 1.0 <= b.high));
            }
            let share = |held: u32| f64::from(held) / trials as f64;
            let slack = 3.0 * (level * (1.0 - level) / trials as f64).sqrt();
            let bootstrap = if n >= 20 { 0.02 } else { 0.0 };
            assert!(
                share(held) >= level - slack - bootstrap,
                "n {n}: {}",
                share(held)
            );
            assert!(
                share(survivors_held) < level - 0.05,
                "n {n}: {}",
                share(survivors_held)
            );
        }
    }

    /// An even bootstrap takes means of two, and its quantiles mix two: never a NaN.
    #[test]
    fn bounds_never_make_a_nan() {
        for n in 1..30 {
            for missing in 0..=n {
                let values: Vec<Known> = (0..n)
                    .map(|i| match i < missing {
                        true => Known {
                            low: 2.0,
                            high: MORE,
                        },
                        false => Known::exactly(f64::from(i)),
                    })
                    .collect();
                let got = bounded_median(&values).unwrap();
                for end in [got.median, got.interval] {
                    assert!(end.low <= end.high, "{n} {missing} {got:?}");
                }
            }
        }
    }
}
