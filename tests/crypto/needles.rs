//! Key material to look for, and looking for it in the memory of a process.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use migtax::memory::Segment;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 16-byte stretches to look for.
pub struct Needles {
    /// By their first 8 bytes.
    stretches: HashMap<u64, Vec<([u8; 16], String)>>,
    /// The first two bytes that occur in one.
    beginnings: Box<[bool; 1 << 16]>,
}

impl Needles {
    fn add(&mut self, what: &str, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(16) {
            let chunk: [u8; 16] = chunk.try_into().unwrap();
            let mut seen = chunk;
            seen.sort_unstable();
            let distinct = 1 + seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
            // Key material has no pattern; counters and pointers hold many equal bytes.
            if distinct >= 10 {
                self.beginnings[beginning(&chunk)] = true;
                let entry = self.stretches.entry(first_word(&chunk)).or_default();
                entry.push((chunk, what.to_owned()));
            }
        }
    }

    /// A key, its hexadecimal form, the keys of its first epochs, and what the libraries make of
    /// those.
    pub fn of(key: &[u8; 32], epochs: u32) -> Self {
        use aws_lc_sys as ffi;

        let mut needles = Needles {
            stretches: HashMap::new(),
            beginnings: vec![false; 1 << 16].try_into().unwrap(),
        };
        needles.add("migration key", key);
        needles.add("migration key, hexadecimal", hex(key).as_bytes());
        needles.add("key of TLS", &derived(key, &[b"migtax tls key 1"]));
        for epoch in 0..epochs {
            let key = epoch_key(key, epoch);
            let state = |library: &str| format!("{library} state of epoch {epoch}");
            let soft: aes_gcm_soft::Aes256Gcm = aes_gcm_soft::aead::NewAead::new(&key.into());
            needles.add(&state("aes-gcm 0.9"), &memory_of(&soft));
            let hardware: aes_gcm::Aes256Gcm = aes_gcm::KeyInit::new(&key.into());
            needles.add(&state("aes-gcm 0.11"), &memory_of(&hardware));
            // SAFETY: a context is made, given the 32-byte key, or its first half, looked at and freed. The cipher's
            // data starts with the hash key's table and the schedule, over 512 bytes.
            unsafe {
                for (library, cipher) in [
                    ("aws-lc", ffi::EVP_aes_256_gcm()),
                    ("aws-lc AES-128", ffi::EVP_aes_128_gcm()),
                ] {
                    let context = ffi::EVP_CIPHER_CTX_new();
                    let null = std::ptr::null_mut();
                    assert_eq!(
                        ffi::EVP_CipherInit_ex(context, cipher, null, key.as_ptr(), null.cast(), 1),
                        1
                    );
                    let data = (*context).cipher_data.cast::<[u8; 512]>();
                    needles.add(&state(library), &*data);
                    ffi::EVP_CIPHER_CTX_free(context);
                }
            }
            // A schedule begins with it, and ChaCha20 has no other, so this is found in a library's
            // state as well.
            needles.add(&format!("key of epoch {epoch}"), &key);
        }
        needles
    }

    /// What of it stands in these bytes, and where.
    pub fn within(&self, bytes: &[u8]) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        for (offset, window) in bytes.windows(16).enumerate() {
            if !self.beginnings[beginning(window)] {
                continue;
            }
            let stretches = self.stretches.get(&first_word(window));
            for (needle, what) in stretches.into_iter().flatten() {
                if needle == window {
                    found.push((offset, what.as_str()));
                }
            }
        }
        found
    }
}

fn beginning(stretch: &[u8]) -> usize {
    usize::from(u16::from_ne_bytes([stretch[0], stretch[1]]))
}

fn first_word(stretch: &[u8]) -> u64 {
    u64::from_ne_bytes(stretch[..8].try_into().unwrap())
}

/// The bytes of a value. Some may have no value of their own (an `Aes256` is a union of what the CPUs
/// need): they are copied by code that the compiler does not see into, and merely looked for.
fn memory_of<T>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; size_of::<T>()];
    // SAFETY: the value is borrowed for the call.
    unsafe { Segment::new(std::ptr::from_ref(value).cast(), size_of::<T>()) }.copy_to(&mut bytes);
    bytes
}

fn epoch_key(key: &[u8; 32], epoch: u32) -> [u8; 32] {
    derived(key, &[b"migtax epoch key 1", &epoch.to_be_bytes()])
}

fn derived(key: &[u8; 32], info: &[&[u8]]) -> [u8; 32] {
    use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
    let mut derived = [0; 32];
    Salt::new(HKDF_SHA256, &[])
        .extract(key)
        .expand(info, HKDF_SHA256)
        .unwrap()
        .fill(&mut derived)
        .unwrap();
    derived
}

/// A stretch found in a process's memory.
#[derive(Debug)]
#[expect(dead_code, reason = "some is only printed when an assertion fails")]
pub struct Hit {
    pub what: String,
    at: usize,
    region: String,
    /// Key material may stand in locked memory only.
    pub locked: bool,
}

/// Looks through all memory that a process can write. Nothing is found in one that is gone.
///
/// The process runs on meanwhile. What was locked when its memory was listed, or is by the time that
/// it has been read, counts as locked: memory is locked before a key is put there, and wiped before
/// it is given back.
pub fn search(process: u32, needles: &Needles) -> Vec<Hit> {
    let Ok(mut memory) = File::open(format!("/proc/{process}/mem")) else {
        return Vec::new();
    };
    let before = regions(process);
    let mut found = Vec::new();
    for region in &before {
        let mut bytes = vec![0; region.range.len()];
        memory
            .seek(SeekFrom::Start(region.range.start as u64))
            .unwrap();
        if memory.read_exact(&mut bytes).is_err() {
            continue; // A guard page or a device, or gone.
        }
        found.extend(
            needles
                .within(&bytes)
                .into_iter()
                .map(|(offset, what)| Hit {
                    what: what.to_owned(),
                    at: region.range.start + offset,
                    region: region.line.clone(),
                    locked: region.locked,
                }),
        );
    }
    let after = regions(process);
    for hit in &mut found {
        let here = after.iter().find(|region| region.range.contains(&hit.at));
        hit.locked |= here.is_some_and(|region| region.locked);
    }
    found
}

/// Memory that a process can write.
struct Region {
    range: Range<usize>,
    locked: bool,
    line: String,
}

fn regions(process: u32) -> Vec<Region> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/smaps")).unwrap_or_default();
    let mut regions = Vec::new();
    let mut begun = "";
    for line in maps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let has = |flag| flags.split_whitespace().any(|found| found == flag);
            let (range, _) = begun.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|at| usize::from_str_radix(at, 16).unwrap());
            if has("wr") {
                regions.push(Region {
                    range: start..end,
                    locked: has("lo"),
                    line: begun.to_owned(),
                });
            }
        } else if line
            .split_once(' ')
            .is_some_and(|(first, _)| first.contains('-'))
        {
            begun = line;
        }
    }
    regions
}
