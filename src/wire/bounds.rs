//! How long the parts of a record can be, and what can be wrong with received bytes.

use crate::units::PAGE_SIZE;

/// Bytes of a head without runs.
pub const HEAD_LEN: usize = 32;
/// The most pages that one run can name.
pub const MAX_RUN_PAGES: u64 = (1 << 24) - 1;
/// Zero pages in a record of at most so many other pages: 1 GiB.
const MOST_ZERO_PAGES: u64 = (1 << 30) / PAGE_SIZE as u64;
/// Bytes of the longest authentication tag that a body may end with.
pub const MAX_TAG_LEN: usize = 16;

/// Bounds that both sides derive from the migration spec; nothing received may exceed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Pages of the guest; on the disk's stream, its blocks.
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

    /// Zero pages in one record: 1 GiB of them, or as many as of the others. They take time on both
    /// sides and no bytes between them, which may not look like silence.
    pub fn zero_pages(&self) -> u64 {
        MOST_ZERO_PAGES.max((self.record / PAGE_SIZE) as u64)
    }

    /// Bytes of the largest head.
    pub fn head(&self) -> usize {
        head_len(self.data_runs() + self.zero_runs())
    }

    /// Bytes of the largest payload. Control payloads fit small records too.
    pub fn payload(&self) -> usize {
        self.record.max(PAGE_SIZE)
    }

    /// Bytes of the largest body, a tag included.
    pub fn body(&self) -> usize {
        self.head() + self.payload() + MAX_TAG_LEN
    }
}

/// Bytes of a head with this many runs, padding included.
pub fn head_len(runs: usize) -> usize {
    HEAD_LEN + (runs * 8).next_multiple_of(16)
}

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

/// A slice of exactly `N` bytes as an array.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}
