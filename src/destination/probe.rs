//! A link that is tried before a run: what arrives, and in what time.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use super::arrivals::Arrivals;
use crate::error::{Error, Result};
use crate::host::PROTOCOL;
use crate::host::control::{Control, next_line, unbuffered_input};
use crate::host::probe::{AWAITED, ProbeEvent, ProbeSpec, RECEIVING};

/// Receives for a second at most what a source sends, and tells how much came.
///
/// # Errors
/// If the spec can't be read. What goes wrong later is told as an event.
pub fn run() -> Result<()> {
    let mut input = std::io::BufReader::new(unbuffered_input()?);
    let line = next_line(&mut input)
        .map_err(|error| Error::io("reading the spec", error))?
        .unwrap_or_default();
    let spec: ProbeSpec = serde_json::from_slice(&line)
        .map_err(|error| Error::Invalid(format!("spec on standard input: {error}")))?;
    if spec.protocol != PROTOCOL {
        let allowed = format!("this host speaks {PROTOCOL}; use the same build on both sides");
        return Err(Error::invalid("spec.protocol", spec.protocol, allowed));
    }
    // Its end is this process's.
    let _control = Control::listen(input.into_inner(), None);
    tell(&receive(&spec).unwrap_or_else(|error| ProbeEvent::Refused(error.to_string())));
    Ok(())
}

fn receive(spec: &ProbeSpec) -> Result<ProbeEvent> {
    let listening = |error| Error::io(format!("listening at {}", spec.listen), error);
    let listener = TcpListener::bind(&spec.listen).map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let expected = spec.preamble();
    let mut arrivals = Arrivals::new(listener, expected, AWAITED).map_err(listening)?;
    tell(&ProbeEvent::Listening(address.to_string()));
    let (_, mut socket) = arrivals
        .next(Instant::now() + AWAITED)
        .map_err(|error| Error::io("waiting for the source to connect", error))?;
    let receiving = |error| Error::io("receiving", error);
    socket.set_read_timeout(Some(AWAITED)).map_err(receiving)?;
    let mut buffer = vec![0; 1 << 20];
    // What came with the first call has taken no time that is known of.
    let mut count = socket.read(&mut buffer).map_err(receiving)?;
    let began = Instant::now();
    let (mut bytes, mut elapsed) = (0, began.elapsed());
    while count > 0 && elapsed < RECEIVING {
        count = socket.read(&mut buffer).map_err(receiving)?;
        bytes += count as u64;
        elapsed = began.elapsed();
    }
    Ok(ProbeEvent::Received {
        bytes,
        seconds: elapsed.as_secs_f64(),
    })
}

fn tell(event: &ProbeEvent) {
    let mut line = serde_json::to_vec(event).expect("events are plain data");
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    // A coordinator that is gone ends this process.
    let _ = out.write_all(&line).and_then(|()| out.flush());
}
