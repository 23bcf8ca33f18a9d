//! How a migration was sent and timed: calls on its sockets, and how far stage times can be trusted.

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

/// Stage times are estimated from a sample, around which clocks were read. Standard errors are those
/// of the stages' totals, zero where everything was sampled; what they don't cover is the error of
/// the clock itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SourceSampling {
    /// What is timed at once: the records of one socket call (of a batch, with a pool).
    pub units: u64,
    /// Units that were timed.
    pub samples: u64,
    /// What reading the clocks took, in `other_s`.
    pub clock_s: f64,
    /// Standard error of `prepare_s`; the harvests in it are exact.
    pub prepare_se_s: f64,
    /// Standard error of `seal_s`.
    pub seal_se_s: f64,
    /// Standard error of `transmit_s`, which is what the other stages leave.
    pub transmit_se_s: f64,
}

/// As [`SourceSampling`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct DestinationSampling {
    /// What is timed at once: a record.
    pub units: u64,
    /// Units that were timed.
    pub samples: u64,
    /// What reading the clocks took, in `other_s`.
    pub clock_s: f64,
    /// Standard error of `receive_s`, which is what the other stages leave.
    pub receive_se_s: f64,
    /// Standard error of `open_s`.
    pub open_se_s: f64,
    /// Standard error of `apply_s`.
    pub apply_se_s: f64,
}
