//! The processes of a tunnel: started with nothing of the user's, counted, ended.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::child;
use crate::error::{Error, Result};
use crate::machine::clock::cpu_ns_of;
use crate::machine::family;

/// Processes of a tunnel and what they had started when they were looked for, which takes longer than reading
/// their clocks.
#[derive(Debug)]
pub struct Family(Vec<u32>);

impl Family {
    pub(super) fn of(processes: &[Process]) -> Family {
        let all = processes.iter().flat_map(|process| family(process.0.id()));
        Family(all.collect())
    }

    /// CPU time of those that live, nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.0.iter().copied().filter_map(cpu_ns_of).sum()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A process of a tunnel, and those that it starts. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts a program over a socket, which is its standard input and output; it has no environment but a
    /// search path.
    pub(super) fn over(socket: TcpStream, program: &Path, arguments: &[String]) -> Result<Process> {
        let failed = |error| Error::io(format!("starting {}", program.display()), error);
        let input = OwnedFd::from(socket.try_clone().map_err(failed)?);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(OwnedFd::from(socket)))
            .stderr(Stdio::null());
        child::bind(&mut command, keep_standard_streams);
        command.spawn().map(Process).map_err(failed)
    }

    /// CPU time of it and of what it has started, as long as they live, nanoseconds.
    pub(super) fn cpu_ns(&self) -> u64 {
        family(self.0.id()).into_iter().filter_map(cpu_ns_of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Those that it has started, too: they are of its group.
        // SAFETY: a signal to a group that was made for this child, which was not waited for.
        unsafe { libc::kill(-(self.0.id() as i32), libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

/// Whatever else this process holds or inherited, a fleet's link too, is closed by the exec. A kernel that is too
/// old for the call leaves what was not marked so.
fn keep_standard_streams() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: marks descriptors of this process; nothing is read or written.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::transport::SharedLink;

    #[test]
    fn a_process_has_its_standard_streams_alone() {
        let (mut near, far) = super::super::pair().unwrap();
        let link = SharedLink::new().unwrap();
        let list = "ls -l /proc/$$/fd".to_owned();
        let _process = Process::over(far, Path::new("/bin/sh"), &["-c".to_owned(), list]).unwrap();
        let mut listed = String::new();
        near.read_to_string(&mut listed).unwrap();
        assert!(listed.contains("0 -> socket:"), "{listed}");
        let number = format!(" {} -> /memfd:", link.descriptor());
        assert!(!listed.contains(&number), "{listed}");
    }

    #[test]
    fn the_cpu_of_what_a_process_starts_is_counted_and_ends_with_it() {
        let (near, far) = super::super::pair().unwrap();
        let burn = "sh -c 'while :; do :; done'; true".to_owned();
        let process = Process::over(far, Path::new("/bin/sh"), &["-c".to_owned(), burn]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while process.cpu_ns() < 50_000_000 {
            assert!(Instant::now() < deadline, "{:?}", family(process.0.id()));
            std::thread::sleep(Duration::from_millis(5));
        }
        let all = family(process.0.id());
        assert_eq!(all.len(), 2, "{all:?}");
        drop(process);
        // The child's child is init's to wait for, and runs no more.
        let state = |process: u32| fs::read_to_string(format!("/proc/{process}/stat"));
        while state(all[1]).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(near);
    }
}
