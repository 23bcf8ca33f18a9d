//! What a fleet's file holds, and the fleet that it comes to.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use toml::Table;

use crate::arm::Arm;
use crate::precopy::OnStall;
use crate::scenario::{Policy, Scenario};
use crate::units::{Bandwidth, Size, Span, text_serde};

/// A file as written. Only `name` and guests are required; unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) name: String,
    #[serde(default)]
    pub(super) analysis: String,
    #[serde(default)]
    pub(super) source: Side,
    #[serde(default)]
    pub(super) destination: Side,
    #[serde(default)]
    pub(super) evacuation: EvacuationSpec,
    #[serde(default)]
    pub(super) measure: MeasureSpec,
    #[serde(default)]
    pub(super) guests: Vec<Group>,
}

/// Guests that are written together: copies of one, or the lines of an inventory.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Group {
    /// Of one guest its name, of several what `-1`, `-2` and so on are put after.
    pub(super) name: Option<String>,
    pub(super) count: Option<u32>,
    /// The inventory that names them; a CSV file.
    pub(super) vms: Option<PathBuf>,
    /// What they are and do: an embedded scenario or a file.
    pub(super) scenario: Option<String>,
    /// Values in the place of the scenario's.
    pub(super) guest: Table,
    pub(super) workload: Table,
    pub(super) storage: Table,
    pub(super) migration: Table,
    /// In the place of the scenario's `migration.policy`.
    pub(super) encryption: Option<Policy>,
    /// In the place of the scenario's `guest.encrypted`.
    pub(super) encrypted: Option<bool>,
}

/// A fleet with every value resolved: the guests of a host, and how they leave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// The name in results, tables and folder names.
    pub name: String,
    /// Why it exists and how to read its result.
    pub analysis: String,
    /// The host that is evacuated.
    pub source: Side,
    /// The host that takes the guests.
    pub destination: Side,
    /// How they move.
    pub evacuation: EvacuationSpec,
    /// How that is measured.
    pub measure: MeasureSpec,
    /// The guests, as listed.
    pub guests: Vec<Guest>,
}

/// A guest of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// What it is called; no two have one name.
    pub name: String,
    /// What it is, does and asks for. What it takes on its host is its memory ([`Guest::memory`]).
    pub scenario: Scenario,
}

/// One of the two hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Side {
    /// CPUs that migration is held to there, by affinity; any if empty. vCPUs of guests that wait or move are not.
    pub cores: Vec<usize>,
    /// Memory that it has for guests; without it, what its machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
}

/// How a host is evacuated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvacuationSpec {
    /// Migrations that are under way at once at most; of several numbers each is a course of its own.
    #[serde(deserialize_with = "one_or_several")]
    pub concurrent: Vec<u32>,
    /// Who goes first.
    pub order: Order,
    /// The link between the hosts, which all migrations share.
    pub link: Bandwidth,
    /// What happens to a guest whose migration does not converge; without it, what its scenario says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_stall: Option<OnStall>,
}

fn one_or_several<'de, D: Deserializer<'de>>(numbers: D) -> Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number of migrations, or a list of them")]
    enum Numbers {
        One(u32),
        Several(Vec<u32>),
    }
    Ok(match Numbers::deserialize(numbers)? {
        Numbers::One(number) => vec![number],
        Numbers::Several(numbers) => numbers,
    })
}

/// Who goes first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, strum::Display,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Order {
    /// As the file lists them.
    AsListed,
    /// By memory.
    LargestFirst,
    /// By dirty rate.
    LeastBusyFirst,
    /// By the time that a migration is predicted to take, from the costs of a run.
    ShortestFirst,
}

/// How evacuations are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeasureSpec {
    /// Ways in which the fleet is evacuated, each once a block.
    pub ways: Vec<Way>,
    /// The arm of guests that are encrypted in the way `configured`.
    pub arm: Arm,
    /// Measured blocks.
    pub repetitions: u32,
    /// Blocks run first and not counted.
    pub warmup: u32,
    /// How long the guests run before the first one moves, and each after it was moved.
    pub window: Span,
    /// Seed of the order of ways in a block.
    pub seed: u64,
}

/// A way in which the whole fleet is evacuated. Plain is the baseline of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Every guest by one arm, whatever its setting.
    All(Arm),
    /// Each by its own setting.
    Configured,
}

/// A way, and how many guests are under way at once: what an evacuation is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Course {
    /// By which arms.
    pub way: Way,
    /// Migrations under way at once at most.
    pub concurrent: u32,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} at once", self.way, self.concurrent)
    }
}

impl Way {
    /// The way that taxes are over.
    pub const PLAIN: Way = Way::All(Arm::PLAIN);
    const CONFIGURED: &'static str = "configured";

    /// The arm that charts draw it with: of guests by their own settings, none.
    pub fn arm(self) -> Option<Arm> {
        match self {
            Way::All(arm) => Some(arm),
            Way::Configured => None,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::All(arm) => f.pad(arm.name()),
            Way::Configured => f.pad(Way::CONFIGURED),
        }
    }
}

impl FromStr for Way {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            Way::CONFIGURED => Ok(Way::Configured),
            _ => text
                .parse()
                .map(Way::All)
                .map_err(|error: crate::arm::UnknownArm| {
                    format!("{error}; or {}", Way::CONFIGURED)
                }),
        }
    }
}

text_serde!(Way);

impl Default for EvacuationSpec {
    fn default() -> Self {
        EvacuationSpec {
            concurrent: vec![4],
            order: Order::AsListed,
            link: Bandwidth::BitsPerSecond(10_000_000_000),
            on_stall: None,
        }
    }
}

impl Default for MeasureSpec {
    fn default() -> Self {
        MeasureSpec {
            ways: vec![Way::PLAIN, Way::All(Arm::foremost()), Way::Configured],
            arm: Arm::foremost(),
            repetitions: 3,
            warmup: 1,
            window: Span(std::time::Duration::from_millis(100)),
            seed: 1,
        }
    }
}

impl Guest {
    /// Its memory, bytes.
    pub fn memory(&self) -> u64 {
        self.scenario.guest.memory.0
    }

    /// Whether it may not go in the clear, as its setting has it.
    pub fn encryption(&self) -> Policy {
        match self.scenario.requires_encryption() {
            true => Policy::Required,
            false => self.scenario.migration.policy,
        }
    }
}

impl Fleet {
    /// Memory of all guests, bytes.
    pub fn memory(&self) -> u64 {
        let each = self.guests.iter().map(Guest::memory);
        each.fold(0, u64::saturating_add)
    }

    /// Another link for all.
    pub fn set_link(&mut self, link: Bandwidth) {
        self.evacuation.link = link;
        for guest in &mut self.guests {
            guest.scenario.migration.link = link;
        }
    }

    /// Migrations that can be under way at once where so many may.
    pub fn sharers(&self, concurrent: u32) -> u32 {
        concurrent.min(self.guests.len() as u32).max(1)
    }

    /// Other ways, in the place of its own.
    pub fn set_ways(&mut self, ways: &[Way]) {
        self.measure.ways = ways.to_vec();
        let arms = self.arms();
        for guest in &mut self.guests {
            guest.scenario.measure.arms.clone_from(&arms);
        }
    }

    /// Every arm that some way needs, each once, in table order.
    pub fn arms(&self) -> Vec<Arm> {
        let mut arms = vec![Arm::PLAIN];
        arms.extend(self.measure.ways.iter().filter_map(|way| way.arm()));
        if self.measure.ways.contains(&Way::Configured) {
            arms.push(self.measure.arm);
        }
        arms.sort_unstable();
        arms.dedup();
        arms
    }
}
