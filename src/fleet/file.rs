//! `fleet.json`: every evacuation, and what all of them come to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::figures::{self, Comparison};
use super::spec::{Course, Fleet, Way};
use super::warnings::warnings;
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::files::{self, write_atomically_with};
use crate::machine::{Holds, MachineInfo};
use crate::results::{ArmInfo, OutcomeStatus, PolicyDecision, Storage, Warning};
use crate::run_folder::LAST_BLOCK;
use crate::runner::Place;

/// The name of the file in a folder.
pub const FILE_NAME: &str = "fleet.json";
/// The version of the format that this build writes and reads.
pub const SCHEMA_VERSION: u32 = 1;
/// Larger files are refused: a thousand evacuations of a hundred guests take less.
const LARGEST_BYTES: u64 = 256 << 20;

/// A fleet's evacuations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetFile {
    /// [`SCHEMA_VERSION`] of the build that wrote it.
    pub schema_version: u32,
    /// Version of the build that wrote it.
    pub migtax_version: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Whether it ended before all its evacuations were made.
    pub interrupted: bool,
    /// The command that repeats it, with `***` for secrets of known forms.
    pub command: Vec<String>,
    /// The machine that it was made on.
    pub host: MachineInfo,
    /// Every value as resolved.
    pub fleet: Fleet,
    /// The arms that its ways need, as both hosts have them.
    pub arms: Vec<ArmInfo>,
    /// Ways that were asked for and can't be gone, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_run: BTreeMap<Way, String>,
    /// Every evacuation, in the order in which they were made. Warm-up is not among them.
    pub evacuations: Vec<Evacuation>,
    /// What a way costs over plain, derived from the evacuations.
    pub comparisons: Vec<Comparison>,
    /// What weakens the result, with a remedy.
    pub warnings: Vec<Warning>,
}

/// The whole fleet leaving its host once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evacuation {
    /// By which arms.
    pub way: Way,
    /// Migrations under way at once at most.
    pub concurrent: u32,
    /// Which block of interleaved ways, from 0.
    pub block: u32,
    /// Whether an interrupt kept guests from beginning to move. It counts in no figure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// From the first guest's turn until no guest moved any more.
    pub time_s: f64,
    /// The guests, as listed.
    pub guests: Vec<Moved>,
    /// Cores used over time.
    pub cores: Vec<CoresUsed>,
    /// The most memory that all host processes had, added up.
    pub peak_memory: PeakMemory,
    /// What the coordinator took.
    pub coordinator: Coordination,
}

/// One guest of an evacuation. Figures of a guest that never began to move are zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Its name.
    pub guest: String,
    /// The data path.
    pub arm: Arm,
    /// Whether it went encrypted.
    pub sealed: bool,
    /// What policy made of it.
    pub policy_decision: PolicyDecision,
    /// Where it is after the evacuation.
    pub place: Place,
    /// Why it was left behind, or what is to be said of how it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How its migration ended; none if it never began to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeStatus>,
    /// When its turn came, since the evacuation began; none if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_s: Option<f64>,
    /// When it no longer moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_s: Option<f64>,
    /// Connections and handshake.
    pub setup_time_s: f64,
    /// From the first harvest to the switchover, or until it was given up.
    pub total_time_s: f64,
    /// How long its disk was copied before that; none of a guest without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_copy_s: Option<f64>,
    /// Its pause.
    pub downtime_s: f64,
    /// Rounds, the stop-and-copy included.
    pub rounds: u32,
    /// Page content sent, and its disk's.
    pub payload_bytes: u64,
    /// Everything written to its sockets.
    pub bytes_on_wire: u64,
    /// CPU of its source, the guest's own apart.
    pub source_cpu_s: f64,
    /// CPU of its destination.
    pub destination_cpu_s: f64,
    /// CPU of its vCPUs while it moved.
    pub vcpu_cpu_s: f64,
    /// Of a guest that left: whether both memories, and disks, have equal hashes.
    pub verified: bool,
    /// Of a guest that stayed: whether memory and disk have every write that was made, and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_verified: Option<bool>,
    /// Writes made while it moved over those asked for, the pause included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
}

