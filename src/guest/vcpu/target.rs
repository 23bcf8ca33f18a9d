//! What vCPUs write to.

use std::sync::Arc;

use crate::guest::write::{self, WriteExtent};
use crate::memory::GuestMemory;
use crate::tracking::Tracker;
use crate::workload::PageWrite;

/// What vCPUs write to.
pub trait Target: std::fmt::Debug + Send + Sync {
    /// Executes a write; it is done when this returns.
    fn execute(&self, write: &PageWrite);
}

/// Guest memory, whose tracker hears of each write.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) memory: Arc<GuestMemory>,
    pub(super) tracker: Arc<dyn Tracker>,
    pub(super) extent: WriteExtent,
}

impl Target for Tracked {
    fn execute(&self, write: &PageWrite) {
        write::execute(&self.memory, write, self.extent);
        self.tracker.mark(write.page);
    }
}
