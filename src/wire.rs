//! The wire format: what travels between source and destination.
//!
//! ```text
//! source                                             destination
//!   │  on each stream:                                    │
//!   │── preamble (clear) ────────────────────────────────►│
//!   │── hello { streams, pages, record } ────────────────►│ checks against its own spec
//!   │◄──────────────────────────────────────── hello ack ─│
//!   │  per round, on each stream:                         │
//!   │── pages { data runs, zero runs, content } ─────────►│ opens, applies
//!   │── ...                                               │
//!   │── round end { totals of the round } ───────────────►│ compares with what it applied
//!   │◄──────────────────────────────────────── round ack ─│
//!   │  (the source begins a round after every stream's ack: rounds are barriers)
//!   │  after the stop-and-copy round, on stream 0:        │
//!   │── device state ────────────────────────────────────►│
//!   │── final { totals of every stream } ────────────────►│ the last check; then it takes over
//!   │◄───────────────────────────────────── switchover ack ─│
//!   │  or, if pre-copy gives up, on stream 0:             │
//!   │── abort ───────────────────────────────────────────►│ ends without the guest
//!   │◄──────────────────────────────────────── abort ack ─│
//! ```
//!
//! A record is `prefix ‖ body`. The prefix (two little-endian 32-bit lengths) is all that is in
//! the clear; the body is `head ‖ payload`, sealed as one AEAD message with the stream's preamble
//! and the prefix as associated data. In `plain` and `copy` the body stands as it is, and the
//! head's checksum, which covers preamble, prefix and head, notices damage.
//!
//! ```text
//! head   0 kind u8 │ 1 zero │ 4 round u32 │ 8 sequence u64 │ 16 data runs u32 │ 20 zero runs u32
//!       24 payload bytes u32 │ 28 CRC-32 u32 │ 32 runs: first page << 24 | pages, u64 each, and
//!       zero padding to a multiple of 16, so that page content starts at a whole cipher block
//! ```

use crate::tracking::PageRun;
use crate::units::PAGE_SIZE;

/// Bytes of the cleartext preamble.
pub const PREAMBLE_LEN: usize = 40;
/// Bytes of a record's cleartext prefix.
pub const PREFIX_LEN: usize = 8;
/// Bytes of a head without runs.
pub const HEAD_LEN: usize = 32;
/// The associated data of a record: preamble and prefix.
pub const AAD_LEN: usize = PREAMBLE_LEN + PREFIX_LEN;
/// Version of this format.
pub const WIRE_VERSION: u16 = 1;
/// The most pages that one run can name.
pub const MAX_RUN_PAGES: u64 = (1 << 24) - 1;
/// The most content that one record carries.
pub const MAX_RECORD: usize = 16 << 20;

const MAGIC: [u8; 8] = *b"MIGTAX\r\n";
const CRC_AT: usize = 28;

/// Why received bytes are not the protocol. The text names what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The stream does not begin like one of ours.
    #[error("not a migtax stream: bad {0} in the preamble")]
    Preamble(&'static str),
    /// A length is beyond what this migration allows.
    #[error("record {what} of {value} is out of bounds (at most {most})")]
    Bounds {
        /// Which length.
        what: &'static str,
        /// As received.
        value: u64,
        /// What is allowed.
        most: u64,
    },
    /// The head's checksum does not match.
    #[error("damaged record: checksum mismatch in its head")]
    Checksum,
    /// The head contradicts itself or the guest.
    #[error("malformed record: {0}")]
    Malformed(&'static str),
    /// A record arrived out of order or twice.
    #[error("record sequence {found} where {expected} was due")]
    Sequence {
        /// As received.
        found: u64,
        /// As expected.
        expected: u64,
    },
}

/// What opens a stream, in the clear, and is bound into each of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// The migration, chosen at random by the coordinator.
    pub migration_id: u128,
    /// Which stream, from 0.
    pub stream: u32,
    /// How many there are.
    pub streams: u32,
}

