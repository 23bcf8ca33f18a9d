//! The decision itself: from samples and limits to verdicts. Pure, and the same for every caller.
//!
//! For each row the change for the worse is tested by permutation; Holm's adjustment over all
//! rows keeps the chance of any false alarm at the strictness asked for. A rise counts if it is
//! significant and at least the floors; a row passes if a one-sided bound rules out a rise of
//! the tolerance; anything else is inconclusive.

mod completion;

pub use completion::Completion;

use super::config::Strictness;
use super::verdict::{Figures, Row, Tier, Verdict};
use crate::figures::Direction;
use crate::present::text::{percent, probability, signed_percent};
use crate::stats::{
    self, Design, Permutation, Shift, blocks_needed, minimum_detectable_effect, paired_shift,
    pooled_sd, robust_sd, sign_flip, two_sample, two_sample_shift,
};

/// The share of a tax's rise that must show in the arm's own figure; the rest may be drift of the
/// machine between two runs.
const OWN_SHARE: f64 = 0.5;

/// What a row's values are. All are natural logarithms.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Candidate over baseline, one value a block.
    Paired(Vec<f64>),
    /// Two samples, one value a block of each run: the baseline's, the candidate's.
    TwoSample(Vec<f64>, Vec<f64>),
}

/// What a tax was taken against, and how that itself changed between two runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// In words, such as `plain`.
    pub name: String,
    /// Logarithm of its change, signed like the values.
    pub shift: f64,
    /// The arm's own change, undivided; each bound at a confidence of 1 less the strictness.
    pub own: Shift,
    /// Robust standard deviation of the arm's own figure, as a logarithm.
    pub own_noise: f64,
}

/// One metric of one arm, to be decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The arm, or the benchmark.
    pub arm: String,
    /// The metric.
    pub metric: String,
    /// Unit of the medians.
    pub unit: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// The values.
    pub values: Values,
    /// Medians of the arm's own figure, baseline and candidate, in `unit`.
    pub medians: [f64; 2],
    /// What taxes were taken against; `None` where the arm's own figure is judged.
    pub reference: Option<Reference>,
    /// Smaller relative changes never fail.
    pub relative_floor: f64,
    /// Smaller changes of the own figure never fail, in `unit`.
    pub absolute_floor: f64,
    /// The change for the worse that must be ruled out for a pass.
    pub tolerance: f64,
    /// Whether an inconclusive answer makes the whole inconclusive.
    pub blocking: bool,
}

/// Decides all rows together, outcomes first.
pub fn decide(
    questions: &[Question],
    completions: &[Completion],
    strictness: Strictness,
) -> Vec<Row> {
    // Where all migrations completed on both sides, or none, no outcome could be significant, so
    // such a row is not counted as a test (Tarone 1990).
    let (open, settled): (Vec<_>, Vec<_>) = completions.iter().partition(|c| c.is_open());
    let tests: Vec<Permutation> = open
        .iter()
        .map(|c| c.test)
        .chain(questions.iter().map(Question::test))
        .collect();
    let adjusted =
        |p: fn(&Permutation) -> f64| stats::holm(&tests.iter().map(p).collect::<Vec<_>>());
    let (worse, better) = (adjusted(|t| t.greater), adjusted(|t| t.less));
    let family = tests.len();
    let mut p = worse.into_iter().zip(better);
    let mut rows = Vec::with_capacity(completions.len() + questions.len());
    for (completion, (worse, better)) in open.iter().zip(p.by_ref()) {
        rows.push(completion.row(worse, better, strictness));
    }
    rows.extend(settled.iter().map(|c| c.row(1.0, 1.0, strictness)));
    for (question, (worse, better)) in questions.iter().zip(p) {
        rows.push(question.row([worse, better], family, strictness));
    }
    rows
}

impl Question {
    fn sign(&self) -> f64 {
        match self.direction {
            Direction::LowerIsBetter => 1.0,
            Direction::HigherIsBetter => -1.0,
        }
    }

    /// `greater` is a change for the worse.
    fn test(&self) -> Permutation {
        let test = match &self.values {
            Values::Paired(values) => sign_flip(values),
            Values::TwoSample(baseline, candidate) => two_sample(baseline, candidate),
        };
        match self.direction {
            Direction::LowerIsBetter => test,
            Direction::HigherIsBetter => Permutation {
                greater: test.less,
                less: test.greater,
            },
        }
    }

