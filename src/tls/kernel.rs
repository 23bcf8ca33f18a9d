//! TLS in the kernel: the handshake is s2n-tls's, then the socket seals and opens by itself.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use s2n_tls_sys as s2n;

use super::connection::Tls;
use super::io::set_errno;
use super::library::last_failure;
use crate::transport::{self, Broken, Calls, Moved, Negotiated, Secured, Watched};

/// What the kernel's records hold at most, bytes, and what each has beyond its content: header, content
/// type, tag. A call's last record is as long as what is left.
const RECORD: usize = 16 << 10;
const OVERHEAD: usize = 5 + 1 + 16;
/// Records that a key may seal: where s2n-tls changes it (RFC 8446, 5.5), the kernel would go on.
const MOST_RECORDS: u64 = 23_726_565;

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
    /// Sent since it took over.
    records: u64,
}

/// Hands an established connection to the kernel.
pub(super) fn take_over(tls: Tls) -> Result<Box<dyn Secured>, String> {
    let connection = tls.handle.0.as_ptr();
    // SAFETY: the connection is whole, its handshake done on this socket, and nothing read ahead.
    let done = unsafe {
        s2n::s2n_connection_ktls_enable_send(connection) == 0
            && s2n::s2n_connection_ktls_enable_recv(connection) == 0
    };
    if !done {
        return Err(format!("TLS in the kernel: {:?}", last_failure()));
    }
    // SAFETY: both calls read a count of the connection's.
    let (sent, received) = unsafe {
        (
            s2n::s2n_connection_get_wire_bytes_out(connection),
            s2n::s2n_connection_get_wire_bytes_in(connection),
        )
    };
    Ok(Box::new(KernelTls {
        tls,
        // Of the handshake; its calls are the library's own, which nobody counts.
        moved: Moved {
            sent,
            received,
            calls: Calls::default(),
        },
        records: 0,
    }))
}

/// Records that were sent once `content` bytes more are; `None` if that is more than a key may seal.
fn records_after(sent: u64, content: usize) -> Option<u64> {
    let records = sent + content.div_ceil(RECORD) as u64;
    (records <= MOST_RECORDS).then_some(records)
}

/// Bytes on the wire of content that one call takes.
fn on_the_wire(content: usize) -> u64 {
    (content + content.div_ceil(RECORD) * OVERHEAD) as u64
}

impl Secured for KernelTls {
    unsafe fn send(&mut self, entries: &mut [libc::iovec]) -> isize {
        let content = entries.iter().map(|entry| entry.iov_len).sum();
        if records_after(self.records, content).is_none() {
            let reason = format!("TLS in the kernel: a key may seal {MOST_RECORDS} records");
            self.tls.failure = Some(Broken::Failed(reason));
            set_errno(libc::EBADMSG);
            return -1;
        }
        // SAFETY: the caller vouches for the memory.
        let count = unsafe { transport::send(&self.tls.io.socket, entries) };
        let sent = count.max(0) as usize;
        self.records += sent.div_ceil(RECORD) as u64;
        self.moved.calls.sends += 1;
        self.moved.sent += on_the_wire(sent);
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
            let reason = format!("TLS in the kernel: {error}");
            self.tls.failure = Some(Broken::NotAuthentic(reason));
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

    fn failure(&mut self) -> Option<Broken> {
        self.tls.failure.take()
    }

    fn watch(&mut self, _: bool) -> Option<Watched> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_seals_no_more_records_than_it_may() {
        let left = 2;
        let sent = MOST_RECORDS - left;
        assert_eq!(records_after(sent, 0), Some(sent));
        assert_eq!(records_after(sent, RECORD + 1), Some(MOST_RECORDS));
        assert_eq!(records_after(sent, 2 * RECORD + 1), None);
        assert_eq!(records_after(MOST_RECORDS, 1), None);
    }

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
