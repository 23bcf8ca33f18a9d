//! Which key and which IV seals which record, so that no pair is used twice.
//!
//! The 96-bit IV of a record is the stream id in 32 bits, its top bit the direction, then the
//! 64-bit nonce of the migration XOR the record's sequence number, all big-endian. Within a key
//! the IV is unique: a stream and direction is sealed by one [`SealSequence`], which counts up.
//! After its share of the key's limits a stream goes on to the key of the next epoch and counts
//! from 0 again. Both sides count the same records, so nothing is sent about it.
//!
//! What keeps a pair from being used twice:
//! 1. a secret gives out one [`SealSequence`] for each stream and direction;
//! 2. its slots can't be copied, and sealing consumes them;
//! 3. an opening slot can't seal: it has another type;
//! 4. every [`Sealer`](super::Sealer) checks that the slots it is given go up.

use std::fmt;

use super::cipher::IV_LEN;
use super::key::MigrationSecret;
use crate::error::Error;

/// The bit of the stream id in the IV that says which way a record goes.
pub(crate) const TO_SOURCE: u32 = 1 << 31;

/// Which way a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowDirection {
    /// Memory and control from the source.
    ToDestination,
    /// Acknowledgements from the destination.
    ToSource,
}

impl FlowDirection {
    /// The stream id of the IV: this direction's bit and the stream's number.
    fn stream_id(self, stream: u32) -> u32 {
        assert!(stream < TO_SOURCE, "stream {stream} does not fit 31 bits");
        match self {
            FlowDirection::ToDestination => stream,
            FlowDirection::ToSource => stream | TO_SOURCE,
        }
    }
}

/// How much one key may protect, over all streams and both directions.
///
/// Every stream and direction takes an equal share, `limit / (2 x streams)`, and then goes on to
/// the next epoch by itself, so that the streams need not agree on when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLimits {
    /// Plaintext bytes under one key.
    pub bytes: u64,
    /// Records under one key.
    pub records: u64,
    /// Streams that share the key.
    pub streams: u32,
}

impl KeyLimits {
    /// The limits that migrations use: 256 GiB and 2^32 records for each key.
    ///
    /// The confidentiality and integrity advantage of AES-GCM is bounded by (s + q + 1)^2 / 2^129
    /// for s blocks of 16 bytes and q records (draft-irtf-cfrg-aead-limits, section 5.1.1); 256
    /// GiB are 2^34 blocks, which with 2^32 records and their associated data leaves it below
    /// 2^-59. The IVs alone would allow 2^64 records.
    ///
    /// The bound does not depend on the length of the AES key, so it is that of AES-128-GCM as well.
    /// ChaCha20-Poly1305 has no such limit on what is sealed, and an advantage of the forger of
    /// v (L + 1) / 2^103 for v attempts on records of L blocks of 16 bytes (section 5.2): one attempt, after which
    /// a migration ends, on 16 MiB has 2^-83. It is given new keys as often as AES-GCM all the same, so that arms do equal work.
    pub fn for_streams(streams: u32) -> Self {
        KeyLimits {
            bytes: 256 << 30,
            records: 1 << 32,
            streams,
        }
    }

    fn share(self, limit: u64) -> u64 {
        limit / (2 * u64::from(self.streams.max(1)))
    }
}

/// Why a stream can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// The record alone is longer than a stream's share of a key.
    #[error("a record of {length} bytes is longer than a stream's share of a key, {share} bytes")]
    RecordTooLong {
        /// Plaintext bytes of the record.
        length: u64,
        /// Plaintext bytes that a stream may send in one direction under one key.
        share: u64,
    },
    /// Every epoch is used up.
    #[error("all 2^32 epochs of the migration key are used up")]
    Exhausted,
    /// The secret gave out this stream and direction for sealing before.
    #[error("stream {stream} {direction:?} is already being sealed with this key")]
    AlreadySealing {
        /// The stream.
        stream: u32,
        /// The direction.
        direction: FlowDirection,
    },
}

impl From<SequenceError> for Error {
    fn from(error: SequenceError) -> Self {
        Error::CannotRun(error.to_string())
    }
}

/// Where a record stands: one use of one pair of key and IV. Neither `Copy` nor `Clone`.
#[derive(PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) stream_id: u32,
    pub(crate) epoch: u32,
    pub(crate) sequence: u64,
    nonce: u64,
}

