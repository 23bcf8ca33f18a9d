//! How often the gate is wrong: simulated runs, in which the truth is known.
//!
//! Noise comes in three shapes, on a steady machine, on one that drifts within a run and has
//! changed between two runs, and on one whose memory alone has become faster between them. Counted are false alarms of the whole verdict where nothing
//! changed, and how often an effect is found that the gate itself claimed, from the noise it
//! measured, to find.

mod summary;

use rayon::prelude::*;
use serde::Serialize;
use strum::IntoEnumIterator as _;

use super::builds;
use super::config::Config;
use super::runs::judge_runs;
use super::simulate::{Simulation, Slowdown, Stage, mixed, raw};
use super::verdict::{Report, Row, Verdict};
use crate::arm::Arm;
use crate::results::Results;
use crate::stats::Noise;

/// Two stored runs of so many blocks.
const RUN_BLOCKS: u32 = 20;
/// So many blocks of two builds, and so many again to confirm.
const BUILD_BLOCKS: u32 = 24;
/// The arm that is slowed down. The others stay: the hardest case for Holm's adjustment.
fn slowed_arm() -> Arm {
    Arm::foremost()
}
/// One of the other group is as well, in what its totals show: it tells no stages.
const OF_QEMU: [Stage; 3] = [Stage::Transmit, Stage::Receive, Stage::Time];
/// Rises of a stage's cost in the power curves.
const CURVE: [f64; 8] = [0.0, 0.02, 0.03, 0.05, 0.08, 0.10, 0.20, 0.50];

/// How the gate is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// `migtax gate` over two stored runs.
    Gate,
    /// `migtax ab`, confirmation batch included.
    Ab,
}

/// What the simulated machine does besides noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::EnumIter, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Conduct {
    /// Nothing.
    Steady,
    /// Every cost rises by a third within a run, and by 15% between two runs.
    Drifting,
    /// Copying memory costs 15% less in the second run, so every tax on it rises. No effect is
    /// asked for here: the gate can't tell one, and must say so.
    FasterMemory,
}

/// One condition and what came of its trials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Condition {
    /// How the gate was asked.
    pub method: Method,
    /// Distribution of the noise.
    pub shape: &'static str,
    /// What the machine does.
    pub machine: Conduct,
    /// A/A trials.
    pub trials: u32,
    /// Of these, whole verdicts that said `regressed`.
    pub false_alarms: u32,
    /// Of these, whole verdicts that said `inconclusive`.
    pub inconclusive: u32,
    /// Trials with the claimed effect.
    pub power_trials: u32,
    /// Of these, trials that found it.
    pub found: u32,
    /// Of these, trials that passed the slowed metric: the worst error.
    pub passed: u32,
    /// Median of the effects that were claimed.
    pub claimed: f64,
}

/// What the gate claims to find of a stage's rise, and how often it does: normal noise, steady machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// How the gate was asked.
    pub method: Method,
    /// The arm that is slowed down.
    pub arm: Arm,
    /// What of it.
    pub stage: Stage,
    /// The metric that shows it.
    pub metric: &'static str,
    /// By how much the metric rises if the stage costs twice as much.
    pub share: f64,
    /// Trials in which nothing changed, and the metric of some arm could not be decided.
    pub undecided: u32,
    /// As many trials with the claimed rise of the metric, and as many without.
    pub trials: u32,
    /// Of these, trials that found it there.
    pub found: u32,
    /// Of these, trials that passed the metric.
    pub passed: u32,
    /// Median of the rises of the metric that were claimed.
    pub claimed: f64,
}

/// One point of a power curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// How the gate was asked.
    pub method: Method,
    /// What is slowed down.
    pub stage: Stage,
    /// Rise of its cost.
    pub effect: f64,
    /// Shares of trials in which the stage's metric was regressed, inconclusive, passed.
    pub shares: [f64; 3],
}

/// The whole self-test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfTest {
    /// Chance of a false alarm that the gate is designed for.
    pub designed_false_alarm: f64,
    /// Power that the gate claims.
    pub designed_power: f64,
    /// By method, shape and drift.
    pub conditions: Vec<Condition>,
    /// By method and stage.
    pub claims: Vec<Claim>,
    /// For normal noise on a quiet machine.
    pub curve: Vec<CurvePoint>,
}

