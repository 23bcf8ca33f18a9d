//! When pre-copy ends: a pure function of what a round left behind.
//!
//! The rule is QEMU's: switch over once the pause is expected to fit the downtime limit, by the bandwidth
//! measured lately. QEMU expects (dirty bytes) / bandwidth (`migration/migration.c`,
//! `migration_update_counters`: its threshold is bandwidth x limit, set against the pending bytes
//! of RAM); device state, the stopping of vCPUs, the last look at the dirty log and the switchover come
//! on top of it and of the limit. Here all of it is expected:
//!
//! ```text
//! (dirty + late pages + device state) / bandwidth         sending
//! + harvest                                               finding the last dirty pages
//! + stop                                                  stopping the vCPUs
//! + 2 x hand-over                                         the last round; switchover
//! + 2 x acknowledgement                                   the last round's; the switchover's
//! ```
//!
//! The last harvest and hand-over, and the shortest acknowledgement, of this migration's own rounds
//! stand for those of its pause; bandwidth is bytes over the time that is left without them. A vCPU is stopped by
//! waking a thread: a hand-over, or half of an acknowledgement, which holds two such wake-ups, if that is more, since
//! one stream has no hand-over. Late pages are those written between the harvest that was decided
//! on and the one in the pause, at the rate of the last round.
//!
//! Limits on rounds and time say what happens when it never fits; the guest may be slowed down
//! ([`Throttling`]) or the limit raised ([`DowntimeGrowth`]) until it does.

mod growth;
mod throttle;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use growth::DowntimeGrowth;
pub use throttle::{Cycle, Throttle, Throttling};

use crate::units::PAGE_SIZE;

/// Rounds that sent for less than this together are too short to measure bandwidth by (QEMU: 100 ms).
pub const BANDWIDTH_WINDOW: Duration = Duration::from_millis(100);

/// What bounds pre-copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The pause aimed at, nanoseconds.
    pub downtime_ns: u64,
    /// How that grows.
    pub growth: Option<DowntimeGrowth>,
    /// Pre-copy rounds at most.
    pub rounds: u32,
    /// Time since the first harvest at most, nanoseconds.
    pub time_ns: u64,
    /// Time since a round last left less dirty than every one before at most, nanoseconds.
    pub progress_ns: Option<u64>,
    /// What to do when a limit strikes.
    pub on_stall: OnStall,
}

impl Limits {
    /// The pause aimed at after so many rounds and so much time, nanoseconds.
    pub fn downtime_ns_after(&self, rounds: u32, elapsed_ns: u64) -> u64 {
        let limit_ns = self.downtime_ns;
        self.growth.map_or(limit_ns, |growth| {
            growth.limit_ns(limit_ns, rounds, elapsed_ns)
        })
    }
}

/// What to do when pre-copy does not converge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStall {
    /// Give up; the guest runs on at the source.
    Abort,
    /// Stop and copy whatever is left, however long it takes.
    Switchover,
    /// Slow the guest down from the first sign on; give up only if a limit strikes nevertheless.
    Throttle,
}

/// What is known after a pre-copy round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Pre-copy rounds done, at least 1.
    pub rounds: u32,
    /// Since the first harvest, nanoseconds.
    pub elapsed_ns: u64,
    /// Since a round last left less dirty than every one before, nanoseconds.
    pub since_progress_ns: u64,
    /// How long the guest's pause would be if it began now, nanoseconds.
    pub expected_downtime_ns: u64,
}

/// What a pause takes beside sending, as measured in the rounds before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FixedCost {
    /// Finding dirty pages, in the last harvest, nanoseconds.
    pub harvest_ns: u64,
    /// What the last round took after its streams' own work, nanoseconds: being woken by the other streams' threads;
    /// of one stream next to nothing.
    pub hand_over_ns: u64,
    /// From the last byte's way into the socket to the destination's word that all is applied,
    /// nanoseconds: the shortest so far, since a wait for much data also holds the sending of
    /// what still stood in buffers.
    pub acknowledgement_ns: Option<u64>,
}

impl FixedCost {
    /// That of one stream: a harvest, and so much that is all acknowledgements and stopping the vCPUs, nanoseconds.
    pub fn without_hand_over(harvest_ns: u64, beside_ns: u64) -> FixedCost {
        FixedCost {
            harvest_ns,
            hand_over_ns: 0,
            // Two and a half of one come to all of it.
            acknowledgement_ns: Some((beside_ns as f64 / 2.5) as u64),
        }
    }

