//! The guest at the source, whose writes to memory are tracked.

use std::sync::Arc;

use crate::guest::write::{self, WriteExtent};
use crate::memory::GuestMemory;
use crate::source::disk::SourceDisk;
use crate::tracking::Tracker;
use crate::workload::PageWrite;

/// The guest at the source: what its vCPUs write to and what finds their writes.
pub struct TrackedGuest {
    /// What the vCPUs write to.
    pub memory: Arc<GuestMemory>,
    /// Finds the writes.
    pub tracker: Arc<dyn Tracker>,
    /// How much of a page one write changes.
    pub extent: WriteExtent,
    /// How many vCPUs the guest has.
    pub vcpus: u32,
    /// Its disk, if it has one.
    pub disk: Option<Arc<SourceDisk>>,
}

impl TrackedGuest {
    /// Executes one page write, as a vCPU does.
    pub fn execute(&self, page_write: &PageWrite) {
        write::execute(&self.memory, page_write, self.extent);
        self.tracker.mark(page_write.page);
    }
}
