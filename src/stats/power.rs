//! How small an effect a design finds, and how many blocks it takes to find one.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use strum::IntoEnumIterator as _;

use super::noise::Noise;
use super::random::Random;
use super::robust::{quantile, robust_sd};
use super::shift::{paired_shift, two_sample_shift};

/// Simulated experiments behind each figure.
const EXPERIMENTS: u64 = 600;
/// Beyond this many blocks the effect is scaled by the square root of n, which holds there.
const SIMULATED_BLOCKS: usize = 32;
/// More blocks than this are not asked for.
const MOST_BLOCKS: usize = 400;

/// A one-sided test to be planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Design {
    /// Whether values are paired (sign-flip), or two samples of the same size are compared.
    pub paired: bool,
    /// Chance of a false alarm of this one test.
    pub alpha: f64,
    /// Chance to find the effect.
    pub power: f64,
}

/// The smallest p-value that a design can reach with `n` blocks (in each sample, if two).
pub fn smallest_p(paired: bool, n: usize) -> f64 {
    if paired {
        return libm::exp2(-(n as f64));
    }
    (1..=n).fold(1.0, |p, i| p * i as f64 / (n + i) as f64)
}

/// The shift that the design finds with its power at `n` blocks, for noise whose
/// [`robust_sd`] *as measured in those blocks* is `sd`; `None` where no result could be
/// significant.
///
/// The factor between the two is the power quantile, over simulated experiments, of the shift at
/// which the test just rejects, in units of the experiment's own measured noise; so a noise
/// figure that came out too low by chance is allowed for. It is the largest of those for normal,
/// heavy-tailed and skewed noise.
pub fn minimum_detectable_effect(sd: f64, n: usize, design: Design) -> Option<f64> {
    let simulated = n.min(SIMULATED_BLOCKS);
    let scale = (simulated as f64 / n as f64).sqrt();
    factor(simulated, design).map(|factor| factor * scale * sd)
}

/// Blocks (in each sample, if two) after which the design finds `effect` in noise of `sd`.
/// `None` beyond 400.
pub fn blocks_needed(sd: f64, effect: f64, design: Design) -> Option<usize> {
    let finds =
        |n: usize| minimum_detectable_effect(sd, n, design).is_some_and(|found| found <= effect);
    // Doubling, then halving the last step: the factor falls with n.
    let mut high = 4;
    while !finds(high) {
        if high >= MOST_BLOCKS {
            return None;
        }
        high = (high * 2).min(MOST_BLOCKS);
    }
    let mut low = 1;
    while low + 1 < high {
        let middle = low.midpoint(high);
        if finds(middle) {
            high = middle
        } else {
            low = middle
        }
    }
    Some(high)
}

type Key = (bool, u64, u64, usize);
static FACTORS: LazyLock<Mutex<HashMap<Key, Option<f64>>>> =
    LazyLock::new(|| Mutex::new(HashMap::new()));

fn factor(n: usize, design: Design) -> Option<f64> {
    if n < 2 || smallest_p(design.paired, n) > design.alpha {
        return None;
    }
    let key = (
        design.paired,
        design.alpha.to_bits(),
        design.power.to_bits(),
        n,
    );
    let kept = || FACTORS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept().get(&key) {
        return *known;
    }
    let found = Noise::iter()
        .map(|noise| simulated_factor(n, design, noise))
        .try_fold(0.0f64, |most, factor| Some(most.max(factor?)));
    kept().insert(key, found);
    found
}

