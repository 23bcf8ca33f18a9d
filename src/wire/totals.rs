//! The account that both sides keep of a stream.

use super::bounds::{WireError, array};

/// What a stream sent or applied, in a round or altogether; both sides count, and compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Page records, control records not counted.
    pub records: u64,
    /// Pages with content.
    pub pages: u64,
    /// Zero pages, which have no content.
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
