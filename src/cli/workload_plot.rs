//! The picture of a dirty-page stream: rate over time, page heat map, index of dispersion.

use std::ffi::OsStr;
use std::path::Path;

use plotters::prelude::*;

use crate::error::{Error, Result};
use crate::report::chart::render::{fonts, png_file};
use crate::units::PAGE_SIZE;
use crate::workload::measure::{HEAT, Measurement};

/// Pixels.
const SIZE: (u32, u32) = (1200, 1080);
/// Points of the rate curve.
const POINTS: usize = 1024;
const INK: RGBColor = RGBColor(38, 70, 120);
const THEORY: RGBColor = RGBColor(200, 90, 30);

/// Draws a measurement into a PNG file.
///
/// # Errors
/// A file whose name does not end in .png, or that can't be written.
pub fn draw(file: &Path, measured: &Measurement) -> Result<()> {
    let is_png = |extension: &OsStr| extension.eq_ignore_ascii_case("png");
    Error::unless(
        file.extension().is_some_and(is_png),
        "--png",
        file.display(),
        "a file name that ends in .png",
    )?;
    fonts()?;
    // Tried first, so that the operating system's own message is what the user reads.
    std::fs::write(file, []).map_err(|e| Error::writing(file, e))?;
    let picture = picture(measured)
        .map_err(|e| Error::CannotRun(format!("cannot draw {}: {e}", file.display())))?;
    std::fs::write(file, picture).map_err(|e| Error::writing(file, e))
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn picture(m: &Measurement) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut pixels = vec![0; SIZE.0 as usize * SIZE.1 as usize * 3];
    draw_all(BitMapBackend::with_buffer(&mut pixels, SIZE), m)?;
    Ok(png_file(&pixels, SIZE)?)
}

fn draw_all(backend: BitMapBackend<'_>, m: &Measurement) -> Drawn {
    let root = backend.into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(
        &format!("{}: {}", m.scenario, m.arrival),
        ("sans-serif", 20),
    )?;
    let parts = root.split_evenly((3, 1));
    rate(&parts[0], m)?;
    heat(&parts[1], m)?;
    dispersion(&parts[2], m)?;
    root.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

fn plot<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, BitMapBackend<'b>> {
    let mut plot = ChartBuilder::on(area);
    plot.margin(10).x_label_area_size(36).y_label_area_size(80);
    plot
}

fn rate(area: &Area<'_>, m: &Measurement) -> Drawn {
    let s = &m.series;
    let merge = s.fine.len().div_ceil(POINTS);
    let width_s = s.bin_ns as f64 / 1e9 * merge as f64;
    let to_mib = PAGE_SIZE as f64 / width_s / f64::from(1 << 20);
    let points: Vec<(f64, f64)> = s
        .fine
        .chunks(merge)
        .enumerate()
        .map(|(i, bins)| {
            let writes: u64 = bins.iter().map(|c| u64::from(*c)).sum();
            (i as f64 * width_s, writes as f64 * to_mib)
        })
        .take_while(|(at, _)| *at < m.duration_s)
        .collect();
    let most = points.iter().map(|p| p.1).fold(1.0, f64::max);
    let mut chart = plot(area).build_cartesian_2d(0.0..m.duration_s, 0.0..most * 1.05)?;
    chart
        .configure_mesh()
        .x_desc("time, s")
        .y_desc("rate, MiB/s")
        .light_line_style(WHITE)
        .draw()?;
    let asked = m.asked_rate_bytes_per_s / f64::from(1 << 20);
    chart.draw_series(LineSeries::new(points, INK))?;
    chart
        .draw_series(LineSeries::new(
            [(0.0, asked), (m.duration_s, asked)],
            THEORY,
        ))?
        .label("mean asked for")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], THEORY));
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

fn heat(area: &Area<'_>, m: &Measurement) -> Drawn {
    let (columns, rows) = HEAT;
    let most = m.series.heat.iter().copied().max().unwrap_or(1).max(1);
    let mut chart = plot(area).build_cartesian_2d(0.0..m.duration_s, 0.0..1.0)?;
    chart
        .configure_mesh()
        .x_desc("time, s")
        .y_desc("place in guest memory")
        .disable_mesh()
        .draw()?;
    let (width, height) = (m.duration_s / columns as f64, 1.0 / rows as f64);
    let cells = m.series.heat.iter().enumerate().filter(|(_, c)| **c > 0);
    chart.draw_series(cells.map(|(i, count)| {
        let (x, y) = ((i / rows) as f64 * width, (i % rows) as f64 * height);
        // The logarithm keeps cold pages visible beside hot ones.
        let heat = libm::log1p(f64::from(*count)) / libm::log1p(f64::from(most));
        let shade = |from: f64, to: f64| (from + (to - from) * heat) as u8;
        let colour = RGBColor(shade(222.0, 120.0), shade(232.0, 20.0), shade(245.0, 30.0));
        Rectangle::new([(x, y), (x + width, y + height)], colour.filled())
    }))?;
    Ok(())
}

fn dispersion(area: &Area<'_>, m: &Measurement) -> Drawn {
    const LEAST: f64 = 1e-3;
    let curve = &m.series.idc;
    let first = curve.first().map_or(1e-3, |c| c.0);
    let last = curve.last().map_or(1.0, |c| c.0).max(first * 2.0);
    let most = curve
        .iter()
        .map(|c| c.1.max(c.2.unwrap_or(0.0)))
        .fold(2.0, f64::max);
    let least = curve.iter().map(|c| c.1.max(LEAST)).fold(0.5, f64::min);
    let mut chart = plot(area).build_cartesian_2d(
        (first..last).log_scale(),
        (least * 0.8..most * 1.3).log_scale(),
    )?;
    chart
        .configure_mesh()
        .x_desc("window, s")
        .y_desc("index of dispersion of writes")
        .x_label_formatter(&|x| format!("{}", (x * 1e6).round() / 1e6))
        .light_line_style(WHITE)
        .draw()?;
    let measured = curve.iter().map(|c| (c.0, c.1.max(LEAST)));
    chart
        .draw_series(LineSeries::new(measured.clone(), INK))?
        .label("measured")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], INK));
    chart.draw_series(measured.map(|p| Circle::new(p, 3, INK.filled())))?;
    let theory: Vec<(f64, f64)> = curve
        .iter()
        .filter_map(|c| Some((c.0, c.2?.max(LEAST))))
        .collect();
    if !theory.is_empty() {
        chart
            .draw_series(LineSeries::new(theory, THEORY.stroke_width(2)))?
            .label("theory")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], THEORY));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
