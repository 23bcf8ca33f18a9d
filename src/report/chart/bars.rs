//! Stacked bars, one row per arm: parts as segments, every repetition's total as a dot.

use super::axes::{self, HEAD, Plot, WIDTH};
use super::palette::Ink;
use super::picture::{Anchor, LABEL, Picture};
use super::scale::Scale;
use crate::arm::Arm;
use crate::present::text;
use crate::stats::Interval;

/// A bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Its arm.
    pub arm: Arm,
    /// Its parts in order: name, ink, median.
    pub parts: Vec<(&'static str, Ink, f64)>,
    /// The median of the totals.
    pub total: Option<Interval>,
    /// Every repetition's total with its tip.
    pub dots: Vec<(f64, String)>,
    /// What stands in the row instead of a bar, or under the arm's name.
    pub note: String,
}

/// The parts of a bar; of a whole whose parts are not known, the whole in the arm's colour.
pub fn divided(
    parts: Vec<(&'static str, Ink, f64)>,
    arm: Arm,
    whole: Option<Interval>,
) -> Vec<(&'static str, Ink, f64)> {
    match whole {
        Some(whole) if parts.is_empty() => vec![("not divided", Ink::Arm(arm), whole.median)],
        _ => parts,
    }
}

/// Bars side by side: one panel each, rows shared.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Above the panel.
    pub title: &'static str,
    /// Under its axis.
    pub axis: &'static str,
    /// One bar per arm, in the same order in every panel.
    pub bars: Vec<Bar>,
    /// A value that a dashed line marks.
    pub limit: Option<(f64, String)>,
}

/// A chart of panels.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Its title.
    pub title: &'static str,
    /// The note under it.
    pub note: &'static str,
    /// What its greys and colours mean.
    pub legend: Vec<(Ink, &'static str)>,
    /// Side by side.
    pub panels: Vec<Panel>,
}

const ROW: f64 = 30.0;
const NAMES: f64 = 112.0;
const FIGURE: f64 = 56.0;
const GAP: f64 = 18.0;
/// Software arms whose bars are this many times the others' get axes of their own.
const APART: f64 = 3.0;

fn longest(bars: &[Bar], rows: &[usize]) -> f64 {
    rows.iter().fold(0.0, |longest: f64, row| {
        let bar = &bars[*row];
        let sum: f64 = bar.parts.iter().map(|part| part.2).sum();
        let dots = bar.dots.iter().fold(0.0, |most: f64, dot| most.max(dot.0));
        longest.max(sum).max(dots)
    })
}

/// Rows that stand together under one axis.
struct Group {
    rows: Vec<usize>,
    /// The rows that its scale has room for: those of every group of arms that are drawn alike.
    alike: Vec<usize>,
    /// Whether these are software arms on a scale of their own.
    apart: bool,
    /// The baseline of their group of arms, before whose first rows stands its heading.
    base: Option<Arm>,
}

/// The rows by groups of arms; in each, software arms apart where they would flatten the rest.
fn groups(panels: &[Panel]) -> Vec<Group> {
    let Some(first) = panels.first() else {
        return Vec::new();
    };
    let arm = |row: &usize| first.bars[*row].arm;
    let all: Vec<usize> = (0..first.bars.len()).collect();
    let (software, others): (Vec<usize>, Vec<usize>) =
        all.iter().partition(|row| arm(row).is_software());
    let apart = panels.iter().any(|panel| {
        let rest = longest(&panel.bars, &others);
        rest > 0.0 && longest(&panel.bars, &software) > APART * rest
    });
    let kinds = match apart {
        true => vec![(others, false), (software, true)],
        false => vec![(all.clone(), false)],
    };
    let of_arms: Vec<&[usize]> = all
        .chunk_by(|a, b| arm(a).base() == arm(b).base())
        .collect();
    let mut found = Vec::new();
    for rows in &of_arms {
        let mut base = (of_arms.len() > 1).then(|| arm(&rows[0]).base());
        for (alike, apart) in &kinds {
            let own = rows.iter().copied().filter(|row| alike.contains(row));
            let rows: Vec<usize> = own.collect();
            if !rows.is_empty() {
                let alike = alike.clone();
                found.push(Group {
                    rows,
                    alike,
                    apart: *apart,
                    base: base.take(),
                });
            }
        }
    }
    found
}

