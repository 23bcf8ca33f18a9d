//! A connection of s2n-tls's over a socket.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::time::Instant;

use s2n_tls_sys as s2n;

use super::io::{OwnIo, receive, send, set_errno};
use super::library::{self, Failure, last_failure};
use crate::error::{Error, Result};
use crate::machine::clock::thread_cpu_ns;
use crate::transport::{Broken, Clocked, Moved, Negotiated, Secured, Watched};

/// The versions and suites that are offered: TLS 1.3 alone.
const POLICY: &CStr = c"AWS-CRT-SDK-TLSv1.3";
/// The suite that is left of them by the key.
const SUITE: &str = "TLS_AES_256_GCM_SHA384";
/// The library's number for TLS 1.3.
const TLS13: c_int = 34;
/// Sealed records that go to the socket in one call, bytes.
const SEND_BUFFER: u32 = 256 << 10;
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
    pub(super) io: OwnIo,
    pub(super) negotiated: Negotiated,
    pub(super) failure: Option<Broken>,
    /// What clocks said of sealing.
    sealing: Clocked,
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
            io: OwnIo::new(socket),
            negotiated: Negotiated {
                protocol: String::new(),
                cipher: String::new(),
                handshake: Default::default(),
            },
            failure: None,
            sealing: Clocked::default(),
        };
        let (connection, config) = (handle.as_ptr(), tls.config.insert(config?).0.as_ptr());
        let io: *mut c_void = tls.io.context();
        // SAFETY: both objects were made just now; the connection's owner keeps `io` where it is until
        // the connection is gone, and the callbacks take it for what it is.
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

    /// Makes the handshake, all of it before the deadline: a peer that sends a byte now and then is no better
    /// than a silent one.
    pub(super) fn handshake(&mut self, until: Instant) -> std::result::Result<(), Failure> {
        let own = |_| Failure::Io;
        self.io.socket.set_nonblocking(true).map_err(own)?;
        loop {
            let mut blocked = 0;
            library::forget_failure();
            // SAFETY: the connection is whole, and nobody else uses it.
            match unsafe { s2n::s2n_negotiate(self.handle.0.as_ptr(), &raw mut blocked) } {
                0 => break,
                _ => match last_failure() {
                    Failure::Blocked => self.io.wait(blocked, until)?,
                    failure => return Err(failure),
                },
            }
        }
        self.io.socket.set_nonblocking(false).map_err(own)
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

    /// Seals and sends, with clocks read around it where they are to be.
    fn clocked(&mut self, send: impl FnOnce(&mut Tls) -> isize) -> isize {
        if !self.io.watched {
            return send(self);
        }
        let socket = self.io.time;
        let before = thread_cpu_ns();
        let sent = send(self);
        let errno = io::Error::last_os_error();
        let spent = thread_cpu_ns() - before;
        let within = self.io.time;
        // Of each pair of reads one counts here and one does not, also of those around socket calls.
        self.sealing.ns += spent.saturating_sub(within.ns - socket.ns);
        self.sealing.pairs += 1 + within.pairs - socket.pairs;
        set_errno(errno.raw_os_error().unwrap_or(0));
        sent
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
                self.failure = Some(Broken::NotAuthentic(format!("TLS: {reason}")));
                set_errno(libc::EBADMSG);
            }
            Failure::Failed(reason) => {
                self.failure = Some(Broken::Failed(format!("TLS: {reason}")));
                set_errno(libc::EBADMSG);
            }
        }
        -1
    }
}

impl Secured for Tls {
    unsafe fn send(&mut self, entries: &mut [libc::iovec]) -> isize {
        let sent = self.clocked(|tls| {
            let mut blocked = 0;
            library::forget_failure();
            // SAFETY: the caller vouches for the memory, which the library reads once.
            unsafe {
                s2n::s2n_sendv(
                    tls.handle.0.as_ptr(),
                    entries.as_ptr().cast(),
                    entries.len() as isize,
                    &raw mut blocked,
                )
            }
        });
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

    fn failure(&mut self) -> Option<Broken> {
        self.failure.take()
    }

    fn watch(&mut self, on: bool) -> Option<Watched> {
        self.io.watched = on;
        Some(Watched {
            socket: std::mem::take(&mut self.io.time),
            sealing: std::mem::take(&mut self.sealing),
        })
    }
}
