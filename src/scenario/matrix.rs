//! Matrices: a field that holds a list where a single value is expected.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::spec::Scenario;
use crate::error::{Error, Result};

/// Points of a matrix at most.
pub const MAX_POINTS: usize = 1000;

/// The varied fields of a point, dotted, and their values.
type Varied = BTreeMap<String, String>;

/// Fields that are lists by nature, by their last name.
const LISTS: [&str; 2] = ["arms", "parts"];

/// Expands every list that stands for a single value: one table per combination, the first
/// varied field (in alphabetical order) changing slowest. A table without such lists is its own
/// only point.
///
/// # Errors
/// An empty list, or more than 1000 points.
pub(super) fn expand(table: &Table) -> Result<Vec<(Table, Varied)>> {
    let mut axes = Vec::new();
    find_axes(table, &mut Vec::new(), &mut axes);
    let mut points = vec![(table.clone(), Varied::new())];
    for (path, values) in axes {
        let field = path.join(".");
        if values.is_empty() {
            return Err(Error::invalid(
                field,
                "[]",
                "a list holds at least one value",
            ));
        }
        let count = points.len().saturating_mul(values.len());
        check_size(count)?;
        let mut finer = Vec::with_capacity(count);
        for point in &points {
            for value in &values {
                let (mut table, mut label) = point.clone();
                replace(&mut table, &path, value);
                label.insert(field.clone(), show(value));
                finer.push((table, label));
            }
        }
        points = finer;
    }
    Ok(points)
}

/// Refuses a matrix of more than 1000 points.
///
/// # Errors
/// It.
pub(super) fn check_size(count: usize) -> Result<()> {
    match count {
        0..=MAX_POINTS => Ok(()),
        _ => Err(Error::Invalid(format!(
            "the lists of this matrix make {count} points or more: at most {MAX_POINTS}"
        ))),
    }
}

fn find_axes(table: &Table, path: &mut Vec<String>, axes: &mut Vec<(Vec<String>, Vec<Value>)>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(inner) => find_axes(inner, path, axes),
            Value::Array(values) if !LISTS.contains(&key.as_str()) => {
                axes.push((path.clone(), values.clone()));
            }
            _ => {}
        }
        path.pop();
    }
}

fn replace(table: &mut Table, path: &[String], value: &Value) {
    match path {
        [last] => {
            table.insert(last.clone(), value.clone());
        }
        [first, rest @ ..] => {
            if let Some(Value::Table(inner)) = table.get_mut(first) {
                replace(inner, rest, value);
            }
        }
        [] => {}
    }
}

/// A value as a label or an error shows it: text bare, tables and lists in TOML's inline form.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(x) => x.to_string(),
        Value::Integer(n) => n.to_string(),
        Value::Boolean(b) => b.to_string(),
        Value::Datetime(at) => at.to_string(),
        Value::Array(values) => {
            let items: Vec<String> = values.iter().map(show).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let items: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{key} = {}", show(value)))
                .collect();
            format!("{{ {} }}", items.join(", "))
        }
    }
}

impl Scenario {
    /// The varied fields of a point of a matrix and their values, in the fields' order; a field by
    /// its last name if that tells it from the others. Empty outside a matrix.
    pub fn varied(&self) -> Vec<(&str, &str)> {
        let short: BTreeSet<&str> = self.point.keys().map(|field| last(field)).collect();
        let distinct = short.len() == self.point.len();
        let name = |field| if distinct { last(field) } else { field };
        let fields = self.point.iter();
        fields
            .map(|(field, value)| (name(field), value.as_str()))
            .collect()
    }

    /// The name, and for a point of a matrix what tells it from the others, such as
    /// `sweep (record 64KiB, streams 2)`.
    pub fn title(&self) -> String {
        let varied = self.varied();
        if varied.is_empty() {
            return self.name.clone();
        }
        let values: Vec<String> = varied
            .into_iter()
            .map(|(field, value)| format!("{field} {value}"))
            .collect();
        format!("{} ({})", self.name, values.join(", "))
    }
}

fn last(field: &str) -> &str {
    field.rsplit('.').next().unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Result<Vec<String>> {
        let points = expand(&text.parse::<Table>().unwrap())?;
        Ok(points
            .into_iter()
            .map(|(_, label)| {
                let parts: Vec<String> = label.iter().map(|(k, v)| format!("{k}={v}")).collect();
                parts.join(",")
            })
            .collect())
    }

    #[test]
    fn lists_multiply_and_points_are_labelled() {
        assert_eq!(labels("name = \"a\"").unwrap(), [""]);
        assert_eq!(
            labels("measure = { arms = [\"copy\", \"plain\"] }").unwrap(),
            [""]
        );
        assert_eq!(
            labels("guest = { vcpus = [1, 2] }\nworkload = { arrival = { model = \"x\", burstiness = [1, 2.5] } }")
                .unwrap(),
            [
                "guest.vcpus=1,workload.arrival.burstiness=1",
                "guest.vcpus=1,workload.arrival.burstiness=2.5",
                "guest.vcpus=2,workload.arrival.burstiness=1",
                "guest.vcpus=2,workload.arrival.burstiness=2.5",
            ]
        );
        let tables = labels("a = [{ b = 1, c = \"d\" }]").unwrap();
        assert_eq!(tables, ["a={ b = 1, c = d }"]);
    }

    #[test]
    fn empty_and_endless_matrices_are_refused() {
        assert!(labels("a = []").unwrap_err().to_string().contains("a = []"));
        let axis = "[1,2,3,4,5,6,7,8,9,10,11]";
        let text = format!("a = {axis}\nb = {axis}\nc = {axis}");
        assert!(labels(&text).unwrap_err().to_string().contains("1331"));
    }
}