/// Runs the self-test with so many A/A trials in each condition. The same seed and number of
/// trials give the same counts; a seed that no limit was chosen by gives an independent check.
pub fn run(config: &Config, trials: u32, seed: u32) -> SelfTest {
    let mut conditions = Vec::new();
    for method in [Method::Gate, Method::Ab] {
        for shape in Noise::iter() {
            for machine in Conduct::iter() {
                if (method, machine) != (Method::Ab, Conduct::FasterMemory) {
                    conditions.push(condition(config, method, shape, machine, trials, seed));
                }
            }
        }
    }
    let asked = || {
        let methods = [Method::Gate, Method::Ab].into_iter();
        methods.flat_map(|method| Stage::iter().map(move |stage| (method, stage)))
    };
    let few = (trials / 5).max(1);
    let claimed = |method, arm, stage| claim(config, method, (arm, stage), few, seed);
    let own = asked().map(|(method, stage)| claimed(method, slowed_arm(), stage));
    let of_qemu = OF_QEMU.map(|stage| claimed(Method::Gate, Arm::QEMU_TLS, stage));
    let claims = own.chain(of_qemu);
    let curve = asked().flat_map(|(method, stage)| {
        CURVE.map(|effect| curve_point(config, (method, stage), effect, few, seed))
    });
    SelfTest {
        designed_false_alarm: config.false_alarm,
        designed_power: config.power,
        conditions,
        claims: claims.collect(),
        curve: curve.collect(),
    }
}

/// One simulated comparison: what each side is, but for its seeds.
#[derive(Clone, Copy)]
struct Setting {
    method: Method,
    shape: Noise,
    machine: Conduct,
    trial: u64,
}

impl Setting {
    /// A batch of both sides; `batch` 1 is the confirmation. The candidate has the effect.
    fn sides(&self, batch: u64, effect: Option<Slowdown>) -> [Results; 2] {
        let blocks = match self.method {
            Method::Gate => RUN_BLOCKS,
            Method::Ab => BUILD_BLOCKS,
        };
        [0, 1].map(|side| {
            let seed = (self.trial * 2 + batch) * 2 + side;
            raw(&Simulation {
                seed,
                machine_seed: match self.method {
                    // Builds take turns, so they meet the same machine; runs do not.
                    Method::Ab => self.trial * 2 + batch,
                    Method::Gate => seed,
                },
                blocks,
                shape: self.shape,
                drift: match self.machine {
                    Conduct::Drifting => 0.3,
                    _ => 0.0,
                },
                machine: match (self.machine, self.method, side) {
                    (Conduct::Drifting, Method::Gate, 1) => 1.15,
                    _ => 1.0,
                },
                memory: match (self.machine, side) {
                    (Conduct::FasterMemory, 1) => 0.85,
                    _ => 1.0,
                },
                slowdown: effect.filter(|_| side == 1),
                arms: mixed(),
                ..Simulation::default()
            })
        })
    }

    fn judge(&self, config: &Config, effect: Option<Slowdown>) -> Report {
        let names = || ["baseline".to_owned(), "candidate".to_owned()];
        let [baseline, candidate] = self.sides(0, effect);
        match self.method {
            Method::Gate => judge_runs(&baseline, &candidate, config, names()),
            Method::Ab => {
                let first = builds::judge_first(&baseline, &candidate, config, names());
                if builds::flagged(&first).is_empty() {
                    return first;
                }
                let [baseline, candidate] = self.sides(1, effect);
                builds::confirm(first, &baseline, &candidate, config)
            }
        }
    }
}

/// A number of its own for every trial of every seed.
fn numbered(seed: u32, trial: u32) -> u64 {
    (u64::from(seed) << 32) + u64::from(trial)
}

/// A rise of the cost of an arm's stage.
fn effect((arm, stage): (Arm, Stage), rise: f64) -> Option<Slowdown> {
    Some(Slowdown {
        stage,
        factor: 1.0 + rise,
        arm: Some(arm),
    })
}

/// The verdict and the claim on the metric that shows the stage of an arm.
fn slowed(report: &Report, (arm, stage): (Arm, Stage)) -> Option<(Verdict, Option<f64>)> {
    report
        .rows
        .iter()
        .find(|r| r.arm == arm.name() && r.metric == stage.metric(arm).name())
        .map(|r| (r.verdict, r.figures.and_then(|f| f.detectable)))
}

