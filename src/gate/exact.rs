//! The exact tier: counts and hashes of the virtual clock, equal or not.
//!
//! They depend on scenario and build only, never on the machine, so they are compared with a
//! reviewed file in the repository as well as between runs. Equal means equal: a run that sends
//! fewer bytes has changed too, and the file's difference shows what.

mod each_once;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::each_once::each_once;
use super::identity::scenario_difference;
use super::verdict::{Report, Row, Tier, Verdict};
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::files::{self, write_atomically};
use crate::results::{Migration, Results};
use crate::scenario::{ClockKind, Scenario};

/// Version of the baseline file's format.
const FORMAT_VERSION: u32 = 1;

/// A larger file is none.
const LARGEST_BYTES: u64 = 64 << 20;

/// What the virtual clock makes exact in one round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundCounts {
    /// Pages sent with content.
    pub pages_sent: u64,
    /// Pages sent as zero.
    pub zero_pages: u64,
    /// Pages found dirty at its end.
    pub pages_dirtied: Option<u64>,
}

/// What the virtual clock makes exact in a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// How it ended.
    pub completed: bool,
    /// Rounds in order.
    pub rounds: Vec<RoundCounts>,
    /// Page content sent.
    pub payload_bytes: u64,
    /// Records; differs between arms.
    pub records: Option<u64>,
    /// Everything sent; differs between arms.
    pub bytes_on_wire: u64,
    /// Hash of guest memory and device state at the source.
    pub source_hash: String,
    /// The same at the destination; equal if it completed.
    pub destination_hash: String,
}

/// Counts by arm; where an arm's migrations differ among themselves, the sentence that says so.
pub type CountsByArm = BTreeMap<Arm, std::result::Result<Counts, String>>;

/// The reviewed file: counts of every arm of every scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    format_version: u32,
    #[serde(deserialize_with = "each_once")]
    scenarios: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    scenario: Scenario,
    #[serde(deserialize_with = "each_once")]
    arms: BTreeMap<Arm, Counts>,
}

/// A count, where it is told.
fn written(count: Option<u64>) -> String {
    count.map_or_else(|| "none".to_owned(), |count| count.to_string())
}

impl Counts {
    fn of(m: &Migration) -> Counts {
        Counts {
            completed: m.outcome.status == crate::results::OutcomeStatus::Completed,
            rounds: m
                .rounds
                .iter()
                .map(|r| RoundCounts {
                    pages_sent: r.pages_sent,
                    zero_pages: r.zero_pages,
                    pages_dirtied: r.pages_dirtied,
                })
                .collect(),
            payload_bytes: m.payload_bytes,
            records: m.records,
            bytes_on_wire: m.bytes_on_wire,
            source_hash: m.verified.source_hash.clone(),
            destination_hash: m.verified.destination_hash.clone(),
        }
    }

    /// Every count with its name.
    fn named(&self) -> impl Iterator<Item = (String, String)> {
        let whole = |(what, count): (&str, String)| (what.to_owned(), count);
        let ended = [
            ("completed", self.completed.to_string()),
            ("rounds", self.rounds.len().to_string()),
        ];
        let rounds = self.rounds.iter().enumerate().flat_map(|(i, round)| {
            [
                ("pages_sent", Some(round.pages_sent)),
                ("zero_pages", Some(round.zero_pages)),
                ("pages_dirtied", round.pages_dirtied),
            ]
            .map(|(what, count)| (format!("round {i} {what}"), written(count)))
        });
        let sent = [
            ("payload_bytes", self.payload_bytes.to_string()),
            ("records", written(self.records)),
            ("bytes_on_wire", self.bytes_on_wire.to_string()),
            ("source_hash", self.source_hash.clone()),
            ("destination_hash", self.destination_hash.clone()),
        ];
        let ended = ended.map(whole).into_iter();
        ended.chain(rounds).chain(sent.map(whole))
    }

    /// The first count that differs, with both values.
    fn difference(&self, other: &Counts) -> Option<String> {
        let ((what, a), (_, b)) = self.named().zip(other.named()).find(|(a, b)| a != b)?;
        Some(format!("{what} {a} became {b}"))
    }
}

