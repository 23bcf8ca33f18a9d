//! Tables of runs side by side.

use std::collections::BTreeSet;

use super::group::{self, Comparable, Run};
use crate::arm::Arm;
use crate::figures::Metric;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::report::view;
use crate::results::{self, Migration, OutcomeStatus};
use crate::stats::Interval;

fn table(id: &str, caption: String, columns: Vec<Column>, rows: Vec<Vec<Cell>>) -> Table {
    Table {
        id: id.to_owned(),
        caption,
        columns,
        rows,
    }
}

/// What was run where.
pub fn runs(runs: &[Run<'_>]) -> Table {
    let names = [
        "run", "started", "scenario", "CPU", "kernel", "migtax", "blocks", "warnings",
    ];
    let rows = runs
        .iter()
        .map(|run| {
            let r = run.results;
            let warnings: Vec<&str> = r.warnings.iter().map(|w| w.code.as_str()).collect();
            vec![
                Cell::text(run.label()),
                Cell::text(r.started_at.clone()).under(if r.interrupted {
                    "interrupted"
                } else {
                    ""
                }),
                Cell::text(r.scenario.title()),
                Cell::text(r.host.cpu_model.clone()).under(format!("{} cores", r.host.cores)),
                Cell::text(r.host.kernel.clone()),
                Cell::text(r.migtax_version.clone()).under(format!("schema {}", r.schema_version)),
                Cell::count(view::blocks(r) as u64),
                Cell::text(warnings.len().to_string()).under(warnings.join(", ")),
            ]
        })
        .collect();
    table(
        "run-table",
        "The runs".to_owned(),
        names.map(Column::text).to_vec(),
        rows,
    )
}

fn numbers<'r, 'a: 'r>(runs: impl Iterator<Item = &'r Run<'a>>) -> String {
    let numbers: Vec<String> = runs.map(|run| run.number.to_string()).collect();
    numbers.join(", ")
}

