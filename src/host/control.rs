//! A host's side of its control channel: commands in, events out, and the end of the coordinator.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::arm::Channel;
use crate::crypto;
use crate::crypto::key::{HEX_LINE_LEN, MigrationSecret};
use crate::error::{Error, Result};
use crate::host::{Command, Event, HostSpec, PROTOCOL};
use crate::private;

/// A spec line longer than this is refused.
const MAX_SPEC: usize = 1 << 20;
/// A command or event longer than this is refused. The longest is the report of a source that made
/// 100000 rounds, about 30 MB.
const MAX_LINE: u64 = 64 << 20;
/// How long a guest of a fleet waits for its turn, or until the others have had theirs.
pub const LONGEST_FLEET: Duration = Duration::from_secs(86_400);

/// The next line of the control channel, without its end; `None` when there is no more.
///
/// # Errors
/// What the input says; [`io::ErrorKind::InvalidData`] for a line of more than 64 MiB.
pub fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(MAX_LINE + 1).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.is_empty() {
        return Ok(None);
    } else if line.len() as u64 > MAX_LINE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line of more than {MAX_LINE} bytes"),
        ));
    }
    Ok(Some(line))
}

/// Standard input without the library's shared buffer, in which the secret would stay.
///
/// # Errors
/// If the process is out of descriptors.
pub fn unbuffered_input() -> Result<File> {
    let input = io::stdin().as_fd().try_clone_to_owned();
    input
        .map(File::from)
        .map_err(|error| Error::io("opening standard input", error))
}

/// Commands from the coordinator.
#[derive(Debug)]
pub struct Control {
    commands: Receiver<Command>,
    hold: Arc<AtomicBool>,
}

/// Reads the spec, and the secret if one follows. Nothing beyond them is read, so that the secret
/// never stands in a shared buffer.
///
/// # Errors
/// If the input ends early or is not a spec of this protocol.
pub fn read_spec(input: &mut impl Read) -> Result<(HostSpec, Option<MigrationSecret>)> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == MAX_SPEC => {
                return Err(Error::Invalid(format!(
                    "spec: longer than {MAX_SPEC} bytes"
                )));
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("reading the spec", error)),
        }
    }
    let spec: HostSpec = serde_json::from_slice(&line)
        .map_err(|error| Error::Invalid(format!("spec on standard input: {error}")))?;
    if spec.protocol != PROTOCOL {
        return Err(Error::invalid(
            "spec.protocol",
            spec.protocol,
            format!("this host speaks {PROTOCOL}; use the same build on both sides"),
        ));
    }
    // A spec that contradicts itself must not end up as a migration in the clear.
    if spec.sealed && spec.arm.is_baseline() {
        return Err(Error::invalid(
            "spec.sealed",
            spec.sealed,
            format_args!("false, since {} seals nothing", spec.arm),
        ));
    }
    let is_tunnel = spec.channel().is_some_and(Channel::is_tunnel);
    Error::unless(
        spec.tunnel.is_some() == is_tunnel,
        "spec.tunnel",
        if is_tunnel { "none" } else { "given" },
        match is_tunnel {
            true => format!(
                "what the tunnel of {} is, which must not be left out",
                spec.arm
            ),
            false => format!("none, since {} goes through no tunnel", spec.arm),
        },
    )?;
    spec.scenario.check()?;
    // Whatever the coordinator decided: what must not go in the clear doesn't leave through this host.
    Error::unless(
        spec.sealed || spec.arm.is_baseline() || !spec.scenario.requires_encryption(),
        "spec.sealed",
        spec.sealed,
        format_args!(
            "true, since {} must not go in the clear: migration.policy is required, or the guest is encrypted",
            spec.arm
        ),
    )?;
    let secret = if spec.sealed {
        let mut text = [0; HEX_LINE_LEN];
        let read = input.read_exact(&mut text);
        // Also when it was cut short: what there is of it is wiped.
        let secret = MigrationSecret::from_hex_line(&mut text);
        read.map_err(|error| Error::io("reading the secret", error))?;
        Some(secret?)
    } else {
        None
    };
    Ok((spec, secret))
}

impl Control {
    /// Listens for commands on what is left of the input. When it ends, the process does, unless
    /// [`Control::hold`] is in force; and a folder with keys is wiped, which the coordinator can't do any more.
    pub fn listen(input: File, keys: Option<PathBuf>) -> Control {
        let (sender, commands) = channel();
        let hold = Arc::new(AtomicBool::new(false));
        let held = hold.clone();
        // Detached: it ends with the process.
        std::thread::spawn(move || {
            let mut input = BufReader::new(input);
            while let Ok(Some(line)) = next_line(&mut input) {
                match serde_json::from_slice(&line) {
                    Ok(command) => {
                        if sender.send(command).is_err() {
                            return;
                        }
                    }
                    Err(error) => eprintln!("migtax host: ignored a command: {error}"),
                }
            }
            if let Some(folder) = keys {
                // Both hosts try: what is left is gone after the second.
                let _ = private::wipe(&folder);
            }
            if !held.load(Ordering::SeqCst) {
                eprintln!("migtax host: the coordinator is gone");
                crypto::end_wiped(super::process::end);
            }
        });
        Control { commands, hold }
    }

    /// While `on`, the end of the coordinator does not end the process: a source that has sent
    /// everything stays paused until the switchover is acknowledged or its time is up.
    pub fn hold(&self, on: bool) {
        self.hold.store(on, Ordering::SeqCst);
    }

    /// Waits for the order to verify; any other is not for now.
    ///
    /// # Errors
    /// If it does not come within a day.
    pub fn await_verification(&self) -> Result<()> {
        loop {
            match self.next(LONGEST_FLEET) {
                Some(Command::Verify) => return Ok(()),
                Some(_) => {}
                None => return Err(Error::CannotRun("no command to verify came".into())),
            }
        }
    }

    /// The next command; `None` if none comes within `limit` or the coordinator is gone.
    pub fn next(&self, limit: Duration) -> Option<Command> {
        self.commands.recv_timeout(limit).ok()
    }
}

/// Tells the coordinator. If it is gone, the process is about to end anyway.
pub fn emit(event: &Event) {
    let mut line = serde_json::to_vec(event).expect("events are plain data");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_an_end_and_a_limit() {
        let mut input = &b"one\n\n\xfftwo"[..];
        let mut next = || next_line(&mut input).unwrap();
        assert_eq!(next().as_deref(), Some(&b"one"[..]));
        assert_eq!(next().as_deref(), Some(&b""[..]));
        assert_eq!(next().as_deref(), Some(&b"\xfftwo"[..]));
        assert_eq!(next(), None);
        let mut endless = BufReader::new(io::repeat(b'x'));
        let error = next_line(&mut endless).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
