//! What a stream is told to do, and what it answers.

use std::sync::Arc;
use std::time::Instant;

use crate::memory::PageRun;
use crate::record::RecordError;
use crate::wire::{RecordKind, Totals};

/// What a stream is told to do.
#[derive(Debug)]
pub enum Order {
    /// Send this stream's share of the runs, and wait until the destination has applied them.
    Round {
        /// Its number, from 0.
        round: u32,
        /// The pages of all streams.
        runs: Arc<Vec<PageRun>>,
    },
    /// Send device state and the final record, and wait for the switchover.
    SwitchOver {
        /// The stop-and-copy round.
        round: u32,
        /// Everything that goes with the guest beside its memory.
        device_state: Arc<Vec<u8>>,
        /// What each stream sent.
        totals: Vec<Totals>,
    },
    /// Tell the destination that the guest stays.
    Abort {
        /// The round that ended last.
        round: u32,
    },
}

/// What a stream says after an order, carried out or not.
#[derive(Debug)]
pub struct Answer {
    /// Whose answer it is.
    pub stream: u32,
    /// Bytes sent on this stream since its start.
    pub wire_bytes: u64,
    /// Records sent on this stream since its start.
    pub records: u64,
    /// What it did, or what broke.
    pub done: Result<Done, Failed>,
}

/// What a stream did.
#[derive(Debug)]
pub struct Done {
    /// Sent in this order's round.
    pub totals: Totals,
    /// Bytes that the content of those pages took.
    pub content_bytes: u64,
    /// When the order was taken up.
    pub taken: Instant,
    /// When all that it asks for had been handed to the socket.
    pub sent: Instant,
    /// When the acknowledgement was authenticated.
    pub at: Instant,
}

/// What the destination owes for an order that was sent.
#[derive(Debug)]
pub struct Awaited {
    pub(super) kind: RecordKind,
    pub(super) round: u32,
    pub(super) what: &'static str,
    /// Sent in this order's round, and the bytes that its content took.
    pub(super) totals: Totals,
    pub(super) content_bytes: u64,
}

impl Awaited {
    pub(super) fn of(kind: RecordKind, round: u32, what: &'static str) -> Self {
        Awaited {
            kind,
            round,
            what,
            totals: Totals::default(),
            content_bytes: 0,
        }
    }
}

/// A stream that has failed and how far it had come.
#[derive(Debug)]
pub struct Failed {
    /// What broke.
    pub error: RecordError,
    /// Whether the final record may have reached the destination.
    pub final_sent: bool,
}
