//! Rounds of a QEMU migration, from its answers at each dirty sync.

use serde_json::Value;

use crate::results::{Round, RoundKind};
use crate::units::PAGE_SIZE;

/// What precedes a page in QEMU's stream of a single channel: where it belongs (migration/ram.c).
const HEADER_LEN: u64 = 8;
/// What stands for a zero page there: the same and one byte.
const ZERO_PAGE_LEN: u64 = 9;

/// What QEMU had counted at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Snapshot {
    /// Since the migration's start, seconds.
    pub at_s: f64,
    /// Pages sent with content.
    pub normal: u64,
    /// Pages sent as zero.
    pub duplicate: u64,
    /// Bytes sent.
    pub transferred: u64,
    /// Bytes that are dirty and not sent.
    pub remaining: u64,
    /// Of the bytes sent, those while the guest was stopped.
    pub downtime_bytes: u64,
    /// What QEMU expects the downtime to be, milliseconds.
    pub expected_downtime_ms: Option<u64>,
}

impl Snapshot {
    /// From an answer to `query-migrate`; what it does not hold counts as 0.
    pub fn of(answer: &Value, at_s: f64) -> Snapshot {
        let ram = |field: &str| answer["ram"][field].as_u64().unwrap_or(0);
        Snapshot {
            at_s,
            normal: ram("normal"),
            duplicate: ram("duplicate"),
            transferred: ram("transferred"),
            remaining: ram("remaining"),
            downtime_bytes: ram("downtime-bytes"),
            expected_downtime_ms: answer["expected-downtime"].as_u64(),
        }
    }
}

/// The rounds of a migration: `syncs` as seen after each dirty sync while the guest ran, the first of
/// which is the migration's start; when the guest stopped, if it did; and the end.
///
/// A round's counts are those between two answers, which come within about a millisecond of the syncs.
/// From the guest's stop on QEMU answers nothing until all is sent: what went in it is what it counts as
/// `downtime-bytes`, and its pages are as many as these bytes hold. All sums are exact.
pub fn rounds(syncs: &[Snapshot], stopped_s: Option<f64>, end: &Snapshot) -> Vec<Round> {
    let mut ends: Vec<(RoundKind, Snapshot)> = syncs
        .iter()
        .skip(1)
        .map(|sync| (RoundKind::PreCopy, *sync))
        .collect();
    if let Some(at_s) = stopped_s {
        let before = ends.last().map_or(Snapshot::default(), |(_, sync)| *sync);
        ends.push((RoundKind::PreCopy, end.at_stop(at_s, &before)));
        ends.push((RoundKind::StopAndCopy, *end));
    } else {
        ends.push((RoundKind::PreCopy, *end));
    }
    let mut before = Snapshot::default();
    let mut all = Vec::with_capacity(ends.len());
    for (kind, after) in ends {
        let pages_sent = after.normal.saturating_sub(before.normal);
        all.push(Round {
            kind,
            started_s: before.at_s,
            duration_s: (after.at_s - before.at_s).max(0.0),
            pages_sent,
            zero_pages: after.duplicate.saturating_sub(before.duplicate),
            payload_bytes: pages_sent * PAGE_SIZE as u64,
            compressed_bytes: None,
            bytes_on_wire: after.transferred.saturating_sub(before.transferred),
            pages_dirtied: after.remaining / PAGE_SIZE as u64,
            expected_downtime_s: after.expected_downtime_ms.map(|ms| ms as f64 / 1e3),
            downtime_limit_s: None,
            throttle_share: None,
        });
        before = after;
    }
    if let Some(last) = all.last_mut() {
        (last.pages_dirtied, last.expected_downtime_s) = (0, None);
    }
    all
}

impl Snapshot {
    /// What had been counted when the guest stopped, from the counts of the end.
    fn at_stop(&self, at_s: f64, before: &Snapshot) -> Snapshot {
        let since = |now: u64, then: u64| now.saturating_sub(then);
        let bytes = since(self.transferred, before.transferred);
        let stopped_bytes = self.downtime_bytes.min(bytes);
        // Content first: next to it a zero page takes nothing.
        let page = PAGE_SIZE as u64 + HEADER_LEN;
        let running_bytes = bytes - stopped_bytes;
        let normal = (running_bytes / page).min(since(self.normal, before.normal));
        let duplicate = (running_bytes - normal * page) / ZERO_PAGE_LEN;
        let duplicate = duplicate.min(since(self.duplicate, before.duplicate));
        let left = since(self.normal, before.normal) - normal;
        Snapshot {
            at_s: at_s.max(before.at_s),
            normal: before.normal + normal,
            duplicate: before.duplicate + duplicate,
            transferred: self.transferred - stopped_bytes,
            remaining: (left + since(self.duplicate, before.duplicate) - duplicate)
                * PAGE_SIZE as u64,
            downtime_bytes: 0,
            expected_downtime_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rounds_add_up_to_the_last_answer() {
        let answer = |normal: u64, duplicate: u64, remaining: u64, downtime_bytes: u64| {
            json!({
                "expected-downtime": 12,
                "ram": {
                    "normal": normal, "duplicate": duplicate, "remaining": remaining,
                    "transferred": normal * 4104 + duplicate * 9, "downtime-bytes": downtime_bytes,
                }
            })
        };
        let syncs = [
            Snapshot::of(&answer(0, 0, 40_960_000, 0), 0.0),
            Snapshot::of(&answer(9_000, 1_000, 8_192_000, 0), 1.0),
            Snapshot::of(&answer(11_000, 1_000, 409_600, 0), 1.5),
        ];
        let end = Snapshot::of(&answer(11_130, 1_000, 0, 100 * 4104), 1.75);
        let all = rounds(&syncs, Some(1.625), &end);
        assert_eq!(all.len(), 4);
        let sum = |field: fn(&Round) -> u64| all.iter().map(field).sum::<u64>();
        assert_eq!(sum(|r| r.pages_sent), 11_130);
        assert_eq!(sum(|r| r.zero_pages), 1_000);
        assert_eq!(sum(|r| r.bytes_on_wire), end.transferred);
        assert_eq!(all[0].pages_dirtied, 2_000);
        assert_eq!(all[1].expected_downtime_s, Some(0.012));
        assert_eq!((all[2].pages_sent, all[2].pages_dirtied), (30, 100));
        assert_eq!(all[3].kind, RoundKind::StopAndCopy);
        assert_eq!((all[3].pages_sent, all[3].pages_dirtied), (100, 0));
        assert_eq!((all[2].duration_s, all[3].duration_s), (0.125, 0.125));
        // Nothing but the end is known of a migration that broke at once.
        assert_eq!(rounds(&[], None, &end).len(), 1);
        // An answer that contradicts itself breaks nothing.
        let odd = Snapshot::of(&answer(1, 0, 0, u64::MAX), 0.5);
        assert_eq!(rounds(&syncs, Some(0.1), &odd).len(), 4);
        assert_eq!(Snapshot::of(&json!({}), 0.5).transferred, 0);
    }
}
