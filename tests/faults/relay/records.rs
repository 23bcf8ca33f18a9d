//! Records as the relay reads them: this program's own, or TLS's.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use migtax::wire::PREFIX_LEN;

use super::fault::Way;

/// What stands before the content of a record of TLS's.
pub(super) const TLS_HEAD: usize = 5;
/// Its kinds: of a handshake in the clear, and of what is sealed.
const HANDSHAKE: u8 = 22;
const SEALED: u8 = 23;

/// How far a stream's TLS handshake is, if it begins with one.
#[derive(Default)]
pub(super) struct Tls {
    speaks: AtomicBool,
    /// The source's last message of it has passed: its first that is sealed.
    over: AtomicBool,
}

impl Tls {
    pub(super) fn is_handshake(&self, record: &[u8], way: Way) -> bool {
        if !self.speaks.load(Ordering::SeqCst) || self.over.load(Ordering::SeqCst) {
            return false;
        }
        if way == Way::ToDestination && record[0] == SEALED {
            self.over.store(true, Ordering::SeqCst);
        }
        true
    }
}

/// A record, and the length of what stands before its content.
pub(super) fn read_record(
    from: &mut TcpStream,
    tls: &Tls,
    way: Way,
) -> io::Result<(Vec<u8>, usize)> {
    let mut record = vec![0; TLS_HEAD];
    from.read_exact(&mut record)?;
    // A record of this program's own is no message of TLS 1.0, which a handshake's first one claims to be.
    if way == Way::ToDestination && record[..3] == [HANDSHAKE, 3, 1] {
        tls.speaks.store(true, Ordering::SeqCst);
    }
    let (head, body) = match tls.speaks.load(Ordering::SeqCst) {
        true => (
            TLS_HEAD,
            u16::from_be_bytes(record[3..5].try_into().unwrap()) as usize,
        ),
        false => (
            PREFIX_LEN,
            u32::from_le_bytes(record[..4].try_into().unwrap()) as usize,
        ),
    };
    record.resize(head + body, 0);
    from.read_exact(&mut record[TLS_HEAD..])?;
    Ok((record, head))
}

/// Takes TLS 1.3 out of a first message's list of versions: extension 43, which lists it alone.
pub(super) fn downgrade(hello: &mut [u8]) {
    let versions = [0, 43, 0, 3, 2, 3, 4];
    let at = hello
        .windows(versions.len())
        .position(|bytes| bytes == versions);
    let at = at.expect("a first message that offers TLS 1.3 alone");
    hello[at + versions.len() - 1] = 3;
}
