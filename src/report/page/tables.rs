//! The tables of a run's figures.

use crate::arm::Arm;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::chart::cpu::{self, Stage};
use crate::report::figures::{self, Median};
use crate::report::view::{self, ArmView, Basis};
use crate::results::{Latency, Metric, Migration, Results};

/// A median as a cell, its interval under it.
fn median_cell(median: Option<Median>, figure: impl Fn(f64) -> String) -> Cell {
    median.map_or_else(Cell::none, |m| {
        Cell::figure(figure(m.value), m.value).under(view::median_doubt(&m, figure))
    })
}

fn table(id: &str, caption: &str, columns: Vec<Column>, rows: Vec<Vec<Cell>>) -> Table {
    Table {
        id: id.to_owned(),
        caption: caption.to_owned(),
        columns,
        rows,
    }
}

fn ms(value: f64) -> String {
    text::sig3(value * 1e3)
}

/// Ratios to `plain` of every other arm.
pub fn taxes(results: &Results) -> Table {
    let caption = "Tax: each arm relative to plain, median of the ratios within blocks";
    ratios(results, view::BASELINE, "tax-table", caption)
}

/// Ratios to `copy` of every encrypted arm: what the cipher adds where the copies are paid for.
pub fn over_copy(results: &Results) -> Table {
    let caption = "Cipher alone: each encrypted arm relative to copy, which has the same framing \
                   and buffers";
    ratios(results, Arm::COPY, "copy-table", caption)
}

fn ratios(results: &Results, against: Arm, id: &str, caption: &str) -> Table {
    let mut columns = vec![Column::text("arm")];
    columns.extend(
        view::METRICS
            .iter()
            .map(|metric| Column::figures(view::metric_name(*metric), "").defined("tax")),
    );
    let compared = |arm: &&ArmView<'_>| arm.arm().baselines().any(|b| b == against);
    let rows = view::arms(results)
        .iter()
        .filter(compared)
        .map(|arm| {
            let ratios =
                view::METRICS.map(|metric| view::comparison(results, arm.arm(), against, metric));
            let mut name = Cell::arm(arm.arm());
            if ratios.iter().all(Option::is_none) {
                name = name.under(arm.outcome());
            }
            let mut row = vec![name];
            row.extend(ratios.into_iter().map(|ratio| {
                ratio.map_or_else(Cell::none, |c| {
                    Cell::figure(text::tax(c.ratio), c.ratio).under(view::doubt(c))
                })
            }));
            row
        })
        .collect();
    table(id, caption, columns, rows)
}

/// Outcome and medians of every arm.
pub fn overview(results: &Results) -> Table {
    let columns = vec![
        Column::text("arm"),
        Column::text("outcome").defined("outcome"),
        Column::figures("total time", "s").defined("total-time"),
        Column::figures("downtime", "ms").defined("downtime"),
        Column::figures("throughput", "GiB/s").defined("throughput"),
        Column::figures("source CPU", "s/GiB payload").defined("cpu-per-gib"),
        Column::figures("destination CPU", "s/GiB payload").defined("cpu-per-gib"),
        Column::figures("source CPU", "s/GiB memory").defined("cpu-per-gib"),
        Column::figures("destination CPU", "s/GiB memory").defined("cpu-per-gib"),
        Column::figures("source", "cores per 10 Gb/s").defined("cores"),
        Column::figures("destination", "cores per 10 Gb/s").defined("cores"),
        Column::figures("pre-copy rounds", "").defined("round"),
        Column::figures("wire overhead", "%").defined("wire-overhead"),
    ];
    let rows = view::arms(results)
        .iter()
        .map(|arm| {
            let mut outcome = arm.reasons();
            if arm.basis == Basis::NotConverged {
                outcome.push("figures are of migrations that did not converge".to_owned());
            }
            vec![
                Cell::arm(arm.arm()),
                Cell::text(arm.outcome()).under(outcome.join("; ")),
                median_cell(arm.metric(Metric::TotalTime), text::sig3),
                median_cell(arm.metric(Metric::Downtime), ms),
                median_cell(arm.metric(Metric::Throughput), text::sig3),
                median_cell(arm.metric(Metric::SourceCpuPerGib), text::sig3),
                median_cell(arm.metric(Metric::DestinationCpuPerGib), text::sig3),
                median_cell(arm.median(figures::source_cpu_per_memory_gib), text::sig3),
                median_cell(
                    arm.median(figures::destination_cpu_per_memory_gib),
                    text::sig3,
                ),
                median_cell(arm.median(figures::source_cores), text::sig3),
                median_cell(arm.median(figures::destination_cores), text::sig3),
                median_cell(
                    arm.median(|m| Some(figures::pre_copy_rounds(m) as f64)),
                    |v| format!("{v}"),
                ),
                median_cell(arm.median(figures::wire_overhead), |v| {
                    text::sig3(v * 100.0)
                }),
            ]
        })
        .collect();
    table(
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
                median_cell(arm.median(|m| cpu::per_gib(m, *stage)), text::sig3)
            }));
            row
        })
        .collect();
    table(
        "stage-table",
        "CPU seconds per GiB of page payload by stage, medians; socket work (transmit, receive) is mixed between the sides on loopback",
        columns,
        rows,
    )
}