    fn shift(&self, alpha: f64) -> Option<Shift> {
        match &self.values {
            Values::Paired(values) => paired_shift(values, alpha),
            Values::TwoSample(baseline, candidate) => two_sample_shift(baseline, candidate, alpha),
        }
    }

    fn noise(&self) -> f64 {
        match &self.values {
            Values::Paired(values) => robust_sd(values),
            Values::TwoSample(baseline, candidate) => pooled_sd(baseline, candidate),
        }
        .unwrap_or(f64::INFINITY)
    }

    fn blocks(&self) -> [usize; 2] {
        match &self.values {
            Values::Paired(values) => [values.len(); 2],
            Values::TwoSample(baseline, candidate) => [baseline.len(), candidate.len()],
        }
    }

    fn design(&self, family: usize, strictness: Strictness) -> Design {
        Design {
            paired: matches!(self.values, Values::Paired(_)),
            alpha: strictness.alpha / family as f64,
            power: strictness.power,
        }
    }

    /// Whether these blocks could have shown a regression at all. Where they could not, silence is
    /// no evidence, and the row does not pass.
    fn can_alarm(&self, family: usize, strictness: Strictness) -> bool {
        let design = self.design(family, strictness);
        let n = self.blocks().into_iter().min().unwrap_or(0);
        stats::smallest_p(design.paired, n) <= design.alpha
    }

    /// The larger of both floors, as a logarithm of the arm's own figure.
    fn floor(&self) -> f64 {
        let absolute = self.absolute_floor / self.medians[0];
        libm::log1p(self.relative_floor.max(absolute))
    }

    /// The rise to be ruled out for a pass, as a logarithm: one below the floors never fails, so of a
    /// figure near nothing (what is left of apply in `plain`) less need not be known.
    fn tolerated(&self) -> f64 {
        libm::log1p(self.tolerance).max(self.floor())
    }

    /// The smallest change for the worse, as a logarithm, that is found with the power asked
    /// for in a family of so many rows; the floors must be passed as well, and where a tax is
    /// judged the arm's own figure must show the rise too.
    pub fn detectable(&self, family: usize, strictness: Strictness) -> Option<f64> {
        let design = self.design(family, strictness);
        let n = self.blocks().into_iter().min()?;
        let mut effect = minimum_detectable_effect(self.noise(), n, design)?;
        if let Some(reference) = &self.reference {
            let alone = self.design(1, strictness);
            effect = effect.max(minimum_detectable_effect(reference.own_noise, n, alone)?);
        }
        // The estimate scatters by about a fifth of this effect, and must be above the floor.
        Some(effect.max(self.floor() + 0.4 * effect))
    }

    fn row(&self, [p_worse, p_better]: [f64; 2], family: usize, strictness: Strictness) -> Row {
        let Some(shift) = self.shift(1.0 - strictness.pass_confidence) else {
            let why = "no block has a value on both sides".to_owned();
            return self.as_row(Verdict::Incomparable, why, None);
        };
        let sign = self.sign();
        let (rise, most) = if sign > 0.0 {
            (shift.estimate, shift.high)
        } else {
            (-shift.estimate, -shift.low)
        };
        let noise = self.noise();
        let needed = self.needed(rise, most, noise, family, strictness);
        let relative = |log: f64| log.is_finite().then(|| libm::expm1(log));
        let figures = Figures {
            baseline: self.medians[0],
            candidate: self.medians[1],
            change: libm::expm1(shift.estimate),
            low: relative(shift.low),
            high: relative(shift.high),
            p_worse: Some(p_worse),
            p_better: Some(p_better),
            noise,
            detectable: self.detectable(family, strictness).map(libm::expm1),
            blocks: self.blocks(),
            blocks_needed: needed,
        };
        let alpha = strictness.alpha;
        let (verdict, sentence) = if p_worse <= alpha && rise >= self.floor() {
            self.when_worse(p_worse, rise, &figures)
        } else if p_better <= alpha && -rise >= self.floor() {
            let sentence = format!("{}, p {}", self.moved(&figures), probability(p_better));
            (Verdict::Improved, sentence)
        } else if self.can_alarm(family, strictness) && most <= self.tolerated() {
            let surely = if p_worse <= alpha {
                format!("a rise of {}, below the floor", percent(libm::expm1(rise)))
            } else {
                format!(
                    "{}; a change for the worse above {} is ruled out at {}",
                    self.moved(&figures),
                    percent(libm::expm1(self.tolerated())),
                    percent(strictness.pass_confidence)
                )
            };
            (Verdict::Pass, surely)
        } else {
            let sentence = self.undecided(&figures, family, strictness);
            (Verdict::Inconclusive, sentence)
        };
        self.as_row(verdict, sentence, Some(figures))
    }

