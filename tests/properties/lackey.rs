//! The reader of valgrind's lackey output.
//!
//! Input: that output.

use std::borrow::Cow;
use std::io::Read;

use migtax::workload::trace::{Trace, reduce_lackey};

use crate::refusal::one_line;

const QUANTUM_NS: u32 = 1000;
const INSTRUCTIONS_PER_SECOND: u64 = 1_000_000;

/// Whether the input was accepted and holds a trace.
pub fn check(input: &[u8]) -> bool {
    let whole = reduced(input);
    let piecewise = reduced(Pieces {
        left: input,
        size: input.len() / 3 + 1,
    });
    assert_eq!(whole, piecewise, "where a read ends makes no difference");
    let Some(trace) = whole else {
        return false;
    };
    let instructions = input
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"I  "))
        .count() as u64;
    let duration_ns = instructions * 1_000_000_000 / INSTRUCTIONS_PER_SECOND;
    let quanta = duration_ns.div_ceil(u64::from(QUANTUM_NS));
    // A write after the last instruction falls into a quantum of its own.
    assert!(trace.quanta == quanta || trace.quanta == quanta + 1);
    true
}

/// The trace in the output; `None` if it is refused or has no writes.
fn reduced(input: impl Read) -> Option<Trace> {
    let reduced = reduce_lackey(input, INSTRUCTIONS_PER_SECOND, QUANTUM_NS, 0, u64::MAX);
    let file = reduced.and_then(|r| r.writer.finish(r.end_ns, "fuzzed"));
    match file {
        Ok(file) => Some(Trace::parse(Cow::Owned(file)).expect("what was written is read")),
        Err(error) => {
            one_line(&error);
            None
        }
    }
}

/// Gives out a few bytes at a time.
struct Pieces<'a> {
    left: &'a [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = self.size.min(buffer.len());
        self.left.read(&mut buffer[..most])
    }
}
