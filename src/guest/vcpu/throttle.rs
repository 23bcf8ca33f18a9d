//! The sleep of throttled vCPUs, in stream time.
//!
//! A write that falls due while its vCPU sleeps is lost: it is drawn from the stream and never executed.
//! Were it only late, a vCPU that writes for a few per cent of its time would make up for every sleep
//! in the time that it is left, and dirty as many pages as before; a guest that is busy with what its writes
//! are a part of does less. The latency of a lost write is the time until its vCPU woke, the least that
//! whoever waits for it has to wait.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::precopy::Cycle;

/// The cycle that vCPUs keep, set by their controller and read by them before each write.
#[derive(Debug, Default)]
pub(super) struct ThrottleWord {
    /// [`Cycle::awake_ns`] in the lower half, [`Cycle::asleep_ns`] in the upper one; 0 without a throttle.
    cycle: AtomicU64,
    /// Stream time at which the first cycle began.
    from_ns: AtomicU64,
}

/// A cycle and where in stream time it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThrottledFrom {
    cycle: Cycle,
    from_ns: u64,
}

impl ThrottledFrom {
    /// If vCPUs sleep at that stream time, when they wake.
    #[inline]
    pub(super) fn asleep_until(&self, at_ns: u64) -> Option<u64> {
        let since_ns = at_ns.checked_sub(self.from_ns)?;
        Some(self.from_ns + self.cycle.asleep_until(since_ns)?)
    }
}

impl ThrottleWord {
    /// From that stream time on vCPUs keep `cycle`; none lets them run. Parts of a cycle above 4 s are cut to
    /// that: no checked rule has them.
    pub(super) fn set(&self, cycle: Option<Cycle>, from_ns: u64) {
        self.from_ns.store(from_ns, Relaxed);
        let half = |ns: u64| ns.clamp(1, u64::from(u32::MAX));
        let word = cycle.map_or(0, |cycle| {
            half(cycle.asleep_ns) << 32 | half(cycle.awake_ns)
        });
        self.cycle.store(word, Release);
    }

    /// Costs one load while there is no throttle.
    #[inline]
    pub(super) fn get(&self) -> Option<ThrottledFrom> {
        let word = self.cycle.load(Acquire);
        (word != 0).then(|| ThrottledFrom {
            cycle: Cycle {
                awake_ns: word & u64::from(u32::MAX),
                asleep_ns: word >> 32,
            },
            from_ns: self.from_ns.load(Relaxed),
        })
    }
}

/// Which writes of a vCPU's stream were lost, as runs of their numbers since its start offset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LostWrites {
    /// First number and length.
    runs: Vec<(u64, u64)>,
    count: u64,
}

impl LostWrites {
    /// The write of that number is lost; numbers only rise.
    pub fn push(&mut self, number: u64) {
        self.count += 1;
        match self.runs.last_mut() {
            Some((first, count)) if *first + *count == number => *count += 1,
            _ => self.runs.push((number, 1)),
        }
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A test for numbers that only rise.
    pub fn test(&self) -> impl FnMut(u64) -> bool + use<'_> {
        let mut runs = self.runs.iter().peekable();
        move |number| {
            while runs
                .next_if(|(first, count)| first + count <= number)
                .is_some()
            {}
            runs.peek().is_some_and(|(first, _)| *first <= number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_writes_are_told_from_the_others() {
        let lost = [2, 3, 4, 7, 9, 10];
        let mut writes = LostWrites::default();
        lost.iter().for_each(|number| writes.push(*number));
        assert_eq!((writes.count(), writes.runs.len()), (6, 3));
        let mut is_lost = writes.test();
        let found: Vec<u64> = (0..20).filter(|number| is_lost(*number)).collect();
        assert_eq!(found, lost);
    }

    #[test]
    fn a_cycle_begins_where_it_was_set() {
        let word = ThrottleWord::default();
        assert!(word.get().is_none());
        let cycle = Cycle {
            awake_ns: 10,
            asleep_ns: 30,
        };
        word.set(Some(cycle), 1_000);
        let set = word.get().unwrap();
        for (at, until) in [
            (0, None),
            (1_009, None),
            (1_010, Some(1_040)),
            (1_040, None),
        ] {
            assert_eq!(set.asleep_until(at), until, "{at}");
        }
        word.set(None, 2_000);
        assert!(word.get().is_none());
    }
}
