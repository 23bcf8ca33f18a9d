//! TCP streams: exact sends and receives over raw memory, with a limit on silence, and pacing.
//!
//! Guest memory is named by raw pointers only: vCPUs write to it while it is sent.

mod booking;
mod carrier;
mod connection;
mod entries;
mod error;
mod pacer;
mod queue;
mod round_trip;
mod secured;

pub use booking::{Booking, SharedLink};
pub use carrier::{Path, path, receive, send, since_data};
pub use connection::Connection;
pub(crate) use entries::iovec;
pub use error::TransportError;
pub use pacer::{Pace, Pacer};
pub use round_trip::{InFlight, RoundTrip};
pub use secured::{Broken, Calls, Clocked, Moved, Negotiated, Secured, Watched};
