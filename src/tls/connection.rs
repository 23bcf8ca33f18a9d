//! A connection of s2n-tls's over a socket.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use s2n_tls_sys as s2n;

use super::library::{self, Failure, last_failure};
use crate::error::{Error, Result};
use crate::machine::clock::thread_cpu_ns;
use crate::transport::{self, Moved, Negotiated, Secured, SocketTime, iovec};

/// The versions and suites that are offered: TLS 1.3 alone.
const POLICY: &CStr = c"AWS-CRT-SDK-TLSv1.3";
/// The suite that is left of them by the key.
const SUITE: &str = "TLS_AES_256_GCM_SHA384";
/// The library's number for TLS 1.3.
const TLS13: c_int = 34;
/// Sealed records that go to the socket in one call, bytes.
const SEND_BUFFER: u32 = 256 << 10;
/// What is received ahead of what the library asks for, bytes at most.
const AHEAD: usize = 256 << 10;

/// Which end of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The source.
    Client,
    /// The destination.
    Server,
}

/// The library's connection, freed with it.
#[derive(Debug)]
pub(super) struct Handle(pub(super) NonNull<s2n::s2n_connection>);

// SAFETY: a connection is tied to no thread; it is used through exclusive borrows of its owner.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made by the library and is freed nowhere else.
        unsafe { s2n::s2n_connection_free(self.0.as_ptr()) };
    }
}

/// The library's configuration, freed after the connections that use it.
#[derive(Debug)]
struct Config(NonNull<s2n::s2n_config>);

// SAFETY: as a connection.
unsafe impl Send for Config {}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: it was made by the library and is freed nowhere else; its connection is gone.
        unsafe { s2n::s2n_config_free(self.0.as_ptr()) };
    }
}

/// A key as the library has it; connections copy it.
struct Psk(NonNull<s2n::s2n_psk>);

impl Drop for Psk {
    fn drop(&mut self) {
        let mut psk = self.0.as_ptr();
        // SAFETY: it was made by the library and is freed nowhere else.
        unsafe { s2n::s2n_psk_free(&raw mut psk) };
    }
}

/// An established connection. Fields are dropped in this order.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) handle: Handle,
    config: Option<Config>,
    pub(super) io: Box<Io>,
    pub(super) negotiated: Negotiated,
    pub(super) failure: Option<String>,
}

