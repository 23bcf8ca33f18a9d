//! The table of metrics: one row each.

use super::definition::{
    BLACKOUT, COMPRESSION, CORES, CPU_PER_GIB, DOWNTIME, EXPECTED_DOWNTIME, GUEST, ROUND, STAGES,
    STALL, THROTTLE, THROUGHPUT, TOTAL_TIME, WIRE_OVERHEAD, WRITE_LATENCY,
};
use super::guest::{blackout, cpu_per_write_during, protection_faults, writes_lost};
use super::rates::{
    compressed_share, cores_per_10_gbit, per_gib, pre_copy_rounds, throughput, wire_overhead,
};
use super::row::{Direction, Format, Over, Row, Unfinished};
use super::storage;
use crate::arm::Arm;
use crate::results::least_expected_downtime;
use crate::units::GIB;

/// What most costs have in common; what is left empty is each row's own.
pub(super) const COST: Row = Row {
    name: "",
    column: "",
    label: "",
    per: "",
    headline: None,
    definition: &CPU_PER_GIB,
    unit: "CPU-s/GiB",
    shown_unit: "s/GiB payload",
    shown_scale: 1.0,
    format: Format::ThreeFigures,
    direction: Direction::LowerIsBetter,
    compared: false,
    of_disk: false,
    unfinished: Unfinished::Counts,
    needs_live_clock: false,
    gated: None,
    value: |_| None,
};

/// An arm's metric over the same one of the baseline of its group.
const fn over_base(metric: &'static str) -> Option<Over> {
    Some(Over {
        arm: Arm::base,
        metric,
        part: "",
    })
}

/// A stage over what one plain copy of the same pages cost `copy`: of the arms that tell their stages.
const fn over_copy(metric: &'static str, part: &'static str) -> Option<Over> {
    Some(Over {
        arm: |_| Arm::COPY,
        metric,
        part,
    })
}

