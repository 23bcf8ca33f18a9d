//! The workload: dirty-page streams, i.e. page writes in time order.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::scenario::Scenario;

/// When pages are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrival {
    /// Evenly spaced.
    Constant {},
    /// A Poisson process.
    Poisson {},
}

/// Where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Placement {
    /// Every page of the working set alike.
    Uniform {
        /// Share of guest memory, above 0 to 1.
        working_set: f64,
    },
}

/// One page write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageWrite {
    /// Intended time, nanoseconds since the start of the stream. Never decreases.
    pub at_ns: u64,
    /// Page number within guest memory.
    pub page: u64,
    /// What the write puts into the page: seeds its content and the word that it hits.
    pub value: u64,
}

/// The dirty-page stream of one vCPU. Endless unless the guest is idle (then it has no write).
#[derive(Debug)]
pub struct WriteStream {}

impl WriteStream {
    /// The stream of vCPU `vcpu` under a scenario that has been checked.
    pub fn new(_scenario: &Scenario, _vcpu: u32) -> Result<WriteStream> {
        Ok(WriteStream {})
    }

    /// Drops the writes before `at_ns`; later times are still counted from the stream's start.
    pub fn skip_to(&mut self, _at_ns: u64) {}

    /// Appends the next `count` writes to `out`; fewer only if the stream has ended.
    pub fn fill(&mut self, _out: &mut Vec<PageWrite>, _count: usize) {}
}