    /// Adds what a round showed.
    pub fn observe(&mut self, hand_over_ns: u64, acknowledgement_ns: u64) {
        self.hand_over_ns = hand_over_ns;
        let shortest = self.acknowledgement_ns.unwrap_or(acknowledgement_ns);
        self.acknowledgement_ns = Some(shortest.min(acknowledgement_ns));
    }

    /// Stopping the vCPUs, nanoseconds.
    fn stop_ns(&self) -> u64 {
        let wake_up_ns = self.acknowledgement_ns.unwrap_or(0) / 2;
        self.hand_over_ns.max(wake_up_ns)
    }

    /// All of it in one pause, nanoseconds.
    pub fn total_ns(&self) -> u64 {
        let hand_over_ns = self.hand_over_ns.saturating_mul(2);
        let acknowledgement_ns = self.acknowledgement_ns.unwrap_or(0).saturating_mul(2);
        (self.harvest_ns.saturating_add(self.stop_ns()))
            .saturating_add(hand_over_ns)
            .saturating_add(acknowledgement_ns)
    }

    /// How long the pause would be if it began now, nanoseconds, with so many pages dirtied in so much
    /// time: sending them and those that the guest still writes until it has stopped and been looked
    /// through, which `sending_ns` says of bytes of page content, device state included; and what no
    /// byte is sent in.
    pub fn expected_downtime_ns(
        &self,
        dirty: u64,
        over_ns: u64,
        sending_ns: impl FnOnce(u64) -> u64,
    ) -> u64 {
        let until_harvested_ns = self.harvest_ns + self.stop_ns();
        let pages = dirty + late_pages(dirty, over_ns, until_harvested_ns);
        sending_ns(pages * PAGE_SIZE as u64).saturating_add(self.total_ns())
    }
}

/// Pages that will be dirtied in `during_ns` if `dirty` were in `over_ns`; never more than those, which
/// a guest that writes to few pages reaches at once.
pub fn late_pages(dirty: u64, over_ns: u64, during_ns: u64) -> u64 {
    let late = u128::from(dirty) * u128::from(during_ns) / u128::from(over_ns.max(1));
    u64::try_from(late).unwrap_or(u64::MAX).min(dirty)
}

/// Why pre-copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum StopReason {
    /// What is left fits the downtime limit.
    #[strum(to_string = "converged")]
    Converged,
    /// [`Limits::rounds`] are done and it does not fit.
    #[strum(to_string = "round limit")]
    RoundLimit,
    /// [`Limits::time_ns`] are over and it does not fit.
    #[strum(to_string = "time limit")]
    TimeLimit,
    /// [`Limits::progress_ns`] have gone by without progress and it does not fit.
    #[strum(to_string = "no progress")]
    NoProgress,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Another pre-copy round.
    Continue,
    /// Pause the vCPUs and send the rest.
    StopAndCopy(StopReason),
    /// Give up; the guest runs on at the source. Never for [`StopReason::Converged`].
    Abort(StopReason),
}

/// Decides after a pre-copy round. Convergence is looked at first, so a round that both converges
/// and reaches a limit converges.
pub fn decide(progress: Progress, limits: Limits) -> Decision {
    let limit_ns = limits.downtime_ns_after(progress.rounds, progress.elapsed_ns);
    if progress.expected_downtime_ns <= limit_ns {
        return Decision::StopAndCopy(StopReason::Converged);
    }
    let reason = if progress.rounds >= limits.rounds {
        StopReason::RoundLimit
    } else if progress.elapsed_ns >= limits.time_ns {
        StopReason::TimeLimit
    } else if (limits.progress_ns).is_some_and(|most| progress.since_progress_ns >= most) {
        StopReason::NoProgress
    } else {
        return Decision::Continue;
    };
    match limits.on_stall {
        OnStall::Abort | OnStall::Throttle => Decision::Abort(reason),
        OnStall::Switchover => Decision::StopAndCopy(reason),
    }
}

/// Bandwidth over the latest rounds that together sent for [`BANDWIDTH_WINDOW`], or over all if they
/// sent for less.
#[derive(Debug, Clone, Default)]
pub struct BandwidthWindow {
    rounds: Vec<(u64, Duration)>,
}

impl BandwidthWindow {
    /// Adds a round's bytes and how long it sent them, without what a round takes that sends nothing.
    pub fn add(&mut self, bytes: u64, duration: Duration) {
        self.rounds.push((bytes, duration));
    }

