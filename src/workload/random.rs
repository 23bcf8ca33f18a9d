//! Seeds and random draws that are the same on every machine.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a generator's draws are for. Each purpose has its own sub-seed, so that changing one
/// part of a workload leaves the draws of the others alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Purpose {
    /// Lengths of phases, shared by all vCPUs.
    Phase = 1,
    /// Instants of writes.
    Instant = 2,
    /// Pages.
    Page = 3,
    /// Values written.
    Value = 4,
    /// Where hot pages lie, shared by all vCPUs.
    Scatter = 5,
}

/// Increment of the SplitMix64 sequence: 2^64 over the golden ratio, odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's output function (Steele, Lea and Flood, OOPSLA 2014, variant 13 of Stafford's
/// constants): a bijection on 64 bits whose every output bit depends on every input bit.
#[inline]
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The sub-seed of (seed, purpose, index): `mix(mix(mix(seed + g) + purpose g) + index g)` in
/// 64-bit wrapping arithmetic, with g = 0x9e3779b97f4a7c15. The index is the vCPU; where all vCPUs
/// share the draws, the part of a mixture or 0.
pub(super) fn sub_seed(seed: u64, purpose: Purpose, index: u64) -> u64 {
    let z = mix(seed.wrapping_add(GAMMA));
    let z = mix(z.wrapping_add((purpose as u64).wrapping_mul(GAMMA)));
    mix(z.wrapping_add(index.wrapping_mul(GAMMA)))
}

/// The k-th of a sequence of independent words: SplitMix64's k-th output.
#[inline]
pub(super) fn nth_word(seed: u64, k: u64) -> u64 {
    mix(seed.wrapping_add(k.wrapping_mul(GAMMA)))
}

/// A sequential generator (xoshiro256++).
#[derive(Debug, Clone)]
pub(super) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    pub(super) fn new(seed: u64, purpose: Purpose, index: u64) -> Draws {
        Draws(Xoshiro256PlusPlus::seed_from_u64(sub_seed(
            seed, purpose, index,
        )))
    }

    /// 64 random bits.
    #[inline]
    pub(super) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    #[inline]
    pub(super) fn unit(&mut self) -> f64 {
        unit(self.word())
    }

    /// Uniform in 0..n. Its bias is below n / 2^64.
    #[inline]
    pub(super) fn below(&mut self, n: u64) -> u64 {
        scale(self.word(), n)
    }

    /// Exponential with mean 1, by inversion: for draws that are not in a hot path.
    pub(super) fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }
}

/// The upper 53 bits of a word as a number in [0, 1).
#[inline]
pub(super) fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Scales a random word to 0..n.
#[inline]
pub(super) fn scale(word: u64, n: u64) -> u64 {
    ((u128::from(word) * u128::from(n)) >> 64) as u64
}

/// Layers of the exponential ziggurat.
const LAYERS: usize = 256;
/// Where the ziggurat's tail begins, and each layer's area, for 256 layers (Marsaglia, Tsang
/// 2000).
const TAIL: f64 = 7.697_117_470_131_05;
const AREA: f64 = 0.003_949_659_822_581_572;

/// Draws exponential variates of mean 1 by the ziggurat method: one word and one multiplication
/// for 99 of 100. The tables come from `libm`, so they are the same on every machine.
#[derive(Debug, Clone)]
pub(super) struct Exponential {
    /// Right edge of each layer; the first is the pseudo-edge of the tail's layer.
    edge: [f64; LAYERS + 1],
    /// exp(-edge).
    height: [f64; LAYERS + 1],
}

impl Exponential {
    pub(super) fn new() -> Box<Exponential> {
        let mut edge = [0.0; LAYERS + 1];
        edge[0] = AREA / libm::exp(-TAIL);
        edge[1] = TAIL;
        for i in 2..LAYERS {
            edge[i] = -libm::log(libm::exp(-edge[i - 1]) + AREA / edge[i - 1]);
        }
        let height = edge.map(|x| libm::exp(-x));
        Box::new(Exponential { edge, height })
    }

    /// The next variate.
    #[inline]
    pub(super) fn draw(&self, draws: &mut Draws) -> f64 {
        let word = draws.word();
        let layer = (word & (LAYERS as u64 - 1)) as usize;
        let x = unit(word) * self.edge[layer];
        if x < self.edge[layer + 1] {
            return x;
        }
        self.draw_edge(draws, layer, x)
    }

    #[cold]
    fn draw_edge(&self, draws: &mut Draws, mut layer: usize, mut x: f64) -> f64 {
        loop {
            if layer == 0 {
                return TAIL + draws.exponential();
            }
            let low = self.height[layer];
            let y = low + draws.unit() * (self.height[layer + 1] - low);
            if y < libm::exp(-x) {
                return x;
            }
            let word = draws.word();
            layer = (word & (LAYERS as u64 - 1)) as usize;
            x = unit(word) * self.edge[layer];
            if x < self.edge[layer + 1] {
                return x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_seeds_differ_by_every_part() {
        let base = sub_seed(1, Purpose::Page, 0);
        assert_ne!(base, sub_seed(2, Purpose::Page, 0));
        assert_ne!(base, sub_seed(1, Purpose::Value, 0));
        assert_ne!(base, sub_seed(1, Purpose::Page, 1));
    }

    #[test]
    fn the_ziggurat_draws_an_exponential() {
        let table = Exponential::new();
        let mut draws = Draws::new(7, Purpose::Instant, 0);
        let n = 2_000_000;
        let samples: Vec<f64> = (0..n).map(|_| table.draw(&mut draws)).collect();
        let moment = |k: i32| samples.iter().map(|x| x.powi(k)).sum::<f64>() / f64::from(n);
        // E x^k = k!; the tolerances are five standard errors.
        assert!((moment(1) - 1.0).abs() < 0.004, "{}", moment(1));
        assert!((moment(2) - 2.0).abs() < 0.016, "{}", moment(2));
        assert!((moment(3) - 6.0).abs() < 0.1, "{}", moment(3));
        for at in [0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 8.0] {
            let above = samples.iter().filter(|x| **x > at).count() as f64 / f64::from(n);
            let expected = f64::exp(-at);
            let tolerance = 5.0 * (expected / f64::from(n)).sqrt();
            assert!((above - expected).abs() < tolerance, "{at}: {above}");
        }
    }
}
