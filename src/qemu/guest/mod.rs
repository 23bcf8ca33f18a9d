//! The guest that QEMU runs: this program's own, which executes the scenario's page writes.

mod code;
pub mod layout;
pub mod running;

pub use code::rom;
use code::{interrupt_table, program};
