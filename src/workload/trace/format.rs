//! The format of trace files.
//!
//! A trace file holds page numbers and times only. Layout, version 1, integers little-endian:
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `mtxtrace` |
//! | 2 | format version, 1 |
//! | 4 | quantum: nanoseconds that share a time stamp |
//! | 8 | quanta: length of the trace; its duration is quanta x quantum |
//! | 8 | pages: the pages of the trace are numbered 0 to pages - 1 |
//! | 8 | writes: page writes in the body |
//! | 2 | length of the text, at most 4096 |
//! | 4 | length of the body, at most 64 MiB |
//! | .. | text, UTF-8: what was recorded and how |
//! | .. | body |
//! | 4 | CRC-32 (IEEE) of all bytes before it |
//!
//! The body is a sequence of groups, one per quantum with writes, of unsigned LEB128 numbers:
//! quanta since the previous group's quantum (for the first, since -1; so at least 1), the number
//! of tokens, then the tokens. The pages of a group ascend. A token `2 g + r` is a run that begins
//! g pages after the end of the previous run (for the first, at page g); with r = 0 it is one
//! page long, with r = 1 another number n follows and it is n + 2 pages long. A page stands at
//! most once in a group: writes to a page within one quantum count as one.

/// How a file begins.
pub(super) const MAGIC: [u8; 8] = *b"mtxtrace";
/// The version of the format that is written, and the only one there is.
pub(super) const VERSION: u16 = 1;
/// Bytes before the text.
pub(super) const HEADER: usize = 8 + 2 + 4 + 8 + 8 + 8 + 2 + 4;
/// Bytes of the text at most.
pub(super) const MAX_TEXT: usize = 4096;
/// Bytes of the body at most.
pub(super) const MAX_BODY: usize = 64 << 20;
/// Pages of a trace at most: 64 GiB.
pub(super) const MAX_PAGES: u64 = 1 << 24;
/// Length of a trace at most: a day.
pub(super) const MAX_DURATION_NS: u64 = 86_400_000_000_000;

/// A trace that can't be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Does not begin as a trace does.
    #[error("not a trace: it does not begin with \"mtxtrace\"")]
    NotATrace,
    /// A version that this build does not know.
    #[error("trace format version {0}: this build reads version 1; record the trace again")]
    Version(u16),
    /// The file's length is not that which its header gives.
    #[error("{found} bytes where the header gives {expected}: the file is truncated or damaged")]
    Length {
        /// Bytes in the file.
        found: usize,
        /// Bytes by the header.
        expected: usize,
    },
    /// The checksum does not match.
    #[error("checksum {found:08x} where the file gives {stated:08x}: the file is damaged")]
    Checksum {
        /// Of the bytes.
        found: u32,
        /// In the file.
        stated: u32,
    },
    /// A header field that can't be.
    #[error("header field {field} = {value}: {allowed}")]
    Header {
        /// Its name.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        allowed: &'static str,
    },
    /// A write to a page that the trace does not have.
    #[error("a write to page {page}: the trace has pages 0 to {}", pages - 1)]
    Page {
        /// The page.
        page: u64,
        /// Pages of the trace.
        pages: u64,
    },
    /// The body does not hold what the header promises.
    #[error("the body is not as its header says: {0}")]
    Body(&'static str),
}