    /// A significant rise: a regression, unless the arm's own figure did not rise with it. Then it
    /// is the reference that got faster, or the machine did, and the runs can't tell.
    fn when_worse(&self, p_worse: f64, rise: f64, figures: &Figures) -> (Verdict, String) {
        let moved = self.moved(figures);
        if let Some(reference) = &self.reference {
            let (own, surely) = if self.sign() > 0.0 {
                (reference.own.estimate, reference.own.low)
            } else {
                (-reference.own.estimate, -reference.own.high)
            };
            if surely <= 0.0 || own < rise * OWN_SHARE {
                return (
                    Verdict::Inconclusive,
                    format!(
                        "{moved}, but the arm's own figure changed by {} and {} by {}: `migtax ab` decides on the own figure",
                        signed_percent(libm::expm1(reference.own.estimate)),
                        reference.name,
                        signed_percent(libm::expm1(reference.shift))
                    ),
                );
            }
        }
        let sentence = format!("{moved}, p {}", probability(p_worse));
        (Verdict::Regressed, sentence)
    }

    /// Blocks (of each side) that would decide the row.
    fn needed(
        &self,
        rise: f64,
        most: f64,
        noise: f64,
        family: usize,
        strictness: Strictness,
    ) -> Option<usize> {
        let design = self.design(family, strictness);
        let tolerance = self.tolerated();
        if !noise.is_finite() {
            return None;
        }
        if rise >= tolerance {
            return self.finding(noise, rise, design, strictness);
        }
        let detect = self.finding(noise, tolerance, design, strictness)?;
        // The bound closes in on the estimate with the square root of the blocks.
        let n = self.blocks().into_iter().min()? as f64;
        let closing = if most.is_finite() {
            let ratio = (most - rise) / (tolerance - rise);
            (n * ratio * ratio).ceil()
        } else {
            0.0
        };
        (closing <= 400.0).then(|| detect.max(closing as usize))
    }

    /// Blocks that find an effect, in the arm's own figure as well where a tax is judged.
    fn finding(
        &self,
        noise: f64,
        effect: f64,
        design: Design,
        strictness: Strictness,
    ) -> Option<usize> {
        let needed = blocks_needed(noise, effect, design)?;
        let Some(reference) = &self.reference else {
            return Some(needed);
        };
        let alone = self.design(1, strictness);
        blocks_needed(reference.own_noise, effect, alone).map(|own| own.max(needed))
    }

    fn undecided(&self, figures: &Figures, family: usize, strictness: Strictness) -> String {
        let n = figures.blocks[0].min(figures.blocks[1]);
        let limit = if self.can_alarm(family, strictness) {
            format!(
                "{n} blocks with noise of {} find {} at best",
                percent(figures.noise),
                figures.detectable.map_or("nothing".to_owned(), percent)
            )
        } else {
            format!("{n} blocks can't show a significant change over {family} metrics")
        };
        let remedy = match figures.blocks_needed {
            // These blocks did not decide it, so it takes a quarter more at the least.
            Some(blocks) => format!("{} blocks a side would decide", blocks.max(n + n / 4 + 1)),
            None => {
                "more than 400 blocks a side would be needed: quiet the machine first".to_owned()
            }
        };
        format!("{}; {limit}; {remedy}", self.moved(figures))
    }

    /// The change with its bounds, in words.
    fn moved(&self, figures: &Figures) -> String {
        let end = |bound: Option<f64>| bound.map_or("unbounded".to_owned(), signed_percent);
        let against = match &self.reference {
            Some(reference) => format!(" against {}", reference.name),
            None => String::new(),
        };
        format!(
            "{}{against} ({} to {})",
            signed_percent(figures.change),
            end(figures.low),
            end(figures.high)
        )
    }

    fn as_row(&self, verdict: Verdict, sentence: String, figures: Option<Figures>) -> Row {
        Row {
            blocking: self.blocking,
            figures,
            ..Row::new(Tier::Time, &self.arm, &self.metric, verdict, sentence)
        }
    }
}

#[cfg(test)]
mod tests;
