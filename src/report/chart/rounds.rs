//! Rounds over time, one panel per arm: pages sent, zero pages, pages found dirty, bandwidth.

use super::axes::{self, HEAD, LABEL, Plot, SMALL, WIDTH};
use super::palette::Ink;
use super::picture::{Anchor, Picture};
use super::scale::{Kind, Scale};
use crate::report::text;
use crate::report::view::{self, ArmView, Basis};
use crate::results::{Migration, Results, Round, RoundKind};
use crate::units::GIB;

const COLUMNS: usize = 2;
const PAGES: f64 = 96.0;
const RATE: f64 = 44.0;
const PANEL: f64 = PAGES + RATE + 92.0;
const AXIS: f64 = 42.0;
const GAP: f64 = 26.0;

fn bandwidth(round: &Round) -> f64 {
    if round.duration_s > 0.0 {
        round.payload_bytes as f64 / GIB / round.duration_s
    } else {
        0.0
    }
}

/// The chart, or `None` if no migration has a round.
pub fn draw(results: &Results) -> Option<Picture> {
    let arms = view::arms(results);
    let drawn: Vec<(&ArmView<'_>, &Migration)> = arms
        .iter()
        .filter_map(|arm| Some((arm, arm.typical()?)))
        .filter(|(_, migration)| !migration.rounds.is_empty())
        .collect();
    if drawn.is_empty() {
        return None;
    }
    let most = drawn
        .iter()
        .flat_map(|(_, m)| &m.rounds)
        .map(|r| r.pages_sent.max(r.zero_pages).max(r.pages_dirtied))
        .max()
        .unwrap_or(1);
    let lines = drawn.len().div_ceil(COLUMNS) as f64;
    let mut picture = Picture::new(
        WIDTH,
        HEAD + 18.0 + lines * PANEL,
        "Rounds over time of each arm's median migration: pages and bandwidth",
    );
    axes::head(
        &mut picture,
        "Rounds over time",
        "Each arm's migration of median total time. Pages on a logarithmic axis with a zero; time axes differ between arms.",
    );
    axes::legend(
        &mut picture,
        (0.0, HEAD + 6.0),
        &[
            (Ink::Arm(crate::arm::Arm::AwsLc), "pages sent, in the arm's colour"),
            (Ink::Stage(1), "zero pages"),
            (Ink::Text, "pages found dirty at the round's end (dot)"),
            (Ink::Stage(2), "stop-and-copy"),
        ],
    );
    let width = (WIDTH - GAP) / COLUMNS as f64;
    for (index, (arm, migration)) in drawn.iter().enumerate() {
        let left = (index % COLUMNS) as f64 * (width + GAP);
        let top = HEAD + 30.0 + (index / COLUMNS) as f64 * PANEL;
        draw_panel(&mut picture, arm, migration, (left, top, width), most as f64);
    }
    Some(picture)
}

fn draw_panel(
    picture: &mut Picture,
    arm: &ArmView<'_>,
    migration: &Migration,
    (left, top, width): (f64, f64, f64),
    most: f64,
) {
    let rounds = &migration.rounds;
    let end = rounds.iter().fold(0.0, |end: f64, r| end.max(r.started_s + r.duration_s));
    let ink = Ink::Arm(arm.arm());
    let title = arm.arm().name();
    picture.bold((left, top + 10.0), LABEL, Anchor::Start, Ink::Text, title);
    let stalled = if arm.basis == Basis::NotConverged { ", did not converge" } else { "" };
    let note = format!("{} rounds in {}{stalled}", rounds.len(), text::seconds(end));
    let beside = left + text_width_bold(title) + 10.0;
    picture.text((beside, top + 10.0), SMALL, Anchor::Start, Ink::Muted, &note);

    let pages = Plot {
        left: left + AXIS,
        right: left + width,
        top: top + 34.0,
        bottom: top + 34.0 + PAGES,
    };
    let x = Scale::new(Kind::Linear, 0.0, end, (pages.left, pages.right));
    let y = Scale::new(Kind::LogFromZero, 0.0, most * 1.5, (pages.bottom, pages.top));
    if let Some(last) = rounds.iter().find(|r| r.kind == RoundKind::StopAndCopy) {
        let from = x.at(last.started_s);
        let width = (x.at(last.started_s + last.duration_s) - from).max(1.0);
        let bottom = pages.bottom + RATE + 18.0;
        picture.rect((from, pages.top), (width, bottom - pages.top), Ink::Stage(2), 0.6);
    }
    axes::y_axis(picture, &pages, &y, 4, "pages", axes::number);
    for round in rounds {
        let (from, to) = (x.at(round.started_s), x.at(round.started_s + round.duration_s));
        let wide = (to - from - 0.5).max(0.75);
        let mut bar = |count: u64, ink, from: f64, wide: f64| {
            let level = y.at(count as f64);
            picture.rect((from, level), (wide, pages.bottom - level), ink, 0.9);
        };
        bar(round.pages_sent, ink, from, wide * 0.68);
        bar(round.zero_pages, Ink::Stage(1), from + wide * 0.7, wide * 0.3);
        if round.kind == RoundKind::PreCopy {
            let level = y.at(round.pages_dirtied as f64);
            picture.dot((to, level), 3.2, Ink::Paper, 1.0);
            picture.dot((to, level), 2.3, Ink::Text, 1.0);
        }
        let kind = match round.kind {
            RoundKind::PreCopy => "pre-copy",
            RoundKind::StopAndCopy => "stop-and-copy",
        };
        picture.tip(
            (from, pages.top),
            (wide, pages.bottom - pages.top),
            format!(
                "{kind} at {}, {}: {} pages sent, {} zero, {} dirtied, {} GiB/s",
                text::seconds(round.started_s),
                text::seconds(round.duration_s),
                round.pages_sent,
                round.zero_pages,
                round.pages_dirtied,
                text::sig3(bandwidth(round)),
            ),
        );
    }
    picture.line((pages.left, pages.bottom), (pages.right, pages.bottom), 1.0, Ink::Muted);

    let rate = Plot { top: pages.bottom + 18.0, bottom: pages.bottom + 18.0 + RATE, ..pages };
    let fastest = rounds.iter().map(bandwidth).fold(0.0, f64::max);
    let scale = Scale::from_zero(fastest, (rate.bottom, rate.top));
    axes::y_axis(picture, &rate, &scale, 2, "payload, GiB/s", axes::number);
    let steps: Vec<_> = rounds
        .iter()
        .map(|r| (r.started_s, r.started_s + r.duration_s, bandwidth(r)))
        .collect();
    picture.path(axes::steps(&steps, &x, &scale), 1.5, ink, 1.0);
    let unit = if end < 1.0 { ("ms", 1e3) } else { ("s", 1.0) };
    let shown = Scale::new(Kind::Linear, 0.0, end * unit.1, (rate.left, rate.right));
    axes::x_axis(
        picture,
        &rate,
        &shown,
        5,
        &format!("time since the first harvest, {}", unit.0),
        axes::number,
    );
}

fn text_width_bold(text: &str) -> f64 {
    axes::text_width(text, LABEL) * 1.12
}
