//! Records on a stream: framed, sealed, sent; received, opened, checked.
//!
//! [`Outbound`] and [`Inbound`] are the two ends of one direction of one stream. A [`Draft`] is a
//! record in the making; it carries its own cipher context, so that several drafts of a stream can
//! be sealed at once. `plain` has no cipher and no copy: its records go from guest memory to the
//! socket, and page content arrives in guest memory straight from the socket.

mod draft;
mod framing;
mod inbound;
mod outbound;

pub use draft::{Draft, SLOWDOWN_VARIABLE, injected_seal_slowdown};
pub use framing::{Framing, RecordError};
pub use inbound::Inbound;
pub use outbound::Outbound;
