//! How many different pages a number of writes reaches, by the law of their placement.

use crate::error::Result;
use crate::workload::{MergedStream, Placement, StreamSpec};

/// Ranks of a Zipf law that are taken one by one.
const SINGLE_RANKS: u64 = 64;
/// Classes in a doubling of the rank beyond them.
const CLASSES_A_DOUBLING: f64 = 8.0;
/// Points of a table in an octave of writes.
const POINTS_AN_OCTAVE: f64 = 4.0;
/// Writes of a trace that its table is counted from at most.
const TRACE_WRITES: u64 = 4_000_000;

/// Where writes go, as far as it decides how many different units they reach.
#[derive(Debug, Clone, PartialEq)]
pub enum Spread {
    /// Classes of units that are alike: (units, chance of a write to go to one of them).
    Classes(Vec<(f64, f64)>),
    /// One after another.
    Sweep {
        /// In the working set.
        units: f64,
    },
    /// A hot set that moves on from time to time, and the rest.
    Moving {
        /// In the working set.
        units: f64,
        /// Of them hot at a time.
        hot: f64,
        /// Share of the writes that go there.
        writes: f64,
        /// How long it stays, seconds.
        every_s: f64,
    },
    /// Parts by the share of the writes that go to each.
    Mixture(Vec<(f64, Spread)>),
    /// Units by writes: at the k-th point 2^(k / points an octave) writes.
    Table(Vec<f64>),
}

impl Spread {
    /// That of a stream, over the units of its granularity. A trace is replayed.
    ///
    /// # Errors
    /// A trace that can't be opened.
    pub fn of(spec: &StreamSpec) -> Result<Spread> {
        let total = (spec.memory.pages() / spec.granularity.pages()) as f64;
        match &spec.placement {
            Placement::Trace { .. } => counted(spec),
            placement => Ok(law(placement, total)),
        }
    }

    /// Different units that `writes` writes between two moments reach in the mean.
    pub fn distinct(&self, writes: f64, from_s: f64, to_s: f64) -> f64 {
        match self {
            Spread::Classes(classes) => {
                let reached = |&(units, chance): &(f64, f64)| -units * (-writes * chance).exp_m1();
                classes.iter().map(reached).sum()
            }
            Spread::Sweep { units } => writes.min(*units),
            Spread::Moving {
                units,
                hot,
                writes: share,
                every_s,
            } => moving(writes, [from_s, to_s], *units, *hot, *share, *every_s),
            Spread::Mixture(parts) => {
                let reached =
                    |(share, part): &(f64, Spread)| part.distinct(writes * share, from_s, to_s);
                parts.iter().map(reached).sum()
            }
            Spread::Table(points) => looked_up(points, writes),
        }
    }

    /// The same law as a table, if it costs more to compute than to look up and time does not matter to it.
    pub fn tabled(self, most_writes: f64) -> Spread {
        match &self {
            Spread::Classes(classes) if classes.len() > 8 => {
                let octaves = most_writes.max(2.0).log2().ceil();
                let points = (0..=(octaves * POINTS_AN_OCTAVE) as u32)
                    .map(|k| self.distinct((f64::from(k) / POINTS_AN_OCTAVE).exp2(), 0.0, 0.0));
                Spread::Table(points.collect())
            }
            _ => self,
        }
    }
}

fn looked_up(points: &[f64], writes: f64) -> f64 {
    // Below the first point every write goes to a page of its own, nearly.
    if writes < 1.0 {
        return writes * points[0];
    }
    let at = writes.log2() * POINTS_AN_OCTAVE;
    let last = points.len() - 1;
    let below = (at as usize).min(last);
    let above = (below + 1).min(last);
    let share = (at - below as f64).min(1.0);
    points[below] + (points[above] - points[below]) * share
}

