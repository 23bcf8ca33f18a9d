//! Where in a migration a fault strikes, and what it does.

use std::sync::Arc;

use super::{ROUNDS, STREAMS};

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The source's hello.
    Handshake,
    /// The first record of the first round on stream 1.
    FirstRound,
    /// The first record of the third round on stream 1.
    LaterRound,
    /// The first record after the pause on stream 1.
    StopAndCopy,
    /// The device state, behind which the final record follows.
    FinalRecord,
    /// The destination's switchover acknowledgement.
    FinalAcknowledgement,
    /// A record of the disk's stream behind its first acknowledged round: of the bulk copy.
    DiskCopy,
    /// A record of the disk's stream when memory has been sent once: a write that is mirrored.
    DiskMirror,
}

impl Phase {
    /// Those of a guest's memory.
    pub const ALL: [Phase; 6] = [
        Phase::Handshake,
        Phase::FirstRound,
        Phase::LaterRound,
        Phase::StopAndCopy,
        Phase::FinalRecord,
        Phase::FinalAcknowledgement,
    ];

    /// Stream, direction, and how many records of the destination's have passed before.
    pub(super) fn place(self) -> (u32, Way, u32) {
        match self {
            Phase::Handshake => (1, Way::ToDestination, 0),
            Phase::FirstRound => (1, Way::ToDestination, 1),
            Phase::LaterRound => (1, Way::ToDestination, 3),
            Phase::StopAndCopy => (1, Way::ToDestination, ROUNDS),
            Phase::FinalRecord => (0, Way::ToDestination, ROUNDS + 1),
            Phase::FinalAcknowledgement => (0, Way::ToSource, ROUNDS + 1),
            // By what has passed on other streams too.
            Phase::DiskCopy | Phase::DiskMirror => (STREAMS, Way::ToDestination, u32::MAX),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToDestination,
    ToSource,
}

/// What is done to the record at hand, or to the connection that it is on.
#[derive(Clone)]
pub enum Fault {
    /// Every stream is reset.
    Reset,
    /// This stream is reset, the others stay.
    StreamDies,
    /// Nothing moves on this stream any more, and nobody is told.
    Stall,
    /// The receiver sees the end of this direction; the other direction stays.
    HalfClose,
    /// The receiver gets this and all that follows in small pieces, slowly.
    SlowReader,
    /// A bit is flipped in the cleartext lengths.
    CorruptLength,
    /// A bit is flipped in the first byte after them: a head's.
    CorruptHead,
    /// A bit is flipped in the last byte.
    CorruptEnd,
    /// Half of the record arrives, then the stream ends.
    Truncate,
    /// The record arrives twice.
    Duplicate,
    /// The first message of a TLS handshake, on stream 1, is changed: a bit in its protocol versions, which
    /// the peer would take for an older protocol's.
    Downgrade,
    /// The stream ends in the middle of the destination's answer in a TLS handshake, on stream 1.
    EndHandshake,
    /// Something happens elsewhere while the record is held. Then the record is lost together with
    /// its stream if it is the final acknowledgement, and goes on its way otherwise.
    Elsewhere(Arc<dyn Fn() + Send + Sync>),
    /// Something happens elsewhere, and nothing moves on this stream any more.
    ElsewhereAndStall(Arc<dyn Fn() + Send + Sync>),
    /// All but the last byte of a forged record goes to the destination on stream 1, at the place of
    /// the device state. The last byte follows when the next record, the final one, has passed here,
    /// after a while that differs from migration to migration; or at the answer to it.
    Forge { at_the_answer: bool },
}
