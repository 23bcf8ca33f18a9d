//! What migrating the guest's disk cost beside its memory.

use crate::figures::Metric;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::cells;
use crate::report::view::{self, ArmView};
use crate::results::{Comparison, Latency, Migration, Results, Storage};

/// Time and CPU on both sides: of memory, of the disk, of both.
pub(super) const PARTS: [(&str, [Metric; 3]); 3] = [
    (
        "memory",
        [
            Metric::TOTAL_TIME,
            Metric::SOURCE_CPU_PER_GIB,
            Metric::DESTINATION_CPU_PER_GIB,
        ],
    ),
    (
        "disk",
        [
            Metric::DISK_TIME,
            Metric::DISK_SOURCE_CPU_PER_GIB,
            Metric::DISK_DESTINATION_CPU_PER_GIB,
        ],
    ),
    (
        "both",
        [
            Metric::WHOLE_TIME,
            Metric::WHOLE_SOURCE_CPU_PER_GIB,
            Metric::WHOLE_DESTINATION_CPU_PER_GIB,
        ],
    ),
];

/// What each arm adds to its baseline, of memory, of the disk and of both; nothing of a guest without a disk.
pub fn taxes(results: &Results) -> Table {
    let mut columns = ["arm", "of"].map(Column::text).to_vec();
    columns.push(Column::figures("time", "").defined("storage"));
    for side in ["source CPU", "destination CPU"] {
        columns.push(Column::figures(side, "CPU-s/GiB").defined("storage"));
    }
    columns.extend(["level", "n"].map(|name| Column::figures(name, "")));
    let row = |arm: &ArmView<'_>, (of, metrics): (&'static str, [Metric; 3])| {
        let [time, source, destination] = metrics.map(|m| view::tax(results, arm.arm(), m));
        let first = [time, source, destination].into_iter().flatten().next()?;
        let added = |comparison: Option<&Comparison>| {
            let both = comparison.and_then(|c| Some((c.added?, view::added(c)?)));
            both.map_or_else(Cell::none, |(value, [figure, interval])| {
                Cell::figure(figure, value).under(interval)
            })
        };
        Some(vec![
            Cell::arm(arm.arm()),
            Cell::text(of),
            time.map_or_else(Cell::none, |c| cells::tax(c).resting_on("")),
            added(source),
            added(destination),
            Cell::figure(text::level(first.level), first.level),
            Cell::count(u64::from(first.blocks)),
        ])
    };
    let arms = if has_disk(results) {
        view::arms(results)
    } else {
        Vec::new()
    };
    let arms = arms.iter().filter(|arm| arm.arm() != arm.arm().base());
    let rows = arms.flat_map(|arm| PARTS.into_iter().filter_map(|part| row(arm, part)));
    let mut rows: Vec<Vec<Cell>> = rows.collect();
    let mut caption =
        "Tax of memory, disk and both: ratio of time, difference of CPU, median".to_owned();
    // What all rest on alike stands once: the table is wide.
    let basis = |row: &[Cell]| [&row[5], &row[6]].map(|cell| cell.text.clone());
    match rows.first().map(|row| basis(row)) {
        Some(first) if rows.iter().all(|row| basis(row) == first) => {
            let [level, n] = first;
            caption += &format!(" (interval; level {level}, n {n})");
            columns.truncate(5);
            rows.iter_mut().for_each(|row| row.truncate(5));
        }
        _ => caption += " (interval)",
    }
    Table::new("storage-tax", caption, columns, rows)
}

/// A window, and its latencies.
type Window = (&'static str, fn(&Storage) -> &Latency);

/// How the disk went over, and how long the guest's writes to it took; nothing of a guest without one.
pub fn copies(results: &Results) -> Table {
    let mut columns = vec![Column::text("arm")];
    columns.extend([
        Column::figures(Metric::DISK_TIME.label(), "s").defined("storage"),
        Column::figures("rate", "MiB/s"),
        Column::figures("source CPU", "CPU-s/GiB").defined("storage"),
        Column::figures("destination CPU", "CPU-s/GiB").defined("storage"),
        Column::figures("mirrored", "writes"),
    ]);
    let latencies: [Window; 4] = [
        ("p99 before", |s| &s.write_latency_before_ns),
        ("copying", |s| &s.write_latency_copying_ns),
        ("mirroring", |s| &s.write_latency_mirroring_ns),
        ("after", |s| &s.write_latency_after_ns),
    ];
    columns.extend(latencies.map(|(name, _)| Column::figures(name, "ms")));
    let row = |arm: &ArmView<'_>| {
        let median = |value: &dyn Fn(&Storage) -> Option<f64>| {
            let of = |m: &Migration| value(m.storage.as_ref()?);
            arm.median(of).map_or_else(Cell::none, |median| {
                Cell::figure(text::sig3(median.median), median.median)
            })
        };
        let metric = |metric: Metric| {
            let median = arm.metric(metric);
            median.map_or_else(Cell::none, |m| Cell::figure(text::sig3(m.median), m.median))
        };
        let rate = |s: &Storage| {
            (s.copy_s > 0.0).then(|| s.copied_bytes as f64 / f64::from(1 << 20) / s.copy_s)
        };
        let mut row = vec![
            Cell::arm(arm.arm()),
            metric(Metric::DISK_TIME),
            median(&rate),
            metric(Metric::DISK_SOURCE_CPU_PER_GIB),
            metric(Metric::DISK_DESTINATION_CPU_PER_GIB),
            median(&|s| Some(s.mirrored_writes as f64)),
        ];
        row.extend(latencies.map(|(_, of)| {
            median(&|s| {
                Some(of(s))
                    .filter(|l| l.count > 0)
                    .map(|l| l.p99 as f64 / 1e6)
            })
        }));
        row
    };
    let arms = if has_disk(results) {
        view::arms(results)
    } else {
        Vec::new()
    };
    let arms = arms.iter().filter(|arm| !arm.measured.is_empty());
    let caption =
        "The disk, medians: its copy, writes mirrored, and the latency of the guest's writes to it";
    Table::new("storage-table", caption, columns, arms.map(row).collect())
}

fn has_disk(results: &Results) -> bool {
    results.scenario.storage.is_some()
}
