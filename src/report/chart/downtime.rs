//! Downtime by part.

use super::bars::{self, Bar, Chart, Panel};
use super::palette::Ink;
use super::picture::Picture;
use crate::arm::Arm;
use crate::figures::{self, Metric};
use crate::present::text;
use crate::report::view::{self, ArmView, Basis};
use crate::results::{DowntimeParts, Results};
use crate::stats::Interval;

type Part = (&'static str, fn(&DowntimeParts) -> f64);

const PARTS: [Part; 4] = [
    ("pause", |d| d.pause_s),
    ("harvest", |d| d.harvest_s),
    ("transfer", |d| d.transfer_s),
    ("switchover", |d| d.switchover_s),
];

fn ink(part: &str, arm: Arm) -> Ink {
    match part {
        "transfer" => Ink::Arm(arm),
        "harvest" => Ink::Stage(0),
        "switchover" => Ink::Stage(1),
        _ => Ink::Stage(2),
    }
}

fn bar(arm: &ArmView<'_>) -> Bar {
    let completed = arm.basis == Basis::Completed;
    let parts: Vec<_> = PARTS
        .iter()
        .filter_map(|(name, part)| {
            let parts = arm.measured.iter().filter_map(|m| m.downtime.parts);
            let values = parts.map(|parts| part(&parts) * 1e3);
            Some((
                *name,
                ink(name, arm.arm()),
                figures::median(values)?.max(0.0),
            ))
        })
        .filter(|_| completed)
        .collect();
    let dots = arm
        .measured
        .iter()
        .filter(|_| completed)
        .map(|m| {
            let tip = format!(
                "{}, block {}: {}",
                m.arm,
                m.block,
                text::seconds(m.downtime.total_s)
            );
            (Metric::DOWNTIME.shown(m.downtime.total_s), tip)
        })
        .collect();
    let shown = |median: Interval| Interval {
        median: Metric::DOWNTIME.shown(median.median),
        low: Metric::DOWNTIME.shown(median.low),
        high: Metric::DOWNTIME.shown(median.high),
        ..median
    };
    let whole = arm.metric(Metric::DOWNTIME).map(shown);
    Bar {
        arm: arm.arm(),
        parts: bars::divided(parts, arm.arm(), whole.filter(|_| completed)),
        total: whole,
        dots,
        note: if completed {
            String::new()
        } else {
            arm.outcome()
        },
    }
}

/// The chart, or `None` if no migration completed.
pub fn draw(results: &Results) -> Option<Picture> {
    let limit = results.scenario.migration.downtime_limit;
    let has_qemu = results.arms.iter().any(|info| info.name.is_qemu());
    Chart {
        title: "Downtime by part",
        note: match has_qemu {
            false => "Segments: median of each part. Figure: median total, ms. Dots: one migration each; line: interval.",
            true => "Segments: median of each part; QEMU tells no parts, its bars are whole. Figure: median total, ms. Dots: one migration each; line: interval.",
        },
        legend: vec![
            (Ink::Stage(2), "pause"),
            (Ink::Stage(0), "harvest"),
            (Ink::Arm(Arm::foremost()), "transfer, in the arm's colour"),
            (Ink::Stage(1), "switchover"),
        ],
        panels: vec![Panel {
            title: "downtime",
            axis: "milliseconds",
            bars: view::arms(results).iter().map(bar).collect(),
            limit: Some((limit.as_secs_f64() * 1e3, format!("downtime limit {limit}"))),
        }],
    }
    .draw()
}
