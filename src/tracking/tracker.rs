//! What a tracker is.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::memory::PageRun;

/// A tracker by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum TrackerKind {
    /// Nothing is tracked.
    None,
    /// Writes are instrumented and set a bit each.
    Bitmap,
    /// Kernel write protection and PAGEMAP_SCAN.
    Userfaultfd,
}

/// Finds dirty pages. [`crate::tracking`] says what is promised.
pub trait Tracker: std::fmt::Debug + Send + Sync {
    /// This tracker's name.
    fn kind(&self) -> TrackerKind;

    /// From now on writes are tracked, and nothing is dirty. A started tracker starts anew.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn start(&self) -> Result<()>;

    /// Says that a page was written. Called after each instrumented write, from any thread, also
    /// while the tracker is not started. Trackers that see writes by themselves do nothing here.
    ///
    /// # Panics
    /// May panic if the page lies outside guest memory.
    fn mark(&self, page: u64);

    /// Replaces `into` by the dirty pages and clears them, in one step as far as any write can
    /// tell. Returns their number.
    ///
    /// # Errors
    /// A tracker that is not started; what the kernel refuses. `into` is then without meaning.
    fn harvest(&self, into: &mut Vec<PageRun>) -> Result<u64>;

    /// Writes are no longer tracked, nor slowed down by tracking.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn stop(&self) -> Result<()>;
}

/// A harvest of a tracker that is not started: a mistake of the caller.
pub(super) fn not_started(kind: TrackerKind) -> Error {
    Error::CannotRun(format!(
        "tracker {kind} was harvested before it was started"
    ))
}
