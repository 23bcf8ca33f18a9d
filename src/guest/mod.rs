//! The guest: what its memory holds, the writes to it, and the vCPUs that make them.
//!
//! It stands above [`crate::tracking`], since vCPUs tell a tracker what they wrote, and above
//! [`crate::workload`], which says what to write when.

pub mod content;
mod mix;
pub mod vcpu;
pub mod write;
