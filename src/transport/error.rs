//! Why a stream broke.

use std::io;
use std::time::Duration;

/// Why a stream broke. The text says what happened, where.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The peer closed the connection where more was due.
    #[error("stream {stream}: closed by the {peer} {within}")]
    Closed {
        /// Which stream.
        stream: u32,
        /// The peer's role.
        peer: &'static str,
        /// At which place in the stream.
        within: &'static str,
    },
    /// The peer neither sent nor received for the time allowed.
    #[error("stream {stream}: the {peer} was silent for {} ms while {doing}", .limit.as_millis())]
    Silent {
        /// Which stream.
        stream: u32,
        /// The peer's role.
        peer: &'static str,
        /// What was being done.
        doing: &'static str,
        /// The time allowed.
        limit: Duration,
    },
    /// What came is not what the peer sent, or the peer is not the one that it should be: what protects the
    /// stream says so.
    #[error("stream {stream}: what came from the {peer} is not authentic: {reason}")]
    NotAuthentic {
        /// Which stream.
        stream: u32,
        /// The peer's role.
        peer: &'static str,
        /// What the protection says.
        reason: String,
    },
    /// Anything else that the operating system said.
    #[error("stream {stream}: {doing} the {peer}: {source}")]
    Io {
        /// Which stream.
        stream: u32,
        /// The peer's role.
        peer: &'static str,
        /// What was being done.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}
