//! Whether two runs may be compared at all.

use serde_json::Value;

use crate::machine::same_machine;
use crate::results::Results;
use crate::scenario::{ClockKind, Scenario};

/// What two runs allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparable {
    /// Everything.
    Yes,
    /// Counts of the virtual clock only, and why.
    ExactOnly(String),
    /// Nothing, and why.
    No(String),
}

/// Fields that say how often was measured, not what, or that are prose.
const NOT_COMPARED: &[&str] = &[
    "analysis",
    "measure.arms",
    "measure.repetitions",
    "measure.warmup",
];

/// What two runs allow: schema and scenario must be the same; on different hosts only exact
/// counts may be compared.
pub fn comparable(baseline: &Results, candidate: &Results) -> Comparable {
    if baseline.schema_version != candidate.schema_version {
        return Comparable::No(format!(
            "schema_version differs: {} and {}",
            baseline.schema_version, candidate.schema_version
        ));
    }
    if let Some(why) = scenario_difference(&baseline.scenario, &candidate.scenario, &[]) {
        return Comparable::No(why);
    }
    match same_machine(&baseline.host, &candidate.host) {
        None => Comparable::Yes,
        Some(why) if baseline.scenario.measure.clock == ClockKind::Virtual => {
            Comparable::ExactOnly(format!("{why}: only exact counts are compared"))
        }
        Some(why) => Comparable::No(format!(
            "different hosts, and no exact counts under the live clock: {why}"
        )),
    }
}

/// The first field in which two scenarios differ, with both values; repetitions, arms and prose
/// may differ, and the fields in `besides`.
pub fn scenario_difference(a: &Scenario, b: &Scenario, besides: &[&str]) -> Option<String> {
    let value = |s: &Scenario| serde_json::to_value(s).unwrap_or(Value::Null);
    difference("", &value(a), &value(b), besides)
}

fn difference(path: &str, a: &Value, b: &Value, besides: &[&str]) -> Option<String> {
    if a == b || NOT_COMPARED.contains(&path) || besides.contains(&path) {
        return None;
    }
    if let (Value::Object(a), Value::Object(b)) = (a, b) {
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        return keys.into_iter().find_map(|key| {
            let inner = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let of = |side: &serde_json::Map<String, Value>| {
                side.get(key).cloned().unwrap_or(Value::Null)
            };
            difference(&inner, &of(a), &of(b), besides)
        });
    }
    Some(format!("scenario {path} differs: {a} and {b}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Simulation, raw};
    use crate::units::Rate;

    #[test]
    fn what_may_be_compared() {
        let run = raw(&Simulation::default());
        assert_eq!(comparable(&run, &run.clone()), Comparable::Yes);

        let mut longer = run.clone();
        longer.scenario.measure.repetitions = 30;
        longer.scenario.analysis = "other words".to_owned();
        assert_eq!(comparable(&run, &longer), Comparable::Yes);

        let mut other = run.clone();
        other.scenario.workload.rate = Rate(1 << 20);
        let Comparable::No(why) = comparable(&run, &other) else {
            panic!("another scenario");
        };
        assert!(
            why.contains("workload.rate") && why.contains("1MiB/s"),
            "{why}"
        );

        let mut elsewhere = run.clone();
        elsewhere.host.cpu_model = "other".to_owned();
        assert!(matches!(comparable(&run, &elsewhere), Comparable::No(_)));
        let (mut a, mut b) = (run.clone(), elsewhere);
        a.scenario.measure.clock = ClockKind::Virtual;
        b.scenario.measure.clock = ClockKind::Virtual;
        assert!(matches!(comparable(&a, &b), Comparable::ExactOnly(_)));

        let mut newer = run.clone();
        newer.schema_version += 1;
        assert!(matches!(comparable(&run, &newer), Comparable::No(_)));
    }
}