/// Downtime and its parts, milliseconds.
pub fn downtimes(results: &Results) -> Table {
    type Part = (&'static str, fn(&Migration) -> f64);
    const PARTS: [Part; 5] = [
        ("downtime", |m| m.downtime.total_s),
        ("pause", |m| m.downtime.pause_s),
        ("harvest", |m| m.downtime.harvest_s),
        ("transfer", |m| m.downtime.transfer_s),
        ("switchover", |m| m.downtime.switchover_s),
    ];
    let mut columns = vec![Column::text("arm")];
    columns.extend(
        PARTS
            .iter()
            .map(|(name, _)| Column::figures(*name, "ms").defined("downtime")),
    );
    let rows = measured(results)
        .iter()
        .filter(|arm| arm.basis == Basis::Completed)
        .map(|arm| {
            let mut row = vec![Cell::arm(arm.arm())];
            row.extend(
                PARTS
                    .iter()
                    .map(|(_, part)| median_cell(arm.median(|m| Some(part(m))), ms)),
            );
            row
        })
        .collect();
    table("downtime-table", "Downtime by part, medians", columns, rows)
}

/// The guest's view: schedule kept and write latency before, during and after.
pub fn guests(results: &Results) -> Table {
    type Window = (&'static str, fn(&Migration) -> &Latency);
    const WINDOWS: [Window; 3] = [
        ("before", |m| &m.guest.write_latency_before_ns),
        ("during", |m| &m.guest.write_latency_ns),
        ("after", |m| &m.guest.write_latency_after_ns),
    ];
    type Percentile = (&'static str, fn(&Latency) -> u64);
    const PERCENTILES: [Percentile; 4] = [
        ("p50", |l| l.p50),
        ("p99", |l| l.p99),
        ("p99.9", |l| l.p999),
        ("max", |l| l.max),
    ];
    let mut columns = vec![
        Column::text("arm"),
        Column::figures("schedule kept", "%").defined("schedule-kept"),
    ];
    for (window, _) in WINDOWS {
        columns.extend(PERCENTILES.iter().map(|(percentile, _)| {
            Column::figures(format!("{percentile} {window}"), "us").defined("write-latency")
        }));
    }
    let rows = measured(results)
        .iter()
        .filter(|arm| {
            arm.measured
                .iter()
                .any(|m| m.guest.write_latency_ns.count > 0)
        })
        .map(|arm| {
            let kept = arm.median(|m| Some(m.guest.schedule_kept));
            let mut row = vec![
                Cell::arm(arm.arm()),
                median_cell(kept, |v| text::sig3(v * 100.0)),
            ];
            for (_, window) in WINDOWS {
                for (_, percentile) in PERCENTILES {
                    let value = arm.median(|m| {
                        let latency = window(m);
                        (latency.count > 0).then(|| percentile(latency) as f64)
                    });
                    row.push(median_cell(value, |v| text::sig3(v / 1e3)));
                }
            }
            row
        })
        .collect();
    table(
        "guest-table",
        "Guest write latency against the intended time, medians over migrations",
        columns,
        rows,
    )
}

/// Every migration as recorded.
pub fn migrations(results: &Results) -> Table {
    type Figure = (
        &'static str,
        &'static str,
        fn(&Migration) -> Option<f64>,
        fn(f64) -> String,
    );
    fn whole(value: f64) -> String {
        text::count(value as u64)
    }
    let figures: [Figure; 21] = [
        (
            "total time",
            "s",
            |m| figures::metric(m, Metric::TotalTime),
            text::sig3,
        ),
        ("setup", "s", |m| Some(m.setup_time_s), text::sig3),
        (
            "downtime",
            "s",
            |m| figures::metric(m, Metric::Downtime),
            text::sig3,
        ),
        ("rounds", "", |m| Some(m.rounds.len() as f64), whole),
        ("pages sent", "", |m| Some(m.pages_sent as f64), whole),
        ("zero pages", "", |m| Some(m.zero_pages as f64), whole),
        ("payload", "bytes", |m| Some(m.payload_bytes as f64), whole),
        (
            "on the wire",
            "bytes",
            |m| Some(m.bytes_on_wire as f64),
            whole,
        ),
        ("throughput", "GiB/s", figures::throughput_gib_s, text::sig3),
        (
            "source CPU",
            "s",
            |m| Some(m.cpu.source.total_s),
            text::sig3,
        ),
        ("prepare", "s", |m| Some(m.cpu.source.prepare_s), text::sig3),
        ("seal", "s", |m| Some(m.cpu.source.seal_s), text::sig3),
        (
            "transmit",
            "s",
            |m| Some(m.cpu.source.transmit_s),
            text::sig3,
        ),
        ("vCPU", "s", |m| Some(m.cpu.source.vcpu_s), text::sig3),
        (
            "destination CPU",
            "s",
            |m| Some(m.cpu.destination.total_s),
            text::sig3,
        ),
        (
            "receive",
            "s",
            |m| Some(m.cpu.destination.receive_s),
            text::sig3,
        ),
        ("open", "s", |m| Some(m.cpu.destination.open_s), text::sig3),
        (
            "apply",
            "s",
            |m| Some(m.cpu.destination.apply_s),
            text::sig3,
        ),
        (
            "source resident",
            "bytes",
            |m| Some(m.source_resident_bytes as f64),
            whole,
        ),
        (
            "destination resident",
            "bytes",
            |m| Some(m.destination_resident_bytes as f64),
            whole,
        ),
        (
            "write latency max",
            "ns",
            |m| Some(m.guest.write_latency_ns.max as f64),
            whole,
        ),
    ];
    let mut columns = vec![
        Column::text("arm"),
        Column::figures("block", ""),
        Column::text("outcome").defined("outcome"),
    ];
    columns.extend(
        figures
            .iter()
            .map(|(name, unit, _, _)| Column::figures(*name, *unit)),
    );
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
            row.extend(figures.iter().map(|(_, _, value, figure)| {
                let value = if ran { value(m) } else { None };
                value.map_or_else(Cell::none, |v| Cell::figure(figure(v), v))
            }));
            row
        })
        .collect();
    table(
        "migration-table",
        "Every migration, in the order in which they ran",
        columns,
        rows,
    )
}

/// The arms that have figures.
fn measured(results: &Results) -> Vec<ArmView<'_>> {
    view::arms(results)
        .into_iter()
        .filter(|arm| arm.basis != Basis::Nothing)
        .collect()
}
