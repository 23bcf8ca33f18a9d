//! The reader of results.json, and what is made of results that it accepts.
//!
//! Input: the text of a results.json.

use migtax::gate::{Verdict, exact};
use migtax::report;
use migtax::results::Results;
use migtax::run_folder;
use migtax::scenario::differences;
use migtax::{figures, report::csv::migrations_csv, report::markdown::summary};

use crate::refusal::one_line;

/// Whether the input was accepted.
pub fn check(input: &[u8]) -> bool {
    match run_folder::parse(input) {
        Ok(results) => {
            run_folder::check(&results).expect("what was accepted passes again");
            written_again(&results);
            derived(&results, input);
            judged_against_itself(&results);
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    }
}

/// Written again it is accepted and is the same run.
fn written_again(results: &Results) {
    let json = serde_json::to_vec(results).expect("results are plain data");
    let again = run_folder::parse(&json).expect("what was accepted is accepted again");
    assert_eq!(again, *results);
}

/// Everything that is derived can be derived.
fn derived(results: &Results, input: &[u8]) {
    for tax in figures::comparisons(results) {
        assert!(
            tax.ci_low <= tax.ratio && tax.ratio <= tax.ci_high,
            "{tax:?}"
        );
        assert!(tax.level >= 0.0 && tax.level <= 1.0, "{tax:?}");
    }
    let _ = figures::warnings(results);
    let table = report::console_table(&[results]);
    let stray = |c: char| c.is_control() && c != '\n';
    assert!(!table.contains(stray), "{table:?}");
    // A name may hold anything, written as it is or with escapes; no figure is ever a NaN.
    let named = |word: &[u8]| input.windows(word.len()).any(|at| at == word);
    let named = named(b"NaN") || named(b"\\u");
    for text in [table, summary(results), migrations_csv(results)] {
        assert!(named || !text.contains("NaN"), "{text}");
    }
    // Charts take longest: a part of the inputs is enough for them.
    if results.migrations.len() % 4 == 1 {
        let charts = report::chart::of_run(results);
        report::page::render(results, &charts).expect("a page is made of what was accepted");
    }
}

/// A run is comparable with itself, and its counts are equal to themselves. The rest of the gate
/// simulates how many blocks it needs, which takes seconds a run.
fn judged_against_itself(results: &Results) {
    assert_eq!(differences(&results.scenario, &results.scenario), []);
    let counts = exact::counts(results);
    let arms: Vec<_> = counts.keys().copied().collect();
    let deterministic = counts.values().all(Result::is_ok);
    for row in exact::judge(&counts, &counts, &arms) {
        assert!(
            row.verdict == Verdict::Pass || row.verdict == Verdict::Regressed,
            "{row:?}"
        );
        // Arms may differ among each other.
        assert!(
            row.verdict == Verdict::Pass || !deterministic || row.arm == "all arms",
            "{row:?}"
        );
    }
}
