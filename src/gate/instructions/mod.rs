//! Instruction counts of two builds: small pieces of the data path under callgrind.
//!
//! A count hardly varies from run to run, so a change far below what times can show is found. It is
//! not time: what caches, memory or the kernel do is not in it, and valgrind shows programs a CPU
//! without AVX-512, so the code path that was counted stands in the file and in the report.

mod file;

use std::collections::BTreeMap;
use std::path::Path;

use super::config::Config;
use super::verdict::{Figures, Report, Row, Tier, Verdict};
use crate::error::Result;
use crate::present::text::fine_percent;

pub use file::{Case, Counts, Function, Host, SCHEMA_VERSION};

/// What rows are of.
const METRIC: &str = "instructions";

/// Judges the counts in one file against those in another.
///
/// # Errors
/// As [`Counts::read`].
pub fn judge_files(baseline: &Path, candidate: &Path, config: &Config) -> Result<Report> {
    let names = [baseline, candidate].map(|file| file.display().to_string());
    let [baseline, candidate] = [Counts::read(baseline)?, Counts::read(candidate)?];
    let threshold = config.instructions.threshold;
    Ok(judge(&baseline, &candidate, threshold, names))
}

/// Judges counts; a relative change up to `threshold` is neither for the worse nor for the better.
pub fn judge(
    baseline: &Counts,
    candidate: &Counts,
    threshold: f64,
    [from, to]: [String; 2],
) -> Report {
    if let Some(why) = difference(baseline, candidate) {
        return Report::refused(from, to, why);
    }
    let mut cases: BTreeMap<&str, [Option<&Case>; 2]> = BTreeMap::new();
    for (side, counts) in [baseline, candidate].into_iter().enumerate() {
        for case in &counts.cases {
            cases.entry(&case.name).or_default()[side] = Some(case);
        }
    }
    let rows = cases.into_iter().map(|(name, sides)| {
        let why = match sides {
            [Some(a), Some(b)] => match other_case(a, b) {
                Some(why) => why,
                None => return decide(a, b, threshold),
            },
            [None, _] => format!("{from} has no such case"),
            [_, None] => format!("{to} has no such case"),
        };
        Row::incomparable(name, METRIC, why)
    });
    let rows = rows.collect();
    Report::of(from, to, rows, notes(baseline, candidate))
}

/// Why no count may be compared: the first thing around the program that differs.
fn difference(a: &Counts, b: &Counts) -> Option<String> {
    let features = |counts: &Counts| counts.cpu_features_seen.join(" ");
    [
        ("valgrind_version", &a.valgrind_version, &b.valgrind_version),
        ("target", &a.target, &b.target),
        ("libc_version", &a.libc_version, &b.libc_version),
        ("cpu_features_seen", &features(a), &features(b)),
    ]
    .into_iter()
    .find(|(_, a, b)| a != b)
    .map(|(field, a, b)| format!("{field} differs: \"{a}\" and \"{b}\""))
}

/// Why two cases of one name are not the same.
fn other_case(a: &Case, b: &Case) -> Option<String> {
    let path = |case: &Case| {
        let features = case.engaged_features.join(" ");
        format!("{} [{features}]", case.implementation)
    };
    let arm = |case: &Case| case.arm.map_or("none", |arm| arm.name()).to_owned();
    [
        ("arm", arm(a), arm(b)),
        ("work", a.work.clone(), b.work.clone()),
        ("code path", path(a), path(b)),
    ]
    .into_iter()
    .find(|(_, a, b)| a != b)
    .map(|(field, a, b)| format!("the {field} differs: {a} and {b}"))
}

