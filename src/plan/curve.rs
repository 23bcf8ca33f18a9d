//! The distinct-page curve of a stream: how many different pages it dirties in a stretch of time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::pacing::{Pacing, VcpuCosts};
use super::spread::Spread;
use crate::error::Result;
use crate::units::PAGE_SIZE;
use crate::workload::{Placement, StreamSpec};

/// Sizes in an octave of memory for which a law is tabled; between two of them it is interpolated.
const SIZES_AN_OCTAVE: f64 = 2.0;

/// Different pages that a stream dirties, in the mean.
#[derive(Debug, Clone)]
pub struct Curve {
    writes_per_s: f64,
    pacing: Arc<Pacing>,
    /// Laws of two sizes, as (share, size over this one's, law): between them this one's lies.
    spreads: Vec<(f64, f64, Arc<Spread>)>,
    /// Pages of a unit of placement.
    unit_pages: f64,
    pages: f64,
}

/// What is computed once for all streams that share it.
#[derive(Debug, Default)]
pub struct Curves {
    pacings: Mutex<BTreeMap<String, Arc<Pacing>>>,
    spreads: Mutex<BTreeMap<String, Arc<Spread>>>,
}

impl Curves {
    /// The curve of a stream.
    ///
    /// # Errors
    /// A specification that can't be, a trace that can't be opened.
    pub fn of(&self, spec: &StreamSpec) -> Result<Curve> {
        let writes_per_s = spec.rate.0 as f64 / PAGE_SIZE as f64;
        Ok(Curve {
            writes_per_s,
            pacing: self.pacing(spec)?,
            spreads: self.spreads(spec)?,
            unit_pages: spec.granularity.pages() as f64,
            pages: spec.memory.pages() as f64,
        })
    }

    fn pacing(&self, spec: &StreamSpec) -> Result<Arc<Pacing>> {
        // A burstiness is solved for the rate.
        let rate = spec.rate.0;
        let key = format!("{:?} {rate} {}", spec.arrival, spec.seed);
        cached(&self.pacings, key, || Pacing::of(spec))
    }

    fn spreads(&self, spec: &StreamSpec) -> Result<Vec<(f64, f64, Arc<Spread>)>> {
        let heavy = matches!(spec.placement, Placement::Zipf { .. });
        let of = |spec: &StreamSpec| {
            let key = format!("{:?} {} {}", spec.placement, spec.memory, spec.granularity);
            cached(&self.spreads, key, || {
                let units = (spec.memory.pages() / spec.granularity.pages()) as f64;
                Ok(Spread::of(spec)?.tabled(units * 4096.0))
            })
        };
        if !heavy {
            let spread = match spec.placement {
                Placement::Trace { .. } => of(spec)?,
                _ => Arc::new(Spread::of(spec)?),
            };
            return Ok(vec![(1.0, 1.0, spread)]);
        }
        let own = spec.memory.0 as f64;
        let at = own.log2() * SIZES_AN_OCTAVE;
        let sized = |step: f64| -> Result<_> {
            let mut spec = spec.clone();
            let granule = spec.granularity.0;
            let bytes = (step / SIZES_AN_OCTAVE).exp2() as u64;
            spec.memory.0 = (bytes / granule).max(1) * granule;
            Ok((spec.memory.0 as f64 / own, of(&spec)?))
        };
        let (below, above) = (at.floor(), at.ceil());
        let (ratio, law) = sized(below)?;
        let mut spreads = vec![(1.0 - (at - below), ratio, law)];
        if above > below {
            let (ratio, law) = sized(above)?;
            spreads.push((at - below, ratio, law));
        }
        Ok(spreads)
    }
}

fn cached<T>(
    cache: &Mutex<BTreeMap<String, Arc<T>>>,
    key: String,
    make: impl FnOnce() -> Result<T>,
) -> Result<Arc<T>> {
    let lock = || cache.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(&key) {
        return Ok(known.clone());
    }
    let made = Arc::new(make()?);
    lock().insert(key, made.clone());
    Ok(made)
}

impl Curve {
    /// Pages that are dirtied between two moments of the stream, seconds, by a guest that executes
    /// `share` of its writes; in the mean over the draws of pages.
    pub fn distinct_pages(&self, from_s: f64, to_s: f64, share: f64) -> f64 {
        let writes = self.writes_per_s * share * self.pacing.seconds(from_s, to_s);
        if writes <= 0.0 {
            return 0.0;
        }
        let draws = writes / self.unit_pages;
        // A law of another size reaches as large a share of its units with as many writes a unit.
        let reached = |(share, ratio, spread): &(f64, f64, Arc<Spread>)| {
            share * spread.distinct(draws * ratio, from_s, to_s) / ratio
        };
        let units: f64 = self.spreads.iter().map(reached).sum();
        // A block that is begun is not yet full.
        (units * self.unit_pages).min(writes).min(self.pages)
    }