impl Place {
    pub(crate) fn iv(&self) -> [u8; IV_LEN] {
        let mut iv = [0; IV_LEN];
        iv[..4].copy_from_slice(&self.stream_id.to_be_bytes());
        iv[4..].copy_from_slice(&(self.nonce ^ self.sequence).to_be_bytes());
        iv
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.stream_id & TO_SOURCE {
            0 => "to the destination",
            _ => "to the source",
        };
        write!(
            f,
            "record {} of stream {} {direction}, epoch {}",
            self.sequence,
            self.stream_id & !TO_SOURCE,
            self.epoch
        )
    }
}

/// Counts one stream and direction.
struct Counter {
    stream_id: u32,
    nonce: u64,
    share_bytes: u64,
    share_records: u64,
    epoch: Option<u32>,
    sequence: u64,
    bytes: u64,
}

impl Counter {
    fn new(secret: &MigrationSecret, stream_id: u32, limits: KeyLimits) -> Self {
        Counter {
            stream_id,
            nonce: secret.nonce(),
            share_bytes: limits.share(limits.bytes),
            share_records: limits.share(limits.records).max(1),
            epoch: Some(0),
            sequence: 0,
            bytes: 0,
        }
    }

    fn next(&mut self, plaintext_len: usize) -> Result<Place, SequenceError> {
        let length = plaintext_len as u64;
        if length > self.share_bytes {
            return Err(SequenceError::RecordTooLong {
                length,
                share: self.share_bytes,
            });
        }
        if self.sequence == self.share_records || length > self.share_bytes - self.bytes {
            self.epoch = self.epoch.and_then(|epoch| epoch.checked_add(1));
            self.sequence = 0;
            self.bytes = 0;
        }
        let place = Place {
            stream_id: self.stream_id,
            epoch: self.epoch.ok_or(SequenceError::Exhausted)?,
            sequence: self.sequence,
            nonce: self.nonce,
        };
        self.sequence += 1;
        self.bytes += length;
        Ok(place)
    }
}