fn law(placement: &Placement, total: f64) -> Spread {
    let region = |share: f64| (share * total).round().clamp(1.0, total);
    match *placement {
        Placement::Uniform { working_set } => {
            let units = region(working_set);
            Spread::Classes(vec![(units, 1.0 / units)])
        }
        Placement::Zipf {
            exponent,
            working_set,
        } => Spread::Classes(zipf(exponent, region(working_set))),
        Placement::HotCold {
            writes,
            pages,
            working_set,
        } => {
            let units = region(working_set);
            let hot = (pages * units).round().clamp(1.0, units);
            let cold = units - hot;
            if cold <= 0.0 {
                return Spread::Classes(vec![(units, 1.0 / units)]);
            }
            Spread::Classes(vec![(hot, writes / hot), (cold, (1.0 - writes) / cold)])
        }
        Placement::MovingHotSet {
            writes,
            pages,
            every,
            working_set,
        } => {
            let units = region(working_set);
            Spread::Moving {
                units,
                hot: (pages * units).round().clamp(1.0, units),
                writes,
                every_s: every.as_secs_f64(),
            }
        }
        Placement::Sweep { working_set } => Spread::Sweep {
            units: region(working_set),
        },
        Placement::Mixture { ref parts } => Spread::Mixture(
            parts
                .iter()
                .map(|part| (part.share, law(&part.placement, total)))
                .collect(),
        ),
        // Counted where a trace is allowed; a mixture has none.
        Placement::Trace { .. } => Spread::Classes(vec![(total, 1.0 / total)]),
    }
}

/// Classes of ranks with nearly the same weight, k^-exponent.
fn zipf(exponent: f64, units: f64) -> Vec<(f64, f64)> {
    let last = units as u64;
    let mut classes: Vec<(f64, f64)> = Vec::new();
    let mut first = 1u64;
    while first <= last {
        let next = match first <= SINGLE_RANKS {
            true => first + 1,
            false => (first as f64 * (1.0 / CLASSES_A_DOUBLING).exp2()).ceil() as u64,
        };
        let next = next.min(last + 1);
        let width = (next - first) as f64;
        let middle = ((first as f64 - 0.5) * (next as f64 - 0.5)).sqrt();
        let weight = match next - first {
            1 => (first as f64).powf(-exponent),
            _ => middle.powf(-exponent),
        };
        classes.push((width, weight));
        first = next;
    }
    let sum: f64 = classes.iter().map(|(width, weight)| width * weight).sum();
    classes.iter_mut().for_each(|(_, weight)| *weight /= sum);
    classes
}

/// Hot sets follow one another; a window begins and ends somewhere within one.
fn moving(
    writes: f64,
    [from_s, to_s]: [f64; 2],
    units: f64,
    hot: f64,
    share: f64,
    every_s: f64,
) -> f64 {
    let length_s = to_s - from_s;
    if length_s <= 0.0 || writes <= 0.0 {
        return 0.0;
    }
    // Those of a whole round of the working set come by again.
    let sets = (units / hot).floor().max(1.0);
    let (first, last) = ((from_s / every_s).floor(), (to_s / every_s).floor());
    let cold = writes * (1.0 - share) / units;
    let reached = |hot_s: f64| {
        let warm = writes * share * hot_s / length_s / hot;
        -hot * (-warm - cold).exp_m1()
    };
    let seen = (last - first + 1.0).min(sets);
    let sum = if last == first {
        reached(length_s)
    } else {
        let begun_s = (first + 1.0) * every_s - from_s;
        let ended_s = to_s - last * every_s;
        let between = (last - first - 1.0).min(sets - 1.0).max(0.0);
        reached(begun_s) + between * reached(every_s) + reached(ended_s)
    };
    let rest = (units - seen * hot).max(0.0);
    (sum + -rest * (-cold).exp_m1()).min(units)
}

/// Different pages in windows of a trace, by their writes.
fn counted(spec: &StreamSpec) -> Result<Spread> {
    let mut stream = MergedStream::new(spec)?;
    let mut pages = Vec::new();
    while (pages.len() as u64) < TRACE_WRITES
        && let Some((_, write)) = stream.next_until(u64::MAX)
    {
        pages.push(write.page);
    }
    let mut points = Vec::new();
    let mut last_seen = vec![u32::MAX; spec.memory.pages() as usize];
    for k in 0u32.. {
        let window = (f64::from(k) / POINTS_AN_OCTAVE).exp2().round() as usize;
        if window > pages.len() / 4 || pages.is_empty() {
            break;
        }
        // A handful of windows, spread over the trace.
        let windows = (pages.len() / window).min(64);
        let stride = pages.len() / windows;
        let mut reached = 0u64;
        last_seen.fill(u32::MAX);
        for number in 0..windows {
            for page in &pages[number * stride..number * stride + window] {
                if last_seen[*page as usize] != number as u32 {
                    last_seen[*page as usize] = number as u32;
                    reached += 1;
                }
            }
        }
        points.push(reached as f64 / windows as f64);
    }
    Ok(match points.is_empty() {
        true => Spread::Sweep { units: 0.0 },
        false => Spread::Table(points),
    })
}
