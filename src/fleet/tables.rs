//! Tables of a fleet's results.

use std::collections::BTreeMap;

use super::figures::{self, Comparison, METRICS, arrived, typical};
use super::file::{Evacuation, FleetFile};
use super::spec::{Course, Fleet, Way};
use super::treatment::Treatment;
use crate::figures::{median, median_interval};
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::results::Bound;
use crate::runner::Place;
use crate::stats::quantile;

fn way_cell(way: Way) -> Cell {
    match way.arm() {
        Some(arm) => Cell::arm(arm),
        None => Cell::text(way.to_string()),
    }
}

/// A table with a row a course: the way, how many at once where that varies, and what else there is.
fn by_course(
    file: &FleetFile,
    (id, caption): (&str, &str),
    columns: Vec<Column>,
    row: impl Fn(Course) -> Option<Vec<Cell>>,
) -> Table {
    let several = file.fleet.evacuation.concurrent.len() > 1;
    let mut head = vec![Column::text("way")];
    head.extend(several.then(|| Column::figures("at once", "")));
    head.extend(columns);
    let rows = file.courses().into_iter().filter_map(|course| {
        let mut cells = vec![way_cell(course.way)];
        cells.extend(several.then(|| Cell::count(u64::from(course.concurrent))));
        cells.extend(row(course)?);
        Some(cells)
    });
    Table::new(id, caption, head, rows.collect())
}

/// Medians over a way's evacuations.
pub fn overview(file: &FleetFile) -> Table {
    let columns = vec![
        Column::text("guests that left"),
        Column::figures("evacuation", ""),
        Column::figures("a guest, median", ""),
        Column::figures("downtime, median", ""),
        Column::figures("source CPU", "CPU-s"),
        Column::figures("destination CPU", "CPU-s"),
        Column::figures("peak memory", ""),
    ];
    let row = |course: Course| {
        let made = || file.of(course);
        let (all, left) = made().fold((0, 0), |(all, left), made| {
            let gone = made.guests.len() - made.left_behind().count();
            (all + made.guests.len(), left + gone)
        });
        Some(vec![
            Cell::text(format!("{left} of {all}")),
            evacuation(made()),
            spread(&arrived(made(), |moved| moved.total_time_s)),
            spread(&arrived(made(), |moved| moved.downtime_s)),
            cpu(made().map(|made| made.sum(|moved| moved.source_cpu_s))),
            cpu(made().map(|made| made.sum(|moved| moved.destination_cpu_s))),
            peak(made()),
        ])
    };
    let caption = "Medians over evacuations with their intervals; of guests, over all that arrived, with the 95th percentile and \
                   the longest";
    by_course(file, ("fleet-table", caption), columns, row)
}

/// What evacuations used of link and cores, and what bound them.
pub fn used(file: &FleetFile) -> Table {
    let columns = vec![
        Column::figures("link used", ""),
        Column::figures("source", "cores"),
        Column::figures("destination", "cores"),
        Column::text("binds"),
    ];
    let row = |course: Course| {
        let typical = typical(file, course).and_then(|made| figures::used(file, made));
        let all = || file.of(course).filter_map(|made| figures::used(file, made));
        let figure = |value: Option<f64>, text: fn(f64) -> String| {
            value.map_or_else(Cell::none, |value| Cell::figure(text(value), value))
        };
        Some(vec![
            figure(median(all().filter_map(|used| used.link)), text::percent),
            figure(median(all().map(|used| used.source)), text::sig3),
            figure(
                median(all().filter_map(|used| used.destination)),
                text::sig3,
            ),
            typical.map_or_else(Cell::none, |used| Cell::text(used.binds.to_string())),
        ])
    };
    let caption = "What guests under way used, medians over evacuations, and what bound the one of median time; turns: \
                   nothing was used up, so more at once would help";
    by_course(file, ("used", caption), columns, row)
}

