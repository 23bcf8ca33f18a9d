//! Migrations that QEMU makes, of a guest that executes the scenario's dirty-page stream.
//!
//! Two QEMU processes of this machine, a guest of our own in them, QEMU's own TCP and TLS between them.
//! What the arms have in common with this program's own is the scenario: memory and its content, the
//! page writes and their times, the limits, the blocks.

pub mod credentials;
mod exchange;
pub mod guest;
mod machine;
mod memory;
mod migration;
mod plan;
pub mod program;
pub mod qmp;
mod rounds;
mod setup;
mod threads;
pub mod tls;
mod verify;
mod writer;

pub use migration::migrate;
pub use plan::{Interrupted, Plan, Told};
pub use threads::Used;
