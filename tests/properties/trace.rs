//! The trace reader.
//!
//! Input: a trace file. It is read as it stands and, since a checksum stops most of what was
//! mutated, once more with the checksum put right.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use migtax::workload::trace::{Replay, Trace, TraceWriter};

use crate::refusal::one_line;

/// Longer streams are walked this far.
const MOST_WRITES: u64 = 20_000;

/// Whether the input was accepted with its checksum put right.
pub fn check(input: &[u8]) -> bool {
    if parse(input).is_some() {
        damage_is_refused(input);
    }
    let mut repaired = input.to_vec();
    if let Some(at) = input.len().checked_sub(4) {
        let sum = crc32fast::hash(&input[..at]);
        repaired[at..].copy_from_slice(&sum.to_le_bytes());
    }
    let Some(trace) = parse(&repaired) else {
        return false;
    };
    replay(&trace);
    written_again(&trace);
    true
}

fn parse(bytes: &[u8]) -> Option<Arc<Trace>> {
    match Trace::parse(Cow::Owned(bytes.to_vec())) {
        Ok(trace) => Some(Arc::new(trace)),
        Err(error) => {
            one_line(&error);
            None
        }
    }
}

/// What is cut, lengthened or has a bit turned is refused: it never becomes another stream.
fn damage_is_refused(input: &[u8]) {
    let refused = |bytes: &[u8], what: &str| assert!(parse(bytes).is_none(), "{what} was accepted");
    for part in 0..8 {
        refused(&input[..input.len() * part / 8], "a cut trace");
    }
    refused(&input[..input.len() - 1], "a cut trace");
    refused(&[input, &[0]].concat(), "a lengthened trace");
    let mut turned = input.to_vec();
    for step in 0..16 {
        let at = (input.len() - 1) * step / 15;
        turned[at] ^= 1 << (step % 8);
        refused(&turned, "a trace with a bit turned");
        turned[at] = input[at];
    }
}

/// A replay holds exactly the writes that the header promises, in time order, within the pages and
/// the duration; repeated, it begins again after its duration.
fn replay(trace: &Arc<Trace>) {
    assert!(trace.writes > 0 && trace.pages > 0 && trace.duration_ns() > 0);
    assert!(trace.rate().is_finite() && trace.rate() > 0.0);
    let mut once = Replay::new(trace.clone(), false);
    let mut again = Replay::new(trace.clone(), true);
    let first = Replay::new(trace.clone(), false).next();
    let mut last_ns = 0;
    for n in 0..trace.writes.min(MOST_WRITES) {
        let write = once.next();
        assert_eq!(write, again.next());
        let (at_ns, page) = write.unwrap_or_else(|| panic!("ends after {n}, not {}", trace.writes));
        assert!(last_ns <= at_ns && at_ns < trace.duration_ns());
        assert!(page < trace.pages);
        last_ns = at_ns;
    }
    if trace.writes <= MOST_WRITES {
        assert_eq!(once.next(), None, "more than {}", trace.writes);
        let repeated = first.map(|(at_ns, page)| (at_ns + trace.duration_ns(), page));
        assert_eq!(again.next(), repeated);
    }
}

/// Written again it is the same trace, but for pages that it never writes to, which are dropped.
fn written_again(trace: &Arc<Trace>) {
    if trace.writes > MOST_WRITES {
        return;
    }
    let mut writer = TraceWriter::new(trace.quantum_ns);
    let writes: Vec<(u64, u64)> = Replay::new(trace.clone(), false).collect();
    for (at_ns, page) in &writes {
        writer.push(*at_ns, *page);
    }
    let bytes = writer
        .finish(trace.duration_ns(), &trace.text)
        .expect("a trace that was read is within the format's limits");
    let again = parse(&bytes).expect("what was written is read");
    let pages: BTreeSet<u64> = writes.iter().map(|(_, page)| *page).collect();
    assert_eq!(again.text, trace.text);
    assert_eq!(
        (again.quantum_ns, again.quanta, again.writes, again.pages),
        (
            trace.quantum_ns,
            trace.quanta,
            trace.writes,
            pages.len() as u64
        )
    );
    let dense: Vec<u64> = pages.into_iter().collect();
    let mut replay = Replay::new(again, false);
    for (at_ns, page) in writes {
        let expected = dense.partition_point(|known| *known < page) as u64;
        assert_eq!(replay.next(), Some((at_ns, expected)));
    }
    assert_eq!(replay.next(), None);
}