/// Cores that the hosts of the guests under way used in a stretch of time, their vCPUs and tunnels included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CoresUsed {
    /// The end of the stretch, since the evacuation began; it began where the one before ended.
    pub until_s: f64,
    /// At the source, in the mean.
    pub source: f64,
    /// At the destination; none of one on another machine.
    pub destination: Option<f64>,
    /// Guests under way at its end.
    pub under_way: u32,
}

/// The most memory that processes had, guests included and a tunnel's processes not, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeakMemory {
    /// All sources.
    pub source_bytes: u64,
    /// All destinations; none of those on another machine.
    pub destination_bytes: Option<u64>,
}

/// What the coordinator of an evacuation took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Coordination {
    /// CPU while guests moved.
    pub cpu_s: f64,
    /// CPU to start all hosts, before that.
    pub starting_cpu_s: f64,
    /// What it held when all hosts were there.
    #[serde(flatten)]
    pub holds: Holds,
}

impl Moved {
    /// Adds what its disk took.
    pub(super) fn add_disk(&mut self, storage: &Storage) {
        self.disk_copy_s = Some(storage.copy_s);
        self.payload_bytes += storage.sent_bytes();
        self.bytes_on_wire += storage.bytes_on_wire;
        self.source_cpu_s += storage.source_cpu.total_s;
        self.destination_cpu_s += storage.destination_cpu.total_s;
        let both = self.writes_verified.zip(storage.writes_verified);
        self.writes_verified = both.map(|(memory, disk)| memory && disk);
    }
}

impl Evacuation {
    /// What it is one of.
    pub fn course(&self) -> Course {
        Course {
            way: self.way,
            concurrent: self.concurrent,
        }
    }

    /// Guests that are not at the destination.
    pub fn left_behind(&self) -> impl Iterator<Item = &Moved> {
        let left = |moved: &&Moved| moved.place != Place::Destination;
        self.guests.iter().filter(left)
    }

    /// A sum over all guests.
    pub fn sum(&self, of: fn(&Moved) -> f64) -> f64 {
        self.guests.iter().map(of).sum()
    }

    /// What the coordinator took of the CPU that the migrations took.
    pub fn coordinator_share(&self) -> Option<f64> {
        let migrations = self.sum(|moved| moved.source_cpu_s + moved.destination_cpu_s);
        (migrations > 0.0).then(|| self.coordinator.cpu_s / migrations)
    }
}

impl FleetFile {
    /// Evacuations of a course that count.
    pub fn of(&self, course: Course) -> impl Iterator<Item = &Evacuation> + Clone {
        let of = move |made: &&Evacuation| made.course() == course && !made.interrupted;
        self.evacuations.iter().filter(of)
    }

    /// Ways that are gone, in order.
    pub fn ways(&self) -> Vec<Way> {
        let ways = self.fleet.measure.ways.iter().copied();
        ways.filter(|way| !self.not_run.contains_key(way)).collect()
    }

    /// Courses that are made, way by way.
    pub fn courses(&self) -> Vec<Course> {
        let concurrent = &self.fleet.evacuation.concurrent;
        let of = |way| {
            concurrent
                .iter()
                .map(move |&concurrent| Course { way, concurrent })
        };
        self.ways().into_iter().flat_map(of).collect()
    }

    /// Blocks in which every course was made to its end.
    pub fn whole_blocks(&self) -> usize {
        let courses = self.courses().len();
        let mut blocks = BTreeMap::<u32, usize>::new();
        for made in self.evacuations.iter().filter(|made| !made.interrupted) {
            *blocks.entry(made.block).or_default() += 1;
        }
        blocks.values().filter(|made| **made == courses).count()
    }

    /// Derives comparisons and warnings from the evacuations.
    pub fn derive(&mut self) {
        self.comparisons = figures::comparisons(self);
        self.warnings = warnings(self);
    }

    /// Writes it into a folder, which is made if it isn't there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_atomically_with(&folder.join(FILE_NAME), |out| {
            serde_json::to_writer_pretty(&mut *out, self)?;
            out.write_all(b"\n")
        })
    }
}

/// The file that a FLEET argument of a finished fleet means: a folder's, or itself.
pub fn file_of(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join(FILE_NAME),
        false => path.to_owned(),
    }
}

