//! A picture: elements in a coordinate system of its own, of which a page shows a unit as a CSS
//! pixel. [`super::render`] draws it.

use super::palette::Ink;

/// Where a text's position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its left end.
    Start,
    /// At its middle.
    Middle,
    /// At its right end.
    End,
}

/// A element. Lengths in units, `alpha` from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Element {
    Rect {
        at: (f64, f64),
        size: (f64, f64),
        ink: Ink,
        alpha: f64,
    },
    Path {
        points: Vec<(f64, f64)>,
        width: f64,
        ink: Ink,
        alpha: f64,
    },
    Dot {
        at: (f64, f64),
        radius: f64,
        ink: Ink,
        alpha: f64,
    },
    Text {
        at: (f64, f64),
        size: f64,
        anchor: Anchor,
        bold: bool,
        ink: Ink,
        text: String,
    },
}

/// A place that tells its figures when a pointer rests on it (in a page).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tip {
    pub(super) at: (f64, f64),
    pub(super) size: (f64, f64),
    pub(super) text: String,
}

/// A picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Width in units.
    pub width: f64,
    /// Height in units.
    pub height: f64,
    /// What it shows, for readers who don't see it.
    pub label: String,
    pub(super) elements: Vec<Element>,
    pub(super) tips: Vec<Tip>,
}

impl Picture {
    /// An empty picture.
    pub fn new(width: f64, height: f64, label: impl Into<String>) -> Self {
        Picture {
            width,
            height,
            label: label.into(),
            elements: Vec::new(),
            tips: Vec::new(),
        }
    }

    /// A filled rectangle; nothing if a side isn't positive.
    pub fn rect(&mut self, at: (f64, f64), size: (f64, f64), ink: Ink, alpha: f64) {
        if size.0 > 0.0 && size.1 > 0.0 && all_finite(&[at, size]) {
            self.elements.push(Element::Rect {
                at,
                size,
                ink,
                alpha,
            });
        }
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, ink: Ink) {
        self.path(vec![from, to], width, ink, 1.0);
    }

    /// A dashed vertical or horizontal line.
    pub fn dashes(&mut self, from: (f64, f64), to: (f64, f64), width: f64, ink: Ink) {
        const DASH: f64 = 4.0;
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        let mut done = 0.0;
        while done < length {
            let point = |at: f64| (from.0 + dx * at / length, from.1 + dy * at / length);
            self.line(point(done), point((done + DASH).min(length)), width, ink);
            done += 2.0 * DASH;
        }
    }

    /// A line through points.
    pub fn path(&mut self, points: Vec<(f64, f64)>, width: f64, ink: Ink, alpha: f64) {
        if points.len() > 1 && all_finite(&points) {
            self.elements.push(Element::Path {
                points,
                width,
                ink,
                alpha,
            });
        }
    }

    /// A filled circle.
    pub fn dot(&mut self, at: (f64, f64), radius: f64, ink: Ink, alpha: f64) {
        if all_finite(&[at]) {
            self.elements.push(Element::Dot {
                at,
                radius,
                ink,
                alpha,
            });
        }
    }

    /// A text whose baseline is at `at`; `size` is its em.
    pub fn text(&mut self, at: (f64, f64), size: f64, anchor: Anchor, ink: Ink, text: &str) {
        self.write(at, size, anchor, false, ink, text);
    }

    /// A bold [`Picture::text`].
    pub fn bold(&mut self, at: (f64, f64), size: f64, anchor: Anchor, ink: Ink, text: &str) {
        self.write(at, size, anchor, true, ink, text);
    }

    fn write(&mut self, at: (f64, f64), size: f64, anchor: Anchor, bold: bool, ink: Ink, t: &str) {
        if all_finite(&[at]) && !t.is_empty() {
            let text = t.to_owned();
            self.elements.push(Element::Text {
                at,
                size,
                anchor,
                bold,
                ink,
                text,
            });
        }
    }

    /// A tip over a rectangle.
    pub fn tip(&mut self, at: (f64, f64), size: (f64, f64), text: impl Into<String>) {
        if all_finite(&[at, size]) {
            self.tips.push(Tip {
                at,
                size,
                text: text.into(),
            });
        }
    }
}

fn all_finite(points: &[(f64, f64)]) -> bool {
    points.iter().all(|(x, y)| x.is_finite() && y.is_finite())
}
