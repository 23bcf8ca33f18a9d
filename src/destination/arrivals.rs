//! Connections to the destination's port: the migration's streams, and strangers.
//!
//! Whoever connects and does not send this migration's preamble in time is dropped and counted, so
//! that a port scan, or a connection that was meant for an earlier migration, ends nothing.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::results::Warning;
use crate::wire::{PREAMBLE_LEN, Preamble};

/// Connections whose preamble is awaited at most; then the oldest is dropped.
const MOST_WAITING: usize = 256;

/// The listening side of a migration, until all its streams are there.
pub struct Arrivals {
    listener: TcpListener,
    /// That of stream 0.
    expected: Preamble,
    /// How long a connection may take to send its preamble.
    silence: Duration,
    waiting: Vec<Waiting>,
    /// Streams that have come.
    here: Vec<bool>,
    strangers: u64,
}

/// A connection whose preamble has not all come.
struct Waiting {
    socket: TcpStream,
    bytes: [u8; PREAMBLE_LEN],
    had: usize,
    until: Instant,
}

/// What became of a connection.
enum Came {
    /// More is awaited.
    Waits,
    /// Its preamble.
    Whole,
    /// It ended or broke.
    Gone,
}

impl Arrivals {
    /// Waits at `listener` for the streams of the migration of which `expected` is a preamble; each
    /// connection may take `silence` for its own.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(listener: TcpListener, expected: Preamble, silence: Duration) -> io::Result<Self> {
        // A connection can be gone again before it is accepted.
        listener.set_nonblocking(true)?;
        Ok(Arrivals {
            listener,
            expected,
            silence,
            waiting: Vec::new(),
            here: vec![false; expected.streams as usize],
            strangers: 0,
        })
    }

    /// The next stream that comes, each once, with its preamble read.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if none comes before the deadline, or what the operating system says.
    pub fn next(&mut self, deadline: Instant) -> io::Result<(Preamble, TcpStream)> {
        loop {
            // In the order in which they came, so that places in the list are true.
            let mut at = 0;
            while at < self.waiting.len() {
                match self.waiting[at].look() {
                    Came::Waits => at += 1,
                    Came::Gone => self.drop_stranger(at),
                    Came::Whole => match self.admit(&self.waiting[at].bytes) {
                        Some(preamble) => {
                            let socket = self.waiting.remove(at).socket;
                            socket.set_nonblocking(false)?;
                            self.here[preamble.stream as usize] = true;
                            return Ok((preamble, socket));
                        }
                        None => self.drop_stranger(at),
                    },
                }
            }
            let now = Instant::now();
            if now >= deadline {
                let text = match self.strangers + self.waiting.len() as u64 {
                    0 => "none came".to_owned(),
                    1 => "one came that was not the source's".to_owned(),
                    strangers => format!("{strangers} came that were not the source's"),
                };
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            let next = self.waiting.iter().map(|waiting| waiting.until).min();
            let until = next.map_or(deadline, |next| next.min(deadline));
            if self.wait(until.saturating_duration_since(now))? {
                self.accept()?;
            }
        }
    }

    /// What is to be said of connections that were not the source's, if there were any.
    pub fn warning(self) -> Option<Warning> {
        let strangers = self.strangers + self.waiting.len() as u64;
        (strangers > 0).then(|| Warning {
            code: "strangers".to_owned(),
            message: format!(
                "{strangers} connection{} to the destination's port did not belong to the migration \
                 and were dropped",
                if strangers == 1 { "" } else { "s" }
            ),
            remedy: "let the source alone reach the port (--listen, a firewall)".to_owned(),
        })
    }

    /// Waits until something happens; whether somebody connects.
    fn wait(&self, limit: Duration) -> io::Result<bool> {
        let mut polled = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let sockets = self.waiting.iter().map(|waiting| &waiting.socket);
        polled.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::IN)));
        // A limit beyond what the kernel can express is none. A started millisecond counts.
        let limit = limit.saturating_add(Duration::from_millis(1));
        match poll(&mut polled, Timespec::try_from(limit).ok().as_ref()) {
            Ok(_) => Ok(!polled[0].revents().is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        let socket = match self.listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        if self.waiting.len() == MOST_WAITING {
            self.drop_stranger(0);
        }
        self.waiting.push(Waiting {
            socket,
            bytes: [0; PREAMBLE_LEN],
            had: 0,
            until: Instant::now() + self.silence,
        });
        Ok(())
    }

    /// The preamble, if it is that of a stream of this migration that has not come yet.
    fn admit(&self, bytes: &[u8; PREAMBLE_LEN]) -> Option<Preamble> {
        let preamble = Preamble::decode(bytes).ok()?;
        let expected = Preamble {
            stream: preamble.stream,
            ..self.expected
        };
        (preamble == expected && !self.here[preamble.stream as usize]).then_some(preamble)
    }

    fn drop_stranger(&mut self, at: usize) {
        self.waiting.remove(at);
        self.strangers += 1;
    }
}

