//! `migtax list`: what there is, and what this machine supports and why not.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;
use strum::IntoEnumIterator as _;

use crate::arm::{Arm, Rung};
use crate::error::{ExitCode, Result};
use crate::present::table::{Cell, Column, Table};
use crate::qemu::program::Program;
use crate::results::QemuInfo;
use crate::runner::process::{Launcher, Role};
use crate::scenario::{self, Platform, PlatformValues, QemuSpec};
use crate::tracking;
use crate::units::Size;

/// Arguments of `migtax list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list; everything if left out
    what: Option<What>,
    /// Print the lists as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Scenarios,
    Arms,
    Trackers,
    Platforms,
}

/// What was asked for; the fields are those of the JSON.
#[derive(Debug, Default, Serialize)]
struct Lists {
    #[serde(skip_serializing_if = "Option::is_none")]
    scenarios: Option<Vec<ScenarioEntry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arms: Option<Vec<ArmEntry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trackers: Option<Vec<TrackerEntry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platforms: Option<Vec<PlatformEntry>>,
}

#[derive(Debug, Serialize)]
struct ScenarioEntry {
    name: &'static str,
    /// The first sentence of its analysis.
    summary: String,
}

#[derive(Debug, Serialize)]
struct ArmEntry {
    name: &'static str,
    summary: &'static str,
    library: &'static str,
    backend_version: String,
    encrypted: bool,
    software: bool,
    baselines: Vec<Arm>,
    /// The rung of the headline's ladder, if it stands on one.
    rung: Option<Rung>,
    /// Whether it is the one that stands for all where one must.
    foremost: bool,
    /// Whether it runs where a scenario names no arms.
    by_default: bool,
    environment: BTreeMap<&'static str, Option<&'static str>>,
    required_features: &'static [&'static str],
    engaged_features: Vec<String>,
    /// The QEMU that runs it, if it is QEMU's and there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    qemu: Option<QemuInfo>,
    supported: bool,
    /// Why it is not supported.
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct TrackerEntry {
    name: String,
    available: bool,
    /// Why it is not available.
    reason: Option<String>,
}

/// A preset of `migration.platform`.
#[derive(Debug, Serialize)]
struct PlatformEntry {
    name: &'static str,
    title: &'static str,
    time_rule: Option<&'static str>,
    then: &'static str,
    source: &'static str,
    /// The guest that the values are for.
    memory: Size,
    values: PlatformValues,
}

/// Prints the lists.
///
/// # Errors
/// If a host process can't be asked.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut lists = Lists::default();
    for what in What::value_variants() {
        if args.what.is_none_or(|asked| asked == *what) {
            match what {
                What::Scenarios => lists.scenarios = Some(scenarios()),
                What::Arms => lists.arms = Some(arms()?),
                What::Trackers => lists.trackers = Some(trackers()),
                What::Platforms => lists.platforms = Some(platforms()),
            }
        }
    }
    if args.json {
        super::print_json(&lists)?;
    } else {
        print!("{}", tables(&lists));
    }
    Ok(ExitCode::Done)
}

fn scenarios() -> Vec<ScenarioEntry> {
    scenario::embedded()
        .map(|(name, scenario)| {
            let words: Vec<&str> = scenario.analysis.split_whitespace().collect();
            let analysis = words.join(" ");
            let first = analysis.split_inclusive(". ").next().unwrap_or("").trim();
            ScenarioEntry {
                name,
                summary: first.to_owned(),
            }
        })
        .collect()
}

