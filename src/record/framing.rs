//! What both ends of a stream agree on, and what can go wrong on it.

use std::sync::Arc;

use crate::arm::Backend;
use crate::compression::Compression;
use crate::crypto::key::MigrationSecret;
use crate::crypto::sequence::{KeyLimits, SequenceError};
use crate::crypto::{SealError, TAG_LEN};
use crate::tls::{self, End};
use crate::transport::{Connection, TransportError};
use crate::wire::{Bounds, MAX_TAG_LEN, Preamble, RecordKind, WireError};

const _: () = assert!(TAG_LEN <= MAX_TAG_LEN, "a tag fits the bounds of a body");

/// How one migration's records are made; both sides derive it from the spec.
#[derive(Clone)]
pub struct Framing {
    /// The library that seals.
    pub backend: Backend,
    /// The key. `None` in `plain` alone: `copy` keeps the encrypted arms' bookkeeping, with a key
    /// that it does not use.
    pub secret: Option<Arc<MigrationSecret>>,
    /// How much one key may protect.
    pub limits: KeyLimits,
    /// How page content is compressed.
    pub compression: Compression,
    /// How long a record's parts may be.
    pub bounds: Bounds,
    /// Binds records to this migration and stream.
    pub preamble: Preamble,
    /// What TLS below the records needs, if they go through it.
    pub tls: Option<Arc<tls::Keys>>,
}

impl Framing {
    /// The stream's connection, after its preamble, with the protection that goes below its records.
    ///
    /// # Errors
    /// If the handshake fails.
    pub fn protect(&self, connection: Connection, end: End) -> Result<Connection, RecordError> {
        match &self.tls {
            None => Ok(connection),
            Some(keys) => connection.secured(|socket, stream, peer| {
                let identity = self.preamble.encode();
                Ok(keys.establish(end, socket, &identity, (stream, peer))?)
            }),
        }
    }
}

/// Why a record could not be sent or received. The text says what happened, on which stream.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The stream broke.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The key is used up.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// The cipher refused to seal.
    #[error("sealing: {0}")]
    Seal(#[from] SealError),
    /// The compressor failed.
    #[error("compressing: {0}")]
    Compress(std::io::Error),
    /// The disk that is sent could not be read or written.
    #[error(transparent)]
    Disk(std::io::Error),
    /// The cipher could not be set up.
    #[error("setting up the cipher: {0}")]
    Cipher(#[from] crate::error::Error),
    /// The bytes are not the protocol.
    #[error("stream {stream}: {error}")]
    Wire {
        /// Which stream.
        stream: u32,
        /// What was wrong.
        error: WireError,
    },
    /// The record is not authentic.
    #[error(
        "stream {stream}: record {sequence} is not authentic (damaged, replayed, out of order or sealed for another stream or migration)"
    )]
    NotAuthentic {
        /// Which stream.
        stream: u32,
        /// Which record was due.
        sequence: u64,
    },
    /// The stream could not be opened.
    #[error("stream {stream}: connecting to the destination: {source}")]
    Connect {
        /// Which stream.
        stream: u32,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An authentic record that was not due.
    #[error("stream {stream}: {found:?} of round {round} where {expected} was due")]
    Unexpected {
        /// Which stream.
        stream: u32,
        /// What the record that came is.
        found: RecordKind,
        /// The round that it belongs to.
        round: u32,
        /// What was due instead.
        expected: &'static str,
    },
}