/// The counts of every arm that ran, which must be equal in all its blocks.
pub fn counts(run: &Results) -> CountsByArm {
    let mut found = CountsByArm::new();
    for info in &run.arms {
        let mut of_arm = run.migrations.iter().filter(|m| m.arm == info.name);
        let Some(first) = of_arm.next() else {
            continue;
        };
        let counts = Counts::of(first);
        let differs = of_arm.find_map(|m| {
            let why = counts.difference(&Counts::of(m))?;
            Some(format!(
                "blocks {} and {} differ: {why}",
                first.block, m.block
            ))
        });
        found.insert(info.name, differs.map_or(Ok(counts), Err));
    }
    found
}

/// One row per arm: equal counts pass, anything else has regressed.
pub fn judge(baseline: &CountsByArm, candidate: &CountsByArm, arms: &[Arm]) -> Vec<Row> {
    let mut rows = Vec::new();
    for arm in arms {
        let (verdict, sentence) = match (baseline.get(arm), candidate.get(arm)) {
            (_, Some(Err(why))) => (
                Verdict::Regressed,
                format!("the candidate's counts are not deterministic: {why}"),
            ),
            (Some(Err(why)), _) => (
                Verdict::Incomparable,
                format!("the baseline's counts are not deterministic: {why}"),
            ),
            (Some(Ok(a)), Some(Ok(b))) => match a.difference(b) {
                None => {
                    let (rounds, records) = (b.rounds.len(), written(b.records));
                    let equal = format!("{rounds} rounds, {records} records and hashes are equal");
                    (Verdict::Pass, equal)
                }
                Some(why) => (
                    Verdict::Regressed,
                    format!("{why}; if that is meant, review it and run --update-exact"),
                ),
            },
            (None, _) => (Verdict::Incomparable, "no counts at the baseline".into()),
            (_, None) => (Verdict::Incomparable, "no counts at the candidate".into()),
        };
        rows.push(row(arm.name(), verdict, sentence));
    }
    rows.extend(across_arms(candidate));
    rows
}

fn row(arm: &str, verdict: Verdict, sentence: String) -> Row {
    Row::new(Tier::Exact, arm, "counts", verdict, sentence)
}

/// Rounds, pages and hashes must be equal across the arms of a run.
fn across_arms(run: &CountsByArm) -> Option<Row> {
    let shared = |c: &Counts| Counts {
        records: None,
        bytes_on_wire: 0,
        ..c.clone()
    };
    let mut known = run
        .iter()
        .filter_map(|(arm, counts)| Some((arm, shared(counts.as_ref().ok()?))));
    let (first, expected) = known.next()?;
    let differs = known.find_map(|(arm, counts)| {
        let why = expected.difference(&counts)?;
        let sentence = format!("{first} and {arm} did not send the same pages: {why}");
        Some((Verdict::Regressed, sentence))
    });
    let (verdict, sentence) = differs.unwrap_or_else(|| {
        let equal = "every arm sent the same pages in the same rounds".to_owned();
        (Verdict::Pass, equal)
    });
    Some(row("all arms", verdict, sentence))
}

/// Judges a run's counts against the reviewed file. Arms that this machine can't run are noted;
/// arms and scenarios that only one side has are incomparable.
///
/// # Errors
/// [`Error::Invalid`] if the file is missing or not such a file.
pub fn judge_against_file(file: &Path, run: &Results, candidate: String) -> Result<Report> {
    let baseline = read(file)?;
    let name = file.display().to_string();
    let refused = |why: String| Ok(Report::refused(name.clone(), candidate.clone(), why));
    if run.scenario.measure.clock != ClockKind::Virtual {
        return refused("the candidate ran under the live clock: its counts are not exact".into());
    }
    let title = run.scenario.title();
    let Some(entry) = baseline.scenarios.get(&title) else {
        return refused(format!(
            "the file has no scenario \"{title}\": run --update-exact"
        ));
    };
    if let Some(why) = scenario_difference(&entry.scenario, &run.scenario) {
        return refused(why);
    }
    let found = counts(run);
    let mut notes = Vec::new();
    let mut arms: BTreeSet<Arm> = entry.arms.keys().chain(found.keys()).copied().collect();
    for info in run.arms.iter().filter(|a| !a.supported) {
        if arms.remove(&info.name) {
            let reason = info.reason.clone().unwrap_or_default();
            notes.push(format!("{} can't run on this machine: {reason}", info.name));
        }
    }
    let arms: Vec<Arm> = arms.into_iter().collect();
    let expected = entry.arms.iter().map(|(a, c)| (*a, Ok(c.clone())));
    let rows = judge(&expected.collect(), &found, &arms);
    Ok(Report::of(name, candidate, rows, notes))
}

