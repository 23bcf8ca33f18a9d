//! The tables of what a migration cost the guest.

use super::tables::measured;
use crate::figures::{self, Metric};
use crate::precopy::OnStall;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::cells;
use crate::report::view::ArmView;
use crate::results::{Latency, Migration, Results, VcpuWork};

/// Write latency by window.
pub fn latencies(results: &Results) -> Table {
    type Window = (&'static str, fn(&Migration) -> Option<&Latency>);
    const WINDOWS: [Window; 5] = [
        ("before", |m| m.guest.write_latency_before_ns.as_ref()),
        ("start", |m| m.guest.write_latency_start_ns.as_ref()),
        ("pause", |m| m.guest.write_latency_pause_ns.as_ref()),
        ("after", |m| m.guest.write_latency_after_ns.as_ref()),
        ("whole migration", |m| m.guest.write_latency_ns.as_ref()),
    ];
    type Percentile = (&'static str, fn(&Latency) -> u64);
    const PERCENTILES: [Percentile; 3] =
        [("p50", |l| l.p50), ("p99", |l| l.p99), ("max", |l| l.max)];
    let mut columns = vec![Column::text("arm")];
    for (window, _) in WINDOWS {
        columns.extend(PERCENTILES.iter().map(|(percentile, _)| {
            Column::figures(format!("{percentile} {window}"), "us").defined("write-latency")
        }));
    }
    let rows = measured(results)
        .iter()
        .filter(|arm| wrote(arm))
        .map(|arm| {
            let mut row = vec![Cell::arm(arm.arm())];
            for (_, window) in WINDOWS {
                for (_, percentile) in PERCENTILES {
                    let value = arm.median(|m| {
                        let latency = window(m).filter(|latency| latency.count > 0)?;
                        Some(percentile(latency) as f64)
                    });
                    row.push(cells::median(value, |v| text::sig3(v / 1e3)));
                }
            }
            row
        })
        .collect();
    Table::new(
        "guest-table",
        "Guest write latency against the intended time, medians over migrations",
        columns,
        rows,
    )
}

/// What the guest lost where it was slowed down, each arm beside the baseline.
pub fn throttled(results: &Results) -> Table {
    type Figure = fn(&Migration) -> Option<f64>;
    const FIGURES: [(&str, &str, f64, Figure); 4] = [
        ("writes lost", "%", 100.0, |m| {
            Some(figures::writes_lost(m).unwrap_or(0.0))
        }),
        ("writes lost", "", 1.0, |m| {
            Some(m.guest.throttled.map_or(0.0, |t| t.writes_lost as f64))
        }),
        ("vCPUs asleep", "ms", 1e3, |m| {
            Some(m.guest.throttled.map_or(0.0, |t| t.stall_s))
        }),
        ("highest share asleep", "%", 100.0, |m| {
            let shares = m.rounds.iter().filter_map(|round| round.throttle_share);
            shares.max_by(f64::total_cmp)
        }),
    ];
    let headings = FIGURES
        .iter()
        .map(|(name, unit, ..)| Column::figures(*name, *unit).defined("throttle"));
    let columns = std::iter::once(Column::text("arm"))
        .chain(headings)
        .collect();
    let may_slow = results.scenario.migration.on_stall == OnStall::Throttle;
    let rows = measured(results)
        .iter()
        .filter(|_| may_slow)
        .map(|arm| {
            let figures = FIGURES.iter().map(|(_, _, scale, figure)| {
                cells::median(arm.median(figure), |v| text::sig3(v * scale))
            });
            std::iter::once(Cell::arm(arm.arm()))
                .chain(figures)
                .collect()
        })
        .collect();
    Table::new(
        "throttle-table",
        "What the guest lost by being slowed down so that the migration ends, medians over migrations",
        columns,
        rows,
    )
}

/// Progress, cost of a write and of tracking it, stalls, blackout.
pub fn slowdown(results: &Results) -> Table {
    type Figure = fn(&Migration) -> Option<f64>;
    /// Heading, unit, anchor of the definition, how many of that unit are one of the figure's, figure.
    type Cost = (&'static str, &'static str, &'static str, f64, Figure);
    fn per_write(work: Option<VcpuWork>) -> Option<f64> {
        work.and_then(|work| figures::cpu_per_write(&work))
    }
    fn write_time(work: Option<VcpuWork>) -> Option<f64> {
        work.and_then(|work| figures::write_time(&work))
    }
    const COSTS: [Cost; 15] = [
        ("schedule kept", "%", "schedule-kept", 100.0, |m| {
            Some(m.guest.schedule_kept)
        }),
        ("progress", "%", "guest", 100.0, |m| m.guest.progress),
        ("CPU per write before", "us", "guest", 1e6, |m| {
            per_write(m.guest.work_before)
        }),
        ("during", "us", "guest", 1e6, |m| {
            per_write(m.guest.work_during)
        }),
        ("after", "us", "guest", 1e6, |m| {
            per_write(m.guest.work_after)
        }),
        ("write time before", "us", "guest", 1e6, |m| {
            write_time(m.guest.work_before)
        }),
        ("write time during", "us", "guest", 1e6, |m| {
            write_time(m.guest.work_during)
        }),
        ("write faults", "", "guest", 1.0, figures::protection_faults),
        (
            "time per fault",
            "us",
            "guest",
            1e6,
            figures::time_per_fault,
        ),
        ("stalls before", "ms", "stall", 1e3, |m| {
            m.guest.stall_before_s
        }),
        ("stalls during", "ms", "stall", 1e3, |m| m.guest.stall_s),
        ("longest stall", "ms", "stall", 1e3, |m| {
            m.guest.longest_stall_s
        }),
        ("downtime", "ms", "downtime", 1e3, |m| {
            Metric::DOWNTIME.value(m)
        }),
        ("first write", "us", "blackout", 1e6, |m| {
            m.guest.first_write_s
        }),
        ("blackout", "ms", "blackout", 1e3, |m| {
            Metric::BLACKOUT.value(m)
        }),
    ];
    let headings = COSTS
        .iter()
        .map(|(name, unit, anchor, ..)| Column::figures(*name, *unit).defined(anchor));
    let columns = std::iter::once(Column::text("arm"))
        .chain(headings)
        .collect();
    let rows = measured(results)
        .iter()
        .filter(|arm| arm.measured.iter().any(|m| m.guest.work_during.is_some()))
        .map(|arm| {
            let figures = COSTS.iter().map(|(_, _, _, scale, figure)| {
                cells::median(arm.median(figure), |v| text::sig3(v * scale))
            });
            std::iter::once(Cell::arm(arm.arm()))
                .chain(figures)
                .collect()
        })
        .collect();
    Table::new(
        "slowdown-table",
        "What the migration cost the guest, medians over migrations",
        columns,
        rows,
    )
}

/// Energy, cycles and instructions, of arms that have any.
pub fn counted(results: &Results) -> Table {
    type Counter = (&'static str, &'static str, fn(&Migration) -> Option<f64>);
    const COUNTERS: [Counter; 6] = [
        ("source energy", "J", |m| m.source_counted.energy_j),
        ("cycles", "", |m| m.source_counted.cycles.map(|n| n as f64)),
        ("instructions", "", |m| {
            m.source_counted.instructions.map(|n| n as f64)
        }),
        ("destination energy", "J", |m| {
            m.destination_counted.energy_j
        }),
        ("cycles", "", |m| {
            m.destination_counted.cycles.map(|n| n as f64)
        }),
        ("instructions", "", |m| {
            m.destination_counted.instructions.map(|n| n as f64)
        }),
    ];
    let headings = COUNTERS
        .iter()
        .map(|(name, unit, _)| Column::figures(*name, *unit).defined("counted"));
    let columns = std::iter::once(Column::text("arm"))
        .chain(headings)
        .collect();
    let any = |arm: &&ArmView<'_>| {
        let empty =
            |m: &&Migration| m.source_counted.is_empty() && m.destination_counted.is_empty();
        !arm.measured.iter().all(empty)
    };
    let rows = measured(results)
        .iter()
        .filter(any)
        .map(|arm| {
            let figures = COUNTERS
                .iter()
                .map(|(_, _, counter)| cells::median(arm.median(counter), text::sig3));
            std::iter::once(Cell::arm(arm.arm()))
                .chain(figures)
                .collect()
        })
        .collect();
    Table::new(
        "counted-table",
        "Energy of the machine, cycles and instructions of each host process, medians over migrations",
        columns,
        rows,
    )
}

fn wrote(arm: &ArmView<'_>) -> bool {
    let mut whole = (arm.measured.iter()).filter_map(|m| m.guest.write_latency_ns.as_ref());
    whole.any(|latency| latency.count > 0)
}
