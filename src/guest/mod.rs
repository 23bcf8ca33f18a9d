//! The guest: what its memory and its disk hold, the writes to them, and the vCPUs that make these.
//!
//! It stands above [`crate::tracking`], since vCPUs tell a tracker what they wrote, and above
//! [`crate::workload`], which says what to write when.

pub mod content;
pub mod disk;
mod mix;
pub mod vcpu;
pub mod write;
