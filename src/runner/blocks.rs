//! The blocks of a run: their numbers, and which part of which dirty-page stream each meets.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::results::Shard;
use crate::run_folder::LAST_BLOCK;
use crate::scenario::{ClockKind, Scenario};
use crate::workload::mix;

/// Each block starts somewhere in the first seconds of the stream, so that a recorded trace, which
/// has no seed, does not always meet the migration with the same burst. In nanoseconds.
const LATEST_START_NS: u64 = 4_000_000_000;

/// A block to be made. All that is drawn for it follows from the scenario's seed and this, so a
/// resumed run goes on with the blocks that it would have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number in the order in which blocks are made, warm-up included.
    pub number: u32,
    /// What it is counted as; warm-up is not counted.
    pub counted: Option<u32>,
}

/// Warm-up, then the blocks of these numbers; nothing if there are none.
pub fn schedule(scenario: &Scenario, blocks: impl IntoIterator<Item = u32>) -> Vec<Block> {
    let warmup = scenario.measure.warmup;
    let uncounted = (0..warmup).map(|number| Block {
        number,
        counted: None,
    });
    let mut counted = blocks
        .into_iter()
        .map(|block| Block::of(scenario, Some(block)))
        .peekable();
    match counted.peek() {
        Some(_) => uncounted.chain(counted).collect(),
        None => Vec::new(),
    }
}

/// The numbers from `first` on that a run's blocks may have: of a shard, its own.
pub fn numbers(shard: Option<&Shard>, first: u32) -> impl Iterator<Item = u32> {
    (first..=LAST_BLOCK).filter(move |block| shard.is_none_or(|shard| shard.holds(*block)))
}

impl Block {
    /// The one that is counted so, or the first of warm-up.
    pub fn of(scenario: &Scenario, counted: Option<u32>) -> Block {
        Block {
            number: counted.map_or(0, |block| scenario.measure.warmup + block),
            counted,
        }
    }

    /// Seed of the block's dirty-page stream, the same for all its arms.
    ///
    /// Block 0 has the scenario's own seed s, so that `migtax workload` shows its stream. Block k has
    /// the upper 53 bits, which every reader of JSON keeps, of `mix(mix(s) + k g)`, with SplitMix64's
    /// output function and increment g ([`crate::workload`]); warm-up block n that of k = 2^63 + n.
    /// Under the virtual clock all have the scenario's: its counts are exact, and a second
    /// block shows that they are.
    pub fn stream_seed(self, scenario: &Scenario) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let seed = scenario.guest.seed;
        let k = match (scenario.measure.clock, self.counted) {
            (ClockKind::Virtual, _) | (ClockKind::Live, Some(0)) => return seed,
            (ClockKind::Live, Some(block)) => u64::from(block),
            (ClockKind::Live, None) => (1 << 63) + u64::from(self.number),
        };
        mix(mix(seed).wrapping_add(k.wrapping_mul(GAMMA))) >> 11
    }

    /// Where in the stream it starts, nanoseconds: the same for all its arms, and under the virtual
    /// clock for all blocks.
    pub fn start_offset_ns(self, scenario: &Scenario) -> u64 {
        let number = match scenario.measure.clock {
            ClockKind::Live => self.number,
            ClockKind::Virtual => 0,
        };
        let seed = scenario.guest.seed ^ u64::from(number).rotate_left(32);
        Xoshiro256PlusPlus::seed_from_u64(seed).next_u64() % LATEST_START_NS
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn scenario(seed: u64) -> Scenario {
        let mut scenario = crate::scenario::load(None).unwrap();
        scenario.guest.seed = seed;
        scenario.measure.warmup = 2;
        scenario
    }

    #[test]
    fn blocks_start_at_different_places_that_follow_the_seed() {
        let seven = scenario(7);
        let blocks = schedule(&seven, 0..100);
        let offsets: BTreeSet<u64> = blocks.iter().map(|b| b.start_offset_ns(&seven)).collect();
        assert_eq!(offsets.len(), blocks.len());
        assert!(offsets.iter().all(|offset| *offset < LATEST_START_NS));
        let eight = scenario(8);
        assert!(!offsets.contains(&blocks[3].start_offset_ns(&eight)));
    }

    #[test]
    fn every_block_has_a_stream_of_its_own_and_block_0_the_scenarios() {
        let mut all = BTreeSet::new();
        for seed in [0, 1, 2, u64::MAX] {
            let scenario = scenario(seed);
            let blocks = schedule(&scenario, 0..200);
            assert_eq!(blocks[2].stream_seed(&scenario), seed);
            // Neighbouring scenarios share no stream either.
            for block in blocks {
                assert!(all.insert(block.stream_seed(&scenario)), "{block:?}");
            }
        }
    }

    #[test]
    fn a_resumed_run_has_the_blocks_that_it_would_have_had() {
        let mut scenario = scenario(3);
        let seeds = |blocks: &[Block], scenario: &Scenario| -> Vec<(u64, u64)> {
            blocks
                .iter()
                .map(|b| (b.stream_seed(scenario), b.start_offset_ns(scenario)))
                .collect()
        };
        let whole = seeds(&schedule(&scenario, 0..9), &scenario);
        let resumed = seeds(&schedule(&scenario, 4..9), &scenario);
        assert_eq!(whole[2 + 4..], resumed[2..]);
        // So has a shard, and one that has nothing to do doesn't warm up.
        let part = seeds(&schedule(&scenario, [1, 5, 6]), &scenario);
        assert_eq!(part[2..], [whole[2 + 1], whole[2 + 5], whole[2 + 6]]);
        assert_eq!(schedule(&scenario, []), []);
        // Whatever the warm-up, a counted block meets the same stream.
        scenario.measure.warmup = 0;
        let cold = schedule(&scenario, 0..9);
        assert_eq!(cold[5].stream_seed(&scenario), whole[2 + 5].0);
    }

    #[test]
    fn under_the_virtual_clock_all_blocks_meet_the_same_stream() {
        let mut scenario = scenario(5);
        scenario.measure.clock = ClockKind::Virtual;
        let met = |b: Block| (b.stream_seed(&scenario), b.start_offset_ns(&scenario));
        let blocks = schedule(&scenario, 0..5);
        assert!(blocks.iter().all(|b| met(*b) == met(blocks[0])));
        assert_eq!(met(blocks[0]).0, 5);
    }
}
