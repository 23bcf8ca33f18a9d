//! What the hosts of a run are and can do: found out once, for all scenarios of a matrix.

use std::collections::BTreeMap;
use std::path::Path;

use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::host::Capabilities;
use crate::machine::{self, MachineInfo};
use crate::qemu::program::Program;
use crate::runner::masked::masked;
use crate::runner::options::Options;
use crate::runner::process::{Launcher, Role};

/// The hosts of a run.
pub struct Hosts<'a> {
    /// How they are started.
    pub(super) launcher: &'a Launcher,
    /// This machine, before the run.
    pub(super) machine: MachineInfo,
    told: BTreeMap<Arm, [Capabilities; 2]>,
    qemu_path: Option<&'a Path>,
    /// The QEMU at hand, or what is missing; once it was asked for.
    qemu: Option<std::result::Result<Program, String>>,
}

impl<'a> Hosts<'a> {
    /// Looks at this machine, which takes about 0.1 s.
    pub fn new(launcher: &'a Launcher, options: &'a Options) -> Hosts<'a> {
        let destination = options.destination.as_ref();
        Hosts {
            launcher,
            machine: MachineInfo {
                destination: destination.map(|command| {
                    shlex::try_join(masked(command).iter().map(String::as_str))
                        .expect("the words of an argument hold no NUL")
                }),
                ..machine::describe()
            },
            told: BTreeMap::new(),
            qemu_path: options.qemu.as_deref(),
            qemu: None,
        }
    }

    /// This machine, before the run.
    pub fn machine(&self) -> &MachineInfo {
        &self.machine
    }

    /// The QEMU at hand, or what is missing.
    pub fn qemu(&mut self) -> &std::result::Result<Program, String> {
        let path = self.qemu_path;
        self.qemu.get_or_insert_with(|| Program::probe(path))
    }

    /// Whether a QEMU was named that is none.
    ///
    /// # Errors
    /// [`Error::Invalid`], with what is wrong with it.
    pub fn named_qemu_is_one(&mut self) -> Result<()> {
        match (self.qemu_path, self.qemu()) {
            (Some(_), Err(why)) => Err(Error::Invalid(format!("--qemu {why}"))),
            _ => Ok(()),
        }
    }

    /// What source and destination can do for an arm.
    ///
    /// # Errors
    /// If they can't be started.
    pub fn abilities(&mut self, arm: Arm) -> Result<[Capabilities; 2]> {
        if let Some(known) = self.told.get(&arm) {
            return Ok(known.clone());
        }
        let source = self.launcher.capabilities(Role::Source, arm)?;
        let destination = if self.launcher.is_uniform() {
            source.clone()
        } else {
            self.launcher.capabilities(Role::Destination, arm)?
        };
        let abilities = [source, destination];
        self.told.insert(arm, abilities.clone());
        Ok(abilities)
    }
}
