//! A record in the making, from its runs to its sealed bytes.

use std::sync::Arc;

use super::framing::{Framing, RecordError};
use crate::compression::{self, Compressor};
use crate::crypto::Sealer;
use crate::crypto::sequence::SealSlot;
use crate::machine::slowdown::{Slowdown, Slowed};
use crate::memory::{GuestMemory, PageRun, Placed, Segment, gather, touched};
use crate::transport::{Connection, TransportError};
use crate::units::PAGE_SIZE;
use crate::wire::{AAD_LEN, PREAMBLE_LEN, PREFIX_LEN};

/// Where the copy of a record's pages begins in a page: apart from where guest pages do, and from what it is
/// compressed to.
const GATHERED_AT: usize = 512;

/// A record in the making. Reused from record to record; nothing is allocated once it has grown.
pub struct Draft {
    /// Whether the record goes to the socket as it is (`plain`): from guest memory, or where content is
    /// compressed from the draft's own.
    is_direct: bool,
    /// Runs of pages whose content is sent.
    pub data: Vec<PageRun>,
    /// Runs of pages that are sent as zero, without content.
    pub zero: Vec<PageRun>,
    pub(super) control: Vec<u8>,
    pub(super) aad: [u8; AAD_LEN],
    pub(super) head: Vec<u8>,
    /// Of `memory`, of `control`, or of what was copied and compressed. Nobody keeps them longer than the draft.
    pub(super) segments: Vec<Segment>,
    /// Guest memory that the segments lie in: it stays mapped for as long as they are here.
    pub(super) memory: Option<Arc<GuestMemory>>,
    pub(super) slot: Option<SealSlot>,
    pub(super) payload: usize,
    /// The copy of its pages' content that is compressed, and what it is compressed to; empty where nothing is.
    gathered: Placed,
    packed: Placed,
    /// Bytes of `packed`, if that is what is sent.
    pub(super) packed_len: Option<usize>,
    sealed: Vec<u8>,
    sealed_len: usize,
}

impl Draft {
    /// A draft of records of any kind.
    pub fn new(framing: &Framing) -> Draft {
        Draft {
            control: touched(framing.bounds.payload()),
            ..Draft::of_pages(framing)
        }
    }

    /// A draft of page records, without room for a control record's payload.
    pub fn of_pages(framing: &Framing) -> Draft {
        let is_direct = framing.secret.is_none();
        let sealed = match is_direct {
            true => Vec::new(),
            false => vec![0xff; PREFIX_LEN + framing.bounds.body()],
        };
        let gathered = match framing.compression.is_none() {
            true => 0,
            false => framing.bounds.record,
        };
        Draft {
            is_direct,
            data: Vec::with_capacity(framing.bounds.data_runs()),
            zero: Vec::with_capacity(framing.bounds.zero_runs()),
            control: Vec::new(),
            aad: [0; AAD_LEN],
            head: Vec::with_capacity(framing.bounds.head()),
            segments: Vec::with_capacity(framing.bounds.data_runs()),
            memory: None,
            slot: None,
            payload: 0,
            gathered: Placed::new(gathered, GATHERED_AT),
            packed: compression::room(framing.compression, gathered),
            packed_len: None,
            sealed,
            sealed_len: 0,
        }
    }

    /// Takes the pages of its runs to be sent, and keeps the guest memory mapped from then on.
    ///
    /// # Panics
    /// If a run does not lie in guest memory.
    pub fn take_pages(&mut self, memory: &Arc<GuestMemory>) {
        self.segments.clear();
        // Once for a draft: it is about one guest.
        if !matches!(&self.memory, Some(kept) if Arc::ptr_eq(kept, memory)) {
            self.memory = Some(memory.clone());
        }
        let mut pages = 0;
        for run in &self.data {
            pages += run.pages as usize;
            // SAFETY: the draft holds the guest memory for as long as the segments, which it gives out
            // for no longer.
            self.segments.push(unsafe { memory.segment(*run) });
        }
        self.payload = pages * PAGE_SIZE;
        self.packed_len = None;
    }

    /// Bytes of page content or control payload.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Bytes of that as they are sent: fewer where it was compressed.
    pub fn content_len(&self) -> usize {
        self.packed_len.unwrap_or(self.payload)
    }

