//! What carries a connection's bytes: a socket, or a queue in this process's memory.

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::message;

/// One end of what carries bytes.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A connected socket.
    Socket(TcpStream),
    /// Two queues.
    Memory(Memory),
}

impl Carrier {
    /// Sends a part of `entries`, as `sendmsg` does: the bytes taken, negative for an error that
    /// stands in `errno`. Queues take all of it.
    ///
    /// # Safety
    /// Every entry must name readable memory.
    pub(super) unsafe fn send(&self, entries: &mut [libc::iovec]) -> isize {
        match self {
            Carrier::Socket(socket) => {
                let mut message = message(entries);
                // SAFETY: the caller vouches for the memory. The kernel only reads it.
                unsafe { libc::sendmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_NOSIGNAL) }
            }
            // SAFETY: the caller vouches for the memory.
            Carrier::Memory(memory) => unsafe { memory.send(entries) },
        }
    }

    /// Bytes sent that the peer's kernel has not acknowledged; none in queues.
    pub(super) fn unacknowledged(&self) -> u32 {
        let mut bytes: libc::c_int = 0;
        if let Carrier::Socket(socket) = self {
            // SAFETY: the call writes one int.
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        }
        u32::try_from(bytes).unwrap_or(0)
    }

    /// Receives into `entries`, as `recvmsg` does: the bytes written, 0 at the end of the stream,
    /// negative for an error that stands in `errno`.
    ///
    /// # Safety
    /// Every entry must name memory that is valid for writes and that nothing else accesses.
    pub(super) unsafe fn receive(&self, entries: &mut [libc::iovec]) -> isize {
        match self {
            Carrier::Socket(socket) => {
                let mut message = message(entries);
                // SAFETY: the caller vouches for the memory.
                unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_WAITALL) }
            }
            // SAFETY: the caller vouches for the memory.
            Carrier::Memory(memory) => unsafe { memory.receive(entries) },
        }
    }
}

/// How long ago data last came on a connection, by the kernel's account (`tcpi_last_data_recv`).
pub fn since_data(socket: &TcpStream) -> Option<Duration> {
    // SAFETY: tcp_info is plain data for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the buffer is as long as `len` says; the kernel writes at most that.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    (done == 0).then(|| Duration::from_millis(u64::from(info.tcpi_last_data_recv)))
}

/// One end of two queues. An empty queue reads as the end of the stream: both ends belong to one
/// thread, so there is nobody who could fill it meanwhile.
#[derive(Debug)]
pub(super) struct Memory {
    outgoing: Arc<Mutex<Queue>>,
    incoming: Arc<Mutex<Queue>>,
}

impl Memory {
    /// Both ends; each queue has room for `capacity` bytes before it allocates.
    pub(super) fn pair(capacity: usize) -> [Memory; 2] {
        let queues = [(); 2].map(|()| Arc::new(Mutex::new(Queue::new(capacity))));
        let end = |outgoing: usize, incoming: usize| Memory {
            outgoing: queues[outgoing].clone(),
            incoming: queues[incoming].clone(),
        };
        [end(0, 1), end(1, 0)]
    }

    /// # Safety
    /// As [`Carrier::send`].
    unsafe fn send(&self, entries: &[libc::iovec]) -> isize {
        let mut queue = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = queue.bytes.len();
        for entry in entries {
            // SAFETY: the caller vouches for the memory.
            unsafe { queue.push(entry.iov_base.cast(), entry.iov_len) };
        }
        (queue.bytes.len() - before) as isize
    }

    /// # Safety
    /// As [`Carrier::receive`].
    unsafe fn receive(&self, entries: &[libc::iovec]) -> isize {
        let mut queue = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        for entry in entries {
            // SAFETY: the caller vouches for the memory.
            taken += unsafe { queue.pop(entry.iov_base.cast(), entry.iov_len) };
        }
        taken as isize
    }
}

/// Bytes that were sent and not yet received. Room is used again once all of them were.
#[derive(Debug)]
struct Queue {
    bytes: Vec<u8>,
    read: usize,
}

impl Queue {
    fn new(capacity: usize) -> Queue {
        Queue {
            bytes: crate::record::touched(capacity),
            read: 0,
        }
    }

    /// # Safety
    /// `from` must name `len` readable bytes outside this queue.
    unsafe fn push(&mut self, from: *const u8, len: usize) {
        self.bytes.reserve(len);
        let end = self.bytes.len();
        // SAFETY: there is room for `len` bytes, which the copy initialises. Through raw pointers,
        // because guest memory has no references.
        unsafe {
            self.bytes.as_mut_ptr().add(end).copy_from(from, len);
            self.bytes.set_len(end + len);
        }
    }

    /// # Safety
    /// `to` must name `len` bytes, valid for writes, outside this queue.
    unsafe fn pop(&mut self, to: *mut u8, len: usize) -> usize {
        let len = len.min(self.bytes.len() - self.read);
        // SAFETY: `len` bytes follow `read`, and `to` has room for them.
        unsafe { to.copy_from(self.bytes.as_ptr().add(self.read), len) };
        self.read += len;
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use crate::transport::{Connection, TransportError};

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