/// Evacuation time with its interval, marked where guests were left behind.
fn evacuation<'a>(made: impl Iterator<Item = &'a Evacuation> + Clone) -> Cell {
    let times: Vec<f64> = made.clone().map(|made| made.time_s).collect();
    let mark = match made.clone().any(|made| made.left_behind().next().is_some()) {
        true => "> ",
        false => "",
    };
    match median_interval(times) {
        Some(of) => Cell::figure(format!("{mark}{}", text::seconds(of.median)), of.median)
            .under(format!(
                "{} to {}",
                text::seconds(of.low),
                text::seconds(of.high)
            ))
            .resting_on(text::basis(of.level, of.n)),
        None => Cell::none(),
    }
}

/// A median of guests, with the 95th percentile and the largest under it.
fn spread(values: &[f64]) -> Cell {
    match (
        quantile(values, 0.5),
        quantile(values, 0.95),
        quantile(values, 1.0),
    ) {
        (Some(median), Some(high), Some(most)) => {
            let under = format!("p95 {}, most {}", text::seconds(high), text::seconds(most));
            Cell::figure(text::seconds(median), median).under(under)
        }
        _ => Cell::none(),
    }
}

fn cpu(values: impl Iterator<Item = f64>) -> Cell {
    median(values).map_or_else(Cell::none, |value| Cell::figure(text::sig3(value), value))
}

fn peak<'a>(made: impl Iterator<Item = &'a Evacuation>) -> Cell {
    let both = |made: &Evacuation| {
        let of = &made.peak_memory;
        of.source_bytes
            .saturating_add(of.destination_bytes.unwrap_or(0)) as f64
    };
    let most = made.map(both).fold(0.0, f64::max);
    Cell::figure(text::bytes(most), most)
}

/// What each way costs over plain.
pub fn taxes(file: &FleetFile) -> Table {
    let columns = METRICS.iter();
    let columns = columns.map(|metric| Column::figures(metric.label, ""));
    let row = |course: Course| {
        let of = |c: &&Comparison| (c.way, c.concurrent) == (course.way, course.concurrent);
        let cells = METRICS.iter().map(|metric| {
            let found = file
                .comparisons
                .iter()
                .filter(of)
                .find(|c| c.metric == metric.name);
            found.map_or_else(Cell::none, tax)
        });
        (course.way != Way::PLAIN).then(|| cells.collect())
    };
    let caption = "tax against plain: median ratio within blocks (interval)";
    by_course(file, ("fleet-taxes", caption), columns.collect(), row)
}

fn tax(c: &Comparison) -> Cell {
    let mark = match c.bound {
        Some(Bound::Lower) => "> ",
        Some(Bound::Upper) => "< ",
        None => "",
    };
    let like = |ratio: f64| text::tax_like(c.ratio, ratio);
    let under = match c.ci_high.is_finite() {
        true => format!("{} to {}", like(c.ci_low), like(c.ci_high)),
        false => format!("from {}", like(c.ci_low)),
    };
    Cell::figure(format!("{mark}{}", text::tax(c.ratio)), c.ratio)
        .under(under)
        .resting_on(text::basis(c.level, c.blocks))
}

/// Guests that did not leave, and why.
pub fn left_behind(file: &FleetFile) -> Table {
    let columns = vec![
        Column::text("guest"),
        Column::text("way"),
        Column::text("is"),
        Column::figures("evacuations", ""),
        Column::sentences("why, the last time"),
    ];
    let mut left: BTreeMap<(&str, Course, String), (u64, &str)> = BTreeMap::new();
    for made in &file.evacuations {
        for moved in made.left_behind() {
            let place = match moved.place {
                Place::Source => "at the source",
                Place::Destination => "at the destination",
                Place::Ended => "ended with its host",
            };
            let entry = left
                .entry((&moved.guest, made.course(), place.to_owned()))
                .or_default();
            *entry = (entry.0 + 1, moved.reason.as_deref().unwrap_or_default());
        }
    }
    let row = |((guest, course, place), (count, why)): ((&str, Course, String), (u64, &str))| {
        vec![
            Cell::text(guest),
            Cell::text(course.to_string()),
            Cell::text(place),
            Cell::count(count),
            Cell::text(why),
        ]
    };
    let rows = left.into_iter().map(row).collect();
    Table::new("left-behind", "Guests left behind", columns, rows)
}

