//! The keys of a tunnel, made for one migration.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::arm::Channel;
use crate::error::{Error, Result};
use crate::private::{self, PrivateFolder};
use crate::qemu::credentials::Credentials;
use crate::runner::task::Task;
use crate::scenario::Scenario;
use crate::tunnel::{
    self, AUTHORIZED, HOST_ALIAS, HOST_KEY, KNOWN, Programs, TunnelSpec, USER_KEY,
};

/// A tunnel's keys and what the hosts are told of it. Dropping it wipes what is left of the keys.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) spec: TunnelSpec,
    _keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Ssh { _folder: PrivateFolder },
    Stunnel { _credentials: Credentials },
}

impl Tunnel {
    /// Makes the keys of a migration whose arm goes through a tunnel.
    ///
    /// # Errors
    /// If a program is missing, or a key can't be made.
    pub(super) fn of(task: &Task<'_>) -> Result<Option<Tunnel>> {
        match task.arm.channel().filter(|_| task.sealed) {
            Some(channel) if channel.is_tunnel() => Tunnel::make(channel, task.scenario).map(Some),
            _ => Ok(None),
        }
    }

    fn make(channel: Channel, scenario: &Scenario) -> Result<Tunnel> {
        let programs = Programs::find(channel).map_err(Error::CannotRun)?;
        let (folder, user, keys) = match &programs.keygen {
            Some(keygen) => {
                let folder = PrivateFolder::make()?;
                make_ssh_keys(keygen, folder.path())?;
                let user = tunnel::user().map_err(Error::CannotRun)?;
                let path = folder.path().to_owned();
                (path, user, Keys::Ssh { _folder: folder })
            }
            None => {
                let credentials = Credentials::make()?;
                let folder = credentials.folder().to_owned();
                let keys = Keys::Stunnel {
                    _credentials: credentials,
                };
                (folder, String::new(), keys)
            }
        };
        Ok(Tunnel {
            spec: TunnelSpec {
                folder,
                user,
                cipher: scenario.tunnel.ssh_cipher.clone(),
                client: programs.client,
                server: programs.server,
            },
            _keys: keys,
        })
    }
}

/// The server's and the user's key, each known to the other side.
fn make_ssh_keys(keygen: &Path, folder: &Path) -> Result<()> {
    let public = |name: &str| -> Result<String> {
        let key = folder.join(name);
        let made = Command::new(keygen)
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
            .arg(&key)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::io("ssh-keygen", error))?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            let said = said.lines().last().unwrap_or_default().to_owned();
            return Err(Error::CannotRun(format!("ssh-keygen: {said}")));
        }
        let path = key.with_extension("pub");
        std::fs::read_to_string(&path)
            .map_err(|error| Error::io(format!("reading {}", path.display()), error))
    };
    let known = format!("{HOST_ALIAS} {}", public(HOST_KEY)?);
    private::write(&folder.join(KNOWN), &known)?;
    private::write(&folder.join(AUTHORIZED), &public(USER_KEY)?)
}
