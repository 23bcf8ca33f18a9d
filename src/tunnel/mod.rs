//! Real tunnels: OpenSSH or stunnel processes that carry the streams of a migration on loopback.
//!
//! ```text
//!  source ── socket ──► ssh -W, stunnel ══ 127.0.0.1 ══► sshd -i, stunnel ── 127.0.0.1 ──► destination
//!            (a pair)   one a stream                     started as inetd would
//! ```
//!
//! No program listens by itself: the destination does, on 127.0.0.1 and until all streams are open, and starts
//! a server for each connection; a client has a socket of the source's as its standard input and output. Each process has
//! the options of its side alone, no file of the user's or the system's, and keys that were made for this
//! migration, in a private folder in memory that is overwritten when the streams are through.

mod options;
mod process;
mod program;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::arm::Channel;
use crate::error::{Error, Result};
use crate::transport::Negotiated;
use process::Process;

pub use options::{AUTHORIZED, HOST_ALIAS, HOST_KEY, KNOWN, TunnelSpec, USER_KEY};
pub use process::Family;
pub use program::{Programs, check_cipher, lacks, user};

/// How long the listener waits when the system has no descriptor or memory for a connection.
const RESPITE: Duration = Duration::from_millis(10);

/// Both ends of a connection on loopback.
///
/// # Errors
/// What the operating system says.
pub fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    loop {
        // Somebody else may have found the port.
        let (far, from) = listener.accept()?;
        if from == near.local_addr()? {
            far.set_nodelay(true)?;
            return Ok((near, far));
        }
    }
}

/// The source's side: a client a stream. Dropping it ends them.
#[derive(Debug)]
pub struct Clients {
    channel: Channel,
    spec: TunnelSpec,
    server: SocketAddr,
    target: SocketAddr,
    began: Instant,
    processes: Vec<Process>,
}

impl Clients {
    /// Of a tunnel to `server`, which leads to `target`.
    pub fn new(
        channel: Channel,
        spec: &TunnelSpec,
        server: SocketAddr,
        target: SocketAddr,
    ) -> Clients {
        Clients {
            channel,
            spec: spec.clone(),
            server,
            target,
            began: Instant::now(),
            processes: Vec::new(),
        }
    }

    /// A socket that leads through a client of its own.
    ///
    /// # Errors
    /// If the client can't be started.
    pub fn connect(&mut self) -> Result<TcpStream> {
        let number = self.processes.len();
        let (near, far) = pair().map_err(|error| Error::io("a socket to the tunnel", error))?;
        let arguments = match self.channel {
            Channel::Stunnel => options::stunnel_client(&self.spec, number, self.server)?,
            _ => options::ssh(&self.spec, number, self.server, self.target),
        };
        self.processes
            .push(Process::over(far, &self.spec.client, &arguments)?);
        Ok(near)
    }

    /// CPU time of the clients, nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.processes.iter().map(Process::cpu_ns).sum()
    }

    /// What the first client agreed on, as it logged it; the time since the tunnel was asked for.
    pub fn negotiated(&self) -> Negotiated {
        let (protocol, cipher) = options::agreed(self.channel, &self.spec);
        Negotiated {
            protocol,
            cipher,
            handshake: self.began.elapsed(),
        }
    }

    /// What the newest client that complains said last, and what a server did, if a stream could not be
    /// opened.
    pub fn complaint(&self) -> Option<String> {
        let client = (0..self.processes.len())
            .rev()
            .find_map(|number| options::complaint(self.channel, &self.spec, number));
        match (client, options::servers_complaint(&self.spec)) {
            (Some(client), Some(server)) => Some(format!("{client}; the server: {server}")),
            (client, server) => client.or(server),
        }
    }
}

