//! CPU seconds per GiB of page payload by stage, source and destination.

use super::bars::{self, Bar, Chart, Panel};
use super::palette::Ink;
use super::picture::Picture;
use crate::arm::Arm;
use crate::figures::{self, Metric};
use crate::present::text;
use crate::report::view::{self, ArmView, Basis};
use crate::results::{Migration, Results};

/// A stage's CPU seconds in one migration.
pub type Stage = (&'static str, fn(&Migration) -> Option<f64>);

/// The source's stages in the order of the data path.
pub const SOURCE: [Stage; 5] = [
    ("prepare", |m| m.cpu.source.stages.map(|s| s.prepare_s)),
    ("compress", |m| m.cpu.source.stages?.compress_s),
    ("seal", |m| m.cpu.source.stages.map(|s| s.seal_s)),
    ("transmit", |m| m.cpu.source.stages.map(|s| s.transmit_s)),
    ("other", |m| m.cpu.source.stages.map(|s| s.other_s)),
];

/// The destination's stages in the order of the data path.
pub const DESTINATION: [Stage; 5] = [
    ("receive", |m| m.cpu.destination.stages.map(|s| s.receive_s)),
    ("open", |m| m.cpu.destination.stages.map(|s| s.open_s)),
    ("decompress", |m| m.cpu.destination.stages?.decompress_s),
    ("apply", |m| m.cpu.destination.stages.map(|s| s.apply_s)),
    ("other", |m| m.cpu.destination.stages.map(|s| s.other_s)),
];

/// Work on memory is dark, on sockets medium, the rest light; the cipher has the arm's colour.
fn ink(stage: &str, arm: Arm) -> Ink {
    match stage {
        "seal" | "open" => Ink::Arm(arm),
        "prepare" | "apply" => Ink::Stage(0),
        "compress" | "decompress" => Ink::Stage(3),
        "transmit" | "receive" => Ink::Stage(1),
        _ => Ink::Stage(2),
    }
}

/// A stage's CPU seconds per GiB of page payload in one migration.
pub fn per_gib(migration: &Migration, stage: Stage) -> Option<f64> {
    figures::per_gib(stage.1(migration)?, migration.payload_bytes)
}

/// The largest standard error that sampling leaves in a stage of a migration, as a share of its side's CPU
/// time. None before it was recorded, or without stages.
pub fn sampling_error(migration: &Migration) -> Option<f64> {
    let (source, destination) = (&migration.cpu.source, &migration.cpu.destination);
    let (s, d) = (source.sampling?, destination.sampling?);
    let share = |errors: [f64; 4], total_s: f64| errors.map(|error_s| error_s / total_s);
    let shares = [
        share(
            [
                s.prepare_se_s,
                s.compress_se_s.unwrap_or(0.0),
                s.seal_se_s,
                s.transmit_se_s,
            ],
            source.total_s,
        ),
        share(
            [
                d.receive_se_s,
                d.open_se_s,
                d.decompress_se_s.unwrap_or(0.0),
                d.apply_se_s,
            ],
            destination.total_s,
        ),
    ];
    let most = shares.concat().into_iter().fold(0.0, f64::max);
    most.is_finite().then_some(most)
}

fn bar(arm: &ArmView<'_>, stages: &[Stage], total: Metric) -> Bar {
    let parts: Vec<_> = stages
        .iter()
        .filter_map(|stage| {
            let median = figures::median(arm.measured.iter().filter_map(|m| per_gib(m, *stage)))?;
            Some((stage.0, ink(stage.0, arm.arm()), median.max(0.0)))
        })
        .collect();
    let dots = arm
        .measured
        .iter()
        .filter_map(|m| {
            let value = total.value(m)?;
            let tip = format!(
                "{}, block {}: {} {}",
                m.arm,
                m.block,
                text::sig3(value),
                total.row().unit
            );
            Some((value, tip))
        })
        .collect();
    let whole = arm.metric(total);
    Bar {
        arm: arm.arm(),
        parts: bars::divided(parts, arm.arm(), whole),
        total: whole,
        dots,
        note: match arm.basis {
            Basis::Completed => String::new(),
            Basis::NotConverged => "not converged".to_owned(),
            Basis::Nothing => arm.outcome(),
        },
    }
}

/// The chart, or `None` if no migration sent anything.
pub fn draw(results: &Results) -> Option<Picture> {
    let arms = view::arms(results);
    let panel = |title, stages: &[Stage], total| Panel {
        title,
        axis: "CPU seconds per GiB of page payload",
        bars: arms.iter().map(|arm| bar(arm, stages, total)).collect(),
        limit: None,
    };
    let compresses = !results.scenario.migration.compression.is_none();
    let compression = compresses.then_some((Ink::Stage(3), "compress / decompress"));
    Chart {
        title: "CPU per GiB by stage",
        note: match arms.iter().any(|arm| arm.arm().is_qemu()) {
            false => "Segments: median of each stage. Figure: median total. Dots: one migration each; line: interval. Socket work mixes on loopback.",
            true => "Segments: median of each stage; QEMU tells no stages, its bars are whole. Figure: median total. Dots: one migration each; line: interval.",
        },
        legend: [(Ink::Stage(0), "prepare / apply (memory)")]
            .into_iter()
            .chain(compression)
            .chain([
            (Ink::Arm(Arm::foremost()), "seal / open (cipher), in the arm's colour"),
            (Ink::Stage(1), "transmit / receive (socket)"),
            (Ink::Stage(2), "other"),
            ])
            .collect(),
        panels: vec![
            panel("source", &SOURCE, Metric::SOURCE_CPU_PER_GIB),
            panel("destination", &DESTINATION, Metric::DESTINATION_CPU_PER_GIB),
        ],
    }
    .draw()
}
