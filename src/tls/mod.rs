//! TLS 1.3 below the records of a stream, through s2n-tls with aws-lc under it.
//!
//! Both sides have a key of the migration's and authenticate each other by it, in a handshake with a
//! fresh exchange of keys (`psk_dhe_ke`); the stream's preamble is the key's identity, so that it is
//! authenticated too. The cipher suite is TLS_AES_256_GCM_SHA384 alone, since the key is one for
//! SHA-384. Records are as TLS has them, of 16 KiB at most.
//!
//! Page content goes by raw pointers: vCPUs write to it meanwhile. The library copies it once, to a buffer
//! of its own, and seals there, so what arrives is consistent (see [`crate::crypto`]).

mod connection;
mod io;
mod kernel;
mod library;

use std::net::TcpStream;
use std::time::Instant;

use crate::crypto::TlsKey;
use crate::machine::versions;
use crate::transport::{Broken, Secured, TransportError};
use connection::Tls;
use library::Failure;

pub use connection::End;
pub use kernel::kernel_lacks;
pub use library::start;

/// The library's version.
pub fn version() -> String {
    versions::of("s2n-tls-sys").join(", ")
}

/// What the streams of a migration need for their handshakes.
pub struct Keys {
    key: TlsKey,
    kernel: bool,
}

impl Keys {
    /// Of a migration's key; with `kernel` its records are sealed and opened in the kernel. Starts the library, which
    /// reads the system's authorities meanwhile: that belongs to the start of a host, not to a handshake.
    ///
    /// # Panics
    /// As [`start`].
    pub fn new(key: TlsKey, kernel: bool) -> Keys {
        start();
        Keys { key, kernel }
    }

    /// Does a stream's handshake on its socket, whose limits on silence are set: it takes no longer than that
    /// for receiving, in all. `identity` is the stream's preamble, which was sent before.
    ///
    /// # Errors
    /// If the peer ends it, is too slow, has another key, or offers less than it should; if the library fails.
    pub fn establish(
        &self,
        end: End,
        socket: TcpStream,
        identity: &[u8],
        (stream, peer): (u32, &'static str),
    ) -> std::result::Result<Box<dyn Secured>, TransportError> {
        let broken = |broken: Broken| broken.of(stream, peer, "TLS handshake with");
        let failed = |reason: String| broken(Broken::Failed(reason));
        let not_authentic = |reason: String| broken(Broken::NotAuthentic(reason));
        let limit = socket.read_timeout().ok().flatten().unwrap_or_default();
        let began = Instant::now();
        let mut tls = Tls::set_up(end, socket, (self.key.bytes(), identity), self.kernel)
            .map_err(|error| failed(error.to_string()))?;
        match tls.handshake(began + limit) {
            Ok(()) => {}
            Err(Failure::Closed) => {
                return Err(TransportError::Closed {
                    stream,
                    peer,
                    within: "in the TLS handshake",
                });
            }
            Err(Failure::Blocked) => {
                return Err(TransportError::Silent {
                    stream,
                    peer,
                    doing: "its part in the TLS handshake was awaited",
                    limit,
                });
            }
            Err(Failure::Io) => {
                return Err(TransportError::Io {
                    stream,
                    peer,
                    doing: "TLS handshake with",
                    source: std::io::Error::last_os_error(),
                });
            }
            Err(Failure::Refused(reason)) => {
                return Err(not_authentic(format!("TLS handshake: {reason}")));
            }
            Err(Failure::Failed(reason)) => return Err(failed(reason)),
        }
        tls.negotiated = tls.agreed().map_err(not_authentic)?;
        tls.negotiated.handshake = began.elapsed();
        match self.kernel {
            true => kernel::take_over(tls).map_err(failed),
            false => Ok(Box::new(tls)),
        }
    }
}
