//! Bencher's metric format, for continuous benchmarking services.

use std::collections::BTreeMap;

use crate::figures::{Metric, completed};
use crate::results::Results;
use crate::stats;

#[derive(serde::Serialize)]
struct Value {
    value: f64,
    lower_value: f64,
    upper_value: f64,
}

/// A run as Bencher Metric Format: one benchmark per arm, `SCENARIO/ARM`, one measure per
/// metric that means something under the run's clock, the median with its interval. Arms that completed nothing are left out: the format
/// has no word for a failure. Described at <https://bencher.dev/docs/reference/bencher-metric-format>.
pub fn bencher(run: &Results) -> String {
    let mut benchmarks: BTreeMap<String, BTreeMap<&str, Value>> = BTreeMap::new();
    let clock = run.scenario.measure.clock;
    for info in &run.arms {
        let done = completed(info.name, &run.migrations);
        for metric in Metric::gated().filter(|m| m.means_something_under(clock)) {
            let values: Vec<f64> = done.values().filter_map(|m| metric.value(m)).collect();
            let Some(interval) = stats::median_interval(&values) else {
                continue;
            };
            let benchmark = format!("{}/{}", run.scenario.title(), info.name);
            // 1024 characters is the format's limit for a name.
            let benchmark = benchmark.chars().take(1024).collect();
            benchmarks.entry(benchmark).or_default().insert(
                metric.name(),
                Value {
                    value: interval.median,
                    lower_value: interval.low,
                    upper_value: interval.high,
                },
            );
        }
    }
    let mut text = serde_json::to_string_pretty(&benchmarks)
        .unwrap_or_else(|e| format!("{{\"error\": \"{e}\"}}"));
    text.push('\n');
    text
}
