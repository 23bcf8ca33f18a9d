//! Charts of evacuations: when each guest moved, and the cores that hosts used meanwhile.

use super::figures::typical;
use super::file::{Evacuation, FleetFile, Moved};
use super::spec::{Course, Way};
use crate::figures::median_interval;
use crate::present::text;
use crate::report::chart::Figure;
use crate::report::chart::axes::{self, HEAD, Plot, WIDTH};
use crate::report::chart::palette::Ink;
use crate::report::chart::picture::{Anchor, LABEL, Picture};
use crate::report::chart::scale::{Scale, Spread};
use crate::runner::Place;

/// Room for guests' names, units.
const NAMES: f64 = 120.0;
/// Room above and below a panel.
const ABOVE: f64 = 30.0;
const BELOW: f64 = 44.0;
/// Height of a panel of cores.
const CORES: f64 = 90.0;

/// The charts that a fleet has something to show in.
pub fn of(file: &FleetFile) -> Vec<Figure> {
    // One number at once of several: all would be too many to be compared by eye.
    let last = file.fleet.evacuation.concurrent.last().copied();
    let courses = file.courses().into_iter();
    let shown: Vec<(Course, &Evacuation)> = courses
        .filter(|course| Some(course.concurrent) == last)
        .filter_map(|course| Some((course, typical(file, course)?)))
        .collect();
    if shown.is_empty() {
        return Vec::new();
    }
    let concurrency = concurrency(file).map(|picture| Figure {
        name: "concurrency".to_owned(),
        caption: "Evacuation time against how many guests are under way at once: medians with their intervals, and every \
         evacuation. Where a line no longer falls, something is used up: the table says what. An arrow: guests were left behind."
            .to_owned(),
        picture,
    });
    let each = [
        Figure {
            name: "guests".to_owned(),
            caption: "Each guest's migration from its turn until it no longer moved, of each way's evacuation of median time. \
             In the arm's colour: what was sent while the guest ran; dark: its pause; light: what is before and after, connections for one. \
             A cross marks a guest that stayed at the source."
                .to_owned(),
            picture: gantt(&shown),
        },
        Figure {
            name: "cores".to_owned(),
            caption: "Cores that the host processes of the guests under way used, of the same evacuations: migration and the \
             guests' own vCPUs together. Guests that wait or have arrived are not in it."
                .to_owned(),
            picture: cores(&shown),
        },
    ];
    concurrency.into_iter().chain(each).collect()
}

/// Evacuation time by how many were under way at once; none where that does not vary.
fn concurrency(file: &FleetFile) -> Option<Picture> {
    const HEIGHT: f64 = 230.0;
    let at_once = &file.fleet.evacuation.concurrent;
    let most = file.evacuations.iter().map(|made| made.time_s);
    let most = most.fold(0.0, f64::max);
    if at_once.len() < 2 || most <= 0.0 {
        return None;
    }
    let name = "Evacuation time by guests under way at once";
    let mut picture = Picture::new(WIDTH, HEAD + 26.0 + HEIGHT + BELOW, name);
    let fleet = &file.fleet;
    let note = format!(
        "{} guests over {}.",
        fleet.guests.len(),
        fleet.evacuation.link
    );
    axes::head(&mut picture, name, &note);
    let ink = |way: Way| way.arm().map_or(Ink::Text, Ink::Arm);
    let names: Vec<(Ink, String)> = file
        .ways()
        .into_iter()
        .map(|way| (ink(way), way.to_string()))
        .collect();
    let legend: Vec<(Ink, &str)> = names
        .iter()
        .map(|(ink, name)| (*ink, name.as_str()))
        .collect();
    axes::legend(&mut picture, (0.0, HEAD + 6.0), &legend);
    let plot = Plot {
        left: 52.0,
        right: WIDTH - 20.0,
        top: HEAD + 36.0,
        bottom: HEAD + 26.0 + HEIGHT,
    };
    let y = Scale::from_zero(most, (plot.bottom, plot.top));
    axes::y_axis(&mut picture, &plot, &y, 5, "evacuation time, s", text::tick);
    let ends = |of: fn(u32, u32) -> u32| at_once.iter().copied().reduce(of).map_or(1.0, f64::from);
    let places = (plot.left + 30.0, plot.right - 30.0);
    let x = Scale::new(Spread::Log, ends(u32::min), ends(u32::max), places);
    for number in at_once {
        let place = x.at(f64::from(*number));
        picture.line((place, plot.top), (place, plot.bottom), 1.0, Ink::Grid);
        picture.note(
            (place, plot.bottom + 14.0),
            Anchor::Middle,
            &number.to_string(),
        );
    }
    axes::base(&mut picture, &plot);
    axes::x_title(&mut picture, &plot, "guests under way at once, logarithmic");
    let mut sorted = at_once.clone();
    sorted.sort_unstable();
    for (index, way) in file.ways().into_iter().enumerate() {
        let aside = index as f64 * 5.0;
        let mut path = Vec::with_capacity(sorted.len());
        for &concurrent in &sorted {
            let made = || file.of(Course { way, concurrent });
            let Some(of) = median_interval(made().map(|made| made.time_s)) else {
                continue;
            };
            let at = (x.at(f64::from(concurrent)) + aside, y.at(of.median));
            path.push(at);
            let (bottom, top) = (y.at(of.low), y.at(of.high));
            picture.rect((at.0 - 1.5, top), (3.0, bottom - top), ink(way), 0.5);
            for made in made() {
                picture.dot((at.0 + 3.5, y.at(made.time_s)), 1.4, ink(way), 0.6);
            }
            match made().any(|made| made.left_behind().next().is_some()) {
                true => axes::bound(&mut picture, at, 3.5, (0.0, -1.0), ink(way)),
                false => picture.dot(at, 3.5, ink(way), 1.0),
            }
            let tip = format!(
                "{}: {}",
                Course { way, concurrent },
                text::seconds(of.median)
            );
            picture.tip((at.0 - 4.0, top - 4.0), (8.0, bottom - top + 8.0), tip);
        }
        picture.path(path, 1.2, ink(way), 0.6);
    }
    Some(picture)
}

