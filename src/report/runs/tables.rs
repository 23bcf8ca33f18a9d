//! Tables of runs side by side.

use std::collections::BTreeSet;

use super::group::{self, Comparable, RunView};
use crate::arm::Arm;
use crate::figures::Metric;
use crate::present::table::{Cell, Column, Table};
use crate::report::cells;
use crate::report::view::{self, ArmView};
use crate::results::{self, Migration, OutcomeStatus};
use crate::stats::Interval;

/// What was run where.
pub fn runs(runs: &[RunView<'_>]) -> Table {
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
    Table::new(
        "run-table",
        "The runs",
        names.map(Column::text).to_vec(),
        rows,
    )
}

fn numbers<'r, 'a: 'r>(runs: impl Iterator<Item = &'r RunView<'a>>) -> String {
    let numbers: Vec<String> = runs.map(|run| run.number.to_string()).collect();
    numbers.join(", ")
}

/// Sets of runs with what may be compared within each; a run in none stands for itself.
pub fn comparability(runs: &[RunView<'_>]) -> Table {
    let names = ["runs", "may be compared", "why"];
    let mut sets: Vec<(String, Comparable, String)> = Vec::new();
    let mut placed: BTreeSet<usize> = BTreeSet::new();
    for repeats in group::repeats(runs).iter().filter(|runs| runs.len() > 1) {
        placed.extend(repeats.iter().map(|run| run.number));
        let why = "They differ in nothing that a measurement depends on.".to_owned();
        sets.push((
            numbers(repeats.iter().copied()),
            Comparable::Everything,
            why,
        ));
    }
    for sweep in group::sweeps(runs) {
        placed.extend(sweep.runs.iter().map(|(_, run)| run.number));
        let why = format!("They differ in {} alone.", sweep.path);
        let swept = numbers(sweep.runs.iter().map(|run| run.1));
        sets.push((swept, Comparable::Swept, why));
    }
    for (index, run) in runs.iter().enumerate() {
        for other in &runs[index + 1..] {
            if run.comparable(other) == Comparable::Counts {
                placed.extend([run.number, other.number]);
                let both = numbers([run, other].into_iter());
                sets.push((both, Comparable::Counts, differing(run, other)));
            }
        }
    }
    for run in runs.iter().filter(|run| !placed.contains(&run.number)) {
        let from = runs.iter().find(|other| other.number != run.number);
        let why = from.map_or_else(String::new, |other| differing(run, other));
        sets.push((run.number.to_string(), Comparable::Taxes, why));
    }
    let rows = sets
        .into_iter()
        .map(|(runs, what, why)| vec![Cell::text(runs), Cell::text(what.words()), Cell::text(why)])
        .collect();
    Table::new(
        "comparability-table",
        "What may be compared, and what not",
        names.map(Column::text).to_vec(),
        rows,
    )
}

/// A sentence on what two runs differ in, hosts included.
fn differing(run: &RunView<'_>, other: &RunView<'_>) -> String {
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
    format!(
        "Run {} differs from run {} in {}.",
        run.number,
        other.number,
        differs.join(", ")
    )
}

/// Values of host and scenario in which any runs differ.
pub fn differences(runs: &[RunView<'_>]) -> Table {
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
    Table::new(
        "difference-table",
        "Hosts and scenarios, where they differ",
        columns,
        rows,
    )
}

fn asked(run: &RunView<'_>, arm: Arm) -> bool {
    run.results.arms.iter().any(|info| info.name == arm)
}

fn arms(runs: &[&RunView<'_>]) -> Vec<Arm> {
    Arm::all()
        .filter(|arm| runs.iter().any(|run| asked(run, *arm)))
        .collect()
}

/// The arms that more than one run was asked for, and the others with the number of their run; the
/// baseline in neither.
fn shared(runs: &[RunView<'_>]) -> (Vec<Arm>, Vec<(Arm, usize)>) {
    let mut alone = Vec::new();
    let mut shared = Vec::new();
    for arm in Arm::all().filter(|arm| *arm != arm.base()) {
        let mut having = runs.iter().filter(|run| asked(run, arm));
        match (having.next(), having.next()) {
            (Some(_), Some(_)) => shared.push(arm),
            (Some(run), None) => alone.push((arm, run.number)),
            (None, _) => {}
        }
    }
    (shared, alone)
}

/// Taxes of every arm that more than one run was asked for. A ratio is taken within its own run, so
/// that it stands for itself whether or not the runs may be compared.
pub fn taxes(runs: &[RunView<'_>]) -> Table {
    let mut columns = vec![Column::text("arm"), Column::text("tax on")];
    columns.extend(
        runs.iter()
            .map(|run| Column::figures(run.label(), "").defined("tax")),
    );
    let mut rows = Vec::new();
    for arm in shared(runs).0 {
        let mut row = |on: &str, cell: &dyn Fn(&RunView<'_>) -> Cell| {
            let mut row = vec![Cell::arm(arm), Cell::text(on)];
            row.extend(runs.iter().map(cell));
            rows.push(row);
        };
        let has = |metric| {
            runs.iter()
                .any(|run| view::tax(run.results, arm, metric).is_some())
        };
        for metric in Metric::compared().filter(|metric| has(*metric)) {
            row(metric.label(), &|run| {
                let tax = view::tax(run.results, arm, metric);
                tax.map_or_else(|| outcome(run, arm), cells::tax)
            });
        }
        // An arm without any tax ended somehow: that is a result too.
        if !Metric::compared().any(has) {
            row("–", &|run| outcome(run, arm));
        }
    }
    Table::new("tax-table", "Taxes, each within its own run", columns, rows)
}

/// A sentence on the arms that one run alone was asked for; `None` without any.
pub fn alone(runs: &[RunView<'_>]) -> Option<String> {
    let alone = shared(runs).1;
    let arms: Vec<String> = alone
        .iter()
        .map(|(arm, run)| format!("{arm} (run {run})"))
        .collect();
    (!arms.is_empty()).then(|| {
        format!(
            "In one run alone, compared with nothing: {}.",
            arms.join(", ")
        )
    })
}

fn outcome(run: &RunView<'_>, arm: Arm) -> Cell {
    view::arms(run.results)
        .iter()
        .find(|view| view.arm() == arm)
        .map_or_else(Cell::none, |view| Cell::none().under(view.outcome()))
}

/// Medians of a metric over runs that may be compared.
pub fn medians(runs: &[&RunView<'_>], metric: Metric, id: &str) -> Table {
    let unit = metric.row().shown_unit;
    let mut columns = vec![Column::text("arm")];
    columns.extend(runs.iter().map(|run| Column::figures(run.label(), unit)));
    let rows = arms(runs)
        .into_iter()
        .map(|arm| {
            let mut row = vec![Cell::arm(arm)];
            row.extend(runs.iter().map(|run| {
                let views = view::arms(run.results);
                let measured =
                    |view: &&ArmView<'_>| view.arm() == arm && view.metric(metric).is_some();
                let median = views.iter().find(measured);
                match median {
                    Some(view) => cells::metric(view.metric(metric), metric),
                    None => outcome(run, arm),
                }
            }));
            row
        })
        .collect();
    Table::new(id, format!("Median {}", metric.label()), columns, rows)
}

/// Exact counts of runs under the virtual clock, and whether they are equal: `None` unless two
/// runs may be compared so.
pub fn counts(runs: &[RunView<'_>]) -> Option<Table> {
    let exact = |run: &&RunView<'_>| {
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
    let runs: Vec<&RunView<'_>> = runs.iter().filter(exact).collect();
    let first = runs.first()?;
    let runs: Vec<&RunView<'_>> = runs
        .iter()
        .copied()
        .filter(|r| r.same_conditions(first))
        .collect();
    type Count = (&'static str, fn(&Migration) -> Option<u64>);
    const COUNTS: [Count; 5] = [
        ("rounds", |m| Some(m.rounds.len() as u64)),
        ("pages sent", |m| Some(m.pages_sent)),
        ("zero pages", |m| Some(m.zero_pages)),
        ("records", |m| m.records),
        ("bytes on the wire", |m| Some(m.bytes_on_wire)),
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
    Some(Table::new(
        "count-table",
        "Exact counts under the virtual clock",
        columns,
        rows,
    ))
}

/// A count that all of an arm's completed migrations agree on.
fn exact_count(run: &RunView<'_>, arm: Arm, count: fn(&Migration) -> Option<u64>) -> Option<u64> {
    let mut values = run
        .results
        .migrations
        .iter()
        .filter(|m| m.arm == arm && m.outcome.status == OutcomeStatus::Completed)
        .map(count);
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)?
}

/// The largest number of blocks that a run's taxes rest on.
pub fn tax_blocks(run: &RunView<'_>) -> u32 {
    run.results
        .comparisons
        .iter()
        .map(|c| c.blocks)
        .max()
        .unwrap_or(0)
}

/// A metric of an arm's measured migrations, with its median.
pub fn values(run: &RunView<'_>, arm: Arm, metric: Metric) -> (Vec<f64>, Option<Interval>) {
    let views = view::arms(run.results);
    let Some(view) = views.iter().find(|view| view.arm() == arm) else {
        return (Vec::new(), None);
    };
    let values = view.measured.iter().filter_map(|m| metric.value(m));
    (values.collect(), view.metric(metric))
}
