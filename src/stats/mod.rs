//! Statistics: pure functions over numbers, without a notion of arms, runs or files.
//!
//! The sample is always a migration's figure, or a ratio of two taken in one block; pages and
//! rounds are never samples. Ratios are handled as natural logarithms, so that a rise and the
//! fall that undoes it weigh the same.
//!
//! Every function that draws random numbers is seeded and gives the same answer every time.

mod holm;
mod interval;
mod null;
mod permutation;
mod plan;
mod power;
mod random;
mod robust;
mod shape;
mod shift;

pub use holm::holm;
pub use interval::{Interval, bootstrap_median, median_interval, order_statistic_interval};
pub use permutation::{Permutation, sign_flip, two_sample};
pub use plan::{Decision, StopRule, shuffled};
pub use power::{Design, blocks_needed, minimum_detectable_effect, pooled_sd, smallest_p};
pub use random::Random;
pub use robust::{mad, median, quantile, robust_sd};
pub use shape::Shape;
pub use shift::{Shift, paired_shift, two_sample_shift};

/// Blocks from which intervals come from the bootstrap instead of order statistics.
pub const BOOTSTRAP_FROM: usize = 20;

/// The level that intervals aim at.
pub const NOMINAL_LEVEL: f64 = 0.95;

/// `ln(a / b)`; `None` unless both are finite and above 0.
pub fn log_ratio(a: f64, b: f64) -> Option<f64> {
    (a.is_finite() && b.is_finite() && a > 0.0 && b > 0.0).then(|| libm::log(a / b))
}
