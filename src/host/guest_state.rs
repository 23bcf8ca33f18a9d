//! The guest's memory and device state, as both roles set them up, carry them over and hash them.

use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::guest::vcpu::StreamPosition;
use crate::host::HostSpec;
use crate::memory::{GuestMemory, Presence};

/// What beyond the device-state blob goes with a guest: places in streams of writes.
const POSITION_LEN: usize = 16;

/// Maps guest memory, which is there from when `presence` says; seconds that it took.
///
/// # Errors
/// If there is not enough memory.
pub fn allocate(spec: &HostSpec, presence: Presence) -> Result<(Arc<GuestMemory>, f64)> {
    let began = Instant::now();
    let guest = &spec.scenario.guest;
    let memory = GuestMemory::backed(guest.memory, guest.pages, presence)?;
    Ok((Arc::new(memory), began.elapsed().as_secs_f64()))
}

/// The largest device state that this guest can have, bytes.
pub fn most_device_state(spec: &HostSpec) -> usize {
    spec.scenario.guest.device_state.0 as usize + places(spec) as usize * POSITION_LEN
}

/// Streams of writes that go on at the destination: the vCPUs', and last the disk's if there is one.
pub fn places(spec: &HostSpec) -> u32 {
    spec.scenario.guest.vcpus + u32::from(spec.scenario.storage.is_some())
}

/// The device state: where each stream of writes goes on, then the blob.
pub fn pack_device_state(positions: &[StreamPosition], blob: &[u8]) -> Vec<u8> {
    let mut state = vec![0; positions.len() * POSITION_LEN];
    put_positions(&mut state, positions);
    state.extend_from_slice(blob);
    state
}

/// Writes where each stream goes on into a packed device state.
pub fn put_positions(state: &mut [u8], positions: &[StreamPosition]) {
    for (bytes, position) in state.chunks_exact_mut(POSITION_LEN).zip(positions) {
        bytes[..8].copy_from_slice(&position.at_ns.to_le_bytes());
        bytes[8..].copy_from_slice(&position.after.to_le_bytes());
    }
}

/// Where each of so many streams goes on; `None` if the state is too short.
pub fn unpack_positions(state: &[u8], places: u32) -> Option<Vec<StreamPosition>> {
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
    state
        .get(..places as usize * POSITION_LEN)?
        .chunks_exact(POSITION_LEN)
        .map(|bytes| {
            Some(StreamPosition {
                at_ns: word(&bytes[..8])?,
                after: word(&bytes[8..])?,
            })
        })
        .collect()
}

/// Hash of guest memory and device state, and of the disk's own hash if there is one, hexadecimal.
pub fn hash(memory: &GuestMemory, device_state: &[u8], disk: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&memory.hash());
    hasher.update(device_state);
    hasher.update(disk.as_bytes());
    hasher.finalize().to_hex().to_string()
}
