//! Zipf ranks at a cost that does not grow with the number of pages.

use crate::workload::random::{Draws, unit};

/// Ranks that have a bucket of their own.
const SINGLES: u64 = 64;
/// Buckets per doubling of the rank beyond them.
const PER_DOUBLING: u64 = 16;

/// Draws ranks 0..n with probability in proportion to (rank + 1)^-exponent, exactly: ranks fall
/// into geometrically growing buckets; Walker's alias method picks a bucket by the envelope
/// `width x first^-exponent`, a rank is drawn evenly within it and accepted in proportion to its
/// own weight. At most a twentieth or so of an exponent of 1 is rejected, and only draws near
/// rejection need a power. About 64 + 16 log2(n / 64) buckets, whatever n.
#[derive(Debug, Clone)]
pub(super) struct Zipf {
    exponent: f64,
    buckets: Vec<Bucket>,
    /// The alias table: (share kept, other bucket).
    alias: Vec<(f64, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// First rank, from 1.
    first: u64,
    width: u64,
    /// Weight of the last rank over that of the first: what is always accepted.
    sure: f64,
}

impl Zipf {
    /// A distribution over `n` ranks, at least 1.
    pub(super) fn new(exponent: f64, n: u64) -> Zipf {
        let mut buckets = Vec::new();
        let mut first = 1u64;
        while first <= n {
            let width = if first <= SINGLES {
                1
            } else {
                // The doubling that `first` is in, from the last power of two at or below it.
                ((1u64 << first.ilog2()) / PER_DOUBLING).max(1)
            };
            let width = width.min(n - first + 1);
            let ratio = first as f64 / (first + width - 1) as f64;
            buckets.push(Bucket {
                first,
                width,
                sure: libm::pow(ratio, exponent),
            });
            first += width;
        }
        let weights: Vec<f64> = buckets
            .iter()
            .map(|b| b.width as f64 * libm::pow(b.first as f64, -exponent))
            .collect();
        Zipf {
            exponent,
            alias: alias_table(&weights),
            buckets,
        }
    }

    /// The next rank, from 0.
    #[inline]
    pub(super) fn draw(&self, draws: &mut Draws) -> u64 {
        loop {
            let word = draws.word();
            // The high part of the product picks a column, the low part is its fraction.
            let product = u128::from(word) * self.alias.len() as u128;
            let column = (product >> 64) as usize;
            let (keep, other) = self.alias[column];
            let bucket = if unit(product as u64) < keep {
                self.buckets[column]
            } else {
                self.buckets[other as usize]
            };
            if bucket.width == 1 {
                return bucket.first - 1;
            }
            let product = u128::from(draws.word()) * u128::from(bucket.width);
            let rank = bucket.first + (product >> 64) as u64;
            let u = unit(product as u64);
            if u < bucket.sure || self.accept(u, bucket.first, rank) {
                return rank - 1;
            }
        }
    }

    #[cold]
    fn accept(&self, u: f64, first: u64, rank: u64) -> bool {
        u < libm::pow(first as f64 / rank as f64, self.exponent)
    }
}

/// Walker's alias table for the given weights (Vose's construction).
fn alias_table(weights: &[f64]) -> Vec<(f64, u32)> {
    let n = weights.len();
    let total: f64 = weights.iter().sum();
    let mut scaled: Vec<f64> = weights.iter().map(|w| w / total * n as f64).collect();
    let mut table: Vec<(f64, u32)> = (0..n).map(|i| (1.0, i as u32)).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| scaled[*i] < 1.0);
    while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
        table[low] = (scaled[low], high as u32);
        scaled[high] -= 1.0 - scaled[low];
        if scaled[high] < 1.0 {
            large.pop();
            small.push(high);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::random::Purpose;

    /// Chi-squared over groups of ranks against the exact probabilities.
    fn chi_squared_per_degree(exponent: f64, n: u64) -> f64 {
        let zipf = Zipf::new(exponent, n);
        let mut draws = Draws::new(11, Purpose::Page, 0);
        let samples = 1_000_000u32;
        let mut edges = vec![
            0u64, 1, 2, 3, 5, 9, 20, 60, 64, 65, 70, 130, 300, 1000, 5000,
        ];
        edges.retain(|e| *e < n);
        edges.push(n);
        let mut observed = vec![0f64; edges.len() - 1];
        for _ in 0..samples {
            let rank = zipf.draw(&mut draws);
            assert!(rank < n);
            observed[edges.partition_point(|e| *e <= rank) - 1] += 1.0;
        }
        let weight =
            |r: std::ops::Range<u64>| -> f64 { r.map(|k| ((k + 1) as f64).powf(-exponent)).sum() };
        let total = weight(0..n);
        let terms: Vec<f64> = edges
            .windows(2)
            .zip(&observed)
            .map(|(e, seen)| {
                let expected = weight(e[0]..e[1]) / total * f64::from(samples);
                (seen - expected).powi(2) / expected
            })
            .collect();
        terms.iter().sum::<f64>() / (terms.len() as f64 - 1.0).max(1.0)
    }

    #[test]
    fn ranks_follow_the_exact_law() {
        for exponent in [0.2, 0.99, 1.0, 1.5, 3.0] {
            for n in [2, 10, 64, 65, 1000, 20_000] {
                let statistic = chi_squared_per_degree(exponent, n);
                // Expected 1. From five degrees on, 4.5 has a probability below 5e-4; for the one
                // degree of n = 2, 12 has.
                let limit = if n == 2 { 12.0 } else { 4.5 };
                assert!(statistic < limit, "{exponent} {n}: {statistic}");
            }
        }
    }

    #[test]
    fn the_table_stays_small_for_terabytes() {
        assert!(Zipf::new(0.99, 1 << 34).buckets.len() < 600);
        assert_eq!(
            Zipf::new(0.99, 1).draw(&mut Draws::new(1, Purpose::Page, 0)),
            0
        );
    }
}