    /// The curve of a stream whose writes never meet a page twice before they have met all.
    pub fn at_constant_rate(spec: &StreamSpec) -> Curve {
        let pages = spec.memory.pages() as f64;
        Curve {
            writes_per_s: spec.rate.0 as f64 / PAGE_SIZE as f64,
            pacing: Arc::new(Pacing::Steady { even: true }),
            spreads: vec![(1.0, 1.0, Arc::new(Spread::Sweep { units: pages }))],
            unit_pages: 1.0,
            pages,
        }
    }

    /// Page writes a second in the mean.
    pub fn writes_per_s(&self) -> f64 {
        self.writes_per_s
    }

    /// CPU time that so many vCPUs take for the stream's writes, seconds a second, if each takes so long.
    pub fn vcpu_cores(&self, vcpus: f64, vcpu: &VcpuCosts) -> f64 {
        let rate = self.writes_per_s / vcpus;
        let per_write_s = self.pacing.vcpu_s_per_write(rate, vcpu);
        (self.writes_per_s * per_write_s).min(vcpus)
    }

    /// Of it what their sleeps take, seconds a second.
    pub fn sleep_cores(&self, vcpus: f64, vcpu: &VcpuCosts) -> f64 {
        let written = self.writes_per_s * vcpu.write_s;
        (self.vcpu_cores(vcpus, vcpu) - written).max(0.0)
    }

    /// How long the stream's course takes until it begins again, seconds; `None` if it is the same at all times.
    pub fn length_s(&self) -> Option<f64> {
        self.pacing.length_s().filter(|_| self.writes_per_s > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::MergedStream;

    /// Mean distinct pages of windows of a stream, by generating it.
    fn counted(spec: &StreamSpec, window_ns: u64, windows: u64) -> f64 {
        let mut stream = MergedStream::new(spec).unwrap();
        let mut seen = vec![0u64; spec.memory.pages() as usize];
        let mut reached = 0u64;
        for number in 1..=windows {
            while let Some((_, write)) = stream.next_until(number * window_ns) {
                let page = &mut seen[write.page as usize];
                reached += u64::from(*page != number);
                *page = number;
            }
        }
        reached as f64 / windows as f64
    }

    #[test]
    fn a_curve_says_what_its_stream_does() {
        let curves = Curves::default();
        for (arrival, placement, memory, vcpus, within) in [
            (
                "poisson",
                "model = \"uniform\", working_set = 0.5",
                "96MiB",
                1,
                0.01,
            ),
            (
                "constant",
                "model = \"zipf\", exponent = 0.99",
                "96MiB",
                1,
                0.015,
            ),
            (
                "poisson",
                "model = \"zipf\", exponent = 0.7, working_set = 0.3",
                "72MiB",
                2,
                0.015,
            ),
            (
                "poisson",
                "model = \"hot-cold\", writes = 0.9, pages = 0.05",
                "64MiB",
                2,
                0.01,
            ),
            (
                "constant",
                "model = \"sweep\", working_set = 0.25",
                "64MiB",
                2,
                0.01,
            ),
            (
                "poisson",
                "model = \"moving-hot-set\", writes = 0.8, pages = 0.05, every = \"200ms\"",
                "64MiB",
                1,
                0.03,
            ),
            (
                "poisson",
                "model = \"mixture\", parts = [{ share = 0.6, placement = { model = \"uniform\", working_set = 0.05 } }, \
                 { share = 0.4, placement = { model = \"sweep\", working_set = 0.5 } }]",
                "64MiB",
                1,
                0.01,
            ),
            (
                "poisson",
                "model = \"trace\", file = \"redis\", scale_pages = true",
                "64MiB",
                1,
                0.04,
            ),
        ] {
            let text = format!(
                "name = \"x\"\n[guest]\nmemory = \"{memory}\"\nvcpus = {vcpus}\n[workload]\nrate = \"80MiB/s\"\n\
                 arrival = {{ model = \"{arrival}\" }}\nplacement = {{ {placement} }}"
            );
            let spec = crate::scenario::parse("x", &text).unwrap()[0].stream_spec();
            let curve = curves.of(&spec).unwrap();
            // A trace is not the same at all times.
            let course_ms = match spec.placement {
                Placement::Trace { .. } => 40_000,
                _ => 2000,
            };
            for window_ms in [10u64, 100, 1000] {
                let windows = course_ms / window_ms;
                let counted = counted(&spec, window_ms * 1_000_000, windows);
                let length_s = window_ms as f64 / 1e3;
                let sum: f64 = (0..windows)
                    .map(|n| {
                        curve.distinct_pages(n as f64 * length_s, (n + 1) as f64 * length_s, 1.0)
                    })
                    .sum();
                let off = sum / windows as f64 / counted - 1.0;
                assert!(
                    off.abs() < within,
                    "{placement}, {window_ms} ms: {off:.4} of {counted}"
                );
            }
        }
    }

    #[test]
    fn an_idle_guest_dirties_nothing() {
        let text = "name = \"x\"\n[workload]\nrate = \"0MiB/s\"";
        let spec = crate::scenario::parse("x", text).unwrap()[0].stream_spec();
        let curve = Curves::default().of(&spec).unwrap();
        assert_eq!(curve.distinct_pages(0.0, 1e6, 1.0), 0.0);
        assert_eq!(curve.length_s(), None);
    }
}
