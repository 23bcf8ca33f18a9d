//! What protects a connection below its records: something that takes bytes and has the socket.

use std::net::TcpStream;
use std::time::Duration;
use std::{fmt, io};

use super::error::TransportError;

/// What an established protection is, as results record it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Such as `TLSv1.3`.
    pub protocol: String,
    /// The cipher suite, by the protocol's name for it.
    pub cipher: String,
    /// From the first byte of the handshake to its end.
    pub handshake: Duration,
}

/// Calls that moved bytes, or tried to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// To the peer.
    pub sends: u64,
    /// From the peer.
    pub receives: u64,
}

impl std::iter::Sum for Calls {
    fn sum<I: Iterator<Item = Calls>>(all: I) -> Calls {
        all.fold(Calls::default(), |sum, calls| Calls {
            sends: sum.sends + calls.sends,
            receives: sum.receives + calls.receives,
        })
    }
}

/// What was moved over the socket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moved {
    /// Bytes that the kernel took.
    pub sent: u64,
    /// Bytes that the kernel gave.
    pub received: u64,
    /// Calls that did so, or tried to.
    pub calls: Calls,
}

/// CPU time of a part of other work, as between two reads of the thread's clock each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clocked {
    /// Nanoseconds.
    pub ns: u64,
    /// Pairs of clock reads.
    pub pairs: u64,
}

/// What clocks said of the parts of an established protection's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watched {
    /// Socket calls, of both directions.
    pub socket: Clocked,
    /// What sending took beside them.
    pub sealing: Clocked,
}

/// Why an established protection broke its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// What came is not what the peer sent.
    NotAuthentic(String),
    /// Something failed on this side.
    Failed(String),
}

impl Broken {
    /// As the error of a stream that was `doing` something with or to its peer.
    pub fn of(self, stream: u32, peer: &'static str, doing: &'static str) -> TransportError {
        match self {
            Broken::NotAuthentic(reason) => TransportError::NotAuthentic {
                stream,
                peer,
                reason,
            },
            Broken::Failed(reason) => TransportError::Io {
                stream,
                peer,
                doing,
                source: io::Error::other(reason),
            },
        }
    }
}

/// An established protection with its socket. Errors stand in `errno`, as after a socket call;
/// `EBADMSG` means that [`Secured::failure`] has the reason.
pub trait Secured: fmt::Debug + Send {
    /// Seals and sends a part of `entries`: the bytes taken, negative for an error.
    ///
    /// # Safety
    /// Every entry must name readable memory. It may change meanwhile.
    unsafe fn send(&mut self, entries: &mut [libc::iovec]) -> isize;

    /// Receives and opens into `entries`: the bytes written, 0 at the end of the stream, negative for
    /// an error.
    ///
    /// # Safety
    /// Every entry must name memory that is valid for writes and that nothing else accesses.
    unsafe fn receive(&mut self, entries: &mut [libc::iovec]) -> isize;

    /// The socket that carries it.
    fn socket(&self) -> &TcpStream;

    /// What was moved over the socket so far.
    fn moved(&self) -> Moved;

    /// What was agreed on.
    fn negotiated(&self) -> &Negotiated;

    /// Why the stream broke, if the protection itself says so.
    fn failure(&mut self) -> Option<Broken>;

    /// From now on, whether clocks are read around sending and socket calls; gives out and forgets
    /// what they said before. `None` if sealing can't be told from the socket.
    fn watch(&mut self, on: bool) -> Option<Watched>;
}
