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

mod bitmap;
mod none;
mod tracker;
mod uapi;
pub mod userfaultfd;

use std::sync::Arc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::memory::GuestMemory;

pub use bitmap::Bitmap;
pub use none::NoTracker;
pub use tracker::{Tracker, TrackerKind};
pub use userfaultfd::Userfaultfd;

/// Which tracker a scenario asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TrackerSpec {
    /// `userfaultfd` where the kernel has it, else `bitmap`.
    Auto,
    /// Writes are instrumented.
    Bitmap,
    /// Kernel write protection and PAGEMAP_SCAN.
    Userfaultfd,
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
