//! Small multiples: one panel per arm, two beside each other.

use super::axes::{self, HEAD, Plot, WIDTH};
use super::palette::Ink;
use super::picture::{Anchor, LABEL, Picture};

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
    used: usize,
}

impl Sheet {
    /// A sheet for `panels` plots of a height.
    pub fn new(
        title: &str,
        note: &str,
        legend: &[(Ink, &str)],
        panels: usize,
        height: f64,
    ) -> Self {
        let columns = COLUMNS.min(panels.max(1));
        let lines = panels.div_ceil(columns) as f64;
        let mut picture =
            Picture::new(WIDTH, HEAD + 26.0 + lines * (height + ABOVE + BELOW), title);
        axes::head(&mut picture, title, note);
        axes::legend(&mut picture, (0.0, HEAD + 6.0), legend);
        Sheet {
            picture,
            height,
            columns,
            used: 0,
        }
    }

    /// The next panel's plot, with its title and a note beside that.
    pub fn panel(&mut self, title: &str, note: &str) -> Plot {
        let columns = self.columns as f64;
        let width = (WIDTH - GAP * (columns - 1.0)) / columns;
        let left = (self.used % self.columns) as f64 * (width + GAP);
        let top = HEAD + 26.0 + (self.used / self.columns) as f64 * (self.height + ABOVE + BELOW);
        self.used += 1;
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
