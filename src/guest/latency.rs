//! Latency histograms as results keep them.

use hdrhistogram::Histogram;

use crate::results::Latency;

/// Percentiles of the curve: dense towards the tail, which is what it is drawn for.
const CURVE: [f64; 16] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999,
    100.0,
];

/// Percentiles of a histogram of nanoseconds. The values are the histogram's, three digits exact.
pub fn summary(histogram: &Histogram<u64>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let at = |percentile| histogram.value_at_percentile(percentile);
    Latency {
        count: histogram.len(),
        p50: at(50.0),
        p90: at(90.0),
        p99: at(99.0),
        p999: at(99.9),
        max: histogram.max(),
        curve: CURVE
            .map(|percentile| (percentile, at(percentile)))
            .to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut histogram = Histogram::new(3).unwrap();
        assert_eq!(summary(&histogram), Latency::default());
        for value in 1..=1000 {
            histogram.record(value).unwrap();
        }
        let latency = summary(&histogram);
        assert_eq!(latency.count, 1000);
        let seen = [latency.p50, latency.p90, latency.p99, latency.max];
        assert_eq!(seen, [500, 900, 990, 1000]);
        assert!((999..=1000).contains(&latency.p999), "{}", latency.p999);
        assert!(latency.curve.is_sorted());
        assert_eq!(latency.curve.last(), Some(&(100.0, 1000)));
    }
}
