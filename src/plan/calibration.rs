//! A run's costs, an arm and a block at a time, and sets of costs drawn from them.
//!
//! Uncertainty comes by drawing blocks, with replacement and for all arms alike; beside it a draw holds how far one
//! migration lies from the others.

use super::costs::{Costs, FALLBACK};
use super::pacing::Pacing;
use super::sample::{Sample, sample};
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::results::{Migration, OutcomeStatus, Results};
use crate::scenario::ClockKind;
use crate::stats::{Random, robust_sd};

/// Sets of costs that are drawn.
pub const DRAWS: usize = 40;

/// Beside what migrations of one scenario lie apart, what those of another do: the standard deviation of the
/// logarithm of CPU costs, of the time that cores take, that the link takes, and of what a round or a pause takes beside
/// sending. They were read off the validation scenarios (reports/README, "Errors").
const CPU_SD: f64 = 0.1;
const CORES_SD: f64 = 0.15;
const LINK_SD: f64 = 0.015;
const FIXED_SD: f64 = 0.3;

/// One set of costs, and how far a migration lies from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// The costs.
    pub costs: Costs,
    /// A migration's source CPU over what they say.
    pub source: f64,
    /// Its destination CPU over what they say.
    pub destination: f64,
    /// The time that its cores take over what they say.
    pub pace: f64,
    /// The time that the link takes over what they say.
    pub link: f64,
    /// Where the stream stands at its start, as a share of its course.
    pub phase: f64,
}

/// An arm's costs.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmCosts {
    /// The arm.
    pub arm: Arm,
    /// Migrations that they rest on.
    pub migrations: usize,
    /// Sets of them.
    pub draws: Vec<Draw>,
}

/// What a run was made with, as far as its costs hold there only.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Costs by arm, in table order.
    pub arms: Vec<ArmCosts>,
    /// The run itself, without its migrations.
    pub run: Results,
}

impl Calibration {
    /// From a run's migrations that completed or were given up.
    ///
    /// # Errors
    /// A run under the virtual clock, which has no times, or without such a migration.
    pub fn of(results: &Results) -> Result<Calibration> {
        if results.scenario.measure.clock == ClockKind::Virtual {
            return Err(Error::Invalid(
                "measure.clock = \"virtual\": a plan takes times, from a run under the live clock"
                    .to_owned(),
            ));
        }
        let pacing = Pacing::of(&results.scenario.stream_spec())?;
        let mut sampled: Vec<(Arm, Vec<Sample>)> = Vec::new();
        for info in &results.arms {
            let own = results.migrations.iter().filter(|m| m.arm == info.name);
            let samples: Vec<Sample> = own.filter_map(|m| sample(m, results, &pacing)).collect();
            if !samples.is_empty() {
                sampled.push((info.name, samples));
            }
        }
        let completed = |m: &Migration| m.outcome.status == OutcomeStatus::Completed;
        if sampled.is_empty() || !results.migrations.iter().any(completed) {
            return Err(Error::Invalid(
                "no migration of this run completed: a plan takes its costs from some that did"
                    .to_owned(),
            ));
        }
        let blocks: Vec<u32> = {
            let all = sampled
                .iter()
                .flat_map(|(_, samples)| samples.iter().map(|s| s.block));
            let mut all: Vec<u32> = all.collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let mut random = Random::new(results.scenario.guest.seed, 16);
        let mut arms: Vec<ArmCosts> = sampled
            .iter()
            .map(|(arm, samples)| ArmCosts {
                arm: *arm,
                migrations: samples.len(),
                draws: Vec::with_capacity(DRAWS),
            })
            .collect();
        let noise: Vec<[Vec<f64>; 5]> = sampled
            .iter()
            .map(|_| std::array::from_fn(|_| scores(&mut random)))
            .collect();
        let phases = scores(&mut random);
        for number in 0..DRAWS {
            let drawn: Vec<u32> = match number {
                // The first is what was measured.
                0 => blocks.clone(),
                _ => (0..blocks.len())
                    .map(|_| blocks[random.below(blocks.len())])
                    .collect(),
            };
            let of_arm = |samples: &[Sample]| {
                let in_blocks = drawn.iter().filter_map(|block| {
                    let mut own = samples.iter().filter(|s| s.block == *block);
                    own.next().map(|s| s.costs)
                });
                let chosen: Vec<Costs> = in_blocks.collect();
                match chosen.is_empty() {
                    true => Costs::median(&samples.iter().map(|s| s.costs).collect::<Vec<_>>()),
                    false => Costs::median(&chosen),
                }
            };
            let own: Vec<Costs> = sampled.iter().map(|(_, samples)| of_arm(samples)).collect();
            let pooled = Costs::median(&own).or(&FALLBACK);
            for (((arm, costs), (_, samples)), noise) in
                arms.iter_mut().zip(&own).zip(&sampled).zip(&noise)
            {
                let spread = |which: usize| {
                    let logs = samples.iter().map(|s| s.per_byte[which].ln());
                    robust_sd(&logs.collect::<Vec<_>>()).unwrap_or(0.1)
                };
                let factor = |which: usize, sd: f64| {
                    let sd = spread(which).hypot(sd);
                    (sd * noise[which][number]).exp()
                };
                let costs = costs.or(&pooled);
                arm.draws.push(Draw {
                    costs: match number {
                        0 => costs,
                        _ => costs.with_fixed((FIXED_SD * noise[4][number]).exp()),
                    },
                    source: factor(0, CPU_SD),
                    destination: factor(1, CPU_SD),
                    pace: factor(2, CORES_SD),
                    link: (LINK_SD * noise[3][number]).exp(),
                    phase: normal_share(phases[number]),
                });
            }
        }
        let run = Results {
            migrations: Vec::new(),
            comparisons: Vec::new(),
            ..results.clone()
        };
        Ok(Calibration { arms, run })
    }

    /// An arm's costs, if the run has any.
    pub fn arm(&self, arm: Arm) -> Option<&ArmCosts> {
        self.arms.iter().find(|costs| costs.arm == arm)
    }
}

/// Standard normal scores at the middles of as many equal shares as there are draws, in a drawn order.
fn scores(random: &mut Random) -> Vec<f64> {
    let mut scores: Vec<f64> = (0..DRAWS)
        .map(|k| normal_quantile((k as f64 + 0.5) / DRAWS as f64))
        .collect();
    for k in (1..DRAWS).rev() {
        scores.swap(k, random.below(k + 1));
    }
    scores
}

/// The standard normal distribution function.
fn normal_share(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// Its inverse, by bisection.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        match normal_share(middle) < share {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}
