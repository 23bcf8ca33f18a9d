//! The tables of a run's figures.

use crate::arm::Arm;
use crate::figures::{self, Metric};
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::cells;
use crate::report::chart::cpu::{self, Stage};
use crate::report::view::{self, ArmView, Basis};
use crate::results::{DestinationStages, DowntimeParts, Migration, Results, SourceStages};
use crate::scenario::ClockKind;
use Recording::{Derived, Exact, Recorded};

/// Ratios to a baseline of the arms whose tax is over it.
pub fn taxes(results: &Results, base: Arm) -> Table {
    let caption = format!("Tax: each arm relative to {base}, median of the ratios within blocks");
    let id = match base {
        Arm::PLAIN => "tax-table".to_owned(),
        other => format!("tax-table-{other}"),
    };
    ratios(results, base, &id, &caption)
}

/// Ratios to `copy` of every encrypted arm: what the cipher adds where the copies are paid for.
pub fn over_copy(results: &Results) -> Table {
    let caption = "Cipher alone: each encrypted arm relative to copy, which has the same framing \
                   and buffers";
    ratios(results, Arm::COPY, "copy-table", caption)
}

fn ratios(results: &Results, against: Arm, id: &str, caption: &str) -> Table {
    let clock = results.scenario.measure.clock;
    let metrics = || Metric::compared().filter(|metric| metric.means_something_under(clock));
    let mut columns = vec![Column::text("arm")];
    columns.extend(metrics().map(|metric| Column::figures(metric.label(), "").defined("tax")));
    let compared = |arm: &&ArmView<'_>| arm.arm().baselines().any(|b| b == against);
    let rows = view::arms(results)
        .iter()
        .filter(compared)
        .map(|arm| {
            let ratios: Vec<_> = metrics()
                .map(|metric| figures::comparison(results, arm.arm(), against, metric))
                .collect();
            let mut name = Cell::arm(arm.arm());
            if ratios.iter().all(Option::is_none) {
                name = name.under(arm.outcome());
            }
            let mut row = vec![name];
            row.extend(
                ratios
                    .into_iter()
                    .map(|c| c.map_or_else(Cell::none, cells::tax)),
            );
            row
        })
        .collect();
    Table::new(id, caption, columns, rows)
}

/// The metrics that stand beside every arm's outcome.
const OVERVIEW: [Metric; 12] = [
    Metric::TOTAL_TIME,
    Metric::DOWNTIME,
    Metric::EXPECTED_DOWNTIME,
    Metric::THROUGHPUT,
    Metric::SOURCE_CPU_PER_GIB,
    Metric::DESTINATION_CPU_PER_GIB,
    Metric::SOURCE_CPU_PER_MEMORY_GIB,
    Metric::DESTINATION_CPU_PER_MEMORY_GIB,
    Metric::SOURCE_CORES,
    Metric::DESTINATION_CORES,
    Metric::PRE_COPY_ROUNDS,
    Metric::WIRE_OVERHEAD,
];

/// Outcome and medians of every arm.
pub fn overview(results: &Results) -> Table {
    let mut columns = vec![
        Column::text("arm"),
        Column::text("outcome").defined("outcome"),
    ];
    let clock = results.scenario.measure.clock;
    let metrics = || {
        let all = OVERVIEW.iter();
        all.filter(|metric| metric.means_something_under(clock))
    };
    columns.extend(metrics().map(|metric| {
        let row = metric.row();
        Column::figures(row.label, row.shown_unit).defined(row.definition.anchor)
    }));
    let rows = view::arms(results)
        .iter()
        .map(|arm| {
            let mut outcome = arm.reasons();
            if arm.basis == Basis::NotConverged {
                outcome.push("figures are of migrations that did not converge".to_owned());
            }
            let mut row = vec![
                Cell::arm(arm.arm()),
                Cell::text(arm.outcome()).under(outcome.join("; ")),
            ];
            row.extend(metrics().map(|metric| cells::metric(arm.metric(*metric), *metric)));
            row
        })
        .collect();
    Table::new(
        "overview-table",
        "Every arm: outcome and medians over migrations",
        columns,
        rows,
    )
}

