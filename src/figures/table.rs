//! The table of metrics: one row each.

use serde::{Deserialize, Serialize};

use super::rates::{cores_per_10_gbit, per_gib, pre_copy_rounds, throughput, wire_overhead};
use super::rounds::least_expected_downtime;
use crate::arm::Arm;
use crate::results::Migration;
use crate::units::GIB;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Direction {
    /// Times and costs.
    LowerIsBetter,
    /// Rates.
    HigherIsBetter,
}

/// What readers are told of a figure. Figures that are explained together share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its place on a page, without the `def-` before it.
    pub anchor: &'static str,
    /// What is defined.
    pub term: &'static str,
    /// Sentences.
    pub text: &'static str,
}

/// How a value is written, in the shown unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// With three significant figures.
    ThreeFigures,
    /// As it is: a count, or a median of counts.
    Count,
}

/// What is known of a metric in a migration that did not converge. What it would have been, had the
/// migration gone on until it did, is not less than a bound.
#[derive(Debug, Clone, Copy)]
pub enum Unfinished {
    /// A figure like any other: it does not take completion.
    Counts,
    /// No figure, but a bound of one that was measured.
    AtLeast(fn(&Migration) -> Option<f64>),
    /// No figure, but an estimate that it would at best have come to. That puts the migration above
    /// others, but is no bound to be shown as a result.
    Estimated(fn(&Migration) -> Option<f64>),
}

/// What a metric is divided by before two stored runs are compared: a figure of another arm in the
/// same block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// The arm.
    pub arm: Arm,
    /// The name of its metric.
    pub metric: &'static str,
    /// Both in words.
    pub words: &'static str,
}

/// Everything that is said of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name in results, configuration and exports.
    pub name: &'static str,
    /// Its column in `migrations.csv`, which names the unit there: the shown one, unless it is recorded so.
    pub column: &'static str,
    /// The words for headings.
    pub label: &'static str,
    /// What follows the label where no unit stands beside it; empty if nothing needs to.
    pub per: &'static str,
    /// What encryption costs more of, in the headline's words; `None` if that doesn't speak of it.
    pub headline: Option<&'static str>,
    /// What it is.
    pub definition: &'static Definition,
    /// The unit of [`Row::value`].
    pub unit: &'static str,
    /// The unit in tables and charts.
    pub shown_unit: &'static str,
    /// Shown units in one unit.
    pub shown_scale: f64,
    /// How it is written.
    pub format: Format,
    /// Which way is better.
    pub direction: Direction,
    /// Whether arms are compared by it: in `comparisons[]` and in every table of taxes.
    pub compared: bool,
    /// What of it a migration has that did not converge.
    pub unfinished: Unfinished,
    /// Whether it holds time, so that it means something under the live clock only: under the
    /// virtual one, times are arithmetic.
    pub needs_live_clock: bool,
    /// What the gate divides it by; `None` if it is not for the gate, nor exported to others.
    pub gated: Option<Over>,
    /// The value in one migration. What is not finite and above 0 counts as none.
    pub value: fn(&Migration) -> Option<f64>,
}

const STAGES: Definition = Definition {
    anchor: "stages",
    term: "stages",
    text: "Source: prepare (harvest, zero test, building records), seal (the cipher; for copy its copy), transmit (socket writes). Destination: receive (socket reads), open (the cipher), apply (writing guest memory). other is what the stages don't explain. Every stage's median is its own, so they need not add up to the median total.",
};

const CPU_PER_GIB: Definition = Definition {
    anchor: "cpu-per-gib",
    term: "CPU per GiB",
    text: "CPU seconds of one side's host process, the vCPUs' own time excluded, per GiB of page payload sent. Per GiB of guest memory it also counts the extra rounds that a dirtying guest causes. On loopback the kernel does much of the receive work on the sender's time.",
};

const CORES: Definition = Definition {
    anchor: "cores",
    term: "cores per 10 Gb/s",
    text: "CPU seconds per GiB of page payload times 1.164 GiB/s, which is 10 Gb/s of page payload: the cores that one side keeps busy at that speed. VMware's old rule reserves 1 core per 10 GbE. Above the number of cores of a host the speed is out of reach.",
};

/// What most costs have in common; what is left empty is each row's own.
const COST: Row = Row {
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
    unfinished: Unfinished::Counts,
    needs_live_clock: false,
    gated: None,
    value: |_| None,
};

