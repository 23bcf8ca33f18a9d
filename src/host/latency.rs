//! Latency histograms as results carry them.

use hdrhistogram::Histogram;

use crate::results::Latency;

/// A histogram as results carry it.
pub fn latency(histogram: &Histogram<u64>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let at = |percentile: f64| histogram.value_at_percentile(percentile);
    // The percentile plot's own spacing: each step halves what is left to 100.
    let curve = histogram
        .iter_quantiles(2)
        .map(|point| {
            (
                point.quantile_iterated_to() * 100.0,
                point.value_iterated_to(),
            )
        })
        .collect();
    Latency {
        count: histogram.len(),
        p50: at(50.0),
        p90: at(90.0),
        p99: at(99.0),
        p999: at(99.9),
        max: histogram.max(),
        curve,
    }
}