    /// Bytes that the record takes on the wire.
    pub fn wire_len(&self) -> usize {
        match self.is_direct {
            true => PREFIX_LEN + self.head.len() + self.content_len(),
            false => self.sealed_len,
        }
    }

    /// The record as it goes to the socket, in pieces, which are not to be kept longer than the
    /// borrow: they lie in the draft, and in guest memory that it keeps mapped.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Segment> + '_ {
        let own: [&[u8]; 2] = match self.is_direct {
            true => [&self.aad[PREAMBLE_LEN..], &self.head],
            false => [&self.sealed[..self.sealed_len], &[]],
        };
        let guest: &[Segment] = match self.is_direct {
            true => &self.segments,
            false => &[],
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

/// Seals drafts, on one thread, each after it was framed.
pub struct DraftSealer {
    /// None in `plain`.
    sealer: Option<Sealer>,
    slowdown: Slowdown,
}

impl DraftSealer {
    /// A sealer for one migration.
    ///
    /// # Errors
    /// If the cipher can't be set up.
    pub fn new(framing: &Framing) -> Result<DraftSealer, RecordError> {
        let sealer = match &framing.secret {
            None => None,
            Some(secret) => Some(Sealer::new(framing.backend, secret.clone())?),
        };
        Ok(DraftSealer {
            sealer,
            slowdown: Slowdown::of(Slowed::Seal),
        })
    }

    /// Whether there is anything to seal: not in `plain`.
    pub fn seals(&self) -> bool {
        self.sealer.is_some()
    }

    /// The cipher stage: from guest memory into the draft's own buffer. Nothing to do in `plain`.
    ///
    /// vCPUs may write to the pages meanwhile. The record is consistent all the same, because the
    /// tag is made over what was written to the buffer, and the writes have marked their pages
    /// dirty, so that a later round sends them again.
    ///
    /// # Panics
    /// If the draft was not framed.
    pub fn seal(&mut self, draft: &mut Draft) -> Result<(), RecordError> {
        let Some(sealer) = &mut self.sealer else {
            return Ok(());
        };
        let slot = draft
            .slot
            .take()
            .expect("a draft is framed before it is sealed");
        let (prefix, body) = draft.sealed.split_at_mut(PREFIX_LEN);
        prefix.copy_from_slice(&draft.aad[PREAMBLE_LEN..]);
        let len = self
            .slowdown
            .around(|| sealer.seal(slot, &draft.aad, &draft.head, &draft.segments, body))?;
        draft.sealed_len = PREFIX_LEN + len;
        Ok(())
    }
}

/// Compresses drafts, on one thread, each between being given its pages and being framed.
pub struct DraftPacker {
    compressor: Compressor,
}

impl DraftPacker {
    /// A packer for one migration.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(framing: &Framing) -> Result<DraftPacker, RecordError> {
        let compressor = Compressor::new(framing.compression).map_err(RecordError::Compress)?;
        Ok(DraftPacker { compressor })
    }

    /// Whether there is anything to do.
    pub fn packs(&self) -> bool {
        self.compressor.compresses()
    }

    /// The compress stage: copies a draft's pages out of guest memory, where vCPUs may write to them, and
    /// compresses the copy. From then on the draft holds what is sent, compressed or not. Nothing to do
    /// where nothing is compressed.
    ///
    /// # Errors
    /// What the library says.
    pub fn pack(&mut self, draft: &mut Draft) -> Result<(), RecordError> {
        if !self.packs() || draft.payload == 0 {
            return Ok(());
        }
        let content = &mut draft.gathered[..draft.payload];
        gather(&[], &draft.segments, content);
        draft.packed_len = self
            .compressor
            .pack(content, &mut draft.packed)
            .map_err(RecordError::Compress)?;
        let content = match draft.packed_len {
            Some(len) => &draft.packed[..len],
            None => &*content,
        };
        draft.segments.clear();
        // SAFETY: neither buffer is touched again before the record has been sent.
        let segment = unsafe { Segment::new(content.as_ptr(), content.len()) };
        draft.segments.push(segment);
        Ok(())
    }
}
