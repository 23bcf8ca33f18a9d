//! Migrations that QEMU makes, of a guest that executes the scenario's dirty-page stream.
//!
//! Two QEMU processes of this machine, a guest of our own in them, QEMU's own TCP and TLS between them.
//! What the arms have in common with this program's own is the scenario: memory and its content, the
//! page writes and their times, the limits, the blocks.

pub mod credentials;
pub mod guest;
mod machine;
mod memory;
pub mod migration;
pub mod program;
pub mod qmp;
mod rounds;
mod threads;
pub mod tls;
mod verify;

pub use migration::{Interrupted, Plan, Told, migrate};
pub use threads::Used;
