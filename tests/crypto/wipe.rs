//! Where keys stand in a process's memory while it migrates, and that they are gone afterwards.
//!
//! A child seals and opens with every backend over several epochs and waits, first with its
//! contexts alive, then with them dropped. The parent, which knows the key, searches the child's
//! memory for it, for the derived keys, and for what the libraries make of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::process::{Child, Command, Stdio};

use migtax::arm::{AWS_LC_MASK_VARIABLE, Arm};
use migtax::crypto::{
    Direction, KeyLimits, MigrationSecret, OpenSequence, Opener, SealSequence, Sealer, TAG_LEN,
};

use crate::{BACKENDS, quiet};

/// Set in the child.
const CHILD: &str = "MIGTAX_TEST_HOLDS_SECRETS";
const EPOCHS: u32 = 3;

/// The child; run by itself, it makes its own key and waits for nobody.
#[test]
fn records_open_while_their_keys_are_held() {
    // Input and output without buffers of their own, which would keep the key.
    let mut input = std::env::var_os(CHILD).map(|_| File::open("/dev/stdin").unwrap());
    let secret = match &mut input {
        Some(input) => {
            let mut line = [0; 82];
            input.read_exact(&mut line).unwrap();
            MigrationSecret::from_hex_line(&mut line)
        }
        None => MigrationSecret::generate(),
    };
    let secret = std::sync::Arc::new(secret.unwrap());
    let mut wait = |state: &str| {
        if let Some(input) = &mut input {
            writeln!(File::create("/dev/stdout").unwrap(), "\n{state}").unwrap();
            input.read_exact(&mut [0]).unwrap();
        }
    };
    // Two records an epoch.
    let limits = KeyLimits {
        bytes: 1 << 40,
        records: 4 * 8,
        streams: 8,
    };
    let mut held = Vec::new();
    for (stream, backend) in BACKENDS.into_iter().enumerate() {
        let stream = stream as u32;
        let direction = Direction::ToDestination;
        let mut seal = SealSequence::new(&secret, stream, direction, limits).unwrap();
        let mut open = OpenSequence::new(&secret, stream, direction, limits);
        let mut sealer = Sealer::new(backend, secret.clone()).unwrap();
        let mut opener = Opener::new(backend, secret.clone()).unwrap();
        let memory = vec![0x77; 8192];
        let mut out = vec![0; memory.len() + TAG_LEN];
        for _ in 0..2 * EPOCHS {
            let slot = seal.next(memory.len()).unwrap();
            assert!(slot.epoch() < EPOCHS);
            let sealed = sealer
                .seal(slot, b"", &[], &[quiet(&memory)], &mut out)
                .unwrap();
            opener
                .open_in_place(open.next(memory.len()).unwrap(), b"", &mut out[..sealed])
                .unwrap();
        }
        held.push((sealer, opener));
    }
    wait("held");
    drop(held);
    drop(secret);
    wait("dropped");
}

#[test]
fn keys_stand_in_locked_memory_only_and_are_gone_afterwards() {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "wipe::records_open_while_their_keys_are_held"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let mut until = |state: &str| {
        let mut line = String::new();
        while line.trim() != state {
            line.clear();
            assert_ne!(from.read_line(&mut line).unwrap(), 0, "the child ended");
        }
    };
    writeln!(to, "{} {}", hex(&key), hex(&[0x5A; 8])).unwrap();

    until("held");
    let needles = Needles::of(&key);
    let found = search(&child, &needles);
    let last = EPOCHS - 1;
    for what in [
        "migration key".to_owned(),
        format!("aes-gcm 0.9 state of epoch {last}"),
        format!("aes-gcm 0.11 state of epoch {last}"),
        format!("aws-lc state of epoch {last}"),
    ] {
        assert!(
            found.iter().any(|hit| hit.what == what),
            "no {what} in {found:#?}"
        );
    }
    let is_key = |hit: &&Hit| hit.what.contains("key");
    for hit in found.iter().filter(is_key) {
        assert!(hit.locked, "{hit:?}");
    }
    to.write_all(b"\n").unwrap();

    until("dropped");
    let found = search(&child, &needles);
    assert!(found.is_empty(), "{found:#?}");
    to.write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
}

