//! How often the gate is wrong: simulated runs, in which the truth is known.
//!
//! Noise comes in three shapes, on a steady machine, on one that drifts within a run and has
//! changed between two runs, and on one whose memory alone has become faster between them. Counted are false alarms of the whole verdict where nothing
//! changed, and how often an effect is found that the gate itself claimed, from the noise it
//! measured, to find.

use rayon::prelude::*;
use serde::Serialize;
use strum::IntoEnumIterator as _;

use super::builds;
use super::config::Config;
use super::runs::judge_runs;
use super::simulate::{Simulation, raw};
use super::verdict::{Report, Verdict};
use crate::arm::Arm;
use crate::figures::Metric;
use crate::present::table::{Cell, Column, Table};
use crate::present::text;
use crate::results::Results;
use crate::stats::Noise;

/// Two stored runs of so many blocks.
const RUN_BLOCKS: u32 = 20;
/// So many blocks of two builds, and so many again to confirm.
const BUILD_BLOCKS: u32 = 24;
/// The arm whose seal is slowed down. The others stay: the hardest case for Holm's adjustment.
fn slowed_arm() -> Arm {
    Arm::foremost()
}
/// Effects of the power curve.
const CURVE: [f64; 7] = [0.0, 0.02, 0.03, 0.05, 0.08, 0.10, 0.20];

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

/// One point of a power curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// How the gate was asked.
    pub method: Method,
    /// Rise of one arm's seal cost.
    pub effect: f64,
    /// Shares of trials in which that metric was regressed, inconclusive, passed.
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
    let curve = [Method::Gate, Method::Ab]
        .into_iter()
        .flat_map(|method| {
            CURVE.map(|effect| curve_point(config, method, effect, trials / 5, seed))
        })
        .collect();
    SelfTest {
        designed_false_alarm: config.false_alarm,
        designed_power: config.power,
        conditions,
        curve,
    }
}

impl SelfTest {
    /// False alarms and A/A trials over all conditions.
    pub fn false_alarms(&self) -> (u32, u32) {
        let sum = |field: fn(&Condition) -> u32| self.conditions.iter().map(field).sum();
        (sum(|c| c.false_alarms), sum(|c| c.trials))
    }

    /// Found and all trials with a claimed effect, over all conditions.
    pub fn power(&self) -> (u32, u32) {
        let sum = |field: fn(&Condition) -> u32| self.conditions.iter().map(field).sum();
        (sum(|c| c.found), sum(|c| c.power_trials))
    }

