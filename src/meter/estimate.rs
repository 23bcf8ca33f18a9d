//! Totals of all units from a sample of them, with standard errors.

/// The sampled units' sizes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// Sum of w x.
    x: f64,
    /// Sum of w (w - 1) x^2.
    xx: f64,
}

impl Size {
    /// A sampled unit of `size`, which stands for `weight` units: one over its chance.
    pub(super) fn add(&mut self, weight: f64, size: f64) {
        self.x += weight * size;
        self.xx += weight * (weight - 1.0) * size * size;
    }
}

/// Sums over sampled units, each of which stands for `w` units (its weight: one over its chance of
/// being sampled) and has a size `x` and a cost `y`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Estimate {
    /// Sum of w y.
    y: f64,
    /// Sum of w (w - 1) y^2.
    yy: f64,
    /// Sum of w (w - 1) x y.
    xy: f64,
}

impl Estimate {
    /// A sampled unit, of so many nanoseconds.
    pub(super) fn add(&mut self, weight: f64, size: f64, cost: f64) {
        self.y += weight * cost;
        self.yy += weight * (weight - 1.0) * cost * cost;
        self.xy += weight * (weight - 1.0) * size * cost;
    }

    /// The cost of all units, whose sizes sum up to `all`, and its standard error, both in
    /// nanoseconds.
    ///
    /// The ratio estimator under Poisson sampling, where each unit is drawn by itself: with
    /// R = sum(w y) / sum(w x) the total is X R, and its variance is
    /// (X / sum(w x))^2 sum(w (w - 1) (y - R x)^2) (Särndal, Swensson and Wretman, Model Assisted
    /// Survey Sampling, 1992, 5.6 and 7.3; with equal weights it is Cochran, Sampling Techniques,
    /// 1977, 6.4, but for n in place of n - 1). Without content the plain sum of w y, of variance
    /// sum(w (w - 1) y^2).
    pub(super) fn total(&self, size: &Size, all: f64) -> (f64, f64) {
        if size.x == 0.0 {
            return (self.y, self.yy.sqrt());
        }
        let ratio = self.y / size.x;
        let squares = self.yy - 2.0 * ratio * self.xy + ratio * ratio * size.xx;
        (ratio * all, all / size.x * squares.max(0.0).sqrt())
    }
}