impl Chart {
    /// The picture, or `None` if no bar has a value.
    pub fn draw(&self) -> Option<Picture> {
        let bars = self.panels.iter().flat_map(|panel| &panel.bars);
        if bars.clone().all(|bar| bar.total.is_none()) {
            return None;
        }
        let groups = groups(&self.panels);
        let heights = groups.iter().map(|group| {
            let heading = group.base.map_or(0.0, |_| axes::GROUP);
            group.rows.len() as f64 * ROW + 66.0 + heading
        });
        let height: f64 = heights.sum();
        let mut picture = Picture::new(WIDTH, HEAD + 18.0 + height, self.title);
        axes::head(&mut picture, self.title, self.note);
        axes::legend(&mut picture, (0.0, HEAD + 6.0), &self.legend);
        let n = self.panels.len() as f64;
        let width = (WIDTH - NAMES - GAP * (n - 1.0)) / n;
        let mut top = HEAD + 40.0;
        for group in &groups {
            if let Some(base) = group.base {
                axes::group(&mut picture, top - 24.0, base);
                top += axes::GROUP;
            }
            let rows = &group.rows;
            let bottom = top + rows.len() as f64 * ROW;
            for (line, row) in rows.iter().enumerate() {
                let y = top + (line as f64 + 0.5) * ROW;
                let (x, bar) = (NAMES - 8.0, &self.panels[0].bars[*row]);
                let doubt = match (&bar.total, bar.note.as_str()) {
                    (None, _) => String::new(),
                    (Some(total), "") => text::basis(total.level, total.n),
                    (Some(total), note) => format!("{note}, n {}", total.n),
                };
                axes::row(&mut picture, (x, y), bar.arm, &doubt);
            }
            for (column, panel) in self.panels.iter().enumerate() {
                let left = NAMES + column as f64 * (width + GAP);
                let plot = Plot {
                    left,
                    right: left + width - FIGURE,
                    top,
                    bottom,
                };
                let title = match group.apart {
                    false => panel.title.to_owned(),
                    true => format!("{}, software AES (another scale)", panel.title),
                };
                picture.bold((left, top - 8.0), LABEL, &title);
                self.draw_panel(&mut picture, panel, group, &plot);
            }
            top = bottom + 66.0;
        }
        Some(picture)
    }

    fn draw_panel(&self, picture: &mut Picture, panel: &Panel, group: &Group, plot: &Plot) {
        let longest = longest(&panel.bars, &group.alike);
        let limit = panel.limit.as_ref().filter(|limit| limit.0 < longest * 3.0);
        let high = limit.map_or(longest, |limit| longest.max(limit.0));
        let scale = Scale::from_zero(high, (plot.left, plot.right));
        axes::x_axis(picture, plot, &scale, 4, panel.axis, text::tick);
        for (line, row) in group.rows.iter().enumerate() {
            let y = plot.top + (line as f64 + 0.5) * ROW;
            self.draw_bar(picture, &panel.bars[*row], &scale, y, plot.right);
        }
        if let Some((value, name)) = limit {
            let x = scale.at(*value);
            picture.dashes((x, plot.top), (x, plot.bottom), 1.5, Ink::Text);
            let name = format!("dashes: {name}");
            picture.note((plot.right, plot.top - 8.0), Anchor::End, &name);
        }
    }

    fn draw_bar(&self, picture: &mut Picture, bar: &Bar, scale: &Scale, y: f64, right: f64) {
        const THICK: f64 = 13.0;
        let top = y - 9.0;
        let Some(total) = &bar.total else {
            let x = scale.at(0.0) + 6.0;
            picture.note((x, y + 3.0), Anchor::Start, &bar.note);
            return;
        };
        let mut from = 0.0;
        for (name, ink, value) in &bar.parts {
            let (x, end) = (scale.at(from), scale.at(from + value));
            picture.rect((x, top), (end - x, THICK), *ink, 1.0);
            if from > 0.0 && end - x > 1.5 {
                picture.rect((x - 0.5, top), (1.0, THICK), Ink::Paper, 1.0);
            }
            let tip = format!("{}, {name}: {}", bar.arm, text::sig3(*value));
            picture.tip((x, top), (end - x, THICK), tip);
            from += value;
        }
        if total.n > 1 {
            let (low, high) = (scale.at(total.low), scale.at(total.high));
            picture.line((low, y + 8.0), (high, y + 8.0), 1.0, Ink::Text);
        }
        for (value, tip) in &bar.dots {
            let x = scale.at(*value);
            picture.dot((x, y + 8.0), 1.8, Ink::Arm(bar.arm), 0.7);
            picture.tip((x - 3.0, y + 5.0), (6.0, 6.0), tip.as_str());
        }
        let dots = bar.dots.iter().map(|dot| scale.at(dot.0));
        let end = dots.fold(scale.at(from), f64::max);
        let figure = text::sig3(total.median);
        let x = (end + 6.0).min(right + 6.0);
        picture.bold((x, y + 3.0), LABEL, &figure);
    }
}
