//! The Pareto law of heavy-tailed phases, cut off at the top so that every moment exists.

/// A Pareto law on [least, longest x least] with density in proportion to x^-(shape + 1), scaled
/// to a mean of 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pareto {
    shape: f64,
    longest: f64,
    /// Smallest value at a mean of 1.
    least: f64,
    /// P(X <= longest x least) of the law that is not cut off.
    mass: f64,
}

/// Nodes and weights of Gauss-Legendre quadrature with 4 points on [-1, 1].
const GAUSS: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
    (-0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
    (0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
];

impl Pareto {
    /// The law with the given tail exponent (above 1) and greatest value over least (above 1).
    pub fn new(shape: f64, longest: f64) -> Pareto {
        let mass = 1.0 - libm::pow(longest, -shape);
        let unscaled = Pareto {
            shape,
            longest,
            least: 1.0,
            mass,
        };
        Pareto {
            least: 1.0 / unscaled.moment(1.0),
            ..unscaled
        }
    }

    /// E X^k.
    pub fn moment(&self, k: f64) -> f64 {
        let scale = libm::pow(self.least, k) * self.shape / self.mass;
        let d = k - self.shape;
        if d.abs() < 1e-12 {
            scale * libm::log(self.longest)
        } else {
            scale * (libm::pow(self.longest, d) - 1.0) / d
        }
    }

    /// The value below which a share u in [0, 1) lies.
    pub fn quantile(&self, u: f64) -> f64 {
        self.least * libm::pow(1.0 - u * self.mass, -1.0 / self.shape)
    }

    /// The same for the length of the interval that covers a fixed instant: density in proportion
    /// to x times the law's.
    pub fn quantile_of_covering(&self, u: f64) -> f64 {
        let d = self.shape - 1.0;
        if d < 1e-9 {
            return self.least * libm::pow(self.longest, u);
        }
        let mass = 1.0 - libm::pow(self.longest, -d);
        self.least * libm::pow(1.0 - u * mass, -1.0 / d)
    }

    /// 1 - E exp(-s X), by quadrature over log x.
    pub fn one_minus_transform(&self, s: f64) -> f64 {
        let intervals = 96;
        let width = libm::log(self.longest) / f64::from(intervals);
        let mut sum = 0.0;
        for i in 0..intervals {
            let middle = (f64::from(i) + 0.5) * width;
            for (node, weight) in GAUSS {
                let y = middle + node * width / 2.0;
                let x = self.least * libm::exp(y);
                sum += weight * libm::exp(-self.shape * y) * -libm::expm1(-s * x);
            }
        }
        sum * width / 2.0 * self.shape / self.mass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_mean_and_the_transform_that_its_quantiles_have() {
        for (shape, longest) in [(1.2, 1e4), (1.5, 1000.0), (2.0, 100.0), (3.0, 50.0)] {
            let law = Pareto::new(shape, longest);
            assert!((law.moment(0.0) - 1.0).abs() < 1e-12);
            assert!((law.moment(1.0) - 1.0).abs() < 1e-12);
            let n = 400_000;
            let at = |i: i32| (f64::from(i) + 0.5) / f64::from(n);
            let mean = (0..n).map(|i| law.quantile(at(i))).sum::<f64>() / f64::from(n);
            assert!((mean - 1.0).abs() < 2e-3, "{shape}: {mean}");
            // The interval that covers an instant is E X^2 / E X long in the mean.
            let covering =
                (0..n).map(|i| law.quantile_of_covering(at(i))).sum::<f64>() / f64::from(n);
            assert!(
                (covering / law.moment(2.0) - 1.0).abs() < 2e-2,
                "{shape}: {covering}"
            );
            for s in [0.01, 1.0, 30.0] {
                let direct = (0..n)
                    .map(|i| 1.0 - (-s * law.quantile(at(i))).exp())
                    .sum::<f64>()
                    / f64::from(n);
                let ratio = law.one_minus_transform(s) / direct;
                assert!((ratio - 1.0).abs() < 3e-3, "{shape} {s}: {ratio}");
            }
        }
    }
}
