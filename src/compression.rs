//! Page content compressed before it is sealed, each record by itself: what was compressed never says
//! anything about another record, and a record can be opened without any other.
//!
//! A record's pages are first copied out of guest memory, and the copy is compressed: vCPUs may write to
//! the pages meanwhile, and no compressor withstands input that changes. A record that does not shrink
//! is sent as it is, from the copy.
//!
//! What is decompressed comes from a peer that may be hostile in the arms that authenticate nothing, so
//! that both decoders write to a buffer of this side's own, of the length that the record's pages have, and
//! to nothing beyond it.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::memory::Placed;

/// What a scenario may say of compression.
pub const ALLOWED: &str =
    "\"none\", \"lz4\", \"zstd\" (level 3) or { zstd = LEVEL } with a level from 1 to 22";

/// The level of zstd where none is given: the library's own default.
const ZSTD_LEVEL: i32 = 3;

/// How page content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not.
    #[default]
    None,
    /// LZ4's block format.
    Lz4,
    /// Zstandard, a frame a record.
    Zstd {
        /// 1 to 22.
        level: i32,
    },
}

impl Compression {
    /// Whether page content is sent as it is, without a try to compress it.
    pub fn is_none(self) -> bool {
        self == Compression::None
    }

    /// The most bytes that compressing so many may take.
    fn bound(self, len: usize) -> usize {
        match self {
            Compression::None => len,
            Compression::Lz4 => lz4_flex::block::get_maximum_output_size(len),
            Compression::Zstd { .. } => zstd::zstd_safe::compress_bound(len),
        }
    }
}

/// `none`, `lz4`, `zstd` or `zstd:LEVEL`, as the command line has it.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => f.pad("none"),
            Compression::Lz4 => f.pad("lz4"),
            Compression::Zstd { level: ZSTD_LEVEL } => f.pad("zstd"),
            Compression::Zstd { level } => f.pad(&format!("zstd:{level}")),
        }
    }
}

fn zstd(level: i64) -> Result<Compression, String> {
    match i32::try_from(level) {
        Ok(level) if (1..=22).contains(&level) => Ok(Compression::Zstd { level }),
        _ => Err(format!(
            "zstd level {level}: none, lz4 or zstd with a level from 1 to 22"
        )),
    }
}

impl FromStr for Compression {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("zstd:").map(str::parse)) {
            ("none", _) => Ok(Compression::None),
            ("lz4", _) => Ok(Compression::Lz4),
            ("zstd", _) => Ok(Compression::Zstd { level: ZSTD_LEVEL }),
            (_, Some(Ok(level))) => zstd(level),
            _ => {
                Err("none, lz4, zstd (level 3) or zstd:LEVEL with a level from 1 to 22".to_owned())
            }
        }
    }
}

/// A level of Zstandard, as scenarios write it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    zstd: i64,
}

impl Serialize for Compression {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Compression::Zstd { level } if *level != ZSTD_LEVEL => Level {
                zstd: i64::from(*level),
            }
            .serialize(s),
            other => s.collect_str(other),
        }
    }
}

impl<'de> Deserialize<'de> for Compression {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Word(String),
            Level(Level),
        }
        let unknown = || D::Error::custom("not a compression");
        match Raw::deserialize(d).map_err(|_| unknown())? {
            Raw::Word(word) if !word.contains(':') => word.parse().map_err(|_| unknown()),
            Raw::Word(_) => Err(unknown()),
            Raw::Level(Level { zstd: level }) => zstd(level).map_err(D::Error::custom),
        }
    }
}

/// Compressed content that is not that of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("compressed content that does not unpack to exactly its pages")]
pub struct BadContent;

/// Compresses records, on one thread.
pub struct Compressor(Packer);

enum Packer {
    None,
    Lz4(lz4_flex::block::CompressTable),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// A compressor of one kind.
    ///
    /// # Errors
    /// What the library says, if there is no memory for it.
    pub fn new(compression: Compression) -> std::io::Result<Compressor> {
        Ok(Compressor(match compression {
            Compression::None => Packer::None,
            Compression::Lz4 => Packer::Lz4(lz4_flex::block::CompressTable::default()),
            Compression::Zstd { level } => Packer::Zstd(zstd::bulk::Compressor::new(level)?),
        }))
    }

    /// Whether it compresses anything.
    pub fn compresses(&self) -> bool {
        !matches!(self.0, Packer::None)
    }

    /// Compresses `content` into `packed`, made by [`room`] for at least as much: its bytes if they are fewer.
    ///
    /// # Errors
    /// What the library says.
    pub fn pack(&mut self, content: &[u8], packed: &mut [u8]) -> std::io::Result<Option<usize>> {
        let len = match &mut self.0 {
            Packer::None => return Ok(None),
            Packer::Lz4(table) => lz4_flex::block::compress_into_with_table(content, packed, table)
                .map_err(std::io::Error::other)?,
            Packer::Zstd(zstd) => zstd.compress_to_buffer(content, packed)?,
        };
        Ok(Some(len).filter(|len| *len < content.len()))
    }
}

/// Where [`room`] begins in a page: half of one from where content does, since literals are copied there.
const ROOM_AT: usize = 2560;

/// Memory for what content of at most so many bytes is compressed to, all of it touched.
pub fn room(compression: Compression, len: usize) -> Placed {
    Placed::new(compression.bound(len), ROOM_AT)
}

