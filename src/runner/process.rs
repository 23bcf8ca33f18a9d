//! Host processes as the coordinator sees them: started with the arm's environment, told their
//! spec, listened to, and ended without leaving anything behind.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use crate::arm::Arm;
use crate::crypto::MigrationSecret;
use crate::error::{Error, Result};
use crate::host::control::next_line;
use crate::host::{Capabilities, Event, HostSpec};
use crate::machine;
use crate::runner::asked;

/// Which role a host plays; its name is also an argument of `migtax host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::AsRefStr)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Sends the guest.
    Source,
    /// Receives it.
    Destination,
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

/// Where messages arrive, and what senders of them hold.
#[derive(Debug, Clone, Copy)]
pub struct Mailbox<'a> {
    /// For whoever has something to say.
    pub sender: &'a Sender<Envelope>,
    /// For the coordinator.
    pub inbox: &'a Receiver<Envelope>,
}

/// How host processes are started.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The command for each role, up to `host`.
    source: Vec<String>,
    destination: Vec<String>,
    /// The destination's command reaches another machine.
    remote: bool,
    /// Roles that are told to hide their AES instructions.
    hidden: Vec<Role>,
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
            source: vec![executable.to_owned()],
            destination: vec![executable.to_owned()],
            remote: false,
            hidden: Vec::new(),
        }
    }

    /// The destination is started by a command that may reach another machine, such as
    /// `ssh host migtax`: what it starts is ended through its standard input.
    pub fn with_destination(mut self, command: Vec<String>) -> Launcher {
        self.destination = command;
        self.remote = true;
        self
    }

    /// Hosts of these roles hide their AES instructions.
    pub fn hiding_aes(mut self, roles: &[Role]) -> Launcher {
        self.hidden = roles.to_vec();
        self
    }

    /// Whether both hosts are started and treated alike.
    pub fn is_uniform(&self) -> bool {
        !self.remote && (self.hidden.is_empty() || self.hidden.len() == 2)
    }

    /// A process for `arm`: the mask of its library's view of the CPU is set before it starts. Where
    /// the environment does not reach the host (ssh passes none), `--arm` lets it set the mask and
    /// start itself anew.
    fn process(&self, role: Role, arm: Arm) -> Command {
        let command = match role {
            Role::Source => &self.source,
            Role::Destination => &self.destination,
        };
        let mut process = Command::new(&command[0]);
        process
            .args(&command[1..])
            .args(["host", "--arm", arm.name()]);
        if self.hidden.contains(&role) {
            process.arg("--hide-aes");
        }
        arm.prepare(&mut process);
        // A group of its own: an interrupt at the terminal reaches the coordinator alone, which
        // then ends its hosts itself.
        process.process_group(0);
        process
    }

    /// What the host of a role can do for `arm`.
    ///
    /// # Errors
    /// If it can't be started or does not answer as a host of this protocol does.
    pub fn capabilities(&self, role: Role, arm: Arm) -> Result<Capabilities> {
        let mut process = self.process(role, arm);
        process.arg("capabilities");
        asked::ask(process, &format!("the {role} host for {arm}"))
    }

    /// The destination's command, to receive what a link is tried with.
    pub(super) fn probe(&self) -> Command {
        let mut process = self.process(Role::Destination, Arm::PLAIN);
        process.arg("probe");
        process
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
            .process(role, spec.arm)
            .arg(role.as_ref())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::io(format!("starting the {role} host"), error))?;
        let stdin = child.stdin.take();
        let output = child.stdout.take();
        let mut host = HostProcess {
            role,
            child,
            stdin,
            remote: self.remote && role == Role::Destination,
            cpu_s: 0.0,
        };
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
    remote: bool,
    /// CPU seconds of the child that was started, and of what it waited for, once it has ended.
    cpu_s: f64,
}

