//! Latency histograms as results carry them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::guest::vcpu::histogram;
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

/// The values that a histogram holds, nanoseconds, and how often each: what one host tells of a window
/// that another completes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts(Vec<(u64, u64)>);

impl From<&Histogram<u64>> for Counts {
    fn from(histogram: &Histogram<u64>) -> Counts {
        let bins = histogram.iter_recorded();
        Counts(
            bins.map(|bin| (bin.value_iterated_to(), bin.count_at_value()))
                .collect(),
        )
    }
}

/// The parts of a window put together, as results carry it.
pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Counts>) -> Latency {
    let mut all = histogram();
    for (value, count) in parts.into_iter().flat_map(|part| &part.0) {
        all.saturating_record_n(*value, *count);
    }
    latency(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_put_together_are_the_whole() {
        let mut whole = histogram();
        let mut parts = [histogram(), histogram()];
        for value in (0..10_000).map(|i: u64| i * i * 37 + 1) {
            whole.saturating_record(value);
            parts[value as usize % 2].saturating_record(value);
        }
        let counts = parts.each_ref().map(Counts::from);
        assert_eq!(merged(&counts), latency(&whole));
        assert_eq!(merged([]), Latency::default());
    }
}
