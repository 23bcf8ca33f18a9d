//! Medians of figures over migrations.

use crate::stats::{self, Interval};

/// The median of a sample; `None` if it has no finite value.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    stats::median(&finite(values))
}

/// The median with its exact interval, whatever n: a page has some five hundred of them, too many
/// for a bootstrap each. `None` if the sample has no finite value.
pub fn median_interval(values: impl IntoIterator<Item = f64>) -> Option<Interval> {
    stats::order_statistic_interval(&finite(values), stats::NOMINAL_LEVEL)
}

fn finite(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    values.into_iter().filter(|v| v.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_state_the_level_they_achieve() {
        let found = median_interval((1..=5).map(f64::from)).unwrap();
        assert_eq!((found.low, found.median, found.high), (1.0, 3.0, 5.0));
        assert_eq!((found.level, found.n), (0.9375, 5));
        assert_eq!(median_interval([f64::NAN, 2.0]).unwrap().n, 1);
        assert_eq!(median_interval([f64::NAN]), None);
        assert_eq!(median([]), None);
    }
}
