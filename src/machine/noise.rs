//! How steady this machine is: a fixed piece of work, timed over and over.

use std::hint::black_box;
use std::time::Instant;

use crate::stats;

/// Passes of the spin loop. At about 1 ms each the figure costs about 0.1 s.
const PASSES: usize = 100;
/// Dependent multiplications in one pass: about 1 ms at 3 to 5 cycles each.
const STEPS: u32 = 700_000;

/// How much longer than its fastest pass the spin loop took at the 90th percentile: 0.02 means
/// 2%. It holds whatever takes a core away for a while: other programs, steal, frequency.
pub fn spin_spread() -> f64 {
    let times: Vec<f64> = (0..PASSES)
        .map(|_| {
            let start = Instant::now();
            let mut x = black_box(1u64);
            for _ in 0..STEPS {
                x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 1;
            }
            black_box(x);
            start.elapsed().as_secs_f64()
        })
        .collect();
    spread_of(&times)
}

fn spread_of(times: &[f64]) -> f64 {
    match (stats::quantile(times, 0.0), stats::quantile(times, 0.9)) {
        (Some(fastest), Some(slow)) if fastest > 0.0 => slow / fastest - 1.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_relative_to_the_fastest() {
        let mut times = vec![1.0; 91];
        times.extend([1.5; 9]);
        assert!(spread_of(&times) < 1e-9);
        times.extend([1.5; 20]);
        assert!((spread_of(&times) - 0.5).abs() < 1e-9);
        assert_eq!(spread_of(&[]), 0.0);
    }
}
