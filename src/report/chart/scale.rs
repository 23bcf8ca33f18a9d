//! Axes: from values to places, with round ticks.

/// How values are spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Evenly.
    Linear,
    /// By logarithm; values must be positive.
    Log,
    /// By log10(1 + value): logarithmic, with a true zero. For counts.
    LogFromZero,
}

/// No axis goes beyond it, in either direction: what is drawn is far smaller, and what is read from a
/// file may be anything.
const LARGEST: f64 = 1e30;
/// No axis is shorter, nor does a logarithmic one begin lower.
const SMALLEST: f64 = 1e-30;
/// No axis has more ticks, however many are wanted.
const MOST_TICKS: usize = 100;

/// An axis from `low` at place `from` to `high` at place `to`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    spread: Spread,
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// An axis of `spread`. An empty or reversed range is widened, and one that no figure of this
    /// world needs is cut, so that a place always exists.
    pub fn new(spread: Spread, low: f64, high: f64, (from, to): (f64, f64)) -> Self {
        // What stands for a low end that is none, and the high end above a low one.
        let (lowest, least) = match spread {
            Spread::Log => (SMALLEST, 1e-9),
            Spread::Linear => (-LARGEST, 0.0),
            Spread::LogFromZero => (0.0, 0.0),
        };
        let low = match spread {
            _ if !low.is_finite() => least,
            Spread::Log if low <= 0.0 => least,
            _ => low.clamp(lowest, LARGEST / 10.0),
        };
        let wide = |high: f64| high - low >= SMALLEST.max(low.abs() * 1e-9);
        let high = match spread {
            _ if high.is_finite() && wide(high.min(LARGEST)) => high.min(LARGEST),
            Spread::Log => low * 10.0,
            Spread::Linear | Spread::LogFromZero => low + low.abs().max(1.0),
        };
        Scale {
            spread,
            low,
            high,
            from,
            to,
        }
    }

    /// A linear axis from zero to a little over `high`.
    pub fn from_zero(high: f64, places: (f64, f64)) -> Self {
        Scale::new(Spread::Linear, 0.0, high * 1.04, places)
    }

    fn spread_out(&self, value: f64) -> f64 {
        match self.spread {
            Spread::Linear => value,
            Spread::Log => value.max(self.low * 1e-6).log10(),
            Spread::LogFromZero => (1.0 + value.max(0.0)).log10(),
        }
    }

    /// The place of a value; values beyond an end are put at that end.
    pub fn at(&self, value: f64) -> f64 {
        // NaN is at neither end, and at the low one it does no harm.
        let value = value.max(self.low).min(self.high);
        let share = (self.spread_out(value) - self.spread_out(self.low))
            / (self.spread_out(self.high) - self.spread_out(self.low));
        self.from + share * (self.to - self.from)
    }

    /// Whether a value lies on the axis.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// About `wanted` round values on the axis.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        match self.spread {
            Spread::Linear => linear_ticks(self.low, self.high, wanted),
            Spread::Log => log_ticks(self.low, self.high, wanted),
            Spread::LogFromZero => {
                // No tick at 1: it would touch zero's.
                let mut ticks = vec![0.0];
                ticks.extend(decades(10.0, self.high, wanted));
                ticks
            }
        }
    }
}

/// The round step (1, 2 or 5 times a power of ten) that divides a span about `wanted` times.
fn step(span: f64, wanted: usize) -> f64 {
    let rough = span / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * power >= rough * 0.999)
        .unwrap_or(10.0);
    factor * power
}

fn linear_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let step = step(high - low, wanted);
    let first = (low / step).ceil();
    let last = (high / step * (1.0 + 1e-12)).floor();
    (0..MOST_TICKS)
        .map(|i| first + i as f64)
        .take_while(|tick| *tick <= last)
        .map(|tick| tick * step)
        .collect()
}

fn log_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    for factors in [
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0][..],
        &[1.0, 2.0, 5.0],
        &[1.0, 3.0],
    ] {
        let mut ticks = Vec::new();
        for power in (low.log10().floor() as i32)..=(high.log10().ceil() as i32) {
            for factor in factors {
                // Negative powers by division: 5 / 100 is 0.05, 5 * 0.01 is not.
                let value = if power < 0 {
                    factor / 10f64.powi(-power)
                } else {
                    factor * 10f64.powi(power)
                };
                if (low..=high).contains(&value) {
                    ticks.push(value);
                }
            }
        }
        if ticks.len() <= wanted + 2 {
            return ticks;
        }
    }
    decades(low, high, wanted)
}

fn decades(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let (first, last) = (low.log10().ceil() as i32, high.log10().floor() as i32);
    let n = usize::try_from(last - first + 1).unwrap_or(0);
    let every = n.div_ceil(wanted.max(1)).max(1);
    (first..=last)
        .step_by(every)
        .map(|power| 10f64.powi(power))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::text;

    #[test]
    fn ticks_are_round_and_inside() {
        let texts = |spread, low, high, wanted| -> Vec<String> {
            Scale::new(spread, low, high, (0.0, 100.0))
                .ticks(wanted)
                .into_iter()
                .map(text::tick)
                .collect()
        };
        assert_eq!(texts(Spread::Linear, 0.0, 0.27, 5), ["0", "0.1", "0.2"]);
        assert_eq!(texts(Spread::Linear, 0.0, 41.0, 4), ["0", "20", "40"]);
        assert_eq!(
            texts(Spread::Log, 0.9, 45.0, 6),
            ["1", "2", "5", "10", "20"]
        );
        assert_eq!(
            texts(Spread::LogFromZero, 0.0, 40_000.0, 6),
            ["0", "10", "100", "1000", "10k"]
        );
    }

    #[test]
    fn places_are_finite_and_ticks_few_whatever_the_range() {
        for (low, high) in [
            (0.0, 0.0),
            (f64::NAN, 1.0),
            (5.0, 1.0),
            (0.0, f64::INFINITY),
            (0.0, f64::from_bits(1)),
            (f64::from_bits(1), f64::MIN_POSITIVE),
            (f64::MAX / 2.0, f64::MAX),
            (f64::MIN, f64::MAX),
            (-1.0, 1.0),
            (1e300, 1e300),
            (1.0, 1.0 + f64::EPSILON),
            (1e-300, 1e300),
        ] {
            for spread in [Spread::Linear, Spread::Log, Spread::LogFromZero] {
                let scale = Scale::new(spread, low, high, (10.0, 90.0));
                for wanted in [0, 1, 5] {
                    let ticks = scale.ticks(wanted);
                    assert!(ticks.len() <= MOST_TICKS, "{spread:?} {low} {high}");
                    assert!(ticks.iter().all(|tick| tick.is_finite()), "{ticks:?}");
                }
                for value in [0.0, 0.5, 1e12, f64::NAN, f64::MAX, f64::MIN] {
                    let place = scale.at(value);
                    assert!(
                        (10.0..=90.0).contains(&place),
                        "{spread:?} {low} {high}: {place}"
                    );
                }
            }
        }
        let scale = Scale::new(Spread::LogFromZero, 0.0, 99.0, (100.0, 0.0));
        assert_eq!(scale.at(0.0), 100.0);
        assert_eq!(scale.at(99.0), 0.0);
        assert!((scale.at(9.0) - 50.0).abs() < 1e-9);
    }
}