/// The socket, as the library's callbacks use it.
#[derive(Debug)]
pub(super) struct Io {
    pub(super) socket: TcpStream,
    /// Received and not yet asked for: from `start` to `end`.
    ahead: Vec<u8>,
    start: usize,
    end: usize,
    moved: Moved,
    watched: bool,
    time: SocketTime,
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
            time: SocketTime::default(),
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
unsafe extern "C" fn send(io: *mut c_void, bytes: *const u8, len: u32) -> c_int {
    // SAFETY: the context is the box of the connection's owner, which is in a call of the library's.
    let io = unsafe { &mut *io.cast::<Io>() };
    let mut entry = [iovec(bytes, len as usize)];
    // SAFETY: the library's buffer holds `len` bytes.
    let count = io.call(|io| unsafe { transport::send(&io.socket, &mut entry) });
    io.moved.calls.sends += 1;
    io.moved.sent += count.max(0) as u64;
    count as c_int
}

/// What the library opens comes from the socket, more at a time than it asks for.
unsafe extern "C" fn receive(io: *mut c_void, to: *mut u8, len: u32) -> c_int {
    // SAFETY: as in `send`.
    let io = unsafe { &mut *io.cast::<Io>() };
    let len = len as usize;
    if io.start == io.end {
        let count = io.call(|io| {
            let mut entries = [iovec(to, len), iovec(io.ahead.as_ptr(), io.ahead.len())];
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

fn set_errno(code: c_int) {
    // SAFETY: the address of a variable of this thread's.
    unsafe { *libc::__errno_location() = code };
}

impl Tls {
    /// A connection whose handshake is still to be made: with a key and its identity.
    ///
    /// # Errors
    /// If the library has no memory for it.
    pub(super) fn set_up(
        end: End,
        socket: TcpStream,
        (key, identity): (&[u8], &[u8]),
        kernel: bool,
    ) -> Result<Tls> {
        library::start();
        let mode = match end {
            End::Client => s2n::s2n_mode::CLIENT,
            End::Server => s2n::s2n_mode::SERVER,
        };
        let failed = || Error::CannotRun(format!("setting up TLS: {:?}", last_failure()));
        let done = |code: c_int| if code == 0 { Ok(()) } else { Err(failed()) };
        // SAFETY: takes a number, gives a connection or none.
        let handle = NonNull::new(unsafe { s2n::s2n_connection_new(mode) }).ok_or_else(failed)?;
        // SAFETY: takes nothing, gives a configuration or none.
        let config = unsafe { s2n::s2n_config_new_minimal() };
        let config = NonNull::new(config).map(Config).ok_or_else(failed);
        let mut tls = Tls {
            handle: Handle(handle),
            config: None,
            io: Box::new(Io::new(socket)),
            negotiated: Negotiated {
                protocol: String::new(),
                cipher: String::new(),
                handshake: Default::default(),
            },
            failure: None,
        };
        let (connection, config) = (handle.as_ptr(), tls.config.insert(config?).0.as_ptr());
        let io: *mut c_void = (&raw mut *tls.io).cast();
        // SAFETY: both objects were made just now; `io` lives in a box that the connection's owner
        // keeps until the connection is gone, and the callbacks take it for what it is.
        unsafe {
            done(s2n::s2n_config_set_cipher_preferences(
                config,
                POLICY.as_ptr(),
            ))?;
            done(s2n::s2n_config_set_send_buffer_size(config, SEND_BUFFER))?;
            if kernel {
                done(s2n::s2n_config_ktls_enable_unsafe_tls13(config))?;
            }
            done(s2n::s2n_connection_set_config(connection, config))?;
            // A failed record ends the migration: there is nothing to wait for.
            let blinding = s2n::s2n_blinding::SELF_SERVICE_BLINDING;
            done(s2n::s2n_connection_set_blinding(connection, blinding))?;
            done(s2n::s2n_connection_prefer_throughput(connection))?;
            if kernel {
                let fd = tls.io.socket.as_raw_fd();
                done(s2n::s2n_connection_set_fd(connection, fd))?;
            } else {
                done(s2n::s2n_connection_set_recv_cb(connection, Some(receive)))?;
                done(s2n::s2n_connection_set_recv_ctx(connection, io))?;
                done(s2n::s2n_connection_set_send_cb(connection, Some(send)))?;
                done(s2n::s2n_connection_set_send_ctx(connection, io))?;
            }
            let psk = s2n::s2n_external_psk_new();
            let mut psk = NonNull::new(psk).map(Psk).ok_or_else(failed)?;
            let shared = psk.0.as_ptr();
            let (identity_len, key_len) = (identity.len() as u16, key.len() as u16);
            done(s2n::s2n_psk_set_identity(
                shared,
                identity.as_ptr(),
                identity_len,
            ))?;
            done(s2n::s2n_psk_set_secret(shared, key.as_ptr(), key_len))?;
            done(s2n::s2n_psk_set_hmac(shared, s2n::s2n_psk_hmac::SHA384))?;
            done(s2n::s2n_connection_append_psk(connection, psk.0.as_mut()))?;
        }
        Ok(tls)
    }

    /// Makes the handshake.
    pub(super) fn handshake(&mut self) -> std::result::Result<(), Failure> {
        let mut blocked = 0;
        library::forget_failure();
        // SAFETY: the connection is whole, and nobody else uses it.
        match unsafe { s2n::s2n_negotiate(self.handle.0.as_ptr(), &raw mut blocked) } {
            0 => Ok(()),
            _ => Err(last_failure()),
        }
    }

    /// What was agreed on, if it is what was asked for.
    pub(super) fn agreed(&mut self) -> std::result::Result<Negotiated, String> {
        let connection = self.handle.0.as_ptr();
        let mut identity = 0;
        // SAFETY: the connection is whole; the texts live as long as the program.
        let (version, suite, has_key) = unsafe {
            let name = s2n::s2n_connection_get_cipher(connection);
            let suite = match name.is_null() {
                true => String::new(),
                false => CStr::from_ptr(name).to_string_lossy().into_owned(),
            };
            let version = s2n::s2n_connection_get_actual_protocol_version(connection);
            let told = s2n::s2n_connection_get_negotiated_psk_identity_length(
                connection,
                &raw mut identity,
            );
            (version, suite, told == 0 && identity > 0)
        };
        if version != TLS13 || suite != SUITE || !has_key {
            let key = if has_key { "with" } else { "without" };
            return Err(format!(
                "the peer agreed on version {version}, {suite}, {key} the migration's key, where TLS 1.3, \
                 {SUITE} with it was due"
            ));
        }
        Ok(Negotiated {
            protocol: "TLSv1.3".to_owned(),
            cipher: suite,
            handshake: Default::default(),
        })
    }

    /// Puts a failure where a socket call has it.
    fn failed(&mut self) -> isize {
        // Before anything else is called.
        let source = io::Error::last_os_error();
        match last_failure() {
            Failure::Blocked => set_errno(libc::EAGAIN),
            Failure::Io => set_errno(source.raw_os_error().unwrap_or(libc::EIO)),
            Failure::Closed => return 0,
            Failure::Refused(reason) => {
                self.failure = Some(format!("TLS: {reason}"));
                set_errno(libc::EBADMSG);
            }
        }
        -1
    }
}

impl Secured for Tls {
    unsafe fn send(&mut self, entries: &mut [libc::iovec]) -> isize {
        let mut blocked = 0;
        library::forget_failure();
        // SAFETY: the caller vouches for the memory, which the library reads once.
        let sent = unsafe {
            s2n::s2n_sendv(
                self.handle.0.as_ptr(),
                entries.as_ptr().cast(),
                entries.len() as isize,
                &raw mut blocked,
            )
        };
        if sent >= 0 {
            return sent;
        }
        match self.failed() {
            0 => {
                set_errno(libc::EPIPE);
                -1
            }
            failed => failed,
        }
    }

    unsafe fn receive(&mut self, entries: &mut [libc::iovec]) -> isize {
        let Some(first) = entries.first() else {
            return 0;
        };
        let mut blocked = 0;
        library::forget_failure();
        // SAFETY: the caller vouches for the memory.
        let received = unsafe {
            s2n::s2n_recv(
                self.handle.0.as_ptr(),
                first.iov_base,
                first.iov_len as isize,
                &raw mut blocked,
            )
        };
        if received >= 0 {
            received
        } else {
            self.failed()
        }
    }

    fn socket(&self) -> &TcpStream {
        &self.io.socket
    }

    fn moved(&self) -> Moved {
        self.io.moved
    }

    fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    fn failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    fn watch(&mut self, on: bool) -> Option<SocketTime> {
        self.io.watched = on;
        Some(std::mem::take(&mut self.io.time))
    }
}
