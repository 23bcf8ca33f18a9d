//! Rounds of a QEMU migration, from its answers at each dirty sync.

use serde_json::Value;

use crate::results::{Round, RoundKind};
use crate::units::PAGE_SIZE;

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
        }
    }
}

/// The rounds of a migration: `syncs` as seen after each dirty sync while the guest ran, the first of
/// which is the migration's start; as seen when the guest had stopped, if it did; and the end.
///
/// A round's counts are those between two answers. While the guest runs these come within about a
/// millisecond of the syncs, so that what is sent in it counts to the round before; once it has stopped
/// QEMU waits for the question. All sums are exact. The sync that QEMU decides on to stop the guest ends no
/// round: nothing is sent between the two, and whether it is seen before the stop is chance.
pub fn rounds(syncs: &[Snapshot], stop: Option<&Snapshot>, end: &Snapshot) -> Vec<Round> {
    let decided = usize::from(stop.is_some());
    let seen = &syncs[..syncs.len().saturating_sub(decided)];
    let running = seen.iter().skip(1).chain(stop);
    let mut ends: Vec<(RoundKind, &Snapshot)> =
        running.map(|at| (RoundKind::PreCopy, at)).collect();
    ends.push(match stop {
        Some(_) => (RoundKind::StopAndCopy, end),
        None => (RoundKind::PreCopy, end),
    });
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
            pages_dirtied: None,
            expected_downtime_s: None,
            downtime_limit_s: None,
            throttle_share: None,
        });
        before = Snapshot {
            at_s: after.at_s.max(before.at_s),
            ..*after
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(at_s: f64, normal: u64, duplicate: u64) -> Snapshot {
        let answer = json!({
            "expected-downtime": 300,
            "ram": {
                "normal": normal, "duplicate": duplicate, "remaining": 40_960,
                "transferred": normal * 4104 + duplicate * 9,
            }
        });
        Snapshot::of(&answer, at_s)
    }

    #[test]
    fn rounds_add_up_to_the_last_answer() {
        // The third sync is the one that was decided on: it was seen a moment before the stop.
        let syncs = [at(0.0, 0, 0), at(1.0, 9_000, 1_000), at(1.5, 11_000, 1_200)];
        let (stop, end) = (at(1.625, 11_030, 1_210), at(1.75, 11_130, 1_290));
        let all = rounds(&syncs, Some(&stop), &end);
        let counts: Vec<_> = all
            .iter()
            .map(|r| (r.duration_s, r.pages_sent, r.zero_pages))
            .collect();
        assert_eq!(
            counts,
            [(1.0, 9_000, 1_000), (0.625, 2_030, 210), (0.125, 100, 80)]
        );
        let sum = |field: fn(&Round) -> u64| all.iter().map(field).sum::<u64>();
        assert_eq!(sum(|r| r.bytes_on_wire), end.transferred);
        assert_eq!(sum(|r| r.payload_bytes), 11_130 * 4096);
        let kinds: Vec<RoundKind> = all.iter().map(|r| r.kind).collect();
        use RoundKind::{PreCopy, StopAndCopy};
        assert_eq!(kinds, [PreCopy, PreCopy, StopAndCopy]);
        // What QEMU does not tell of a round is absent.
        let tells = |r: &Round| r.pages_dirtied.is_some() || r.expected_downtime_s.is_some();
        assert!(!all.iter().any(tells));
    }

    /// However soon after the sync the guest stops, and however late the answer to the sync comes.
    #[test]
    fn a_sync_that_is_seen_late_changes_no_count() {
        let (stop, end) = (at(0.5, 1_000, 300), at(0.6, 1_100, 400));
        let of = |decided: Snapshot| {
            let syncs = [at(0.0, 0, 0), decided];
            rounds(&syncs, Some(&stop), &end)
        };
        assert_eq!(of(at(0.49, 998, 300)), of(at(0.5, 1_000, 300)));
        assert_eq!(of(stop).len(), 2);
    }

    #[test]
    fn a_migration_that_broke_off_has_the_rounds_that_it_came_to() {
        let end = at(0.5, 10, 0);
        // Nothing but the end is known of one that broke at once.
        assert_eq!(rounds(&[], None, &end).len(), 1);
        let syncs = [at(0.0, 0, 0), at(0.2, 4, 0)];
        let all = rounds(&syncs, None, &end);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].pages_sent, all[1].pages_sent), (4, 6));
        // An answer that contradicts itself breaks nothing.
        let odd = rounds(&syncs, Some(&at(0.1, 2, 0)), &at(0.05, 1, 0));
        assert!(odd.iter().all(|r| r.duration_s >= 0.0), "{odd:?}");
        assert_eq!(Snapshot::of(&json!({}), 0.5).transferred, 0);
    }
}
