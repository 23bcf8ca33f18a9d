//! Records that arrive: received, opened, checked.

use super::framing::{Framing, RecordError};
use crate::crypto::Opener;
use crate::crypto::sequence::{FlowDirection, OpenSequence};
use crate::memory::{GuestMemory, Segment};
use crate::transport::Connection;
use crate::wire::{
    AAD_LEN, Bounds, Head, PREAMBLE_LEN, PREFIX_LEN, Prefix, RecordKind, WireError, verify_checksum,
};

/// The receiving end of one direction of a stream.
///
/// A record is received with [`Inbound::receive`] (the socket stage), then taken apart with
/// [`Inbound::open`] (the cipher stage). In `plain` the content of a page record is still in the
/// socket then: [`Inbound::receive_content`] puts it where it belongs.
pub struct Inbound {
    opener: Option<(Opener, OpenSequence)>,
    stream: u32,
    bounds: Bounds,
    aad: [u8; AAD_LEN],
    prefix: Prefix,
    body: Vec<u8>,
    sequence: u64,
    segments: Vec<Segment>,
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
        let most = match opener {
            None => bounds.head() + bounds.payload(),
            Some(_) => bounds.body(),
        };
        Ok(Inbound {
            opener,
            stream: framing.preamble.stream,
            bounds,
            aad,
            prefix: Prefix { body: 0, head: 0 },
            body: vec![0xff; most],
            sequence: 0,
            segments: Vec::with_capacity(bounds.data_runs()),
        })
    }

    /// Receives the next record; of a plain page record, its head.
    ///
    /// # Errors
    /// If the stream breaks or its lengths are out of bounds.
    pub fn receive(&mut self, connection: &mut Connection) -> Result<(), RecordError> {
        let mut prefix = [0; PREFIX_LEN];
        connection.receive(&mut prefix, "between records")?;
        self.prefix = Prefix::decode(prefix, &self.bounds).map_err(|e| self.wire(e))?;
        self.aad[PREAMBLE_LEN..].copy_from_slice(&prefix);
        let head = self.prefix.head as usize;
        if self.opener.is_some() {
            let body = self.prefix.body as usize;
            connection.receive(&mut self.body[..body], "within a record")?;
        } else {
            connection.receive(&mut self.body[..head], "within a record")?;
            // Control payloads are small and wanted here; page content goes to guest memory.
            if self.body[0] != RecordKind::Pages as u8 {
                let payload = self.prefix.body as usize - head;
                let Some(rest) = self.body.get_mut(head..head + payload) else {
                    return Err(self.wire(WireError::Malformed("length of a control payload")));
                };
                connection.receive(rest, "within a record")?;
            }
        }
        Ok(())
    }

    /// Authenticates and decodes what was received. Nothing of the record may be used before.
    ///
    /// # Errors
    /// If the record is not authentic, damaged, malformed or not the one that is due.
    pub fn open(&mut self) -> Result<Head, RecordError> {
        let mut body = self.prefix.body as usize;
        let head_len = self.prefix.head as usize;
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
            body = opener
                .open_in_place(slot, &self.aad, &mut self.body[..body])
                .map_err(|_| not_authentic)?;
        }
        if head_len > body {
            return Err(self.wire(WireError::Malformed("head longer than its record")));
        }
        let bytes = &self.body[..head_len];
        // Damage is called damage: the checksum comes before any meaning.
        let control = match bytes.first() {
            Some(&kind) if kind == RecordKind::Pages as u8 => &[],
            _ => &self.body[head_len..body],
        };
        verify_checksum(&self.aad, bytes, control).map_err(|e| self.wire(e))?;
        let head = Head::decode(bytes, &self.bounds).map_err(|e| self.wire(e))?;
        if head.payload as usize != body - head_len {
            return Err(self.wire(WireError::Malformed("payload does not match its record")));
        }
        if head.sequence != self.sequence {
            return Err(self.wire(WireError::Sequence {
                found: head.sequence,
                expected: self.sequence,
            }));
        }
        self.sequence += 1;
        Ok(head)
    }

    /// The bytes of the head, from which [`Head::data`] and [`Head::zero`] read its runs.
    pub fn head_bytes(&self) -> &[u8] {
        &self.body[..self.prefix.head as usize]
    }

    /// The payload of an opened record that is not a plain page record.
    pub fn payload(&self, head: &Head) -> &[u8] {
        let start = self.prefix.head as usize;
        &self.body[start..start + head.payload as usize]
    }

    /// Whether page content is still in the socket (`plain`).
    pub fn is_direct(&self) -> bool {
        self.opener.is_none()
    }

    /// Receives a plain page record's content straight into guest memory.
    ///
    /// # Errors
    /// If the stream breaks.
    ///
    /// # Safety
    /// Nothing else may access the record's pages: no vCPU runs, and no other stream is sent them.
    pub unsafe fn receive_content(
        &mut self,
        head: &Head,
        connection: &mut Connection,
        memory: &GuestMemory,
    ) -> Result<(), RecordError> {
        let mut segments = std::mem::take(&mut self.segments);
        // SAFETY: guest memory is borrowed, and so mapped, for the call, which is all that they are used for.
        segments.extend(
            head.data(self.head_bytes())
                .map(|run| unsafe { memory.segment(run) }),
        );
        // SAFETY: the caller vouches for the pages.
        let done = unsafe { connection.receive_vectored(&segments, "within a record") };
        segments.clear();
        self.segments = segments;
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
