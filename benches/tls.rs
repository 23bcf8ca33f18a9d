//! TLS over loopback without a migration: CPU time of sender and receiver for each GiB.
//!
//! Three ways, each between two threads, over memory larger than the caches, in calls as a stream makes
//! them: TCP alone; s2n-tls by itself, with its own socket calls and nothing of this program's; and the
//! connection that the arm `tls` has. What s2n-tls adds to TCP is what TLS costs; what the connection adds to
//! that is this program's doing. Medians of rounds in which the three take turns.

use std::ffi::c_void;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use migtax::crypto::MigrationSecret;
use migtax::machine::clock::thread_cpu_ns;
use migtax::tls::{End, Keys};
use migtax::transport::{Connection, TransportError};
use migtax::tunnel;
use s2n_tls_sys as s2n;

/// Bytes of one call to send: what a stream hands to its socket at once.
const CALL: usize = 768 << 10;
/// Bytes of one call to receive: a record of this program's.
const RECORD: usize = 256 << 10;
const KEY: [u8; 32] = [7; 32];

/// CPU nanoseconds of sender and receiver.
type Cost = (u64, u64);

/// A way by its name, and what it costs to move so many bytes from memory that it strides over.
type Way = (&'static str, fn(&[u8], usize) -> Cost);

fn main() {
    // As cargo test runs benches: once, and little.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (memory, moved, rounds) = match is_test {
        true => (4 << 20, 8 << 20, 1),
        false => (256 << 20, 1 << 30, 7),
    };
    // The library is one for the process, with memory of this program's.
    migtax::tls::start();
    let memory = vec![0xa5; memory];
    let ways: [Way; 3] = [
        ("tcp", tcp),
        ("s2n-tls", raw),
        ("migtax's connection", ours),
    ];
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); ways.len()];
    for round in 0..=rounds {
        for (way, costs) in ways.iter().zip(&mut costs) {
            let cost = (way.1)(&memory, moved);
            // The first round warms up.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    println!("CPU-s/GiB, medians of {rounds}: sender, receiver");
    for (way, costs) in ways.iter().zip(&costs) {
        let median = |side: fn(&Cost) -> u64| {
            let mut all: Vec<u64> = costs.iter().map(side).collect();
            all.sort_unstable();
            all[all.len() / 2] as f64 / 1e9 * (1u64 << 30) as f64 / moved as f64
        };
        println!("{:20} {:.4} {:.4}", way.0, median(|c| c.0), median(|c| c.1));
    }
}

fn sockets() -> (TcpStream, TcpStream) {
    let (near, far) = tunnel::pair().expect("sockets");
    near.set_nodelay(true).expect("an option");
    (near, far)
}

/// Runs both sides, each on a thread of its own: what their second halves take.
fn both<A, B, S: FnOnce(), R: FnOnce()>(near: A, far: B) -> Cost
where
    A: FnOnce(TcpStream) -> S + Send,
    B: FnOnce(TcpStream) -> R,
{
    let timed = |work: &mut dyn FnMut()| {
        let before = thread_cpu_ns();
        work();
        thread_cpu_ns() - before
    };
    let (sender, receiver) = sockets();
    std::thread::scope(|scope| {
        let sent = scope.spawn(move || {
            let mut work = Some(near(sender));
            timed(&mut || work.take().expect("once")())
        });
        let mut work = Some(far(receiver));
        let received = timed(&mut || work.take().expect("once")());
        (sent.join().expect("it sends"), received)
    })
}

fn tcp(memory: &[u8], moved: usize) -> Cost {
    both(
        |mut socket| {
            move || strides(memory, moved).for_each(|bytes| socket.write_all(bytes).expect("sent"))
        },
        |mut socket| {
            let mut buffer = vec![0; RECORD];
            move || {
                (0..moved / RECORD).for_each(|_| socket.read_exact(&mut buffer).expect("received"))
            }
        },
    )
}

fn ours(memory: &[u8], moved: usize) -> Cost {
    let keys = |end| {
        move |socket: TcpStream| {
            let mut line = [b"5e".repeat(32), b" ".to_vec(), b"ed".repeat(8)].concat();
            let secret = MigrationSecret::from_hex_line(&mut line).expect("a key in hexadecimal");
            let keys = Keys::new(secret.tls_key().expect("memory"), false);
            let connection = Connection::new(socket, 0, "peer", Duration::from_secs(60));
            connection
                .expect("options")
                .secured::<TransportError>(|socket, stream, peer| {
                    keys.establish(end, socket, b"bench", (stream, peer))
                })
                .expect("a handshake")
        }
    };
    let (near, far) = (keys(End::Client), keys(End::Server));
    both(
        move |socket| {
            let mut connection = near(socket);
            move || strides(memory, moved).for_each(|bytes| connection.send(bytes).expect("sent"))
        },
        move |socket| {
            let mut connection = far(socket);
            let mut buffer = vec![0; RECORD];
            move || {
                (0..moved / RECORD).for_each(|_| {
                    connection
                        .receive(&mut buffer, "a bench")
                        .expect("received")
                });
            }
        },
    )
}

fn strides(memory: &[u8], moved: usize) -> impl Iterator<Item = &[u8]> {
    // No more than is received: what nobody reads resets the connection.
    let calls = memory
        .chunks_exact(CALL)
        .cycle()
        .zip((0..moved).step_by(CALL));
    calls.map(move |(bytes, at)| &bytes[..CALL.min(moved - at)])
}

/// A connection of s2n-tls's as its manual has it.
struct Raw {
    connection: *mut s2n::s2n_connection,
    config: *mut s2n::s2n_config,
    _socket: TcpStream,
}

// SAFETY: a connection is tied to no thread.
unsafe impl Send for Raw {}

impl Raw {
    fn establish(mode: s2n::s2n_mode::Type, socket: TcpStream) -> Raw {
        let mut blocked = 0;
        let done = |code| assert_eq!(code, 0, "s2n-tls");
        // SAFETY: every object is made here and used by this thread alone; texts end with NUL.
        unsafe {
            let (connection, config) =
                (s2n::s2n_connection_new(mode), s2n::s2n_config_new_minimal());
            done(s2n::s2n_config_set_cipher_preferences(
                config,
                c"AWS-CRT-SDK-TLSv1.3".as_ptr(),
            ));
            done(s2n::s2n_config_set_send_buffer_size(config, 256 << 10));
            done(s2n::s2n_connection_set_config(connection, config));
            done(s2n::s2n_connection_prefer_throughput(connection));
            done(s2n::s2n_connection_set_recv_buffering(connection, true));
            done(s2n::s2n_connection_set_fd(connection, socket.as_raw_fd()));
            let mut psk = s2n::s2n_external_psk_new();
            done(s2n::s2n_psk_set_identity(psk, b"bench".as_ptr(), 5));
            done(s2n::s2n_psk_set_secret(psk, KEY.as_ptr(), KEY.len() as u16));
            done(s2n::s2n_psk_set_hmac(psk, s2n::s2n_psk_hmac::SHA384));
            done(s2n::s2n_connection_append_psk(connection, psk));
            done(s2n::s2n_psk_free(&raw mut psk));
            done(s2n::s2n_negotiate(connection, &raw mut blocked));
            Raw {
                connection,
                config,
                _socket: socket,
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut sent = 0;
        while sent < bytes.len() {
            let (mut blocked, left) = (0, &bytes[sent..]);
            // SAFETY: the bytes are borrowed for the call.
            let count = unsafe {
                let (start, len) = (left.as_ptr().cast::<c_void>(), left.len() as isize);
                s2n::s2n_send(self.connection, start, len, &raw mut blocked)
            };
            sent += usize::try_from(count).expect("sent");
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        let mut received = 0;
        while received < buffer.len() {
            let (mut blocked, left) = (0, &mut buffer[received..]);
            // SAFETY: the buffer is borrowed for the call.
            let count = unsafe {
                let (start, len) = (left.as_mut_ptr().cast::<c_void>(), left.len() as isize);
                s2n::s2n_recv(self.connection, start, len, &raw mut blocked)
            };
            received += usize::try_from(count).expect("received");
            assert!(count > 0, "the end of the stream");
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: both were made by the library and are freed nowhere else.
        unsafe {
            s2n::s2n_connection_free(self.connection);
            s2n::s2n_config_free(self.config);
        }
        self.connection = ptr::null_mut();
    }
}

fn raw(memory: &[u8], moved: usize) -> Cost {
    both(
        |socket| {
            let mut raw = Raw::establish(s2n::s2n_mode::CLIENT, socket);
            move || strides(memory, moved).for_each(|bytes| raw.send(bytes))
        },
        |socket| {
            let mut raw = Raw::establish(s2n::s2n_mode::SERVER, socket);
            let mut buffer = vec![0; RECORD];
            move || (0..moved / RECORD).for_each(|_| raw.receive(&mut buffer))
        },
    )
}
