//! The pieces of the wire format: preamble, prefix, head, totals, positions of the vCPUs.
//!
//! Input: one byte that selects the piece, then it; before a prefix or head also the bounds.

use migtax::guest::vcpu::StreamPosition;
use migtax::host::guest_state::{pack_device_state, unpack_positions};
use migtax::memory::PageRun;
use migtax::units::PAGE_SIZE;
use migtax::wire::{
    AAD_LEN, Bounds, HEAD_LEN, Head, PREAMBLE_LEN, PREFIX_LEN, Preamble, Prefix, RecordKind,
    Totals, head_len, verify_checksum, write_checksum,
};

use crate::refusal::one_line;

/// Where the checksum stands in a head.
const CRC: std::ops::Range<usize> = 28..32;

/// Whether the input was accepted.
pub fn check(input: &[u8]) -> bool {
    let Some((selector, rest)) = input.split_first() else {
        return false;
    };
    match selector % 5 {
        0 => rest.first_chunk().is_some_and(preamble),
        1 => bounded(rest).is_some_and(|(bounds, rest)| prefix(&bounds, rest)),
        2 => bounded(rest).is_some_and(|(bounds, rest)| head(&bounds, rest)),
        3 => totals(rest),
        _ => positions(rest),
    }
}

/// Bounds that a scenario can have: guests of up to 64 TiB, records of up to 16 MiB.
fn bounded(input: &[u8]) -> Option<(Bounds, &[u8])> {
    let (guest, rest) = input.split_first_chunk()?;
    let (record, rest) = rest.split_first_chunk()?;
    let bounds = Bounds {
        guest_pages: u64::from_le_bytes(*guest) % (1 << 34) + 1,
        record: (usize::from(u16::from_le_bytes(*record)) % 4096 + 1) * PAGE_SIZE,
    };
    Some((bounds, rest))
}

fn preamble(bytes: &[u8; PREAMBLE_LEN]) -> bool {
    match Preamble::decode(bytes) {
        Ok(preamble) => {
            assert!(preamble.stream < preamble.streams);
            assert_eq!(preamble.encode(), *bytes);
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    }
}

fn prefix(bounds: &Bounds, bytes: &[u8]) -> bool {
    let Some(bytes) = bytes.first_chunk::<PREFIX_LEN>() else {
        return false;
    };
    match Prefix::decode(*bytes, bounds) {
        Ok(prefix) => {
            let (body, head) = (prefix.body as usize, prefix.head as usize);
            assert!(HEAD_LEN <= head && head <= body && head <= bounds.head());
            assert!(body <= bounds.body(), "{body} bytes within {bounds:?}");
            assert_eq!(prefix.encode(), *bytes);
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    }
}

fn head(bounds: &Bounds, bytes: &[u8]) -> bool {
    let head = match Head::decode(bytes, bounds) {
        Ok(head) => head,
        Err(error) => {
            one_line(&error);
            return false;
        }
    };
    let data: Vec<PageRun> = head.data(bytes).collect();
    let zero: Vec<PageRun> = head.zero(bytes).collect();
    assert_eq!(data.len(), head.data_runs as usize);
    assert_eq!(zero.len(), head.zero_runs as usize);
    assert!(data.len() <= bounds.data_runs() && zero.len() <= bounds.zero_runs());
    assert!(head.payload as usize <= bounds.payload());
    for run in data.iter().chain(&zero) {
        assert!(run.pages > 0 && run.end() <= bounds.guest_pages, "{run:?}");
    }
    if head.kind == RecordKind::Pages {
        let pages: u64 = data.iter().map(|run| run.pages).sum();
        let mut all: Vec<PageRun> = data.iter().chain(&zero).copied().collect();
        for runs in [&data, &zero] {
            assert!(runs.is_sorted_by_key(|run| run.first), "{runs:?}");
        }
        all.sort_by_key(|run| run.first);
        assert!(all.windows(2).all(|pair| pair[0].end() <= pair[1].first));
        assert_eq!(pages * PAGE_SIZE as u64, u64::from(head.payload));
    }
    let mut again = Vec::new();
    head.encode(&data, &zero, &mut again);
    assert_eq!(again.len(), head_len(data.len() + zero.len()));
    again[CRC].copy_from_slice(&bytes[CRC]);
    assert_eq!(again, bytes, "a head has one form");
    assert_eq!(Head::decode(&again, bounds), Ok(head));
    checksum(again);
    true
}

/// The checksum notices any bit that is turned in what it covers, itself included.
fn checksum(mut head: Vec<u8>) {
    let mut aad = [7; AAD_LEN];
    let mut control = *b"control payload";
    write_checksum(&aad, &mut head, &control);
    assert_eq!(verify_checksum(&aad, &head, &control), Ok(()));
    let at = head.iter().map(|byte| usize::from(*byte)).sum::<usize>();
    head[at % HEAD_LEN] ^= 1 << (at % 8);
    assert!(verify_checksum(&aad, &head, &control).is_err());
    head[at % HEAD_LEN] ^= 1 << (at % 8);
    aad[at % AAD_LEN] ^= 1;
    assert!(verify_checksum(&aad, &head, &control).is_err());
    aad[at % AAD_LEN] ^= 1;
    control[at % 15] ^= 0x80;
    assert!(verify_checksum(&aad, &head, &control).is_err());
}

fn totals(bytes: &[u8]) -> bool {
    match Totals::decode(bytes) {
        Ok(totals) => {
            assert_eq!(totals.encode(), bytes);
            true
        }
        Err(error) => {
            one_line(&error);
            assert_ne!(bytes.len(), Totals::LEN);
            false
        }
    }
}

/// The vCPUs' places at the start of a device state; the first byte is the number of vCPUs.
fn positions(input: &[u8]) -> bool {
    let Some((vcpus, state)) = input.split_first() else {
        return false;
    };
    let vcpus = u32::from(vcpus % 65);
    let len = vcpus as usize * size_of::<[u64; 2]>();
    let Some(positions): Option<Vec<StreamPosition>> = unpack_positions(state, vcpus) else {
        assert!(state.len() < len, "{} bytes, {vcpus} vCPUs", state.len());
        return false;
    };
    assert_eq!(positions.len(), vcpus as usize);
    assert_eq!(pack_device_state(&positions, &state[len..]), state);
    true
}
