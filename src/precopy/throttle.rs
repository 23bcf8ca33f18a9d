//! Slowing the guest down so that pre-copy converges: when, and by how much.
//!
//! Both rules look at what a stretch of pre-copy sent and at what the guest dirtied in it, both in bytes of
//! page content: QEMU counts a few bytes of framing a page as sent too, and would decide the same way for
//! every arm here but for that. The decision is arithmetic on integers, equal on every machine.
//!
//! # Auto-converge
//!
//! QEMU's (`migration/ram.c`: `migration_bitmap_sync`, `migration_trigger_throttle`,
//! `mig_throttle_guest_down`, read in 10.0): once more than a second has passed since the last look,
//! the bytes dirtied since are set against the bytes sent since. More than half of them, twice, and the
//! vCPUs sleep 20% of the time; twice more, and it is 10 points more, up to 99%. "Twice" need not be in a
//! row: a look that finds less does not reset QEMU's count, so it does not reset ours. In each cycle a
//! vCPU runs for 10 ms and then sleeps (`system/cpu-throttle.c`: share / (1 - share) x 10 ms).
//!
//! # Stun
//!
//! vSphere's "stun during page send", of which the idea alone is public: where the guest dirties faster than
//! vMotion sends, its vCPUs are put to sleep for a few milliseconds at a time until they do not. Here, after a
//! round that dirtied more than `target` of what it sent, the vCPUs' share of running time is multiplied by
//! target x sent / dirtied. It is not raised again before the migration ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// Shares are counted in millionths.
const MILLION: u64 = 1_000_000;

/// How vCPUs are slowed down, with the values of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "snake_case",
    deny_unknown_fields
)]
pub enum Throttle {
    /// QEMU's auto-converge.
    AutoConverge {
        /// Dirtied over sent bytes above which a look counts.
        #[serde(default = "half")]
        threshold: f64,
        /// The first share of time asleep.
        #[serde(default = "fifth")]
        initial: f64,
        /// What is added to it each time.
        #[serde(default = "tenth")]
        increment: f64,
        /// The highest share.
        #[serde(default = "most")]
        max: f64,
        /// The least time between two looks.
        #[serde(default = "second")]
        period: Span,
        /// How long a vCPU runs between two sleeps.
        #[serde(default = "ten_milliseconds")]
        slice: Span,
    },
    /// vSphere's stun during page send.
    Stun {
        /// Dirtied over sent bytes aimed at.
        #[serde(default = "four_fifths")]
        target: f64,
        /// The highest share of time asleep.
        #[serde(default = "most")]
        max: f64,
        /// How long a vCPU sleeps at a time.
        #[serde(default = "two_milliseconds")]
        sleep: Span,
    },
}

fn half() -> f64 {
    0.5
}
fn fifth() -> f64 {
    0.2
}
fn tenth() -> f64 {
    0.1
}
fn most() -> f64 {
    0.99
}
fn four_fifths() -> f64 {
    0.8
}
fn second() -> Span {
    Span(Duration::from_secs(1))
}
fn ten_milliseconds() -> Span {
    Span(Duration::from_millis(10))
}
fn two_milliseconds() -> Span {
    Span(Duration::from_millis(2))
}

impl Throttle {
    /// QEMU's rule with QEMU's values.
    pub fn auto_converge() -> Throttle {
        Throttle::AutoConverge {
            threshold: half(),
            initial: fifth(),
            increment: tenth(),
            max: most(),
            period: second(),
            slice: ten_milliseconds(),
        }
    }

    /// vSphere's rule with the values of this build.
    pub fn stun() -> Throttle {
        Throttle::Stun {
            target: four_fifths(),
            max: most(),
            sleep: two_milliseconds(),
        }
    }
}

/// When throttled vCPUs run and when they sleep: by turns, all of them at once, running first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// Time running in each cycle, nanoseconds, above 0.
    pub awake_ns: u64,
    /// Time asleep in each cycle, nanoseconds, above 0.
    pub asleep_ns: u64,
}

impl Cycle {
    /// Whether vCPUs sleep `since_ns` after the first cycle began; if so, how long after that they wake,
    /// nanoseconds.
    #[inline]
    pub fn asleep_until(&self, since_ns: u64) -> Option<u64> {
        let length_ns = self.awake_ns + self.asleep_ns;
        let into_ns = since_ns % length_ns;
        (into_ns >= self.awake_ns).then(|| since_ns - into_ns + length_ns)
    }

    /// Time asleep in the first `since_ns`, nanoseconds.
    pub fn asleep_ns_within(&self, since_ns: u64) -> u64 {
        let length_ns = self.awake_ns + self.asleep_ns;
        let rest_ns = (since_ns % length_ns).saturating_sub(self.awake_ns);
        since_ns / length_ns * self.asleep_ns + rest_ns
    }
}

/// A rule at work in one migration.
#[derive(Debug, Clone)]
pub struct Throttling {
    rule: Throttle,
    /// Share of time asleep, millionths; 0 while the guest is not slowed.
    asleep: u64,
    /// Since the last look.
    since_ns: u64,
    dirtied: u64,
    sent: u64,
    /// Looks that found too much dirtied, since the share was last raised.
    high: u32,
}

impl Throttling {
    /// A rule at the start of a migration, which the first harvest is.
    pub fn new(rule: Throttle) -> Throttling {
        Throttling {
            rule,
            asleep: 0,
            since_ns: 0,
            dirtied: 0,
            sent: 0,
            high: 0,
        }
    }

    /// The share of time that vCPUs sleep now.
    pub fn share(&self) -> f64 {
        self.asleep as f64 / MILLION as f64
    }

