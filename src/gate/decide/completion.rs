//! Outcomes as evidence: an arm that completes less often has become worse.

use crate::gate::config::Strictness;
use crate::gate::verdict::{Row, Tier, Verdict};
use crate::present::text::probability;
use crate::stats::Permutation;

/// How many migrations of an arm completed, to be decided with the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The arm.
    pub arm: String,
    /// Completed and all, at the baseline.
    pub baseline: [usize; 2],
    /// Completed and all, at the candidate.
    pub candidate: [usize; 2],
    /// Test of the share that did not complete.
    pub test: Permutation,
}

impl Completion {
    /// Whether any outcome could be significant.
    pub(super) fn is_open(&self) -> bool {
        self.test.two_sided() < 1.0
    }

    pub(super) fn row(&self, worse: f64, better: f64, strictness: Strictness) -> Row {
        let ([a, of_a], [b, of_b]) = (self.baseline, self.candidate);
        let counts = format!("{a} of {of_a} migrations completed before, {b} of {of_b} now");
        let (verdict, sentence) = if worse <= strictness.alpha {
            let sentence = format!("{counts}, p {}", probability(worse));
            (Verdict::Regressed, sentence)
        } else if better <= strictness.alpha {
            let sentence = format!("{counts}, p {}", probability(better));
            (Verdict::Improved, sentence)
        } else if b * of_a >= a * of_b {
            (Verdict::Pass, counts)
        } else {
            let sentence =
                format!("{counts}: too few to tell from chance; run both with more blocks");
            (Verdict::Inconclusive, sentence)
        };
        Row::new(Tier::Outcome, &self.arm, "completed", verdict, sentence)
    }
}