/// Sets of runs with what may be compared within each; a run in none stands for itself.
pub fn comparability(runs: &[Run<'_>]) -> Table {
    let names = ["runs", "may be compared", "differ in"];
    let mut sets: Vec<(String, String, String)> = Vec::new();
    let mut placed: BTreeSet<usize> = BTreeSet::new();
    for repeats in group::repeats(runs).iter().filter(|runs| runs.len() > 1) {
        placed.extend(repeats.iter().map(|run| run.number));
        let words = Comparable::Everything.words().to_owned();
        sets.push((
            numbers(repeats.iter().copied()),
            words,
            "nothing".to_owned(),
        ));
    }
    for sweep in group::sweeps(runs) {
        placed.extend(sweep.runs.iter().map(|(_, run)| run.number));
        let words = Comparable::Swept.words().to_owned();
        sets.push((
            numbers(sweep.runs.iter().map(|run| run.1)),
            words,
            sweep.path.to_owned(),
        ));
    }
    for (index, run) in runs.iter().enumerate() {
        for other in &runs[index + 1..] {
            if run.comparable(other) == Comparable::Counts {
                placed.extend([run.number, other.number]);
                let words = Comparable::Counts.words().to_owned();
                sets.push((
                    numbers([run, other].into_iter()),
                    words,
                    differing(run, other),
                ));
            }
        }
    }
    for run in runs.iter().filter(|run| !placed.contains(&run.number)) {
        let from = runs.iter().find(|other| other.number != run.number);
        let why = from.map_or_else(String::new, |other| {
            format!("from run {}: {}", other.number, differing(run, other))
        });
        sets.push((
            run.number.to_string(),
            Comparable::Nothing.words().to_owned(),
            why,
        ));
    }
    let rows = sets
        .into_iter()
        .map(|(runs, words, differ)| vec![Cell::text(runs), Cell::text(words), Cell::text(differ)])
        .collect();
    table(
        "comparability-table",
        "What may be compared, and what not".to_owned(),
        names.map(Column::text).to_vec(),
        rows,
    )
}

/// What two runs differ in, hosts included.
fn differing(run: &Run<'_>, other: &Run<'_>) -> String {
    let machine = run
        .machine
        .iter()
        .filter(|(name, value)| other.machine.get(*name) != Some(*value))
        .map(|(name, _)| format!("host {name}"));
    let versions = [run, other].map(|run| run.results.schema_version);
    let schema =
        (!results::same_meaning(versions[0], versions[1])).then(|| "schema version".to_owned());
    let differs: Vec<String> = schema
        .into_iter()
        .chain(machine)
        .chain(run.differing(other))
        .collect();
    differs.join(", ")
}

/// Values of host and scenario in which any runs differ.
pub fn differences(runs: &[Run<'_>]) -> Table {
    let mut columns = vec![Column::text("value")];
    columns.extend(runs.iter().map(|run| Column::text(run.label())));
    let mut rows = Vec::new();
    for (kind, values) in [
        (
            "host ",
            runs.iter().map(|run| &run.machine).collect::<Vec<_>>(),
        ),
        ("", runs.iter().map(|run| &run.conditions).collect()),
    ] {
        let paths: BTreeSet<&String> = values.iter().flat_map(|values| values.keys()).collect();
        for path in paths {
            let row: Vec<Option<&String>> = values.iter().map(|values| values.get(path)).collect();
            if row.windows(2).any(|pair| pair[0] != pair[1]) {
                let mut cells = vec![Cell::text(format!("{kind}{path}"))];
                cells.extend(
                    row.into_iter()
                        .map(|v| v.map_or_else(Cell::none, |v| Cell::text(v.clone()))),
                );
                rows.push(cells);
            }
        }
    }
    table(
        "difference-table",
        "Hosts and scenarios, where they differ".to_owned(),
        columns,
        rows,
    )
}

fn arms(runs: &[&Run<'_>]) -> Vec<Arm> {
    let asked = |arm: &Arm| {
        runs.iter()
            .any(|run| run.results.arms.iter().any(|info| info.name == *arm))
    };
    Arm::all().filter(asked).collect()
}

/// Taxes of every run. A ratio is taken within its own run, so each stands for itself whether or not
/// the runs may be compared.
pub fn taxes(runs: &[&Run<'_>], metric: Metric, id: &str) -> Table {
    let mut columns = vec![Column::text("arm")];
    columns.extend(
        runs.iter()
            .map(|run| Column::figures(run.label(), "").defined("tax")),
    );
    let rows = arms(runs)
        .into_iter()
        .filter(|arm| *arm != view::BASELINE)
        .map(|arm| {
            let mut row = vec![Cell::arm(arm)];
            row.extend(
                runs.iter()
                    .map(|run| match view::tax(run.results, arm, metric) {
                        Some(c) => Cell::figure(text::tax(c.ratio), c.ratio).under(view::doubt(c)),
                        None => outcome(run, arm),
                    }),
            );
            row
        })
        .collect();
    let caption = format!("Tax on {}, each within its own run", metric.label());
    table(id, caption, columns, rows)
}

fn outcome(run: &Run<'_>, arm: Arm) -> Cell {
    view::arms(run.results)
        .iter()
        .find(|view| view.arm() == arm)
        .map_or_else(Cell::none, |view| Cell::none().under(view.outcome()))
}

/// Medians of a metric over runs that may be compared.
pub fn medians(runs: &[&Run<'_>], metric: Metric, id: &str) -> Table {
    let unit = metric.row().shown_unit;
    let mut columns = vec![Column::text("arm")];
    columns.extend(runs.iter().map(|run| Column::figures(run.label(), unit)));
    let rows = arms(runs)
        .into_iter()
        .map(|arm| {
            let mut row = vec![Cell::arm(arm)];
            row.extend(runs.iter().map(|run| {
                let views = view::arms(run.results);
                let median = views
                    .iter()
                    .find(|view| view.arm() == arm)
                    .and_then(|view| view.metric(metric));
                median.map_or_else(
                    || outcome(run, arm),
                    |m| {
                        let figure = |value| view::figure(metric, value);
                        Cell::figure(figure(m.median), metric.shown(m.median))
                            .under(view::median_doubt(&m, figure))
                    },
                )
            }));
            row
        })
        .collect();
    table(id, format!("Median {}", metric.label()), columns, rows)
}

/// Exact counts of runs under the virtual clock, and whether they are equal: `None` unless two
/// runs may be compared so.
pub fn counts(runs: &[Run<'_>]) -> Option<Table> {
    let exact = |run: &&Run<'_>| {
        run.exact()
            && runs.iter().any(|other| {
                other.number != run.number
                    && other.exact()
                    && matches!(
                        run.comparable(other),
                        Comparable::Counts | Comparable::Everything
                    )
            })
    };
    let runs: Vec<&Run<'_>> = runs.iter().filter(exact).collect();
    let first = runs.first()?;
    let runs: Vec<&Run<'_>> = runs
        .iter()
        .copied()
        .filter(|r| r.same_conditions(first))
        .collect();
    type Count = (&'static str, fn(&Migration) -> u64);
    const COUNTS: [Count; 5] = [
        ("rounds", |m| m.rounds.len() as u64),
        ("pages sent", |m| m.pages_sent),
        ("zero pages", |m| m.zero_pages),
        ("records", |m| m.records),
        ("bytes on the wire", |m| m.bytes_on_wire),
    ];
    let mut columns = vec![Column::text("arm"), Column::text("count")];
    columns.extend(runs.iter().map(|run| Column::figures(run.label(), "")));
    columns.push(Column::text("equal"));
    let mut rows = Vec::new();
    for arm in arms(&runs) {
        for (name, count) in COUNTS {
            let values: Vec<Option<u64>> = runs
                .iter()
                .map(|run| exact_count(run, arm, count))
                .collect();
            let mut row = vec![Cell::arm(arm), Cell::text(name)];
            row.extend(
                values
                    .iter()
                    .map(|v| v.map_or_else(Cell::none, Cell::count)),
            );
            let equal = values.iter().all(|v| v.is_some() && *v == values[0]);
            row.push(Cell::text(if equal { "equal" } else { "differs" }));
            rows.push(row);
        }
    }
    Some(table(
        "count-table",
        "Exact counts under the virtual clock".to_owned(),
        columns,
        rows,
    ))
}

/// A count that all of an arm's completed migrations agree on.
fn exact_count(run: &Run<'_>, arm: Arm, count: fn(&Migration) -> u64) -> Option<u64> {
    let mut values = run
        .results
        .migrations
        .iter()
        .filter(|m| m.arm == arm && m.outcome.status == OutcomeStatus::Completed)
        .map(count);
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// The largest number of blocks that a run's taxes rest on.
pub fn tax_blocks(run: &Run<'_>) -> u32 {
    run.results
        .comparisons
        .iter()
        .map(|c| c.blocks)
        .max()
        .unwrap_or(0)
}

/// A metric of an arm's measured migrations, with its median.
pub fn values(run: &Run<'_>, arm: Arm, metric: Metric) -> (Vec<f64>, Option<Interval>) {
    let views = view::arms(run.results);
    let Some(view) = views.iter().find(|view| view.arm() == arm) else {
        return (Vec::new(), None);
    };
    let values = view.measured.iter().filter_map(|m| metric.value(m));
    (values.collect(), view.metric(metric))
}
