//! The machine: what it is, how steady it is, and what it did during a run.

mod identity;
mod kernel;
mod monitor;
mod noise;

pub use identity::{RESERVE_BYTES, available_memory, host_info, same_host};
pub use kernel::userfaultfd_missing;
pub use monitor::{Monitor, Observed};
pub use noise::{spin_spread, thread_clock_read_ns};
