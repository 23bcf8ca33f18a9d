//! Records on a stream: framed, sealed, sent; received, opened, checked.
//!
//! [`Outbound`] and [`Inbound`] are the two ends of one direction of one stream. A [`Draft`] is a
//! record in the making. A [`DraftSealer`] seals them, on one thread; several drafts of a stream can be
//! sealed at once by several of these; a [`DraftPacker`] compresses them before they are framed. `plain` has no cipher and no copy: its records go from guest memory to the
//! socket, and page content arrives in guest memory straight from the socket, unless content is compressed.

mod draft;
mod framing;
mod inbound;
mod outbound;

pub use draft::{Draft, DraftPacker, DraftSealer};
pub use framing::{Framing, RecordError};
pub use inbound::Inbound;
pub use outbound::Outbound;
