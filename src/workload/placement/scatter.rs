//! A fixed permutation that scatters ranks over pages.

use crate::workload::random::{Draws, Purpose};

/// A seeded bijection of 0..n that needs no table: rounds of odd multiplication and xor-shift on
/// the next power of two, repeated until the value falls below n (cycle walking, fewer than two
/// rounds on average).
#[derive(Debug, Clone)]
pub(super) struct Scatter {
    n: u64,
    mask: u64,
    shift: u32,
    multipliers: [u64; 3],
    offset: u64,
}

impl Scatter {
    /// The permutation of 0..n, at least 1, for a part of a mixture (0 outside one).
    pub(super) fn new(seed: u64, part: u64, n: u64) -> Scatter {
        let bits = u64::BITS - (n - 1).leading_zeros();
        let mut draws = Draws::new(seed, Purpose::Scatter, part);
        Scatter {
            n,
            mask: if bits == 0 {
                0
            } else {
                u64::MAX >> (u64::BITS - bits)
            },
            shift: bits.div_ceil(2).max(1),
            multipliers: std::array::from_fn(|_| draws.word() | 1),
            offset: draws.word(),
        }
    }

    /// Where `index` (below n) lies.
    #[inline]
    pub(super) fn apply(&self, index: u64) -> u64 {
        let mut x = index;
        loop {
            x = x.wrapping_add(self.offset) & self.mask;
            for multiplier in self.multipliers {
                x = x.wrapping_mul(multiplier) & self.mask;
                x ^= x >> self.shift;
            }
            if x < self.n {
                return x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_permutation_whatever_the_size() {
        for n in [1, 2, 3, 5, 64, 100, 1000, 4095, 4096, 4097, 70_000] {
            let scatter = Scatter::new(3, 0, n);
            let mut seen = vec![false; n as usize];
            for i in 0..n {
                let at = scatter.apply(i) as usize;
                assert!(!seen[at], "{n}: {at} twice");
                seen[at] = true;
            }
        }
    }

    #[test]
    fn neighbouring_ranks_are_not_neighbouring_pages() {
        let n = 1 << 16;
        let scatter = Scatter::new(1, 0, n);
        let near = (0..1000u64)
            .filter(|i| scatter.apply(*i).abs_diff(scatter.apply(i + 1)) < 64)
            .count();
        // 128 of 65536 places are that near: 2 expected.
        assert!(near < 20, "{near}");
    }
}