/// Until when all evacuations lasted, seconds.
fn end_s(shown: &[(Course, &Evacuation)]) -> f64 {
    let ends = shown.iter().map(|(_, made)| made.time_s);
    ends.fold(0.0, f64::max).max(1e-3)
}

/// The height of a guest's row: all of a large fleet are to be seen at once.
fn row(guests: usize) -> f64 {
    (360.0 / guests.max(1) as f64).clamp(2.0, 15.0)
}

fn time_axis(end_s: f64, plot: &Plot) -> (Scale, f64, &'static str) {
    let (factor, unit) = if end_s < 1.0 { (1e3, "ms") } else { (1.0, "s") };
    let places = (plot.left, plot.right);
    (
        Scale::new(Spread::Linear, 0.0, end_s * factor, places),
        factor,
        unit,
    )
}

fn title(course: Course, made: &Evacuation) -> String {
    let left = made.left_behind().count();
    let stayed = match left {
        0 => String::new(),
        _ => format!(", {left} of {} guests left behind", made.guests.len()),
    };
    format!("{course}: {}{stayed}", text::seconds(made.time_s))
}

fn gantt(shown: &[(Course, &Evacuation)]) -> Picture {
    let guests = shown.iter().map(|(_, made)| made.guests.len()).max();
    let row = row(guests.unwrap_or(0));
    let heights = shown
        .iter()
        .map(|(_, made)| made.guests.len() as f64 * row + ABOVE + BELOW);
    let name = "Guests over time";
    let mut picture = Picture::new(WIDTH, HEAD + heights.sum::<f64>(), name);
    axes::head(
        &mut picture,
        name,
        "Guests from top to bottom as listed. One time axis for all ways.",
    );
    let end_s = end_s(shown);
    let mut top = HEAD;
    for (way, made) in shown {
        let plot = Plot {
            left: NAMES,
            right: WIDTH,
            top: top + ABOVE,
            bottom: top + ABOVE + made.guests.len() as f64 * row,
        };
        picture.bold((0.0, top + 18.0), LABEL, &title(*way, made));
        let (scale, factor, unit) = time_axis(end_s, &plot);
        let axis = format!("time since the first guest's turn, {unit}");
        axes::x_axis(&mut picture, &plot, &scale, 6, &axis, text::tick);
        for (at, moved) in made.guests.iter().enumerate() {
            let y = plot.top + at as f64 * row;
            if row >= 9.0 {
                let short: String = moved.guest.chars().take(18).collect();
                picture.note((NAMES - 6.0, y + row * 0.5 + 4.0), Anchor::End, &short);
            }
            bar(&mut picture, moved, (&scale, factor), y, row);
        }
        top = plot.bottom + BELOW;
    }
    picture
}

