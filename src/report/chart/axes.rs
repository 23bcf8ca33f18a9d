//! What charts share: axes, grids, legends and rows of arms.

use super::palette::Ink;
use super::picture::{Anchor, LABEL, Picture, Point, SMALL};
use super::scale::Scale;
use crate::arm::Arm;

/// Width of every chart, units.
pub const WIDTH: f64 = 800.0;
/// Height that a title with its note takes.
pub const HEAD: f64 = 48.0;

/// The area that a panel plots in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plot {
    /// Left edge.
    pub left: f64,
    /// Right edge.
    pub right: f64,
    /// Upper edge.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
}

/// A chart's title and the note under it.
pub fn head(picture: &mut Picture, title: &str, note: &str) {
    picture.bold((0.0, 16.0), 15.0, title);
    picture.note((0.0, 34.0), Anchor::Start, note);
}

/// Height that the heading of a group of arms takes.
pub const GROUP: f64 = 30.0;

/// The heading of a group of arms, where a chart holds several: a line across and whose they are.
pub fn group(picture: &mut Picture, top: f64, base: Arm) {
    headed(
        picture,
        top,
        &format!("{base} and the arms whose tax is over it"),
    );
}

/// The heading of a group of arms of which the baseline itself is not shown, short enough to stand beside a plot.
pub fn group_over(picture: &mut Picture, top: f64, base: Arm) {
    headed(picture, top, &format!("relative to {base}"));
}

fn headed(picture: &mut Picture, top: f64, heading: &str) {
    picture.line((0.0, top + 2.0), (WIDTH, top + 2.0), 1.0, Ink::Muted);
    picture.note((0.0, top + 16.0), Anchor::Start, heading);
}

/// Vertical grid lines with their ticks under the plot, and the axis title below.
pub fn x_axis(
    picture: &mut Picture,
    plot: &Plot,
    scale: &Scale,
    wanted: usize,
    title: &str,
    text: impl Fn(f64) -> String,
) {
    for tick in scale.ticks(wanted) {
        let x = scale.at(tick);
        picture.line((x, plot.top), (x, plot.bottom), 1.0, Ink::Grid);
        picture.note((x, plot.bottom + 14.0), Anchor::Middle, &text(tick));
    }
    base(picture, plot);
    x_title(picture, plot, title);
}

/// The line that a plot stands on.
pub fn base(picture: &mut Picture, plot: &Plot) {
    let ends = [plot.left, plot.right].map(|x| (x, plot.bottom));
    picture.line(ends[0], ends[1], 1.0, Ink::Muted);
}

/// The title of a horizontal axis.
pub fn x_title(picture: &mut Picture, plot: &Plot, title: &str) {
    picture.note((plot.right, plot.bottom + 28.0), Anchor::End, title);
}

/// Horizontal grid lines with their ticks left of the plot, and the axis title above.
pub fn y_axis(
    picture: &mut Picture,
    plot: &Plot,
    scale: &Scale,
    wanted: usize,
    title: &str,
    text: impl Fn(f64) -> String,
) {
    for tick in scale.ticks(wanted) {
        let y = scale.at(tick);
        picture.line((plot.left, y), (plot.right, y), 1.0, Ink::Grid);
        picture.note((plot.left - 5.0, y + 4.0), Anchor::End, &text(tick));
    }
    picture.note((plot.left, plot.top - 6.0), Anchor::Start, title);
}

/// An arm's name left of its row, with its doubt under it.
pub fn row(picture: &mut Picture, (x, y): Point, arm: Arm, doubt: &str) {
    picture.text((x, y + 1.0), LABEL, Anchor::End, Ink::Text, arm.name());
    picture.text((x, y + 12.0), 9.5, Anchor::End, Ink::Muted, doubt);
}

/// A mark of which only a bound is known: a circle that is not filled, with an arrow of a length
/// towards where the value may lie; `(1, 0)` is right, `(0, -1)` up.
pub fn bound(picture: &mut Picture, at: Point, radius: f64, towards: Point, ink: Ink) {
    let place = |along: f64, aside: f64| {
        let (dx, dy) = towards;
        (
            at.0 + dx * along - dy * aside,
            at.1 + dy * along + dx * aside,
        )
    };
    let tip = place(radius + 9.0, 0.0);
    picture.line(at, tip, 1.5, ink);
    let head = vec![place(radius + 5.0, -3.0), tip, place(radius + 5.0, 3.0)];
    picture.path(head, 1.5, ink, 1.0);
    picture.ring(at, radius, ink);
}

/// Swatches with their names, from `at` to the right.
pub fn legend(picture: &mut Picture, at: (f64, f64), entries: &[(Ink, &str)]) {
    let mut x = at.0;
    for (ink, name) in entries {
        picture.rect((x, at.1 - 9.0), (10.0, 10.0), *ink, 1.0);
        picture.note((x + 14.0, at.1), Anchor::Start, name);
        x += 14.0 + text_width(name, SMALL) + 16.0;
    }
}

/// About how wide a text is, units: a little more than DejaVu Sans needs on average.
pub fn text_width(text: &str, em: f64) -> f64 {
    text.chars().count() as f64 * em * 0.57
}

/// Points of a step line through `(from, to, value)`, resting at zero in the gaps.
pub fn steps(steps: &[(f64, f64, f64)], x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
    let mut points = Vec::with_capacity(steps.len() * 4);
    for (from, to, value) in steps {
        points.push((x.at(*from), y.at(0.0)));
        points.push((x.at(*from), y.at(*value)));
        points.push((x.at(*to), y.at(*value)));
        points.push((x.at(*to), y.at(0.0)));
    }
    // Adjoining steps need no visit to zero between them.
    let mut joined: Vec<(f64, f64)> = Vec::with_capacity(points.len());
    for (index, point) in points.iter().enumerate() {
        let down_then_up =
            index >= 2 && index % 4 == 0 && (points[index - 1].0 - point.0).abs() < 0.75;
        if down_then_up {
            joined.pop();
        } else {
            joined.push(*point);
        }
    }
    joined
}