/// The table, in the order in which tables show it: the steadiest first.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "seal_cpu_per_gib",
        column: "source_seal_s_per_gib",
        label: "seal CPU",
        per: " per GiB",
        definition: &STAGES,
        // Far steadier than anything that holds a socket call, as is one plain copy of the same pages.
        gated: over_copy("seal_cpu_per_gib", "'s copy"),
        // `plain` seals nothing.
        value: |m| match m.arm {
            Arm::PLAIN => None,
            _ => per_gib(m.cpu.source.stages?.seal_s, m.payload_bytes),
        },
        ..COST
    },
    Row {
        name: "open_cpu_per_gib",
        column: "destination_open_s_per_gib",
        label: "open CPU",
        per: " per GiB",
        definition: &STAGES,
        gated: over_copy("apply_cpu_per_gib", "'s apply"),
        // Nor does the null cipher of `copy` open anything.
        value: |m| match m.arm.is_baseline() {
            true => None,
            false => per_gib(m.cpu.destination.stages?.open_s, m.payload_bytes),
        },
        ..COST
    },
    Row {
        name: "apply_cpu_per_gib",
        column: "destination_apply_s_per_gib",
        label: "apply CPU",
        per: " per GiB",
        definition: &STAGES,
        // `plain` reads into guest memory: its apply is something else.
        gated: over_copy("apply_cpu_per_gib", "'s apply"),
        value: |m| per_gib(m.cpu.destination.stages?.apply_s, m.payload_bytes),
        ..COST
    },
    Row {
        name: "source_cpu_per_gib",
        column: "source_cpu_s_per_gib",
        label: "source CPU",
        per: " per GiB",
        headline: Some("CPU on the source"),
        compared: true,
        gated: over_base("source_cpu_per_gib"),
        value: |m| per_gib(m.cpu.source.total_s, m.payload_bytes),
        ..COST
    },
    Row {
        name: "destination_cpu_per_gib",
        column: "destination_cpu_s_per_gib",
        label: "destination CPU",
        per: " per GiB",
        headline: Some("CPU on the destination"),
        compared: true,
        gated: over_base("destination_cpu_per_gib"),
        value: |m| per_gib(m.cpu.destination.total_s, m.payload_bytes),
        ..COST
    },
    Row {
        name: "total_time",
        column: "total_time_s",
        label: "total time",
        headline: Some("migration time"),
        definition: &TOTAL_TIME,
        unit: "s",
        shown_unit: "s",
        compared: true,
        // Given up at that time, it would have taken longer.
        unfinished: Unfinished::AtLeast(|m| Some(m.total_time_s)),
        needs_live_clock: true,
        gated: over_base("total_time"),
        value: |m| Some(m.total_time_s),
        ..COST
    },
    Row {
        name: "downtime",
        column: "downtime_s",
        label: "downtime",
        definition: &DOWNTIME,
        unit: "s",
        shown_unit: "ms",
        shown_scale: 1e3,
        compared: true,
        unfinished: Unfinished::Estimated(|m| least_expected_downtime(&m.rounds)),
        needs_live_clock: true,
        gated: over_base("downtime"),
        value: |m| Some(m.downtime.total_s),
        ..COST
    },
    Row {
        name: "downtime_sending",
        column: "downtime_sending_s",
        label: "downtime, sending",
        definition: &DOWNTIME,
        unit: "s",
        shown_unit: "ms",
        shown_scale: 1e3,
        compared: true,
        unfinished: Unfinished::Estimated(|m| least_expected_downtime(&m.rounds)),
        needs_live_clock: true,
        value: |m| m.downtime.parts.map(|d| d.transfer_s + d.switchover_s),
        ..COST
    },
    Row {
        name: "expected_downtime",
        column: "expected_downtime_s",
        label: "least expected downtime",
        definition: &EXPECTED_DOWNTIME,
        unit: "s",
        shown_unit: "ms",
        shown_scale: 1e3,
        needs_live_clock: true,
        value: |m| least_expected_downtime(&m.rounds),
        ..COST
    },
    Row {
        name: "throughput",
        column: "throughput_gib_per_s",
        label: "throughput",
        definition: &THROUGHPUT,
        unit: "bytes/s",
        shown_unit: "GiB/s",
        shown_scale: 1.0 / GIB,
        direction: Direction::HigherIsBetter,
        compared: true,
        needs_live_clock: true,
        gated: over_base("throughput"),
        value: throughput,
        ..COST
    },
    Row {
        name: "write_latency_p99",
        column: "write_latency_start_p99_us",
        label: "p99 write latency at the start",
        definition: &WRITE_LATENCY,
        unit: "s",
        shown_unit: "us",
        shown_scale: 1e6,
        needs_live_clock: true,
        gated: over_base("write_latency_p99"),
        value: |m| Some(m.guest.write_latency_start_ns.as_ref()?.p99 as f64 / 1e9),
        ..COST
    },
    Row {
        name: "vcpu_progress",
        column: "guest_progress_percent",
        label: "vCPU progress",
        definition: &GUEST,
        unit: "of the writes asked",
        shown_unit: "%",
        shown_scale: 100.0,
        direction: Direction::HigherIsBetter,
        compared: true,
        needs_live_clock: true,
        value: |m| m.guest.progress,
        ..COST
    },
    Row {
        name: "vcpu_cpu_per_write",
        column: "vcpu_cpu_during_us_per_write",
        label: "vCPU CPU",
        per: " per write",
        definition: &GUEST,
        unit: "s",
        shown_unit: "us",
        shown_scale: 1e6,
        compared: true,
        needs_live_clock: true,
        value: cpu_per_write_during,
        ..COST
    },
    Row {
        name: "stall_time",
        column: "guest_stall_ms",
        label: "stall time",
        definition: &STALL,
        unit: "s",
        shown_unit: "ms",
        shown_scale: 1e3,
        compared: true,
        unfinished: Unfinished::AtLeast(|m| m.guest.stall_s),
        needs_live_clock: true,
        value: |m| m.guest.stall_s,
        ..COST
    },
    Row {
        name: "longest_stall",
        column: "guest_longest_stall_ms",
        label: "longest stall",
        definition: &STALL,
        unit: "s",
        shown_unit: "ms",
        shown_scale: 1e3,
        unfinished: Unfinished::AtLeast(|m| m.guest.longest_stall_s),
        needs_live_clock: true,
        value: |m| m.guest.longest_stall_s,
        ..COST
    },
    Row {
        name: "blackout",
        column: "guest_blackout_ms",
        label: "blackout",
        definition: &BLACKOUT,
        unit: "s",
        shown_unit: "ms",
        shown_scale: 1e3,
        unfinished: Unfinished::Estimated(|m| least_expected_downtime(&m.rounds)),
        needs_live_clock: true,
        value: blackout,
        ..COST
    },
    Row {
        name: "write_faults",
        column: "guest_write_faults",
        label: "write faults",
        definition: &GUEST,
        unit: "faults",
        shown_unit: "",
        format: Format::Count,
        value: protection_faults,
        ..COST
    },
    Row {
        name: "writes_lost",
        column: "guest_writes_lost_percent",
        label: "writes lost",
        definition: &THROTTLE,
        unit: "share",
        shown_unit: "%",
        shown_scale: 100.0,
        value: writes_lost,
        ..COST
    },
    Row {
        name: "source_cpu_per_memory_gib",
        column: "source_cpu_s_per_memory_gib",
        label: "source CPU",
        per: " per GiB of guest memory",
        shown_unit: "s/GiB memory",
        value: |m| per_gib(m.cpu.source.total_s, m.memory_bytes),
        ..COST
    },
    Row {
        name: "destination_cpu_per_memory_gib",
        column: "destination_cpu_s_per_memory_gib",
        label: "destination CPU",
        per: " per GiB of guest memory",
        shown_unit: "s/GiB memory",
        value: |m| per_gib(m.cpu.destination.total_s, m.memory_bytes),
        ..COST
    },
    Row {
        name: "source_cores",
        column: "source_cores_per_10_gbit",
        label: "source",
        per: " cores per 10 Gb/s",
        definition: &CORES,
        unit: "cores per 10 Gb/s",
        shown_unit: "cores per 10 Gb/s",
        value: |m| cores_per_10_gbit(m.cpu.source.total_s, m.payload_bytes),
        ..COST
    },
    Row {
        name: "destination_cores",
        column: "destination_cores_per_10_gbit",
        label: "destination",
        per: " cores per 10 Gb/s",
        definition: &CORES,
        unit: "cores per 10 Gb/s",
        shown_unit: "cores per 10 Gb/s",
        value: |m| cores_per_10_gbit(m.cpu.destination.total_s, m.payload_bytes),
        ..COST
    },
    Row {
        name: "pre_copy_rounds",
        column: "pre_copy_rounds",
        label: "pre-copy rounds",
        definition: &ROUND,
        unit: "rounds",
        shown_unit: "",
        format: Format::Count,
        value: pre_copy_rounds,
        ..COST
    },
    Row {
        name: "wire_overhead",
        column: "wire_overhead_percent",
        label: "wire overhead",
        definition: &WIRE_OVERHEAD,
        unit: "share",
        shown_unit: "%",
        shown_scale: 100.0,
        value: wire_overhead,
        ..COST
    },
    storage::TIME,
    storage::SOURCE_CPU,
    storage::DESTINATION_CPU,
    storage::WHOLE_TIME,
    storage::WHOLE_SOURCE_CPU,
    storage::WHOLE_DESTINATION_CPU,
    Row {
        name: "compress_cpu_per_gib",
        column: "source_compress_s_per_gib",
        label: "compress CPU",
        per: " per GiB",
        definition: &COMPRESSION,
        value: |m| per_gib(m.cpu.source.stages?.compress_s?, m.payload_bytes),
        ..COST
    },
    Row {
        name: "decompress_cpu_per_gib",
        column: "destination_decompress_s_per_gib",
        label: "decompress CPU",
        per: " per GiB",
        definition: &COMPRESSION,
        value: |m| per_gib(m.cpu.destination.stages?.decompress_s?, m.payload_bytes),
        ..COST
    },
    Row {
        name: "compressed_share",
        column: "compressed_percent",
        label: "compressed to",
        definition: &COMPRESSION,
        unit: "share",
        shown_unit: "%",
        shown_scale: 100.0,
        value: compressed_share,
        ..COST
    },
];
