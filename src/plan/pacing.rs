//! How a stream's writes are spread over time: the mean number of them by a moment, in units of the mean rate.

use crate::error::Result;
use crate::units::{PAGE_SIZE, Rate, Size};
use crate::workload::{
    Alternating, Arrival, ArrivalLaw, LengthLaw, MergedStream, Phases, Placement, StreamSpec,
};

/// Writes that a generated table is made from.
const WRITES: u64 = 400_000;
/// Steps of a generated table.
const STEPS: usize = 1 << 14;
/// Rates that its steps are gathered to.
const LEVELS: usize = 32;

/// The course of a stream's rate over time, in units of its mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Pacing {
    /// The same at all times.
    Steady {
        /// Evenly spaced, or at random.
        even: bool,
    },
    /// High for a while and low for a while, always as long.
    Cycle {
        /// The rates over the mean.
        levels: [f64; 2],
        /// How long each lasts, seconds.
        lengths_s: [f64; 2],
    },
    /// As generated once, from then on repeated.
    Table {
        /// Length of a step, seconds.
        step_s: f64,
        /// Writes by the end of each step, over the mean rate, so in seconds.
        by: Vec<f64>,
        /// Rates over the mean, each kept for as long as the others.
        levels: Vec<f64>,
    },
}

/// What a vCPU takes, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VcpuCosts {
    /// A page write.
    pub write_s: f64,
    /// CPU time of a sleep before one.
    pub sleep_s: f64,
    /// From when that write is due until its vCPU is awake. On a machine with nothing else to do the CPU time of the
    /// sleep; longer where another thread has the core.
    pub wake_s: f64,
}

impl Pacing {
    /// That of a stream. Models that draw the lengths of their phases, and traces, are generated.
    ///
    /// # Errors
    /// A specification that can't be.
    pub fn of(spec: &StreamSpec) -> Result<Pacing> {
        if spec.rate.0 == 0 {
            return Ok(Pacing::Steady { even: false });
        }
        match ArrivalLaw::of(spec)? {
            ArrivalLaw::Constant => Ok(Pacing::Steady { even: true }),
            ArrivalLaw::Poisson => Ok(Pacing::Steady { even: false }),
            ArrivalLaw::Alternating(Alternating {
                levels,
                means_ns,
                law: LengthLaw::Fixed,
            }) => Ok(Pacing::Cycle {
                levels,
                lengths_s: means_ns.map(|ns| ns / 1e9),
            }),
            ArrivalLaw::Alternating(law) => {
                let period_s = (law.means_ns[0] + law.means_ns[1]) / 1e9;
                let arrival = solved(&spec.arrival, &law);
                generated(arrival, spec.seed, (100.0 * period_s).clamp(60.0, 3600.0))
            }
            ArrivalLaw::Cascade(law) => {
                let arrival = Arrival::BModel {
                    b: Some(law.b),
                    slot: span(law.slot_ns as f64),
                    levels: law.levels,
                    burstiness: None,
                    window: None,
                };
                generated(arrival, spec.seed, law.span_ns() as f64 / 1e9 * 8.0)
            }
            ArrivalLaw::Trace { trace, speed, .. } => {
                let length_s = trace.duration_ns() as f64 / 1e9 / speed;
                generated(spec.arrival.clone(), spec.seed, length_s)
            }
        }
    }

    /// Writes in the stretch from `from_s` to `to_s`, over the mean rate: seconds of the mean rate.
    pub fn seconds(&self, from_s: f64, to_s: f64) -> f64 {
        (self.by(to_s) - self.by(from_s)).max(0.0)
    }

    /// How long it takes until it begins again, seconds; `None` of a steady one.
    pub fn length_s(&self) -> Option<f64> {
        match self {
            Pacing::Steady { .. } => None,
            Pacing::Cycle { lengths_s, .. } => Some(lengths_s[0] + lengths_s[1]),
            Pacing::Table { step_s, by, .. } => Some(step_s * by.len() as f64),
        }
    }