fn claim(
    config: &Config,
    method: Method,
    (arm, stage): (Arm, Stage),
    trials: u32,
    seed: u32,
) -> Claim {
    let share = stage.share(arm);
    let name = stage.metric(arm).name();
    let undecided = |row: &Row| row.metric == name && row.verdict == Verdict::Inconclusive;
    let outcomes: Vec<(bool, Option<(f64, Verdict)>)> = (0..trials)
        .into_par_iter()
        .map(|trial| {
            let setting = Setting {
                method,
                shape: Noise::Normal,
                machine: Conduct::Steady,
                // Other trials than those of the conditions and the curves.
                trial: numbered(seed, trial) + (1 << 30),
            };
            let still = setting.judge(config, None);
            let claim = slowed(&still, (arm, stage)).and_then(|(_, claim)| claim);
            let found = claim.and_then(|claim| {
                let report = setting.judge(config, effect((arm, stage), claim / share));
                slowed(&report, (arm, stage)).map(|(verdict, _)| (claim, verdict))
            });
            (still.rows.iter().any(undecided), found)
        })
        .collect();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let found = || outcomes.iter().filter_map(|o| o.1);
    let with = |wanted| count(found().filter(|f| f.1 == wanted).count());
    let claims: Vec<f64> = found().map(|f| f.0).collect();
    Claim {
        method,
        arm,
        stage,
        metric: name,
        share,
        undecided: count(outcomes.iter().filter(|o| o.0).count()),
        trials,
        found: with(Verdict::Regressed),
        passed: with(Verdict::Pass),
        claimed: crate::stats::median(&claims).unwrap_or(f64::NAN),
    }
}

fn condition(
    config: &Config,
    method: Method,
    shape: Noise,
    machine: Conduct,
    trials: u32,
    seed: u32,
) -> Condition {
    let setting = |trial: u32| Setting {
        method,
        shape,
        machine,
        trial: numbered(seed, trial),
    };
    let seal = (slowed_arm(), Stage::Seal);
    // Every fourth trial is repeated with the effect that it claimed.
    let power_trials = match machine {
        Conduct::FasterMemory => 0,
        _ => (trials / 4).max(1),
    };
    let outcomes: Vec<(Verdict, Option<f64>, Option<Verdict>)> = (0..trials)
        .into_par_iter()
        .map(|trial| {
            let report = setting(trial).judge(config, None);
            let claim = slowed(&report, seal).and_then(|(_, claim)| claim);
            let with_effect = claim.filter(|_| trial < power_trials).and_then(|claim| {
                let report = setting(trial).judge(config, effect(seal, claim));
                slowed(&report, seal).map(|(verdict, _)| verdict)
            });
            (report.verdict, claim, with_effect)
        })
        .collect();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let of = |wanted| count(outcomes.iter().filter(|o| o.0 == wanted).count());
    let with = |wanted| count(outcomes.iter().filter(|o| o.2 == Some(wanted)).count());
    let claims: Vec<f64> = outcomes.iter().filter_map(|o| o.1).collect();
    Condition {
        method,
        shape: shape.into(),
        machine,
        trials,
        false_alarms: of(Verdict::Regressed),
        inconclusive: of(Verdict::Inconclusive),
        power_trials,
        found: with(Verdict::Regressed),
        passed: with(Verdict::Pass),
        claimed: crate::stats::median(&claims).unwrap_or(f64::NAN),
    }
}

fn curve_point(
    config: &Config,
    (method, stage): (Method, Stage),
    rise: f64,
    trials: u32,
    seed: u32,
) -> CurvePoint {
    let verdicts: Vec<Verdict> = (0..trials)
        .into_par_iter()
        .filter_map(|trial| {
            let setting = Setting {
                method,
                shape: Noise::Normal,
                machine: Conduct::Steady,
                // Other trials than those of the conditions.
                trial: numbered(seed, trial) + (1 << 31),
            };
            let report = setting.judge(config, effect((slowed_arm(), stage), rise));
            slowed(&report, (slowed_arm(), stage)).map(|(verdict, _)| verdict)
        })
        .collect();
    let share = |wanted: Verdict| {
        verdicts.iter().filter(|v| **v == wanted).count() as f64 / f64::from(trials)
    };
    CurvePoint {
        method,
        stage,
        effect: rise,
        shares: [
            share(Verdict::Regressed),
            share(Verdict::Inconclusive),
            share(Verdict::Pass),
        ],
    }
}
