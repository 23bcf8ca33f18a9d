//! A picture: shapes in a coordinate system of its own, drawn by the same code into SVG and PNG.
//!
//! Charts put shapes into a [`Picture`]; one function generic over plotters' `DrawingBackend`
//! draws them. Coordinates are in units of which a page shows one as a CSS pixel.

use plotters::prelude::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle, register_font,
};

use super::palette::{self, Ink};
use crate::error::{Error, Result};
use crate::report::text;

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

/// A shape. Lengths in units, `alpha` from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Rect { at: (f64, f64), size: (f64, f64), ink: Ink, alpha: f64 },
    Path { points: Vec<(f64, f64)>, width: f64, ink: Ink, alpha: f64 },
    Dot { at: (f64, f64), radius: f64, ink: Ink, alpha: f64 },
    Text { at: (f64, f64), size: f64, anchor: Anchor, bold: bool, ink: Ink, text: String },
}

/// A place that tells its figures when a pointer rests on it (in a page).
#[derive(Debug, Clone, PartialEq)]
struct Tip {
    at: (f64, f64),
    size: (f64, f64),
    text: String,
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
    shapes: Vec<Shape>,
    tips: Vec<Tip>,
}

/// How a backend's coordinates and text differ from the picture's.
struct Target {
    /// Backend pixels per unit.
    scale: f64,
    /// Plotters' font size over the em that the backend draws.
    size_per_em: f64,
    /// Distance from a top-anchored text's position to its baseline, over plotters' font size.
    baseline: f64,
}

/// plotters-svg divides the size by 1.24 and puts the baseline 0.76 em below.
const SVG: Target = Target { scale: 2.0, size_per_em: 1.24, baseline: 0.76 / 1.24 };
/// plotters takes the size as ascent plus descent (1.164 em in DejaVu Sans) and puts the baseline
/// half of it below. Drawn at twice the pixels of the file, which smooths every edge.
const BITMAP: Target = Target { scale: 4.0, size_per_em: 1.164, baseline: 0.5 };
/// Backend pixels of a bitmap, each way, that become one pixel of the file.
const SHRINK: usize = 2;

/// White space around every picture, units.
const PAD: f64 = 6.0;

/// The family that charts are set in; in the page the style sheet decides.
const FAMILY: &str = "sans-serif";

impl Picture {
    /// An empty picture.
    pub fn new(width: f64, height: f64, label: impl Into<String>) -> Self {
        Picture { width, height, label: label.into(), shapes: Vec::new(), tips: Vec::new() }
    }

    /// A filled rectangle; nothing if a side isn't positive.
    pub fn rect(&mut self, at: (f64, f64), size: (f64, f64), ink: Ink, alpha: f64) {
        if size.0 > 0.0 && size.1 > 0.0 && all_finite(&[at, size]) {
            self.shapes.push(Shape::Rect { at, size, ink, alpha });
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
            self.shapes.push(Shape::Path { points, width, ink, alpha });
        }
    }

    /// A filled circle.
    pub fn dot(&mut self, at: (f64, f64), radius: f64, ink: Ink, alpha: f64) {
        if all_finite(&[at]) {
            self.shapes.push(Shape::Dot { at, radius, ink, alpha });
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
            self.shapes.push(Shape::Text { at, size, anchor, bold, ink, text });
        }
    }

    /// A tip over a rectangle.
    pub fn tip(&mut self, at: (f64, f64), size: (f64, f64), text: impl Into<String>) {
        if all_finite(&[at, size]) {
            self.tips.push(Tip { at, size, text: text.into() });
        }
    }

    /// The picture as an SVG element for a page: themed inks follow the page's CSS variables, text
    /// its font.
    pub fn svg(&self) -> Result<String> {
        let mut out = String::new();
        let size = self.pixels(SVG.scale);
        {
            let mut backend = SVGBackend::with_string(&mut out, size);
            self.draw(&mut backend, &SVG)?;
        }
        let head = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
        out = out.replacen(
            &head,
            &format!("<svg role=\"img\" aria-label=\"{}\"", text::html(&self.label)),
            1,
        );
        out = out.replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", "");
        out = out.replace(&format!(" font-family=\"{FAMILY}\""), "");
        for (ink, name) in Ink::THEMED {
            let colour = palette::hex(ink.rgb());
            for attribute in ["fill", "stroke"] {
                out = out.replace(
                    &format!(" {attribute}=\"{colour}\""),
                    &format!(" style=\"{attribute}:var(--{name})\""),
                );
            }
        }
        let tips: String = self.tips.iter().map(Tip::svg).collect();
        if let Some(end) = out.rfind("</svg>") {
            out.insert_str(end, &tips);
        }
        Ok(out)
    }

