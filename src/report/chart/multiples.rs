//! Small multiples: panels, mostly one per arm, two beside each other, groups of arms apart.

use super::axes::{self, HEAD, Plot, WIDTH};
use super::palette::Ink;
use super::picture::{Anchor, LABEL, Picture};
use crate::arm::Arm;

/// Panels beside each other at most.
const COLUMNS: usize = 2;
/// Space between them.
const GAP: f64 = 26.0;
/// Room for a vertical axis.
const AXIS: f64 = 44.0;
/// From a panel's top to its plot.
const ABOVE: f64 = 36.0;
/// From a plot's bottom to the next panel.
const BELOW: f64 = 46.0;

/// A sheet of panels.
#[derive(Debug)]
pub struct Sheet {
    /// The picture that they are drawn in.
    pub picture: Picture,
    height: f64,
    columns: usize,
    /// Whether its arms are of several groups, which then have headings.
    grouped: bool,
    /// The baseline of the group of the last panel.
    base: Option<Arm>,
    /// Where the next panel stands, and the upper edge of its line.
    column: usize,
    top: f64,
}

impl Sheet {
    /// A sheet for plots of a height: of each its arm, if it is of one, in table order.
    pub fn new(
        title: &str,
        note: &str,
        legend: &[(Ink, &str)],
        panels: impl Iterator<Item = Option<Arm>>,
        height: f64,
    ) -> Self {
        let bases: Vec<Option<Arm>> = panels.map(|arm| arm.map(Arm::base)).collect();
        let groups: Vec<usize> = bases.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
        let grouped = groups.len() > 1;
        let columns = COLUMNS.min(bases.len().max(1));
        let lines: usize = groups.iter().map(|panels| panels.div_ceil(columns)).sum();
        let headings = if grouped { groups.len() } else { 0 };
        let top = HEAD + 26.0;
        let mut picture = Picture::new(
            WIDTH,
            top + headings as f64 * axes::GROUP + lines as f64 * (height + ABOVE + BELOW),
            title,
        );
        axes::head(&mut picture, title, note);
        axes::legend(&mut picture, (0.0, HEAD + 6.0), legend);
        Sheet {
            picture,
            height,
            columns,
            grouped,
            base: None,
            column: 0,
            top,
        }
    }

    /// The plot of the next arm's panel, which has its name, and a note beside that.
    pub fn arm_panel(&mut self, arm: Arm, note: &str) -> Plot {
        let is_new = self.base != Some(arm.base());
        if is_new && self.base.is_some() {
            self.break_line();
        }
        if is_new && self.grouped {
            axes::group(&mut self.picture, self.top, arm.base());
            self.top += axes::GROUP;
        }
        self.base = Some(arm.base());
        self.panel(arm.name(), note)
    }

    fn break_line(&mut self) {
        self.column = 0;
        self.top += self.height + ABOVE + BELOW;
    }

    /// The next panel's plot, with its title and a note beside that.
    pub fn panel(&mut self, title: &str, note: &str) -> Plot {
        if self.column == self.columns {
            self.break_line();
        }
        let columns = self.columns as f64;
        let width = (WIDTH - GAP * (columns - 1.0)) / columns;
        let left = self.column as f64 * (width + GAP);
        let top = self.top;
        self.column += 1;
        self.picture.bold((left, top + 10.0), LABEL, title);
        let beside = left + axes::text_width(title, LABEL) * 1.12 + 10.0;
        self.picture.note((beside, top + 10.0), Anchor::Start, note);
        Plot {
            left: left + AXIS,
            right: left + width,
            top: top + ABOVE,
            bottom: top + ABOVE + self.height,
        }
    }
}
