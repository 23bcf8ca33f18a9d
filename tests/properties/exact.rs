//! The reader of the reviewed file of exact counts.
//!
//! Input: the text of an exact.json.

use migtax::gate::exact::Baseline;

use crate::refusal::one_line;

/// Whether the input was accepted.
pub fn check(input: &[u8]) -> bool {
    match Baseline::parse(input) {
        Ok(baseline) => {
            let json = serde_json::to_vec(&baseline).expect("counts are plain data");
            let again = Baseline::parse(&json).expect("what was written is read");
            assert_eq!(again, baseline);
            every_name_is_kept(input, &json);
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    }
}

/// A scenario or an arm that stands in the file twice is not dropped in silence: what was accepted
/// has as many hashes as the text.
fn every_name_is_kept(input: &[u8], again: &[u8]) {
    let count = |text: &[u8]| {
        let name = b"\"source_hash\"";
        text.windows(name.len()).filter(|at| at == name).count()
    };
    // A hash may be written with escapes, or be part of a text: then there is nothing to count.
    if !input.contains(&b'\\') {
        assert_eq!(count(input), count(again), "counts were dropped");
    }
}
