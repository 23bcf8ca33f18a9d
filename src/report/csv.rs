//! `migrations.csv`: one line per migration, for a spreadsheet or a data frame.
//!
//! A header line, then RFC 4180 lines ended by CR LF. Units are in the column names, as in
//! results.json. An empty field is a figure that the migration has no value for: times of a
//! migration that did not complete are not zeros.

use super::figures;
use crate::present::text;
use crate::results::{Metric, Migration, OutcomeStatus, Results};

/// A column: its name and a migration's value.
type Column = (&'static str, fn(&Migration) -> String);

fn optional(value: Option<f64>) -> String {
    value.map_or(String::new(), text::exact)
}

/// A value that only a migration which moved pages has.
fn ran(migration: &Migration, value: impl ToString) -> String {
    if migration.outcome.status == OutcomeStatus::Failed && migration.rounds.is_empty() {
        String::new()
    } else {
        Some(value.to_string())
            .filter(|text| !matches!(text.as_str(), "NaN" | "inf" | "-inf"))
            .unwrap_or_default()
    }
}

/// A value that only a completed migration has.
fn done(migration: &Migration, value: f64) -> String {
    if migration.outcome.status == OutcomeStatus::Completed {
        text::exact(value)
    } else {
        String::new()
    }
}

/// A percentile that only a histogram with values has.
fn latency(latency: &crate::results::Latency, value: u64) -> String {
    if latency.count == 0 {
        String::new()
    } else {
        value.to_string()
    }
}

/// The columns, in order.
pub const COLUMNS: &[Column] = &[
    ("arm", |m| m.arm.name().to_owned()),
    ("block", |m| m.block.to_string()),
    ("status", |m| {
        text::csv(&m.outcome.status.to_string().replace(' ', "_"))
    }),
    ("reason", |m| {
        text::csv(m.outcome.reason.as_deref().unwrap_or_default())
    }),
    ("total_time_s", |m| done(m, m.total_time_s)),
    ("setup_time_s", |m| ran(m, m.setup_time_s)),
    ("downtime_s", |m| done(m, m.downtime.total_s)),
    ("downtime_pause_s", |m| done(m, m.downtime.pause_s)),
    ("downtime_harvest_s", |m| done(m, m.downtime.harvest_s)),
    ("downtime_transfer_s", |m| done(m, m.downtime.transfer_s)),
    ("downtime_switchover_s", |m| {
        done(m, m.downtime.switchover_s)
    }),
    ("rounds", |m| m.rounds.len().to_string()),
    ("pages_sent", |m| ran(m, m.pages_sent)),
    ("zero_pages", |m| ran(m, m.zero_pages)),
    ("memory_bytes", |m| ran(m, m.memory_bytes)),
    ("payload_bytes", |m| ran(m, m.payload_bytes)),
    ("bytes_on_wire", |m| ran(m, m.bytes_on_wire)),
    ("records", |m| ran(m, m.records)),
    ("throughput_gib_per_s", |m| {
        optional(figures::throughput_gib_s(m))
    }),
    ("source_cpu_s", |m| ran(m, m.cpu.source.total_s)),
    ("source_prepare_s", |m| ran(m, m.cpu.source.prepare_s)),
    ("source_seal_s", |m| ran(m, m.cpu.source.seal_s)),
    ("source_transmit_s", |m| ran(m, m.cpu.source.transmit_s)),
    ("source_other_s", |m| ran(m, m.cpu.source.other_s)),
    ("source_vcpu_s", |m| ran(m, m.cpu.source.vcpu_s)),
    ("source_cpu_s_per_gib", |m| {
        optional(figures::metric(m, Metric::SourceCpuPerGib))
    }),
    ("destination_cpu_s", |m| ran(m, m.cpu.destination.total_s)),
    ("destination_receive_s", |m| {
        ran(m, m.cpu.destination.receive_s)
    }),
    ("destination_open_s", |m| ran(m, m.cpu.destination.open_s)),
    ("destination_apply_s", |m| ran(m, m.cpu.destination.apply_s)),
    ("destination_other_s", |m| ran(m, m.cpu.destination.other_s)),
    ("destination_cpu_s_per_gib", |m| {
        optional(figures::metric(m, Metric::DestinationCpuPerGib))
    }),
    ("source_resident_bytes", |m| ran(m, m.source_resident_bytes)),
    ("destination_resident_bytes", |m| {
        ran(m, m.destination_resident_bytes)
    }),
    ("verified_equal", |m| done_flag(m)),
    ("guest_writes", |m| ran(m, m.guest.writes)),
    ("guest_schedule_kept", |m| ran(m, m.guest.schedule_kept)),
    ("guest_writes_verified", |m| {
        m.guest
            .writes_verified
            .map_or(String::new(), |kept| kept.to_string())
    }),
    ("write_latency_before_p50_ns", |m| {
        latency(
            &m.guest.write_latency_before_ns,
            m.guest.write_latency_before_ns.p50,
        )
    }),
    ("write_latency_before_p999_ns", |m| {
        latency(
            &m.guest.write_latency_before_ns,
            m.guest.write_latency_before_ns.p999,
        )
    }),
    ("write_latency_p50_ns", |m| {
        latency(&m.guest.write_latency_ns, m.guest.write_latency_ns.p50)
    }),
    ("write_latency_p99_ns", |m| {
        latency(&m.guest.write_latency_ns, m.guest.write_latency_ns.p99)
    }),
    ("write_latency_p999_ns", |m| {
        latency(&m.guest.write_latency_ns, m.guest.write_latency_ns.p999)
    }),
    ("write_latency_max_ns", |m| {
        latency(&m.guest.write_latency_ns, m.guest.write_latency_ns.max)
    }),
];

fn done_flag(migration: &Migration) -> String {
    if migration.outcome.status == OutcomeStatus::Completed {
        migration.verified.equal.to_string()
    } else {
        String::new()
    }
}

/// The file's text.
pub fn migrations_csv(results: &Results) -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let mut out = names.join(",");
    out.push_str("\r\n");
    for migration in &results.migrations {
        let fields: Vec<String> = COLUMNS.iter().map(|(_, value)| value(migration)).collect();
        out.push_str(&fields.join(","));
        out.push_str("\r\n");
    }
    out
}
