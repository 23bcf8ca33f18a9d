//! A QEMU process: started for one side of one migration, ended with it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::memory::ProcessMemory;
use super::qmp::{Qmp, QmpError};
use crate::arm::Arm;
use crate::child;
use crate::error::{Error, Result};
use crate::memory::Pages;

/// Lines of standard error that are kept: half of them the first ones, which tell of TLS handshakes, half
/// the last ones, which tell of an end.
const KEPT_LINES: usize = 1000;
/// A line of standard error is cut after this, bytes.
const LONGEST_LINE: usize = 500;
/// How long a QEMU that was asked to end, or whose monitor is gone, may take.
const ENDING: Duration = Duration::from_secs(5);

/// What a QEMU process is started as.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// `source` or `destination`.
    pub side: &'static str,
    /// Whose environment it gets.
    pub arm: Arm,
    /// The binary.
    pub binary: &'a Path,
    /// `kvm` or `tcg`.
    pub accelerator: &'a str,
    /// The machine's memory, bytes.
    pub ram_bytes: u64,
    /// Whether memory is there before the guest needs it.
    pub preallocated: bool,
    /// What backs it.
    pub pages: Pages,
    /// Whether it waits for a guest to come.
    pub incoming: bool,
    /// Its TLS credentials, as an argument of `-object`.
    pub credentials: Option<&'a str>,
    /// CPUs to keep to; empty for any.
    pub cpus: &'a [usize],
    /// Whether GnuTLS tells what it negotiates, on standard error.
    pub tells_tls: bool,
}

/// A process of QEMU's. Dropping it ends it.
#[derive(Debug)]
struct Process {
    side: &'static str,
    child: Child,
    said: Arc<Mutex<VecDeque<String>>>,
    listener: Option<JoinHandle<()>>,
}

impl Process {
    /// Ends it now; how it had ended, if it had.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let _ = self.child.kill();
        let status = self.child.wait();
        let _ = self.listener.take().map(JoinHandle::join);
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A QEMU that was started: it makes its memory before it answers.
#[derive(Debug)]
pub struct Starting {
    process: Process,
    monitor: UnixStream,
}

impl Starting {
    /// Starts it with its guest stopped.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn begin(start: &Start<'_>, rom: &[u8]) -> Result<Starting> {
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| Error::io("a socket pair for QEMU's monitor", error))?;
        let rom = in_memory("rom", rom)?;
        let mut command = command(start, theirs.as_raw_fd(), rom.as_raw_fd());
        let inherited = vec![theirs.as_raw_fd(), rom.as_raw_fd()];
        let small_pages = start.pages == Pages::Small;
        set_up(&mut command, inherited, small_pages, start.cpus.to_vec());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::io(format!("starting {}", start.binary.display()), error))?;
        drop((theirs, rom));
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let listener = child.stderr.take().map(|stderr| {
            let said = said.clone();
            std::thread::spawn(move || listen(BufReader::new(stderr), &said))
        });
        Ok(Starting {
            process: Process {
                side: start.side,
                child,
                said,
                listener,
            },
            monitor: ours,
        })
    }

    /// Waits until its monitor answers.
    ///
    /// # Errors
    /// If it ends at once, with its own words, or does not answer within the limit.
    pub fn ready(mut self, limit: Duration) -> Result<Machine> {
        match Qmp::over(self.monitor, limit) {
            Ok(qmp) => Ok(Machine {
                process: self.process,
                qmp,
            }),
            Err(error) => {
                let how = self.process.end();
                let how = how.map_or_else(|e| e.to_string(), |status| status.to_string());
                let (side, words) = (self.process.side, words(&self.process.said));
                Err(Error::CannotRun(format!(
                    "{side}: QEMU did not start: {error} ({how}){words}"
                )))
            }
        }
    }
}

/// A running QEMU. Dropping it ends it.
#[derive(Debug)]
pub struct Machine {
    process: Process,
    qmp: Qmp,
}

