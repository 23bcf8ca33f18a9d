//! `frontier.json`: every probe, and what all of them come to.

mod check;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::question::question;
use super::search::{Posterior, Search, Standing, bytes_per_s, writes_per_s};
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::files::{self, write_atomically};
use crate::machine::MachineInfo;
use crate::results::{ArmInfo, Bound, Outcome, OutcomeStatus, PolicyDecision, Warning};
use crate::scenario::{ClockKind, Scenario};
use crate::units::PAGE_SIZE;

/// The name of the file in a folder.
pub const FILE_NAME: &str = "frontier.json";
/// The version of the format that this build writes and reads.
pub const SCHEMA_VERSION: u32 = 1;
/// Larger files are refused: 200 probes of a thousand searches take less.
const LARGEST_BYTES: u64 = 256 << 20;
/// So many probes of a search that failed one after the other end it.
pub const MOST_FAILED: usize = 3;

/// A search for the frontiers of a scenario's arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrontierFile {
    /// [`SCHEMA_VERSION`] of the build that wrote it.
    pub schema_version: u32,
    /// Version of the build that wrote it.
    pub migtax_version: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Whether an interrupt ended it.
    pub interrupted: bool,
    /// The command that repeats it, with `***` for secrets of known forms.
    pub command: Vec<String>,
    /// The machine that it was made on.
    pub host: MachineInfo,
    /// Every value as resolved; of a matrix one a point. The rate is the first that was probed.
    pub scenarios: Vec<Scenario>,
    /// The arms asked for, unsupported ones included.
    pub arms: Vec<ArmInfo>,
    /// How far the ends of an interval may be from the frontier, as a share of it; 0 is to a page write
    /// per second.
    pub precision: f64,
    /// What the probes come to: one a scenario and arm.
    pub frontier: Vec<Entry>,
    /// Every probe, in the order in which they were made. Warm-up is not among them.
    pub probes: Vec<Probe>,
    /// What a plan from the costs of a run says of each frontier; empty without one.
    #[serde(default)]
    pub predicted: Vec<Predicted>,
    /// What weakens the result, with a remedy.
    pub warnings: Vec<Warning>,
}

/// A frontier. What is unknown is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The arm.
    pub arm: Arm,
    /// Index of its scenario.
    pub scenario: usize,
    /// The link as the scenario has it.
    pub link: String,
    /// The downtime limit that convergence is judged by; the first where it grows.
    pub downtime_limit_s: f64,
    /// The highest dirty rate that converges: page writes per second times the page size. Under the live
    /// clock that at which one of two migrations does.
    pub rate_bytes_per_s: Option<f64>,
    /// Lower end of its interval, bytes per second. Under the virtual clock the rate itself.
    pub low: Option<f64>,
    /// Upper end of its interval, bytes per second. Under the virtual clock the lowest rate above `low` that
    /// was seen not to converge.
    pub high: Option<f64>,
    /// Level of the interval; null under the virtual clock, and where there is only a bound.
    pub level: Option<f64>,
    /// Where only a bound is known: `lower`, the frontier is above `low`; `upper`, it is below `high`.
    pub bound: Option<Bound>,
    /// Whether it is as precise as was asked for.
    pub precise: bool,
    /// Probes that converged or did not.
    pub probes: usize,
    /// Probes that failed; they say nothing about the frontier.
    pub failed: usize,
    /// Why there is no frontier, or not one as precise as was asked for.
    pub reason: Option<String>,
}

/// A frontier as a plan has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Index of its scenario.
    pub scenario: usize,
    /// The arm.
    pub arm: Arm,
    /// The highest dirty rate that is expected to converge.
    pub rate_bytes_per_s: f64,
    /// Lower end of its 90% interval, bytes per second; null where no rate that a plan looks at is that sure.
    #[serde(default)]
    pub low: Option<f64>,
    /// Its upper end; null beyond what a plan looks at.
    #[serde(default)]
    pub high: Option<f64>,
    /// Whether it lies beyond what the run measured.
    #[serde(default)]
    pub extrapolated: bool,
}