/// The file of a fleet that a RUN argument means, if it means one.
pub fn means_fleet(path: &Path) -> Option<PathBuf> {
    let file = file_of(path);
    let named = file.file_name().is_some_and(|name| name == FILE_NAME);
    (named && file.is_file()).then_some(file)
}

/// Reads a file and checks that it adds up.
///
/// # Errors
/// [`Error::Invalid`] if there is none, or it is none; [`Error::Newer`] of a newer format.
pub fn read(path: &Path) -> Result<FleetFile> {
    let file = file_of(path);
    let bytes = files::read(&file, LARGEST_BYTES)?;
    parse(&bytes).map_err(|error| match error {
        Error::Invalid(text) => Error::Invalid(format!("{}: {text}", file.display())),
        Error::Newer(text) => Error::Newer(format!("{}: {text}", file.display())),
        other => other,
    })
}

/// Reads a file's text and checks that it adds up.
///
/// # Errors
/// As [`read`], without the file's name.
pub fn parse(json: &[u8]) -> Result<FleetFile> {
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u64,
    }
    let none = |error: serde_json::Error| Error::Invalid(format!("not a fleet's results: {error}"));
    let Versioned { schema_version } = serde_json::from_slice(json).map_err(none)?;
    if schema_version != u64::from(SCHEMA_VERSION) {
        let text = format!("schema_version = {schema_version}: this build reads {SCHEMA_VERSION}");
        return Err(match schema_version {
            0 => Error::Invalid(text),
            _ => Error::Newer(text),
        });
    }
    let mut file: FleetFile = serde_json::from_slice(json).map_err(none)?;
    file.fleet.check()?;
    file.evacuations
        .iter()
        .try_for_each(|made| check(made, &file.fleet))?;
    // What follows from the evacuations is not believed but derived.
    file.derive();
    Ok(file)
}

/// Refuses what no evacuation of the fleet can have been.
fn check(made: &Evacuation, fleet: &Fleet) -> Result<()> {
    let place = format!("evacuations of {}, block {}", made.way, made.block);
    let refuse = |fine: bool, field: &str, value: &dyn std::fmt::Display, allowed: &str| {
        Error::unless(fine, format_args!("{place}: {field}"), value, allowed)
    };
    refuse(
        made.block <= LAST_BLOCK,
        "block",
        &made.block,
        "a block's number",
    )?;
    let listed = fleet.guests.iter().map(|guest| &guest.name);
    let same = listed.eq(made.guests.iter().map(|moved| &moved.guest));
    refuse(
        same,
        "guests",
        &made.guests.len(),
        "the fleet's guests, as listed",
    )?;
    refuse(
        is_time(made.time_s),
        "time_s",
        &made.time_s,
        "a time of at most a year",
    )?;
    for moved in &made.guests {
        let times = [
            moved.began_s.unwrap_or(0.0),
            moved.ended_s.unwrap_or(0.0),
            moved.setup_time_s,
            moved.total_time_s,
            moved.disk_copy_s.unwrap_or(0.0),
            moved.downtime_s,
            moved.source_cpu_s,
            moved.destination_cpu_s,
            moved.vcpu_cpu_s,
        ];
        let worst = times.into_iter().find(|time| !is_time(*time));
        let name = &moved.guest;
        refuse(
            worst.is_none(),
            name,
            &worst.unwrap_or(0.0),
            "times of at most a year",
        )?;
        let began = moved.began_s.is_some();
        let as_told = began == moved.ended_s.is_some() && began == moved.outcome.is_some();
        let arrived = moved.place == Place::Destination;
        let fine = as_told && (!arrived || began);
        refuse(
            fine,
            name,
            &moved.place,
            "a place that follows from how it went",
        )?;
    }
    for used in &made.cores {
        let cores = [used.until_s, used.source, used.destination.unwrap_or(0.0)];
        let fine = cores.iter().all(|value| is_time(*value));
        refuse(fine, "cores", &used.until_s, "figures above 0")?;
    }
    Ok(())
}

fn is_time(seconds: f64) -> bool {
    (0.0..=366.0 * 86_400.0).contains(&seconds)
}

#[cfg(test)]
mod tests;
