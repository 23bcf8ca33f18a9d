//! Records on a stream: framed, sealed, sent; received, opened, checked.
//!
//! [`Outbound`] and [`Inbound`] are the two ends of one direction of one stream. A [`Draft`] is a
//! record in the making. A [`DraftSealer`] seals them, on one thread; several drafts of a stream can be
//! sealed at once by several of these. `plain` has no cipher and no copy: its records go from guest memory to the
//! socket, and page content arrives in guest memory straight from the socket.

mod draft;
mod framing;
mod inbound;
mod outbound;

pub use draft::{Draft, DraftSealer};
pub use framing::{Framing, RecordError};
pub use inbound::Inbound;
pub use outbound::Outbound;
