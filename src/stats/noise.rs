//! Noise of known distributions, for simulation: how much a design finds is simulated, and the
//! gate tests itself on simulated runs.

use super::random::Random;

/// The distribution of noise, each with median 0 and, at the same scale, the interquartile range
/// of a normal distribution.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Noise {
    /// Normal.
    Normal,
    /// Student's t with 3 degrees of freedom: wild values now and then, on both sides.
    HeavyTailed,
    /// Exponential: a best case that is often nearly reached, and a long slow side.
    Skewed,
}

impl Noise {
    /// One value at scale 1.
    pub fn draw(self, random: &mut Random) -> f64 {
        /// Upper quartile of a standard normal value.
        const NORMAL_QUARTILE: f64 = 0.674_489_75;
        /// Upper quartile of Student's t with 3 degrees of freedom.
        const T3_QUARTILE: f64 = 0.764_892_33;
        match self {
            Noise::Normal => random.normal(),
            Noise::HeavyTailed => {
                let chi: f64 = (0..3).map(|_| random.normal().powi(2)).sum();
                random.normal() / (chi / 3.0).sqrt() * (NORMAL_QUARTILE / T3_QUARTILE)
            }
            Noise::Skewed => {
                // Standard exponential: median ln 2, interquartile range ln 3.
                let value = -libm::log(1.0 - random.uniform());
                (value - std::f64::consts::LN_2) * (2.0 * NORMAL_QUARTILE / libm::log(3.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::quantile;
    use strum::IntoEnumIterator as _;

    #[test]
    fn every_noise_has_median_zero_and_the_same_interquartile_range() {
        for noise in Noise::iter() {
            let mut random = Random::new(5, 0);
            let values: Vec<f64> = (0..40_000).map(|_| noise.draw(&mut random)).collect();
            let at = |q| quantile(&values, q).unwrap();
            let width = at(0.75) - at(0.25);
            assert!((width - 1.349).abs() < 0.04, "{noise:?} {width}");
            assert!(at(0.5).abs() < 0.03, "{noise:?}");
        }
    }
}
