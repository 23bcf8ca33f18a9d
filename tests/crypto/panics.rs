//! A process that panics while its threads seal and open: no key is left in its memory.
//!
//! As in [`crate::wipe`] a child holds keys, here of every backend, each in a thread that seals and
//! opens without end. Another thread panics. The child then waits, all wiped, instead of ending.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Barrier};

use migtax::cli::host::end_on_panic;
use migtax::crypto::{
    self, FlowDirection, KeyLimits, MigrationSecret, OpenSequence, Opener, SealSequence, Sealer,
    TAG_LEN,
};

use crate::child::Holder;
use crate::{backends, can_lock_keys, quiet};

/// Set in the child.
const CHILD: &str = "MIGTAX_TEST_PANICS_WITH_SECRETS";

/// Says that the keys are wiped and waits for a byte, by system calls alone.
fn wait_wiped() -> ! {
    let text = b"\nwiped\n";
    let mut byte = [0u8];
    // SAFETY: the buffers are as long as said; `_exit` ends the process.
    unsafe {
        libc::write(1, text.as_ptr().cast(), text.len());
        libc::read(0, byte.as_mut_ptr().cast(), 1);
        libc::_exit(1)
    }
}

/// The child; run by itself it does nothing.
#[test]
fn threads_seal_until_one_panics() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    crypto::guard_stack();
    let mut input = File::open("/dev/stdin").unwrap();
    let mut line = [0; 82];
    input.read_exact(&mut line).unwrap();
    let secret = Arc::new(MigrationSecret::from_hex_line(&mut line).unwrap());
    let limits = KeyLimits {
        bytes: 1 << 60,
        records: 1 << 40,
        streams: 8,
    };
    let ready = Arc::new(Barrier::new(backends().count() + 1));
    for (stream, backend) in (0..).zip(backends()) {
        let (secret, ready) = (secret.clone(), ready.clone());
        std::thread::spawn(move || {
            crypto::guard_stack();
            let direction = FlowDirection::ToDestination;
            let mut seal = SealSequence::new(&secret, stream, direction, limits).unwrap();
            let mut open = OpenSequence::new(&secret, stream, direction, limits);
            let mut sealer = Sealer::new(backend, secret.clone()).unwrap();
            let mut opener = Opener::new(backend, secret.clone()).unwrap();
            let memory = vec![0x77; 8192];
            let mut out = vec![0; memory.len() + TAG_LEN];
            for record in 0u64.. {
                let slot = seal.next(memory.len()).unwrap();
                let pages = [quiet(&memory)];
                let sealed = sealer.seal(slot, b"", &[], &pages, &mut out).unwrap();
                let slot = open.next(memory.len()).unwrap();
                opener.open_in_place(slot, b"", &mut out[..sealed]).unwrap();
                if record == 0 {
                    ready.wait();
                }
            }
        });
    }
    ready.wait();
    writeln!(File::create("/dev/stdout").unwrap(), "\nheld").unwrap();
    input.read_exact(&mut [0]).unwrap();
    end_on_panic(wait_wiped);
    let panics = std::thread::spawn(|| panic!("as a stream's thread could"));
    let _ = panics.join();
    unreachable!("the process has ended");
}

#[test]
fn a_host_that_panics_leaves_no_key_in_its_memory() {
    if !can_lock_keys() {
        return;
    }
    for _ in 0..5 {
        panics_once();
    }
}

fn panics_once() {
    let child = Holder::start("panics::threads_seal_until_one_panics", CHILD, 1);
    child.holds_all();
    assert_eq!(child.ends_without("wiped").code(), Some(1));
}