/// Puts a run's counts into the reviewed file and says what changed, one line each. Arms that
/// the run does not have keep their counts, if the scenario is the same.
///
/// # Errors
/// [`Error::Invalid`] if the run has no exact counts or the file is not such a file,
/// [`Error::Io`] if it can't be written.
pub fn update_file(file: &Path, run: &Results) -> Result<Vec<String>> {
    if run.scenario.measure.clock != ClockKind::Virtual {
        return Err(Error::invalid(
            "scenario.measure.clock",
            "live",
            "only the virtual clock's counts are exact",
        ));
    }
    let mut baseline = if file.exists() {
        read(file)?
    } else {
        Baseline {
            format_version: FORMAT_VERSION,
            scenarios: BTreeMap::new(),
        }
    };
    let mut changes = Vec::new();
    let name = &run.scenario.title();
    let old = baseline.scenarios.remove(name);
    let mut arms = BTreeMap::new();
    if let Some(old) = &old {
        match scenario_difference(&old.scenario, &run.scenario) {
            Some(why) => changes.push(format!("{name}: {why}; counts of all arms start anew")),
            None => arms = old.arms.clone(),
        }
    }
    let found = counts(run);
    if let Some(row) = across_arms(&found).filter(|row| row.verdict == Verdict::Regressed) {
        return Err(Error::Invalid(row.sentence));
    }
    for (arm, counts) in found {
        let counts = counts.map_err(|why| Error::Invalid(format!("{arm}: {why}")))?;
        let change = match arms.get(&arm) {
            None => Some("new".to_owned()),
            Some(before) => before.difference(&counts),
        };
        changes.extend(change.map(|why| format!("{name}, {arm}: {why}")));
        arms.insert(arm, counts);
    }
    // Only what defines the counts is kept: how often they were measured would be noise here.
    let mut scenario = run.scenario.clone();
    scenario.analysis = String::new();
    scenario.measure.repetitions = 1;
    scenario.measure.warmup = 0;
    scenario.measure.arms = arms.keys().copied().collect();
    baseline
        .scenarios
        .insert(name.clone(), Entry { scenario, arms });
    let mut json =
        serde_json::to_vec_pretty(&baseline).map_err(|e| Error::CannotRun(e.to_string()))?;
    json.push(b'\n');
    write_atomically(file, &json)?;
    Ok(changes)
}

fn read(file: &Path) -> Result<Baseline> {
    let bytes = files::read(file, LARGEST_BYTES)?;
    Baseline::parse(&bytes).map_err(|e| Error::Invalid(format!("{}: {e}", file.display())))
}

impl Baseline {
    /// Reads the text of a reviewed file.
    ///
    /// # Errors
    /// [`Error::Invalid`] in one line, without the file's name.
    pub fn parse(json: &[u8]) -> Result<Baseline> {
        let baseline: Baseline = serde_json::from_slice(json)
            .map_err(|e| Error::Invalid(format!("not exact counts: {e}")))?;
        if baseline.format_version != FORMAT_VERSION {
            return Err(Error::invalid(
                "format_version",
                baseline.format_version,
                format!("this build reads {FORMAT_VERSION}"),
            ));
        }
        Ok(baseline)
    }
}

#[cfg(test)]
mod tests;
