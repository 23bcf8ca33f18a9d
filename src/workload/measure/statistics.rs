//! Estimators over counts.

/// Stretches that the jackknife leaves out in turn.
const STRETCHES: usize = 20;
/// 97.5% quantile of Student's t with 19 degrees of freedom.
const T_19: f64 = 2.093;

/// Mean and index of dispersion of counts.
pub(super) struct Dispersion {
    pub(super) mean: f64,
    /// Variance over mean; 0 for counts that are all 0.
    pub(super) index: f64,
    /// 95% interval of the index.
    pub(super) interval: Option<[f64; 2]>,
}

/// Sums of counts less `offset`, so that squares of large equal counts don't cancel.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn of(counts: &[u32], offset: f64) -> Sums {
        counts.iter().fold(Sums::default(), |s, c| {
            let x = f64::from(*c) - offset;
            Sums {
                n: s.n + 1.0,
                sum: s.sum + x,
                squares: s.squares + x * x,
            }
        })
    }

    fn without(self, other: Sums) -> Sums {
        Sums {
            n: self.n - other.n,
            sum: self.sum - other.sum,
            squares: self.squares - other.squares,
        }
    }

    fn index(self, offset: f64) -> f64 {
        let mean = self.sum / self.n;
        let variance = (self.squares - self.sum * mean) / (self.n - 1.0);
        let mean = mean + offset;
        if mean > 0.0 {
            variance.max(0.0) / mean
        } else {
            0.0
        }
    }
}

/// Mean and index of dispersion; the interval is by the jackknife over stretches, so it holds for
/// counts that depend on their neighbours, as long as stretches are longer than the dependence.
pub(super) fn dispersion(counts: &[u32]) -> Dispersion {
    if counts.len() < 2 {
        return Dispersion {
            mean: counts.first().copied().map_or(0.0, f64::from),
            index: 0.0,
            interval: None,
        };
    }
    let offset = f64::from(counts[0]);
    let all = Sums::of(counts, offset);
    let index = all.index(offset);
    let interval = (counts.len() >= 2 * STRETCHES).then(|| {
        let length = counts.len() / STRETCHES;
        let left_out: Vec<f64> = counts
            .chunks_exact(length)
            .take(STRETCHES)
            .map(|stretch| all.without(Sums::of(stretch, offset)).index(offset))
            .collect();
        let g = left_out.len() as f64;
        let mean = left_out.iter().sum::<f64>() / g;
        let spread: f64 = left_out.iter().map(|x| (x - mean) * (x - mean)).sum();
        let half = T_19 * ((g - 1.0) / g * spread).sqrt();
        [(index - half).max(0.0), index + half]
    });
    Dispersion {
        mean: all.sum / all.n + offset,
        index,
        interval,
    }
}

/// How many of the counts, largest first, make up `share` of their sum.
pub(super) fn hottest(counts: &[u32], share: f64) -> usize {
    let total: f64 = counts.iter().map(|c| f64::from(*c)).sum();
    let mut sum = 0.0;
    counts
        .iter()
        .position(|c| {
            sum += f64::from(*c);
            sum >= share * total
        })
        .map_or(counts.len(), |last| last + 1)
}

/// Slope of log count over log rank, negated, by least squares over ranks spaced evenly on the
/// logarithmic scale; counts below 10 are left out, since their order is chance.
pub(super) fn zipf_exponent(counts: &[u32]) -> Option<f64> {
    let ranks = counts.partition_point(|c| *c >= 10);
    if ranks < 10 {
        return None;
    }
    let mut points = Vec::new();
    let mut rank = 1usize;
    while rank <= ranks {
        points.push((
            libm::log(rank as f64),
            libm::log(f64::from(counts[rank - 1])),
        ));
        rank = (rank * 11 / 10).max(rank + 1);
    }
    Some(-slope(&points))
}

