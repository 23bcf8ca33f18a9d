//! The processes of a tunnel: started with nothing of the user's, counted, ended.

use std::fs;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::child;
use crate::error::{Error, Result};

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
        child::bind(&mut command, || Ok(()));
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

/// A process and all below it.
fn family(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        next += 1;
        let threads = fs::read_dir(format!("/proc/{parent}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|c| c.parse::<u32>().ok()),
            );
        }
    }
    all
}

/// CPU time of another process, nanoseconds; `None` once it is gone.
fn cpu_ns_of(process: u32) -> Option<u64> {
    let mut clock = 0;
    // SAFETY: zero is a value of a timespec; both calls write what they are given the address of.
    let (done, time) = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        let known = libc::clock_getcpuclockid(process as i32, &raw mut clock);
        let done = known == 0 && libc::clock_gettime(clock, &raw mut time) == 0;
        (done, time)
    };
    done.then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

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
