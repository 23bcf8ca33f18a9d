//! Where pages are written: the pages of one vCPU's writes.

mod scatter;
mod zipf;

use std::iter::{Skip, StepBy};

use self::scatter::Scatter;
use self::zipf::Zipf;
use super::random::{Draws, Purpose, unit};
use super::spec::{Placement, StreamSpec};
use super::trace::{Replay, Trace};
use super::write::PageWrite;
use crate::error::Result;

/// Chooses the pages of writes, in units of `unit_pages` pages.
#[derive(Debug)]
pub(super) struct Places {
    unit_pages: u64,
    /// First page of the unit that is being filled, and its pages written so far.
    unit_start: u64,
    unit_written: u64,
    law: Law,
    draws: Draws,
}

/// A law of placement over its working set of units.
#[derive(Debug)]
enum Law {
    Uniform(Region),
    Zipf(Region, Box<Zipf>, Scatter),
    HotCold(Region, Hot),
    Moving(Region, Hot, u64),
    Sweep(Region, Sweep),
    Mixture(Vec<(f64, Law)>),
    Trace(Box<TracePages>),
}

/// The working set: a contiguous region.
#[derive(Debug, Clone, Copy)]
struct Region {
    first: u64,
    units: u64,
}

/// A hot part of a region, scattered over it.
#[derive(Debug)]
struct Hot {
    writes: f64,
    units: u64,
    scatter: Scatter,
}

/// A sweep's next unit and step: with several vCPUs each takes every so-many-th.
#[derive(Debug)]
struct Sweep {
    next: u64,
    step: u64,
}

/// The pages of a trace, of which this vCPU takes every `vcpus`-th.
#[derive(Debug)]
struct TracePages {
    own: StepBy<Skip<Replay>>,
    /// (trace pages, guest pages), if they are scaled.
    scale: Option<(u64, u64)>,
    /// The last one.
    page: u64,
}

/// Where a law is built: the guest's size in units, and who draws.
struct Site {
    total: u64,
    seed: u64,
    vcpu: u32,
    vcpus: u32,
}

impl Places {
    /// The places of vCPU `vcpu` under a checked specification.
    ///
    /// # Errors
    /// A trace that can't be opened.
    pub(super) fn new(spec: &StreamSpec, vcpu: u32) -> Result<Places> {
        let seed = spec.seed;
        let unit_pages = spec.granularity.pages();
        let site = Site {
            total: spec.memory.pages() / unit_pages,
            seed,
            vcpu,
            vcpus: spec.vcpus,
        };
        Ok(Places {
            unit_pages,
            unit_start: 0,
            unit_written: unit_pages,
            law: site.law(&spec.placement, 0, &mut 0)?,
            draws: Draws::new(seed, Purpose::Page, u64::from(vcpu)),
        })
    }

    /// Sets the page of each write.
    pub(super) fn fill(&mut self, writes: &mut [PageWrite]) {
        let Places { law, draws, .. } = self;
        if self.unit_pages == 1 {
            for write in writes {
                write.page = law.draw(write.at_ns, draws);
            }
            return;
        }
        for write in writes {
            if self.unit_written == self.unit_pages {
                self.unit_start = law.draw(write.at_ns, draws) * self.unit_pages;
                self.unit_written = 0;
            }
            write.page = self.unit_start + self.unit_written;
            self.unit_written += 1;
        }
    }
}

impl Site {
    /// A working set of the given share of the guest, to the nearest unit and at least one, that
    /// begins at `next` if it fits there.
    fn region(&self, share: f64, next: &mut u64) -> Region {
        let units = ((share * self.total as f64 + 0.5) as u64).clamp(1, self.total);
        let first = (*next).min(self.total - units);
        *next = first + units;
        Region { first, units }
    }

    fn hot(&self, region: Region, writes: f64, pages: f64, part: u64) -> Hot {
        let units = ((pages * region.units as f64 + 0.5) as u64).clamp(1, region.units);
        Hot {
            writes,
            units,
            scatter: Scatter::new(self.seed, part, region.units),
        }
    }

