//! One stream: exact sends and receives with a limit on silence.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::carrier::Carrier;
use super::entries::{advance, iovec};
use super::error::TransportError;
use super::queue::Queues;
use super::secured::{Calls, Negotiated, Secured, Watched};
use crate::machine::slowdown::{Slowdown, Slowed};
use crate::memory::Segment;

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    carrier: Carrier,
    stream: u32,
    peer: &'static str,
    limit: Duration,
    sent: u64,
    received: u64,
    slowdown: Slowdown,
    calls: Calls,
    scratch: Scratch,
}

/// Reused entries for vectored calls; empty between calls.
#[derive(Debug, Default)]
struct Scratch(Vec<libc::iovec>);

// SAFETY: the pointers in it are used only during the call that put them there.
unsafe impl Send for Scratch {}

impl Connection {
    /// Takes over a connected socket. `limit` is how long the peer may be silent.
    ///
    /// # Errors
    /// If the kernel refuses a socket option.
    pub fn new(
        socket: TcpStream,
        stream: u32,
        peer: &'static str,
        limit: Duration,
    ) -> io::Result<Self> {
        // Records are whole messages: waiting for more bytes to fill a segment only delays acks.
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(limit))?;
        socket.set_write_timeout(Some(limit))?;
        Ok(Connection::over(
            Carrier::Socket(socket),
            stream,
            peer,
            limit,
        ))
    }

    fn over(carrier: Carrier, stream: u32, peer: &'static str, limit: Duration) -> Self {
        Connection {
            carrier,
            stream,
            peer,
            limit,
            sent: 0,
            received: 0,
            slowdown: Slowdown::of(Slowed::Transmit),
            calls: Calls::default(),
            scratch: Scratch::default(),
        }
    }

    /// The same connection from now on with something below it that protects it; `with` makes it of the
    /// socket, the stream's number and the peer's role.
    ///
    /// # Errors
    /// What `with` says, or that there is no socket.
    pub fn secured<E: From<TransportError>>(
        mut self,
        with: impl FnOnce(TcpStream, u32, &'static str) -> Result<Box<dyn Secured>, E>,
    ) -> Result<Connection, E> {
        let Carrier::Socket(socket) = self.carrier else {
            return Err(E::from(TransportError::Io {
                stream: self.stream,
                peer: self.peer,
                doing: "protecting the stream to",
                source: io::ErrorKind::Unsupported.into(),
            }));
        };
        self.carrier = Carrier::Secured(with(socket, self.stream, self.peer)?);
        Ok(self)
    }

    /// What protects the connection, if something below its records does.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        match &self.carrier {
            Carrier::Secured(secured) => Some(secured.negotiated()),
            _ => None,
        }
    }

    /// [`Secured::watch`]; `None` without protection.
    pub fn watch(&mut self, on: bool) -> Option<Watched> {
        match &mut self.carrier {
            Carrier::Secured(secured) => secured.watch(on),
            _ => None,
        }
    }

    /// Bytes that the kernel took so far.
    pub fn sent(&self) -> u64 {
        match &self.carrier {
            Carrier::Secured(secured) => self.sent + secured.moved().sent,
            _ => self.sent,
        }
    }

    /// Bytes that the kernel gave so far.
    pub fn received(&self) -> u64 {
        match &self.carrier {
            Carrier::Secured(secured) => self.received + secured.moved().received,
            _ => self.received,
        }
    }

    /// Calls on the socket so far.
    pub fn calls(&self) -> Calls {
        match &self.carrier {
            Carrier::Secured(secured) => [self.calls, secured.moved().calls].into_iter().sum(),
            _ => self.calls,
        }
    }

    /// Counts a call that moved bytes; where there is protection, that has its own count.
    fn count(&mut self, calls: Calls, sent: usize, received: usize) {
        if !matches!(self.carrier, Carrier::Secured(_)) {
            self.calls = [self.calls, calls].into_iter().sum();
            self.sent += sent as u64;
            self.received += received as u64;
        }
    }

    /// Bytes sent that the peer's kernel has not acknowledged yet.
    pub fn unacknowledged(&self) -> u32 {
        self.carrier.unacknowledged()
    }

    /// Another handle on the socket, to shut it down from another thread.
    ///
    /// # Errors
    /// If the process is out of descriptors; `Unsupported` without a socket.
    pub fn handle(&self) -> io::Result<TcpStream> {
        let socket = self.carrier.socket();
        socket.ok_or(io::ErrorKind::Unsupported)?.try_clone()
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// If the stream breaks or the peer is silent for too long.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        // SAFETY: `bytes` is borrowed for the call.
        self.send_parts(std::iter::once(unsafe {
            Segment::new(bytes.as_ptr(), bytes.len())
        }))
    }

    /// Sends parts, one after the other, with as few system calls as the kernel allows.
    ///
    /// # Errors
    /// If the stream breaks or the peer is silent for too long.
    pub fn send_parts(
        &mut self,
        parts: impl Iterator<Item = Segment>,
    ) -> Result<(), TransportError> {
        let mut entries = std::mem::take(&mut self.scratch.0);
        entries.extend(parts.map(|part| iovec(part.start(), part.len())));
        let slowdown = self.slowdown;
        let done = slowdown.around(|| self.send_entries(&mut entries));
        entries.clear();
        self.scratch.0 = entries;
        done
    }

    fn send_entries(&mut self, mut left: &mut [libc::iovec]) -> Result<(), TransportError> {
        left = advance(left, 0);
        while !left.is_empty() {
            // SAFETY: every entry came from a `Segment`, whose maker promised that its memory is
            // readable for as long as it is used.
            let count = unsafe { self.carrier.send(left) };
            self.count(
                Calls {
                    sends: 1,
                    receives: 0,
                },
                count.max(0) as usize,
                0,
            );
            if count < 0 {
                self.failed("sending to")?;
                continue;
            }
            left = advance(left, count as usize);
        }
        Ok(())
    }

    /// Receives exactly `len` bytes into raw memory.
    ///
    /// # Errors
    /// If the stream ends or breaks, or the peer is silent for too long.
    ///
    /// # Safety
    /// Each segment must name memory that is valid for writes, that no reference points at and
    /// that nothing else accesses during the call.
    pub unsafe fn receive_vectored(
        &mut self,
        segments: &[Segment],
        within: &'static str,
    ) -> Result<(), TransportError> {
        let mut entries = std::mem::take(&mut self.scratch.0);
        entries.extend(segments.iter().map(|s| iovec(s.start(), s.len())));
        // SAFETY: the caller vouches for the memory.
        let done = unsafe { self.receive_entries(&mut entries, within) };
        entries.clear();
        self.scratch.0 = entries;
        done
    }

    /// # Safety
    /// As [`Connection::receive_vectored`].
    unsafe fn receive_entries(
        &mut self,
        mut left: &mut [libc::iovec],
        within: &'static str,
    ) -> Result<(), TransportError> {
        left = advance(left, 0);
        while !left.is_empty() {
            // SAFETY: the caller vouches for the memory.
            let count = unsafe { self.receive_once(left, true, within)? };
            left = advance(left, count);
        }
        Ok(())
    }

    /// One successful call: at least one byte. With `all` it waits for as many as the entries hold.
    ///
    /// # Safety
    /// As [`Connection::receive_vectored`].
    unsafe fn receive_once(
        &mut self,
        entries: &mut [libc::iovec],
        all: bool,
        within: &'static str,
    ) -> Result<usize, TransportError> {
        loop {
            // SAFETY: the caller vouches for the memory.
            let count = unsafe { self.carrier.receive(entries, all) };
            self.count(
                Calls {
                    sends: 0,
                    receives: 1,
                },
                0,
                count.max(0) as usize,
            );
            if count < 0 {
                self.failed("receiving from")?;
                continue;
            }
            if count == 0 {
                return Err(TransportError::Closed {
                    stream: self.stream,
                    peer: self.peer,
                    within,
                });
            }
            return Ok(count as usize);
        }
    }

    /// Receives what has come, at least one byte and at most as many as `buffer` holds; says how
    /// many. `buffer` is not empty.
    ///
    /// # Errors
    /// As [`Connection::receive_vectored`].
    pub fn receive_some(
        &mut self,
        buffer: &mut [u8],
        within: &'static str,
    ) -> Result<usize, TransportError> {
        let entry = iovec(buffer.as_mut_ptr().cast_const(), buffer.len());
        // SAFETY: `buffer` is borrowed mutably for the call, so nothing else accesses it.
        unsafe { self.receive_once(&mut [entry], false, within) }
    }

    /// Receives exactly as many bytes as `buffer` holds.
    ///
    /// # Errors
    /// As [`Connection::receive_vectored`].
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        within: &'static str,
    ) -> Result<(), TransportError> {
        // SAFETY: `buffer` is borrowed for the call, which is all that the segment is used for.
        let segment = unsafe { Segment::new(buffer.as_mut_ptr().cast_const(), buffer.len()) };
        // SAFETY: `buffer` is borrowed mutably for the call, so nothing else accesses it.
        unsafe { self.receive_vectored(&[segment], within) }
    }

    /// Ends the sending direction, so that the peer sees the end of the stream.
    pub fn finish(&self) {
        if let Some(socket) = self.carrier.socket() {
            // The peer may have closed first; then there is nothing left to end.
            let _ = socket.shutdown(std::net::Shutdown::Write);
        }
    }

    fn failed(&mut self, doing: &'static str) -> Result<(), TransportError> {
        let source = io::Error::last_os_error();
        if let Carrier::Secured(secured) = &mut self.carrier
            && let Some(broken) = secured.failure()
        {
            return Err(broken.of(self.stream, self.peer, doing));
        }
        match source.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::WouldBlock => Err(TransportError::Silent {
                stream: self.stream,
                peer: self.peer,
                doing: if doing == "sending to" {
                    "it had data to receive"
                } else {
                    "its data was awaited"
                },
                limit: self.limit,
            }),
            _ => Err(TransportError::Io {
                stream: self.stream,
                peer: self.peer,
                doing,
                source,
            }),
        }
    }

    /// For benches and tests: both ends, the source's first, of a connection that is queues in memory: for a source and a
    /// destination that take turns in one thread. What was sent waits in memory, in any amount;
    /// each direction has room for `capacity` bytes from the start. Receiving more than waits is
    /// as if the peer had closed.
    pub fn in_memory(stream: u32, capacity: usize) -> [Connection; 2] {
        let [source, destination] = Queues::pair(capacity).map(Carrier::Queues);
        [(source, "destination"), (destination, "source")]
            .map(|(end, peer)| Connection::over(end, stream, peer, Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_arrives_in_order_and_nothing_else() {
        let [mut near, mut far] = Connection::in_memory(3, 4);
        near.send(b"more than the room at first").unwrap();
        let mut some = [0; 9];
        far.receive(&mut some, "a test").unwrap();
        assert_eq!(&some, b"more than");
        near.send(b"!").unwrap();
        far.send(b"back").unwrap();
        let mut rest = [0; 19];
        far.receive(&mut rest, "a test").unwrap();
        assert_eq!(&rest, b" the room at first!");
        let mut back = [0; 4];
        near.receive(&mut back, "a test").unwrap();
        assert_eq!(&back, b"back");
        assert_eq!((near.sent(), far.received()), (28, 28));
        let error = far.receive(&mut [0], "a test").unwrap_err();
        let TransportError::Closed { stream, peer, .. } = error else {
            panic!("{error}");
        };
        assert_eq!((stream, peer), (3, "source"));
        assert!(near.handle().is_err(), "there is no socket");
    }
}