    /// The picture as a PNG file, two pixels a unit, on white.
    pub fn png(&self) -> Result<Vec<u8>> {
        let (width, height) = self.pixels(BITMAP.scale);
        let mut pixels = vec![255u8; width as usize * height as usize * 3];
        {
            let mut backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
            self.draw(&mut backend, &BITMAP)?;
        }
        let small = shrink(&pixels, width as usize, height as usize);
        let mut file = Vec::new();
        let mut encoder =
            png::Encoder::new(&mut file, width / SHRINK as u32, height / SHRINK as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        // Flat areas repeat whole rows: unfiltered they compress several times better.
        encoder.set_filter(png::FilterType::NoFilter);
        encoder.set_adaptive_filter(png::AdaptiveFilterType::NonAdaptive);
        encoder.set_compression(png::Compression::Best);
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&small))
            .map_err(|error| cannot_draw(&error))?;
        Ok(file)
    }

    /// Backend pixels at a scale; even, so that they shrink without a rest.
    fn pixels(&self, scale: f64) -> (u32, u32) {
        let whole = |units: f64| (units.ceil() * scale) as u32;
        (whole(self.width + 2.0 * PAD), whole(self.height + 2.0 * PAD))
    }

    fn draw<DB: DrawingBackend>(&self, backend: &mut DB, target: &Target) -> Result<()> {
        fonts()?;
        for shape in &self.shapes {
            draw(backend, target, shape)?;
        }
        backend.present().map_err(|error| cannot_draw(&error))
    }
}

impl Tip {
    fn svg(&self) -> String {
        let length = |value: f64| (value * SVG.scale).round() as i64;
        let at = |value: f64| length(value + PAD);
        format!(
            "<rect class=\"tip\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>\n",
            at(self.at.0),
            at(self.at.1),
            length(self.size.0).max(1),
            length(self.size.1).max(1),
            text::html(&self.text)
        )
    }
}

fn all_finite(points: &[(f64, f64)]) -> bool {
    points.iter().all(|(x, y)| x.is_finite() && y.is_finite())
}

fn cannot_draw(error: &dyn std::fmt::Display) -> Error {
    Error::CannotRun(format!("cannot draw a chart: {error}"))
}

/// Registers the fonts that bitmaps are set in, once.
fn fonts() -> Result<()> {
    static READY: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let ready = READY.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular()).is_ok()
            && register_font(FAMILY, FontStyle::Bold, dejavu::sans::bold()).is_ok()
    });
    if *ready {
        Ok(())
    } else {
        Err(Error::CannotRun("cannot draw a chart: its font is damaged".to_owned()))
    }
}

/// Draws one shape: the only place that knows plotters' drawing calls.
fn draw<DB: DrawingBackend>(
    backend: &mut DB,
    target: &Target,
    shape: &Shape,
) -> Result<()> {
    let at = |(x, y): (f64, f64)| {
        let pixel = |units: f64| ((units + PAD) * target.scale).round() as i32;
        (pixel(x), pixel(y))
    };
    let rgb = |ink: Ink| {
        let (r, g, b) = ink.rgb();
        RGBColor(r, g, b)
    };
    let drawn = match shape {
        Shape::Rect { at: corner, size, ink, alpha } => {
            let end = (corner.0 + size.0, corner.1 + size.1);
            backend.draw_rect(at(*corner), at(end), &rgb(*ink).mix(*alpha).filled(), true)
        }
        Shape::Path { points, width, ink, alpha } => {
            let width = (width * target.scale).round().max(1.0) as u32;
            let style: ShapeStyle = rgb(*ink).mix(*alpha).stroke_width(width);
            backend.draw_path(points.iter().map(|point| at(*point)), &style)
        }
        Shape::Dot { at: centre, radius, ink, alpha } => {
            let radius = (radius * target.scale).round().max(1.0) as u32;
            backend.draw_circle(at(*centre), radius, &rgb(*ink).mix(*alpha).filled(), true)
        }
        Shape::Text { at: place, size, anchor, bold, ink, text } => {
            let points = size * target.scale * target.size_per_em;
            let top = place.1 - points * target.baseline / target.scale;
            let horizontal = match anchor {
                Anchor::Start => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::End => HPos::Right,
            };
            let style = if *bold { FontStyle::Bold } else { FontStyle::Normal };
            // `FontDesc::style` would keep the regular face's outlines.
            let font = FontDesc::new(FontFamily::SansSerif, points, style);
            let colour = rgb(*ink);
            let style = TextStyle::from(font)
                .color(&colour)
                .pos(Pos::new(horizontal, VPos::Top));
            backend.draw_text(text, &style, at((place.0, top)))
        }
    };
    drawn.map_err(|error| cannot_draw(&error))
}

/// Averages squares of [`SHRINK`] by [`SHRINK`] RGB pixels.
fn shrink(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len() / (SHRINK * SHRINK));
    for y in (0..height - height % SHRINK).step_by(SHRINK) {
        for x in (0..width - width % SHRINK).step_by(SHRINK) {
            for channel in 0..3 {
                let mut sum = 0u32;
                for dy in 0..SHRINK {
                    for dx in 0..SHRINK {
                        sum += u32::from(pixels[((y + dy) * width + x + dx) * 3 + channel]);
                    }
                }
                let n = (SHRINK * SHRINK) as u32;
                out.push(u8::try_from((sum + n / 2) / n).unwrap_or(u8::MAX));
            }
        }
    }
    out
}