/// CPU seconds per GiB of page payload by stage.
pub fn stages(results: &Results) -> Table {
    let stages: Vec<(&str, Stage)> = cpu::SOURCE
        .iter()
        .map(|stage| ("source", *stage))
        .chain(cpu::DESTINATION.iter().map(|stage| ("destination", *stage)))
        .filter(|(_, stage)| results.migrations.iter().any(|m| stage.1(m).is_some()))
        .collect();
    let mut columns = vec![Column::text("arm")];
    columns.extend(stages.iter().map(|(side, stage)| {
        Column::figures(format!("{side} {}", stage.0), "s/GiB").defined("stages")
    }));
    let rows = measured(results)
        .iter()
        .map(|arm| {
            let mut row = vec![Cell::arm(arm.arm())];
            row.extend(stages.iter().map(|(_, stage)| {
                cells::median(arm.median(|m| cpu::per_gib(m, *stage)), text::sig3)
            }));
            row
        })
        .collect();
    Table::new("stage-table", stage_caption(results), columns, rows)
}

fn stage_caption(results: &Results) -> String {
    let mut caption = "CPU seconds per GiB of page payload by stage, medians; socket work (transmit, receive) is mixed between the sides on loopback".to_owned();
    let errors = results.migrations.iter().filter_map(cpu::sampling_error);
    if let Some(most) = errors.reduce(f64::max) {
        let most = text::sig3(most * 100.0);
        caption += &format!(
            "; sampling leaves a stage of a single migration a standard error of at most {most}% of its side's CPU"
        );
    }
    caption
}

