//! Why a stream of the destination ends without the guest.

use crate::record::RecordError;
use crate::transport::TransportError;
use crate::wire::Totals;

/// Why a stream thread ended without the guest.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream broke, or what came was not due.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The source's account differs from what was applied.
    #[error("stream {stream}: the source counts {sent:?}, {applied:?} were applied")]
    Totals {
        /// Which stream.
        stream: u32,
        /// The source's account.
        sent: Vec<Totals>,
        /// This side's account.
        applied: Totals,
    },
    /// The guest's disk can't be written.
    #[error("stream {stream}: {source}")]
    Disk {
        /// Which stream.
        stream: u32,
        /// What the file system says.
        source: std::io::Error,
    },
    /// What came would lead to a switchover that must not be.
    #[error("stream {stream}: {what}")]
    Switchover {
        /// Which stream.
        stream: u32,
        /// What is wrong.
        what: &'static str,
    },
}

impl StreamError {
    /// Whether the stream ended or broke, rather than carrying something that was not due.
    pub fn is_loss(&self) -> bool {
        use TransportError::NotAuthentic;
        match self {
            StreamError::Record(RecordError::Transport(error)) => {
                !matches!(error, NotAuthentic { .. })
            }
            _ => false,
        }
    }
}
