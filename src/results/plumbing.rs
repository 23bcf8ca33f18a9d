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