/// aws-lc's software has other code and other state.
#[test]
fn the_same_under_the_software_mask() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "wipe::keys_stand_in_locked_memory_only_and_are_gone_afterwards",
        ])
        .env(AWS_LC_MASK_VARIABLE, Arm::AwsLcSoft.aws_lc_mask().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed; 0 failed"), "{text}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 16-byte stretches to look for, by their first 8 bytes.
#[derive(Default)]
struct Needles(HashMap<u64, Vec<([u8; 16], String)>>);

impl Needles {
    fn add(&mut self, what: &str, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(16) {
            let chunk: [u8; 16] = chunk.try_into().unwrap();
            let mut seen = chunk;
            seen.sort_unstable();
            let distinct = 1 + seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
            // Key material has no pattern; counters and pointers hold many equal bytes.
            if distinct >= 10 {
                let first = u64::from_ne_bytes(chunk[..8].try_into().unwrap());
                let entry = self.0.entry(first).or_default();
                entry.push((chunk, what.to_owned()));
            }
        }
    }

    fn of(key: &[u8; 32]) -> Self {
        use aws_lc_sys as ffi;

        let mut needles = Needles::default();
        needles.add("migration key", key);
        needles.add("migration key, hexadecimal", hex(key).as_bytes());
        for epoch in 0..EPOCHS {
            let key = epoch_key(key, epoch);
            let state = |library: &str| format!("{library} state of epoch {epoch}");
            let soft: aes_gcm_soft::Aes256Gcm = aes_gcm_soft::aead::NewAead::new(&key.into());
            needles.add(&state("aes-gcm 0.9"), memory_of(&soft));
            let hardware: aes_gcm::Aes256Gcm = aes_gcm::KeyInit::new(&key.into());
            needles.add(&state("aes-gcm 0.11"), memory_of(&hardware));
            // SAFETY: a context is made, given the 32-byte key, looked at and freed. The cipher's
            // data starts with the hash key's table and the schedule, over 512 bytes.
            unsafe {
                let context = ffi::EVP_CIPHER_CTX_new();
                let null = std::ptr::null_mut();
                let cipher = ffi::EVP_aes_256_gcm();
                assert_eq!(
                    ffi::EVP_CipherInit_ex(context, cipher, null, key.as_ptr(), null.cast(), 1),
                    1
                );
                let data = (*context).cipher_data.cast::<[u8; 512]>();
                needles.add(&state("aws-lc"), &*data);
                ffi::EVP_CIPHER_CTX_free(context);
            }
            // Its schedule begins with it, so this is found in a library's state as well.
            needles.add(&format!("key of epoch {epoch}"), &key);
        }
        needles
    }
}

/// The bytes of a value, with those of its padding.
fn memory_of<T>(value: &T) -> &[u8] {
    // SAFETY: both ciphers are arrays of integers without padding, as large as they say.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

fn epoch_key(key: &[u8; 32], epoch: u32) -> [u8; 32] {
    use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
    let mut derived = [0; 32];
    Salt::new(HKDF_SHA256, &[])
        .extract(key)
        .expand(&[b"migtax epoch key 1", &epoch.to_be_bytes()], HKDF_SHA256)
        .unwrap()
        .fill(&mut derived)
        .unwrap();
    derived
}

#[derive(Debug)]
#[expect(dead_code, reason = "printed when an assertion fails")]
struct Hit {
    what: String,
    at: usize,
    region: String,
    locked: bool,
}

/// Looks through all memory that the child can write.
fn search(child: &Child, needles: &Needles) -> Vec<Hit> {
    let maps = std::fs::read_to_string(format!("/proc/{}/smaps", child.id())).unwrap();
    let mut memory = File::open(format!("/proc/{}/mem", child.id())).unwrap();
    let mut found = Vec::new();
    let mut region = String::new();
    for line in maps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let has = |flag| flags.split_whitespace().any(|found| found == flag);
            if !has("wr") {
                continue;
            }
            let (range, _) = region.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|at| usize::from_str_radix(at, 16).unwrap());
            let mut bytes = vec![0; end - start];
            memory.seek(SeekFrom::Start(start as u64)).unwrap();
            if memory.read_exact(&mut bytes).is_err() {
                continue; // A guard page or a device.
            }
            for (offset, window) in bytes.windows(16).enumerate() {
                let first = u64::from_ne_bytes(window[..8].try_into().unwrap());
                for (needle, what) in needles.0.get(&first).into_iter().flatten() {
                    if needle == window {
                        found.push(Hit {
                            what: what.clone(),
                            at: start + offset,
                            region: region.clone(),
                            locked: has("lo"),
                        });
                    }
                }
            }
        } else if line
            .split_once(' ')
            .is_some_and(|(first, _)| first.contains('-'))
        {
            region = line.to_owned();
        }
    }
    found
}
