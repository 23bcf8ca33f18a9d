//! Wire traffic over time with its burstiness, one panel per arm.

use super::axes;
use super::multiples::Sheet;
use super::palette::Ink;
use super::picture::Picture;
use super::scale::{Scale, Spread};
use crate::arm::Arm;
use crate::figures::{self, WireTraffic};
use crate::present::text;
use crate::report::view::{self, ArmView};
use crate::results::Results;

/// The chart, or `None` if nothing was sent.
pub fn draw(results: &Results) -> Option<Picture> {
    let arms = view::arms(results);
    let drawn: Vec<(&ArmView<'_>, WireTraffic)> = arms
        .iter()
        .filter_map(|arm| Some((arm, figures::wire_traffic(arm.typical()?)?)))
        .collect();
    if drawn.is_empty() {
        return None;
    }
    let mut sheet = Sheet::new(
        "Wire traffic over time",
        "Bold: the migration of median total time. Thin: every repetition. Both axes differ between arms.",
        &[
            (
                Ink::Arm(Arm::foremost()),
                "bytes on the wire, in the arm's colour",
            ),
            (Ink::Text, "mean"),
        ],
        drawn.iter().map(|(arm, _)| Some(arm.arm())),
        78.0,
    );
    for (arm, traffic) in &drawn {
        panel(&mut sheet, arm, traffic);
    }
    Some(sheet.picture)
}

fn panel(sheet: &mut Sheet, arm: &ArmView<'_>, typical: &WireTraffic) {
    let all: Vec<WireTraffic> = arm
        .measured
        .iter()
        .filter_map(|m| figures::wire_traffic(m))
        .collect();
    let peak = figures::median(all.iter().map(|t| t.peak_to_mean)).unwrap_or(typical.peak_to_mean);
    let variation = figures::median(all.iter().map(|t| t.variation)).unwrap_or(typical.variation);
    let note = format!(
        "peak/mean {}, variation {}, n {}",
        text::sig3(peak),
        text::sig3(variation),
        all.len()
    );
    let plot = sheet.arm_panel(arm.arm(), &note);
    let steps = || all.iter().flat_map(|traffic| &traffic.steps);
    let end = steps().fold(0.0, |end: f64, step| end.max(step.1));
    let fastest = steps().fold(0.0, |most: f64, step| most.max(step.2));
    let x = Scale::new(Spread::Linear, 0.0, end, (plot.left, plot.right));
    let y = Scale::from_zero(fastest, (plot.bottom, plot.top));
    let picture = &mut sheet.picture;
    axes::y_axis(picture, &plot, &y, 3, "GiB/s", text::tick);
    let (unit, factor) = if end < 1.0 { ("ms", 1e3) } else { ("s", 1.0) };
    let shown = Scale::new(Spread::Linear, 0.0, end * factor, (plot.left, plot.right));
    let title = format!("time since the first harvest, {unit}");
    axes::x_axis(picture, &plot, &shown, 5, &title, text::tick);
    let ink = Ink::Arm(arm.arm());
    for traffic in &all {
        picture.path(axes::steps(&traffic.steps, &x, &y), 0.8, ink, 0.3);
    }
    picture.path(axes::steps(&typical.steps, &x, &y), 2.0, ink, 1.0);
    for (from, to, rate) in &typical.steps {
        let text = format!(
            "{} at {}, {}: {} GiB/s",
            arm.arm(),
            text::seconds(*from),
            text::seconds(to - from),
            text::sig3(*rate)
        );
        let (left, top) = (x.at(*from), y.at(*rate));
        picture.tip((left, top), (x.at(*to) - left, plot.bottom - top), text);
    }
    let last = typical.steps.last().map_or(0.0, |step| step.1);
    let first = typical.steps.first().map_or(0.0, |step| step.0);
    let carried: f64 = typical
        .steps
        .iter()
        .map(|(from, to, rate)| (to - from) * rate)
        .sum();
    if last > first {
        let level = y.at(carried / (last - first));
        picture.dashes((x.at(first), level), (x.at(last), level), 1.0, Ink::Text);
    }
}
