//! How a migration's records are made and what is announced, both by its spec.

use std::sync::Arc;

use crate::arm::{Backend, Channel};
use crate::compression::Compression;
use crate::crypto::MigrationSecret;
use crate::crypto::sequence::KeyLimits;
use crate::error::{Error, Result};
use crate::host::HostSpec;
use crate::host::guest_state::most_device_state;
use crate::record::Framing;
use crate::tls;
use crate::wire::{Bounds, Preamble};

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
    let tls = match (spec.channel(), &secret) {
        (Some(channel @ (Channel::Tls | Channel::KernelTls)), Some(secret)) => {
            let is_kernel = channel == Channel::KernelTls;
            Some(Arc::new(tls::Keys::new(secret.tls_key()?, is_kernel)))
        }
        _ => None,
    };
    let secret = match secret {
        _ if backend == Backend::None => None,
        Some(secret) => Some(secret),
        // A key that the null cipher does not use, for the same bookkeeping.
        None if !backend.has_cipher() => Some(MigrationSecret::generate()?),
        None => return Err(Error::Invalid("spec: a sealed arm without a secret".into())),
    };
    Ok(Framing {
        backend,
        secret: secret.map(Arc::new),
        compression: migration.compression,
        limits: KeyLimits {
            bytes: migration.rekey_bytes.0,
            records: migration.rekey_records,
            streams: spec.scenario.connections(),
        },
        bounds: Bounds {
            guest_pages: spec.scenario.guest.memory.pages(),
            record: migration.record.0 as usize,
        },
        preamble: Preamble {
            migration_id,
            stream: 0,
            streams: spec.scenario.connections(),
        },
        tls,
    })
}

/// How records of the disk's stream are made, by those of stream 0: it is the last one, its blocks are bounded
/// as pages are, and not compressed.
pub fn of_disk(framing: &Framing, blocks: u64) -> Framing {
    let mut own = framing.clone();
    own.preamble.stream = framing.preamble.streams - 1;
    own.bounds.guest_pages = blocks;
    own.compression = Compression::None;
    own
}

/// What the source announces on each stream, for the destination to compare with its own spec.
pub fn hello(spec: &HostSpec) -> Vec<u8> {
    let scenario = &spec.scenario;
    [
        scenario.guest.memory.0,
        scenario.migration.record.0,
        most_device_state(spec) as u64,
        scenario
            .storage
            .as_ref()
            .map_or(0, |storage| storage.size.0),
    ]
    .iter()
    .flat_map(|value| value.to_le_bytes())
    .collect()
}