macro_rules! sequence_and_slot {
    ($sequence:ident, $slot:ident, $verb:literal) => {
        #[doc = concat!("Hands out, in order, the slots with which one stream and direction is ", $verb, ".")]
        pub struct $sequence(Counter);

        impl $sequence {
            /// The slot of the next record, which has `plaintext_len` bytes of plaintext. The
            /// other side must count the same length.
            ///
            /// # Errors
            /// If the record is longer than a stream's share of a key, or no epoch is left.
            pub fn next(&mut self, plaintext_len: usize) -> Result<$slot, SequenceError> {
                self.0.next(plaintext_len).map($slot)
            }
        }

        #[doc = concat!("One pair of key and IV, with which one record is ", $verb, ".")]
        #[doc = "\n\nNeither `Copy` nor `Clone`, and consumed by its use."]
        #[derive(PartialEq, Eq)]
        pub struct $slot(pub(crate) Place);

        impl $slot {
            /// The epoch whose key is used.
            pub fn epoch(&self) -> u32 {
                self.0.epoch
            }

            /// The record's number within its stream, direction and epoch.
            pub fn sequence(&self) -> u64 {
                self.0.sequence
            }

            /// The stream id of the IV, direction bit included.
            pub fn stream_id(&self) -> u32 {
                self.0.stream_id
            }

            /// The IV.
            pub fn iv(&self) -> [u8; IV_LEN] {
                self.0.iv()
            }
        }

        impl fmt::Debug for $slot {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}
sequence_and_slot!(SealSequence, SealSlot, "sealed");
sequence_and_slot!(OpenSequence, OpenSlot, "opened");

impl SealSequence {
    /// The sequence for sealing a stream in a direction.
    ///
    /// # Errors
    /// If this secret gave out one for the same stream and direction before: two would use the
    /// same IVs.
    ///
    /// # Panics
    /// If `stream` does not fit 31 bits.
    pub fn new(
        secret: &MigrationSecret,
        stream: u32,
        direction: FlowDirection,
        limits: KeyLimits,
    ) -> Result<Self, SequenceError> {
        let stream_id = direction.stream_id(stream);
        if !secret.claim_sealing(stream_id) {
            return Err(SequenceError::AlreadySealing { stream, direction });
        }
        Ok(SealSequence(Counter::new(secret, stream_id, limits)))
    }
}

impl OpenSequence {
    /// The sequence for opening what the other side seals on a stream in a direction.
    ///
    /// # Panics
    /// If `stream` does not fit 31 bits.
    pub fn new(
        secret: &MigrationSecret,
        stream: u32,
        direction: FlowDirection,
        limits: KeyLimits,
    ) -> Self {
        OpenSequence(Counter::new(secret, direction.stream_id(stream), limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl SealSlot {
        /// A slot made by hand, for tests that must repeat one or start from a given IV.
        pub(crate) fn forge(stream_id: u32, epoch: u32, sequence: u64, nonce: u64) -> Self {
            SealSlot(Place {
                stream_id,
                epoch,
                sequence,
                nonce,
            })
        }
    }

    fn limits(bytes: u64, records: u64, streams: u32) -> KeyLimits {
        KeyLimits {
            bytes,
            records,
            streams,
        }
    }

    #[test]
    fn the_iv_is_direction_and_stream_then_nonce_xor_sequence() {
        let secret = MigrationSecret::from_parts([0; 32], 0x0102_0304_0506_0708);
        let many = KeyLimits::for_streams(1);
        let mut sequence =
            SealSequence::new(&secret, 5, FlowDirection::ToDestination, many).unwrap();
        for expected in [8, 9, 10] {
            let slot = sequence.next(1).unwrap();
            assert_eq!(slot.iv(), [0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, expected]);
        }
        let slot = OpenSequence::new(&secret, 5, FlowDirection::ToSource, many)
            .next(1)
            .unwrap();
        assert_eq!(slot.iv(), [0x80, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_stream_goes_on_to_the_next_epoch_after_its_share() {
        // (limits, lengths of records, epoch and sequence expected of each)
        type Case<'a> = (KeyLimits, &'a [usize], &'a [(u32, u64)]);
        let cases: [Case<'_>; 5] = [
            (
                limits(u64::MAX, 8, 2), // two records each
                &[1; 5],
                &[(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)],
            ),
            (
                limits(200, 1000, 1), // 100 bytes each
                &[60, 40, 1, 99, 1],
                &[(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)],
            ),
            (
                limits(200, 1000, 1),
                &[60, 41, 60, 100, 0, 1],
                &[(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (4, 0)],
            ),
            (limits(200, 4, 1), &[0, 0, 0], &[(0, 0), (0, 1), (1, 0)]),
            (limits(u64::MAX, 1, 64), &[7, 7], &[(0, 0), (1, 0)]),
        ];
        for (limits, lengths, expected) in cases {
            let secret = MigrationSecret::from_parts([0; 32], 9);
            let mut seal =
                SealSequence::new(&secret, 0, FlowDirection::ToDestination, limits).unwrap();
            let mut open = OpenSequence::new(&secret, 0, FlowDirection::ToDestination, limits);
            for (length, expected) in lengths.iter().zip(expected) {
                let slot = seal.next(*length).unwrap();
                assert_eq!((slot.epoch(), slot.sequence()), *expected, "{limits:?}");
                assert!(slot.0 == open.next(*length).unwrap().0, "{limits:?}");
            }
        }
    }

    #[test]
    fn what_no_key_can_protect_is_refused() {
        let secret = MigrationSecret::from_parts([0; 32], 9);
        let mut sequence =
            SealSequence::new(&secret, 0, FlowDirection::ToSource, limits(200, 10, 1)).unwrap();
        assert_eq!(
            sequence.next(101).unwrap_err(),
            SequenceError::RecordTooLong {
                length: 101,
                share: 100
            }
        );
        assert_eq!(sequence.next(100).unwrap().sequence(), 0);
        sequence.0.epoch = Some(u32::MAX);
        assert_eq!(sequence.next(1).unwrap_err(), SequenceError::Exhausted);
        assert_eq!(sequence.next(1).unwrap_err(), SequenceError::Exhausted);
    }

    #[test]
    fn a_stream_and_direction_is_given_out_for_sealing_once() {
        let secret = MigrationSecret::from_parts([0; 32], 9);
        let seal = |stream, direction| {
            SealSequence::new(&secret, stream, direction, KeyLimits::for_streams(2)).map(drop)
        };
        assert!(seal(0, FlowDirection::ToDestination).is_ok());
        assert!(seal(0, FlowDirection::ToSource).is_ok());
        assert!(seal(1, FlowDirection::ToDestination).is_ok());
        assert_eq!(
            seal(0, FlowDirection::ToDestination)
                .unwrap_err()
                .to_string(),
            "stream 0 ToDestination is already being sealed with this key"
        );
    }
}
