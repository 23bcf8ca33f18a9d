//! Where pages are written: the pages of one vCPU's writes.

use super::random::{Draws, Purpose};
use super::scatter::Scatter;
use super::zipf::Zipf;
use super::{PageWrite, Placement};
use crate::scenario::Scenario;
use crate::units::PAGE_SIZE;

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

#[derive(Debug)]
enum Law {
    Uniform(u64),
    Zipf(Box<Zipf>, Scatter),
}

/// Units in the working set: the share of guest memory, to the nearest unit, at least one. The
/// working set is the contiguous region from the guest's first page.
fn units(share: f64, total: u64) -> u64 {
    ((share * total as f64 + 0.5) as u64).clamp(1, total)
}

impl Places {
    /// The places of vCPU `vcpu` under a checked scenario.
    pub(super) fn new(scenario: &Scenario, vcpu: u32) -> Places {
        let seed = scenario.guest.seed;
        let unit_pages = scenario.workload.granularity.pages();
        let total = scenario.guest.memory.pages() / unit_pages;
        let law = match &scenario.workload.placement {
            Placement::Uniform { working_set } => Law::Uniform(units(*working_set, total)),
            Placement::Zipf {
                exponent,
                working_set,
            } => {
                let n = units(*working_set, total);
                Law::Zipf(Box::new(Zipf::new(*exponent, n)), Scatter::new(seed, 0, n))
            }
        };
        Places {
            unit_pages,
            unit_start: 0,
            unit_written: unit_pages,
            law,
            draws: Draws::new(seed, Purpose::Page, u64::from(vcpu)),
        }
    }

    /// Sets the page of each write.
    pub(super) fn fill(&mut self, writes: &mut [PageWrite]) {
        let Places { law, draws, .. } = self;
        if self.unit_pages == 1 {
            match law {
                Law::Uniform(n) => writes.iter_mut().for_each(|w| w.page = draws.below(*n)),
                Law::Zipf(zipf, scatter) => writes
                    .iter_mut()
                    .for_each(|w| w.page = scatter.apply(zipf.draw(draws))),
            }
            return;
        }
        for write in writes {
            if self.unit_written == self.unit_pages {
                self.unit_start = self.law.draw(&mut self.draws) * self.unit_pages;
                self.unit_written = 0;
            }
            write.page = self.unit_start + self.unit_written;
            self.unit_written += 1;
        }
    }
}

impl Law {
    fn draw(&self, draws: &mut Draws) -> u64 {
        match self {
            Law::Uniform(n) => draws.below(*n),
            Law::Zipf(zipf, scatter) => scatter.apply(zipf.draw(draws)),
        }
    }
}

/// Page sizes that placement works in.
pub(crate) const GRANULARITIES: [u64; 2] = [PAGE_SIZE as u64, 2 << 20];