fn bar(picture: &mut Picture, moved: &Moved, (scale, factor): (&Scale, f64), y: f64, row: f64) {
    let place = |seconds: f64| scale.at(seconds * factor);
    let (Some(began), Some(ended)) = (moved.began_s, moved.ended_s) else {
        let at = (scale.at(0.0) + 6.0, y + row / 2.0);
        return cross(picture, at, row);
    };
    let height = (row * 0.72).max(1.0);
    let ink = match moved.sealed {
        true => Ink::Arm(moved.arm),
        false => Ink::Arm(crate::arm::Arm::PLAIN),
    };
    let width = |from: f64, to: f64| (place(to) - place(from)).max(0.6);
    picture.rect((place(began), y), (width(began, ended), height), ink, 0.35);
    let sent_from = (began + moved.setup_time_s).min(ended);
    let sent_to = (sent_from + moved.total_time_s).min(ended);
    picture.rect(
        (place(sent_from), y),
        (width(sent_from, sent_to), height),
        ink,
        0.9,
    );
    if moved.downtime_s > 0.0 {
        let paused = (sent_to - moved.downtime_s).max(sent_from);
        picture.rect(
            (place(paused), y),
            (width(paused, sent_to), height),
            Ink::Text,
            1.0,
        );
    }
    if moved.place != Place::Destination {
        cross(picture, (place(ended) + 6.0, y + height / 2.0), row);
    }
    let reason = moved
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(", {reason}"));
    let tip = format!(
        "{}, {}{}: from {} for {}, downtime {}, {} rounds, at the {}{reason}",
        moved.guest,
        moved.arm,
        if moved.sealed || moved.arm.is_baseline() {
            ""
        } else {
            " in the clear"
        },
        text::seconds(began),
        text::seconds(ended - began),
        text::seconds(moved.downtime_s),
        moved.rounds,
        moved.place,
    );
    picture.tip((place(began), y), (width(began, ended), height), tip);
}

fn cross(picture: &mut Picture, (x, y): (f64, f64), row: f64) {
    let half = (row * 0.3).clamp(1.0, 4.0);
    picture.line((x - half, y - half), (x + half, y + half), 1.5, Ink::Text);
    picture.line((x - half, y + half), (x + half, y - half), 1.5, Ink::Text);
}

fn cores(shown: &[(Course, &Evacuation)]) -> Picture {
    let name = "Cores over time";
    let panel = CORES + ABOVE + BELOW;
    let mut picture = Picture::new(WIDTH, HEAD + 18.0 + shown.len() as f64 * panel, name);
    axes::head(
        &mut picture,
        name,
        "Means between samples. One time axis for all ways.",
    );
    let legend = [(Ink::Text, "source"), (Ink::Stage(1), "destination")];
    axes::legend(&mut picture, (0.0, HEAD + 6.0), &legend);
    let samples = || shown.iter().flat_map(|(_, made)| &made.cores);
    let used = samples().flat_map(|used| [used.source, used.destination.unwrap_or(0.0)]);
    let most = used.fold(0.0, f64::max);
    let end_s = end_s(shown);
    for (at, (way, made)) in shown.iter().enumerate() {
        let top = HEAD + 18.0 + at as f64 * panel;
        let plot = Plot {
            left: 44.0,
            right: WIDTH,
            top: top + ABOVE,
            bottom: top + ABOVE + CORES,
        };
        picture.bold((0.0, top + 14.0), LABEL, &title(*way, made));
        let y = Scale::from_zero(most.max(0.1), (plot.bottom, plot.top));
        axes::y_axis(&mut picture, &plot, &y, 4, "", text::tick);
        let (x, factor, unit) = time_axis(end_s, &plot);
        let axis = format!("time since the first guest's turn, {unit}");
        axes::x_axis(&mut picture, &plot, &x, 6, &axis, text::tick);
        let mut steps = |ink: Ink, of: &dyn Fn(usize) -> Option<f64>| {
            let mut from = 0.0;
            let mut all = Vec::with_capacity(made.cores.len());
            for (at, used) in made.cores.iter().enumerate() {
                let until = used.until_s.min(end_s) * factor;
                all.extend(of(at).map(|cores| (from, until, cores)));
                from = until;
            }
            picture.path(axes::steps(&all, &x, &y), 1.5, ink, 1.0);
        };
        steps(Ink::Stage(1), &|at| made.cores[at].destination);
        steps(Ink::Text, &|at| Some(made.cores[at].source));
    }
    picture
}