impl Machine {
    /// `source` or `destination`.
    pub fn side(&self) -> &'static str {
        self.process.side
    }

    /// Its process's number.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Its monitor, for events.
    pub fn qmp(&mut self) -> &mut Qmp {
        &mut self.qmp
    }

    /// Carries out a command of its monitor.
    ///
    /// # Errors
    /// What QEMU says against it; that it is gone, with its last words; that it does not answer.
    pub fn run(&mut self, name: &str, arguments: Value) -> Result<Value, String> {
        self.qmp
            .run(name, arguments)
            .map_err(|error| self.complaint(name, &error))
    }

    /// A monitor's error in words that name this side.
    pub fn complaint(&mut self, doing: &str, error: &QmpError) -> String {
        match error {
            QmpError::Gone => self.epitaph(),
            error => format!("{}: {doing}: {error}", self.process.side),
        }
    }

    /// How it ended, in its own words: its monitor is gone.
    pub fn epitaph(&mut self) -> String {
        let deadline = Instant::now() + ENDING;
        let status = loop {
            match self.process.child.try_wait() {
                Ok(Some(status)) => break status.to_string(),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(None) => {
                    let _ = self.process.child.kill();
                    let _ = self.process.child.wait();
                    break "its monitor closed".to_owned();
                }
                Err(error) => break error.to_string(),
            }
        };
        let _ = self.process.listener.take().map(JoinHandle::join);
        format!(
            "the {} QEMU process ended: {status}{}",
            self.process.side,
            words(&self.process.said)
        )
    }

    /// What it has said on standard error, the last lines.
    pub fn said(&self) -> String {
        let said = self
            .process
            .said
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        said.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The guest's memory.
    ///
    /// # Errors
    /// If QEMU does not say where it is.
    pub fn memory(&mut self) -> Result<ProcessMemory, String> {
        let asked = json!({"command-line": "gpa2hva 0x0"});
        let answer = self.run("human-monitor-command", asked)?;
        let text = answer.as_str().unwrap_or_default();
        // Host virtual address for 0x0 (ram0) is 0x7f0123400000
        let base = text
            .rsplit_once("is 0x")
            .and_then(|(_, hex)| u64::from_str_radix(hex.trim(), 16).ok())
            .ok_or_else(|| format!("{}: gpa2hva answered {text:?}", self.process.side))?;
        Ok(ProcessMemory::at(self.pid(), base))
    }
}

/// QEMU without anything that it would take from the user's configuration.
fn command(start: &Start<'_>, monitor: RawFd, rom: RawFd) -> Command {
    let mut command = Command::new(start.binary);
    let prealloc = if start.preallocated { "on" } else { "off" };
    let memory = format!(
        "memory-backend-ram,id=ram0,size={},prealloc={prealloc}",
        start.ram_bytes
    );
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-no-reboot", "-S", "-smp", "1"])
        .args(["-name", &format!("migtax-{},debug-threads=on", start.side)])
        .args(["-m", &format!("{}M", start.ram_bytes >> 20)])
        .args(["-object", &memory])
        .args(["-machine", "pc,usb=off,vmport=off,memory-backend=ram0"])
        .args(["-accel", start.accelerator])
        .args(["-bios", &format!("/proc/self/fd/{rom}")])
        .args(["-chardev", &format!("socket,id=qmp,fd={monitor}")])
        .args(["-mon", "chardev=qmp,mode=control"]);
    if start.incoming {
        command.args(["-incoming", "defer"]);
    }
    if let Some(credentials) = start.credentials {
        command.args(["-object", credentials]);
    }
    start.arm.prepare(&mut command);
    match start.tells_tls {
        true => command.env("GNUTLS_DEBUG_LEVEL", "4"),
        false => command.env_remove("GNUTLS_DEBUG_LEVEL"),
    };
    command
}

/// Sets up the child: what it inherits, where it runs, that it does not outlive this process.
pub(super) fn set_up(
    command: &mut Command,
    inherited: Vec<RawFd>,
    small_pages: bool,
    cpus: Vec<usize>,
) {
    child::bind(command, move || {
        for fd in &inherited {
            // SAFETY: changes a flag of a descriptor that the parent holds open until after the start.
            if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // QEMU asks for transparent huge pages whatever backs its memory.
        // SAFETY: sets an attribute of this process from plain numbers.
        if small_pages && unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if !cpus.is_empty() {
            let mut set = rustix::thread::CpuSet::new();
            cpus.iter().for_each(|cpu| set.set(*cpu));
            rustix::thread::sched_setaffinity(None, &set)?;
        }
        Ok(())
    });
}

/// A file in memory that holds these bytes, read from its start.
fn in_memory(name: &str, bytes: &[u8]) -> Result<File> {
    let failed = |error| Error::io("a file in memory", error);
    let name = std::ffi::CString::new(name).expect("no NUL in a name");
    // SAFETY: takes a name that ends with NUL, and flags.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    // SAFETY: the descriptor was made just now, and nothing else owns it.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(bytes).map_err(failed)?;
    Ok(file)
}

/// Keeps the last lines of what it says.
fn listen(mut from: impl BufRead, said: &Mutex<VecDeque<String>>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        line.truncate(LONGEST_LINE);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut said = said.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if said.len() == KEPT_LINES {
            said.remove(KEPT_LINES / 2);
        }
        said.push_back(text);
    }
}

/// The last line that it said, as the end of a sentence.
fn words(said: &Mutex<VecDeque<String>>) -> String {
    let said = said.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let last = said.iter().rev().find(|line| !line.is_empty());
    last.map_or(String::new(), |line| format!(": {line}"))
}