fn decide(a: &Case, b: &Case, threshold: f64) -> Row {
    // The difference first: a quotient less 1 would miss the threshold by rounding.
    let difference = b.instructions as f64 - a.instructions as f64;
    let change = difference / a.instructions as f64;
    let noise = a.spread() + b.spread();
    let (low, high) = (change - noise, change + noise);
    let verdict = if low > threshold {
        Verdict::Regressed
    } else if high < -threshold {
        Verdict::Improved
    } else if high <= threshold {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    let limit = format!("the threshold is {}", fine_percent(threshold));
    let sentence = match verdict {
        _ if a.instructions == b.instructions && verdict == Verdict::Pass => {
            format!("{} instructions on both sides", a.instructions)
        }
        Verdict::Inconclusive => format!(
            "{} where repetitions are {} apart; {limit}; count again with more --repetitions",
            moved(a, b, change),
            fine_percent(noise)
        ),
        Verdict::Pass => format!("{}; {limit}", moved(a, b, change)),
        _ => format!("{}; {limit}{}", moved(a, b, change), where_to(a, b)),
    };
    let row = Row::new(Tier::Instructions, &b.name, METRIC, verdict, sentence);
    Row {
        figures: Some(Figures {
            baseline: a.instructions as f64,
            candidate: b.instructions as f64,
            change,
            low: Some(low),
            high: Some(high),
            p_worse: None,
            p_better: None,
            noise,
            detectable: Some(threshold + noise),
            blocks: [a.runs.len(), b.runs.len()],
            blocks_needed: None,
        }),
        ..row
    }
}

fn moved(a: &Case, b: &Case, change: f64) -> String {
    let sign = if change >= 0.0 { "+" } else { "" };
    let change = fine_percent(change);
    format!(
        "{sign}{change} ({} to {} instructions)",
        a.instructions, b.instructions
    )
}

/// The function whose own instructions moved most in the direction of the whole.
fn where_to(a: &Case, b: &Case) -> String {
    let rose = b.instructions > a.instructions;
    let own = |case: &Case, name: &str| {
        let found = case.functions.iter().find(|f| f.name == name);
        found.map_or(0, |f| f.instructions)
    };
    let names = a.functions.iter().chain(&b.functions).map(|f| &f.name);
    let most = names
        .map(|name| (name, own(a, name), own(b, name)))
        .max_by_key(|(_, before, now)| {
            let gain = i128::from(*now) - i128::from(*before);
            if rose { gain } else { -gain }
        });
    most.filter(|(_, before, now)| before != now && (now > before) == rose)
        .map_or(String::new(), |(name, before, now)| {
            format!("; most of it in {name}, {before} to {now}")
        })
}

fn notes(baseline: &Counts, candidate: &Counts) -> Vec<String> {
    let mut notes = vec![
        "instructions of user space, not time: caches, memory and the kernel are not in them"
            .to_owned(),
        candidate.code_path(),
    ];
    let mut differs = |what: &str, a: &str, b: &str| {
        if a != b {
            notes.push(format!(
                "{what} differs, {a} and {b}: part of a change may be its"
            ));
        }
    };
    differs("rustc", &baseline.rustc_version, &candidate.rustc_version);
    differs(
        "the CPU around valgrind",
        &baseline.host.cpu_model,
        &candidate.host.cpu_model,
    );
    let backends = |counts: &Counts| {
        let mut all: Vec<&str> = counts.cases.iter().map(|c| &*c.backend_version).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|version| !version.is_empty());
        all.join(", ")
    };
    differs("a library", &backends(baseline), &backends(candidate));
    for (side, counts) in [("baseline", baseline), ("candidate", candidate)] {
        if let Some(share) = counts.injected_seal_slowdown {
            notes.push(format!("the {side} was slowed down on purpose, by {share}"));
        }
    }
    notes
}

impl Counts {
    /// Which CPU was counted on, and which arms took which code, in one sentence.
    pub fn code_path(&self) -> String {
        let hidden: Vec<&str> = self
            .host
            .cpu_features
            .iter()
            .filter(|feature| !self.cpu_features_seen.contains(feature))
            .map(String::as_str)
            .collect();
        let mut paths: Vec<String> = Vec::new();
        for case in &self.cases {
            let Some(arm) = case.arm else { continue };
            let path = format!("{arm} as {}", case.implementation);
            if !case.implementation.is_empty() && !paths.contains(&path) {
                paths.push(path);
            }
        }
        let hidden = match hidden.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(" "),
        };
        let paths = match paths.as_slice() {
            [] => String::new(),
            paths => format!("; counted were {}", paths.join(", ")),
        };
        format!("valgrind hid {hidden} of this CPU from the program{paths}")
    }
}

#[cfg(test)]
mod tests;
