//! What stands in the clear: the preamble of a stream and the prefix of a record.

use super::bounds::{Bounds, HEAD_LEN, WireError, array};

/// Bytes of the cleartext preamble.
pub const PREAMBLE_LEN: usize = 40;
/// Bytes of a record's cleartext prefix.
pub const PREFIX_LEN: usize = 8;
/// Bytes of a record's associated data: preamble and prefix.
pub const AAD_LEN: usize = PREAMBLE_LEN + PREFIX_LEN;
/// Version of this format.
pub const WIRE_VERSION: u16 = 2;

const MAGIC: [u8; 8] = *b"MIGTAX\r\n";

/// What opens a stream, in the clear, and is bound into each of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// The migration, chosen at random by the coordinator.
    pub migration_id: u128,
    /// Which stream, from 0.
    pub stream: u32,
    /// How many streams the migration has.
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
