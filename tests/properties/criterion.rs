//! The reader of what criterion leaves: `sample.json` and `benchmark.json`.
//!
//! Input: the text of either.

use migtax::gate::criterion::{batches_of, benchmark_name};

use crate::refusal::one_line;

/// As in the built-in configuration.
const BATCHES: usize = 10;

/// Whether the input was accepted as one of the two.
pub fn check(input: &[u8]) -> bool {
    let named = match benchmark_name(input) {
        Ok(_) => true,
        Err(error) => {
            one_line(&error);
            false
        }
    };
    let sampled = match batches_of(input, BATCHES) {
        Ok(values) => {
            assert_eq!(values.len(), BATCHES);
            for value in values {
                assert!(value.is_finite() && value > 0.0, "{value} ns");
                assert!(value.ln().is_finite(), "{value} ns");
            }
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    };
    named || sampled
}
