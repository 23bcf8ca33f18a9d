//! Records that arrive: received, opened, checked.

use super::framing::{Framing, RecordError};
use crate::compression::Decompressor;
use crate::crypto::sequence::{FlowDirection, OpenSequence};
use crate::crypto::{Opener, Placing};
use crate::memory::{GuestMemory, Placed, Segment};
use crate::transport::Connection;
use crate::wire::{
    AAD_LEN, Bounds, Head, PREAMBLE_LEN, PREFIX_LEN, Prefix, RecordKind, WireError, verify_checksum,
};

/// Where a record starts in the buffer if nothing is left of the last one: its body then starts at
/// a multiple of 64 bytes, and so does the content behind a head of one run.
const START: usize = 64 - PREFIX_LEN;
/// Records up to this long are received several at a time.
const SMALL_RECORD: usize = 32 << 10;
/// What is then received in one call at most.
const SMALL_RECORDS: usize = 64 << 10;
/// What is received along with the prefix of a longer record: its head, as a rule.
const HEAD_AHEAD: usize = 1 << 10;

/// The receiving end of one direction of a stream.
///
/// A record is received with [`Inbound::receive`] (the socket stage), then taken apart with
/// [`Inbound::open`] (the cipher stage). In `plain` the content of a page record is still in the
/// socket then, but for what came along with its head: [`Inbound::take_content`] and
/// [`Inbound::receive_content`] put it where it belongs.
///
/// Calls are made alike for every arm: one for a prefix and what follows it, up to a limit, one for
/// the rest of the record. Small records come many to a call.
pub struct Inbound {
    opener: Option<(Opener, OpenSequence)>,
    stream: u32,
    bounds: Bounds,
    aad: [u8; AAD_LEN],
    prefix: Prefix,
    /// What was received: from `start`, where the present record starts, to `end`.
    buffer: Placed,
    start: usize,
    end: usize,
    /// Bytes of the present record in the buffer, to be dropped before the next; 0 before it is
    /// complete.
    done: usize,
    /// Bytes of the present record behind its head, once it was opened, without its tag.
    content: usize,
    /// The most that is received beyond what is needed.
    ahead: usize,
    sequence: u64,
    segments: Vec<Segment>,
    decompressor: Decompressor,
    /// Whether content is received to this end's own buffer in any case.
    keeps: bool,
    /// Content of the present record, if it came packed; empty where nothing is compressed.
    unpacked: Vec<u8>,
}

impl Inbound {
    /// The end that receives in `direction`.
    ///
    /// # Errors
    /// If the cipher can't be set up.
    pub fn new(framing: &Framing, direction: FlowDirection) -> Result<Inbound, RecordError> {
        let opener = match &framing.secret {
            None => None,
            Some(secret) => Some((
                Opener::new(framing.backend, secret.clone())?,
                OpenSequence::new(secret, framing.preamble.stream, direction, framing.limits),
            )),
        };
        let mut aad = [0; AAD_LEN];
        aad[..PREAMBLE_LEN].copy_from_slice(&framing.preamble.encode());
        let bounds = framing.bounds;
        let ahead = match bounds.record {
            ..=SMALL_RECORD => SMALL_RECORDS,
            _ => HEAD_AHEAD,
        };
        Ok(Inbound {
            opener,
            stream: framing.preamble.stream,
            bounds,
            aad,
            prefix: Prefix { body: 0, head: 0 },
            buffer: Placed::new(START + PREFIX_LEN + bounds.body() + ahead, 0),
            start: START,
            end: START,
            done: 0,
            content: 0,
            ahead,
            sequence: 0,
            segments: Vec::with_capacity(bounds.data_runs()),
            decompressor: Decompressor::new(framing.compression).map_err(RecordError::Compress)?,
            keeps: false,
            unpacked: match framing.compression.is_none() {
                true => Vec::new(),
                false => vec![0xff; bounds.record],
            },
        })
    }

    /// The same end, which receives content to its own buffer also in `plain`: what is no guest memory's.
    pub fn keeping(mut self) -> Inbound {
        self.keeps = true;
        self
    }

    /// Receives the next record; of a plain page record, its head at least. After silence it may be
    /// called again.
    ///
    /// # Errors
    /// If the stream breaks or its lengths are out of bounds.
    pub fn receive(&mut self, connection: &mut Connection) -> Result<(), RecordError> {
        self.start += std::mem::take(&mut self.done);
        self.fill(connection, PREFIX_LEN)?;
        let mut prefix = [0; PREFIX_LEN];
        prefix.copy_from_slice(&self.buffer[self.start..self.start + PREFIX_LEN]);
        self.prefix = Prefix::decode(prefix, &self.bounds).map_err(|e| self.wire(e))?;
        self.aad[PREAMBLE_LEN..].copy_from_slice(&prefix);
        let (head, body) = (self.prefix.head as usize, self.prefix.body as usize);
        let mut need = PREFIX_LEN + body;
        if self.is_direct() {
            self.fill(connection, PREFIX_LEN + head)?;
            // Control payloads are small and wanted here; page content goes to guest memory.
            if self.buffer[self.start + PREFIX_LEN] == RecordKind::Pages as u8 {
                let have = self.end - self.start;
                if need > have + self.ahead {
                    need = have;
                }
            } else if body - head > self.bounds.payload() {
                return Err(self.wire(WireError::Malformed("length of a control payload")));
            }
        }
        self.fill(connection, need)?;
        self.done = need;
        Ok(())
    }