/// The destination's side: listens on 127.0.0.1 and starts a server for each connection. Dropping it ends
/// them.
#[derive(Debug)]
pub struct Servers {
    address: SocketAddr,
    /// The thread's, too.
    listener: TcpListener,
    started: Arc<Mutex<Started>>,
    /// The thread ends without it.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The servers so far, and whether there will be more.
#[derive(Debug, Default)]
struct Started {
    shut: bool,
    processes: Vec<Process>,
}

impl Servers {
    /// Leads to `target`. `most` connections get a server; those after them are closed.
    ///
    /// # Errors
    /// If it can't listen, or lacks what its servers need.
    pub fn start(
        channel: Channel,
        spec: &TunnelSpec,
        target: SocketAddr,
        most: usize,
    ) -> Result<Servers> {
        program::make_ready(channel)?;
        let failed = |error| Error::io("listening for the tunnel", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (alive, over) = self::channel();
        let mut servers = Servers {
            address,
            listener: listener.try_clone().map_err(failed)?,
            started: Arc::default(),
            alive: Some(alive),
            thread: None,
        };
        let (spec, shared) = (spec.clone(), servers.started.clone());
        let serve = move || {
            let mut numbers = 0..most;
            let mut complained = false;
            loop {
                let accepted = listener.accept();
                // Held until the server is among the others: whoever has an answer of one finds it there.
                let mut started = lock(&shared);
                if started.shut {
                    break;
                }
                let served = match accepted {
                    Ok((socket, _)) => numbers
                        .next()
                        .map(|number| serve(channel, &spec, number, target, socket)),
                    Err(error) => {
                        drop(started);
                        if !std::mem::replace(&mut complained, true) {
                            eprintln!("migtax host: {}", failed(error));
                        }
                        std::thread::sleep(RESPITE);
                        continue;
                    }
                };
                match served {
                    Some(Ok(process)) => started.processes.push(process),
                    Some(Err(error)) => eprintln!("migtax host: {error}"),
                    None => {}
                }
            }
            // The kernel ends a server with the thread that started it: this one lives as long as they.
            let _ = over.recv();
            lock(&shared).processes.clear();
        };
        let thread = std::thread::Builder::new().name("tunnel".to_owned());
        servers.thread = Some(thread.spawn(serve).map_err(failed)?);
        Ok(servers)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every stream is through: from now on nobody gets a server. Those that there are, with what they have
    /// started.
    pub fn shut(&self) -> Family {
        let mut started = lock(&self.started);
        started.shut = true;
        // Refuses who comes, and wakes the thread.
        // SAFETY: a call on a socket of this value's.
        unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
        Family::of(&started.processes)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.shut();
        // The thread goes on, and ends the servers.
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    channel: Channel,
    spec: &TunnelSpec,
    number: usize,
    target: SocketAddr,
    socket: TcpStream,
) -> Result<Process> {
    let failed = |error| Error::io("a connection of the tunnel", error);
    socket.set_nodelay(true).map_err(failed)?;
    let arguments = match channel {
        Channel::Stunnel => options::stunnel_server(spec, number, target)?,
        _ => options::sshd(spec, number, target),
    };
    Process::over(socket, &spec.server, &arguments)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::PathBuf;

    use super::*;

    /// What whoever connects is told, if it is let in.
    fn told(address: SocketAddr) -> io::Result<String> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn servers_are_started_for_so_many_and_until_the_streams_are_there() {
        let folder = tempfile::tempdir().unwrap();
        // Prints its configuration, in the place of a stunnel.
        let program = PathBuf::from("/bin/cat");
        let spec = TunnelSpec {
            folder: folder.path().to_owned(),
            user: String::new(),
            cipher: None,
            client: program.clone(),
            server: program,
        };
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let servers = Servers::start(Channel::Stunnel, &spec, target, 2).unwrap();
        for number in 0..3 {
            let text = told(servers.address());
            let served = text.is_ok_and(|text| text.contains("connect = 127.0.0.1:9"));
            assert_eq!(served, number < 2, "{number}");
        }
        drop(servers);
        let servers = Servers::start(Channel::Stunnel, &spec, target, 2).unwrap();
        told(servers.address()).unwrap();
        assert_eq!(servers.shut().len(), 1);
        assert!(told(servers.address()).is_err());
        assert_eq!(servers.shut().len(), 1);
    }
}
