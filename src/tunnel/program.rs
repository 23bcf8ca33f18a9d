//! The programs that tunnels are made of: where they are, and what they are.

use std::env;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::arm::Channel;
use crate::error::{Error, Result};

/// Where servers are that `PATH` may leave out.
const ELSEWHERE: &[&str] = &["/usr/sbin", "/usr/local/sbin"];

/// Where sshd confines itself when root runs it: Debian's starts only where it is. The system's service makes it.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// A program by its name, and the Debian package that has it.
type Needed = (&'static str, &'static str);

const SSH: Needed = ("ssh", "openssh-client");
const SSH_KEYGEN: Needed = ("ssh-keygen", "openssh-client");
const SSHD: Needed = ("sshd", "openssh-server");
const STUNNEL: Needed = ("stunnel", "stunnel4");

/// The programs of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// What the source starts.
    pub client: PathBuf,
    /// What the destination starts.
    pub server: PathBuf,
    /// What makes keys; for stunnel they are made here.
    pub keygen: Option<PathBuf>,
}

impl Programs {
    /// Finds them.
    ///
    /// # Errors
    /// In one line: what is missing, with the package that has it.
    pub fn find(channel: Channel) -> std::result::Result<Programs, String> {
        match channel {
            Channel::Ssh => Ok(Programs {
                client: find(SSH)?,
                server: find(SSHD)?,
                keygen: Some(find(SSH_KEYGEN)?),
            }),
            Channel::Stunnel => {
                let stunnel = find(STUNNEL)?;
                Ok(Programs {
                    client: stunnel.clone(),
                    server: stunnel,
                    keygen: None,
                })
            }
            Channel::Tls | Channel::KernelTls => Err("no tunnel".to_owned()),
        }
    }

    /// What the client calls itself.
    pub fn version(&self, channel: Channel) -> String {
        let option = match channel {
            Channel::Ssh => "-V",
            _ => "-version",
        };
        let said = output(Command::new(&self.client).arg(option)).unwrap_or_default();
        let line = said.lines().find(|line| {
            let name = line.trim_start().to_ascii_lowercase();
            name.starts_with("openssh") || name.contains("stunnel 5") || name.contains("stunnel 6")
        });
        let line = line.unwrap_or_default().trim();
        // stunnel puts a log's head before it.
        line.rsplit_once("]: ")
            .map_or(line, |(_, rest)| rest)
            .to_owned()
    }
}

/// What is missing of a tunnel on this machine, in words; `None` if nothing is.
pub fn lacks(channel: Channel) -> Option<String> {
    match (Programs::find(channel), channel) {
        (Err(missing), _) => Some(missing),
        (Ok(_), Channel::Ssh) => user().err(),
        (Ok(_), _) => None,
    }
}

/// The name of who runs this, as whom OpenSSH's client logs in.
///
/// # Errors
/// In one line, if there is none.
pub fn user() -> std::result::Result<String, String> {
    name_by(Command::new("id").arg("-un"))
}

/// The name that a command prints.
fn name_by(command: &mut Command) -> std::result::Result<String, String> {
    let none = || "this uid has no name (id -un), which ssh needs".to_owned();
    let told = command.stdin(Stdio::null()).output().map_err(|_| none())?;
    let name = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    match told.status.success() && !name.is_empty() {
        true => Ok(name),
        false => Err(none()),
    }
}

/// Makes what a server of this channel needs of the machine beside its program.
///
/// # Errors
/// If it can't be made.
pub(super) fn make_ready(channel: Channel) -> Result<()> {
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    if channel != Channel::Ssh || !is_root {
        return Ok(());
    }
    match DirBuilder::new().mode(0o755).create(PRIVILEGE_SEPARATION) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::writing(Path::new(PRIVILEGE_SEPARATION), error))
        }
        _ => Ok(()),
    }
}

/// Refuses a cipher that the OpenSSH at hand does not have; where there is none, nothing can be said.
///
/// # Errors
/// Names the cipher and those that it has.
pub fn check_cipher(cipher: &str) -> Result<()> {
    let Ok(ssh) = find(SSH) else {
        return Ok(());
    };
    let has = output(Command::new(ssh).args(["-Q", "cipher"]))
        .ok_or_else(|| Error::CannotRun("ssh -Q cipher says nothing".to_owned()))?;
    Error::unless(
        has.lines().any(|name| name == cipher),
        "tunnel.ssh_cipher",
        cipher,
        format_args!(
            "one that this OpenSSH has: {}",
            has.split_whitespace().collect::<Vec<_>>().join(", ")
        ),
    )
}

/// What a program says on both outputs.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(text(&output.stdout) + &text(&output.stderr))
}

fn find((name, package): Needed) -> std::result::Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(ELSEWHERE.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_absolute() && path.is_file())
        .ok_or_else(|| format!("{name} not found: Debian package {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let missing = find(("no-such-program", "its-package")).unwrap_err();
        assert_eq!(
            missing,
            "no-such-program not found: Debian package its-package"
        );
    }

    #[test]
    fn who_has_no_name_is_told_so() {
        // It prints the number all the same, and fails.
        let unnamed = name_by(Command::new("sh").args(["-c", "echo 4242; exit 1"]));
        assert!(unnamed.unwrap_err().contains("this uid has no name"));
        let named = name_by(Command::new("sh").args(["-c", "echo somebody"]));
        assert_eq!(named.as_deref(), Ok("somebody"));
    }

    #[test]
    fn a_cipher_that_openssh_lacks_is_refused_by_name() {
        if find(SSH).is_err() {
            eprintln!("skipped: no ssh (Debian package openssh-client)");
            return;
        }
        check_cipher("aes256-gcm@openssh.com").unwrap();
        let refused = check_cipher("rot13").unwrap_err().to_string();
        assert!(
            refused.contains("tunnel.ssh_cipher") && refused.contains("rot13"),
            "{refused}"
        );
        assert!(refused.contains("aes256-gcm@openssh.com"), "{refused}");
    }
}
