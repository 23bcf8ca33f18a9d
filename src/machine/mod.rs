//! The machine: what it is, how steady it is, and what it did during a run. Each fact about it is
//! found out here and nowhere else; trackers alone ask the kernel themselves.

pub mod build;
pub mod clock;
mod counters;
pub mod cpu;
mod identity;
mod instruments;
mod limits;
mod monitor;
mod noise;
mod process;
mod rapl;
pub mod slowdown;
pub mod versions;

pub use identity::{
    MachineInfo, RESERVE_BYTES, available_memory, boot_mark, describe, same_machine,
};
pub use instruments::{Counted, Instruments};
pub use limits::{Limits, window};
pub use monitor::{Monitor, Observed, children_cpu_s};
pub use process::{Holds, family, most_resident_bytes, raise_descriptors};
