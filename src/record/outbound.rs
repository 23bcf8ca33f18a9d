//! Records that leave: framed, numbered, given their key and IV.

use super::draft::{Draft, DraftSealer};
use super::framing::{Framing, RecordError};
use crate::crypto;
use crate::crypto::sequence::{FlowDirection, SealSequence};
use crate::memory::Segment;
use crate::transport::Connection;
use crate::wire::{Head, PREAMBLE_LEN, Prefix, RecordKind, write_checksum};

/// The sending end of one direction of a stream.
pub struct Outbound {
    sequencer: Option<SealSequence>,
    sealer: DraftSealer,
    preamble: [u8; PREAMBLE_LEN],
    tag_len: usize,
    sequence: u64,
}

impl Outbound {
    /// The end that sends in `direction`.
    ///
    /// # Errors
    /// If another end already seals in this direction of the stream, or the cipher can't be set
    /// up.
    pub fn new(framing: &Framing, direction: FlowDirection) -> Result<Outbound, RecordError> {
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
            sealer: DraftSealer::new(framing)?,
            preamble: framing.preamble.encode(),
            tag_len: crate::crypto::implementation(framing.backend).tag_len(),
            sequence: 0,
        })
    }

    /// Records framed so far, control records included.
    pub fn records(&self) -> u64 {
        self.sequence
    }

    /// Makes a page record of the content that `draft` was given.
    ///
    /// # Errors
    /// If the key is used up.
    pub fn frame_pages(&mut self, draft: &mut Draft, round: u32) -> Result<(), RecordError> {
        self.frame(draft, RecordKind::Pages, round)
    }

    /// Makes a control record of `payload`, without pages.
    ///
    /// # Errors
    /// If the key is used up.
    pub fn frame_control(
        &mut self,
        draft: &mut Draft,
        kind: RecordKind,
        round: u32,
        payload: &[u8],
    ) -> Result<(), RecordError> {
        draft.data.clear();
        draft.zero.clear();
        draft.control.clear();
        draft.control.extend_from_slice(payload);
        draft.payload = payload.len();
        draft.packed_len = None;
        draft.segments.clear();
        if !payload.is_empty() {
            // SAFETY: `control` is not touched again before the record has been sent.
            draft
                .segments
                .push(unsafe { Segment::new(draft.control.as_ptr(), payload.len()) });
        }
        self.frame(draft, kind, round)
    }

    fn frame(
        &mut self,
        draft: &mut Draft,
        kind: RecordKind,
        round: u32,
    ) -> Result<(), RecordError> {
        let head = Head {
            kind,
            is_packed: draft.packed_len.is_some(),
            round,
            sequence: self.sequence,
            data_runs: draft.data.len() as u32,
            zero_runs: draft.zero.len() as u32,
            payload: draft.payload as u32,
        };
        head.encode(&draft.data, &draft.zero, &mut draft.head);
        let plaintext = draft.head.len() + draft.content_len();
        let prefix = Prefix {
            body: (plaintext + self.tag_len) as u32,
            head: draft.head.len() as u32,
        };
        draft.aad[..PREAMBLE_LEN].copy_from_slice(&self.preamble);
        draft.aad[PREAMBLE_LEN..].copy_from_slice(&prefix.encode());
        let control: &[u8] = match kind {
            RecordKind::Pages => &[],
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

    /// Seals a framed draft on this thread: [`DraftSealer::seal`].
    ///
    /// # Errors
    /// If the cipher fails.
    pub fn seal(&mut self, draft: &mut Draft) -> Result<(), RecordError> {
        crypto::check_guarded();
        self.sealer.seal(draft)
    }

    /// Frames, seals and sends a control record.
    ///
    /// # Errors
    /// If the stream breaks or the cipher fails.
    pub fn send_control(
        &mut self,
        connection: &mut Connection,
        draft: &mut Draft,
        kind: RecordKind,
        round: u32,
        payload: &[u8],
    ) -> Result<(), RecordError> {
        self.frame_control(draft, kind, round, payload)?;
        self.seal(draft)?;
        draft.transmit(connection)?;
        Ok(())
    }
}
