//! Whether compressing before sealing pays, over the speed of the link: the chart of a matrix of the two.

use std::collections::BTreeMap;

use super::group::{LINK, RunView, Sweep};
use super::trend::{lines, ticks};
use crate::arm::Arm;
use crate::figures::{self, Metric};
use crate::report::chart::lines::{Axis, Line, Mark, Panel, Values, sheet};
use crate::report::chart::picture::Picture;
use crate::report::chart::scale::Spread;
use crate::report::view;
use crate::results::OutcomeStatus;

const COMPRESSION: &str = "migration.compression";
const METRICS: [Metric; 3] = [
    Metric::TOTAL_TIME,
    Metric::SOURCE_CPU_PER_GIB,
    Metric::DESTINATION_CPU_PER_GIB,
];
const BITS_PER_GBIT: f64 = 1e9;

/// A panel for each compression and metric, a line an arm; `None` unless several links were run with and
/// without compression.
pub fn over_links(sweeps: &[Sweep<'_, '_>]) -> Option<Picture> {
    let links = || sweeps.iter().filter(|sweep| sweep.path == LINK);
    let mut named: Vec<(String, Vec<Line>)> = Vec::new();
    let mut at = Vec::new();
    for packed in links() {
        let kind = match packed.fixed_at(COMPRESSION) {
            None | Some("none") => continue,
            Some(kind) => kind,
        };
        let mut as_they_are = links().filter(|sweep| sweep.fixed_at(COMPRESSION) == Some("none"));
        let Some(as_they_are) = as_they_are.find(|sweep| sweep.is_like(packed, COMPRESSION)) else {
            continue;
        };
        at.extend(packed.runs.iter().map(|(at, _)| at / BITS_PER_GBIT));
        for metric in METRICS {
            let lines = lines(&packed.runs, |at, run, arm| {
                let (_, base) = as_they_are.runs.iter().find(|(other, _)| *other == at)?;
                ratio(at / BITS_PER_GBIT, run, base, arm, metric)
            });
            named.push((format!("{kind}: {}", metric.label()), lines));
        }
    }
    at.sort_by(f64::total_cmp);
    at.dedup();
    let axis = Axis {
        title: "link, Gbit/s",
        ticks: ticks(at.into_iter()),
        spread: Spread::Log,
        joined: true,
    };
    let panels = named
        .iter()
        .map(|(name, lines)| Panel::new(name, Values::Ratios, lines.clone()));
    sheet(
        "Compressing first, over the same without",
        "Dot and bar: median and interval of the ratio within blocks; small dots: blocks. Below 1 it pays.",
        panels.collect(),
        &axis,
    )
}

/// An arm's figure in one run over that in another, block by block.
fn ratio(at: f64, run: &RunView<'_>, base: &RunView<'_>, arm: Arm, metric: Metric) -> Option<Mark> {
    let by_block = |run: &RunView<'_>| -> BTreeMap<u32, f64> {
        let own = run.results.migrations.iter().filter(|m| m.arm == arm);
        let completed = own.filter(|m| m.outcome.status == OutcomeStatus::Completed);
        completed
            .filter_map(|m| Some((m.block, metric.value(m)?)))
            .collect()
    };
    let base = by_block(base);
    let pairs = by_block(run).into_iter();
    let ratios: Vec<f64> = pairs
        .filter_map(|(block, value)| Some(value / base.get(&block)?))
        .collect();
    let median = figures::median_interval(ratios.iter().copied())?;
    let doubt = view::median_doubt(&median, |value| format!("\u{d7}{value:.2}")).join(", ");
    Some(Mark {
        at,
        value: median.median,
        interval: (median.low, median.high),
        dots: ratios,
        bound: None,
        tip: format!(
            "{arm}, run {}: \u{d7}{:.2} ({doubt})",
            run.label(),
            median.median
        ),
    })
}