/// What the coordinator took.
pub fn coordinator(file: &FleetFile) -> Table {
    let columns = vec![
        Column::figures("CPU", "ms"),
        Column::figures("of the migrations'", ""),
        Column::figures("CPU a guest", "ms"),
        Column::figures("descriptors", ""),
        Column::figures("threads", ""),
        Column::figures("memory", ""),
    ];
    let guests = file.fleet.guests.len().max(1) as f64;
    let row = |course: Course| {
        let of = |value: fn(&Evacuation) -> f64| median(file.of(course).map(value));
        let ms = of(|made| made.coordinator.cpu_s).map(|cpu_s| 1e3 * cpu_s);
        let figure = |value: Option<f64>| {
            value.map_or_else(Cell::none, |value| Cell::figure(text::sig3(value), value))
        };
        let count =
            |value: Option<f64>| value.map_or_else(Cell::none, |value| Cell::count(value as u64));
        let share = median(file.of(course).filter_map(Evacuation::coordinator_share));
        let memory = of(|made| made.coordinator.holds.resident_bytes as f64);
        Some(vec![
            figure(ms),
            share.map_or_else(Cell::none, |share| {
                Cell::figure(text::fine_percent(share), share)
            }),
            figure(ms.map(|ms| ms / guests)),
            count(of(|made| f64::from(made.coordinator.holds.descriptors))),
            count(of(|made| f64::from(made.coordinator.holds.threads))),
            memory.map_or_else(Cell::none, |bytes| Cell::figure(text::bytes(bytes), bytes)),
        ])
    };
    let caption = "What the coordinator took while guests moved, median over evacuations";
    by_course(file, ("coordinator", caption), columns, row)
}

/// Every guest of each way's evacuation of median time.
pub fn guests(file: &FleetFile) -> Table {
    let columns = vec![
        Column::text("guest"),
        Column::text("way"),
        Column::text("arm"),
        Column::text("policy"),
        Column::text("place"),
        Column::figures("turn", "s"),
        Column::figures("total time", ""),
        Column::figures("downtime", ""),
        Column::figures("rounds", ""),
        Column::figures("source CPU", "CPU-s"),
        Column::figures("destination CPU", "CPU-s"),
    ];
    let mut rows = Vec::new();
    for made in file
        .courses()
        .into_iter()
        .filter_map(|course| typical(file, course))
    {
        for moved in &made.guests {
            let figure = |value: f64| Cell::figure(text::sig3(value), value);
            let time = |value: f64| Cell::figure(text::seconds(value), value);
            rows.push(vec![
                Cell::text(moved.guest.clone()),
                Cell::text(made.course().to_string()),
                Cell::arm(moved.arm),
                Cell::text(moved.policy_decision.to_string()),
                Cell::text(moved.place.to_string()).under(moved.reason.clone().unwrap_or_default()),
                moved.began_s.map_or_else(Cell::none, figure),
                time(moved.total_time_s),
                time(moved.downtime_s),
                Cell::count(u64::from(moved.rounds)),
                figure(moved.source_cpu_s),
                figure(moved.destination_cpu_s),
            ]);
        }
    }
    let caption = "Every guest, of each way's evacuation of median time";
    Table::new("guest-table", caption, columns, rows)
}

/// What a policy does to each guest on a pair of hosts.
pub fn policy(fleet: &Fleet, treatments: &[Treatment]) -> Table {
    let columns = vec![
        Column::text("guest"),
        Column::text("encrypted VM"),
        Column::text("encryption"),
        Column::text("goes"),
        Column::sentences("why"),
    ];
    let rows = fleet.guests.iter().zip(treatments).map(|(guest, of)| {
        let goes = match (of.goes(), of.sealed) {
            (true, true) => "encrypted",
            (true, false) => "in the clear",
            (false, _) => "not at all",
        };
        vec![
            Cell::text(guest.name.clone()),
            Cell::text(text::yes(guest.scenario.guest.encrypted)),
            Cell::text(super::edit::policy_name(guest.scenario.migration.policy)),
            Cell::text(goes),
            Cell::text(of.reason.clone().unwrap_or_default()),
        ]
    });
    Table::new(
        "policy",
        "What becomes of each guest",
        columns,
        rows.collect(),
    )
}
