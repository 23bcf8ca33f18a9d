//! What the plumbing took that every arm shares.

use serde::{Deserialize, Serialize};

/// Calls on the sockets of all streams that moved bytes or tried to, handshake included, by side
/// and direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SocketCalls {
    /// The source's sends.
    pub source_sends: u64,
    /// The source's receives, of acknowledgements.
    pub source_receives: u64,
    /// The destination's sends, of acknowledgements.
    pub destination_sends: u64,
    /// The destination's receives.
    pub destination_receives: u64,
}

/// What protected the streams below their records, as both sides agreed on it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// Such as `TLSv1.3`.
    pub protocol: String,
    /// The cipher, by the protocol's name for it.
    pub cipher: String,
    /// Handshakes of all streams, made one after the other; of a tunnel, from the start of its first process
    /// until every stream was through it. A part of the setup time, seconds.
    pub handshake_s: f64,
}
