//! Rounds over time, one panel per arm: pages sent, zero pages, pages found dirty, bandwidth.

use super::axes::{self, Plot};
use super::multiples::Sheet;
use super::palette::Ink;
use super::picture::Picture;
use super::scale::{Scale, Spread};
use crate::arm::Arm;
use crate::figures::Metric;
use crate::present::text;
use crate::report::view::{self, ArmView, Basis};
use crate::results::{Migration, Results, Round, RoundKind};
use crate::units::GIB;

const PAGES: f64 = 92.0;
const BETWEEN: f64 = 20.0;
const RATE: f64 = 40.0;

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
    let most = drawn
        .iter()
        .flat_map(|(_, m)| &m.rounds)
        .map(|r| {
            r.pages_sent
                .max(r.zero_pages)
                .max(r.pages_dirtied.unwrap_or(0))
        })
        .max()?;
    let mut sheet = Sheet::new(
        "Rounds over time",
        "Each arm's migration of median total time. Pages on logarithmic axes with a zero; time axes differ between arms.",
        &[
            (Ink::Arm(Arm::foremost()), "pages sent, in the arm's colour"),
            (Ink::Stage(0), "zero pages (line)"),
            (Ink::Text, "found dirty at the round's end (dot)"),
            (Ink::Stage(2), "stop-and-copy"),
        ],
        drawn.iter().map(|(arm, _)| Some(arm.arm())),
        PAGES + BETWEEN + RATE,
    );
    for (arm, migration) in drawn {
        panel(&mut sheet, arm, migration, most as f64);
    }
    Some(sheet.picture)
}

fn panel(sheet: &mut Sheet, arm: &ArmView<'_>, migration: &Migration, most: f64) {
    let rounds = &migration.rounds;
    let end = rounds
        .iter()
        .fold(0.0, |end: f64, r| end.max(r.started_s + r.duration_s));
    let stalled = if arm.basis == Basis::NotConverged {
        ", did not converge"
    } else {
        ""
    };
    let n = Metric::PRE_COPY_ROUNDS.value(migration).unwrap_or(0.0);
    let plural = if n == 1.0 { "" } else { "s" };
    let note = format!(
        "{n} pre-copy round{plural}, {}{stalled}",
        text::seconds(end)
    );
    let whole = sheet.arm_panel(arm.arm(), &note);
    let pages = Plot {
        bottom: whole.top + PAGES,
        ..whole
    };
    let rate = Plot {
        top: whole.bottom - RATE,
        ..whole
    };
    let picture = &mut sheet.picture;
    let x = Scale::new(Spread::Linear, 0.0, end, (whole.left, whole.right));
    if let Some(last) = rounds.iter().find(|r| r.kind == RoundKind::StopAndCopy) {
        let from = x.at(last.started_s);
        let width = (x.at(last.started_s + last.duration_s) - from).max(1.0);
        picture.rect(
            (from, whole.top),
            (width, whole.bottom - whole.top),
            Ink::Stage(2),
            0.6,
        );
    }
    let y = Scale::new(
        Spread::LogFromZero,
        0.0,
        most * 1.5,
        (pages.bottom, pages.top),
    );
    axes::y_axis(picture, &pages, &y, 4, "pages", text::tick);
    for round in rounds {
        draw_round(picture, &pages, (&x, &y), round, Ink::Arm(arm.arm()));
    }
    axes::base(picture, &pages);

    let fastest = rounds.iter().map(bandwidth).fold(0.0, f64::max);
    let scale = Scale::from_zero(fastest, (rate.bottom, rate.top));
    axes::y_axis(picture, &rate, &scale, 3, "payload, GiB/s", text::tick);
    let (unit, factor) = if end < 1.0 { ("ms", 1e3) } else { ("s", 1.0) };
    let shown = Scale::new(Spread::Linear, 0.0, end * factor, (rate.left, rate.right));
    let title = format!("time since the first harvest, {unit}");
    axes::x_axis(picture, &rate, &shown, 5, &title, text::tick);
    let steps: Vec<_> = rounds
        .iter()
        .map(|r| (r.started_s, r.started_s + r.duration_s, bandwidth(r)))
        .collect();
    picture.path(
        axes::steps(&steps, &x, &scale),
        1.5,
        Ink::Arm(arm.arm()),
        1.0,
    );
}

fn draw_round(
    picture: &mut Picture,
    plot: &Plot,
    (x, y): (&Scale, &Scale),
    round: &Round,
    ink: Ink,
) {
    let (from, to) = (
        x.at(round.started_s),
        x.at(round.started_s + round.duration_s),
    );
    let wide = (to - from - 0.5).max(0.75);
    let sent = y.at(round.pages_sent as f64);
    picture.rect((from, sent), (wide, plot.bottom - sent), ink, 0.85);
    if round.zero_pages > 0 {
        let zero = y.at(round.zero_pages as f64);
        picture.rect((from, zero - 1.75), (wide, 3.5), Ink::Paper, 1.0);
        picture.rect((from, zero - 1.0), (wide, 2.0), Ink::Stage(0), 1.0);
    }
    let kind = match round.kind {
        RoundKind::PreCopy => {
            if let Some(dirtied) = round.pages_dirtied {
                let level = y.at(dirtied as f64);
                picture.dot((to, level), 3.2, Ink::Paper, 1.0);
                picture.dot((to, level), 2.3, Ink::Text, 1.0);
            }
            "pre-copy"
        }
        RoundKind::StopAndCopy => "stop-and-copy",
    };
    let dirtied = round.pages_dirtied;
    let dirtied = dirtied.map_or_else(String::new, |pages| format!(", {pages} dirtied"));
    picture.tip(
        (from, plot.top),
        (wide, plot.bottom - plot.top),
        format!(
            "{kind} at {}, {}: {} pages sent, {} zero{dirtied}, {} GiB/s",
            text::seconds(round.started_s),
            text::seconds(round.duration_s),
            round.pages_sent,
            round.zero_pages,
            text::sig3(bandwidth(round)),
        ),
    );
}