impl HostProcess {
    fn tell_spec(&mut self, spec: &HostSpec, secret: Option<&MigrationSecret>) {
        self.tell(spec);
        if let (Some(stdin), Some(secret)) = (&mut self.stdin, secret) {
            // As in `tell`.
            let _ = secret.write_hex_line(stdin);
        }
    }

    /// Tells it something: its spec or a [`Command`](crate::host::Command).
    pub fn tell(&mut self, what: &impl serde::Serialize) {
        let mut line = serde_json::to_vec(what).expect("specs and commands are plain data");
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            // A host that is gone is noticed by the end of its output.
            let _ = stdin.write_all(&line);
        }
    }

    /// Process id of the host, or of the command that reaches it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is reached by a command that may lose it.
    pub fn is_remote(&self) -> bool {
        self.remote
    }

    /// Waits for the child in some way. The kernel tells the CPU time of all ended children together,
    /// and nothing else waits for one meanwhile.
    fn reap<T>(&mut self, wait: impl FnOnce(&mut Child) -> T) -> T {
        let before = machine::children_cpu_s();
        let waited = wait(&mut self.child);
        self.cpu_s += machine::children_cpu_s() - before;
        waited
    }

    /// Of the CPU seconds that the host, which has ended, says its process took: those that the
    /// kernel does not count among this process's children. All of them where another program than
    /// the child runs it (as sshd does for ssh), none where it is the child or the child's own.
    pub fn unseen_cpu_s(&self, told_s: f64) -> f64 {
        // What it takes to end comes on top of what a host tells.
        match self.cpu_s >= told_s {
            true => 0.0,
            false => told_s,
        }
    }

    /// Its output has ended, so it is ending: waits for it, and says how it ended, in words.
    pub fn epitaph(&mut self) -> String {
        match self.reap(Child::wait) {
            Ok(status) => format!("the {} host process ended: {status}", self.role),
            Err(error) => format!("the {} host process is lost: {error}", self.role),
        }
    }

    /// How it ended, in words, if it has.
    pub fn ended_by_itself(&mut self) -> Option<String> {
        let ended = matches!(self.reap(Child::try_wait), Ok(Some(_)));
        ended.then(|| self.epitaph())
    }

    /// Ends it so that it surely runs no guest any more; false if that can't be known within
    /// `limit`. Killing what reaches another machine says nothing about the host there: its input
    /// ends, which ends it, and the command that reaches it tells when that has happened.
    pub fn fence(&mut self, limit: Duration) -> bool {
        self.stdin = None;
        let deadline = Instant::now() + limit;
        while self.remote {
            match self.reap(Child::try_wait) {
                // ssh's own code for a connection that failed, and a signal, say nothing about
                // the host.
                Ok(Some(status)) => return !matches!(status.code(), None | Some(255)),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(None) | Err(_) => return false,
            }
        }
        self.end();
        true
    }

    /// Ends it now, if it has not ended by itself.
    pub fn end(&mut self) {
        // Killed first: a host that saw its input end would say so on standard error.
        let _ = self.child.kill();
        let _ = self.reap(Child::wait);
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
    fn cpu_that_is_no_childs_is_told_apart_from_a_childs() {
        let burn = "x=0; while [ $x -lt 20000 ]; do x=$((x+1)); done";
        let host = |script: &str| {
            let mut host = HostProcess {
                role: Role::Destination,
                child: Command::new("sh").args(["-c", script]).spawn().unwrap(),
                stdin: None,
                remote: true,
                cpu_s: 0.0,
            };
            host.epitaph();
            host
        };
        // The child itself, and one that the child waits for.
        for script in [burn.to_owned(), format!("sh -c '{burn}'; true")] {
            let own = host(&script);
            assert!(own.cpu_s > 0.0);
            assert_eq!(own.unseen_cpu_s(own.cpu_s * 0.9), 0.0);
        }
        assert_eq!(host("true").unseen_cpu_s(100.0), 100.0);
    }

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
