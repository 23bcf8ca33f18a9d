//! Mixing of 64-bit integers: the same on every machine, no floating point.

pub(super) use crate::workload::mix;

/// A seed for item `index` of the sequence named `domain` under `seed`.
pub(super) fn sub_seed(seed: u64, domain: u64, index: u64) -> u64 {
    mix(mix(seed ^ mix(domain)).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// A pseudo-random permutation of 0..n, computed item by item.
///
/// Rounds of odd multiplication and xor-shift on the smallest power of two that holds n, each a
/// bijection; results outside 0..n are sent round again ("cycle walking", Black and Rogaway,
/// CT-RSA 2002), which keeps it a bijection on 0..n at fewer than two walks on average.
#[derive(Debug, Clone)]
pub(super) struct Permutation {
    n: u64,
    bits: u32,
    keys: [u64; 4],
}

impl Permutation {
    /// The permutation of 0..n that `seed` chooses. `n` is at least 1.
    pub(super) fn new(n: u64, seed: u64) -> Permutation {
        let bits = (u64::BITS - n.saturating_sub(1).leading_zeros()).max(2);
        let keys = std::array::from_fn(|i| sub_seed(seed, 0x7065_726d, i as u64));
        Permutation { n, bits, keys }
    }

    /// Where item `x` (below n) goes.
    pub(super) fn of(&self, x: u64) -> u64 {
        debug_assert!(x < self.n);
        let mask = u64::MAX >> (u64::BITS - self.bits);
        let shift = self.bits.div_ceil(2);
        let mut y = x;
        loop {
            for key in self.keys {
                y = y.wrapping_add(key >> 7) & mask;
                y = y.wrapping_mul(key | 1) & mask;
                y ^= y >> shift;
            }
            if y < self.n {
                return y;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutation_hits_every_item_once() {
        for n in [1, 2, 3, 5, 64, 1000, 4097] {
            for seed in 0..4 {
                let permutation = Permutation::new(n, seed);
                let mut image: Vec<u64> = (0..n).map(|x| permutation.of(x)).collect();
                image.sort_unstable();
                assert!(image.into_iter().eq(0..n), "n {n} seed {seed}");
            }
        }
    }

    #[test]
    fn permutation_spreads_a_prefix_over_the_whole() {
        let n = 1 << 16;
        let permutation = Permutation::new(n, 7);
        // 4096 items into 64 buckets: 64 each; the bounds are five standard deviations wide.
        let mut buckets = [0u32; 64];
        for x in 0..4096 {
            buckets[(permutation.of(x) / (n / 64)) as usize] += 1;
        }
        assert!(
            buckets.iter().all(|b| (24..=104).contains(b)),
            "{buckets:?}"
        );
    }
}