/// A test rejects a shift d exactly when its lower bound without that shift lies above -d, so
/// one simulated experiment yields the whole power curve.
fn simulated_factor(n: usize, design: Design, noise: Noise) -> Option<f64> {
    // Each block's value is a difference of two noises, as a log-ratio is.
    let mut critical = Vec::new();
    for experiment in 0..EXPERIMENTS {
        let mut random = Random::new(0x0070_6f77_6572, experiment);
        let mut sample = || -> Vec<f64> {
            (0..n)
                .map(|_| noise.draw(&mut random) - noise.draw(&mut random))
                .collect()
        };
        let (low, sd) = if design.paired {
            let values = sample();
            (
                paired_shift(&values, design.alpha)?.low,
                robust_sd(&values)?,
            )
        } else {
            let (a, b) = (sample(), sample());
            let sd = pooled_sd(&a, &b)?;
            (two_sample_shift(&a, &b, design.alpha)?.low, sd)
        };
        critical.push(-low / sd);
    }
    // The simulation's own error, at 95%, is added: the claim must not rest on its luck.
    let error = 1.645 * (design.power * (1.0 - design.power) / EXPERIMENTS as f64).sqrt();
    quantile(&critical, design.power + error).filter(|q| q.is_finite())
}

/// Root mean square of two samples' [`robust_sd`].
pub fn pooled_sd(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (robust_sd(a)?, robust_sd(b)?);
    Some(((a * a + b * b) / 2.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{sign_flip, two_sample};

    const PAIRED: Design = Design {
        paired: true,
        alpha: 0.005,
        power: 0.95,
    };
    const SPLIT: Design = Design {
        paired: false,
        alpha: 0.005,
        power: 0.95,
    };

    #[test]
    fn smallest_p_values_count_patterns() {
        assert_eq!(smallest_p(true, 5), 1.0 / 32.0);
        assert!((smallest_p(false, 5) - 1.0 / 252.0).abs() < 1e-15);
        assert!((smallest_p(false, 10) - 1.0 / 184_756.0).abs() < 1e-15);
    }

    #[test]
    fn too_few_blocks_find_nothing_and_more_blocks_find_less() {
        assert_eq!(minimum_detectable_effect(1.0, 7, PAIRED), None);
        assert_eq!(minimum_detectable_effect(1.0, 4, SPLIT), None);
        for design in [PAIRED, SPLIT] {
            let at = |n| minimum_detectable_effect(1.0, n, design).unwrap();
            assert!(at(10) > at(20) && at(20) > at(40), "{design:?}");
            // Normal theory, (z of alpha + z of power) x sqrt(pi/3 x (1 or 2)/n), is a floor.
            let theory = |n: f64| {
                let samples = if design.paired { 1.0 } else { 2.0 };
                (2.576 + 1.645) * (std::f64::consts::FRAC_PI_3 * samples / n).sqrt()
            };
            assert!(at(40) > 0.9 * theory(40.0) && at(40) < 2.0 * theory(40.0));
        }
    }

    #[test]
    fn blocks_needed_inverts_the_detectable_effect() {
        for design in [PAIRED, SPLIT] {
            let n = blocks_needed(0.1, 0.1, design).unwrap();
            let at = |n| minimum_detectable_effect(0.1, n, design);
            assert!(at(n).unwrap() <= 0.1);
            assert!(at(n - 1).is_none_or(|found| found > 0.1));
        }
        assert_eq!(blocks_needed(1.0, 0.001, PAIRED), None);
    }

    /// The claim, tested on other random numbers than those it was made from.
    #[test]
    fn the_claimed_effect_is_found_as_often_as_claimed() {
        for noise in Noise::iter() {
            for design in [PAIRED, SPLIT] {
                let n = 12;
                let trials = 300;
                let mut found = 0;
                for trial in 0..trials {
                    let mut random = Random::new(99, trial);
                    let mut sample = || -> Vec<f64> {
                        (0..n)
                            .map(|_| noise.draw(&mut random) - noise.draw(&mut random))
                            .collect()
                    };
                    let (a, b) = (sample(), sample());
                    let sd = if design.paired {
                        robust_sd(&b)
                    } else {
                        pooled_sd(&a, &b)
                    };
                    let effect = minimum_detectable_effect(sd.unwrap(), n, design).unwrap();
                    let risen: Vec<f64> = b.iter().map(|v| v + effect).collect();
                    let p = if design.paired {
                        sign_flip(&risen)
                    } else {
                        two_sample(&a, &risen)
                    };
                    found += u32::from(p.greater <= design.alpha);
                }
                let power = f64::from(found) / trials as f64;
                assert!(power >= 0.92, "{noise:?} {design:?}: {power}");
            }
        }
    }
}
