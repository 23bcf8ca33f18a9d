//! TCP streams: exact sends and receives over raw memory, with a limit on silence, and pacing.
//!
//! Guest memory is named by raw pointers only: vCPUs write to it while it is sent.

mod carrier;
mod connection;
mod pacer;
mod queue;

pub use carrier::since_data;
pub use connection::{Calls, Connection, TransportError};
pub use pacer::{Pace, Pacer};
