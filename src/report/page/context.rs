//! Tables on what a run was: arms as engaged, host, versions, scenario.

use serde_json::Value;

use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::results::Results;

fn pairs(id: &str, caption: &str, rows: Vec<(String, String)>) -> Table {
    Table {
        id: id.to_owned(),
        caption: caption.to_owned(),
        columns: vec![Column::text("field"), Column::text("value")],
        rows: rows
            .into_iter()
            .map(|(name, value)| vec![Cell::text(name), Cell::text(value)])
            .collect(),
    }
}

/// What ran in each arm, as the host processes reported it.
pub fn arms(results: &Results) -> Table {
    let names = [
        "stands for",
        "backend",
        "version",
        "engaged CPU features",
        "policy",
        "supported",
    ];
    let mut columns = vec![Column::text("arm")];
    columns.extend(names.map(Column::text));
    let rows = results
        .arms
        .iter()
        .map(|arm| {
            let features = if arm.engaged_features.is_empty() {
                "none".to_owned()
            } else {
                arm.engaged_features.join(" ")
            };
            vec![
                Cell::arm(arm.name),
                Cell::text(arm.name.row().summary),
                Cell::text(arm.backend.clone()),
                Cell::text(arm.backend_version.clone()),
                Cell::text(features),
                Cell::text(arm.policy_decision.to_string()),
                Cell::text(if arm.supported { "yes" } else { "no" })
                    .under(arm.reason.clone().unwrap_or_default()),
            ]
        })
        .collect();
    Table {
        id: "arm-table".to_owned(),
        caption: "What ran: library and CPU features that each arm's host processes engaged"
            .to_owned(),
        columns,
        rows,
    }
}

/// The machine.
pub fn host(results: &Results) -> Table {
    let host = &results.host;
    let mut rows = vec![
        ("CPU".to_owned(), host.cpu_model.clone()),
        ("CPU features".to_owned(), host.cpu_features.join(" ")),
        ("cores".to_owned(), host.cores.to_string()),
        ("memory".to_owned(), text::bytes(host.memory_bytes as f64)),
        ("kernel".to_owned(), host.kernel.clone()),
        ("CPU accounting".to_owned(), host.cpu_accounting.clone()),
        (
            "frequency governor".to_owned(),
            host.governor
                .clone()
                .unwrap_or_else(|| "not readable".to_owned()),
        ),
        (
            "virtual machine".to_owned(),
            if host.hypervisor { "yes" } else { "no" }.to_owned(),
        ),
        (
            "load before the run".to_owned(),
            text::sig3(host.load_before),
        ),
        (
            "CPU time stolen during the run".to_owned(),
            format!("{}%", text::sig3(host.steal_share * 100.0)),
        ),
        (
            "CPU time of other processes during the run".to_owned(),
            format!("{}%", text::sig3(host.other_cpu_share * 100.0)),
        ),
        (
            "spread of a fixed spin loop before the run".to_owned(),
            format!("{}%", text::sig3(host.spin_spread * 100.0)),
        ),
        (
            "CPU frequency when the run began".to_owned(),
            host.frequency_mhz.map_or_else(
                || "not readable".to_owned(),
                |mhz| format!("{} MHz", text::sig3(mhz)),
            ),
        ),
        ("dirty tracker".to_owned(), host.tracker.clone()),
        (
            "cost of a thread CPU clock read".to_owned(),
            format!("{} ns", text::sig3(host.thread_clock_read_ns)),
        ),
        ("migtax".to_owned(), results.migtax_version.clone()),
        (
            "results.json schema".to_owned(),
            results.schema_version.to_string(),
        ),
        ("started".to_owned(), results.started_at.clone()),
    ];
    for (name, version) in &host.versions {
        rows.push((format!("{name} version"), version.clone()));
    }
    pairs("host-table", "Host and versions", rows)
}

/// Every value of the scenario, as resolved.
pub fn scenario(results: &Results) -> Table {
    let mut rows = Vec::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(&results.scenario) {
        for (name, value) in fields {
            if name != "analysis" {
                flatten(name, &value, &mut rows);
            }
        }
    }
    pairs("scenario-table", "Scenario, every value as resolved", rows)
}

/// Values by their path: `workload.arrival.model`.
fn flatten(path: String, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(format!("{path}.{name}"), value, rows);
            }
        }
        other => rows.push((path, scalar(other))),
    }
}

/// A value that is no table, without quotes; the values of a list.
pub fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(scalar).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
