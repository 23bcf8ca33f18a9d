//! The reader of frontier.json, and what is made of a frontier that it accepts.
//!
//! Input: the text of a frontier.json.

use migtax::frontier::{file, report};

use crate::refusal::one_line;

/// Whether the input was accepted.
pub fn check(input: &[u8]) -> bool {
    let found = match file::parse(input) {
        Ok(found) => found,
        Err(error) => {
            one_line(&error);
            return false;
        }
    };
    let json = serde_json::to_vec(&found).expect("a frontier is plain data");
    let again = file::parse(&json).expect("what was accepted is accepted again");
    assert_eq!(again, found);
    for entry in &found.frontier {
        let ends = entry.low.zip(entry.high);
        assert!(ends.is_none_or(|(low, high)| low < high), "{entry:?}");
        let known = [entry.low, entry.rate_bytes_per_s, entry.high];
        let known: Vec<f64> = known.into_iter().flatten().collect();
        assert!(
            known.is_sorted() && known.iter().all(|v| *v > 0.0),
            "{entry:?}"
        );
    }
    let table = report::console(&found);
    let stray = |c: char| c.is_control() && c != '\n';
    assert!(!table.contains(stray), "{table:?}");
    let (_, texts) = report::render(&found).expect("a page is made of what was accepted");
    // A name may hold anything, written as it is or with escapes; no figure is ever a NaN.
    let named = |word: &[u8]| input.windows(word.len()).any(|at| at == word);
    let named = named(b"NaN") || named(b"\\u");
    for (name, text) in texts {
        assert!(named || !text.contains("NaN"), "{name}: {text}");
    }
    true
}
