//! The tax of the guest's memory, of its disk and of both, side by side for each arm.

use super::lines::{Axis, Line, Mark, Panel, Values, sheet};
use super::picture::Picture;
use super::scale::Spread;
use crate::arm::Arm;
use crate::figures::Metric;
use crate::report::storage::PARTS;
use crate::report::view;
use crate::results::{Comparison, Results};

/// A mark's value and interval.
type Shown = (f64, (f64, f64));

/// A panel for time, as a ratio, and one for the CPU that is added on each side; `None` if no arm has a tax.
pub fn draw(results: &Results) -> Option<Picture> {
    let ratio = |c: &Comparison| Some((c.ratio, (c.ci_low, c.ci_high)));
    let added = |c: &Comparison| Some((c.added?, (c.added_low?, c.added_high?)));
    let cpu = Values::Sizes("added, CPU-s/GiB, logarithmic");
    let panels = vec![
        Panel::new("time", Values::Ratios, lines(results, 0, ratio)),
        Panel::new("source CPU", cpu, lines(results, 1, added)),
        Panel::new("destination CPU", cpu, lines(results, 2, added)),
    ];
    let ticks = PARTS.iter().enumerate();
    let axis = Axis {
        title: "",
        ticks: ticks
            .map(|(at, part)| (at as f64, part.0.to_owned()))
            .collect(),
        spread: Spread::Linear,
        joined: false,
    };
    sheet(
        "Tax of memory, of the disk, of both",
        "Dot and bar: median and interval within blocks. A bar that reaches the axis reaches zero.",
        panels,
        &axis,
    )
}

/// Marks of the arms that have a tax, in one metric of each part.
fn lines(
    results: &Results,
    metric: usize,
    shown: impl Fn(&Comparison) -> Option<Shown>,
) -> Vec<Line> {
    let mark = |arm: Arm, at: usize, metric: Metric| {
        let tax = view::tax(results, arm, metric)?;
        let (value, interval) = shown(tax)?;
        let said = match view::added(tax) {
            Some([added, interval]) if metric.row().unit != "s" => format!("{added} ({interval})"),
            _ => format!("{} ({})", view::ratio(tax), view::doubt(tax)),
        };
        Some(Mark {
            at: at as f64,
            value,
            interval,
            dots: Vec::new(),
            bound: tax.bound,
            tip: format!("{arm}, {}: {said}", PARTS[at].0),
        })
    };
    let line = |arm: Arm| {
        let parts = PARTS.iter().enumerate();
        let marks = parts.filter_map(|(at, part)| mark(arm, at, part.1[metric]));
        (arm, marks.collect())
    };
    let arms = view::arms(results).into_iter().map(|arm| arm.arm());
    arms.filter(|arm| *arm != arm.base())
        .map(line)
        .filter(|(_, marks): &Line| !marks.is_empty())
        .collect()
}