/// Least-squares slope.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mx = points.iter().map(|p| p.0).sum::<f64>() / n;
    let my = points.iter().map(|p| p.1).sum::<f64>() / n;
    let xy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let xx: f64 = points.iter().map(|p| (p.0 - mx) * (p.0 - mx)).sum();
    xy / xx
}

/// Bits of entropy that each halving of the window adds, over windows of 1, 2, 4, ... of the
/// given counts' as long as there are 16. `None` for fewer than three sizes, or no writes.
pub(super) fn entropy_slope(counts: &[u32]) -> Option<f64> {
    let mut counts: Vec<u64> = counts.iter().map(|c| u64::from(*c)).collect();
    let mut points = Vec::new();
    while counts.len() >= 16 {
        // Whole pairs only, so that every size sees the same stretch.
        let total: f64 = counts.iter().map(|c| *c as f64).sum();
        if total == 0.0 {
            return None;
        }
        let entropy: f64 = counts
            .iter()
            .filter(|c| **c > 0)
            .map(|c| {
                let p = *c as f64 / total;
                -p * libm::log2(p)
            })
            .sum();
        points.push((-(points.len() as f64), entropy));
        counts = counts
            .chunks_exact(2)
            .map(|pair| pair[0] + pair[1])
            .collect();
    }
    (points.len() >= 3).then(|| slope(&points))
}

/// b in 0.5 to 1 with -b log2 b - (1-b) log2 (1-b) equal to the slope.
pub(super) fn inverse_entropy(slope: f64) -> f64 {
    let entropy = |b: f64| -b * libm::log2(b) - (1.0 - b) * libm::log2(1.0 - b);
    let (mut even, mut uneven) = (0.5, 1.0);
    for _ in 0..60 {
        let middle = (even + uneven) / 2.0;
        if middle < 1.0 && entropy(middle) > slope {
            even = middle;
        } else {
            uneven = middle;
        }
    }
    (even + uneven) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispersion_of_known_counts() {
        let d = dispersion(&[2, 4, 4, 4, 5, 5, 7, 9]);
        assert!((d.mean - 5.0).abs() < 1e-12);
        assert!((d.index - 32.0 / 7.0 / 5.0).abs() < 1e-12);
        assert!(d.interval.is_none());
        assert_eq!(dispersion(&[0, 0, 0]).index, 0.0);
        assert_eq!(dispersion(&[1_000_000_007; 100]).index, 0.0);
        let d = dispersion(&[1, 3].repeat(200));
        let [low, high] = d.interval.unwrap();
        assert!(low <= d.index && d.index <= high && high - low < 0.2);
    }

    #[test]
    fn the_hottest_pages_are_counted_to_their_share() {
        assert_eq!(hottest(&[98, 1, 1], 0.98), 1);
        assert_eq!(hottest(&[98, 1, 1], 0.99), 2);
        assert_eq!(hottest(&[5, 5, 5, 5], 1.0), 4);
        assert_eq!(hottest(&[], 0.99), 0);
    }

    #[test]
    fn exponent_and_b_come_back_from_exact_counts() {
        for exponent in [0.5f64, 0.99, 1.4] {
            let counts: Vec<u32> = (1..=5000)
                .map(|k| (1e7 * f64::from(k).powf(-exponent)) as u32)
                .collect();
            let found = zipf_exponent(&counts).unwrap();
            assert!((found - exponent).abs() < 0.01, "{exponent}: {found}");
        }
        for b in [0.5f64, 0.7, 0.9] {
            let mut counts = vec![4e9];
            for _ in 0..10 {
                counts = counts.iter().flat_map(|c| [c * b, c * (1.0 - b)]).collect();
            }
            let counts: Vec<u32> = counts.iter().map(|c| *c as u32).collect();
            let found = inverse_entropy(entropy_slope(&counts).unwrap());
            assert!((found - b).abs() < 1e-3, "{b}: {found}");
        }
        assert!(zipf_exponent(&[100; 5]).is_none());
        assert!(entropy_slope(&[1; 16]).is_none());
    }
}
