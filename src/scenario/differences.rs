//! In what two scenarios differ: one answer for the gate, for runs side by side and for exact counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::spec::Scenario;

/// Values that say what a scenario is called, why it exists and how much is measured, not what. A
/// matrix's `point` repeats values that stand in their own fields.
const NOT_CONDITIONS: [&str; 6] = [
    "name",
    "analysis",
    "point",
    "measure.arms",
    "measure.repetitions",
    "measure.warmup",
];

/// A value in which two scenarios differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where it stands: `workload.rate`.
    pub path: String,
    /// Its value in either scenario; null where a scenario has no such value.
    pub values: [Value; 2],
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = &self.values;
        write!(f, "scenario {} differs: {a} and {b}", self.path)
    }
}

/// The values that a scenario's measurements depend on, by dotted path; a list is one value.
pub fn conditions(scenario: &Scenario) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let whole = serde_json::to_value(scenario).unwrap_or(Value::Null);
    flatten("", whole, &NOT_CONDITIONS, &mut found);
    found
}

fn flatten(path: &str, value: Value, except: &[&str], found: &mut BTreeMap<String, Value>) {
    if except.contains(&path) {
        return;
    }
    let Value::Object(fields) = value else {
        found.insert(path.to_owned(), value);
        return;
    };
    for (name, value) in fields {
        let inner = match path {
            "" => name,
            path => format!("{path}.{name}"),
        };
        flatten(&inner, value, except, found);
    }
}

/// The values in which two scenarios differ, by path. None where both measure the same thing: a
/// scenario under another name, with another analysis, other arms or more repetitions may be compared.
pub fn differences(a: &Scenario, b: &Scenario) -> Vec<Difference> {
    between([a, b].map(conditions))
}

/// The values in which two scenarios differ in anything, names and numbers of blocks included.
pub fn all_differences(a: &Scenario, b: &Scenario) -> Vec<Difference> {
    between([a, b].map(|scenario| {
        let mut found = BTreeMap::new();
        let whole = serde_json::to_value(scenario).unwrap_or(Value::Null);
        flatten("", whole, &[], &mut found);
        found
    }))
}

fn between(both: [BTreeMap<String, Value>; 2]) -> Vec<Difference> {
    let paths: BTreeSet<&String> = both.iter().flat_map(BTreeMap::keys).collect();
    let difference = |path: &String| {
        let values = both.each_ref().map(|values| values.get(path));
        (values[0] != values[1]).then(|| Difference {
            path: path.clone(),
            values: values.map(|value| value.cloned().unwrap_or(Value::Null)),
        })
    };
    paths.into_iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Rate;

    fn smallest() -> Scenario {
        crate::scenario::parse("a.toml", "name = \"a\"")
            .unwrap()
            .remove(0)
    }

    #[test]
    fn every_value_that_differs_is_named_with_both_values() {
        let a = smallest();
        let mut b = a.clone();
        assert_eq!(differences(&a, &b), []);
        b.workload.rate = Rate(1 << 20);
        b.guest.vcpus = 3;
        b.workload.arrival = serde_json::from_value(
            serde_json::json!({ "model": "on-off", "duty": 0.5, "period": "1s" }),
        )
        .unwrap();
        let found: Vec<String> = differences(&a, &b).iter().map(|d| d.to_string()).collect();
        let expected = [
            "scenario guest.vcpus differs: 1 and 3",
            "scenario workload.arrival.duty differs: null and 0.5",
            "scenario workload.arrival.model differs: \"poisson\" and \"on-off\"",
            "scenario workload.arrival.period differs: null and \"1s\"",
            "scenario workload.arrival.phases differs: null and \"fixed\"",
            "scenario workload.rate differs: \"50MiB/s\" and \"1MiB/s\"",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_scenario_is_called_and_how_much_it_measures_is_no_difference() {
        let a = smallest();
        let mut b = a.clone();
        b.name = "b".to_owned();
        b.analysis = "Other words.".to_owned();
        b.point.insert("guest.vcpus".to_owned(), "1".to_owned());
        b.measure.arms.pop();
        b.measure.repetitions += 1;
        b.measure.warmup += 1;
        assert_ne!(a, b);
        assert_eq!(differences(&a, &b), []);
        let found = all_differences(&a, &b);
        let paths: Vec<&str> = found.iter().map(|d| d.path.as_str()).collect();
        let expected = [
            "analysis",
            "measure.arms",
            "measure.repetitions",
            "measure.warmup",
            "name",
            "point.guest.vcpus",
        ];
        assert_eq!(paths, expected);
    }
}
