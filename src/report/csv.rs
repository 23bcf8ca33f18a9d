//! `migrations.csv`: one line per migration, for a spreadsheet or a data frame.
//!
//! A header line, then RFC 4180 lines ended by CR LF. Units are in the column names, as in
//! results.json. An empty field is a figure that the migration has no value for: times of a
//! migration that did not complete are not zeros.

use crate::figures::{self, Metric, Unfinished};
use crate::present::escape;
use crate::present::text;
use crate::results::{
    DestinationStages, DowntimeParts, Latency, Migration, OutcomeStatus, Results, SourceStages,
    VcpuWork,
};
use crate::scenario::ClockKind;
use Column::{Derived, Recorded, Timed};

/// A column.
#[derive(Clone, Copy)]
enum Column {
    /// What results hold: the column's name and a migration's value.
    Recorded(&'static str, fn(&Migration) -> String),
    /// The same of a time, which the virtual clock does not measure.
    Timed(&'static str, fn(&Migration) -> String),
    /// A metric, in the unit that tables show.
    Derived(Metric),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Column::Recorded(name, _) | Column::Timed(name, _) => name,
            Column::Derived(metric) => metric.row().column,
        }
    }

    fn value(self, migration: &Migration, clock: ClockKind) -> String {
        match self {
            Column::Recorded(_, value) => value(migration),
            Column::Timed(_, value) => match clock {
                ClockKind::Live => value(migration),
                ClockKind::Virtual => String::new(),
            },
            Column::Derived(metric) if !metric.means_something_under(clock) => String::new(),
            Column::Derived(metric) => metric
                .value(migration)
                .filter(|_| {
                    let completed = migration.outcome.status == OutcomeStatus::Completed;
                    completed || matches!(metric.row().unfinished, Unfinished::Counts)
                })
                .map_or(String::new(), |value| text::exact(metric.shown(value))),
        }
    }
}

/// The columns, in order: those listed, then the metrics that are not among them.
fn columns() -> impl Iterator<Item = Column> {
    let listed = |metric: &Metric| LISTED.iter().any(|c| c.name() == metric.row().column);
    let more = Metric::all().filter(move |metric| !listed(metric));
    LISTED.iter().copied().chain(more.map(Column::Derived))
}

/// A value that only a migration which moved pages has.
fn ran(migration: &Migration, value: impl ToString) -> String {
    let sent_nothing = migration.rounds.is_empty();
    match value.to_string() {
        _ if sent_nothing && migration.outcome.status == OutcomeStatus::Failed => String::new(),
        text if matches!(text.as_str(), "NaN" | "inf" | "-inf") => String::new(),
        text => text,
    }
}

/// A value that only a completed migration has.
fn done(migration: &Migration, value: impl FnOnce() -> String) -> String {
    match migration.outcome.status {
        OutcomeStatus::Completed => value(),
        _ => String::new(),
    }
}