impl Preamble {
    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; PREAMBLE_LEN] {
        let mut bytes = [0; PREAMBLE_LEN];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&WIRE_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.stream.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.streams.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.migration_id.to_le_bytes());
        bytes
    }

    /// Reads a preamble.
    ///
    /// # Errors
    /// If it is not one, or of another version.
    pub fn decode(bytes: &[u8; PREAMBLE_LEN]) -> Result<Preamble, WireError> {
        let preamble = Preamble {
            migration_id: u128::from_le_bytes(array(&bytes[24..40])),
            stream: u32::from_le_bytes(array(&bytes[12..16])),
            streams: u32::from_le_bytes(array(&bytes[16..20])),
        };
        if bytes[0..8] != MAGIC {
            Err(WireError::Preamble("magic"))
        } else if bytes[8..10] != WIRE_VERSION.to_le_bytes() {
            Err(WireError::Preamble("version"))
        } else if preamble.encode() != *bytes {
            Err(WireError::Preamble("reserved bytes"))
        } else if preamble.stream >= preamble.streams {
            Err(WireError::Preamble("stream number"))
        } else {
            Ok(preamble)
        }
    }
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
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

impl Kind {
    fn decode(byte: u8) -> Result<Kind, WireError> {
        Ok(match byte {
            1 => Kind::Hello,
            2 => Kind::HelloAck,
            3 => Kind::Pages,
            4 => Kind::RoundEnd,
            5 => Kind::RoundAck,
            6 => Kind::DeviceState,
            7 => Kind::Final,
            8 => Kind::SwitchoverAck,
            9 => Kind::Abort,
            10 => Kind::AbortAck,
            _ => return Err(WireError::Malformed("unknown kind")),
        })
    }
}

/// Bounds that both sides derive from the migration spec; nothing received may exceed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Pages of the guest.
    pub guest_pages: u64,
    /// Content bytes in one record, a whole number of pages.
    pub record: usize,
}

impl Bounds {
    /// Data runs in one record: every page by itself at worst.
    pub fn data_runs(&self) -> usize {
        self.record / PAGE_SIZE
    }

    /// Zero runs in one record. Small records may name more, so that zero pages stay cheap.
    pub fn zero_runs(&self) -> usize {
        self.data_runs().max(256)
    }

    /// The largest head.
    pub fn head(&self) -> usize {
        head_len(self.data_runs() + self.zero_runs())
    }

    /// The largest payload. Control payloads fit small records too.
    pub fn payload(&self) -> usize {
        self.record.max(PAGE_SIZE)
    }

    /// The largest body, a tag included.
    pub fn body(&self) -> usize {
        self.head() + self.payload() + crate::crypto::TAG_LEN
    }
}

/// Bytes of a head with this many runs, padding included.
pub fn head_len(runs: usize) -> usize {
    HEAD_LEN + (runs * 8).next_multiple_of(16)
}

/// The cleartext lengths before each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Bytes of the body, tag included.
    pub body: u32,
    /// Bytes of the head within it.
    pub head: u32,
}

impl Prefix {
    /// The bytes on the wire.
    pub fn encode(self) -> [u8; PREFIX_LEN] {
        let mut bytes = [0; PREFIX_LEN];
        bytes[..4].copy_from_slice(&self.body.to_le_bytes());
        bytes[4..].copy_from_slice(&self.head.to_le_bytes());
        bytes
    }

    /// Reads and bounds a prefix, before anything is read or allocated for its sake.
    ///
    /// # Errors
    /// If a length is out of bounds.
    pub fn decode(bytes: [u8; PREFIX_LEN], bounds: &Bounds) -> Result<Prefix, WireError> {
        let prefix = Prefix {
            body: u32::from_le_bytes(array(&bytes[..4])),
            head: u32::from_le_bytes(array(&bytes[4..])),
        };
        let (body, head) = (prefix.body as usize, prefix.head as usize);
        if body > bounds.body() {
            return Err(WireError::Bounds {
                what: "body",
                value: u64::from(prefix.body),
                most: bounds.body() as u64,
            });
        }
        if head > bounds.head() || head > body || head < HEAD_LEN || !head.is_multiple_of(16) {
            return Err(WireError::Bounds {
                what: "head",
                value: u64::from(prefix.head),
                most: bounds.head().min(body) as u64,
            });
        }
        Ok(prefix)
    }
}

