//! How much the figures of single migrations vary, as recorded: `datasets/noise.toml`. Simulated
//! runs draw their noise by it, so that what the self-test says of the gate holds for real runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::results::{DestinationStages, Migration, OutcomeStatus, Results, SourceStages};
use crate::stats;

/// The file that is built in.
const BUILT_IN: &str = include_str!("../../datasets/noise.toml");

/// Blocks of a run at least that noise is taken from: of fewer, deviations from the median are
/// mostly the median's own.
const LEAST_BLOCKS: usize = 5;

/// Standard deviations of logarithms of what a migration costs: robust ones, so that a wild value
/// counts as one and not by its size. All but `block` are of what is left once the block's common
/// factor is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scales {
    /// The factor that all arms of a block share.
    pub block: f64,
    /// CPU of the source's stages per GiB of payload.
    pub prepare: f64,
    /// The cipher; for `copy` its copy.
    pub seal: f64,
    /// Socket writes.
    pub transmit: f64,
    /// What the source's stages don't explain.
    pub source_other: f64,
    /// CPU of the destination's stages per GiB of payload: socket reads.
    pub receive: f64,
    /// The cipher.
    pub open: f64,
    /// Writing guest memory.
    pub apply: f64,
    /// What the destination's stages don't explain.
    pub destination_other: f64,
    /// Total time.
    pub time: f64,
    /// Downtime.
    pub downtime: f64,
}

/// A part of [`Scales`]: its name, its place, and a migration's figure, where it has one.
type Part = (
    &'static str,
    fn(&mut Scales) -> &mut f64,
    fn(&Migration) -> f64,
);

/// The source's stages; QEMU's arms, whose are not known, have no noise recorded.
fn source(m: &Migration) -> SourceStages {
    m.cpu.source.stages.unwrap_or_default()
}

fn destination(m: &Migration) -> DestinationStages {
    m.cpu.destination.stages.unwrap_or_default()
}

/// Every part but `block`. A figure that is no cost of the arm's (a cipher that it lacks) is 0.
const PARTS: [Part; 10] = [
    ("prepare", |s| &mut s.prepare, |m| source(m).prepare_s),
    (
        "seal",
        |s| &mut s.seal,
        |m| match m.arm {
            crate::arm::Arm::PLAIN => 0.0,
            _ => source(m).seal_s,
        },
    ),
    ("transmit", |s| &mut s.transmit, |m| source(m).transmit_s),
    (
        "source_other",
        |s| &mut s.source_other,
        |m| source(m).other_s,
    ),
    ("receive", |s| &mut s.receive, |m| destination(m).receive_s),
    (
        "open",
        |s| &mut s.open,
        |m| match m.arm.is_baseline() {
            true => 0.0,
            false => destination(m).open_s,
        },
    ),
    (
        "apply",
        |s| &mut s.apply,
        |m| match m.arm {
            // It reads into guest memory: what is left is not what others' apply is.
            crate::arm::Arm::PLAIN => 0.0,
            _ => destination(m).apply_s,
        },
    ),
    (
        "destination_other",
        |s| &mut s.destination_other,
        |m| destination(m).other_s,
    ),
    ("time", |s| &mut s.time, |m| m.total_time_s),
    ("downtime", |s| &mut s.downtime, |m| m.downtime.total_s),
];

