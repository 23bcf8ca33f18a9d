//! Downtime limits that grow while a migration does not converge, as some platforms let them.

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// How the downtime limit grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DowntimeGrowth {
    /// From a first part of the limit to all of it in equal steps, as OpenStack Nova does
    /// (`nova/virt/libvirt/migration.py`, `downtime_steps`): it begins at limit / steps and gets nearer to
    /// the limit by (limit - limit / steps) / steps each time.
    Steps {
        /// Steps from the first part to the limit.
        steps: u32,
        /// Time between two of them.
        every: Span,
    },
    /// Twice as long each time that so many rounds have left memory to send, without end, as Proxmox VE does
    /// (`src/PVE/QemuMigrate.pm`, `phase2`). It polls, and counts polls that find more left than the one
    /// before: that is once a round here, where rounds are longer than its second between polls.
    Doubling {
        /// Rounds between two doublings.
        rounds: u32,
    },
}

impl DowntimeGrowth {
    /// The limit that holds after so many rounds and so much time, nanoseconds; `limit_ns` is the one that was
    /// set.
    pub fn limit_ns(&self, limit_ns: u64, rounds: u32, elapsed_ns: u64) -> u64 {
        match *self {
            DowntimeGrowth::Steps { steps, every } => {
                let first_ns = limit_ns / u64::from(steps);
                // A step is taken once its time is past.
                let taken = elapsed_ns.saturating_sub(1) / every.as_nanos().max(1);
                let taken = u128::from(taken.min(u64::from(steps)));
                let grown = u128::from(limit_ns - first_ns) * taken / u128::from(steps);
                // At most the limit itself.
                first_ns + grown as u64
            }
            DowntimeGrowth::Doubling { rounds: between } => {
                let doublings = (rounds / between).min(u64::BITS - 1);
                limit_ns.saturating_mul(1 << doublings)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const S: u64 = 1_000_000_000;
    const MS: u64 = 1_000_000;

    #[test]
    fn steps_are_novas() {
        // The example in Nova's own words: 10 steps, 3 GB at 30 s each, 400 ms.
        let growth = DowntimeGrowth::Steps {
            steps: 10,
            every: Span(Duration::from_secs(90)),
        };
        for (elapsed_s, limit_ms) in [(1, 40), (91, 76), (181, 112), (811, 364), (901, 400)] {
            let limit = growth.limit_ns(400 * MS, 1, elapsed_s * S);
            assert_eq!(limit, limit_ms * MS, "{elapsed_s} s");
        }
        assert_eq!(growth.limit_ns(400 * MS, 1, 90 * S), 40 * MS);
        assert_eq!(growth.limit_ns(400 * MS, 1, u64::MAX), 400 * MS);
    }

    #[test]
    fn doubling_has_no_end() {
        let growth = DowntimeGrowth::Doubling { rounds: 6 };
        for (rounds, limit) in [(1, 100), (5, 100), (6, 200), (11, 200), (12, 400)] {
            assert_eq!(growth.limit_ns(100, rounds, S), limit, "{rounds}");
        }
        assert_eq!(growth.limit_ns(100, u32::MAX, S), u64::MAX);
    }
}
