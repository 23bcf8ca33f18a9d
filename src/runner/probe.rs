//! A link that is tried before a run: a short transfer between the machines of the two hosts.

use std::io::{BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::{Child, Stdio};
use std::time::Instant;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::host::PROTOCOL;
use crate::host::control::next_line;
use crate::host::probe::{AWAITED, ProbeEvent, ProbeSpec, RECEIVING};
use crate::runner::process::Launcher;
use crate::runner::route::Route;
use crate::transport::path;

/// What a link is, as far as a transfer of a second tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Link {
    /// Where the source connects; its port is the next one's only if it was asked for.
    pub address: String,
    /// What one connection carried, bit/s. It includes the time that the window takes to open.
    pub bits_per_second: f64,
    /// The largest packet that the way carries whole, as far as the kernel knows, bytes.
    pub mtu_bytes: Option<u32>,
    /// Round trip of the handshake, seconds.
    pub rtt_s: Option<f64>,
}

/// Sends bytes to the destination's machine for a second.
///
/// # Errors
/// What prevents it: in one line, with the address.
pub fn probe(launcher: &Launcher, route: &Route) -> Result<Link> {
    let mut process = launcher.probe();
    let child = process
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io("starting the destination's command", error))?;
    let mut child = Ended(child);
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| Error::CannotRun(format!("the operating system's generator: {error}")))?;
    let spec = ProbeSpec {
        protocol: PROTOCOL,
        id: u128::from_le_bytes(id),
        listen: route.listen.clone(),
    };
    let mut line = serde_json::to_vec(&spec).expect("specs are plain data");
    line.push(b'\n');
    // It stays open: its end is the destination's.
    let mut input = child.0.stdin.take().expect("it is piped");
    // A host that is gone is noticed by the end of its output.
    let _ = input.write_all(&line);
    let mut output = BufReader::new(child.0.stdout.take().expect("it is piped"));
    let mut hear = || -> Result<ProbeEvent> {
        let said = next_line(&mut output)
            .map_err(|error| Error::io("listening to the destination", error))?
            .ok_or_else(|| Error::CannotRun("the destination ended early".to_owned()))?;
        let event = serde_json::from_slice(&said);
        match event.map_err(|error| Error::CannotRun(format!("the destination: {error}")))? {
            ProbeEvent::Refused(reason) => Err(Error::CannotRun(format!("destination: {reason}"))),
            event => Ok(event),
        }
    };
    let ProbeEvent::Listening(listening) = hear()? else {
        return Err(Error::CannotRun("the destination does not listen".into()));
    };
    let address = route.address(&listening);
    let (rtt, mtu) = send(&address, &spec)
        .map_err(|error| Error::io(format!("connecting to {address}"), error))?;
    let ProbeEvent::Received { bytes, seconds } = hear()? else {
        return Err(Error::CannotRun("the destination received nothing".into()));
    };
    Ok(Link {
        address,
        bits_per_second: match seconds > 0.0 {
            true => bytes as f64 * 8.0 / seconds,
            false => 0.0,
        },
        mtu_bytes: mtu,
        rtt_s: rtt,
    })
}

/// Sends until the destination has had enough; round trip and largest packet before that.
fn send(address: &str, spec: &ProbeSpec) -> std::io::Result<(Option<f64>, Option<u32>)> {
    let resolved = address.to_socket_addrs()?.next();
    let resolved = resolved.ok_or_else(|| std::io::Error::other("no address"))?;
    let mut socket = TcpStream::connect_timeout(&resolved, AWAITED)?;
    socket.set_write_timeout(Some(AWAITED))?;
    let path = path(&socket);
    socket.write_all(&spec.preamble().encode())?;
    let (bytes, began) = (vec![0; 256 << 10], Instant::now());
    // The destination closes the connection when its time is up.
    while began.elapsed() < RECEIVING + AWAITED && socket.write_all(&bytes).is_ok() {}
    let path = path.map(|path| (path.rtt.as_secs_f64(), path.mtu_bytes));
    Ok((path.map(|(rtt, _)| rtt), path.map(|(_, mtu)| mtu)))
}

/// A child that ends with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail only where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
