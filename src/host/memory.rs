//! The guest's memory and device state as both roles set them up, hash them and account for them.

use std::sync::Arc;
use std::time::Instant;

use crate::arm::Backend;
use crate::crypto::sequence::KeyLimits;
use crate::crypto::{self, MigrationSecret};
use crate::error::{Error, Result};
use crate::guest::memory::GuestMemory;
use crate::guest::vcpu::StreamPosition;
use crate::host::HostSpec;
use crate::record::Framing;
use crate::results::Warning;
use crate::wire::{Bounds, Preamble};

/// What beyond the device-state blob goes with a guest: the vCPUs' places in their streams.
const POSITION_LEN: usize = 16;

/// Starts the threads that fill and hash memory: after the switchover the lack of one could no longer
/// be an error. They keep to the CPUs that the process was pinned to before.
///
/// # Errors
/// If the system has no room for them.
pub fn start_threads() -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .build_global()
        .map_err(|error| Error::CannotRun(format!("starting threads: {error}")))
}

/// Faults in guest memory; seconds that it took.
///
/// # Errors
/// If there is not enough memory.
pub fn allocate(spec: &HostSpec) -> Result<(Arc<GuestMemory>, f64)> {
    let began = Instant::now();
    let guest = &spec.scenario.guest;
    let memory = GuestMemory::new(guest.memory, guest.huge_pages)?;
    Ok((Arc::new(memory), began.elapsed().as_secs_f64()))
}

/// What is to be said if a process of that role could not lock all memory that held the key of a
/// sealed migration.
pub fn unlocked_keys(role: &str, sealed: bool) -> Option<Warning> {
    (sealed && !crypto::keys_are_locked()).then(|| Warning {
        code: "unlocked_keys".to_owned(),
        message: format!(
            "the {role} could not lock all memory that held keys: some may be swapped out"
        ),
        remedy: "raise the limit of locked memory (ulimit -l), or turn swap off".to_owned(),
    })
}

/// How this migration's records are made, the same on both sides; stream 0's preamble.
///
/// # Errors
/// If the migration id is not one, or a sealed arm has no secret.
pub fn framing(spec: &HostSpec, secret: Option<MigrationSecret>) -> Result<Framing> {
    let migration = &spec.scenario.migration;
    // By itself the standard library's reader takes a sign as well.
    let digits = |text: &String| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let migration_id = Some(&spec.migration_id)
        .filter(|text| digits(text))
        .and_then(|text| u128::from_str_radix(text, 16).ok())
        .ok_or_else(|| {
            Error::invalid("spec.migration_id", &spec.migration_id, "128 bits in hex")
        })?;
    let backend = spec.backend();
    let secret = match (backend, secret) {
        (Backend::None, _) => None,
        // A key that the null cipher does not use, for the same bookkeeping.
        (Backend::Null, _) => Some(MigrationSecret::generate()?),
        (_, Some(secret)) => Some(secret),
        (_, None) => return Err(Error::Invalid("spec: a sealed arm without a secret".into())),
    };
    Ok(Framing {
        backend,
        secret: secret.map(Arc::new),
        limits: KeyLimits {
            bytes: migration.rekey_bytes.0,
            records: migration.rekey_records,
            streams: migration.streams,
        },
        bounds: Bounds {
            guest_pages: spec.scenario.guest.memory.pages(),
            record: migration.record.0 as usize,
        },
        preamble: Preamble {
            migration_id,
            stream: 0,
            streams: migration.streams,
        },
    })
}

/// What the source announces on each stream, for the destination to compare with its own spec.
pub fn hello(spec: &HostSpec) -> Vec<u8> {
    let scenario = &spec.scenario;
    [
        scenario.guest.memory.0,
        scenario.migration.record.0,
        most_device_state(spec) as u64,
    ]
    .iter()
    .flat_map(|value| value.to_le_bytes())
    .collect()
}

/// The largest device state that this guest can have, bytes.
pub fn most_device_state(spec: &HostSpec) -> usize {
    let guest = &spec.scenario.guest;
    guest.device_state.0 as usize + guest.vcpus as usize * POSITION_LEN
}

/// The device state: where each vCPU's stream goes on, then the blob.
pub fn pack_device_state(positions: &[StreamPosition], blob: &[u8]) -> Vec<u8> {
    let mut state = vec![0; positions.len() * POSITION_LEN];
    put_positions(&mut state, positions);
    state.extend_from_slice(blob);
    state
}

/// Writes where each vCPU's stream goes on into a packed device state.
pub fn put_positions(state: &mut [u8], positions: &[StreamPosition]) {
    for (bytes, position) in state.chunks_exact_mut(POSITION_LEN).zip(positions) {
        bytes[..8].copy_from_slice(&position.at_ns.to_le_bytes());
        bytes[8..].copy_from_slice(&position.after.to_le_bytes());
    }
}

/// Where each vCPU's stream goes on; `None` if the state is too short.
pub fn unpack_positions(state: &[u8], vcpus: u32) -> Option<Vec<StreamPosition>> {
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
    state
        .get(..vcpus as usize * POSITION_LEN)?
        .chunks_exact(POSITION_LEN)
        .map(|bytes| {
            Some(StreamPosition {
                at_ns: word(&bytes[..8])?,
                after: word(&bytes[8..])?,
            })
        })
        .collect()
}

/// Hash of guest memory and device state, hexadecimal.
pub fn hash(memory: &GuestMemory, device_state: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&memory.hash());
    hasher.update(device_state);
    hasher.finalize().to_hex().to_string()
}

/// Resident memory of this process beyond guest memory, bytes; 0 if the kernel does not say.
pub fn resident_beyond(memory: &GuestMemory) -> u64 {
    let resident = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| {
            let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
            Some(pages * crate::units::PAGE_SIZE as u64)
        });
    resident.unwrap_or(0).saturating_sub(memory.len() as u64)
}

/// Keeps the calling thread, and those it starts, to some CPUs; to any if there are none.
///
/// # Errors
/// If a CPU does not exist or may not be used.
pub fn pin(cpus: &[usize]) -> Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    // SAFETY: an empty set is all zeros.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in cpus {
        if *cpu >= libc::CPU_SETSIZE as usize {
            return Err(Error::invalid("pin", cpu, "no such CPU"));
        }
        // SAFETY: the index is within the set.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    // SAFETY: the set is valid and its size is given.
    let status =
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if status == 0 {
        Ok(())
    } else {
        let error = std::io::Error::last_os_error();
        Err(Error::invalid(
            "pin",
            format!("{cpus:?}"),
            format!("CPUs that this process may use ({error})"),
        ))
    }
}