    /// How long `bytes` would take at the bandwidth measured, nanoseconds; `u64::MAX` before the
    /// first byte was sent.
    pub fn time_for_ns(&self, bytes: u64) -> u64 {
        let (mut sent, mut time) = (0u128, Duration::ZERO);
        for (round_bytes, duration) in self.rounds.iter().rev() {
            sent += u128::from(*round_bytes);
            time += *duration;
            if time >= BANDWIDTH_WINDOW {
                break;
            }
        }
        if sent == 0 {
            return u64::MAX;
        }
        u64::try_from(u128::from(bytes) * time.as_nanos() / sent).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        downtime_ns: 20,
        growth: None,
        rounds: 5,
        time_ns: 1_000,
        progress_ns: None,
        on_stall: OnStall::Abort,
    };

    #[test]
    fn every_exit_is_taken() {
        let switchover = Limits {
            on_stall: OnStall::Switchover,
            ..LIMITS
        };
        use StopReason::{Converged, RoundLimit, TimeLimit};
        let (go_on, stop, abort) = (Decision::Continue, Decision::StopAndCopy, Decision::Abort);
        let cases = [
            // rounds, elapsed, expected downtime, limits, decision
            (1, 10, 20, LIMITS, stop(Converged)),
            (1, 10, 21, LIMITS, go_on),
            (4, 999, 21, LIMITS, go_on),
            (5, 10, 21, LIMITS, abort(RoundLimit)),
            (5, 10, 20, LIMITS, stop(Converged)),
            (4, 1_000, 21, LIMITS, abort(TimeLimit)),
            (5, 1_000, 21, LIMITS, abort(RoundLimit)),
            (4, 1_000, 0, LIMITS, stop(Converged)),
            (5, 10, 21, switchover, stop(RoundLimit)),
            (4, 1_000, 21, switchover, stop(TimeLimit)),
            (1, 10, u64::MAX, LIMITS, go_on),
        ];
        for (rounds, elapsed_ns, expected_downtime_ns, limits, decision) in cases {
            let progress = Progress {
                rounds,
                elapsed_ns,
                since_progress_ns: elapsed_ns,
                expected_downtime_ns,
            };
            assert_eq!(decide(progress, limits), decision, "{progress:?}");
        }
    }

    #[test]
    fn a_grown_limit_ends_pre_copy_and_a_lack_of_progress_too() {
        let at = |rounds, since_progress_ns| Progress {
            rounds,
            elapsed_ns: 500,
            since_progress_ns,
            expected_downtime_ns: 40,
        };
        let doubling = Limits {
            growth: Some(DowntimeGrowth::Doubling { rounds: 3 }),
            ..LIMITS
        };
        assert_eq!(decide(at(2, 0), doubling), Decision::Continue);
        let converged = Decision::StopAndCopy(StopReason::Converged);
        assert_eq!(decide(at(3, 0), doubling), converged);
        let patient = Limits {
            progress_ns: Some(100),
            ..LIMITS
        };
        assert_eq!(decide(at(2, 99), patient), Decision::Continue);
        let abort = Decision::Abort(StopReason::NoProgress);
        assert_eq!(decide(at(2, 100), patient), abort);
    }

    #[test]
    fn a_pause_is_more_than_sending() {
        let mut fixed = FixedCost {
            harvest_ns: 20,
            ..FixedCost::default()
        };
        assert_eq!(fixed.total_ns(), 20);
        fixed.observe(9, 400);
        fixed.observe(7, 100);
        fixed.observe(5, 300);
        assert_eq!(fixed.total_ns(), 20 + 50 + 2 * 5 + 2 * 100);
        assert_eq!(FixedCost::without_hand_over(20, 250).total_ns(), 20 + 250);
        fixed.observe(60, 300);
        assert_eq!(fixed.total_ns(), 20 + 60 + 2 * 60 + 2 * 100);
        assert_eq!(late_pages(1_000, 1_000_000, 50_000), 50);
        assert_eq!(late_pages(1_000, 10, 50_000), 1_000);
        // Under the virtual clock harvests and hand-overs take no time.
        assert_eq!(late_pages(1_000, 0, 0), 0);
    }

    #[test]
    fn bandwidth_looks_at_the_latest_rounds_only() {
        let mut window = BandwidthWindow::default();
        assert_eq!(window.time_for_ns(1), u64::MAX);
        window.add(1_000, Duration::from_millis(200));
        window.add(100, Duration::from_millis(100));
        assert_eq!(window.time_for_ns(100), 100_000_000);
        window.add(900, Duration::from_millis(60));
        // 60 ms are too short alone: the round before counts too.
        assert_eq!(window.time_for_ns(1_000), 160_000_000);
    }
}