    /// CPU time that a vCPU takes a page write, seconds, if its writes come at `rate` a second in the mean. It sleeps
    /// before a write if all before were done when that fell due. One sleep serves all that fall due until it is
    /// awake: (rate x wake + 1) / (1 - rate x write) of those that come at random, which is the busy period of a
    /// server with a setup time; of those that come evenly the same without the 1, and at least one.
    pub fn vcpu_s_per_write(&self, rate: f64, vcpu: &VcpuCosts) -> f64 {
        let VcpuCosts {
            write_s,
            sleep_s,
            wake_s,
        } = *vcpu;
        let idle = |rate: f64| (1.0 - rate * write_s).max(0.0);
        let at_random = |level: f64| {
            let rate = rate * level;
            write_s + sleep_s * idle(rate) / (1.0 + rate * wake_s)
        };
        match self {
            Pacing::Steady { even: true } => {
                let served = rate * wake_s / idle(rate).max(f64::MIN_POSITIVE);
                write_s + sleep_s / served.max(1.0)
            }
            Pacing::Steady { even: false } => at_random(1.0),
            Pacing::Cycle { levels, lengths_s } => {
                let period_s = lengths_s[0] + lengths_s[1];
                let of = |n: usize| levels[n] * lengths_s[n] / period_s * at_random(levels[n]);
                of(0) + of(1)
            }
            Pacing::Table { levels, .. } => {
                let sum: f64 = levels.iter().map(|level| level * at_random(*level)).sum();
                sum / levels.iter().sum::<f64>().max(f64::MIN_POSITIVE)
            }
        }
    }

    fn by(&self, at_s: f64) -> f64 {
        match self {
            Pacing::Steady { .. } => at_s,
            Pacing::Cycle { levels, lengths_s } => {
                let period_s = lengths_s[0] + lengths_s[1];
                let whole = (at_s / period_s).floor();
                let into_s = at_s - whole * period_s;
                let high_s = into_s.min(lengths_s[0]);
                whole * period_s + levels[0] * high_s + levels[1] * (into_s - high_s)
            }
            Pacing::Table { step_s, by, .. } => {
                let length_s = step_s * by.len() as f64;
                let whole = (at_s / length_s).floor();
                let at = (at_s - whole * length_s) / step_s;
                let step = (at as usize).min(by.len() - 1);
                let before = step.checked_sub(1).map_or(0.0, |s| by[s]);
                whole * length_s + before + (by[step] - before) * (at - step as f64)
            }
        }
    }
}

/// The arrival with nothing left to solve: what a burstiness asks for depends on the rate.
fn solved(arrival: &Arrival, law: &Alternating) -> Arrival {
    let [high_ns, low_ns] = law.means_ns;
    let duty = Some(high_ns / (high_ns + low_ns));
    let period = Some(span(high_ns + low_ns));
    match *arrival {
        Arrival::Mmpp { low, .. } => Arrival::Mmpp {
            duty,
            period,
            low,
            burstiness: None,
            window: None,
        },
        Arrival::ParetoOnOff { shape, longest, .. } => Arrival::ParetoOnOff {
            duty,
            period,
            shape,
            longest,
            burstiness: None,
            window: None,
        },
        _ => Arrival::OnOff {
            duty,
            period,
            phases: Phases::Exponential,
            burstiness: None,
            window: None,
        },
    }
}

fn span(ns: f64) -> crate::units::Span {
    crate::units::Span(std::time::Duration::from_nanos(ns as u64))
}

