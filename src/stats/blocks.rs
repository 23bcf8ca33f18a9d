//! Blocks of a run: the order of arms within one, and when there are enough of them.

use super::random::Random;

/// The items in an order of their own for each block (Fisher and Yates, as by Durstenfeld 1964).
/// It depends on seed and block alone, so a resumed run meets the order it would have had.
pub fn shuffled<T: Clone>(items: &[T], seed: u64, block: u32) -> Vec<T> {
    let mut order = items.to_vec();
    let mut random = Random::new(seed, u64::from(block));
    for last in (1..order.len()).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}

/// When a run with an open number of repetitions ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopRule {
    /// Enough when every watched interval is narrower: the larger of `high / ratio - 1` and
    /// `1 - low / ratio`, such as 0.05.
    pub half_width: f64,
    /// Blocks at least. Below 6 no 95% interval exists.
    pub min_blocks: u32,
    /// Blocks at most.
    pub max_blocks: u32,
    /// Time at most, seconds, warm-up included.
    pub budget_s: f64,
}

impl StopRule {
    /// The relative half-width that the rule watches, of a ratio and its interval.
    pub fn half_width_of(ratio: f64, low: f64, high: f64) -> f64 {
        (high / ratio - 1.0).max(1.0 - low / ratio)
    }

    /// Whether `blocks` blocks that took `elapsed_s` are enough: as many as may be made, precise,
    /// or so slow that another would end after the budget. `widest` is the widest watched
    /// interval's half-width, `None` while there is none or one is below its nominal level.
    ///
    /// Stopping at a width and not at a result keeps the ratio unbiased; the interval's level
    /// suffers a little, since narrow samples stop earlier, which is why `min_blocks` should
    /// not be small.
    pub fn is_met(&self, blocks: u32, elapsed_s: f64, widest: Option<f64>) -> bool {
        let made = f64::from(blocks);
        blocks >= self.max_blocks
            || blocks >= self.min_blocks && widest.is_some_and(|w| w <= self.half_width)
            || blocks > 0 && elapsed_s * (1.0 + 1.0 / made) > self.budget_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_repeat_by_seed_and_block_and_reach_every_permutation() {
        let items = [1, 2, 3, 4];
        assert_eq!(shuffled(&items, 9, 3), shuffled(&items, 9, 3));
        let mut seen = std::collections::BTreeMap::new();
        for block in 0..4800 {
            *seen.entry(shuffled(&items, 1, block)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 24);
        // 200 expected each; five standard deviations are 70.
        assert!(seen.values().all(|n| (130..270).contains(n)), "{seen:?}");
        assert!(shuffled::<u8>(&[], 1, 1).is_empty());
    }

    #[test]
    fn a_run_ends_when_it_is_precise_long_or_large_enough() {
        let rule = StopRule {
            half_width: 0.05,
            min_blocks: 6,
            max_blocks: 30,
            budget_s: 300.0,
        };
        let table = [
            (0, 400.0, None, false),
            (3, 30.0, Some(0.01), false),
            (6, 60.0, Some(0.05), true),
            (6, 60.0, Some(0.06), false),
            (6, 60.0, None, false),
            (29, 295.0, Some(0.2), true),
            (30, 200.0, Some(0.01), true),
        ];
        for (blocks, elapsed, widest, expected) in table {
            assert_eq!(rule.is_met(blocks, elapsed, widest), expected, "{blocks}");
        }
        assert!((StopRule::half_width_of(2.0, 1.8, 2.5) - 0.25).abs() < 1e-12);
    }
}
