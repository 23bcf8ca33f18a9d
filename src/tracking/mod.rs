//! Trackers: how the dirty pages of a round are found.
//!
//! A vCPU writes a page and then calls [`Tracker::mark`]; the migration calls
//! [`Tracker::harvest`], which returns the pages written since the last one and clears them in the
//! same step. What every tracker promises, and what the conformance suite in
//! `tests/tracking_conformance.rs` holds it to:
//!
//! - After [`Tracker::start`] nothing is dirty.
//! - A page whose write and mark were complete before a harvest began is in that harvest or was in
//!   an earlier one that began after the write; one written during a harvest is in it or in the
//!   next. So whoever reads a page after harvesting it either sees the write or will be told again:
//!   no write is ever lost.
//! - Runs are maximal, ascending and disjoint.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::guest::memory::GuestMemory;
use crate::scenario::TrackerSpec;

mod bitmap;
mod none;
mod runs;
mod uapi;
pub mod userfaultfd;

pub use bitmap::Bitmap;
pub use none::NoTracker;
pub use runs::{PageRun, RunBuilder, normalize};
pub use userfaultfd::Userfaultfd;

/// Which tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrackerKind {
    /// Nothing is tracked.
    None,
    /// Writes are instrumented and set a bit each.
    Bitmap,
    /// Kernel write protection and PAGEMAP_SCAN.
    Userfaultfd,
}

impl fmt::Display for TrackerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrackerKind::None => "none",
            TrackerKind::Bitmap => "bitmap",
            TrackerKind::Userfaultfd => "userfaultfd",
        })
    }
}

/// Finds dirty pages. The module says what is promised.
pub trait Tracker: Send + Sync {
    /// Which one this is.
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

/// Opens the tracker that a scenario asks for over a guest's memory; `auto` takes `userfaultfd`
/// where the kernel has it, else `bitmap`. It tracks nothing until it is started.
///
/// # Errors
/// A tracker that this machine lacks, with the reason.
pub fn open(spec: TrackerSpec, memory: &Arc<GuestMemory>) -> Result<Arc<dyn Tracker>> {
    let bitmap = || Arc::new(Bitmap::new(memory.pages()));
    Ok(match spec {
        TrackerSpec::Bitmap => bitmap(),
        TrackerSpec::Userfaultfd => Arc::new(Userfaultfd::open(memory).map_err(unavailable)?),
        TrackerSpec::Auto => match Userfaultfd::open(memory) {
            Ok(tracker) => Arc::new(tracker),
            Err(_) => bitmap(),
        },
    })
}

fn unavailable(reason: String) -> Error {
    Error::invalid(
        "migration.tracker",
        TrackerKind::Userfaultfd,
        format!("{reason}; bitmap works everywhere, auto takes what there is"),
    )
}

/// Every tracker that a scenario can name, and why this machine lacks it if it does.
pub fn available() -> Vec<(TrackerKind, Result<(), String>)> {
    vec![
        (TrackerKind::Bitmap, Ok(())),
        (TrackerKind::Userfaultfd, userfaultfd::probe()),
    ]
}

/// A harvest of a tracker that is not started: a mistake of the caller.
fn not_started(kind: TrackerKind) -> Error {
    Error::CannotRun(format!(
        "tracker {kind} was harvested before it was started"
    ))
}
