//! TCP streams: exact sends and receives over raw memory, with a limit on silence, and pacing.
//!
//! Guest memory is named by raw pointers only: vCPUs write to it while it is sent.

mod carrier;
mod connection;
mod pacer;
mod queue;
mod round_trip;

pub use carrier::{Path, path, since_data};
pub use connection::{Calls, Connection, TransportError};
pub use pacer::{Pace, Pacer};
pub use round_trip::{InFlight, RoundTrip};
