//! Records on a stream: framed, sealed, sent; received, opened, checked.
//!
//! [`Outbound`] and [`Inbound`] are the two ends of one direction of one stream. A [`Draft`] is a
//! record in the making; it carries its own cipher context, so that several drafts of a stream can
//! be sealed at once. `plain` has no cipher and no copy: its records go from guest memory to the
//! socket, and page content arrives in guest memory straight from the socket.

mod inbound;

use std::sync::Arc;
use std::time::Instant;

use crate::arm::Backend;
use crate::crypto::key::MigrationSecret;
use crate::crypto::sequence::{Direction, KeyLimits, SealSequence, SealSlot, SequenceError};
use crate::crypto::{SealError, Sealer, Segment};
use crate::guest::memory::GuestMemory;
use crate::meter::thread_cpu_ns;
use crate::tracking::PageRun;
use crate::transport::{Connection, TransportError};
use crate::units::PAGE_SIZE;
use crate::wire::{
    AAD_LEN, Bounds, Head, Kind, PREAMBLE_LEN, PREFIX_LEN, Preamble, Prefix, WireError,
    write_checksum,
};

pub use inbound::Inbound;

/// How one migration's records are made; both sides derive it from the spec.
#[derive(Clone)]
pub struct Framing {
    /// The library that seals.
    pub backend: Backend,
    /// The key. `None` in `plain` alone: `copy` keeps the encrypted arms' bookkeeping, with a key
    /// that it does not use.
    pub secret: Option<Arc<MigrationSecret>>,
    /// Limits per key.
    pub limits: KeyLimits,
    /// What may be received.
    pub bounds: Bounds,
    /// Binds records to this migration and stream.
    pub preamble: Preamble,
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
        /// What came.
        found: Kind,
        /// Of which round.
        round: u32,
        /// What was due.
        expected: &'static str,
    },
}

impl RecordError {
    /// A stream that could not be opened.
    pub fn connect(stream: u32, source: std::io::Error) -> Self {
        RecordError::Connect { stream, source }
    }
}

/// A record in the making. Reused from record to record; nothing is allocated once it has grown.
pub struct Draft {
    sealer: Option<Sealer>,
    /// Runs whose content is sent.
    pub data: Vec<PageRun>,
    /// Runs sent as zero.
    pub zero: Vec<PageRun>,
    control: Vec<u8>,
    aad: [u8; AAD_LEN],
    head: Vec<u8>,
    segments: Vec<Segment>,
    slot: Option<SealSlot>,
    payload: usize,
    sealed: Vec<u8>,
    sealed_len: usize,
    /// See [`injected_seal_slowdown`].
    slowdown: Option<f64>,
    /// Whether [`Draft::seal_timed`] is to time itself.
    pub timed: bool,
    outcome: Result<u64, RecordError>,
}

impl Draft {
    /// A draft for one migration.
    ///
    /// # Errors
    /// If the cipher can't be set up.
    pub fn new(framing: &Framing) -> Result<Draft, RecordError> {
        let sealer = match &framing.secret {
            None => None,
            Some(secret) => Some(Sealer::new(framing.backend, secret.clone())?),
        };
        let sealed = match sealer {
            None => Vec::new(),
            Some(_) => vec![0xff; PREFIX_LEN + framing.bounds.body()],
        };
        Ok(Draft {
            sealer,
            data: Vec::with_capacity(framing.bounds.data_runs()),
            zero: Vec::with_capacity(framing.bounds.zero_runs()),
            control: touched(framing.bounds.payload()),
            aad: [0; AAD_LEN],
            head: Vec::with_capacity(framing.bounds.head()),
            segments: Vec::with_capacity(framing.bounds.data_runs()),
            slot: None,
            payload: 0,
            sealed,
            sealed_len: 0,
            slowdown: injected_seal_slowdown(),
            timed: false,
            outcome: Ok(0),
        })
    }

    /// Bytes of page content or control payload.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Bytes that the record takes on the wire.
    pub fn wire_len(&self) -> usize {
        match self.sealer {
            None => PREFIX_LEN + self.head.len() + self.payload,
            Some(_) => self.sealed_len,
        }
    }

