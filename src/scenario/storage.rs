//! The guest's disk, as a scenario has it.

use serde::{Deserialize, Serialize};

use super::content;
use super::spec::{ClockKind, Scenario};
use crate::error::{Error, Result};
use crate::guest::content::ContentSpec;
use crate::guest::disk::{self, Disk, DiskIo};
use crate::units::{PAGE_SIZE, Rate, Size};
use crate::workload::{Arrival, Placement, StreamSpec};

/// Names the disk's writes among what is drawn from a seed.
const DISK: u64 = 0x6469_736b_7772_6974;

/// The guest's disk, and what the guest writes to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSpec {
    /// Its size, a whole number of blocks of 4 KiB.
    pub size: Size,
    /// What its blocks hold at the start; zero ones are holes.
    pub content: ContentSpec,
    /// Block writes per second times 4 KiB, at random times; one at a time, and `0MiB/s` for none.
    pub rate: Rate,
    /// Which blocks are written.
    pub placement: Placement,
    /// How both hosts read and write it.
    pub io: DiskIo,
    /// Where the hosts keep it; each host's folder for temporary files if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

impl Default for StorageSpec {
    fn default() -> Self {
        StorageSpec {
            size: Size(1 << 30),
            content: ContentSpec::default(),
            rate: Rate(10 << 20),
            placement: Placement::Uniform { working_set: 0.25 },
            io: DiskIo::Cached,
            folder: None,
        }
    }
}

impl Scenario {
    /// What the writes to its disk are generated from; none of a guest without one.
    pub fn disk_stream_spec(&self, seed: u64) -> Option<StreamSpec> {
        Some(self.storage.as_ref()?.stream_spec(seed))
    }

    /// A disk goes where records are our own, in real time.
    pub(super) fn check_storage(&self) -> Result<()> {
        let Some(storage) = &self.storage else {
            return Ok(());
        };
        storage.check(self)?;
        let virtual_clock = self.measure.clock == ClockKind::Virtual;
        let allowed =
            "none with the virtual clock: when a disk's writes meet its copy is real time's";
        Error::unless(!virtual_clock, "storage", "given", allowed)?;
        let mut arms = self.measure.arms.iter();
        match arms.find(|arm| arm.is_qemu() || arm.is_tunnel()) {
            None => Ok(()),
            Some(arm) => Err(Error::invalid(
                "storage",
                "given",
                format_args!("none with {arm}, which carries memory only here"),
            )),
        }
    }
}

impl StorageSpec {
    /// An empty disk on this host.
    ///
    /// # Errors
    /// As [`Disk::create`].
    pub fn create(&self) -> Result<Disk> {
        Disk::create(&disk::folder(self.folder.as_deref()), self.size, self.io)
    }

    fn stream_spec(&self, seed: u64) -> StreamSpec {
        StreamSpec {
            memory: self.size,
            vcpus: 1,
            seed: seed ^ DISK,
            rate: self.rate,
            arrival: Arrival::Poisson {},
            placement: self.placement.clone(),
            granularity: Size(PAGE_SIZE as u64),
        }
    }

    /// Refuses what can't be.
    fn check(&self, scenario: &Scenario) -> Result<()> {
        if let Some(folder) = &self.folder {
            let fine = !folder.is_empty() && !folder.contains('\0');
            let allowed = "the path of a folder on both hosts";
            Error::unless(fine, "storage.folder", format_args!("{folder:?}"), allowed)?;
        }
        let traced = matches!(self.placement, Placement::Trace { .. });
        let allowed =
            "uniform, zipf, hot-cold, sweep, moving-hot-set or mixture: traces are of memory";
        Error::unless(!traced, "storage.placement", "\"trace\"", allowed)?;
        // These are checked as memory's are, and called by their own names.
        let named = |error| match error {
            Error::Invalid(text) => {
                Error::Invalid(text.replacen("workload.", "storage.", 1).replacen(
                    "guest.memory",
                    "storage.size",
                    1,
                ))
            }
            other => other,
        };
        content::check("storage.content", &self.content)?;
        let stream = self.stream_spec(scenario.guest.seed);
        stream.check_values().map_err(named)
    }
}
