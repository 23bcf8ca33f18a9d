//! Statistics: pure functions over numbers, without a notion of arms, runs or files.
//!
//! The sample is always a migration's figure, or a ratio of two taken in one block; pages and
//! rounds are never samples. Ratios are handled as natural logarithms, so that a rise and the
//! fall that undoes it weigh the same.
//!
//! Every function that draws random numbers is seeded and gives the same answer every time.

mod blocks;
mod bounded;
mod holm;
mod interval;
mod noise;
mod null;
mod permutation;
mod power;
mod random;
mod robust;
mod shift;

pub use blocks::{StopRule, shuffled};
pub use bounded::{BoundedMedian, Known, bounded_median, known_median};
pub use holm::holm;
pub use interval::{Interval, NOMINAL_LEVEL, median_interval, order_statistic_interval};
pub use noise::Noise;
pub use permutation::{Permutation, sign_flip, two_sample};
pub use power::{Design, blocks_needed, minimum_detectable_effect, pooled_sd, smallest_p};
pub use random::Random;
pub use robust::{log_ratio, median, quantile, robust_sd};
pub use shift::{Shift, paired_shift, two_sample_shift};