    /// The cipher stage: from guest memory into the draft's own buffer. Nothing to do in `plain`.
    ///
    /// vCPUs may write to the pages meanwhile. The record is consistent all the same, because the
    /// tag is made over what was written to the buffer, and the writes have marked their pages
    /// dirty, so that a later round sends them again.
    ///
    /// # Panics
    /// If the draft was not framed.
    pub fn seal(&mut self) -> Result<(), RecordError> {
        let Some(sealer) = &mut self.sealer else {
            return Ok(());
        };
        let slot = self
            .slot
            .take()
            .expect("a draft is framed before it is sealed");
        let (prefix, body) = self.sealed.split_at_mut(PREFIX_LEN);
        prefix.copy_from_slice(&self.aad[PREAMBLE_LEN..]);
        let began = self.slowdown.map(|_| Instant::now());
        let len = sealer.seal(slot, &self.aad, &self.head, &self.segments, body)?;
        if let (Some(began), Some(slowdown)) = (began, self.slowdown) {
            let until = began.elapsed().mul_f64(1.0 + slowdown);
            while began.elapsed() < until {
                std::hint::spin_loop();
            }
        }
        self.sealed_len = PREFIX_LEN + len;
        Ok(())
    }

    /// [`Draft::seal`] on a worker's thread; [`Draft::take_sealed`] tells how it went.
    pub fn seal_timed(&mut self) {
        let start = if self.timed { thread_cpu_ns() } else { 0 };
        let sealed = self.seal();
        let end = if self.timed { thread_cpu_ns() } else { 0 };
        self.outcome = sealed.map(|()| end - start);
    }

    /// How [`Draft::seal_timed`] went: its CPU time in nanoseconds, 0 if it was not to be timed.
    ///
    /// # Errors
    /// What the cipher said.
    pub fn take_sealed(&mut self) -> Result<u64, RecordError> {
        std::mem::replace(&mut self.outcome, Ok(0))
    }

    /// The record as it goes to the socket, in pieces.
    pub fn parts(&self) -> impl Iterator<Item = Segment> + '_ {
        let own: [&[u8]; 2] = match self.sealer {
            None => [&self.aad[PREAMBLE_LEN..], &self.head],
            Some(_) => [&self.sealed[..self.sealed_len], &[]],
        };
        let guest: &[Segment] = match self.sealer {
            None => &self.segments,
            Some(_) => &[],
        };
        // SAFETY: the draft is borrowed for as long as the iterator lives, and not written to.
        own.into_iter()
            .map(|bytes| unsafe { Segment::new(bytes.as_ptr(), bytes.len()) })
            .chain(guest.iter().copied())
    }

    /// The socket stage of a single record.
    ///
    /// # Errors
    /// If the stream breaks.
    pub fn transmit(&self, connection: &mut Connection) -> Result<(), TransportError> {
        connection.send_parts(self.parts())
    }
}

/// The sending end of one direction of a stream.
pub struct Outbound {
    sequencer: Option<SealSequence>,
    preamble: [u8; PREAMBLE_LEN],
    tag_len: usize,
    sequence: u64,
}

impl Outbound {
    /// The end that sends in `direction`.
    ///
    /// # Errors
    /// If another end already seals in this direction of the stream.
    pub fn new(framing: &Framing, direction: Direction) -> Result<Outbound, RecordError> {
        let sequencer = match &framing.secret {
            None => None,
            Some(secret) => Some(SealSequence::new(
                secret,
                framing.preamble.stream,
                direction,
                framing.limits,
            )?),
        };
        Ok(Outbound {
            sequencer,
            preamble: framing.preamble.encode(),
            tag_len: crate::crypto::tag_len(framing.backend),
            sequence: 0,
        })
    }

    /// Records framed so far.
    pub fn records(&self) -> u64 {
        self.sequence
    }

