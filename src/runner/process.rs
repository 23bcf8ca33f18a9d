//! Host processes as the coordinator sees them: started with the arm's environment, told their
//! spec, listened to, and ended without leaving anything behind.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::Sender;

use crate::arm::{AWS_LC_MASK_VARIABLE, Arm};
use crate::crypto::MigrationSecret;
use crate::error::{Error, Result};
use crate::host::control::next_line;
use crate::host::{Capabilities, Command, Event, HostSpec};

/// Which role a host plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sends the guest.
    Source,
    /// Receives it.
    Destination,
}

impl Role {
    /// The role's name, also as an argument of `migtax host`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Source => "source",
            Role::Destination => "destination",
        }
    }
}

/// What reaches the coordinator while it waits.
#[derive(Debug)]
pub enum Message {
    /// A host said something.
    Event(Role, Box<Event>),
    /// A host's output ended: it is gone.
    Gone(Role),
    /// SIGINT or SIGTERM.
    Interrupted,
}

/// A message and the serial number of the pair of hosts that it is about; messages about an
/// earlier pair may still arrive when the next one runs. An interrupt is about every pair.
pub type Envelope = (u64, Message);

/// How host processes are started.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The command, up to `host`.
    command: Vec<String>,
}

impl Launcher {
    /// This executable.
    ///
    /// # Errors
    /// If its path can't be found.
    pub fn this_build() -> Result<Launcher> {
        let path =
            std::env::current_exe().map_err(|error| Error::io("finding this executable", error))?;
        let text = path.to_str().ok_or_else(|| {
            Error::CannotRun(format!(
                "this executable's path is not UTF-8: {}",
                path.display()
            ))
        })?;
        Ok(Launcher::of(text))
    }

    /// Another build's executable.
    pub fn of(executable: &str) -> Launcher {
        Launcher {
            command: vec![executable.to_owned()],
        }
    }

    /// A process for `arm`: the mask of aws-lc's view of the CPU is set before it starts.
    fn process(&self, arm: Arm) -> Process {
        let mut process = Process::new(&self.command[0]);
        process.args(&self.command[1..]).arg("host");
        match arm.aws_lc_mask() {
            Some(mask) => process.env(AWS_LC_MASK_VARIABLE, mask),
            None => process.env_remove(AWS_LC_MASK_VARIABLE),
        };
        // A group of its own: an interrupt at the terminal reaches the coordinator alone, which
        // then ends its hosts itself.
        process.process_group(0);
        process
    }

    /// What a host for `arm` can do.
    ///
    /// # Errors
    /// If it can't be started or does not answer as a host does.
    pub fn capabilities(&self, arm: Arm) -> Result<Capabilities> {
        let output = self
            .process(arm)
            .args(["capabilities", "--arm", arm.name()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| Error::io(format!("starting {}", self.command[0]), error))?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            Error::CannotRun(format!(
                "the host for {arm} did not tell its capabilities ({error}; {})",
                output.status
            ))
        })
    }

    /// Starts a host, tells it its spec (and secret) and listens to it.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(
        &self,
        role: Role,
        spec: &HostSpec,
        secret: Option<&MigrationSecret>,
        (serial, inbox): (u64, &Sender<Envelope>),
    ) -> Result<HostProcess> {
        let mut child = self
            .process(spec.arm)
            .arg(role.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::io(format!("starting the {} host", role.name()), error))?;
        let stdin = child.stdin.take();
        let output = child.stdout.take();
        let mut host = HostProcess { role, child, stdin };
        let inbox = inbox.clone();
        std::thread::spawn(move || {
            if let Some(output) = output {
                // Nobody may be waiting any more.
                listen(role, BufReader::new(output), |message| {
                    let _ = inbox.send((serial, message));
                });
            }
        });
        host.tell_spec(spec, secret);
        Ok(host)
    }
}

/// Hands on what a host says, and that it is gone: when its output ends, and not before, even if
/// what it says is no longer followed.
fn listen(role: Role, mut output: impl BufRead, tell: impl Fn(Message)) {
    let heard = |event| tell(Message::Event(role, Box::new(event)));
    let no_event = |error: &dyn std::fmt::Display| Event::Refused {
        reason: format!("the host said something that is no event: {error}"),
    };
    loop {
        match next_line(&mut output) {
            Ok(None) => break,
            Ok(Some(line)) => {
                heard(serde_json::from_slice(&line).unwrap_or_else(|error| no_event(&error)));
            }
            Err(error) => {
                heard(no_event(&error));
                let _ = io::copy(&mut output, &mut io::sink());
                break;
            }
        }
    }
    tell(Message::Gone(role));
}

/// A running host. Dropping it ends it.
#[derive(Debug)]
pub struct HostProcess {
    role: Role,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl HostProcess {
    fn tell_spec(&mut self, spec: &HostSpec, secret: Option<&MigrationSecret>) {
        let mut line = serde_json::to_vec(spec).expect("specs are plain data");
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            // A host that is gone is noticed by the end of its output.
            let _ = stdin.write_all(&line).and_then(|()| match secret {
                Some(secret) => secret.write_hex_line(stdin),
                None => Ok(()),
            });
        }
    }

    /// Tells it something.
    pub fn tell(&mut self, command: &Command) {
        let mut line = serde_json::to_vec(command).expect("commands are plain data");
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            // As in `tell_spec`.
            let _ = stdin.write_all(&line);
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its output has ended, so it is ending: waits for it, and says how it ended, in words.
    pub fn epitaph(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => format!("the {} host process ended: {status}", self.role.name()),
            Err(error) => format!("the {} host process is lost: {error}", self.role.name()),
        }
    }

    /// Ends it now, if it has not ended by itself.
    pub fn end(&mut self) {
        // Killed first: a host that saw its input end would say so on standard error.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stdin = None;
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_no_event_fails_the_migration_and_does_not_end_the_host() {
        let heard = |output: &mut dyn Read| {
            let messages = RefCell::new(Vec::new());
            listen(Role::Source, BufReader::new(output), |message| {
                messages.borrow_mut().push(match message {
                    Message::Event(_, event) => match *event {
                        Event::Refused { reason } => reason,
                        other => format!("{other:?}"),
                    },
                    other => format!("{other:?}"),
                });
            });
            messages.into_inner()
        };
        let messages = heard(&mut &b"\"took_over\"\n\xff\n\"took_over\"\n"[..]);
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert!(messages[0] == "TookOver" && messages[2] == "TookOver");
        assert!(messages[1].contains("no event"), "{messages:?}");
        assert_eq!(messages[3], "Gone(Source)");
        let endless = heard(&mut io::repeat(b'x').take(80 << 20));
        assert_eq!(endless.len(), 2, "{endless:?}");
        assert!(endless[0].contains("a line of more than"), "{endless:?}");
        assert_eq!(endless[1], "Gone(Source)");
    }
}
