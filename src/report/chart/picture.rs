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

/// Across and down, in units.
pub type Point = (f64, f64);

/// Em of labels.
pub const LABEL: f64 = 12.0;
/// Em of tick labels and notes.
pub const SMALL: f64 = 11.0;

/// A shape in an ink, `alpha` from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Element {
    pub(super) shape: Shape,
    pub(super) ink: Ink,
    pub(super) alpha: f64,
}

/// What an element is. Lengths in units.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Corner and size.
    Rect(Point, Point),
    /// Points and width.
    Path(Vec<Point>, f64),
    /// Centre and radius.
    Dot(Point, f64),
    Text {
        at: Point,
        size: f64,
        anchor: Anchor,
        bold: bool,
        text: String,
    },
}

/// A place that tells its figures when a pointer rests on it (in a page).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tip {
    pub(super) at: Point,
    pub(super) size: Point,
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

    fn push(&mut self, shape: Shape, ink: Ink, alpha: f64) {
        self.elements.push(Element { shape, ink, alpha });
    }

    /// A filled rectangle; nothing if a side isn't positive.
    pub fn rect(&mut self, at: Point, size: Point, ink: Ink, alpha: f64) {
        if size.0 > 0.0 && size.1 > 0.0 && all_finite(&[at, size]) {
            self.push(Shape::Rect(at, size), ink, alpha);
        }
    }

    /// A straight line.
    pub fn line(&mut self, from: Point, to: Point, width: f64, ink: Ink) {
        self.path(vec![from, to], width, ink, 1.0);
    }

    /// A dashed vertical or horizontal line.
    pub fn dashes(&mut self, from: Point, to: Point, width: f64, ink: Ink) {
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
    pub fn path(&mut self, points: Vec<Point>, width: f64, ink: Ink, alpha: f64) {
        if points.len() > 1 && all_finite(&points) {
            self.push(Shape::Path(points, width), ink, alpha);
        }
    }

    /// A filled circle.
    pub fn dot(&mut self, at: Point, radius: f64, ink: Ink, alpha: f64) {
        if all_finite(&[at]) {
            self.push(Shape::Dot(at, radius), ink, alpha);
        }
    }

    /// A circle that is not filled: of what was not observed as such.
    pub fn ring(&mut self, at: Point, radius: f64, ink: Ink) {
        self.dot(at, radius, ink, 1.0);
        self.dot(at, radius - 1.3, Ink::Paper, 1.0);
    }

    /// A text whose baseline is at `at`; `size` is its em.
    pub fn text(&mut self, at: Point, size: f64, anchor: Anchor, ink: Ink, text: &str) {
        self.write(at, size, anchor, false, ink, text);
    }

    /// A small muted text: of a tick, an axis, a note.
    pub fn note(&mut self, at: Point, anchor: Anchor, text: &str) {
        self.text(at, SMALL, anchor, Ink::Muted, text);
    }

    /// A bold text of a size.
    pub fn bold(&mut self, at: Point, size: f64, text: &str) {
        self.write(at, size, Anchor::Start, true, Ink::Text, text);
    }

    fn write(&mut self, at: Point, size: f64, anchor: Anchor, bold: bool, ink: Ink, text: &str) {
        if all_finite(&[at]) && !text.is_empty() {
            let shape = Shape::Text {
                at,
                size,
                anchor,
                bold,
                text: text.to_owned(),
            };
            self.push(shape, ink, 1.0);
        }
    }

    /// A tip over a rectangle.
    pub fn tip(&mut self, at: Point, size: Point, text: impl Into<String>) {
        if all_finite(&[at, size]) {
            let text = text.into();
            self.tips.push(Tip { at, size, text });
        }
    }
}

fn all_finite(points: &[Point]) -> bool {
    points.iter().all(|(x, y)| x.is_finite() && y.is_finite())
}
