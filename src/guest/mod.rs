//! The guest: memory, what it holds, and the vCPUs that write to it.
//!
//! Guest memory is written by vCPU threads while the migration reads it. So no Rust reference to
//! plain bytes ever points into it: everything here goes through raw pointers, atomic accesses and
//! the few primitives of [`raw`] that are sound against a racing writer.
//!
//! [`memory`] is below [`crate::tracking`], which write-protects it; [`vcpu`] is above, since vCPUs
//! tell a tracker what they wrote.

pub mod content;
pub mod memory;
mod mix;
pub mod raw;
pub mod vcpu;
pub mod write;

pub use content::{device_state, fill};
pub use memory::GuestMemory;
pub use vcpu::{Phase, StreamPosition, StreamStart, VcpuReport, Vcpus};