/// A migration that was made to see whether it converges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Index of its scenario.
    pub scenario: usize,
    /// The arm.
    pub arm: Arm,
    /// Which turn of its search it was, from 0: all arms meet the same stream in a turn.
    pub block: u32,
    /// Seed of that stream.
    pub stream_seed: u64,
    /// The dirty rate asked for.
    pub rate_asked_bytes_per_s: u64,
    /// The share of the writes asked for that the vCPUs made, at most 1. Null of one that failed.
    pub schedule_kept: Option<f64>,
    /// The dirty rate that it counts at: what the guest made of the one asked for. Null of one that failed.
    pub rate_achieved_bytes_per_s: Option<f64>,
    /// Whether it converged. Null of one that failed.
    pub converged: Option<bool>,
    /// How it ended.
    pub outcome: Outcome,
    /// Rounds, the stop-and-copy included.
    pub rounds: usize,
    /// Until the switchover, or until it was given up; under the virtual clock virtual time.
    pub total_time_s: f64,
    /// The guest's pause, of one that converged.
    pub downtime_s: Option<f64>,
}

impl FrontierFile {
    /// The search of a scenario's arm, as the probes left it. Under the virtual clock it first probes
    /// where an arm before it, whose link and stream are the same, has its frontier.
    pub fn search(&self, scenario: usize, arm: Arm) -> Search {
        let of = &self.scenarios[scenario];
        let mut search = Search::new(question(of, self.precision));
        if of.measure.clock == ClockKind::Virtual {
            let arms = self.arms.iter().map(|info| info.name);
            let mut before = arms.take_while(|other| *other != arm);
            let found = before.find_map(|other| self.pair(scenario, other));
            if let Some((low, high)) = found {
                search = search.expecting(low, high);
            }
        }
        for probe in self.of(scenario, arm) {
            if let (Some(converged), Some(achieved)) =
                (probe.converged, probe.rate_achieved_bytes_per_s)
            {
                let asked = writes_per_s(probe.rate_asked_bytes_per_s);
                search.told(asked, achieved / PAGE_SIZE as f64, converged);
            }
        }
        search
    }

    /// Both sides of an exact frontier that was found, page writes per second.
    fn pair(&self, scenario: usize, arm: Arm) -> Option<(u64, u64)> {
        let search = self.search(scenario, arm);
        let known = search.known();
        let found = search.standing() == Standing::Precise;
        found.then_some((known.low? as u64, known.high? as u64))
    }

    /// The probes of a scenario's arm.
    pub fn of(&self, scenario: usize, arm: Arm) -> impl DoubleEndedIterator<Item = &Probe> {
        let of = move |probe: &&Probe| (probe.scenario, probe.arm) == (scenario, arm);
        self.probes.iter().filter(of)
    }

    /// How many of the latest probes of a scenario's arm failed one after the other.
    pub fn failed_in_row(&self, scenario: usize, arm: Arm) -> usize {
        let latest = self.of(scenario, arm).rev();
        latest.take_while(|probe| probe.converged.is_none()).count()
    }

    /// Derives the frontiers from the probes.
    pub fn derive(&mut self) {
        let all: Vec<_> = (0..self.scenarios.len())
            .flat_map(|scenario| self.arms.iter().map(move |info| (scenario, info.name)))
            .collect();
        let entry =
            |(scenario, arm): (usize, Arm)| self.entry(scenario, arm, &self.search(scenario, arm));
        self.frontier = all.into_iter().map(entry).collect();
    }

    /// Derives one frontier again, from a search as [`FrontierFile::search`] would make it.
    pub fn derive_one(&mut self, scenario: usize, arm: Arm, search: &Search) {
        let derived = self.entry(scenario, arm, search);
        let is = |entry: &&mut Entry| (entry.scenario, entry.arm) == (scenario, arm);
        if let Some(entry) = self.frontier.iter_mut().find(is) {
            *entry = derived;
        }
    }

    /// What a plan says of a scenario's arm.
    pub fn predicted(&self, scenario: usize, arm: Arm) -> Option<&Predicted> {
        let is = |p: &&Predicted| (p.scenario, p.arm) == (scenario, arm);
        self.predicted.iter().find(is)
    }

    fn info(&self, arm: Arm) -> Option<&ArmInfo> {
        self.arms.iter().find(|info| info.name == arm)
    }

    /// Whether an arm's frontier is looked for.
    fn runs(&self, arm: Arm) -> bool {
        self.info(arm).is_some_and(runs)
    }

    fn entry(&self, scenario: usize, arm: Arm, search: &Search) -> Entry {
        let of = &self.scenarios[scenario];
        let known = search.known();
        let bound = match (known.rate, known.low, known.high) {
            (None, Some(_), _) => Some(Bound::Lower),
            (None, None, Some(_)) => Some(Bound::Upper),
            _ => None,
        };
        let standing = search.standing();
        let noisy = of.measure.clock == ClockKind::Live;
        let made = self.of(scenario, arm).count();
        Entry {
            arm,
            scenario,
            link: of.migration.link.to_string(),
            downtime_limit_s: of.migration.downtime_limit.as_secs_f64(),
            rate_bytes_per_s: known.rate.map(bytes_per_s),
            low: known.low.map(bytes_per_s),
            high: known.high.map(bytes_per_s),
            level: (noisy && known.rate.is_some()).then_some(Posterior::LEVEL),
            bound,
            precise: self.runs(arm) && standing == Standing::Precise,
            probes: search.probes(),
            failed: made - search.probes(),
            reason: self.reason(scenario, arm, standing),
        }
    }

