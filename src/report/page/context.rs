//! Tables on what a run was: arms as engaged, host, versions, scenario.

use serde_json::Value;

use crate::machine::MachineInfo;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::results::{ArmInfo, Results};
use crate::scenario::Scenario;

fn pairs<'a>(id: &str, caption: &str, rows: impl Iterator<Item = (&'a str, String)>) -> Table {
    let columns = ["field", "value"].map(Column::text).to_vec();
    let rows = rows.map(|(name, value)| vec![Cell::text(name), Cell::text(value)]);
    Table::new(id, caption, columns, rows.collect())
}

/// What ran in each arm, as the host processes reported it.
pub fn arms(arms: &[ArmInfo]) -> Table {
    let names = [
        "arm",
        "stands for",
        "backend",
        "version",
        "engaged CPU features",
        "policy",
        "supported",
    ];
    let rows = arms
        .iter()
        .map(|arm| {
            let features = match arm.engaged_features.join(" ") {
                none if none.is_empty() => "none".to_owned(),
                features => features,
            };
            vec![
                Cell::arm(arm.name),
                Cell::text(arm.name.row().summary),
                Cell::text(arm.backend.clone()),
                Cell::text(arm.backend_version.clone()),
                Cell::text(features),
                Cell::text(arm.policy_decision.to_string()),
                Cell::text(text::yes(arm.supported)).under(arm.reason.clone().unwrap_or_default()),
            ]
        })
        .collect();
    let caption = "What ran: library and CPU features that each arm's host processes engaged";
    let columns = names.map(Column::text).to_vec();
    Table::new("arm-table", caption, columns, rows)
}

/// The machine and the run.
pub fn host(results: &Results) -> Table {
    let run = [
        ("seal workers", seal_workers(results)),
        ("migtax", results.migtax_version.clone()),
        ("results.json schema", results.schema_version.to_string()),
        ("started", results.started_at.clone()),
    ];
    machine(&results.host, &run)
}

/// The machine, and what else is to be said of the run.
pub fn machine(host: &MachineInfo, run: &[(&str, String)]) -> Table {
    let percent = |share: f64| format!("{}%", text::sig3(share * 100.0));
    let unreadable = || "not readable".to_owned();
    let frequency = host
        .frequency_mhz
        .map(|mhz| format!("{} MHz", text::sig3(mhz)));
    let clock_read = format!("{} ns", text::sig3(host.thread_clock_read_ns));
    let rows = [
        ("CPU", host.cpu_model.clone()),
        ("CPU features", host.cpu_features.join(" ")),
        ("cores", host.cores.to_string()),
        ("memory", text::bytes(host.memory_bytes as f64)),
        ("kernel", host.kernel.clone()),
        ("CPU accounting", host.cpu_accounting.clone()),
        (
            "frequency governor",
            host.governor.clone().unwrap_or_else(unreadable),
        ),
        ("virtual machine", text::yes(host.hypervisor).to_owned()),
        ("load before the run", text::sig3(host.load_before)),
        ("CPU time stolen during the run", percent(host.steal_share)),
        (
            "CPU time of other processes during the run",
            percent(host.other_cpu_share),
        ),
        (
            "spread of a fixed spin loop before the run",
            percent(host.spin_spread),
        ),
        (
            "CPU frequency when the run began",
            frequency.unwrap_or_else(unreadable),
        ),
        ("dirty tracker", host.tracker.clone()),
        ("cost of a thread CPU clock read", clock_read),
    ];
    let rows = rows.into_iter().chain(run.iter().cloned());
    let versions = host.versions.iter();
    let versions: Vec<(String, String)> = versions
        .map(|(name, version)| (format!("{name} version"), version.clone()))
        .collect();
    let versions = versions
        .iter()
        .map(|(name, version)| (name.as_str(), version.clone()));
    pairs("host-table", "Host and versions", rows.chain(versions))
}

/// How many threads sealed, all streams together, in every arm alike.
fn seal_workers(results: &Results) -> String {
    let counts = results.migrations.iter().filter_map(|m| m.seal_workers);
    match counts.max() {
        None => "not recorded".to_owned(),
        Some(1) => "none: each stream seals in its own thread".to_owned(),
        Some(count) => format!("{count}, shared by all streams"),
    }
}

/// Every value of the scenario, as resolved.
pub fn scenario(scenario: &Scenario) -> Table {
    let mut rows = Vec::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(scenario) {
        for (name, value) in fields {
            if name != "analysis" {
                flatten(name, &value, &mut rows);
            }
        }
    }
    let rows = rows
        .iter()
        .map(|(path, value)| (path.as_str(), value.clone()));
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