impl Scales {
    /// What was recorded.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn recorded() -> Scales {
        toml::from_str(BUILT_IN).unwrap_or_else(|e| panic!("datasets/noise.toml: {e}"))
    }

    /// One for whatever holds a socket call or waits, one for the other stages, and one for blocks.
    pub fn of(block: f64, stage: f64, socket: f64) -> Scales {
        Scales {
            block,
            prepare: stage,
            seal: stage,
            transmit: socket,
            source_other: socket,
            receive: socket / 2.0,
            open: stage,
            apply: stage,
            destination_other: socket,
            time: socket,
            downtime: socket,
        }
    }

    /// Takes the noise from runs: of every arm's figure its deviations from the arm's median in the
    /// run, less those that the block's CPU totals have in common, over all arms and runs together.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a run has too few blocks, or none has a value of some part.
    pub fn derive(runs: &[Results]) -> Result<Scales> {
        let mut shared = Vec::new();
        let mut own: Vec<Vec<f64>> = vec![Vec::new(); PARTS.len()];
        for run in runs {
            let cpu = [
                deviations(run, |m| m.cpu.source.total_s / m.payload_bytes as f64),
                deviations(run, |m| m.cpu.destination.total_s / m.payload_bytes as f64),
            ];
            let mut of_block = BTreeMap::<u32, Vec<f64>>::new();
            for ((_, block), deviation) in cpu.iter().flatten() {
                of_block.entry(*block).or_default().push(*deviation);
            }
            let done = run.migrations.iter().filter(|m| is_done(m));
            let n = done.map(|m| m.block).collect::<BTreeSet<u32>>().len();
            Error::unless(
                n >= LEAST_BLOCKS,
                format_args!("--noise: {} blocks", run.scenario.name),
                n,
                format_args!("at least {LEAST_BLOCKS} in which arms completed"),
            )?;
            // A median is nearer to the values that it is taken from than to others.
            let correction = (n as f64 / (n - 1) as f64).sqrt();
            let common: BTreeMap<u32, f64> = of_block
                .into_iter()
                .filter_map(|(block, all)| Some((block, stats::median(&all)?)))
                .collect();
            shared.extend(common.values().map(|deviation| deviation * correction));
            for (part, (_, _, figure)) in own.iter_mut().zip(PARTS) {
                let found = deviations(run, figure);
                part.extend(found.into_iter().map(|((_, block), deviation)| {
                    (deviation - common.get(&block).unwrap_or(&0.0)) * correction
                }));
            }
        }
        let mut scales = Scales::of(0.0, 0.0, 0.0);
        let missing = |what: &str| Error::Invalid(format!("--noise: the runs have no {what}"));
        scales.block = stats::robust_sd(&shared).ok_or_else(|| missing("blocks"))?;
        for ((name, place, _), values) in PARTS.iter().zip(&own) {
            *place(&mut scales) = stats::robust_sd(values).ok_or_else(|| missing(name))?;
        }
        Ok(scales)
    }

    /// The text of `datasets/noise.toml`, with where it comes from; `names` are the runs'.
    pub fn file(mut self, runs: &[Results], names: &[String]) -> String {
        let mut text = "\
# How much the figures of single migrations vary: robust standard deviations of logarithms, those of
# parts beyond the factor that a block's arms share (src/gate/noise.rs says how they are taken).
# Simulated runs draw their noise by it. Made, and to be made again after a change of what is
# measured, by
#   migtax gate --noise RUN... > datasets/noise.toml
# from
"
        .to_owned();
        for (run, name) in runs.iter().zip(names) {
            let blocks = run.migrations.iter().map(|m| m.block).max().unwrap_or(0) + 1;
            let _ = writeln!(
                text,
                "#   {name}: {}, {blocks} blocks, {}, {} cores, {}, others' CPU {:.1}%",
                run.scenario.name.escape_debug(),
                run.host.cpu_model.escape_debug(),
                run.host.cores,
                run.started_at.escape_debug(),
                100.0 * run.host.other_cpu_share
            );
        }
        let _ = writeln!(text, "block = {:.4}", self.block);
        for (name, place, _) in PARTS {
            let _ = writeln!(text, "{name} = {:.4}", place(&mut self));
        }
        text
    }
}

fn is_done(migration: &Migration) -> bool {
    migration.outcome.status == OutcomeStatus::Completed
}

/// Logarithms of a figure of the completed migrations, each less its arm's median, by arm and block.
fn deviations(
    run: &Results,
    figure: impl Fn(&Migration) -> f64,
) -> BTreeMap<(crate::arm::Arm, u32), f64> {
    let mut of_arm = BTreeMap::<_, Vec<(u32, f64)>>::new();
    for m in &run.migrations {
        let value = figure(m);
        if is_done(m) && value > 0.0 && value.is_finite() {
            let logs = of_arm.entry(m.arm).or_default();
            logs.push((m.block, libm::log(value)));
        }
    }
    let mut all = BTreeMap::new();
    for (arm, logs) in of_arm {
        let values: Vec<f64> = logs.iter().map(|(_, log)| *log).collect();
        // Of too few, the median is one of them.
        if let Some(median) = stats::median(&values).filter(|_| logs.len() >= LEAST_BLOCKS) {
            let less = logs
                .into_iter()
                .map(|(block, log)| ((arm, block), log - median));
            all.extend(less);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::simulate::{Simulation, raw};

    #[test]
    fn what_is_recorded_is_read_and_written_alike() {
        let recorded = Scales::recorded();
        let run = raw(&Simulation::default());
        let file = recorded.file(&[run], &["a run".to_owned()]);
        assert_eq!(toml::from_str::<Scales>(&file).unwrap(), recorded);
        assert!(file.contains("a run: simulated, 5 blocks, simulated, 2 cores"));
        let mut scales = recorded;
        for (name, place, _) in PARTS {
            assert!(*place(&mut scales) > 0.0, "{name}");
        }
    }

    #[test]
    fn noise_of_known_size_is_found_again() {
        let truth = Scales {
            block: 0.10,
            prepare: 0.02,
            seal: 0.03,
            transmit: 0.12,
            source_other: 0.20,
            receive: 0.06,
            open: 0.04,
            apply: 0.05,
            destination_other: 0.30,
            time: 0.08,
            downtime: 0.25,
        };
        let runs: Vec<Results> = (0..4)
            .map(|seed| {
                raw(&Simulation {
                    seed,
                    machine_seed: seed,
                    blocks: 60,
                    noise: truth,
                    ..Simulation::default()
                })
            })
            .collect();
        let (mut found, mut truth) = (Scales::derive(&runs).unwrap(), truth);
        let near = |found: f64, truth: f64, name: &str| {
            // The block's factor is known from its arms only, by about 0.02.
            let error = (found - truth).abs();
            assert!(error < 0.05 * truth + 0.01, "{name}: {found}, not {truth}");
        };
        near(found.block, truth.block, "block");
        for (name, place, _) in PARTS {
            near(*place(&mut found), *place(&mut truth), name);
        }
        let short = raw(&Simulation {
            blocks: 4,
            ..Simulation::default()
        });
        let error = Scales::derive(&[short]).unwrap_err().to_string();
        assert!(error.contains("4") && error.lines().count() == 1, "{error}");
    }
}