    /// Makes a page record of the runs in `draft`.
    ///
    /// # Errors
    /// If the key is used up.
    pub fn frame_pages(
        &mut self,
        draft: &mut Draft,
        round: u32,
        memory: &GuestMemory,
    ) -> Result<(), RecordError> {
        draft.segments.clear();
        let mut pages = 0;
        for run in &draft.data {
            pages += run.pages as usize;
            // SAFETY: guest memory stays mapped while the migration's threads run, and nobody
            // holds references to it; vCPUs write it through raw pointers.
            draft.segments.push(unsafe { guest_segment(memory, *run) });
        }
        draft.payload = pages * PAGE_SIZE;
        self.frame(draft, Kind::Pages, round)
    }

    /// Makes a control record.
    ///
    /// # Errors
    /// If the key is used up.
    pub fn frame_control(
        &mut self,
        draft: &mut Draft,
        kind: Kind,
        round: u32,
        payload: &[u8],
    ) -> Result<(), RecordError> {
        draft.data.clear();
        draft.zero.clear();
        draft.control.clear();
        draft.control.extend_from_slice(payload);
        draft.payload = payload.len();
        draft.segments.clear();
        if !payload.is_empty() {
            // SAFETY: `control` is not touched again before the record has been sent.
            draft
                .segments
                .push(unsafe { Segment::new(draft.control.as_ptr(), payload.len()) });
        }
        self.frame(draft, kind, round)
    }

    fn frame(&mut self, draft: &mut Draft, kind: Kind, round: u32) -> Result<(), RecordError> {
        let head = Head {
            kind,
            round,
            sequence: self.sequence,
            data_runs: draft.data.len() as u32,
            zero_runs: draft.zero.len() as u32,
            payload: draft.payload as u32,
        };
        head.encode(&draft.data, &draft.zero, &mut draft.head);
        let plaintext = draft.head.len() + draft.payload;
        let prefix = Prefix {
            body: (plaintext + self.tag_len) as u32,
            head: draft.head.len() as u32,
        };
        draft.aad[..PREAMBLE_LEN].copy_from_slice(&self.preamble);
        draft.aad[PREAMBLE_LEN..].copy_from_slice(&prefix.encode());
        let control: &[u8] = match kind {
            Kind::Pages => &[],
            _ => &draft.control,
        };
        write_checksum(&draft.aad, &mut draft.head, control);
        draft.slot = match &mut self.sequencer {
            None => None,
            Some(sequencer) => Some(sequencer.next(plaintext)?),
        };
        self.sequence += 1;
        Ok(())
    }

    /// Frames, seals and sends a control record.
    ///
    /// # Errors
    /// If the stream breaks or the cipher fails.
    pub fn send_control(
        &mut self,
        connection: &mut Connection,
        draft: &mut Draft,
        kind: Kind,
        round: u32,
        payload: &[u8],
    ) -> Result<(), RecordError> {
        self.frame_control(draft, kind, round, payload)?;
        draft.seal()?;
        draft.transmit(connection)?;
        Ok(())
    }
}

/// The environment variable that makes sealing slower by a share, such as 0.1: with it the gate is
/// tested against a slowdown of known size. Results made under it carry a warning.
pub const SLOWDOWN_VARIABLE: &str = "MIGTAX_INJECT_SEAL_SLOWDOWN";

/// By how much sealing is to be slowed down, if it is.
pub fn injected_seal_slowdown() -> Option<f64> {
    let text = std::env::var(SLOWDOWN_VARIABLE).ok()?;
    text.parse()
        .ok()
        .filter(|share: &f64| *share > 0.0 && *share <= 10.0)
}

/// An empty buffer whose memory is faulted in: a page fault in the downtime would count.
pub fn touched(capacity: usize) -> Vec<u8> {
    let mut buffer = vec![0xff; capacity];
    buffer.clear();
    buffer
}

/// A run of pages as a segment.
///
/// # Safety
/// As [`Segment::new`]: the memory must outlive the segment's use.
unsafe fn guest_segment(memory: &GuestMemory, run: PageRun) -> Segment {
    let len = run.pages as usize * PAGE_SIZE;
    // SAFETY: the caller vouches for it.
    unsafe { Segment::new(memory.page_ptr(run.first).cast_const(), len) }
}
