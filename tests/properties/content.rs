//! Content of a page record as it arrives, compressed by whoever sent it.
//!
//! Input: one byte that selects the compression and how many pages the record says it holds, then the
//! content.

use std::sync::{Mutex, OnceLock};

use migtax::compression::{Compression, Compressor, Decompressor, room};
use migtax::units::PAGE_SIZE;

use crate::refusal::one_line;

/// The most pages that an input can ask for.
const PAGES: usize = 64;
/// What no decoder may touch.
const BEHIND: u8 = 0x55;

/// Made once: one serves record after record, as in a migration, whatever it was given before.
fn decompressors() -> &'static [Mutex<Decompressor>; 2] {
    static ALL: OnceLock<[Mutex<Decompressor>; 2]> = OnceLock::new();
    ALL.get_or_init(|| KINDS.map(|kind| Mutex::new(Decompressor::new(kind).expect("memory"))))
}

const KINDS: [Compression; 2] = [Compression::Lz4, Compression::Zstd { level: 3 }];

/// Whether the content was accepted: it unpacks to exactly the record's pages, the same each time, and to
/// nothing behind them; and what it unpacks to can be packed again.
pub fn check(input: &[u8]) -> bool {
    let Some((selector, packed)) = input.split_first() else {
        return false;
    };
    let kind = usize::from(selector & 1);
    let len = (usize::from(selector >> 1) % PAGES + 1) * PAGE_SIZE;
    let mut memory = vec![BEHIND; len + PAGE_SIZE];
    let unpacked = {
        let mut decompressor = decompressors()[kind].lock().expect("no check panicked");
        decompressor.unpack(packed, &mut memory[..len])
    };
    assert!(memory[len..].iter().all(|byte| *byte == BEHIND));
    let mut again = Decompressor::new(KINDS[kind]).expect("memory");
    let mut content = vec![0; len];
    assert_eq!(again.unpack(packed, &mut content), unpacked);
    if let Err(error) = unpacked {
        one_line(&error);
        return false;
    }
    assert!(content == memory[..len]);
    let mut compressor = Compressor::new(KINDS[kind]).expect("memory");
    let mut repacked = room(KINDS[kind], len);
    if let Some(size) = compressor.pack(&content, &mut repacked).expect("room") {
        again
            .unpack(&repacked[..size], &mut memory[..len])
            .expect("what was packed here");
        assert!(content == memory[..len]);
    }
    true
}

/// What the program's own compressors make of text, of one byte and of little, and a bomb.
#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let text: Vec<u8> = (0..4 * PAGE_SIZE)
        .map(|at| b"pages of a guest"[at * at % 16])
        .collect();
    let mut all = Vec::new();
    for (selector, kind) in (0u8..).zip(KINDS) {
        for (content, pages) in [
            (&text[..], 4),
            (&[7; PAGE_SIZE][..], 1),
            (&[7; 16 * PAGE_SIZE], 1),
        ] {
            let mut packed = room(kind, content.len());
            let mut compressor = Compressor::new(kind).expect("memory");
            let size = compressor
                .pack(content, &mut packed)
                .expect("room")
                .expect("it shrinks");
            let says = selector | ((pages - 1) << 1) as u8;
            all.push([&[says], &packed[..size]].concat());
        }
    }
    all
}
