//! The socket of a connection, as the library's callbacks use it.

use std::ffi::{c_int, c_void};
use std::io;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use s2n_tls_sys as s2n;

use super::library::Failure;
use crate::machine::clock::thread_cpu_ns;
use crate::transport::{self, Clocked, Moved, iovec};

/// What is received ahead of what the library asks for, bytes at most.
const AHEAD: usize = 256 << 10;

/// An [`Io`] whose address the library's callbacks have, freed after the connection that calls them. It is
/// reached through a pointer alone: a box may not be moved while others have its address.
#[derive(Debug)]
pub(super) struct OwnIo(NonNull<Io>);

// SAFETY: what it points at is this value's alone, and may be sent.
unsafe impl Send for OwnIo {}

impl OwnIo {
    pub(super) fn new(socket: TcpStream) -> OwnIo {
        OwnIo(NonNull::from(Box::leak(Box::new(Io::new(socket)))))
    }

    /// What callbacks are given.
    pub(super) fn context(&self) -> *mut c_void {
        self.0.as_ptr().cast()
    }
}

impl Deref for OwnIo {
    type Target = Io;
    fn deref(&self) -> &Io {
        // SAFETY: it lives as long as this value; callbacks run within calls of the library's alone, which
        // are made with no borrow of it.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for OwnIo {
    fn deref_mut(&mut self) -> &mut Io {
        // SAFETY: as in `deref`, and this value is borrowed exclusively.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for OwnIo {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and the connection that had its address is gone.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The socket, as the library's callbacks use it.
#[derive(Debug)]
pub(super) struct Io {
    pub(super) socket: TcpStream,
    /// Received and not yet asked for: from `start` to `end`.
    ahead: Vec<u8>,
    start: usize,
    end: usize,
    pub(super) moved: Moved,
    /// Whether clocks are read around socket calls, and what they said.
    pub(super) watched: bool,
    pub(super) time: Clocked,
}

impl Io {
    fn new(socket: TcpStream) -> Io {
        Io {
            socket,
            ahead: vec![0xff; AHEAD],
            start: 0,
            end: 0,
            moved: Moved::default(),
            watched: false,
            time: Clocked::default(),
        }
    }

    /// Waits until the library can go on with what it was `blocked` on.
    pub(super) fn wait(
        &self,
        blocked: s2n::s2n_blocked_status::Type,
        until: Instant,
    ) -> std::result::Result<(), Failure> {
        let flag = match blocked {
            s2n::s2n_blocked_status::BLOCKED_ON_WRITE => PollFlags::OUT,
            _ => PollFlags::IN,
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::Blocked);
        }
        let mut polled = [PollFd::new(&self.socket, flag)];
        match poll(&mut polled, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => Err(Failure::Blocked),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => {
                set_errno(error.raw_os_error());
                Err(Failure::Io)
            }
        }
    }

    /// Makes a socket call, with clocks read around it where they are to be.
    fn call(&mut self, call: impl FnOnce(&mut Io) -> isize) -> isize {
        if !self.watched {
            return call(self);
        }
        let before = thread_cpu_ns();
        let count = call(self);
        let errno = io::Error::last_os_error();
        self.time.ns += thread_cpu_ns() - before;
        self.time.pairs += 1;
        set_errno(errno.raw_os_error().unwrap_or(0));
        count
    }
}

/// What the library seals goes to the socket.
pub(super) unsafe extern "C" fn send(io: *mut c_void, bytes: *const u8, len: u32) -> c_int {
    // SAFETY: the context is what the connection's owner keeps for it, which is in a call of the library's.
    let io = unsafe { &mut *io.cast::<Io>() };
    let mut entry = [iovec(bytes, len as usize)];
    // SAFETY: the library's buffer holds `len` bytes.
    let count = io.call(|io| unsafe { transport::send(&io.socket, &mut entry) });
    io.moved.calls.sends += 1;
    io.moved.sent += count.max(0) as u64;
    count as c_int
}

/// What the library opens comes from the socket, more at a time than it asks for.
pub(super) unsafe extern "C" fn receive(io: *mut c_void, to: *mut u8, len: u32) -> c_int {
    // SAFETY: as in `send`.
    let io = unsafe { &mut *io.cast::<Io>() };
    let len = len as usize;
    if io.start == io.end {
        let count = io.call(|io| {
            let ahead = iovec(io.ahead.as_mut_ptr().cast_const(), io.ahead.len());
            let mut entries = [iovec(to, len), ahead];
            // SAFETY: the library's buffer has room for `len` bytes, `ahead` is this connection's.
            unsafe { transport::receive(&io.socket, &mut entries, false) }
        });
        io.moved.calls.receives += 1;
        io.moved.received += count.max(0) as u64;
        (io.start, io.end) = (0, usize::try_from(count).unwrap_or(0).saturating_sub(len));
        return count.min(len as isize) as c_int;
    }
    let count = len.min(io.end - io.start);
    // SAFETY: the library's buffer has room for `len` bytes, and `ahead` is another.
    unsafe { to.copy_from_nonoverlapping(io.ahead[io.start..].as_ptr(), count) };
    io.start += count;
    count as c_int
}

pub(super) fn set_errno(code: c_int) {
    // SAFETY: the address of a variable of this thread's.
    unsafe { *libc::__errno_location() = code };
}
