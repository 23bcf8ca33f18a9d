//! Charts over runs: the trend of one scenario, and sweeps of one value.

use super::group::{LINK, RunView, Sweep};
use super::tables;
use crate::arm::Arm;
use crate::figures::Metric;
use crate::present::text;
use crate::report::chart::lines::{Axis, Line, Mark, Panel, Values, sheet};
use crate::report::chart::picture::Picture;
use crate::report::chart::scale::Spread;
use crate::report::view;

const TAXED: [Metric; 4] = [
    Metric::SOURCE_CPU_PER_GIB,
    Metric::DESTINATION_CPU_PER_GIB,
    Metric::TOTAL_TIME,
    Metric::DOWNTIME,
];

/// The marks that arms have in some run.
pub(super) fn lines(
    runs: &[(f64, &RunView<'_>)],
    mark: impl Fn(f64, &RunView<'_>, Arm) -> Option<Mark>,
) -> Vec<Line> {
    let line = |arm: Arm| {
        let marks = runs.iter().filter_map(|(at, run)| mark(*at, run, arm));
        (arm, marks.collect())
    };
    Arm::all()
        .map(line)
        .filter(|(_, marks): &Line| !marks.is_empty())
        .collect()
}

fn tax_lines(runs: &[(f64, &RunView<'_>)], metric: Metric) -> Vec<Line> {
    lines(runs, |at, run, arm| {
        let tax = view::tax(run.results, arm, metric)?;
        let (shown, doubt) = (view::ratio(tax), view::doubt(tax));
        Some(Mark {
            at,
            value: tax.ratio,
            interval: (tax.ci_low, tax.ci_high),
            dots: Vec::new(),
            bound: tax.bound,
            tip: format!("{arm}, run {}: {shown} ({doubt})", run.label()),
        })
    })
}

fn amount_lines(runs: &[(f64, &RunView<'_>)], metric: Metric) -> Vec<Line> {
    let figure = |value| view::figure(metric, value);
    lines(runs, |at, run, arm| {
        let (values, median) = tables::values(run, arm, metric);
        let median = median?;
        let (shown, unit) = (figure(median.median), metric.row().shown_unit);
        let doubt = view::median_doubt(&median, figure).join(", ");
        Some(Mark {
            at,
            value: metric.shown(median.median),
            interval: (metric.shown(median.low), metric.shown(median.high)),
            dots: values.into_iter().map(|v| metric.shown(v)).collect(),
            bound: None,
            tip: format!("{arm}, run {}: {shown} {unit} ({doubt})", run.label()),
        })
    })
}

/// Taxes over runs of one scenario, in order of their start.
pub fn trend(runs: &[&RunView<'_>]) -> Option<Picture> {
    let title = "Trend of the tax over runs of one scenario";
    taxes(runs, title, "run, in order of start", true)
}

/// Taxes of runs that differ in more than one value, of the arms that more than one run measured.
pub fn side_by_side(runs: &[&RunView<'_>]) -> Option<Picture> {
    let title = "Taxes side by side, each within its own run";
    taxes(runs, title, "run", false)
}

fn taxes(runs: &[&RunView<'_>], title: &str, axis: &str, joined: bool) -> Option<Picture> {
    let placed: Vec<(f64, &RunView<'_>)> = runs
        .iter()
        .enumerate()
        .map(|(index, run)| (index as f64, *run))
        .collect();
    let ticks = placed.iter().map(|(at, run)| (*at, run.number.to_string()));
    let axis = Axis {
        title: axis,
        ticks: ticks.collect(),
        spread: Spread::Linear,
        joined,
    };
    // A trend shows where an arm begins; side by side a single run has nothing beside it.
    let shown = |line: &Line| joined || line.1.len() > 1;
    let panels = TAXED.iter().map(|metric| {
        let lines = tax_lines(&placed, *metric).into_iter();
        Panel::new(
            metric.label(),
            Values::Ratios,
            lines.filter(shown).collect(),
        )
    });
    let note = note(runs.iter().copied());
    sheet(title, &note, panels.collect(), &axis)
}

fn note<'r, 'a: 'r>(runs: impl Iterator<Item = &'r RunView<'a>>) -> String {
    let blocks: Vec<u32> = runs.map(tables::tax_blocks).collect();
    let (least, most) = (
        blocks.iter().min().unwrap_or(&0),
        blocks.iter().max().unwrap_or(&0),
    );
    let n = if least == most {
        most.to_string()
    } else {
        format!("{least} to {most}")
    };
    format!(
        "Dot and bar: median and interval of each run, n {n} blocks; levels in the tables and tips. Hollow with an arrow: a bound."
    )
}

/// Values of an axis of amounts, as they are called there.
pub(super) fn ticks(values: impl Iterator<Item = f64>) -> Vec<(f64, String)> {
    let tick = |v: f64| (v, text::tick((v * 100.0).round() / 100.0));
    values.map(tick).collect()
}

/// What varies the work by byte: its own figures say more than a ratio to a baseline that varies too.
const BY_RECORD: &[Metric] = &[
    Metric::THROUGHPUT,
    Metric::SOURCE_CPU_PER_GIB,
    Metric::DESTINATION_CPU_PER_GIB,
];

/// What a sweep shows: throughput against what the data path is made of, and CPU against the record size;
/// tax against the load.
pub fn sweep(sweep: &Sweep<'_, '_>) -> Option<Picture> {
    let (what, axis, unit, amounts): (&str, &str, f64, &[Metric]) = match sweep.path.as_str() {
        "migration.record" => ("record size", "record, KiB", 1024.0, BY_RECORD),
        LINK => (
            "link speed",
            "link, Gbit/s",
            1e9,
            &[Metric::TOTAL_TIME, Metric::THROUGHPUT],
        ),
        "migration.streams" => ("streams", "streams", 1.0, &BY_RECORD[..1]),
        "workload.rate" => ("dirty rate", "dirty rate, MiB/s", 1024.0 * 1024.0, &[]),
        "workload.arrival.burstiness" => (
            "burstiness",
            "index of dispersion of the writes in windows of 100 ms",
            1.0,
            &[],
        ),
        "workload.arrival" => ("burstiness", "peak over mean arrival rate", 1.0, &[]),
        other => (other, other, 1.0, &[]),
    };
    let runs: Vec<(f64, &RunView<'_>)> = sweep
        .runs
        .iter()
        .map(|(at, run)| (at / unit, *run))
        .collect();
    let mut values: Vec<f64> = runs.iter().map(|run| run.0).collect();
    values.dedup();
    let spread = if values.first().is_some_and(|v| *v > 0.0) {
        Spread::Log
    } else {
        Spread::Linear
    };
    let mut ticks: Vec<(f64, String)> = match sweep.amounts {
        true => ticks(values.into_iter()),
        false => runs
            .iter()
            .map(|(at, run)| (*at, sweep.value(run)))
            .collect(),
    };
    ticks.dedup();
    let axis = Axis {
        title: axis,
        ticks,
        spread,
        joined: sweep.amounts,
    };
    let shown: Vec<String> = amounts
        .iter()
        .map(|metric| format!("{}, {}", metric.label(), metric.row().shown_unit))
        .collect();
    let taxes = TAXED.iter();
    let mut panels: Vec<Panel<'_>> = taxes
        .map(|metric| Panel::new(metric.label(), Values::Ratios, tax_lines(&runs, *metric)))
        .collect();
    panels.extend(
        amounts.iter().zip(&shown).map(|(metric, shown)| {
            Panel::new(shown, Values::Amounts, amount_lines(&runs, *metric))
        }),
    );
    let with = match sweep.fixed() {
        fixed if fixed.is_empty() => fixed,
        fixed => format!(" ({fixed})"),
    };
    let runs = sweep.runs.iter().map(|run| run.1);
    let title = format!("Tax against {what}{with}");
    sheet(&title, &note(runs), panels, &axis)
}
