//! Child processes that end with this one.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Prepares a command for a child that the kernel kills when the thread that starts it ends, in a process
/// group of its own: an interrupt at the terminal does not reach it. `also` runs in the child before the
/// program does; it makes system calls only, and allocates nothing.
pub fn bind(
    command: &mut Command,
    mut also: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    let parent = std::process::id();
    let set_up = move || {
        // SAFETY: sets an attribute of this process from plain numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: asks for a number.
        if unsafe { libc::getppid() } as u32 != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        also()
    };
    // SAFETY: between fork and exec it makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(set_up) };
    command.process_group(0);
}
