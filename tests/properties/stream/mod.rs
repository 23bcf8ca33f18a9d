//! A whole stream, as the destination receives it: records of one stream up to the switchover.
//!
//! Input: one byte of modes, then the bytes of stream 0 after its preamble. In the clear, what the
//! destination does is held against a second, plainer reading of the protocol; sealed, the only
//! bytes that may be accepted are those of the one genuine stream.

mod genuine;
mod plain;
mod socket;

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use migtax::arm::Backend;
use migtax::compression::Compression;
use migtax::crypto::MigrationSecret;
use migtax::crypto::sequence::KeyLimits;
use migtax::destination::stream_thread::StreamThread;
use migtax::destination::switchover::Switchover;
use migtax::memory::GuestMemory;
use migtax::record::Framing;
use migtax::transport::Connection;
use migtax::units::{PAGE_SIZE, Size};
use migtax::wire::{Bounds, Preamble, RecordKind};

use crate::refusal::one_line;

const PAGES: usize = 16;
const MOST_STATE: usize = 40;
const HELLO: &[u8] = b"sixteen pages";
/// Fits the buffers of a socket, so that it can be sent before anybody receives.
const LONGEST: usize = 48 << 10;
const SILENCE: Duration = Duration::from_secs(5);

/// Modes: sealed; in the clear, sequence numbers and checksums put right.
const SEALED: u8 = 1;
const REPAIRED: u8 = 2;

/// What became of the guest, and what the destination said.
#[derive(Debug, PartialEq)]
struct Outcome {
    switched_over: bool,
    given_up: bool,
    memory: Vec<u8>,
    /// Only once the guest was switched over.
    state: Vec<u8>,
    answers: Vec<(RecordKind, u32)>,
}

/// Whether the guest was switched over.
pub fn check(input: &[u8]) -> bool {
    let Some((mode, wire)) = input.split_first() else {
        return false;
    };
    if wire.len() > LONGEST {
        return false;
    }
    if mode & SEALED != 0 {
        let expected = &genuine::stream().outcomes[genuine::stream().leading(wire)];
        for backend in [Backend::Rustcrypto, Backend::AwsLc] {
            let framing = Framing {
                backend,
                ..sealed()
            };
            let (found, reply) = receive(&framing, wire);
            assert_eq!(found.switched_over, expected.switched_over);
            // aws-lc opens into guest memory: what does not open leaves there what no guest runs on.
            if expected.switched_over || backend == Backend::Rustcrypto {
                assert!(found.memory == expected.memory, "guest memory differs");
            }
            assert_eq!(found.state, expected.state);
            assert_eq!(
                reply.len(),
                expected.answers.len() * genuine::stream().answer_len
            );
        }
        return expected.switched_over;
    }
    let mut wire = wire.to_vec();
    if mode & REPAIRED != 0 {
        plain::repair(&mut wire);
    }
    let (mut found, reply) = receive(&clear(), &wire);
    found.answers = plain::answers(&reply);
    let expected = plain::read(&wire);
    assert_eq!(found.answers, expected.answers);
    assert_eq!(
        (found.switched_over, found.given_up),
        (expected.switched_over, expected.given_up)
    );
    assert!(found.memory == expected.memory, "guest memory differs");
    assert_eq!(found.state, expected.state);
    found.switched_over
}

fn clear() -> Framing {
    Framing {
        backend: Backend::None,
        secret: None,
        compression: Compression::None,
        limits: KeyLimits::for_streams(1),
        bounds: Bounds {
            guest_pages: PAGES as u64,
            record: 2 * PAGE_SIZE,
        },
        preamble: Preamble {
            migration_id: 0x5eed,
            stream: 0,
            streams: 1,
        },
        tls: None,
    }
}

fn sealed() -> Framing {
    let mut line = [b"5e".repeat(32), b" ".to_vec(), b"ed".repeat(8)].concat();
    let secret = MigrationSecret::from_hex_line(&mut line).expect("a key in hexadecimal");
    Framing {
        backend: Backend::Rustcrypto,
        secret: Some(Arc::new(secret)),
        ..clear()
    }
}

/// Guest memory, made once: to map it takes longer than everything else here.
fn guest() -> Arc<GuestMemory> {
    static GUEST: OnceLock<Arc<GuestMemory>> = OnceLock::new();
    let size = Size((PAGES * PAGE_SIZE) as u64);
    GUEST
        .get_or_init(|| Arc::new(GuestMemory::new(size, false).expect("64 KiB")))
        .clone()
}

/// Lets a destination's thread receive `wire`: what became of the guest, and the bytes that came back.
fn receive(framing: &Framing, wire: &[u8]) -> (Outcome, Vec<u8>) {
    let memory = guest();
    memory.zero_pages(0, PAGES as u64);
    let switchover = Arc::new(Switchover::new(1, MOST_STATE, Duration::ZERO));
    let (here, mut there) = socket::pair();
    there.write_all(wire).expect("it fits the socket's buffers");
    there
        .shutdown(std::net::Shutdown::Write)
        .expect("connected");
    let connection = Connection::new(here, 0, "source", SILENCE).expect("a socket");
    switchover.add_socket(connection.handle().expect("a descriptor"));
    let thread = StreamThread::open(
        connection,
        framing,
        memory.clone(),
        switchover.clone(),
        false,
    );
    let mut thread = thread.expect("a cipher");
    match thread.greet(HELLO) {
        Ok(()) => {
            thread.run(|error, _| one_line(&error));
        }
        Err(error) => one_line(&error),
    }
    let switched_over = switchover.is_switched_over();
    let mut content = vec![0; PAGES * PAGE_SIZE];
    memory.copy_out(0, &mut content);
    let outcome = Outcome {
        switched_over,
        given_up: switchover.is_decided() && !switched_over,
        memory: content,
        state: if switched_over {
            switchover.device_state()
        } else {
            Vec::new()
        },
        answers: Vec::new(),
    };
    (outcome, socket::drain(&mut there))
}

/// The sample migration, in the clear and sealed.
#[cfg(test)]
pub fn samples() -> [Vec<u8>; 2] {
    [clear(), sealed()].map(|framing| genuine::sample(&framing).concat())
}

/// A stream that must not be switched over.
#[cfg(test)]
pub fn refused_switchover() -> Vec<u8> {
    genuine::refused_switchover(&clear()).concat()
}

/// A stream of a round that would be written over and over.
#[cfg(test)]
pub fn too_many_pages() -> Vec<u8> {
    genuine::too_many_pages(&clear()).concat()
}
