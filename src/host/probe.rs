//! What coordinator and destination say to each other when a link is tried before a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::wire::Preamble;

/// How long bytes are received.
pub const RECEIVING: Duration = Duration::from_secs(1);
/// How long a connection is awaited, and may be silent.
pub const AWAITED: Duration = Duration::from_secs(5);

/// What a destination is to receive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// What the connection's preamble names, so that strangers are told apart.
    pub id: u128,
    /// The address to listen at, port 0 for any.
    pub listen: String,
}

impl ProbeSpec {
    /// With what its connection begins.
    pub fn preamble(&self) -> Preamble {
        Preamble {
            migration_id: self.id,
            stream: 0,
            streams: 1,
        }
    }
}

/// What the destination answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeEvent {
    /// Where it listens.
    Listening(String),
    /// What came of the connection. The last event.
    Received {
        /// So many bytes, of those that came first.
        bytes: u64,
        /// From the first to the last of them.
        seconds: f64,
    },
    /// Nothing did, and why. The last event.
    Refused(String),
}