impl Waiting {
    /// Reads what there is of the preamble, and nothing behind it.
    fn look(&mut self) -> Came {
        while self.had < PREAMBLE_LEN {
            match self.socket.read(&mut self.bytes[self.had..]) {
                Ok(0) => return Came::Gone,
                Ok(count) => self.had += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return match Instant::now() < self.until {
                        true => Came::Waits,
                        false => Came::Gone,
                    };
                }
                Err(_) => return Came::Gone,
            }
        }
        Came::Whole
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const EXPECTED: Preamble = Preamble {
        migration_id: 0x5eed,
        stream: 0,
        streams: 2,
    };

    fn arrivals(silence: Duration) -> (Arrivals, impl Fn(&[u8]) -> TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = move |bytes: &[u8]| {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(bytes).unwrap();
            socket
        };
        (Arrivals::new(listener, EXPECTED, silence).unwrap(), connect)
    }

    fn stream(stream: u32) -> [u8; PREAMBLE_LEN] {
        Preamble { stream, ..EXPECTED }.encode()
    }

    fn ended(mut socket: &TcpStream) -> bool {
        !matches!(socket.read(&mut [0]), Ok(1..))
    }

    #[test]
    fn strangers_are_dropped_and_counted_and_the_streams_come_all_the_same() {
        let (mut arrivals, connect) = arrivals(Duration::from_secs(60));
        let later = Instant::now() + Duration::from_secs(60);
        let other = Preamble {
            migration_id: 7,
            ..EXPECTED
        };
        let more = Preamble {
            streams: 3,
            ..EXPECTED
        };
        let strangers = [
            connect(b"GET / HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\r\n"),
            connect(&other.encode()),
            connect(&more.encode()),
        ];
        drop(connect(b""));
        drop(connect(&stream(1)[..17]));
        // These two say nothing, or not all, and stay.
        let _silent = [connect(b""), connect(&stream(1)[..39])];
        let _first = connect(&[&stream(1)[..], b"behind"].concat());
        let (preamble, mut socket) = arrivals.next(later).unwrap();
        assert_eq!(preamble.stream, 1);
        let mut behind = [0; 6];
        socket.read_exact(&mut behind).unwrap();
        assert_eq!(&behind, b"behind", "nothing behind the preamble is lost");
        // The same stream again is nobody's.
        let again = connect(&stream(1));
        let _second = connect(&stream(0));
        assert_eq!(arrivals.next(later).unwrap().0.stream, 0);
        assert!(strangers.iter().chain([&again]).all(ended));
        let text = arrivals.warning().unwrap().message;
        assert!(text.starts_with("8 connections"), "{text}");
    }

    #[test]
    fn a_preamble_in_drips_has_one_deadline() {
        // None of it has passed, or all of it: nothing is measured.
        let (mut arrivals, connect) = arrivals(Duration::ZERO);
        let _stranger = connect(&stream(0)[..39]);
        let (mut long, connect_long) = super::tests::arrivals(Duration::from_secs(60));
        let mut drips = connect_long(&[]);
        let sent = std::thread::spawn(move || {
            stream(0)
                .iter()
                .for_each(|byte| drips.write_all(&[*byte]).unwrap());
            drips
        });
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(long.next(later).unwrap().0.stream, 0);
        drop(sent.join().unwrap());
        let error = arrivals
            .next(Instant::now() + Duration::from_millis(50))
            .unwrap_err();
        assert_eq!(error.to_string(), "one came that was not the source's");
        assert!(long.warning().is_none());
    }

    #[test]
    fn more_than_can_wait_are_dropped_and_the_stream_is_still_found() {
        let (mut arrivals, connect) = arrivals(Duration::from_secs(60));
        let later = Instant::now() + Duration::from_secs(60);
        // Each is accepted before the next one comes, so that the listener's queue never fills.
        let silent: Vec<TcpStream> = (0..MOST_WAITING + 50)
            .map(|_| {
                let socket = connect(b"x");
                while !arrivals.wait(Duration::from_secs(60)).unwrap() {}
                arrivals.accept().unwrap();
                socket
            })
            .collect();
        assert_eq!(arrivals.waiting.len(), MOST_WAITING);
        let _stream = connect(&stream(1));
        assert_eq!(arrivals.next(later).unwrap().0.stream, 1);
        let text = arrivals.warning().unwrap().message;
        assert!(text.starts_with(&format!("{} ", silent.len())), "{text}");
    }
}
