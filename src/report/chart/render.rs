//! Pictures as SVG and PNG, by the same drawing code: one function generic over plotters'
//! `DrawingBackend`.

use maud::html;
use plotters::prelude::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle, register_font,
};

use super::palette::{self, Ink};
use super::picture::{Anchor, Element, Picture, Shape, Tip};
use crate::error::{Error, Result};

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
const SVG: Target = Target {
    scale: 2.0,
    size_per_em: 1.24,
    baseline: 0.76 / 1.24,
};
/// plotters takes the size as ascent plus descent (1.164 em in DejaVu Sans) and puts the baseline
/// half of it below. Drawn at twice the pixels of the file, which smooths every edge.
const BITMAP: Target = Target {
    scale: 4.0,
    size_per_em: 1.164,
    baseline: 0.5,
};
/// Backend pixels of a bitmap, each way, that become one pixel of the file.
const SHRINK: usize = 2;

/// White space around every picture, units.
const PAD: f64 = 6.0;

/// The family that charts are set in; in the page the style sheet decides.
const FAMILY: &str = "sans-serif";

impl Picture {
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
        let label = html! { (self.label) }.into_string();
        let named = format!("<svg role=\"img\" aria-label=\"{label}\"");
        out = out.replacen(&head, &named, 1);
        out = out
            .replace(" opacity=\"1\"", "")
            .replace(" stroke=\"none\"", "");
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
        let size = (width / SHRINK as u32, height / SHRINK as u32);
        png_file(&small, size).map_err(|error| cannot_draw(&error))
    }

    /// Backend pixels at a scale; even, so that they shrink without a rest.
    fn pixels(&self, scale: f64) -> (u32, u32) {
        let whole = |units: f64| (units.ceil() * scale) as u32;
        (
            whole(self.width + 2.0 * PAD),
            whole(self.height + 2.0 * PAD),
        )
    }

    fn draw<DB: DrawingBackend>(&self, backend: &mut DB, target: &Target) -> Result<()> {
        fonts()?;
        for element in &self.elements {
            draw(backend, target, element)?;
        }
        backend.present().map_err(|error| cannot_draw(&error))
    }
}

/// A PNG file of `pixels`: red, green, blue a pixel, row by row, `(width, height)` pixels.
///
/// # Errors
/// If their number is not that of the size.
pub fn png_file(
    pixels: &[u8],
    (width, height): (u32, u32),
) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    // Flat areas repeat whole rows: unfiltered they compress several times better.
    encoder.set_filter(png::Filter::NoFilter);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(file)
}

impl Tip {
    fn svg(&self) -> String {
        let length = |value: f64| (value * SVG.scale).round() as i64;
        let at = |value: f64| length(value + PAD);
        let size = |value: f64| length(value).max(1);
        html! {
            rect class="tip" x=(at(self.at.0)) y=(at(self.at.1))
                width=(size(self.size.0)) height=(size(self.size.1)) { title { (self.text) } }
            "\n"
        }
        .into_string()
    }
}

fn cannot_draw(error: &dyn std::fmt::Display) -> Error {
    Error::CannotRun(format!("cannot draw a chart: {error}"))
}

/// Registers the fonts that bitmaps are set in, once.
///
/// # Errors
/// A font that can't be read.
pub(crate) fn fonts() -> Result<()> {
    static READY: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let ready = READY.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular()).is_ok()
            && register_font(FAMILY, FontStyle::Bold, dejavu::sans::bold()).is_ok()
    });
    match ready {
        true => Ok(()),
        false => Err(cannot_draw(&"its font is damaged")),
    }
}

/// Draws one element: the only place that knows plotters' drawing calls.
fn draw<DB: DrawingBackend>(backend: &mut DB, target: &Target, element: &Element) -> Result<()> {
    let at = |(x, y): (f64, f64)| {
        let pixel = |units: f64| ((units + PAD) * target.scale).round() as i32;
        (pixel(x), pixel(y))
    };
    let (r, g, b) = element.ink.rgb();
    let colour = RGBColor(r, g, b).mix(element.alpha);
    let drawn = match &element.shape {
        Shape::Rect(corner, size) => {
            let end = (corner.0 + size.0, corner.1 + size.1);
            backend.draw_rect(at(*corner), at(end), &colour.filled(), true)
        }
        Shape::Path(points, width) => {
            let width = (width * target.scale).round().max(1.0) as u32;
            let style: ShapeStyle = colour.stroke_width(width);
            backend.draw_path(points.iter().map(|point| at(*point)), &style)
        }
        Shape::Dot(centre, radius) => {
            let radius = (radius * target.scale).round().max(1.0) as u32;
            backend.draw_circle(at(*centre), radius, &colour.filled(), true)
        }
        Shape::Text {
            at: place,
            size,
            anchor,
            bold,
            text,
        } => {
            let points = size * target.scale * target.size_per_em;
            let top = place.1 - points * target.baseline / target.scale;
            let horizontal = match anchor {
                Anchor::Start => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::End => HPos::Right,
            };
            let style = if *bold {
                FontStyle::Bold
            } else {
                FontStyle::Normal
            };
            // `FontDesc::style` would keep the regular face's outlines.
            let font = FontDesc::new(FontFamily::SansSerif, points, style);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::Arm;

    fn picture() -> Picture {
        let mut picture = Picture::new(60.0, 20.0, "a <label>");
        picture.rect((0.0, 0.0), (30.0, 20.0), Ink::Arm(Arm::COPY), 1.0);
        picture.line((30.0, 10.0), (60.0, 10.0), 2.0, Ink::Text);
        picture.text((30.0, 18.0), 8.0, Anchor::Start, Ink::Muted, "a & b");
        picture.tip((0.0, 0.0), (30.0, 20.0), "1 < 2");
        // What has no place is not drawn.
        picture.dot((f64::NAN, 0.0), 3.0, Ink::Arm(Arm::foremost()), 1.0);
        picture.rect((0.0, 0.0), (-1.0, 5.0), Ink::Arm(Arm::foremost()), 1.0);
        picture
    }

    #[test]
    fn an_svg_follows_the_page_and_keeps_the_arms_colours() {
        let svg = picture().svg().unwrap();
        for part in [
            "<svg role=\"img\" aria-label=\"a &lt;label&gt;\" viewBox=\"0 0 144 64\"",
            "fill=\"#009E73\"",
            "style=\"stroke:var(--ink)\"",
            "style=\"fill:var(--muted)\"",
            "<title>1 &lt; 2</title></rect>\n</svg>",
        ] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        for part in ["#1B1F24", "font-family", "#0072B2", "NaN"] {
            assert!(!svg.contains(part), "{part} in {svg}");
        }
    }

    #[test]
    fn a_png_has_two_pixels_a_unit() {
        let png = picture().png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (144, 64));
        let pixel = |x: usize, y: usize| &pixels[(y * 144 + x) * 3..][..3];
        assert_eq!(pixel(40, 30), [0x00, 0x9e, 0x73]);
        assert_eq!(pixel(2, 2), [255, 255, 255]);
        assert_eq!(pixel(100, 32), [0x1b, 0x1f, 0x24]);
    }
}