    /// What is not as designed; three standard errors are allowed for chance.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let error = |p: f64, n: u32| 3.0 * (p * (1.0 - p) / f64::from(n.max(1))).sqrt();
        for c in &self.conditions {
            let name = format!("{:?}, {} noise, {} machine", c.method, c.shape, c.machine);
            let rate = f64::from(c.false_alarms) / f64::from(c.trials.max(1));
            if rate > self.designed_false_alarm + error(self.designed_false_alarm, c.trials) {
                failures.push(format!("{name}: false alarms {rate:.4}"));
            }
            let power = f64::from(c.found) / f64::from(c.power_trials.max(1));
            if c.power_trials > 0
                && power < self.designed_power - error(self.designed_power, c.power_trials)
            {
                failures.push(format!("{name}: power {power:.3}"));
            }
        }
        failures
    }

    /// The figures as tables for a terminal.
    pub fn text(&self) -> String {
        let share = |part: u32, all: u32| f64::from(part) / f64::from(all.max(1));
        let figure = |share: f64| Cell::figure(text::fine_percent(share), share);
        let method = |method: Method| Cell::text(format!("{method:?}").to_lowercase());
        let mut columns = ["method", "noise", "machine"].map(Column::text).to_vec();
        columns.extend(
            [
                "A/A trials",
                "false alarms",
                "inconclusive",
                "claimed",
                "power",
                "passed",
            ]
            .map(|name| Column::figures(name, "")),
        );
        let condition = |c: &Condition| {
            vec![
                method(c.method),
                Cell::text(c.shape.to_string()),
                Cell::text(c.machine.to_string()),
                Cell::count(u64::from(c.trials)),
                figure(share(c.false_alarms, c.trials)),
                figure(share(c.inconclusive, c.trials)),
                figure(c.claimed),
                figure(share(c.found, c.power_trials)),
                figure(share(c.passed, c.power_trials)),
            ]
        };
        let caption = format!(
            "designed for {} false alarms and {} power; seal noise {}, socket noise {}, {RUN_BLOCKS} blocks a run, {BUILD_BLOCKS} blocks (twice) a build",
            text::fine_percent(self.designed_false_alarm),
            text::percent(self.designed_power),
            text::percent(Simulation::default().stage_noise),
            text::percent(Simulation::default().socket_noise),
        );
        let rows = self.conditions.iter().map(condition).collect();
        let mut out = Table::new("conditions", caption, columns, rows).terminal();
        let ((alarms, trials), (found, all)) = (self.false_alarms(), self.power());
        out.push_str(&format!(
            "\nall: {alarms} false alarms in {trials} A/A trials ({}), {found} of {all} claimed effects found ({})\n\n",
            text::fine_percent(share(alarms, trials)),
            text::fine_percent(share(found, all))
        ));
        let mut columns = vec![Column::text("method")];
        columns.extend(
            ["rise", "regressed", "inconclusive", "pass"].map(|name| Column::figures(name, "")),
        );
        let point = |point: &CurvePoint| {
            let mut row = vec![method(point.method), figure(point.effect)];
            row.extend(point.shares.map(figure));
            row
        };
        let caption = "one arm's seal rises by, normal noise, no drift";
        let rows = self.curve.iter().map(point).collect();
        out.push_str(&Table::new("curve", caption, columns, rows).terminal());
        for failure in self.failures() {
            out.push_str(&format!("not as designed: {failure}\n"));
        }
        out
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
    /// A batch of both sides; `batch` 1 is the confirmation. The candidate's seal is slower by
    /// the logarithm `effect`.
    fn sides(&self, batch: u64, effect: f64) -> [Results; 2] {
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
                seal: if side == 1 { libm::exp(effect) } else { 1.0 },
                seal_arm: Some(slowed_arm()),
                ..Simulation::default()
            })
        })
    }

    fn judge(&self, config: &Config, effect: f64) -> Report {
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

/// The verdict and the claim on the slowed metric.
fn slowed(report: &Report) -> Option<(Verdict, Option<f64>)> {
    report
        .rows
        .iter()
        .find(|r| r.arm == slowed_arm().name() && r.metric == Metric::SEAL_CPU_PER_GIB.name())
        .map(|r| (r.verdict, r.figures.and_then(|f| f.detectable)))
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
    // Every fourth trial is repeated with the effect that it claimed.
    let power_trials = match machine {
        Conduct::FasterMemory => 0,
        _ => (trials / 4).max(1),
    };
    let outcomes: Vec<(Verdict, Option<f64>, Option<Verdict>)> = (0..trials)
        .into_par_iter()
        .map(|trial| {
            let report = setting(trial).judge(config, 0.0);
            let claim = slowed(&report).and_then(|(_, claim)| claim);
            let with_effect = claim.filter(|_| trial < power_trials).and_then(|claim| {
                let report = setting(trial).judge(config, libm::log1p(claim));
                slowed(&report).map(|(verdict, _)| verdict)
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

fn curve_point(config: &Config, method: Method, effect: f64, trials: u32, seed: u32) -> CurvePoint {
    let trials = trials.max(1);
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
            slowed(&setting.judge(config, libm::log1p(effect))).map(|(verdict, _)| verdict)
        })
        .collect();
    let share = |wanted: Verdict| {
        verdicts.iter().filter(|v| **v == wanted).count() as f64 / f64::from(trials)
    };
    CurvePoint {
        method,
        effect,
        shares: [
            share(Verdict::Regressed),
            share(Verdict::Inconclusive),
            share(Verdict::Pass),
        ],
    }
}
