//! A record in the making, from its runs to its sealed bytes.

use std::sync::Arc;
use std::time::Instant;

use super::framing::{Framing, RecordError};
use crate::crypto::Sealer;
use crate::crypto::sequence::SealSlot;
use crate::machine::clock::thread_cpu_ns;
use crate::memory::{GuestMemory, PageRun, Segment, touched};
use crate::transport::{Connection, TransportError};
use crate::wire::{AAD_LEN, PREAMBLE_LEN, PREFIX_LEN};

/// A record in the making. Reused from record to record; nothing is allocated once it has grown.
pub struct Draft {
    sealer: Option<Sealer>,
    /// Runs of pages whose content is sent.
    pub data: Vec<PageRun>,
    /// Runs of pages that are sent as zero, without content.
    pub zero: Vec<PageRun>,
    pub(super) control: Vec<u8>,
    pub(super) aad: [u8; AAD_LEN],
    pub(super) head: Vec<u8>,
    /// Of `memory`, or of `control`. Nobody keeps them longer than the draft.
    pub(super) segments: Vec<Segment>,
    /// Guest memory that the segments lie in: it stays mapped for as long as they are here.
    pub(super) memory: Option<Arc<GuestMemory>>,
    pub(super) slot: Option<SealSlot>,
    pub(super) payload: usize,
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
            memory: None,
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
    /// Why the cipher refused.
    pub fn take_sealed(&mut self) -> Result<u64, RecordError> {
        std::mem::replace(&mut self.outcome, Ok(0))
    }

    /// The record as it goes to the socket, in pieces, which are not to be kept longer than the
    /// borrow: they lie in the draft, and in guest memory that it keeps mapped.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Segment> + '_ {
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