/// Asked of a process that was started for each arm, since masks act only there.
fn arms() -> Result<Vec<ArmEntry>> {
    let launcher = Launcher::this_build()?;
    let qemu = Program::probe(None).and_then(|program| program.info(&QemuSpec::default()));
    let entry = |arm: Arm| -> Result<ArmEntry> {
        let told = launcher.capabilities(Role::Source, arm)?;
        let missing = told.missing_features.join(", ");
        let reason = told
            .known_answer_failure
            .or_else(|| (!missing.is_empty()).then(|| format!("this CPU lacks {missing}")))
            .or(told.lacking);
        let (qemu, missing) = match (arm.is_qemu(), &qemu) {
            (true, Ok(info)) => (Some(info.clone()), None),
            (true, Err(missing)) => (None, Some(missing.clone())),
            (false, _) => (None, None),
        };
        let reason = reason.or(missing);
        let row = arm.row();
        Ok(ArmEntry {
            name: row.name,
            summary: row.summary,
            library: arm.library(),
            backend_version: told.backend_version,
            encrypted: arm.is_encrypted(),
            software: arm.is_software(),
            baselines: arm.baselines().collect(),
            rung: row.headline.map(|(rung, _)| rung),
            foremost: arm == Arm::foremost(),
            by_default: row.by_default,
            environment: arm.environment(),
            required_features: row.required_features,
            engaged_features: told.engaged_features,
            qemu,
            supported: reason.is_none(),
            reason,
        })
    };
    Arm::all().map(entry).collect()
}

fn trackers() -> Vec<TrackerEntry> {
    tracking::available()
        .into_iter()
        .map(|(kind, probed)| TrackerEntry {
            name: kind.to_string(),
            available: probed.is_ok(),
            reason: probed.err(),
        })
        .collect()
}

fn platforms() -> Vec<PlatformEntry> {
    let memory = Size(8 << 30);
    let entry = |platform: Platform| {
        let row = platform.row();
        PlatformEntry {
            name: platform.name(),
            title: row.title,
            time_rule: row.time_rule,
            then: row.then,
            source: row.source,
            memory,
            values: platform.values(memory),
        }
    };
    Platform::iter().map(entry).collect()
}

/// The lists as the terminal shows them.
fn tables(lists: &Lists) -> String {
    let table = |what: What, state: Vec<Column>, rows: Vec<Vec<Cell>>| {
        let caption = format!("{}:", format!("{what:?}").to_lowercase());
        let columns = [Column::text(""), Column::text("")]
            .into_iter()
            .chain(state);
        Table::new("", caption, columns.collect(), rows).terminal()
    };
    let row = |texts: &[&str]| texts.iter().copied().map(Cell::text).collect::<Vec<_>>();
    let scenarios = lists.scenarios.iter().map(|all| {
        let rows = all.iter().map(|s| row(&[s.name, &s.summary]));
        table(What::Scenarios, vec![], rows.collect())
    });
    let arms = lists.arms.iter().map(|all| {
        let rows = all.iter().map(|arm| {
            let state = match (&arm.reason, &arm.qemu) {
                (Some(reason), _) => format!("unsupported: {reason}"),
                (None, Some(qemu)) => {
                    let accelerator = qemu.accelerator.to_uppercase();
                    format!("supported, QEMU {} with {accelerator}", qemu.version)
                }
                (None, None) if arm.engaged_features.is_empty() => "supported".to_owned(),
                (None, None) => format!("supported, engages {}", arm.engaged_features.join(" ")),
            };
            row(&[arm.name, arm.summary, &state])
        });
        table(What::Arms, vec![Column::sentences("")], rows.collect())
    });
    let trackers = lists.trackers.iter().map(|all| {
        let rows = all.iter().map(|tracker| match &tracker.reason {
            Some(reason) => row(&[&tracker.name, &format!("not available: {reason}")]),
            None => row(&[&tracker.name, "available"]),
        });
        table(What::Trackers, vec![], rows.collect())
    });
    let platforms = lists.platforms.iter().map(|all| {
        let rows = all.iter().map(|platform| {
            let limit = platform.values.downtime_limit;
            let time = (platform.time_rule).map(|rule| format!(", {rule}"));
            let does = format!(
                "downtime limit {limit}{}; then it {}",
                time.unwrap_or_default(),
                platform.then
            );
            row(&[platform.name, &does, platform.source])
        });
        table(What::Platforms, vec![Column::sentences("")], rows.collect())
    });
    let tables: Vec<String> = scenarios
        .chain(arms)
        .chain(trackers)
        .chain(platforms)
        .collect();
    tables.join("\n")
}
