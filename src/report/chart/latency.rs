//! Guest write latency by percentile in windows of one length, one panel per arm.

use super::axes::{self, Plot};
use super::multiples::Sheet;
use super::palette::Ink;
use super::picture::{Anchor, Picture, Point, SMALL};
use super::scale::{Scale, Spread};
use crate::arm::Arm;
use crate::figures;
use crate::present::text;
use crate::report::view::{self, ArmView};
use crate::results::{Latency, Migration, Results};

type Window = fn(&Migration) -> Option<&Latency>;

const BEFORE: Window = |m| m.guest.write_latency_before_ns.as_ref();
const START: Window = |m| m.guest.write_latency_start_ns.as_ref();
const PAUSE: Window = |m| m.guest.write_latency_pause_ns.as_ref();
const AFTER: Window = |m| m.guest.write_latency_after_ns.as_ref();
/// What runs hold that were made before windows were recorded.
const WHOLE: Window = |m| m.guest.write_latency_ns.as_ref();

/// Percentiles at which medians over migrations are drawn, as `-log10(1 - p)` tenths up to six
/// nines: evenly over the axis.
const POINTS: usize = 60;

/// Where a percentile lies: each nine is as wide as the one before, as in HdrHistogram's plot.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).max(1e-9).log10()
}

/// The smallest recorded value at or above a percentile; `None` beyond what was recorded: with n
/// values the curve says nothing above 1 - 1/n.
fn value_at(latency: &Latency, nines_wanted: f64) -> Option<f64> {
    if nines_wanted > (latency.count as f64).log10() {
        return None;
    }
    latency
        .curve
        .iter()
        .find(|(percentile, _)| nines(*percentile) >= nines_wanted - 1e-9)
        .map(|(_, value)| *value as f64)
}

/// `(nines, ns)` of the median curve: at each percentile the median over migrations that have it.
fn median_curve(migrations: &[&Migration], window: Window) -> Vec<(f64, f64)> {
    (0..=POINTS)
        .filter_map(|index| {
            let at = index as f64 / 10.0;
            let values: Vec<f64> = migrations
                .iter()
                .filter_map(|m| value_at(window(m)?, at))
                .collect();
            // Fewer than half the migrations reach this far: their median would be another sample's.
            (values.len() * 2 > migrations.len())
                .then(|| figures::median(values))?
                .map(|v| (at, v))
        })
        .collect()
}

/// The windows that a run's panels show, the boldest last, and how each is drawn.
fn windows(results: &Results) -> Vec<(Window, Option<Ink>, f64)> {
    let first = [
        (AFTER, Some(Ink::Stage(1)), 1.0),
        (BEFORE, Some(Ink::Stage(0)), 1.0),
    ];
    let windowed = results.migrations.iter().any(|m| START(m).is_some());
    let migration: &[(Window, Option<Ink>, f64)] = match windowed {
        true => &[(START, None, 0.45), (PAUSE, None, 1.0)],
        false => &[(WHOLE, None, 1.0)],
    };
    first.iter().chain(migration).copied().collect()
}

/// The chart, or `None` if no guest write was recorded.
pub fn draw(results: &Results) -> Option<Picture> {
    let arms = view::arms(results);
    let windows = windows(results);
    let drawn: Vec<&ArmView<'_>> = arms
        .iter()
        .filter(|arm| {
            let mut whole = arm.measured.iter().filter_map(|m| WHOLE(m));
            whole.any(|latency| latency.count > 0)
        })
        .collect();
    let latencies = || {
        let measured = drawn.iter().flat_map(|arm| &arm.measured);
        measured.flat_map(|m| windows.iter().filter_map(|(window, ..)| window(m)))
    };
    let curves = || latencies().flat_map(|latency| &latency.curve);
    let low = curves().map(|point| point.1.max(1)).min()? as f64;
    let high = curves().map(|point| point.1.max(1)).max()? as f64;
    let most = latencies().map(|latency| latency.count).max()?;
    let end = (most as f64).log10().clamp(2.0, 5.0);
    let arms_own = Ink::Arm(Arm::foremost());
    let own: &[(Ink, &str)] = match windows.len() {
        4 => &[(
            arms_own,
            "in the arm's colour: pale from the first harvest on, full from the pause request on",
        )],
        _ => &[(arms_own, "the whole migration, in the arm's colour")],
    };
    let legend: Vec<(Ink, &str)> = own
        .iter()
        .copied()
        .chain([(Ink::Stage(0), "before"), (Ink::Stage(1), "after")])
        .collect();
    let length = results.scenario.measure.window;
    let mut sheet = Sheet::new(
        "Guest write latency by percentile",
        &format!(
            "Bold: median over repetitions at each percentile, in windows of {length}. Thin: every repetition, of the last. Same axes in every panel."
        ),
        &legend,
        drawn.iter().map(|arm| Some(arm.arm())),
        120.0,
    );
    for arm in drawn {
        panel(&mut sheet, arm, &windows, (low, high), end);
    }
    Some(sheet.picture)
}

