//! A forged record on one stream that is completed only when the final record has passed on the
//! other: whichever the destination meets first, the guest is in one place, and the outcome says
//! which.

use migtax::arm::Arm;
use migtax::results::OutcomeStatus;

use crate::relay::{Fault, Phase};
use crate::relayed::{self, Plan, struck};
use crate::runs::{assert_guest_stayed, marker, several_at_once};

/// How many migrations of each arm are attacked in each way, if not this many; 1000 take minutes.
const COUNT: &str = "MIGTAX_TEST_FORGERIES";
const USUAL: u32 = 24;
/// So many in one run.
const AT_ONCE: u32 = 24;

#[test]
fn a_forged_record_withheld_until_the_final_one_passed_changes_no_outcome() {
    let count = std::env::var(COUNT).map_or(USUAL, |count| count.parse().unwrap());
    several_at_once([false, true], |at_the_answer| {
        let (mut completed, mut failed, mut late) = (0, 0, 0);
        for first in (0..count).step_by(AT_ONCE as usize) {
            let repetitions = AT_ONCE.min(count - first).to_string();
            let plan = Plan {
                phase: Phase::FinalRecord,
                fault: Some(Fault::Forge { at_the_answer }),
                first: 0,
                peer_timeout: "5s",
                marker: &marker(),
            };
            let arms = [Arm::PLAIN, Arm::RUSTCRYPTO_SOFT, Arm::AWS_LC];
            let (run, relay) = relayed::run(plan, &arms, &["--reps", &repetitions]);
            let results = run.results.unwrap_or_else(|| panic!("{}", run.said));
            for migration in struck(&results, &relay, "forged") {
                let context = format!(
                    "at the answer: {at_the_answer}, {}, block {}: {:?}",
                    migration.arm, migration.block, migration.outcome
                );
                match migration.outcome.status {
                    OutcomeStatus::Completed => {
                        assert!(migration.verified.equal, "{context}");
                        completed += 1;
                    }
                    // The destination met the forged record first. Once it has answered the final
                    // one, the guest is there.
                    _ => {
                        assert!(!at_the_answer, "{context}");
                        assert_guest_stayed(migration, &context);
                        failed += 1;
                    }
                }
                late += migration
                    .warnings
                    .iter()
                    .filter(|warning| warning.code == "late_record")
                    .count();
            }
        }
        println!(
            "forged at the answer: {at_the_answer}: {completed} completed, {late} of them with a \
             warning, {failed} failed with the guest at the source"
        );
    });
}