/// Decompresses records, on one thread.
pub struct Decompressor(Unpacker);

enum Unpacker {
    None,
    Lz4,
    Zstd(zstd::bulk::Decompressor<'static>),
}

impl Decompressor {
    /// A decompressor of one kind.
    ///
    /// # Errors
    /// What the library says, if there is no memory for it.
    pub fn new(compression: Compression) -> std::io::Result<Decompressor> {
        Ok(Decompressor(match compression {
            Compression::None => Unpacker::None,
            Compression::Lz4 => Unpacker::Lz4,
            Compression::Zstd { .. } => Unpacker::Zstd(zstd::bulk::Decompressor::new()?),
        }))
    }

    /// Fills `content` with what `packed` holds. Nothing beyond `content` is written, however much
    /// `packed` claims to hold.
    ///
    /// # Errors
    /// If it is not exactly so many bytes, or no compressed content; `content` may hold anything then.
    pub fn unpack(&mut self, packed: &[u8], content: &mut [u8]) -> Result<(), BadContent> {
        let len = match &mut self.0 {
            Unpacker::None => return Err(BadContent),
            Unpacker::Lz4 => {
                lz4_flex::block::decompress_into(packed, content).map_err(|_| BadContent)?
            }
            Unpacker::Zstd(zstd) => {
                (zstd.decompress_to_buffer(packed, content)).map_err(|_| BadContent)?
            }
        };
        (len == content.len()).then_some(()).ok_or(BadContent)
    }
}

/// The version of the C library behind [`Compression::Zstd`].
pub fn zstd_version() -> &'static str {
    zstd::zstd_safe::version_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 4] = [
        Compression::Lz4,
        Compression::Zstd { level: 1 },
        Compression::Zstd { level: 3 },
        Compression::Zstd { level: 22 },
    ];

    fn text(len: usize) -> Vec<u8> {
        (0..len)
            .map(|at| b"a page of text. "[at * at % 16])
            .collect()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u64;
        let byte = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            (state >> 56) as u8
        };
        (0..len).map(byte).collect()
    }

    #[test]
    fn content_comes_back_and_noise_is_left_as_it_is() {
        for compression in ALL {
            let mut packer = Compressor::new(compression).unwrap();
            let mut unpacker = Decompressor::new(compression).unwrap();
            for len in [4096, 65_536, 262_144] {
                let mut packed = room(compression, len);
                let content = text(len);
                let size = packer.pack(&content, &mut packed).unwrap().unwrap();
                assert!(size < len / 8, "{compression} {size} of {len}");
                let mut back = vec![0; len];
                unpacker.unpack(&packed[..size], &mut back).unwrap();
                assert!(back == content, "{compression}");
                // One context serves record after record, and says the same each time.
                assert_eq!(packer.pack(&content, &mut packed).unwrap(), Some(size));
                assert_eq!(packer.pack(&noise(len), &mut packed).unwrap(), None);
            }
        }
    }

    /// A bomb: it unpacks to more, or less, than its record.
    #[test]
    fn what_does_not_unpack_to_exactly_its_pages_is_refused() {
        for compression in ALL {
            let mut packed = room(compression, 1 << 20);
            let mut packer = Compressor::new(compression).unwrap();
            let size = packer
                .pack(&vec![7; 1 << 20], &mut packed)
                .unwrap()
                .unwrap();
            let mut unpacker = Decompressor::new(compression).unwrap();
            // What lies behind the content stays as it is.
            let mut memory = vec![0x55; (1 << 20) + 8192];
            for len in [0, 4096, (1 << 20) - 1, (1 << 20) + 1] {
                let refused = unpacker.unpack(&packed[..size], &mut memory[..len]);
                assert_eq!(refused, Err(BadContent), "{compression} {len}");
                assert!(memory[len..].iter().all(|b| *b == 0x55 || *b == 7));
                memory.fill(0x55);
            }
            for cut in [0, 1, size / 2, size - 1] {
                let refused = unpacker.unpack(&packed[..cut], &mut memory[..1 << 20]);
                assert_eq!(refused, Err(BadContent), "{compression} {cut}");
            }
            unpacker
                .unpack(&packed[..size], &mut memory[..1 << 20])
                .unwrap();
        }
        let mut none = Decompressor::new(Compression::None).unwrap();
        assert_eq!(none.unpack(&[], &mut []), Err(BadContent));
    }

    #[test]
    fn values_read_back_the_same_and_others_are_refused() {
        for compression in [&[Compression::None], &ALL[..]].concat() {
            assert_eq!(compression.to_string().parse(), Ok(compression));
            let json = serde_json::to_string(&compression).unwrap();
            assert_eq!(
                serde_json::from_str::<Compression>(&json).unwrap(),
                compression
            );
        }
        for bad in [
            "\"gzip\"",
            "\"zstd:3\"",
            "{\"zstd\":0}",
            "{\"zstd\":23}",
            "{\"lz4\":1}",
            "3",
        ] {
            assert!(serde_json::from_str::<Compression>(bad).is_err(), "{bad}");
        }
        for bad in ["gzip", "zstd:0", "zstd:23", "zstd:x", "lz4:1", ""] {
            let error = bad.parse::<Compression>().unwrap_err();
            assert!(error.contains("1 to 22"), "{bad}: {error}");
        }
    }
}