fn percentile_text(nines: f64) -> String {
    match nines.round() as i32 {
        0 => "0%".to_owned(),
        1 => "90%".to_owned(),
        2 => "99%".to_owned(),
        n => format!("99.{}%", "9".repeat(usize::try_from(n - 2).unwrap_or(0))),
    }
}

fn panel(
    sheet: &mut Sheet,
    arm: &ArmView<'_>,
    windows: &[(Window, Option<Ink>, f64)],
    (low, high): (f64, f64),
    end: f64,
) {
    let stalls = arm.measured.iter().filter_map(|m| m.guest.longest_stall_s);
    let note = figures::median(stalls).map_or(String::new(), |worst| {
        format!(
            "longest stall {} (median, n {})",
            text::seconds(worst),
            arm.measured.len()
        )
    });
    let plot = sheet.arm_panel(arm.arm(), &note);
    let x = Scale::new(Spread::Linear, 0.0, end, (plot.left, plot.right));
    let y = Scale::new(Spread::Log, low / 1.5, high * 1.5, (plot.bottom, plot.top));
    let picture = &mut sheet.picture;
    axes::y_axis(picture, &plot, &y, 5, "latency", |ns| compact(ns / 1e9));
    // Where the label before ends: one that would run into it is left out.
    let mut free = f64::NEG_INFINITY;
    for tick in 0..=(end.floor() as i32) {
        let at = x.at(f64::from(tick));
        picture.line((at, plot.top), (at, plot.bottom), 1.0, Ink::Grid);
        let text = percentile_text(f64::from(tick));
        let half = axes::text_width(&text, SMALL) / 2.0;
        let (place, anchor, first) = if at + half > plot.right {
            (plot.right, Anchor::End, plot.right - 2.0 * half)
        } else {
            (at, Anchor::Middle, at - half)
        };
        if first > free {
            picture.note((place, plot.bottom + 14.0), anchor, &text);
            free = first + 2.0 * half + 6.0;
        }
    }
    axes::base(picture, &plot);
    axes::x_title(picture, &plot, "percentile of writes");
    let ink = Ink::Arm(arm.arm());
    let placed = |points: Vec<Point>| -> Vec<Point> {
        let points = points.into_iter();
        points.map(|(at, value)| (x.at(at), y.at(value))).collect()
    };
    // The window that matters most is the last; an arm that never paused its guest has not got it.
    let has = |window: &Window| arm.measured.iter().any(|m| window(m).is_some());
    let drawn: Vec<_> = windows.iter().filter(|(window, ..)| has(window)).collect();
    let Some((boldest, ..)) = drawn.last() else {
        return;
    };
    for latency in arm.measured.iter().filter_map(|m| boldest(m)) {
        let points = latency
            .curve
            .iter()
            .map(|(percentile, value)| (nines(*percentile), *value as f64))
            .filter(|(at, _)| *at <= (latency.count as f64).log10())
            .collect();
        picture.path(placed(points), 0.8, ink, 0.3);
    }
    tips(
        picture,
        arm.arm(),
        &plot,
        &x,
        &median_curve(&arm.measured, *boldest),
    );
    for (window, colour, opacity) in &drawn {
        let curve = median_curve(&arm.measured, *window);
        picture.path(placed(curve), 2.5, colour.unwrap_or(ink), *opacity);
    }
}

/// A tip at each whole nine.
fn tips(picture: &mut Picture, arm: Arm, plot: &Plot, x: &Scale, curve: &[(f64, f64)]) {
    for (at, value) in curve
        .iter()
        .filter(|(at, _)| (at - at.round()).abs() < 1e-9)
    {
        picture.tip(
            (x.at(*at) - 6.0, plot.top),
            (12.0, plot.bottom - plot.top),
            format!(
                "{arm}, {} of writes: {}",
                percentile_text(*at),
                text::seconds(value / 1e9)
            ),
        );
    }
}

/// A time as an axis writes it: `100 ns`, `1 us`, `10 ms`.
fn compact(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 0.9995e-6 => (s * 1e9, "ns"),
        s if s < 0.9995e-3 => (s * 1e6, "us"),
        s if s < 0.9995 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{} {unit}", text::tick((value * 100.0).round() / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::simulate::{Simulation, results};

    #[test]
    fn a_run_made_before_windows_is_drawn_by_its_whole_migrations() {
        let mut run = results(&Simulation::default());
        for m in &mut run.migrations {
            let whole = m.guest.write_latency_ns.as_mut().unwrap();
            whole.curve = vec![(0.0, whole.p50), (99.9, whole.p999)];
        }
        let shown = |run: &Results| windows(run).len();
        assert_eq!(shown(&run), 4);
        assert!(draw(&run).is_none(), "its windows have no curves");
        for m in &mut run.migrations {
            m.guest.write_latency_start_ns = None;
            m.guest.write_latency_pause_ns = None;
        }
        assert_eq!(shown(&run), 3);
        assert!(draw(&run).is_some());
    }
}
