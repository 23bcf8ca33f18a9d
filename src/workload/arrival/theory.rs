//! What the models' windows should look like: the index of dispersion of writes in theory, and
//! the expected number of distinct pages.

use super::law::{Alternating, ArrivalLaw, Cascade, LengthLaw};
use super::pareto::Pareto;

/// Index of dispersion of the writes in windows of `window_ns`, Var / Mean, for a stream of
/// `per_second` writes a second in all. `None` where no formula applies: traces, and windows that
/// are no interval of a b-model.
pub fn idc(law: &ArrivalLaw, per_second: f64, window_ns: u64) -> Option<f64> {
    let mean = per_second * window_ns as f64 / 1e9;
    match law {
        ArrivalLaw::Constant => {
            // A window holds floor or ceil of the mean.
            let part = mean - mean.floor();
            Some(part * (1.0 - part) / mean)
        }
        ArrivalLaw::Poisson => Some(1.0),
        ArrivalLaw::Alternating(a) => Some(alternating(a, per_second, window_ns as f64)),
        ArrivalLaw::Cascade(c) => cascade(c, mean, window_ns),
        ArrivalLaw::Trace { .. } => None,
    }
}

/// A doubly stochastic Poisson process: 1 + Var(integral of the rate) / mean count. With the rate
/// high or low this is `1 + rate (high - low)^2 V(t) / t`, V(t) the variance of the time spent
/// high within t. For exponential lengths it is the MMPP formula, for a low level of 0 that of an
/// on-off process.
pub(super) fn alternating(a: &Alternating, per_second: f64, window_ns: f64) -> f64 {
    let [on, off] = a.means_ns;
    if off <= 0.0 || on <= 0.0 {
        return 1.0;
    }
    let spread = a.levels[0] - a.levels[1];
    let variance = match &a.law {
        LengthLaw::Fixed => variance_fixed(on, off, window_ns),
        LengthLaw::Exponential => variance_exponential(on, off, window_ns),
        LengthLaw::Pareto(law) => variance_renewal(law, on, off, window_ns),
    };
    1.0 + per_second / 1e9 * spread * spread * variance / window_ns
}

/// Variance of the on-time in a window of t placed uniformly over a fixed cycle: only t modulo the
/// period varies, and over it the on-time rises and falls linearly between its extremes.
fn variance_fixed(on: f64, off: f64, t: f64) -> f64 {
    let period = on + off;
    let t = t - (t / period).floor() * period;
    let (least, most) = ((t - off).max(0.0), t.min(on));
    let ramps = 2.0 / 3.0 * (most * most * most - least * least * least);
    let square = most * most * (on - t).abs() + least * least * (off - t).abs() + ramps;
    let mean = t * on / period;
    square / period - mean * mean
}

/// Variance of the on-time in a window of t for exponential phases: the indicator's covariance is
/// d (1-d) e^(-k u), k = 1/on + 1/off.
fn variance_exponential(on: f64, off: f64, t: f64) -> f64 {
    let duty = on / (on + off);
    let kt = t / on + t / off;
    // (kt - 1 + e^-kt) / kt^2, without cancellation for small kt.
    let part = if kt < 1e-4 {
        0.5 - kt / 6.0
    } else {
        (kt + libm::expm1(-kt)) / (kt * kt)
    };
    2.0 * duty * (1.0 - duty) * t * t * part
}

/// Variance of the on-time in a window of t of a stationary alternating renewal process whose
/// phases both follow `law`, scaled to the means `on` and `off`. Its Laplace transform is
/// 2 d / s^2 (P(s) - d / s) with P(s) = 1/s - (1-f)(1-g) / (on s^2 (1 - f g)), the transform of
/// P(on at u | on at 0), f and g those of the lengths (Cox, Renewal Theory, 1962); it is inverted
/// by the Gaver-Stehfest method.
fn variance_renewal(law: &Pareto, on: f64, off: f64, t: f64) -> f64 {
    const TERMS: u32 = 12;
    let duty = on / (on + off);
    let transform = |s: f64| {
        let one_minus_f = law.one_minus_transform(s * on);
        let one_minus_g = law.one_minus_transform(s * off);
        // 1 - f g, from the complements.
        let one_minus_fg = one_minus_f + one_minus_g - one_minus_f * one_minus_g;
        let on_again = (1.0 - duty) / s - one_minus_f * one_minus_g / (on * s * s * one_minus_fg);
        2.0 * duty / (s * s) * on_again
    };
    let step = std::f64::consts::LN_2 / t;
    let sum: f64 = (1..=TERMS)
        .map(|k| stehfest(k, TERMS) * transform(f64::from(k) * step))
        .sum();
    (sum * step).max(0.0)
}

/// The k-th weight of the Gaver-Stehfest inversion with `n` (even) terms (Stehfest 1970).
fn stehfest(k: u32, n: u32) -> f64 {
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    let half = n / 2;
    let sum: f64 = (k.div_ceil(2)..=k.min(half))
        .map(|j| {
            let power = (0..half).fold(1.0, |p, _| p * f64::from(j));
            power * factorial(2 * j)
                / (factorial(half - j)
                    * factorial(j)
                    * factorial(j - 1)
                    * factorial(k - j)
                    * factorial(2 * j - k))
        })
        .sum();
    if (k + half).is_multiple_of(2) {
        sum
    } else {
        -sum
    }
}

/// The b-model's squared coefficient of variation over m levels is (2 (b^2 + (1-b)^2))^m - 1.
fn cascade(c: &Cascade, mean: f64, window_ns: u64) -> Option<f64> {
    if window_ns.is_multiple_of(c.span_ns()) {
        return Some(0.0);
    }
    let above = levels_above(c, window_ns)?;
    // The factor by which each level multiplies the mean square.
    let growth = 2.0 * (c.b * c.b + (1.0 - c.b) * (1.0 - c.b));
    Some(mean * (libm::pow(growth, f64::from(above)) - 1.0))
}

/// Levels between a window and the span, if the window is an interval of the cascade.
pub(super) fn levels_above(c: &Cascade, window_ns: u64) -> Option<u32> {
    (0..=c.levels).find(|above| c.slot_ns << (c.levels - above) == window_ns)
}

/// Distinct pages that `writes` writes to `pages` pages, chosen uniformly, hit in the mean when
/// the writes are Poisson: N (1 - e^(-w/N)).
pub fn distinct_uniform(writes: f64, pages: f64) -> f64 {
    -pages * libm::expm1(-writes / pages)
}
