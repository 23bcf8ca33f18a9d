//! What a record is, and which pages it holds.

use super::bounds::{Bounds, HEAD_LEN, MAX_RUN_PAGES, WireError, array, head_len};
use super::clear::AAD_LEN;
use crate::memory::PageRun;
use crate::units::PAGE_SIZE;

/// Where the checksum stands in a head.
const CRC_AT: usize = 28;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Source: what it is about to send, for the destination to check.
    Hello = 1,
    /// Destination: agreed.
    HelloAck = 2,
    /// Source: pages.
    Pages = 3,
    /// Source: the stream's part of a round is complete.
    RoundEnd = 4,
    /// Destination: applied.
    RoundAck = 5,
    /// Source: a piece of the device state.
    DeviceState = 6,
    /// Source: everything was sent; take over.
    Final = 7,
    /// Destination: took over.
    SwitchoverAck = 8,
    /// Source: given up.
    Abort = 9,
    /// Destination: ends without the guest.
    AbortAck = 10,
}

impl RecordKind {
    fn decode(byte: u8) -> Result<RecordKind, WireError> {
        Ok(match byte {
            1 => RecordKind::Hello,
            2 => RecordKind::HelloAck,
            3 => RecordKind::Pages,
            4 => RecordKind::RoundEnd,
            5 => RecordKind::RoundAck,
            6 => RecordKind::DeviceState,
            7 => RecordKind::Final,
            8 => RecordKind::SwitchoverAck,
            9 => RecordKind::Abort,
            10 => RecordKind::AbortAck,
            _ => return Err(WireError::Malformed("unknown kind")),
        })
    }
}

/// A record's head, without its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What the record is.
    pub kind: RecordKind,
    /// Whether its pages' content is compressed, as the migration's spec says how.
    pub is_packed: bool,
    /// The round it belongs to, from 0.
    pub round: u32,
    /// Its number on its stream and direction, from 0, never restarting.
    pub sequence: u64,
    /// Runs of pages whose content follows.
    pub data_runs: u32,
    /// Runs of pages that are zero.
    pub zero_runs: u32,
    /// Bytes that follow the head; of packed content, what it unpacks to.
    pub payload: u32,
}

impl Head {
    /// Writes head, runs (data first) and padding to `out`, which is cleared, with room for the
    /// checksum, which [`write_checksum`] fills in.
    pub fn encode(&self, data: &[PageRun], zero: &[PageRun], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&[self.kind as u8, u8::from(self.is_packed), 0, 0]);
        out.extend_from_slice(&self.round.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.data_runs.to_le_bytes());
        out.extend_from_slice(&self.zero_runs.to_le_bytes());
        out.extend_from_slice(&self.payload.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for run in data.iter().chain(zero) {
            debug_assert!(run.pages <= MAX_RUN_PAGES && run.first < 1 << 40);
            out.extend_from_slice(&(run.first << 24 | run.pages).to_le_bytes());
        }
        out.resize(head_len(data.len() + zero.len()), 0);
    }

    /// Reads a head and checks it against itself, the prefix and the guest.
    ///
    /// # Errors
    /// If anything in it is out of bounds or contradicts the rest.
    pub fn decode(bytes: &[u8], bounds: &Bounds) -> Result<Head, WireError> {
        if bytes.len() < HEAD_LEN {
            return Err(WireError::Malformed("head too short"));
        }
        let head = Head {
            kind: RecordKind::decode(bytes[0])?,
            is_packed: bytes[1] == 1,
            round: u32::from_le_bytes(array(&bytes[4..8])),
            sequence: u64::from_le_bytes(array(&bytes[8..16])),
            data_runs: u32::from_le_bytes(array(&bytes[16..20])),
            zero_runs: u32::from_le_bytes(array(&bytes[20..24])),
            payload: u32::from_le_bytes(array(&bytes[24..28])),
        };
        if bytes[1] > 1 || bytes[2..4] != [0; 2] {
            return Err(WireError::Malformed("reserved bytes"));
        }
        if head.is_packed && (head.kind != RecordKind::Pages || head.payload == 0) {
            return Err(WireError::Malformed("packed without content of pages"));
        }
        if head.data_runs as usize > bounds.data_runs()
            || head.zero_runs as usize > bounds.zero_runs()
            || bytes.len() != head_len(head.data_runs as usize + head.zero_runs as usize)
        {
            return Err(WireError::Malformed("number of runs"));
        }
        let runs_end = HEAD_LEN + 8 * (head.data_runs as usize + head.zero_runs as usize);
        if bytes[runs_end..].iter().any(|byte| *byte != 0) {
            return Err(WireError::Malformed("padding"));
        }
        if head.payload as usize > bounds.payload() {
            return Err(WireError::Malformed("payload length"));
        }
        if head.kind != RecordKind::Pages && (head.data_runs != 0 || head.zero_runs != 0) {
            return Err(WireError::Malformed("runs in a control record"));
        }
        if head.kind == RecordKind::Pages {
            let [pages, zero_pages] = head.count_pages(bytes, bounds)?;
            if zero_pages > bounds.zero_pages() {
                return Err(WireError::Malformed("number of zero pages"));
            }
            if pages * PAGE_SIZE as u64 != u64::from(head.payload) {
                return Err(WireError::Malformed("payload does not match its runs"));
            }
        }
        Ok(head)
    }

