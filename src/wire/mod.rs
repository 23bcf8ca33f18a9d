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
//!   │◄─────────────────────────────────── switchover ack ─│
//!   │  or, if pre-copy gives up, on stream 0:             │
//!   │── abort ───────────────────────────────────────────►│ ends without the guest
//!   │◄──────────────────────────────────────── abort ack ─│
//! ```
//!
//! A guest's disk has the last stream, with blocks for pages. Its rounds are calls on the socket, two under way at
//! once, and no barriers: of the bulk copy, or one write of the guest's. Nothing of it is under way when the
//! final record is sent, whose totals hold the disk's too.
//!
//! A record is `prefix ‖ body`. The prefix (two little-endian 32-bit lengths) is all that is in
//! the clear; the body is `head ‖ payload`, sealed as one AEAD message with the stream's preamble
//! and the prefix as associated data. In `plain` and `copy` the body stands as it is, and the
//! head's checksum, which covers preamble, prefix and head, notices damage. Where the migration compresses,
//! a head says of its record whether the payload is packed; the prefix then tells how much that takes.
//!
//! ```text
//! head   0 kind u8 │ 1 packed u8 │ 2 zero │ 4 round u32 │ 8 sequence u64 │ 16 data runs u32 │ 20 zero runs u32
//!       24 payload bytes u32 │ 28 CRC-32 u32 │ 32 runs: first page << 24 | pages, u64 each, and
//!       zero padding to a multiple of 16, so that page content starts at a whole cipher block
//! ```

mod bounds;
mod clear;
mod head;
mod totals;

pub use bounds::{Bounds, HEAD_LEN, MAX_RUN_PAGES, MAX_TAG_LEN, WireError, head_len};
pub use clear::{AAD_LEN, PREAMBLE_LEN, PREFIX_LEN, Preamble, Prefix, WIRE_VERSION};
pub use head::{Head, RecordKind, verify_checksum, write_checksum};
pub use totals::Totals;