    /// Why an entry is not all that was asked for.
    fn reason(&self, scenario: usize, arm: Arm, standing: Standing) -> Option<String> {
        let info = self.info(arm)?;
        if !runs(info) {
            let decision = info.policy_decision.to_string();
            return Some(info.reason.clone().unwrap_or(decision));
        }
        let failed = self.failed_in_row(scenario, arm);
        let last = self.of(scenario, arm).next_back();
        let why = last.and_then(|probe| probe.outcome.reason.as_deref());
        match standing {
            _ if failed >= MOST_FAILED => Some(format!(
                "{failed} probes failed in a row: {}",
                why.unwrap_or_default()
            )),
            Standing::Precise => None,
            Standing::Open(_) => Some("the search is not finished".to_owned()),
            Standing::Above => {
                Some("the highest rate that the guest can write at converges".to_owned())
            }
            Standing::Below => Some("the lowest rate probed does not converge".to_owned()),
            Standing::Exhausted => Some("the most probes were made".to_owned()),
        }
    }

    /// Whether a search goes on: what it is to probe next.
    pub fn next(&self, scenario: usize, arm: Arm, search: &Search) -> Option<u64> {
        let failed = self.failed_in_row(scenario, arm);
        match search.standing() {
            Standing::Open(rate) if failed < MOST_FAILED => Some(rate),
            _ => None,
        }
    }

    /// Writes `frontier.json` into a folder. An interruption leaves the old file or the new one.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder or the file can't be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut json =
            serde_json::to_vec_pretty(self).map_err(|e| Error::CannotRun(e.to_string()))?;
        json.push(b'\n');
        write_atomically(&folder.join(FILE_NAME), &json)
    }
}

/// Whether an arm's frontier is looked for. One that policy sends in the clear has plain's.
pub fn runs(info: &ArmInfo) -> bool {
    matches!(
        info.policy_decision,
        PolicyDecision::Baseline | PolicyDecision::Encrypted
    )
}

/// Whether a probe that ended so converged; none if that is not known.
pub fn converged(outcome: &Outcome) -> Option<bool> {
    match outcome.status {
        OutcomeStatus::Completed => Some(true),
        OutcomeStatus::NotConverged => Some(false),
        OutcomeStatus::Failed | OutcomeStatus::FellBack => None,
    }
}

/// Reads a folder's `frontier.json`, and checks that its parts belong together.
///
/// # Errors
/// [`Error::Invalid`] in one line that names the file and the field.
pub fn read(folder: &Path) -> Result<FrontierFile> {
    let file = file_of(folder);
    let bytes = files::read(&file, LARGEST_BYTES)?;
    parse(&bytes).map_err(|error| match error {
        Error::Invalid(text) => Error::Invalid(format!("{}: {text}", file.display())),
        Error::Newer(text) => Error::Newer(format!("{}: {text}", file.display())),
        other => other,
    })
}

/// The file that is meant: itself, or the one in a folder.
pub fn file_of(folder: &Path) -> PathBuf {
    match folder.is_dir() {
        true => folder.join(FILE_NAME),
        false => folder.to_owned(),
    }
}

/// Reads a frontier from JSON text.
///
/// # Errors
/// As [`read`], without the file's name.
pub fn parse(json: &[u8]) -> Result<FrontierFile> {
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u64,
    }
    let no_frontier = |e: serde_json::Error| {
        let cut = if e.is_eof() { "truncated: " } else { "" };
        Error::Invalid(format!("not a frontier file: {cut}{e}"))
    };
    let Versioned { schema_version } = serde_json::from_slice(json).map_err(no_frontier)?;
    if schema_version != u64::from(SCHEMA_VERSION) {
        let text = format!("schema_version = {schema_version}: this build reads {SCHEMA_VERSION}");
        return Err(match schema_version {
            0 => Error::Invalid(text),
            _ => Error::Newer(text),
        });
    }
    let mut file: FrontierFile = serde_json::from_slice(json).map_err(no_frontier)?;
    check::check(&file)?;
    // Of all that is derived, only this build's own is used.
    file.derive();
    Ok(file)
}
