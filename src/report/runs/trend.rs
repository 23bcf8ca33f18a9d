//! Charts over runs: the trend of one scenario, and sweeps of one value.

use super::group::{RunView, Sweep};
use super::tables;
use crate::arm::Arm;
use crate::figures::{self, Metric};
use crate::present::text;
use crate::report::chart::axes::{self, Plot};
use crate::report::chart::multiples::Sheet;
use crate::report::chart::palette::Ink;
use crate::report::chart::picture::{Anchor, Picture, SMALL};
use crate::report::chart::scale::{Scale, Spread};
use crate::report::view;
use crate::results::Bound;

/// A median with its interval and its repetitions.
#[derive(Debug, Clone)]
struct Mark {
    at: f64,
    value: f64,
    interval: (f64, f64),
    dots: Vec<f64>,
    /// Whether the value is only a bound of the median.
    bound: Option<Bound>,
    tip: String,
}

/// An arm's marks in a panel.
type Line = (Arm, Vec<Mark>);

const TAXED: [Metric; 4] = [
    Metric::SOURCE_CPU_PER_GIB,
    Metric::DESTINATION_CPU_PER_GIB,
    Metric::TOTAL_TIME,
    Metric::DOWNTIME,
];

/// The marks that arms have in some run.
fn lines(
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

fn throughput_lines(runs: &[(f64, &RunView<'_>)]) -> Vec<Line> {
    let metric = Metric::THROUGHPUT;
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
    let panels = TAXED.iter().map(|metric| Panel {
        name: metric.label(),
        ratio: true,
        lines: tax_lines(&placed, *metric)
            .into_iter()
            .filter(shown)
            .collect(),
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

/// What a sweep shows: throughput against what the data path is made of, tax against the load.
pub fn sweep(sweep: &Sweep<'_, '_>) -> Option<Picture> {
    let (what, axis, unit, throughput): (&str, &str, f64, bool) = match sweep.path.as_str() {
        "migration.record" => ("record size", "record, KiB", 1024.0, true),
        "migration.streams" => ("streams", "streams", 1.0, true),
        "workload.rate" => ("dirty rate", "dirty rate, MiB/s", 1024.0 * 1024.0, false),
        "workload.arrival.burstiness" => (
            "burstiness",
            "index of dispersion of the writes in windows of 100 ms",
            1.0,
            false,
        ),
        "workload.arrival" => ("burstiness", "peak over mean arrival rate", 1.0, false),
        other => (other, other, 1.0, false),
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
        true => values
            .into_iter()
            .map(|v| (v, text::tick((v * 100.0).round() / 100.0)))
            .collect(),
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
    let metric = Metric::THROUGHPUT;
    let shown = format!("{}, {}", metric.label(), metric.row().shown_unit);
    let taxes = TAXED.iter();
    let mut panels: Vec<Panel<'_>> = taxes
        .map(|metric| Panel {
            name: metric.label(),
            ratio: true,
            lines: tax_lines(&runs, *metric),
        })
        .collect();
    if throughput {
        panels.push(Panel {
            name: &shown,
            ratio: false,
            lines: throughput_lines(&runs),
        });
    }
    let with = match sweep.fixed() {
        fixed if fixed.is_empty() => fixed,
        fixed => format!(" ({fixed})"),
    };
    let runs = sweep.runs.iter().map(|run| run.1);
    let title = format!("Tax against {what}{with}");
    sheet(&title, &note(runs), panels, &axis)
}

/// One metric of a sheet.
struct Panel<'t> {
    name: &'t str,
    /// Whether it shows ratios to plain.
    ratio: bool,
    lines: Vec<Line>,
}

struct Axis<'t> {
    title: &'t str,
    ticks: Vec<(f64, String)>,
    spread: Spread,
    /// Whether an arm's marks are joined by a line: where the axis has an order.
    joined: bool,
}

fn sheet(title: &str, note: &str, mut panels: Vec<Panel<'_>>, axis: &Axis<'_>) -> Option<Picture> {
    panels.retain(|panel| !panel.lines.is_empty());
    if panels.is_empty() {
        return None;
    }
    let lines = || panels.iter().flat_map(|panel| &panel.lines);
    let drawn = Arm::all().filter(|arm| lines().any(|line| line.0 == *arm));
    let legend: Vec<(Ink, &str)> = drawn.map(|arm| (Ink::Arm(arm), arm.name())).collect();
    let mut sheet = Sheet::new(title, note, &legend, panels.iter().map(|_| None), 190.0);
    for Panel { name, ratio, lines } in &panels {
        let unit = if *ratio {
            "ratio to its baseline, logarithmic"
        } else {
            ""
        };
        let plot = sheet.panel(name, unit);
        panel(&mut sheet.picture, &plot, lines, axis, *ratio);
    }
    Some(sheet.picture)
}

fn panel(picture: &mut Picture, plot: &Plot, lines: &[Line], axis: &Axis<'_>, ratio: bool) {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let shown = |value: &f64| *value > 0.0 && value.is_finite();
    let low = points().flat_map(|p| [p.interval.0, p.value]).filter(shown);
    let low = low.fold(1.0, f64::min);
    let high = points()
        .flat_map(|p| p.dots.iter().copied().chain([p.interval.1, p.value]))
        .filter(shown)
        .fold(if ratio { 1.0 } else { 0.0 }, f64::max);
    let places = (plot.bottom, plot.top);
    let y = match ratio {
        true => Scale::new(Spread::Log, low / 1.1, (high * 1.1).max(1.6), places),
        false => Scale::from_zero(high, places),
    };
    axes::y_axis(picture, plot, &y, 5, "", |tick| {
        format!("{}{}", if ratio { "×" } else { "" }, text::tick(tick))
    });
    let inner = (plot.left + 14.0, plot.right - 14.0);
    let first = axis.ticks.first().map_or(0.0, |tick| tick.0);
    let last = axis.ticks.last().map_or(1.0, |tick| tick.0);
    let x = Scale::new(axis.spread, first, last, inner);
    let mut free = f64::MIN;
    for (at, text) in &axis.ticks {
        let place = x.at(*at);
        let half = axes::text_width(text, SMALL) / 2.0;
        picture.line((place, plot.top), (place, plot.bottom), 1.0, Ink::Grid);
        // A label that would touch the one before is left out; its line stays.
        if place - half > free {
            // A long one at the right end stays within the picture.
            let middle = place.min(plot.right - half);
            picture.note((middle, plot.bottom + 14.0), Anchor::Middle, text);
            free = middle + half + 4.0;
        }
    }
    axes::x_title(picture, plot, axis.title);
    if ratio {
        let one = y.at(1.0);
        picture.line((plot.left, one), (plot.right, one), 1.5, Ink::Muted);
    } else {
        axes::base(picture, plot);
    }
    // Arms side by side within a value, so that their intervals don't hide each other.
    let apart = 4.0;
    let middle = (lines.len() as f64 - 1.0) / 2.0;
    for (index, (arm, points)) in lines.iter().enumerate() {
        let ink = Ink::Arm(*arm);
        let place = |point: &Mark| x.at(point.at) + (index as f64 - middle) * apart;
        if axis.joined {
            // Where several runs have one value, the line goes through the middle of their medians.
            let path = points
                .chunk_by(|a, b| a.at == b.at)
                .filter_map(|runs| {
                    let middle = figures::median(runs.iter().map(|run| run.value))?;
                    Some((place(&runs[0]), y.at(middle)))
                })
                .collect();
            picture.path(path, 1.2, ink, 0.6);
        }
        for point in points {
            let (left, bottom, top) =
                (place(point), y.at(point.interval.0), y.at(point.interval.1));
            picture.rect((left - 1.5, top), (3.0, bottom - top), ink, 0.55);
            for dot in &point.dots {
                picture.dot((left + 3.5, y.at(*dot)), 1.4, ink, 0.6);
            }
            let at = (left, y.at(point.value));
            match point.bound {
                None => picture.dot(at, 3.5, ink, 1.0),
                Some(Bound::Lower) => axes::bound(picture, at, 3.5, (0.0, -1.0), ink),
                Some(Bound::Upper) => axes::bound(picture, at, 3.5, (0.0, 1.0), ink),
            }
            let size = (8.0, bottom - top + 8.0);
            picture.tip((left - 4.0, top - 4.0), size, point.tip.as_str());
        }
    }
}
