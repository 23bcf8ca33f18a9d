//! Arms' medians with their intervals against a value that varies: one panel a metric.

use super::axes::{self, Plot};
use super::multiples::Sheet;
use super::palette::Ink;
use super::picture::{Anchor, Picture, SMALL};
use super::scale::{Scale, Spread};
use crate::arm::Arm;
use crate::figures;
use crate::present::text;
use crate::results::Bound;

/// A median with its interval and its repetitions.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Its value on the horizontal axis.
    pub at: f64,
    /// The median.
    pub value: f64,
    /// Its interval.
    pub interval: (f64, f64),
    /// What it is the median of.
    pub dots: Vec<f64>,
    /// Whether the value is only a bound of the median.
    pub bound: Option<Bound>,
    /// What it tells when a pointer rests on it.
    pub tip: String,
}

/// An arm's marks in a panel.
pub type Line = (Arm, Vec<Mark>);

/// One metric of a sheet.
#[derive(Debug, Clone)]
pub struct Panel<'t> {
    /// Its title.
    pub name: &'t str,
    /// What its vertical axis shows.
    pub values: Values,
    /// The arms' marks.
    pub lines: Vec<Line>,
    /// A dashed line through points, to read the others by.
    pub guide: Vec<(f64, f64)>,
    /// What was expected of arms, thin beside their marks.
    pub thin: Vec<(Arm, Vec<(f64, f64)>)>,
}

impl<'t> Panel<'t> {
    /// A panel of marks alone.
    pub fn new(name: &'t str, values: Values, lines: Vec<Line>) -> Self {
        Panel {
            name,
            values,
            lines,
            guide: Vec::new(),
            thin: Vec::new(),
        }
    }
}

/// What a vertical axis shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Ratios to what the sheet says, on a logarithmic axis around 1.
    Ratios,
    /// Amounts, from zero.
    Amounts,
    /// Amounts of different size, on a logarithmic axis; with their unit.
    Sizes(&'static str),
}

/// The horizontal axis of all panels.
#[derive(Debug, Clone)]
pub struct Axis<'t> {
    /// Its title.
    pub title: &'t str,
    /// The values that marks have there, in order, and how they are called.
    pub ticks: Vec<(f64, String)>,
    /// How they are spread.
    pub spread: Spread,
    /// Whether an arm's marks are joined by a line: where the axis has an order.
    pub joined: bool,
}

/// The panels beside each other; none if they have nothing to show.
pub fn sheet(
    title: &str,
    note: &str,
    mut panels: Vec<Panel<'_>>,
    axis: &Axis<'_>,
) -> Option<Picture> {
    panels.retain(|panel| !panel.lines.is_empty());
    if panels.is_empty() {
        return None;
    }
    let lines = || panels.iter().flat_map(|panel| &panel.lines);
    let drawn = Arm::all().filter(|arm| lines().any(|line| line.0 == *arm));
    let legend: Vec<(Ink, &str)> = drawn.map(|arm| (Ink::Arm(arm), arm.name())).collect();
    let mut sheet = Sheet::new(title, note, &legend, panels.iter().map(|_| None), 190.0);
    for of in &panels {
        let unit = match of.values {
            Values::Ratios => "ratio, logarithmic",
            Values::Amounts => "",
            Values::Sizes(unit) => unit,
        };
        let plot = sheet.panel(of.name, unit);
        panel(&mut sheet.picture, &plot, of, axis);
    }
    Some(sheet.picture)
}

/// The vertical axis of a panel: all that it shows has its place.
fn scale(of: &Panel<'_>, plot: &Plot) -> Scale {
    let points = || of.lines.iter().flat_map(|(_, points)| points);
    let thin = || of.thin.iter().flat_map(|(_, points)| points);
    let beside = || of.guide.iter().chain(thin()).map(|point| point.1);
    let shown = |value: &f64| *value > 0.0 && value.is_finite();
    let ratios = of.values == Values::Ratios;
    let low = points().flat_map(|p| [p.interval.0, p.value]);
    let low = low.chain(beside()).filter(shown);
    let low = low.fold(if ratios { 1.0 } else { f64::INFINITY }, f64::min);
    let high = points().flat_map(|p| p.dots.iter().copied().chain([p.interval.1, p.value]));
    let high = high.chain(beside()).filter(shown);
    let high = high.fold(if ratios { 1.0 } else { 0.0 }, f64::max);
    let places = (plot.bottom, plot.top);
    match of.values {
        Values::Ratios => Scale::new(Spread::Log, low / 1.1, (high * 1.1).max(1.6), places),
        Values::Amounts => Scale::from_zero(high, places),
        Values::Sizes(_) => Scale::new(Spread::Log, low / 1.3, high * 1.3, places),
    }
}

fn panel(picture: &mut Picture, plot: &Plot, of: &Panel<'_>, axis: &Axis<'_>) {
    let ratio = of.values == Values::Ratios;
    let lines = &of.lines;
    let y = scale(of, plot);
    axes::y_axis(picture, plot, &y, 5, "", |tick| {
        format!("{}{}", if ratio { "×" } else { "" }, text::tick(tick))
    });
    let inner = (plot.left + 14.0, plot.right - 14.0);
    let first = axis.ticks.first().map_or(0.0, |tick| tick.0);
    let last = axis.ticks.last().map_or(1.0, |tick| tick.0);
    // A single value stands in the middle.
    let (first, last) = match first < last {
        true => (first, last),
        false => (first / 2.0, first * 2.0),
    };
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
    for ends in of.guide.windows(2) {
        let [from, to] = [ends[0], ends[1]].map(|(at, value)| (x.at(at), y.at(value)));
        picture.dashes(from, to, 1.0, Ink::Muted);
    }
    // Arms side by side within a value, so that their intervals don't hide each other.
    let apart = 4.0;
    let middle = (lines.len() as f64 - 1.0) / 2.0;
    for (index, (arm, points)) in lines.iter().enumerate() {
        let ink = Ink::Arm(*arm);
        let aside = (index as f64 - middle) * apart;
        let place = |point: &Mark| x.at(point.at) + aside;
        let expected = of.thin.iter().filter(|thin| thin.0 == *arm);
        for (_, points) in expected {
            let path: Vec<(f64, f64)> = points
                .iter()
                .map(|(at, value)| (x.at(*at) + aside, y.at(*value)))
                .collect();
            for (x, y) in &path {
                picture.line((x - 3.0, y - 3.0), (x + 3.0, y + 3.0), 0.8, ink);
                picture.line((x - 3.0, y + 3.0), (x + 3.0, y - 3.0), 0.8, ink);
            }
            picture.path(path, 0.6, ink, 1.0);
        }
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
