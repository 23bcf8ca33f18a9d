//! What QEMU's migrations tell beside what all have, and what their encryption costs beside ours.

use maud::{Markup, html};

use crate::arm::Arm;
use crate::figures::Metric;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::view::{self, ArmView};
use crate::results::{QemuMigration, QemuTls, Results};

/// The section; nothing of a run without QEMU.
pub fn section(results: &Results) -> Markup {
    let programs = programs(results);
    html! {
        @if !programs.rows.is_empty() {
            section id="qemu" {
                h2 { "QEMU" }
                (programs.html())
                @for table in [stated(results), threads(results), beside(results)] {
                    @if !table.rows.is_empty() { (table.html()) }
                }
                p class="note" {
                    "QEMU hands its TLS library one page at a time, so that each 4 KiB page becomes \
                     a TLS record with a header, a tag and a system call of its own; TLS allows \
                     records of up to 16 KiB. The arms beside seal records of up to "
                    (results.scenario.migration.record.to_string())
                    ". Neither pays for the other's guest: taxes are over the arm's own baseline."
                }
            }
            "\n"
        }
    }
}

/// Which QEMU ran each arm, and what its TLS is.
fn programs(results: &Results) -> Table {
    let columns = ["arm", "QEMU", "guest", "TLS", "cipher suite", "mask"];
    let rows = results.arms.iter().filter_map(|info| {
        let qemu = info.qemu.as_ref()?;
        let tls = |value: fn(&QemuTls) -> String| {
            let tls = qemu.tls.as_ref();
            Cell::text(tls.map_or_else(|| "none".to_owned(), value))
        };
        let mask = qemu.tls.as_ref().and_then(|tls| tls.mask);
        let package = match qemu.package.is_empty() {
            true => qemu.version.clone(),
            false => format!("{} ({})", qemu.version, qemu.package),
        };
        Some(vec![
            Cell::arm(info.name),
            Cell::text(package),
            Cell::text(format!("{}, {}", qemu.machine, qemu.accelerator)),
            tls(|tls| format!("{}, {}", tls.protocol, tls.library)),
            tls(|tls| tls.cipher_suite.clone()),
            mask.map_or_else(Cell::none, |mask| {
                Cell::text(format!(
                    "{} CPU-s/GiB with it, {} without",
                    text::sig3(mask.masked_cpu_s_per_gib),
                    text::sig3(mask.unmasked_cpu_s_per_gib)
                ))
            }),
        ])
    });
    let columns = columns.map(Column::text).into_iter().collect();
    Table::new(
        "qemu-table",
        "The QEMU that ran the arms",
        columns,
        rows.collect(),
    )
}

/// The median of a figure that QEMU tells, over an arm's measured migrations.
fn median(arm: &ArmView<'_>, value: impl Fn(&QemuMigration) -> Option<f64>) -> Cell {
    let median = arm.median(|m| value(m.qemu.as_deref()?));
    median.map_or_else(Cell::none, |median| {
        Cell::figure(text::sig3(median.median), median.median)
    })
}

fn arms<'r>(results: &'r Results) -> impl Iterator<Item = ArmView<'r>> {
    let all = view::arms(results).into_iter();
    all.filter(|arm| arm.arm().is_qemu() && !arm.measured.is_empty())
}

/// Times as QEMU states them beside those seen from outside.
fn stated(results: &Results) -> Table {
    let mut columns = vec![Column::text("arm")];
    columns.extend(
        [
            ("total time, seen", "s"),
            ("stated", "s"),
            ("downtime, seen", "s"),
            ("stated", "s"),
            ("setup, stated", "s"),
            ("dirty syncs", ""),
            ("guest's lateness, p99", "ms"),
        ]
        .map(|(name, unit)| Column::figures(name, unit)),
    );
    let syncs = |q: &QemuMigration| q.answer["ram"]["dirty-sync-count"].as_f64();
    let rows = arms(results).map(|arm| {
        let seen = |metric: Metric| {
            arm.metric(metric).map_or_else(Cell::none, |median| {
                Cell::figure(text::sig3(median.median), median.median)
            })
        };
        vec![
            Cell::arm(arm.arm()),
            seen(Metric::TOTAL_TIME),
            median(&arm, |q| q.stated_total_time_s),
            seen(Metric::DOWNTIME),
            median(&arm, |q| q.stated_downtime_s),
            median(&arm, |q| q.stated_setup_time_s),
            median(&arm, syncs),
            median(&arm, |q| {
                let late = q.lateness_ns.as_ref().filter(|late| late.count > 0)?;
                Some(late.p99 as f64 / 1e6)
            }),
        ]
    });
    let caption = "As QEMU states it and as seen from outside, medians";
    Table::new("qemu-stated-table", caption, columns, rows.collect())
}

/// CPU by what threads do.
fn threads(results: &Results) -> Table {
    const KINDS: [&str; 3] = ["migration", "multifd", "io"];
    let mut columns = vec![Column::text("arm"), Column::text("side")];
    columns.extend(KINDS.map(|kind| Column::figures(kind, "s")));
    let rows = arms(results).flat_map(|arm| {
        let side = |name: &str, of: fn(&QemuMigration) -> &[crate::results::ThreadCpu]| {
            let mut row = vec![Cell::arm(arm.arm()), Cell::text(name)];
            row.extend(KINDS.map(|kind| {
                median(&arm, |q| {
                    let own = of(q).iter().filter(|t| t.threads == kind);
                    Some(own.map(|t| t.cpu_s).sum())
                })
            }));
            row
        };
        [
            side("source", |q| &q.source_threads),
            side("destination", |q| &q.destination_threads),
        ]
    });
    let caption = "CPU by what QEMU's threads do, medians of single migrations, vCPUs not included";
    Table::new("qemu-threads-table", caption, columns, rows.collect())
}

/// What encryption adds in QEMU beside what it adds here.
fn beside(results: &Results) -> Table {
    let sides = [Metric::SOURCE_CPU_PER_GIB, Metric::DESTINATION_CPU_PER_GIB];
    let mut columns = vec![Column::text("arm"), Column::text("over")];
    columns.extend(sides.map(|m| Column::figures(m.label(), m.row().unit).defined("tax")));
    columns.push(Column::figures("bytes ciphered at once", "at most"));
    let record = results.scenario.migration.record.0;
    let rows = view::headline_arms(results).into_iter().filter_map(|arm| {
        let added = sides.map(|metric| {
            let tax = view::tax(results, arm, metric)?;
            Some((tax.added?, view::added(tax)?))
        });
        added.iter().any(Option::is_some).then(|| {
            let mut row = vec![Cell::arm(arm), Cell::arm(arm.base())];
            row.extend(added.map(|added| {
                added.map_or_else(Cell::none, |(value, [figure, interval])| {
                    Cell::figure(figure, value).under(interval)
                })
            }));
            let bytes = if arm.is_qemu() { QEMU_RECORD } else { record };
            row.push(Cell::count(bytes));
            row
        })
    });
    let caption = "What encryption adds, in QEMU and here, CPU-s/GiB";
    let rows: Vec<_> = rows.collect();
    let has = |qemu: bool| {
        let arms = view::headline_arms(results);
        arms.iter().any(|arm: &Arm| arm.is_qemu() == qemu)
    };
    let rows = if has(true) && has(false) {
        rows
    } else {
        Vec::new()
    };
    Table::new("qemu-beside-table", caption, columns, rows)
}

/// The most that QEMU hands its TLS library at a time while it sends pages: one of them.
const QEMU_RECORD: u64 = 4096;