    /// The pages with content and the zero pages of a page record, whose runs, of both kinds together,
    /// name each page once and lie in the guest: what one record asks for is bounded by its guest.
    fn count_pages(self, bytes: &[u8], bounds: &Bounds) -> Result<[u64; 2], WireError> {
        let mut data = self.data(bytes).peekable();
        let mut zero = self.zero(bytes).peekable();
        let (mut pages, mut end) = ([0; 2], 0);
        loop {
            let kind = match (data.peek(), zero.peek()) {
                (None, None) => return Ok(pages),
                (Some(data), Some(zero)) => usize::from(zero.first < data.first),
                (Some(_), None) => 0,
                (None, Some(_)) => 1,
            };
            let run = if kind == 0 { data.next() } else { zero.next() };
            let Some(run) = run else { return Ok(pages) };
            if run.pages == 0 || run.end() > bounds.guest_pages {
                return Err(WireError::Malformed("pages outside the guest"));
            }
            if run.first < end {
                return Err(WireError::Malformed("runs that overlap or do not ascend"));
            }
            end = run.end();
            pages[kind] += run.pages;
        }
    }

    /// The runs whose content follows. `bytes` is the head that this was decoded from.
    pub fn data(self, bytes: &[u8]) -> impl Iterator<Item = PageRun> + '_ {
        runs(bytes, 0, self.data_runs)
    }

    /// The runs of zero pages. `bytes` as for [`Head::data`].
    pub fn zero(self, bytes: &[u8]) -> impl Iterator<Item = PageRun> + '_ {
        runs(bytes, self.data_runs, self.zero_runs)
    }
}

fn runs(head: &[u8], skip: u32, count: u32) -> impl Iterator<Item = PageRun> + '_ {
    let start = HEAD_LEN + skip as usize * 8;
    head[start..start + count as usize * 8]
        .chunks_exact(8)
        .map(|bytes| {
            let word = u64::from_le_bytes(array(bytes));
            PageRun {
                first: word >> 24,
                pages: word & MAX_RUN_PAGES,
            }
        })
}

/// Writes the checksum over associated data, head and a control record's payload into an encoded
/// head. Page content is not covered (`control` is empty for [`RecordKind::Pages`]): in `plain` and
/// `copy` the final hash of guest memory is what notices damage there.
pub fn write_checksum(aad: &[u8; AAD_LEN], head: &mut [u8], control: &[u8]) {
    let crc = checksum(aad, head, control);
    head[CRC_AT..HEAD_LEN].copy_from_slice(&crc.to_le_bytes());
}

/// Checks what [`write_checksum`] wrote.
///
/// # Errors
/// [`WireError::Checksum`].
pub fn verify_checksum(aad: &[u8; AAD_LEN], head: &[u8], control: &[u8]) -> Result<(), WireError> {
    if head.len() < HEAD_LEN {
        return Err(WireError::Malformed("head too short"));
    }
    let stored = u32::from_le_bytes(array(&head[CRC_AT..HEAD_LEN]));
    if checksum(aad, head, control) == stored {
        Ok(())
    } else {
        Err(WireError::Checksum)
    }
}

fn checksum(aad: &[u8; AAD_LEN], head: &[u8], control: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(aad);
    hasher.update(&head[..CRC_AT]);
    hasher.update(&head[HEAD_LEN..]);
    hasher.update(control);
    hasher.finalize()
}
