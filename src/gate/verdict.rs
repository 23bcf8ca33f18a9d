//! What the gate says: one verdict per metric of an arm, and one for all.

use serde::Serialize;

use crate::error::ExitCode;

/// What is known about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// No rise above the tolerance, with the confidence configured.
    Pass,
    /// Better, significantly and by more than the floors.
    Improved,
    /// Worse, significantly and by more than the floors.
    Regressed,
    /// The noise measured does not allow an answer.
    Inconclusive,
    /// The two sides may not be compared.
    Incomparable,
}

impl Verdict {
    /// The word in tables and formats.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The exit code that the verdict has in the contract. Improvements never fail.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Verdict::Pass | Verdict::Improved => ExitCode::Done,
            Verdict::Regressed => ExitCode::Regression,
            Verdict::Inconclusive => ExitCode::Inconclusive,
            Verdict::Incomparable => ExitCode::Incomparable,
        }
    }
}

/// What kind of evidence a row rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Counts and hashes of the virtual clock: equal or not.
    Exact,
    /// How many migrations completed.
    Outcome,
    /// Times, with their noise.
    Time,
    /// Instructions of one thread, which hardly vary.
    Instructions,
    /// Whether the two sides hold the same things at all.
    Identity,
}

/// One decided metric of one arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The evidence.
    pub tier: Tier,
    /// The arm, or the benchmark.
    pub arm: String,
    /// The metric.
    pub metric: String,
    /// What is known.
    pub verdict: Verdict,
    /// Whether an inconclusive row makes the whole inconclusive.
    pub blocking: bool,
    /// One sentence that explains the verdict.
    pub sentence: String,
    /// Figures behind it, where the tier has any.
    pub figures: Option<Figures>,
}

impl Row {
    /// A row without figures whose answer counts.
    pub fn new(tier: Tier, arm: &str, metric: &str, verdict: Verdict, sentence: String) -> Row {
        Row {
            tier,
            arm: arm.to_owned(),
            metric: metric.to_owned(),
            verdict,
            blocking: true,
            sentence,
            figures: None,
        }
    }

    /// Two sides that may not be compared in this metric of this arm, and why.
    pub fn incomparable(arm: &str, metric: &str, why: String) -> Row {
        Row::new(Tier::Identity, arm, metric, Verdict::Incomparable, why)
    }
}

/// The figures behind a verdict on times or instructions. Changes are relative, signed, 0.05 for a
/// figure 5% higher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Median of the arm's own figure at the baseline, in the metric's unit.
    pub baseline: f64,
    /// The same at the candidate.
    pub candidate: f64,
    /// Estimate of the change that was judged: of the tax between two runs, of the arm's own
    /// figure between two builds.
    pub change: f64,
    /// Lower one-sided bound of the change at `pass_confidence`; `None` if unbounded. Of
    /// instructions, the least that the repetitions allow.
    pub low: Option<f64>,
    /// Upper one-sided bound at `pass_confidence`; `None` if unbounded. Of instructions, the most
    /// that the repetitions allow.
    pub high: Option<f64>,
    /// p-value of a change for the worse, adjusted over all rows; `None` of instructions, which are
    /// not tested for chance.
    pub p_worse: Option<f64>,
    /// The same of a change for the better.
    pub p_better: Option<f64>,
    /// Robust standard deviation of the judged log-ratios; of instructions, the repetitions' range.
    pub noise: f64,
    /// The change for the worse that this many blocks find with the configured power; `None` if
    /// none can be significant.
    pub detectable: Option<f64>,
    /// Blocks used, baseline and candidate; of instructions, repetitions.
    pub blocks: [usize; 2],
    /// Blocks (of each side) that would find a change of the tolerance; `None` above 400.
    pub blocks_needed: Option<usize>,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Over all rows.
    pub verdict: Verdict,
    /// One sentence.
    pub sentence: String,
    /// What the baseline was.
    pub baseline: String,
    /// What the candidate was.
    pub candidate: String,
    /// Every decided metric.
    pub rows: Vec<Row>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

impl Report {
    /// Sums up rows. Where something may not be compared, that stands first: a regression seen
    /// among the rest is still in its row. No row at all is incomparable, never a pass.
    pub fn of(baseline: String, candidate: String, rows: Vec<Row>, notes: Vec<String>) -> Report {
        let of = |verdict| rows.iter().filter(move |row| row.verdict == verdict);
        let told = |row: &Row| format!("{} {}: {}", row.arm, row.metric, row.sentence);
        let of_all = |n: usize| format!("{n} of {} metrics", rows.len());
        let first = |verdict| of(verdict).next().map(told);
        let blocking = || of(Verdict::Inconclusive).filter(|row| row.blocking);
        let noted = match of(Verdict::Inconclusive).count() {
            0 => String::new(),
            n => format!("; {n} could not be decided and are noted only"),
        };
        let (verdict, sentence) = if rows.is_empty() {
            let nothing = "there is nothing that both sides have".to_owned();
            (Verdict::Incomparable, nothing)
        } else if let Some(text) = first(Verdict::Incomparable) {
            (Verdict::Incomparable, text)
        } else if let Some(text) = first(Verdict::Regressed) {
            let n = of_all(of(Verdict::Regressed).count());
            (Verdict::Regressed, format!("{n} regressed; first, {text}"))
        } else if let Some(text) = blocking().next().map(told) {
            let n = of_all(blocking().count());
            let sentence = format!("{n} could not be decided; first, {text}");
            (Verdict::Inconclusive, sentence)
        } else if let Some(text) = first(Verdict::Improved) {
            let n = of_all(of(Verdict::Improved).count());
            let sentence = format!("{n} improved, none regressed; first, {text}{noted}");
            (Verdict::Improved, sentence)
        } else {
            let n = of_all(of(Verdict::Pass).count());
            (Verdict::Pass, format!("{n} passed{noted}"))
        };
        Report {
            verdict,
            sentence,
            baseline,
            candidate,
            rows,
            notes,
        }
    }

    /// A report that refuses the comparison as a whole.
    pub fn refused(baseline: String, candidate: String, reason: String) -> Report {
        let row = Row::incomparable("all", "all", reason);
        Report::of(baseline, candidate, vec![row], Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verdict: Verdict, blocking: bool) -> Row {
        let sentence = "because".to_owned();
        Row {
            blocking,
            ..Row::new(Tier::Time, "aws-lc", "seal_cpu_per_gib", verdict, sentence)
        }
    }

    #[test]
    fn the_whole_follows_its_gravest_row() {
        use Verdict::{Improved, Incomparable, Inconclusive, Pass, Regressed};
        type Case<'a> = (&'a [(Verdict, bool)], Verdict, i32);
        let table: &[Case] = &[
            (&[], Incomparable, 5),
            (&[(Pass, true)], Pass, 0),
            (&[(Pass, true), (Improved, true)], Improved, 0),
            (&[(Pass, true), (Inconclusive, false)], Pass, 0),
            (&[(Improved, true), (Inconclusive, true)], Inconclusive, 4),
            (&[(Inconclusive, true), (Regressed, false)], Regressed, 3),
            (&[(Regressed, true), (Incomparable, true)], Incomparable, 5),
        ];
        for (rows, expected, code) in table {
            let rows = rows.iter().map(|(v, b)| row(*v, *b)).collect();
            let report = Report::of("a".to_owned(), "b".to_owned(), rows, Vec::new());
            assert_eq!(report.verdict, *expected);
            assert_eq!(report.verdict.exit_code() as i32, *code);
            assert!(!report.sentence.is_empty());
        }
    }
}
