//! The tracker that tracks nothing.

use super::tracker::{Tracker, TrackerKind};
use crate::error::Result;
use crate::memory::PageRun;

/// Tracks nothing: for a guest that no one is about to migrate, and the control of the conformance
/// suite, which must fail it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTracker;

impl Tracker for NoTracker {
    fn kind(&self) -> TrackerKind {
        TrackerKind::None
    }

    fn start(&self) -> Result<()> {
        Ok(())
    }

    fn mark(&self, _page: u64) {}

    fn harvest(&self, into: &mut Vec<PageRun>) -> Result<u64> {
        into.clear();
        Ok(0)
    }

    fn stop(&self) -> Result<()> {
        Ok(())
    }
}
