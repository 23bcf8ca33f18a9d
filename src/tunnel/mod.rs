//! Real tunnels: OpenSSH or stunnel processes that carry the streams of a migration on loopback.
//!
//! ```text
//!  source ── socket ──► ssh -W, stunnel ══ 127.0.0.1 ══► sshd -i, stunnel ── 127.0.0.1 ──► destination
//!            (a pair)   one a stream                     started as inetd would
//! ```
//!
//! No program listens by itself: the destination does, on 127.0.0.1, and starts a server for each
//! connection; a client has a socket of the source's as its standard input and output. Each process has
//! the options of its side alone, no file of the user's or the system's, and keys that were made for this
//! migration, in a private folder in memory that is overwritten when the streams are through.

mod options;
mod process;
mod program;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::arm::Channel;
use crate::error::{Error, Result};
use crate::transport::Negotiated;
use process::Process;

pub use options::{AUTHORIZED, HOST_ALIAS, HOST_KEY, KNOWN, TunnelSpec, USER_KEY};
pub use program::{Programs, check_cipher, lacks};

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

    /// What the clients said last, if a stream could not be opened.
    pub fn complaint(&self) -> Option<String> {
        (0..self.processes.len())
            .find_map(|number| options::complaint(self.channel, &self.spec, number))
    }
}

/// The destination's side: listens on 127.0.0.1 and starts a server for each connection. Dropping it ends
/// them.
#[derive(Debug)]
pub struct Servers {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    processes: Arc<Mutex<Vec<Process>>>,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    /// Leads to `target`.
    ///
    /// # Errors
    /// If it can't listen, or lacks what its servers need.
    pub fn start(channel: Channel, spec: &TunnelSpec, target: SocketAddr) -> Result<Servers> {
        program::make_ready(channel)?;
        let failed = |error| Error::io("listening for the tunnel", error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (over, processes) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut servers = Servers {
            address,
            over: over.clone(),
            processes: Arc::clone(&processes),
            thread: None,
        };
        let spec = spec.clone();
        // The kernel ends a server with the thread that started it: this one lives as long as they.
        let serve = move || {
            let processes: Arc<Mutex<Vec<Process>>> = processes;
            for (number, socket) in listener.incoming().enumerate() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let started = socket
                    .map_err(failed)
                    .and_then(|socket| serve(channel, &spec, number, target, socket));
                match started {
                    Ok(process) => lock(&processes).push(process),
                    Err(error) => eprintln!("migtax host: {error}"),
                }
            }
            lock(&processes).clear();
        };
        let thread = std::thread::Builder::new().name("tunnel".to_owned());
        servers.thread = Some(thread.spawn(serve).map_err(failed)?);
        Ok(servers)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time of the servers, nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        lock(&self.processes).iter().map(Process::cpu_ns).sum()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread, which ends the servers.
        let _ = TcpStream::connect(self.address);
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