/// The times of a stream of that arrival, counted: its rate only decides how finely.
fn generated(arrival: Arrival, seed: u64, length_s: f64) -> Result<Pacing> {
    let rate = WRITES as f64 * PAGE_SIZE as f64 / length_s;
    let spec = StreamSpec {
        memory: Size(PAGE_SIZE as u64),
        vcpus: 1,
        seed,
        rate: Rate(rate as u64),
        arrival: match arrival {
            // The rate decides its speed.
            Arrival::Trace { file, repeat, .. } => Arrival::Trace {
                file,
                speed: None,
                repeat,
            },
            arrival => arrival,
        },
        placement: Placement::Uniform { working_set: 1.0 },
        granularity: Size(PAGE_SIZE as u64),
    };
    // A trace is as long as it is, at whatever speed: its shape is what counts.
    let length_ns = match ArrivalLaw::of(&spec)? {
        ArrivalLaw::Trace { trace, speed, .. } => trace.duration_ns() as f64 / speed,
        _ => length_s * 1e9,
    };
    let mut stream = MergedStream::new(&spec)?;
    let mut by = vec![0.0; STEPS];
    while let Some((_, write)) = stream.next_until(length_ns as u64) {
        let step = (write.at_ns as f64 / length_ns * STEPS as f64) as usize;
        by[step.min(STEPS - 1)] += 1.0;
    }
    let mut sum = 0.0;
    for count in &mut by {
        sum += *count;
        *count = sum;
    }
    by.iter_mut().for_each(|count| *count *= length_s / sum);
    let step_s = length_s / STEPS as f64;
    let mut rates: Vec<f64> = std::iter::once(by[0])
        .chain(by.windows(2).map(|pair| pair[1] - pair[0]))
        .map(|writes| writes / step_s)
        .collect();
    rates.sort_unstable_by(f64::total_cmp);
    let level = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
    Ok(Pacing::Table {
        step_s,
        by,
        levels: rates.chunks(STEPS / LEVELS).map(level).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(arrival: &str) -> StreamSpec {
        let text = format!("name = \"x\"\n[workload]\nrate = \"40MiB/s\"\narrival = {arrival}");
        crate::scenario::parse("x", &text).unwrap()[0].stream_spec()
    }

    #[test]
    fn every_arrival_has_the_mean_rate_in_the_long_run() {
        for arrival in [
            "{ model = \"poisson\" }",
            "{ model = \"constant\" }",
            "{ model = \"on-off\", duty = 0.5, period = \"50ms\" }",
            "{ model = \"on-off\", duty = 0.2, period = \"1s\", phases = \"exponential\" }",
            "{ model = \"mmpp\", duty = 0.2, burstiness = 40 }",
            "{ model = \"pareto-on-off\", duty = 0.3, period = \"200ms\" }",
            "{ model = \"b-model\", b = 0.7 }",
            "{ model = \"trace\", file = \"redis\" }",
        ] {
            let pacing = Pacing::of(&spec(arrival)).unwrap();
            let length_s = pacing.length_s().unwrap_or(1.0);
            for from in [0.0, 0.3, 7.9] {
                let seconds = pacing.seconds(from * length_s, (from + 3.0) * length_s);
                let off = seconds / (3.0 * length_s) - 1.0;
                assert!(off.abs() < 1e-6, "{arrival}: {off}");
            }
        }
    }

    #[test]
    fn a_vcpu_sleeps_before_the_writes_that_it_awaits() {
        let sleep_s = 15e-6;
        let idle = VcpuCosts {
            write_s: 1e-6,
            sleep_s,
            wake_s: sleep_s,
        };
        let busy = VcpuCosts {
            wake_s: 3.0 * sleep_s,
            ..idle
        };
        for (arrival, rate, vcpu, expected_us) in [
            // Seldom: before each.
            ("{ model = \"poisson\" }", 1.0, idle, 16.0),
            ("{ model = \"constant\" }", 1.0, busy, 16.0),
            // Evenly, at four fifths of what it can make.
            ("{ model = \"constant\" }", 50_000.0, idle, 16.0),
            // Evenly and faster: on an idle machine it takes all of the time, else as one of three.
            ("{ model = \"constant\" }", 500_000.0, idle, 2.0),
            ("{ model = \"constant\" }", 500_000.0, busy, 1.0 + 1.0 / 3.0),
            // As fast as it sleeps: before every second, less those that wait for a write.
            ("{ model = \"poisson\" }", 1.0 / sleep_s, idle, 8.0),
            // Three more fall due until it is awake.
            ("{ model = \"poisson\" }", 1.0 / sleep_s, busy, 4.5),
            // The same, but in half of the time.
            (
                "{ model = \"on-off\", duty = 0.5, period = \"50ms\" }",
                0.5 / sleep_s,
                idle,
                8.0,
            ),
            // Faster than it can: never.
            ("{ model = \"constant\" }", 1e9, busy, 1.0),
            ("{ model = \"poisson\" }", 1e9, idle, 1.0),
        ] {
            let pacing = Pacing::of(&spec(arrival)).unwrap();
            let took_us = 1e6 * pacing.vcpu_s_per_write(rate, &vcpu);
            assert!((took_us - expected_us).abs() < 0.1, "{arrival}: {took_us}");
        }
        let table = Pacing::of(&spec("{ model = \"b-model\", b = 0.7 }")).unwrap();
        let bursty = table.vcpu_s_per_write(20_000.0, &idle);
        let steady = Pacing::Steady { even: false };
        assert!(bursty < steady.vcpu_s_per_write(20_000.0, &idle));
    }

    #[test]
    fn a_fixed_cycle_is_on_and_off() {
        let arrival = "{ model = \"on-off\", duty = 0.25, period = \"40ms\" }";
        let pacing = Pacing::of(&spec(arrival)).unwrap();
        assert!((pacing.seconds(0.0, 0.01) - 0.04).abs() < 1e-12);
        assert!(pacing.seconds(0.011, 0.039) < 1e-12);
        assert!((pacing.seconds(0.005, 0.045) - 0.04).abs() < 1e-12);
    }
}