/// A record's head, without its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What the record is.
    pub kind: Kind,
    /// The round it belongs to, from 0.
    pub round: u32,
    /// Its number on its stream and direction, from 0, never restarting.
    pub sequence: u64,
    /// Runs of pages whose content follows.
    pub data_runs: u32,
    /// Runs of pages that are zero.
    pub zero_runs: u32,
    /// Bytes that follow the head.
    pub payload: u32,
}

impl Head {
    /// Writes head, runs (data first) and padding to `out`, which is cleared, with room for the
    /// checksum, which [`write_checksum`] fills in.
    pub fn encode(&self, data: &[PageRun], zero: &[PageRun], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&[self.kind as u8, 0, 0, 0]);
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
            kind: Kind::decode(bytes[0])?,
            round: u32::from_le_bytes(array(&bytes[4..8])),
            sequence: u64::from_le_bytes(array(&bytes[8..16])),
            data_runs: u32::from_le_bytes(array(&bytes[16..20])),
            zero_runs: u32::from_le_bytes(array(&bytes[20..24])),
            payload: u32::from_le_bytes(array(&bytes[24..28])),
        };
        if bytes[1..4] != [0; 3] {
            return Err(WireError::Malformed("reserved bytes"));
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
        if head.kind != Kind::Pages && (head.data_runs != 0 || head.zero_runs != 0) {
            return Err(WireError::Malformed("runs in a control record"));
        }
        if head.kind == Kind::Pages {
            let mut pages = 0;
            for run in runs(bytes, 0, head.data_runs + head.zero_runs) {
                let end = run.first.checked_add(run.pages);
                if run.pages == 0 || end.is_none_or(|end| end > bounds.guest_pages) {
                    return Err(WireError::Malformed("pages outside the guest"));
                }
            }
            for run in runs(bytes, 0, head.data_runs) {
                pages += run.pages;
            }
            if pages * PAGE_SIZE as u64 != u64::from(head.payload) {
                return Err(WireError::Malformed("payload does not match its runs"));
            }
        }
        Ok(head)
    }

    /// The runs whose content follows. `bytes` is the head that this was decoded from.
    pub fn data(self, bytes: &[u8]) -> impl Iterator<Item = PageRun> + '_ {
        runs(bytes, 0, self.data_runs)
    }

    /// The zero runs.
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
/// head. Page content is not covered (`control` is empty for [`Kind::Pages`]): in `plain` and
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

/// What a stream sent or applied, in a round or altogether; both sides count, and compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Page records.
    pub records: u64,
    /// Pages with content.
    pub pages: u64,
    /// Zero pages.
    pub zero_pages: u64,
}

impl Totals {
    /// Bytes of an encoded [`Totals`].
    pub const LEN: usize = 24;

    /// The bytes in a control payload.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0..8].copy_from_slice(&self.records.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.pages.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.zero_pages.to_le_bytes());
        bytes
    }

    /// Reads a control payload that holds nothing but one [`Totals`].
    ///
    /// # Errors
    /// If it has another length.
    pub fn decode(bytes: &[u8]) -> Result<Totals, WireError> {
        if bytes.len() != Self::LEN {
            return Err(WireError::Malformed("length of totals"));
        }
        Ok(Totals {
            records: u64::from_le_bytes(array(&bytes[0..8])),
            pages: u64::from_le_bytes(array(&bytes[8..16])),
            zero_pages: u64::from_le_bytes(array(&bytes[16..24])),
        })
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.records += other.records;
        self.pages += other.pages;
        self.zero_pages += other.zero_pages;
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}
