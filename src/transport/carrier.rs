//! What carries a connection's bytes: a socket, bare or with something that protects it, or a queue in
//! this process's memory.

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::queue::Queues;
use super::secured::Secured;

/// The most entries that the kernel takes in one vectored call.
const IOV_MAX: usize = 1024;

/// One end of what carries bytes.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A connected socket.
    Socket(TcpStream),
    /// What protects a socket.
    Secured(Box<dyn Secured>),
    /// Two queues, in benches and tests.
    Queues(Queues),
}

impl Carrier {
    /// Sends a part of `entries`, as `sendmsg` does: the bytes taken, negative for an error that
    /// stands in `errno`. Queues take all of it.
    ///
    /// # Safety
    /// Every entry must name readable memory.
    pub(super) unsafe fn send(&mut self, entries: &mut [libc::iovec]) -> isize {
        match self {
            Carrier::Socket(socket) => {
                // SAFETY: the caller vouches for the memory.
                unsafe { send(socket, entries) }
            }
            // SAFETY: the caller vouches for the memory.
            Carrier::Secured(secured) => unsafe { secured.send(entries) },
            // SAFETY: the caller vouches for the memory.
            Carrier::Queues(queues) => unsafe { queues.send(entries) },
        }
    }

    /// The socket, if there is one.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        match self {
            Carrier::Socket(socket) => Some(socket),
            Carrier::Secured(secured) => Some(secured.socket()),
            Carrier::Queues(_) => None,
        }
    }

    /// Bytes sent that the peer's kernel has not acknowledged; none in queues.
    pub(super) fn unacknowledged(&self) -> u32 {
        let mut bytes: libc::c_int = 0;
        if let Some(socket) = self.socket() {
            // SAFETY: the call writes one int.
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        }
        u32::try_from(bytes).unwrap_or(0)
    }

    /// Receives into `entries`, as `recvmsg` does: the bytes written, 0 at the end of the stream,
    /// negative for an error that stands in `errno`. With `all` a socket waits until the entries
    /// are full, otherwise until something has come.
    ///
    /// # Safety
    /// Every entry must name memory that is valid for writes and that nothing else accesses.
    pub(super) unsafe fn receive(&mut self, entries: &mut [libc::iovec], all: bool) -> isize {
        match self {
            Carrier::Socket(socket) => {
                // SAFETY: the caller vouches for the memory.
                unsafe { receive(socket, entries, all) }
            }
            // SAFETY: the caller vouches for the memory.
            Carrier::Secured(secured) => unsafe { secured.receive(entries) },
            // SAFETY: the caller vouches for the memory.
            Carrier::Queues(queues) => unsafe { queues.receive(entries) },
        }
    }
}

/// Sends a part of `entries`: the bytes that the kernel took, negative for an error in `errno`.
///
/// # Safety
/// Every entry must name readable memory.
pub unsafe fn send(socket: &TcpStream, entries: &mut [libc::iovec]) -> isize {
    let mut message = message(entries);
    // SAFETY: the caller vouches for the memory. The kernel only reads it.
    unsafe { libc::sendmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_NOSIGNAL) }
}

/// Receives into `entries`, until all are full or else until something has come: the bytes written, 0 at
/// the end of the stream, negative for an error in `errno`.
///
/// # Safety
/// Every entry must name memory that is valid for writes and that nothing else accesses.
pub unsafe fn receive(socket: &TcpStream, entries: &mut [libc::iovec], all: bool) -> isize {
    let mut message = message(entries);
    let flags = if all { libc::MSG_WAITALL } else { 0 };
    // SAFETY: the caller vouches for the memory.
    unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) }
}

/// How long ago data last came on a connection, by the kernel's account (`tcpi_last_data_recv`).
pub fn since_data(socket: &TcpStream) -> Option<Duration> {
    let info = tcp_info(socket)?;
    Some(Duration::from_millis(u64::from(info.tcpi_last_data_recv)))
}

/// The way to the peer of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Largest packet that it carries whole, as far as the kernel knows, bytes (`tcpi_pmtu`).
    pub mtu_bytes: u32,
    /// The kernel's smoothed estimate of the round trip (`tcpi_rtt`).
    pub rtt: Duration,
}

/// The way to the peer, by the kernel's account.
pub fn path(socket: &TcpStream) -> Option<Path> {
    let info = tcp_info(socket)?;
    Some(Path {
        mtu_bytes: info.tcpi_pmtu,
        rtt: Duration::from_micros(u64::from(info.tcpi_rtt)),
    })
}

fn tcp_info(socket: &TcpStream) -> Option<libc::tcp_info> {
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
    (done == 0).then_some(info)
}

fn message(left: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which zero means "absent".
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = left.as_mut_ptr();
    message.msg_iovlen = left.len().min(IOV_MAX) as _;
    message
}