    /// Whether a part of the next record has come, and not all of it.
    pub fn is_within_record(&self) -> bool {
        self.done == 0 && self.start < self.end
    }

    /// Receives until at least `need` bytes stand at `start`.
    fn fill(&mut self, connection: &mut Connection, need: usize) -> Result<(), RecordError> {
        loop {
            let have = self.end - self.start;
            if have >= need {
                return Ok(());
            }
            let missing = need - have;
            if have == 0 || self.end + missing.max(self.ahead) > self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, START);
                (self.start, self.end) = (START, START + have);
            }
            let within = match have {
                0 => "between records",
                _ => "within a record",
            };
            if missing > self.ahead {
                let rest = &mut self.buffer[self.end..self.end + missing];
                connection.receive(rest, within)?;
                self.end += missing;
            } else {
                let some = &mut self.buffer[self.end..self.end + self.ahead];
                self.end += connection.receive_some(some, within)?;
            }
        }
    }

    /// The present record's body, as far as it stands in the buffer.
    fn body(&self) -> &[u8] {
        &self.buffer[self.start + PREFIX_LEN..self.start + self.done]
    }

    /// Authenticates and decodes what was received. Nothing of the record may be used before.
    ///
    /// # Errors
    /// If the record is not authentic, damaged, malformed or not the one that is due.
    pub fn open(&mut self) -> Result<Head, RecordError> {
        // SAFETY: nothing is let in.
        unsafe { self.open_into(|_, _| None) }
    }

    /// As [`Inbound::open`]; page content that `admit` finds a place for is opened straight into that guest
    /// memory, if the library can ([`Inbound::is_placed`]). What `admit` is shown, a head and its bytes, lies
    /// within bounds and has the number that is due, but is **not authenticated**. If this fails, the pages that the
    /// head names may hold anything: no guest may run on that memory.
    ///
    /// # Errors
    /// As [`Inbound::open`].
    ///
    /// # Safety
    /// From when `admit` lets a head in until this returns, the memory stays mapped, and nothing reads its pages. What
    /// writes them meanwhile does so by code that the compiler does not see into; a head that is not authentic may name
    /// any page of the guest.
    pub unsafe fn open_into<'a>(
        &mut self,
        mut admit: impl FnMut(&Head, &[u8]) -> Option<&'a GuestMemory>,
    ) -> Result<Head, RecordError> {
        let at = self.start + PREFIX_LEN;
        let mut body = self.prefix.body as usize;
        let head_len = self.prefix.head as usize;
        self.segments.clear();
        if let Some((opener, sequence)) = &mut self.opener {
            let tag = opener.tag_len();
            let not_authentic = RecordError::NotAuthentic {
                stream: self.stream,
                sequence: self.sequence,
            };
            let Some(plaintext) = body.checked_sub(tag) else {
                return Err(not_authentic);
            };
            let slot = sequence.next(plaintext)?;
            let sealed = &mut self.buffer[at..at + body];
            let opened = match plaintext.checked_sub(head_len) {
                Some(content) if content > 0 => {
                    let (bounds, due) = (&self.bounds, self.sequence);
                    let mut place = |bytes: &[u8], segments: &mut Vec<Segment>| {
                        let head = Head::decode(bytes, bounds).ok().filter(|head| {
                            head.kind == RecordKind::Pages
                                && !head.is_packed
                                && head.sequence == due
                                && head.payload as usize == content
                        });
                        if let Some(head) = head
                            && let Some(memory) = admit(&head, bytes)
                        {
                            // SAFETY: the runs lie in the guest, as was checked; its memory stays mapped.
                            segments
                                .extend(head.data(bytes).map(|run| unsafe { memory.segment(run) }));
                        }
                    };
                    // SAFETY: the caller vouches for the pages that were let in.
                    let mut placing =
                        unsafe { Placing::new(head_len, &mut place, &mut self.segments) };
                    opener.open_placing(slot, &self.aad, sealed, &mut placing)
                }
                _ => opener.open_in_place(slot, &self.aad, sealed),
            };
            body = opened.map_err(|_| not_authentic)?;
        }
        if head_len > body {
            return Err(self.wire(WireError::Malformed("head longer than its record")));
        }
        let bytes = &self.body()[..head_len];
        // Damage is called damage: the checksum comes before any meaning.
        let control = match bytes.first() {
            Some(&kind) if kind == RecordKind::Pages as u8 => &[],
            _ => &self.body()[head_len..body],
        };
        verify_checksum(&self.aad, bytes, control).map_err(|e| self.wire(e))?;
        let head = Head::decode(bytes, &self.bounds).map_err(|e| self.wire(e))?;
        let (payload, here) = (head.payload as usize, body - head_len);
        let fits = match head.is_packed {
            true => here < payload && payload <= self.unpacked.len(),
            false => here == payload,
        };
        if !fits {
            return Err(self.wire(WireError::Malformed("payload does not match its record")));
        }
        self.content = here;
        if head.sequence != self.sequence {
            return Err(self.wire(WireError::Sequence {
                found: head.sequence,
                expected: self.sequence,
            }));
        }
        self.sequence += 1;
        Ok(head)
    }

    /// Whether the opened record's content stands in guest memory already, and no longer here.
    pub fn is_placed(&self) -> bool {
        self.opener.is_some() && !self.segments.is_empty()
    }

    /// The bytes of the head, from which [`Head::data`] and [`Head::zero`] read its runs.
    pub fn head_bytes(&self) -> &[u8] {
        &self.body()[..self.prefix.head as usize]
    }

    /// The decompress stage of an opened page record: unpacks its content into a buffer of this end's own,
    /// which is as long as its pages take. Nothing to do if it came as it is.
    ///
    /// # Errors
    /// If it unpacks to more or less than that, or is no compressed content.
    pub fn unpack(&mut self, head: &Head) -> Result<(), RecordError> {
        if !head.is_packed {
            return Ok(());
        }
        let start = self.start + PREFIX_LEN + self.prefix.head as usize;
        let packed = &self.buffer[start..start + self.content];
        let content = &mut self.unpacked[..head.payload as usize];
        let unpacked = self.decompressor.unpack(packed, content);
        unpacked.map_err(|_| {
            self.wire(WireError::Malformed(
                "content that does not unpack to its pages",
            ))
        })
    }

    /// The payload of an opened record that is not a plain page record; of one that came packed, after
    /// [`Inbound::unpack`].
    pub fn payload(&self, head: &Head) -> &[u8] {
        if head.is_packed {
            return &self.unpacked[..head.payload as usize];
        }
        let start = self.prefix.head as usize;
        &self.body()[start..start + head.payload as usize]
    }

    /// Whether page content is still in the socket (`plain`, unless it is compressed or kept).
    pub fn is_direct(&self) -> bool {
        self.opener.is_none() && self.unpacked.is_empty() && !self.keeps
    }

    /// Copies to guest memory what of a plain page record's content came along with its head;
    /// whether more of it is in the socket.
    ///
    /// # Safety
    /// As [`Inbound::receive_content`].
    pub unsafe fn take_content(&mut self, head: &Head, memory: &GuestMemory) -> bool {
        let mut segments = std::mem::take(&mut self.segments);
        let head_len = self.prefix.head as usize;
        let mut content = &self.body()[head_len..];
        for run in head.data(self.head_bytes()) {
            // SAFETY: the head was checked against the guest's bounds; guest memory stays mapped
            // while `memory` is borrowed, and the segments are used by the next call at most.
            let segment = unsafe { memory.segment(run) };
            let (here, rest) = content.split_at(content.len().min(segment.len()));
            content = rest;
            // SAFETY: the caller vouches for the pages, of which `here` is at most as long.
            unsafe {
                let to = segment.start().cast_mut();
                to.copy_from_nonoverlapping(here.as_ptr(), here.len());
                if here.len() < segment.len() {
                    let left = segment.len() - here.len();
                    segments.push(Segment::new(to.add(here.len()).cast_const(), left));
                }
            }
        }
        self.segments = segments;
        !self.segments.is_empty()
    }

    /// Receives the rest of a plain page record's content, after [`Inbound::take_content`],
    /// straight into guest memory.
    ///
    /// # Errors
    /// If the stream breaks.
    ///
    /// # Safety
    /// Nothing else may access the record's pages: no vCPU runs, and no other stream is sent them.
    /// The guest's memory is still mapped.
    pub unsafe fn receive_content(
        &mut self,
        connection: &mut Connection,
    ) -> Result<(), RecordError> {
        // SAFETY: the caller vouches for the pages.
        let done = unsafe { connection.receive_vectored(&self.segments, "within a record") };
        self.segments.clear();
        Ok(done?)
    }

    /// Receives a control record of one kind.
    ///
    /// # Errors
    /// If anything else comes.
    pub fn expect(
        &mut self,
        connection: &mut Connection,
        kind: RecordKind,
        round: u32,
        expected: &'static str,
    ) -> Result<Head, RecordError> {
        self.receive(connection)?;
        let head = self.open()?;
        if head.kind == kind && head.round == round {
            Ok(head)
        } else {
            Err(self.unexpected(&head, expected))
        }
    }

    /// An error about an authentic record that was not due.
    pub fn unexpected(&self, head: &Head, expected: &'static str) -> RecordError {
        RecordError::Unexpected {
            stream: self.stream,
            found: head.kind,
            round: head.round,
            expected,
        }
    }

    fn wire(&self, error: WireError) -> RecordError {
        RecordError::Wire {
            stream: self.stream,
            error,
        }
    }
}
