//! TLS in the kernel: the handshake is s2n-tls's, then the socket seals and opens by itself.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use s2n_tls_sys as s2n;

use super::connection::Tls;
use super::library::last_failure;
use crate::transport::{self, Moved, Negotiated, Secured, SocketTime};

/// What the kernel's records hold at most, bytes, and what each has beyond its content: header, content
/// type, tag. A call's last record is as long as what is left.
const RECORD: usize = 16 << 10;
const OVERHEAD: usize = 5 + 1 + 16;

/// What this kernel lacks of it, in words; `None` if it has it.
pub fn kernel_lacks() -> Option<String> {
    let attached = || -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        let name = c"tls";
        // SAFETY: the kernel reads the name, of that length.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_ULP,
                name.as_ptr().cast(),
                name.count_bytes() as libc::socklen_t,
            )
        };
        match done {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    let error = attached().err()?;
    Some(format!(
        "the kernel has no TLS ({error}): CONFIG_TLS, or the module tls, is needed"
    ))
}

/// A socket whose kernel seals and opens.
#[derive(Debug)]
struct KernelTls {
    /// Keeps the library's side, and the socket.
    tls: Tls,
    moved: Moved,
}

/// Hands an established connection to the kernel.
pub(super) fn take_over(tls: Tls) -> Result<Box<dyn Secured>, String> {
    let connection = tls.handle.0.as_ptr();
    // SAFETY: the connection is whole, its handshake done on this socket, and nothing read ahead.
    let done = unsafe {
        s2n::s2n_connection_ktls_enable_send(connection) == 0
            && s2n::s2n_connection_ktls_enable_recv(connection) == 0
    };
    match done {
        true => Ok(Box::new(KernelTls {
            tls,
            moved: Moved::default(),
        })),
        false => Err(format!("TLS in the kernel: {:?}", last_failure())),
    }
}

/// Bytes on the wire of content that one call takes.
fn on_the_wire(content: usize) -> u64 {
    (content + content.div_ceil(RECORD) * OVERHEAD) as u64
}

impl Secured for KernelTls {
    unsafe fn send(&mut self, entries: &mut [libc::iovec]) -> isize {
        // SAFETY: the caller vouches for the memory.
        let count = unsafe { transport::send(&self.tls.io.socket, entries) };
        self.moved.calls.sends += 1;
        self.moved.sent += on_the_wire(count.max(0) as usize);
        count
    }

    unsafe fn receive(&mut self, entries: &mut [libc::iovec]) -> isize {
        // SAFETY: the caller vouches for the memory.
        let count = unsafe { transport::receive(&self.tls.io.socket, entries, false) };
        self.moved.calls.receives += 1;
        self.moved.received += count.max(0) as u64;
        // A record that does not open, or is no data.
        let bad = [libc::EBADMSG, libc::EIO, libc::EMSGSIZE, libc::EINVAL];
        let error = io::Error::last_os_error();
        if count < 0 && error.raw_os_error().is_some_and(|code| bad.contains(&code)) {
            self.tls.failure = Some(format!("TLS in the kernel: {error}"));
        }
        count
    }

    fn socket(&self) -> &TcpStream {
        &self.tls.io.socket
    }

    fn moved(&self) -> Moved {
        self.moved
    }

    fn negotiated(&self) -> &Negotiated {
        &self.tls.negotiated
    }

    fn failure(&mut self) -> Option<String> {
        self.tls.failure.take()
    }

    fn watch(&mut self, _: bool) -> Option<SocketTime> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_call_are_full_but_for_the_last() {
        for (content, records) in [
            (0, 0),
            (1, 1),
            (RECORD, 1),
            (RECORD + 1, 2),
            (768 << 10, 48),
        ] {
            assert_eq!(on_the_wire(content), (content + records * OVERHEAD) as u64);
        }
    }
}