/// Downtime and its parts, milliseconds.
pub fn downtimes(results: &Results) -> Table {
    type Part = (&'static str, fn(&DowntimeParts) -> f64);
    const METRIC: Metric = Metric::DOWNTIME;
    const SENDING: Metric = Metric::DOWNTIME_SENDING;
    const PARTS: [Part; 4] = [
        ("pause", |d| d.pause_s),
        ("harvest", |d| d.harvest_s),
        ("transfer", |d| d.transfer_s),
        ("switchover", |d| d.switchover_s),
    ];
    let column = |name| {
        Column::figures(name, METRIC.row().shown_unit).defined(METRIC.row().definition.anchor)
    };
    let mut columns = vec![
        Column::text("arm"),
        column(METRIC.label()),
        column(SENDING.label()),
    ];
    columns.extend(PARTS.map(|(name, _)| column(name)));
    let rows = measured(results)
        .iter()
        .filter(|arm| arm.metric(METRIC).is_some())
        .map(|arm| {
            let mut row = vec![
                Cell::arm(arm.arm()),
                cells::metric(arm.metric(METRIC), METRIC),
                cells::metric(arm.metric(SENDING), SENDING),
            ];
            let parts = PARTS.map(|(_, part)| arm.median(|m| m.downtime.parts.map(|d| part(&d))));
            row.extend(parts.map(|part| cells::metric(part, METRIC)));
            row
        })
        .collect();
    Table::new("downtime-table", "Downtime by part, medians", columns, rows)
}

/// A column of figures of single migrations.
enum Recording {
    /// What results hold: heading, unit, how it is written, value.
    Recorded(
        &'static str,
        &'static str,
        fn(f64) -> String,
        fn(&Migration) -> Option<f64>,
    ),
    /// A metric that is recorded as such: in its own unit, with the digits recorded.
    Exact(Metric),
    /// A metric, in the unit that tables show.
    Derived(Metric),
}

impl Recording {
    fn means_something_under(&self, clock: ClockKind) -> bool {
        match self {
            Recorded(..) => true,
            Exact(metric) | Derived(metric) => metric.means_something_under(clock),
        }
    }

    /// Whether a migration's record has it; a metric may have no value for other reasons.
    fn is_recorded(&self, migration: &Migration) -> bool {
        match self {
            Recorded(.., value) => value(migration).is_some(),
            Exact(_) | Derived(_) => true,
        }
    }

    fn heading(&self) -> Column {
        match self {
            Recorded(name, unit, ..) => Column::figures(*name, *unit),
            Exact(metric) => Column::figures(metric.label(), metric.row().unit),
            Derived(metric) => Column::figures(metric.label(), metric.row().shown_unit),
        }
    }

    fn cell(&self, migration: &Migration) -> Cell {
        match self {
            Recorded(.., written, value) => value(migration)
                .map_or_else(Cell::none, |value| Cell::figure(written(value), value)),
            Exact(metric) => metric
                .value(migration)
                .map_or_else(Cell::none, |value| Cell::figure(text::sig3(value), value)),
            Derived(metric) => metric.value(migration).map_or_else(Cell::none, |value| {
                Cell::figure(view::figure(*metric, value), metric.shown(value))
            }),
        }
    }
}

fn whole(value: f64) -> String {
    text::count(value as u64)
}

fn source(m: &Migration, stage: fn(&SourceStages) -> f64) -> Option<f64> {
    m.cpu.source.stages.map(|stages| stage(&stages))
}

fn destination(m: &Migration, stage: fn(&DestinationStages) -> f64) -> Option<f64> {
    m.cpu.destination.stages.map(|stages| stage(&stages))
}

const FIGURES: [Recording; 28] = [
    Exact(Metric::TOTAL_TIME),
    Recorded("setup", "s", text::sig3, |m| Some(m.setup_time_s)),
    Recorded("handshake", "s", text::sig3, |m| {
        Some(m.channel.as_ref()?.handshake_s)
    }),
    Exact(Metric::DOWNTIME),
    Recorded("rounds", "", whole, |m| Some(m.rounds.len() as f64)),
    Recorded("pages sent", "", whole, |m| Some(m.pages_sent as f64)),
    Recorded("zero pages", "", whole, |m| Some(m.zero_pages as f64)),
    Recorded("payload", "bytes", whole, |m| Some(m.payload_bytes as f64)),
    Recorded("compressed", "bytes", whole, |m| {
        m.compressed_bytes.map(|bytes| bytes as f64)
    }),
    Recorded("on the wire", "bytes", whole, |m| {
        Some(m.bytes_on_wire as f64)
    }),
    Derived(Metric::THROUGHPUT),
    Recorded("source CPU", "s", text::sig3, |m| {
        Some(m.cpu.source.total_s)
    }),
    Recorded("prepare", "s", text::sig3, |m| source(m, |s| s.prepare_s)),
    Recorded("compress", "s", text::sig3, |m| {
        m.cpu.source.stages?.compress_s
    }),
    Recorded("seal", "s", text::sig3, |m| source(m, |s| s.seal_s)),
    Recorded("transmit", "s", text::sig3, |m| source(m, |s| s.transmit_s)),
    Recorded("source tunnel", "s", text::sig3, |m| m.cpu.source.tunnel_s),
    Recorded("vCPU", "s", text::sig3, |m| Some(m.cpu.source.vcpu_s)),
    Recorded("destination CPU", "s", text::sig3, |m| {
        Some(m.cpu.destination.total_s)
    }),
    Recorded("receive", "s", text::sig3, |m| {
        destination(m, |s| s.receive_s)
    }),
    Recorded("open", "s", text::sig3, |m| destination(m, |s| s.open_s)),
    Recorded("decompress", "s", text::sig3, |m| {
        m.cpu.destination.stages?.decompress_s
    }),
    Recorded("destination tunnel", "s", text::sig3, |m| {
        m.cpu.destination.tunnel_s
    }),
    Recorded("apply", "s", text::sig3, |m| destination(m, |s| s.apply_s)),
    Recorded("source resident", "bytes", whole, |m| {
        m.source_resident_bytes.map(|bytes| bytes as f64)
    }),
    Recorded("destination resident", "bytes", whole, |m| {
        m.destination_resident_bytes.map(|bytes| bytes as f64)
    }),
    Exact(Metric::LONGEST_STALL),
    Exact(Metric::BLACKOUT),
];

/// Every migration as recorded.
pub fn migrations(results: &Results) -> Table {
    let mut columns = vec![
        Column::text("arm"),
        Column::figures("block", ""),
        Column::text("outcome").defined("outcome"),
    ];
    let clock = results.scenario.measure.clock;
    let figures = || {
        let all = FIGURES.iter();
        all.filter(|figure| figure.means_something_under(clock))
            .filter(|figure| results.migrations.iter().any(|m| figure.is_recorded(m)))
    };
    columns.extend(figures().map(Recording::heading));
    let rows = results
        .migrations
        .iter()
        .map(|m| {
            let mut row = vec![
                Cell::arm(m.arm),
                Cell::count(u64::from(m.block)),
                Cell::text(m.outcome.status.to_string())
                    .under(m.outcome.reason.clone().unwrap_or_default()),
            ];
            // A migration that sent nothing has no figures: its zeros are not measurements.
            let ran = !m.rounds.is_empty();
            row.extend(figures().map(|figure| match ran {
                true => figure.cell(m),
                false => Cell::none(),
            }));
            row
        })
        .collect();
    Table::new(
        "migration-table",
        "Every migration, in the order in which they ran",
        columns,
        rows,
    )
}

/// The arms that have figures.
pub(super) fn measured(results: &Results) -> Vec<ArmView<'_>> {
    view::arms(results)
        .into_iter()
        .filter(|arm| arm.basis != Basis::Nothing)
        .collect()
}