/// What is empty where it was not recorded.
fn told(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Seconds that not every engine or build records.
fn told_s(value: Option<f64>) -> String {
    told(value.map(text::exact))
}

/// Seconds that only a completed migration has.
fn seconds(migration: &Migration, value: f64) -> String {
    done(migration, || text::exact(value))
}

/// A stage of the source, where it is known.
fn source_stage(migration: &Migration, stage: fn(&SourceStages) -> f64) -> String {
    let stages = migration.cpu.source.stages;
    stages.map_or(String::new(), |stages| ran(migration, stage(&stages)))
}

/// The same of the destination.
fn destination_stage(migration: &Migration, stage: fn(&DestinationStages) -> f64) -> String {
    let stages = migration.cpu.destination.stages;
    stages.map_or(String::new(), |stages| ran(migration, stage(&stages)))
}

/// A part of the downtime, where it is known.
fn downtime_part(migration: &Migration, part: fn(&DowntimeParts) -> f64) -> String {
    let parts = migration.downtime.parts;
    parts.map_or(String::new(), |parts| seconds(migration, part(&parts)))
}

/// A count of a migration that moved pages, where its engine tells it.
fn counted(migration: &Migration, value: Option<u64>) -> String {
    value.map_or_else(String::new, |value| ran(migration, value))
}

/// A percentile that only a histogram with values has.
fn latency(latency: &Option<Latency>, percentile: fn(&Latency) -> u64) -> String {
    let recorded = latency.as_ref().filter(|latency| latency.count > 0);
    told(recorded.map(percentile))
}

/// A percentile of the window from the first harvest on.
fn start(migration: &Migration, percentile: fn(&Latency) -> u64) -> String {
    latency(&migration.guest.write_latency_start_ns, percentile)
}

/// A percentile of the window from the pause request on.
fn pause(migration: &Migration, percentile: fn(&Latency) -> u64) -> String {
    latency(&migration.guest.write_latency_pause_ns, percentile)
}

/// A value that may not have been measured.
fn maybe(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// CPU seconds per write, where vCPUs wrote.
fn per_write(work: Option<VcpuWork>) -> String {
    maybe(work.and_then(|work| figures::cpu_per_write(&work)))
}

const LISTED: &[Column] = &[
    Recorded("arm", |m| m.arm.name().to_owned()),
    Recorded("block", |m| m.block.to_string()),
    Recorded("stream_seed", |m| {
        m.stream_seed.map_or(String::new(), |seed| seed.to_string())
    }),
    Recorded("status", |m| {
        escape::csv(&m.outcome.status.to_string().replace(' ', "_"))
    }),
    Recorded("reason", |m| {
        escape::csv(m.outcome.reason.as_deref().unwrap_or_default())
    }),
    Timed("total_time_s", |m| seconds(m, m.total_time_s)),
    Recorded("setup_time_s", |m| ran(m, m.setup_time_s)),
    Recorded("protocol", |m| {
        let channel = m.channel.as_ref();
        escape::csv(channel.map_or("", |channel| &channel.protocol))
    }),
    Recorded("cipher", |m| {
        let channel = m.channel.as_ref();
        escape::csv(channel.map_or("", |channel| &channel.cipher))
    }),
    Recorded("handshake_s", |m| {
        told_s(m.channel.as_ref().map(|channel| channel.handshake_s))
    }),
    Timed("downtime_s", |m| seconds(m, m.downtime.total_s)),
    Timed("downtime_pause_s", |m| downtime_part(m, |d| d.pause_s)),
    Timed("downtime_harvest_s", |m| downtime_part(m, |d| d.harvest_s)),
    Timed("downtime_transfer_s", |m| {
        downtime_part(m, |d| d.transfer_s)
    }),
    Timed("downtime_switchover_s", |m| {
        downtime_part(m, |d| d.switchover_s)
    }),
    Recorded("rounds", |m| m.rounds.len().to_string()),
    Recorded("pages_sent", |m| ran(m, m.pages_sent)),
    Recorded("zero_pages", |m| ran(m, m.zero_pages)),
    Recorded("memory_bytes", |m| ran(m, m.memory_bytes)),
    Recorded("payload_bytes", |m| ran(m, m.payload_bytes)),
    Recorded("compressed_bytes", |m| {
        m.compressed_bytes
            .map_or(String::new(), |bytes| ran(m, bytes))
    }),
    Recorded("bytes_on_wire", |m| ran(m, m.bytes_on_wire)),
    Recorded("device_state_bytes", |m| counted(m, m.device_state_bytes)),
    Recorded("records", |m| counted(m, m.records)),
    Recorded("seal_workers", |m| told(m.seal_workers)),
    Recorded("source_send_calls", |m| {
        told(m.socket_calls.map(|c| c.source_sends))
    }),
    Recorded("source_receive_calls", |m| {
        told(m.socket_calls.map(|c| c.source_receives))
    }),
    Recorded("destination_send_calls", |m| {
        told(m.socket_calls.map(|c| c.destination_sends))
    }),
    Recorded("destination_receive_calls", |m| {
        told(m.socket_calls.map(|c| c.destination_receives))
    }),
    Derived(Metric::THROUGHPUT),
    Recorded("source_cpu_s", |m| ran(m, m.cpu.source.total_s)),
    Recorded("source_prepare_s", |m| source_stage(m, |s| s.prepare_s)),
    Recorded("source_compress_s", |m| {
        told_s(m.cpu.source.stages.and_then(|s| s.compress_s))
    }),
    Recorded("source_seal_s", |m| source_stage(m, |s| s.seal_s)),
    Recorded("source_transmit_s", |m| source_stage(m, |s| s.transmit_s)),
    Recorded("source_other_s", |m| source_stage(m, |s| s.other_s)),
    Recorded("source_tunnel_s", |m| told_s(m.cpu.source.tunnel_s)),
    Recorded("source_vcpu_s", |m| ran(m, m.cpu.source.vcpu_s)),
    Recorded("source_units", |m| {
        told(m.cpu.source.sampling.map(|s| s.units))
    }),
    Recorded("source_samples", |m| {
        told(m.cpu.source.sampling.map(|s| s.samples))
    }),
    Recorded("source_clock_s", |m| {
        told_s(m.cpu.source.sampling.map(|s| s.clock_s))
    }),
    Recorded("source_prepare_se_s", |m| {
        told_s(m.cpu.source.sampling.map(|s| s.prepare_se_s))
    }),
    Recorded("source_compress_se_s", |m| {
        told_s(m.cpu.source.sampling.and_then(|s| s.compress_se_s))
    }),
    Recorded("source_seal_se_s", |m| {
        told_s(m.cpu.source.sampling.map(|s| s.seal_se_s))
    }),
    Recorded("source_transmit_se_s", |m| {
        told_s(m.cpu.source.sampling.map(|s| s.transmit_se_s))
    }),
    Derived(Metric::SOURCE_CPU_PER_GIB),
    Recorded("destination_cpu_s", |m| ran(m, m.cpu.destination.total_s)),
    Recorded("destination_receive_s", |m| {
        destination_stage(m, |s| s.receive_s)
    }),
    Recorded("destination_open_s", |m| destination_stage(m, |s| s.open_s)),
    Recorded("destination_decompress_s", |m| {
        told_s(m.cpu.destination.stages.and_then(|s| s.decompress_s))
    }),
    Recorded("destination_apply_s", |m| {
        destination_stage(m, |s| s.apply_s)
    }),
    Recorded("destination_tunnel_s", |m| {
        told_s(m.cpu.destination.tunnel_s)
    }),
    Recorded("destination_other_s", |m| {
        destination_stage(m, |s| s.other_s)
    }),
    Recorded("destination_units", |m| {
        told(m.cpu.destination.sampling.map(|s| s.units))
    }),
    Recorded("destination_samples", |m| {
        told(m.cpu.destination.sampling.map(|s| s.samples))
    }),
    Recorded("destination_clock_s", |m| {
        told_s(m.cpu.destination.sampling.map(|s| s.clock_s))
    }),
    Recorded("destination_receive_se_s", |m| {
        told_s(m.cpu.destination.sampling.map(|s| s.receive_se_s))
    }),
    Recorded("destination_open_se_s", |m| {
        told_s(m.cpu.destination.sampling.map(|s| s.open_se_s))
    }),
    Recorded("destination_decompress_se_s", |m| {
        told_s(m.cpu.destination.sampling.and_then(|s| s.decompress_se_s))
    }),
    Recorded("destination_apply_se_s", |m| {
        told_s(m.cpu.destination.sampling.map(|s| s.apply_se_s))
    }),
    Derived(Metric::DESTINATION_CPU_PER_GIB),
    Recorded("source_resident_bytes", |m| {
        counted(m, m.source_resident_bytes)
    }),
    Recorded("destination_resident_bytes", |m| {
        counted(m, m.destination_resident_bytes)
    }),
    Recorded("source_huge_bytes", |m| {
        m.source_huge_bytes.map_or(String::new(), |n| n.to_string())
    }),
    Recorded("destination_huge_bytes", |m| {
        m.destination_huge_bytes
            .map_or(String::new(), |n| n.to_string())
    }),
    Recorded("verified_equal", |m| {
        done(m, || m.verified.equal.to_string())
    }),
    Recorded("guest_writes", |m| ran(m, m.guest.writes)),
    Recorded("guest_schedule_kept", |m| ran(m, m.guest.schedule_kept)),
    Recorded("guest_writes_verified", |m| {
        m.guest
            .writes_verified
            .map_or(String::new(), |verified| verified.to_string())
    }),
    Recorded("guest_stall_before_s", |m| maybe(m.guest.stall_before_s)),
    Recorded("guest_first_write_s", |m| maybe(m.guest.first_write_s)),
    Recorded("vcpu_cpu_before_s_per_write", |m| {
        per_write(m.guest.work_before)
    }),
    Recorded("vcpu_cpu_after_s_per_write", |m| {
        per_write(m.guest.work_after)
    }),
    Recorded("vcpu_write_time_before_s", |m| {
        maybe(m.guest.work_before.and_then(|w| figures::write_time(&w)))
    }),
    Recorded("vcpu_write_time_during_s", |m| {
        maybe(m.guest.work_during.and_then(|w| figures::write_time(&w)))
    }),
    Recorded("guest_time_per_fault_s", |m| {
        maybe(figures::time_per_fault(m))
    }),
    Recorded("source_energy_j", |m| maybe(m.source_counted.energy_j)),
    Recorded("source_cycles", |m| maybe(m.source_counted.cycles)),
    Recorded("source_instructions", |m| {
        maybe(m.source_counted.instructions)
    }),
    Recorded("destination_energy_j", |m| {
        maybe(m.destination_counted.energy_j)
    }),
    Recorded("destination_cycles", |m| {
        maybe(m.destination_counted.cycles)
    }),
    Recorded("destination_instructions", |m| {
        maybe(m.destination_counted.instructions)
    }),
    Recorded("write_latency_before_p50_ns", |m| {
        latency(&m.guest.write_latency_before_ns, |l| l.p50)
    }),
    Recorded("write_latency_before_p999_ns", |m| {
        latency(&m.guest.write_latency_before_ns, |l| l.p999)
    }),
    Recorded("write_latency_start_p50_ns", |m| start(m, |l| l.p50)),
    Recorded("write_latency_start_p999_ns", |m| start(m, |l| l.p999)),
    Recorded("write_latency_start_max_ns", |m| start(m, |l| l.max)),
    Recorded("write_latency_pause_p50_ns", |m| pause(m, |l| l.p50)),
    Recorded("write_latency_pause_p99_ns", |m| pause(m, |l| l.p99)),
    Recorded("write_latency_pause_p999_ns", |m| pause(m, |l| l.p999)),
    Recorded("write_latency_pause_max_ns", |m| pause(m, |l| l.max)),
    Recorded("write_latency_p50_ns", |m| {
        latency(&m.guest.write_latency_ns, |l| l.p50)
    }),
    Recorded("write_latency_p99_ns", |m| {
        latency(&m.guest.write_latency_ns, |l| l.p99)
    }),
    Recorded("write_latency_p999_ns", |m| {
        latency(&m.guest.write_latency_ns, |l| l.p999)
    }),
    Recorded("write_latency_max_ns", |m| {
        latency(&m.guest.write_latency_ns, |l| l.max)
    }),
];

/// The file's text.
pub fn migrations_csv(results: &Results) -> String {
    let header: Vec<String> = columns().map(|c| c.name().to_owned()).collect();
    let clock = results.scenario.measure.clock;
    let line = |m: &Migration| columns().map(|c| c.value(m, clock)).collect();
    let lines = std::iter::once(header).chain(results.migrations.iter().map(line));
    lines.map(|fields| fields.join(",") + "\r\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_column_and_no_name_stands_there_twice() {
        let names: Vec<&str> = columns().map(Column::name).collect();
        for metric in Metric::all() {
            let column = metric.row().column;
            assert_eq!(
                names.iter().filter(|name| **name == column).count(),
                1,
                "{column}"
            );
        }
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
