//! Where keys stand in a process's memory while it migrates, and that they are gone afterwards.
//!
//! A child seals and opens with every backend over several epochs and waits, first with its
//! contexts alive, then with them dropped. The parent, which knows the key, searches the child's
//! memory for it, for the derived keys, and for what the libraries make of them.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;

use migtax::arm::Arm;
use migtax::crypto::{
    self, FlowDirection, KeyLimits, MigrationSecret, OpenSequence, Opener, SealSequence, Sealer,
    TAG_LEN,
};

use crate::child::Holder;
use crate::{backends, can_lock_keys, quiet};

/// Set in the child.
const CHILD: &str = "MIGTAX_TEST_HOLDS_SECRETS";
const EPOCHS: u32 = 3;

/// The child; run by itself, it makes its own key and waits for nobody.
#[test]
fn records_open_while_their_keys_are_held() {
    // Input and output without buffers of their own, which would keep the key.
    let mut input = std::env::var_os(CHILD).map(|_| File::open("/dev/stdin").unwrap());
    migtax::crypto::guard_stack();
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
    for (stream, backend) in backends().enumerate() {
        let stream = stream as u32;
        let direction = FlowDirection::ToDestination;
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
    if !can_lock_keys() {
        return;
    }
    let child = Holder::start(
        "wipe::records_open_while_their_keys_are_held",
        CHILD,
        EPOCHS,
    );
    assert!(child.holds_all(), "all of it is locked");
    assert!(child.ends_without("dropped").success());
}

/// Under another mask aws-lc has other code and other state.
#[test]
fn the_same_under_every_mask() {
    let masked = Arm::own().filter(|arm| !arm.row().environment.is_empty());
    for arm in masked.filter(|arm| crypto::supported(*arm).is_ok()) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "wipe::keys_stand_in_locked_memory_only_and_are_gone_afterwards",
        ]);
        arm.prepare(&mut child);
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed; 0 failed"), "{arm}: {text}");
    }
}
