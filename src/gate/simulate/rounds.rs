//! The rounds of a simulated migration.

use crate::results::{Round, RoundKind};
use crate::units::{GIB, PAGE_SIZE};

/// Full memory without its zero pages, then ever fewer dirty pages, then stop-and-copy.
pub(super) fn rounds(memory_bytes: u64) -> Vec<Round> {
    let pages = memory_bytes / PAGE_SIZE as u64;
    let zero = 13_107;
    let sent = [pages - zero, pages / 16, pages / 128, pages / 512];
    sent.iter()
        .enumerate()
        .map(|(index, &pages_sent)| {
            let payload_bytes = pages_sent * PAGE_SIZE as u64;
            Round {
                kind: if index + 1 == sent.len() {
                    RoundKind::StopAndCopy
                } else {
                    RoundKind::PreCopy
                },
                started_s: 0.0,
                duration_s: 0.0,
                pages_sent,
                zero_pages: if index == 0 { zero } else { 0 },
                payload_bytes,
                compressed_bytes: None,
                bytes_on_wire: payload_bytes + payload_bytes / 1000,
                pages_dirtied: Some(sent.get(index + 1).copied().unwrap_or(0)),
                // The rounds before the last two left too much for the limit.
                expected_downtime_s: (sent.get(index + 1))
                    .map(|pages| 0.002 + *pages as f64 * PAGE_SIZE as f64 / GIB),
                downtime_limit_s: None,
                throttle_share: None,
            }
        })
        .collect()
}

/// The rounds with times: pre-copy shares `transfer_s` by payload, the last takes the pause.
pub(super) fn timed(mut rounds: Vec<Round>, transfer_s: f64, pause_s: f64) -> Vec<Round> {
    let bytes: u64 = rounds
        .iter()
        .filter(|r| r.kind == RoundKind::PreCopy)
        .map(|r| r.payload_bytes)
        .sum();
    let mut at = 0.0;
    for round in &mut rounds {
        round.started_s = at;
        round.duration_s = match round.kind {
            RoundKind::PreCopy => transfer_s * round.payload_bytes as f64 / bytes as f64,
            RoundKind::StopAndCopy => pause_s,
        };
        at += round.duration_s;
    }
    rounds
}
