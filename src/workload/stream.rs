//! The dirty-page stream of one vCPU.

use super::arrival::Arrivals;
use super::placement::Places;
use super::random::{Purpose, nth_word, sub_seed};
use super::spec::StreamSpec;
use super::write::PageWrite;
use crate::error::Result;

/// Writes generated at a time while skipping.
const SKIP_BATCH: usize = 4096;

/// The dirty-page stream of one vCPU. Endless unless the guest is idle (then it has no write).
#[derive(Debug)]
pub struct WriteStream {
    arrivals: Arrivals,
    places: Places,
    value_seed: u64,
    /// Writes generated so far.
    index: u64,
    /// Writes generated and not yet handed out, left over from skipping, last first.
    pending: Vec<PageWrite>,
}

impl WriteStream {
    /// The stream of vCPU `vcpu` (below the specification's `vcpus`).
    ///
    /// # Errors
    /// A specification that [`StreamSpec::check`] refuses.
    pub fn new(spec: &StreamSpec, vcpu: u32) -> Result<WriteStream> {
        spec.check()?;
        Ok(WriteStream {
            arrivals: Arrivals::new(spec, vcpu)?,
            places: Places::new(spec, vcpu)?,
            value_seed: sub_seed(spec.seed, Purpose::Value, u64::from(vcpu)),
            index: 0,
            pending: Vec::new(),
        })
    }

    /// Drops the writes before `at_ns`; later times are still counted from the stream's start,
    /// and the writes that follow are those that would have followed anyway. It generates what it
    /// drops, so its cost is that of the writes skipped.
    pub fn skip_to(&mut self, at_ns: u64) {
        self.pending.reverse();
        loop {
            let keep = self.pending.partition_point(|w| w.at_ns < at_ns);
            if keep < self.pending.len() {
                self.pending.drain(..keep);
                break;
            }
            self.pending.clear();
            let mut batch = std::mem::take(&mut self.pending);
            self.generate(&mut batch, SKIP_BATCH);
            self.pending = batch;
            if self.pending.is_empty() {
                break;
            }
        }
        self.pending.reverse();
    }

    /// Appends the next `count` writes to `out`; fewer only if the stream has ended.
    pub fn fill(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        let held = count.min(self.pending.len());
        let rest = self.pending.len() - held;
        out.extend(self.pending.drain(rest..).rev());
        self.generate(out, count - held);
    }

    fn generate(&mut self, out: &mut Vec<PageWrite>, count: usize) {
        let start = out.len();
        out.reserve(count);
        self.arrivals.fill(out, count);
        let writes = &mut out[start..];
        self.places.fill(writes);
        for write in writes {
            write.value = nth_word(self.value_seed, self.index);
            self.index += 1;
        }
    }
}
