//! Connections within this process.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use super::SILENCE;

/// Two ends of a connection within this process.
pub fn pair() -> (TcpStream, TcpStream) {
    static LISTENER: OnceLock<TcpListener> = OnceLock::new();
    let listener = LISTENER.get_or_init(|| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = listener.local_addr().expect("bound");
    let there = TcpStream::connect(address).expect("it listens");
    let (here, _) = listener.accept().expect("it connected");
    assert_eq!(
        here.peer_addr().expect("connected"),
        there.local_addr().expect("connected"),
        "one connection is made at a time"
    );
    there.set_write_timeout(Some(SILENCE)).expect("a socket");
    // Closed by a reset: thousands of connections would use up the ports for a minute.
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    for socket in [&here, &there] {
        // SAFETY: the descriptor is open, and the option is a `linger` of the size given.
        let status = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of::<libc::linger>() as libc::socklen_t,
            )
        };
        assert_eq!(status, 0);
    }
    (here, there)
}

/// What has arrived.
pub fn drain(socket: &mut TcpStream) -> Vec<u8> {
    socket.set_nonblocking(true).expect("a socket");
    let mut bytes = Vec::new();
    // It ends with nothing left, or with the end of the stream.
    let _ = socket.read_to_end(&mut bytes);
    bytes
}