    /// The law of a placement; `part` keeps the hot pages of a mixture's parts apart, `next` is
    /// where the next part's working set begins.
    fn law(&self, placement: &Placement, part: u64, next: &mut u64) -> Result<Law> {
        Ok(match placement {
            Placement::Uniform { working_set } => Law::Uniform(self.region(*working_set, next)),
            Placement::Zipf {
                exponent,
                working_set,
            } => {
                let region = self.region(*working_set, next);
                let zipf = Box::new(Zipf::new(*exponent, region.units));
                Law::Zipf(region, zipf, Scatter::new(self.seed, part, region.units))
            }
            Placement::HotCold {
                writes,
                pages,
                working_set,
            } => {
                let region = self.region(*working_set, next);
                Law::HotCold(region, self.hot(region, *writes, *pages, part))
            }
            Placement::MovingHotSet {
                writes,
                pages,
                every,
                working_set,
            } => {
                let region = self.region(*working_set, next);
                let hot = self.hot(region, *writes, *pages, part);
                Law::Moving(region, hot, every.as_nanos())
            }
            Placement::Sweep { working_set } => {
                let region = self.region(*working_set, next);
                let sweep = Sweep {
                    next: u64::from(self.vcpu) % region.units,
                    step: u64::from(self.vcpus) % region.units,
                };
                Law::Sweep(region, sweep)
            }
            Placement::Mixture { parts } => {
                let mut below = 0.0;
                let mut laws = Vec::new();
                for (number, part) in (1..).zip(parts) {
                    below += part.share;
                    laws.push((below, self.law(&part.placement, number, next)?));
                }
                Law::Mixture(laws)
            }
            Placement::Trace { file, scale_pages } => {
                let trace = Trace::open(file)?;
                let scale = scale_pages.then_some((trace.pages, self.total));
                let own = Replay::new(trace, true).skip(self.vcpu as usize);
                Law::Trace(Box::new(TracePages {
                    own: own.step_by(self.vcpus as usize),
                    scale,
                    page: 0,
                }))
            }
        })
    }
}

impl Law {
    /// The unit of a write at `at_ns`.
    #[inline]
    fn draw(&mut self, at_ns: u64, draws: &mut Draws) -> u64 {
        match self {
            Law::Mixture(laws) => {
                let u = unit(draws.word());
                let last = laws.len() - 1;
                let part = laws
                    .iter()
                    .position(|(below, _)| u < *below)
                    .unwrap_or(last);
                laws[part].1.draw_plain(at_ns, draws)
            }
            law => law.draw_plain(at_ns, draws),
        }
    }

    #[inline]
    fn draw_plain(&mut self, at_ns: u64, draws: &mut Draws) -> u64 {
        match self {
            Law::Uniform(region) => region.first + draws.below(region.units),
            Law::Zipf(region, zipf, scatter) => region.first + scatter.apply(zipf.draw(draws)),
            Law::HotCold(region, hot) => {
                let cold = region.units - hot.units;
                let index = if unit(draws.word()) < hot.writes || cold == 0 {
                    draws.below(hot.units)
                } else {
                    hot.units + draws.below(cold)
                };
                region.first + hot.scatter.apply(index)
            }
            Law::Moving(region, hot, every) => {
                let index = if unit(draws.word()) < hot.writes {
                    let moved = u128::from(at_ns / *every) * u128::from(hot.units)
                        % u128::from(region.units);
                    (moved as u64 + draws.below(hot.units)) % region.units
                } else {
                    draws.below(region.units)
                };
                region.first + hot.scatter.apply(index)
            }
            Law::Sweep(region, sweep) => {
                let unit = region.first + sweep.next;
                sweep.next += sweep.step;
                if sweep.next >= region.units {
                    sweep.next -= region.units;
                }
                unit
            }
            Law::Trace(pages) => pages.next(),
            Law::Mixture(_) => unreachable!("a mixture has no mixture as a part"),
        }
    }
}

impl TracePages {
    /// The page of this vCPU's next write; the last one again after the end of a trace that does
    /// not repeat (there are no times to go with it).
    fn next(&mut self) -> u64 {
        if let Some((_, page)) = self.own.next() {
            self.page = match self.scale {
                None => page,
                Some((from, to)) => (u128::from(page) * u128::from(to) / u128::from(from)) as u64,
            };
        }
        self.page
    }
}