    /// After a pre-copy round, `now_ns` since the first harvest: the cycle that vCPUs are to keep from now on,
    /// if it is another than before.
    pub fn after_round(&mut self, now_ns: u64, dirtied: u64, sent: u64) -> Option<Cycle> {
        self.dirtied += dirtied;
        self.sent += sent;
        let before = self.asleep;
        match self.rule {
            Throttle::AutoConverge {
                threshold,
                initial,
                increment,
                max,
                period,
                ..
            } => {
                if now_ns <= self.since_ns.saturating_add(period.as_nanos()) {
                    return None;
                }
                self.since_ns = now_ns;
                if self.looks_high(millionths(threshold)) {
                    self.high += 1;
                }
                if self.high >= 2 {
                    self.high = 0;
                    self.asleep = match self.asleep {
                        0 => millionths(initial),
                        share => (share + millionths(increment)).min(millionths(max)),
                    };
                }
            }
            Throttle::Stun { target, max, .. } => {
                let target = millionths(target);
                if self.looks_high(target) {
                    let awake = u128::from(MILLION - self.asleep);
                    let wanted = awake * u128::from(self.sent) * u128::from(target)
                        / (u128::from(self.dirtied) * u128::from(MILLION));
                    // Less than what the vCPUs have now, which is at most a million.
                    self.asleep = (MILLION - wanted as u64).min(millionths(max));
                }
            }
        }
        (self.dirtied, self.sent) = (0, 0);
        (self.asleep != before).then(|| self.cycle())
    }

    fn looks_high(&self, threshold: u64) -> bool {
        u128::from(self.dirtied) * u128::from(MILLION)
            > u128::from(self.sent) * u128::from(threshold)
    }

    /// For a share above 0 and below 1, which a checked rule gives.
    fn cycle(&self) -> Cycle {
        let (asleep, awake) = (self.asleep.max(1), (MILLION - self.asleep).max(1));
        match self.rule {
            Throttle::AutoConverge { slice, .. } => Cycle {
                awake_ns: slice.as_nanos(),
                asleep_ns: (slice.as_nanos() * asleep / awake).max(1),
            },
            Throttle::Stun { sleep, .. } => Cycle {
                awake_ns: (sleep.as_nanos() * awake / asleep).max(1),
                asleep_ns: sleep.as_nanos(),
            },
        }
    }
}

fn millionths(share: f64) -> u64 {
    (share * MILLION as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn auto_converge_is_qemus_rule() {
        let mut rule = Throttling::new(Throttle::auto_converge());
        // now in ms, dirtied, sent, and the share afterwards in per cent
        let looks = [
            (900, 90, 100, 0),     // not yet a second: adds up
            (1_000, 0, 0, 0),      // nor more than a second
            (1_001, 0, 0, 0),      // 90 of 100: once
            (2_002, 50, 100, 0),   // exactly half is not too much
            (3_003, 51, 100, 20),  // twice, though not in a row
            (4_004, 51, 100, 20),  // once
            (5_005, 200, 100, 30), // twice
            (5_500, 200, 100, 30),
            (6_007, 0, 300, 30), // 200 of 400
        ];
        for (now, dirtied, sent, share) in looks {
            let before = rule.asleep;
            let cycle = rule.after_round(now * MS, dirtied, sent);
            assert_eq!(rule.asleep, share * MILLION / 100, "at {now} ms");
            assert_eq!(cycle.is_some(), before != rule.asleep, "at {now} ms");
        }
        for now in 7..40 {
            rule.after_round(now * 1_001 * MS, 2, 1);
        }
        assert_eq!(rule.share(), 0.99);
        assert_eq!(rule.after_round(60_000 * MS, 2, 1), None);
    }

    #[test]
    fn cycles_are_qemus_ten_milliseconds_and_the_sleep_that_the_share_asks_for() {
        for (percent, asleep_ns) in [(20, 2_500_000), (50, 10 * MS), (99, 990 * MS)] {
            let mut rule = Throttling::new(Throttle::auto_converge());
            rule.asleep = percent * MILLION / 100;
            let cycle = Cycle {
                awake_ns: 10 * MS,
                asleep_ns,
            };
            assert_eq!(rule.cycle(), cycle);
        }
    }

    #[test]
    fn a_stunned_guest_dirties_as_much_as_is_aimed_at() {
        let mut rule = Throttling::new(Throttle::stun());
        assert_eq!(rule.after_round(1, 80, 100), None);
        // Four times as much as is sent: a fifth of the time is left.
        let cycle = rule.after_round(2, 400, 100).unwrap();
        assert_eq!(rule.asleep, 800_000);
        assert_eq!((cycle.awake_ns, cycle.asleep_ns), (500_000, 2 * MS));
        // Never less slowed than before.
        assert_eq!(rule.after_round(3, 10, 100), None);
        // Half as much again.
        assert!(rule.after_round(4, 160, 100).is_some());
        assert_eq!(rule.asleep, 900_000);
        rule.after_round(5, 1 << 40, 1);
        assert_eq!(rule.share(), 0.99);
    }

    #[test]
    fn a_cycle_runs_first_and_sleeps_then() {
        let cycle = Cycle {
            awake_ns: 10,
            asleep_ns: 30,
        };
        let cases = [
            (0, None, 0),
            (9, None, 0),
            (10, Some(40), 0),
            (39, Some(40), 29),
            (40, None, 30),
            (95, Some(120), 65),
        ];
        for (since, until, asleep) in cases {
            assert_eq!(cycle.asleep_until(since), until, "{since}");
            assert_eq!(cycle.asleep_ns_within(since), asleep, "{since}");
        }
    }
}
