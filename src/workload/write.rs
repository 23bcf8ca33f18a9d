//! One write of a dirty-page stream.

/// One page write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageWrite {
    /// Intended time, nanoseconds since the start of the stream. Never decreases.
    pub at_ns: u64,
    /// Page number within guest memory.
    pub page: u64,
    /// What the write puts into the page: seeds its content and the word that it hits.
    pub value: u64,
}

impl PageWrite {
    /// A write whose page and value are not drawn yet.
    #[inline]
    pub(super) fn at(at_ns: u64) -> PageWrite {
        PageWrite {
            at_ns,
            page: 0,
            value: 0,
        }
    }
}