/// An arm's metric over the same one of `plain`.
const fn over_plain(metric: &'static str) -> Option<Over> {
    Some(Over {
        arm: Arm::PLAIN,
        metric,
        words: "plain",
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
        gated: Some(Over {
            arm: Arm::COPY,
            metric: "seal_cpu_per_gib",
            words: "copy's copy",
        }),
        // `plain` seals nothing.
        value: |m| match m.arm {
            Arm::PLAIN => None,
            _ => per_gib(m.cpu.source.seal_s, m.payload_bytes),
        },
        ..COST
    },
    Row {
        name: "open_cpu_per_gib",
        column: "destination_open_s_per_gib",
        label: "open CPU",
        per: " per GiB",
        definition: &STAGES,
        gated: Some(Over {
            arm: Arm::COPY,
            metric: "apply_cpu_per_gib",
            words: "copy's apply",
        }),
        // Nor does the null cipher of `copy` open anything.
        value: |m| match m.arm.is_baseline() {
            true => None,
            false => per_gib(m.cpu.destination.open_s, m.payload_bytes),
        },
        ..COST
    },
    Row {
        name: "apply_cpu_per_gib",
        column: "destination_apply_s_per_gib",
        label: "apply CPU",
        per: " per GiB",
        definition: &STAGES,
        gated: over_plain("apply_cpu_per_gib"),
        value: |m| per_gib(m.cpu.destination.apply_s, m.payload_bytes),
        ..COST
    },
    Row {
        name: "source_cpu_per_gib",
        column: "source_cpu_s_per_gib",
        label: "source CPU",
        per: " per GiB",
        headline: Some("CPU on the source"),
        compared: true,
        gated: over_plain("source_cpu_per_gib"),
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
        gated: over_plain("destination_cpu_per_gib"),
        value: |m| per_gib(m.cpu.destination.total_s, m.payload_bytes),
        ..COST
    },
    Row {
        name: "total_time",
        column: "total_time_s",
        label: "total time",
        headline: Some("migration time"),
        definition: &Definition {
            anchor: "total-time",
            term: "total time",
            text: "From the first harvest of dirty pages to the switchover acknowledgement, on the source's clock. Setup (processes, connections, handshake) stands apart.",
        },
        unit: "s",
        shown_unit: "s",
        compared: true,
        // Given up at that time, it would have taken longer.
        unfinished: Unfinished::AtLeast(|m| Some(m.total_time_s)),
        needs_live_clock: true,
        gated: over_plain("total_time"),
        value: |m| Some(m.total_time_s),
        ..COST
    },
    Row {
        name: "downtime",
        column: "downtime_s",
        label: "downtime",
        definition: &Definition {
            anchor: "downtime",
            term: "downtime",
            text: "On the source's clock, from the pause request to the authenticated switchover acknowledgement. Its parts: pause (until every vCPU has stopped), harvest (finding the last dirty pages), transfer (sending them until applied), switchover (device state and final record until the acknowledgement).",
        },
        unit: "s",
        shown_unit: "ms",
        shown_scale: 1e3,
        compared: true,
        unfinished: Unfinished::Estimated(least_expected_downtime),
        needs_live_clock: true,
        gated: over_plain("downtime"),
        value: |m| Some(m.downtime.total_s),
        ..COST
    },
    Row {
        name: "throughput",
        column: "throughput_gib_per_s",
        label: "throughput",
        definition: &Definition {
            anchor: "throughput",
            term: "throughput",
            text: "Page payload over the sum of the rounds' durations.",
        },
        unit: "bytes/s",
        shown_unit: "GiB/s",
        shown_scale: 1.0 / GIB,
        direction: Direction::HigherIsBetter,
        compared: true,
        needs_live_clock: true,
        gated: over_plain("throughput"),
        value: throughput,
        ..COST
    },
    Row {
        name: "write_latency_p99",
        column: "write_latency_p99_ns",
        label: "p99 write latency",
        definition: &Definition {
            anchor: "write-latency",
            term: "guest write latency",
            text: "From the time at which a page write was intended to the time at which it was done, so that a stalled vCPU is seen, the pause included. Before: a window before the migration, the baseline. After: a window after it, wherever the guest then runs.",
        },
        unit: "s",
        shown_unit: "us",
        shown_scale: 1e6,
        needs_live_clock: true,
        gated: over_plain("write_latency_p99"),
        value: |m| Some(m.guest.write_latency_ns.p99 as f64 / 1e9),
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
        definition: &Definition {
            anchor: "round",
            term: "round",
            text: "One harvest and the sending of what it found, until the destination acknowledged it. The last, stop-and-copy, runs while the guest is paused. Pages found dirty at a round's end are the next round's work.",
        },
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
        definition: &Definition {
            anchor: "wire-overhead",
            term: "wire overhead",
            text: "Bytes on the wire over page payload, less one: headers, tags, control messages and zero pages.",
        },
        unit: "share",
        shown_unit: "%",
        shown_scale: 100.0,
        value: wire_overhead,
        ..COST
    },
];
