//! Shards of a run put together again: which may be, what is missing, one run for each machine type.

mod lack;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::figures;
use crate::machine::{MachineInfo, same_machine};
use crate::results::{ArmInfo, Parts, Results, Shard, Warning};
use crate::scenario::all_differences;
use lack::{Lack, MISSING_BLOCKS, key, lacks};

/// Code of the warning that a run was made on several types of machine.
const SEVERAL_MACHINES: &str = "several_machines";

/// A shard's results, of one point; or those of an earlier merge that is not complete.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where they were read; errors name it.
    pub file: PathBuf,
    /// What was read.
    pub results: Results,
}

/// What came of all parts.
#[derive(Debug)]
pub struct Merged {
    /// By machine type, in the order of the first shard that ran on it: the points, in their order.
    pub machines: Vec<Vec<Results>>,
    /// Whether the run has several points, whichever of them are here.
    pub is_matrix: bool,
    /// What is missing, a line for each point; empty of a complete run.
    pub missing: Vec<String>,
}

/// Puts the parts of one run together; one may be an earlier merge that lacks some. Ratios are of blocks, and a block is whole on one machine; so the
/// results of several types of machine stay apart, as do those of different trackers. Of what describes
/// a machine and may vary, the worst is kept. Comparisons and warnings are derived again; warnings that
/// don't follow from results are kept.
///
/// # Errors
/// [`Error::Invalid`] with the file's name: no part, one of another scenario, build or division, a block
/// that another part holds too.
pub fn merge(mut parts: Vec<Part>) -> Result<Merged> {
    let Some(first) = parts.first() else {
        return Err(Error::Invalid(
            "RUN: at least one part is needed".to_owned(),
        ));
    };
    parts.iter().try_for_each(|part| belongs(part, first))?;
    parts.sort_by_cached_key(|part| (key(&part.results), part.file.clone()));
    for pair in parts.windows(2) {
        if key(&pair[0].results).0 == key(&pair[1].results).0 {
            belongs(&pair[1], &pair[0])?;
        }
    }
    doubles(&parts)?;
    let lacks = lacks(parts.iter().map(|part| &part.results));
    let is_complete = lacks.values().all(|lack| lack.blocks.is_empty());
    let mut types: Vec<MachineInfo> = Vec::new();
    let mut groups = BTreeMap::<(usize, u32), Vec<Part>>::new();
    for part in by_shard(parts) {
        let host = &part.results.host;
        let place = types.iter().position(|other| is_one(other, host));
        let place = place.unwrap_or_else(|| {
            types.push(host.clone());
            types.len() - 1
        });
        types[place].take_worse(host);
        let point = key(&part.results).0;
        groups.entry((place, point)).or_default().push(part);
    }
    let mut machines: Vec<Vec<Results>> = types.iter().map(|_| Vec::new()).collect();
    let mut is_matrix = false;
    for ((place, point), group) in groups {
        let division = group[0].results.division();
        is_matrix |= division.is_some_and(|s| s.points > 1);
        let parts = if is_complete { None } else { parts_of(&group) };
        let mut whole = one_of(group)?;
        whole.parts = parts;
        let blocks: BTreeSet<u32> = whole.migrations.iter().map(|m| m.block).collect();
        let lack = lacks.get(&point).filter(|lack| !lack.blocks.is_empty());
        whole.interrupted = lack.is_some();
        whole.warnings.extend(lack.map(Lack::warning));
        if types.len() > 1 {
            whole
                .warnings
                .push(several_types(blocks.len(), &whole, place, types.len()));
        }
        machines[place].push(whole);
    }
    Ok(Merged {
        machines,
        is_matrix,
        missing: lacks.into_values().filter_map(|lack| lack.line()).collect(),
    })
}

/// In the order of shards, so that machine types are numbered the same whatever points they ran.
fn by_shard(mut parts: Vec<Part>) -> Vec<Part> {
    parts.sort_by_key(|part| {
        let (point, index) = key(&part.results);
        (index, point)
    });
    parts
}

/// Whether two parts ran on one type of machine, in the same way.
fn is_one(a: &MachineInfo, b: &MachineInfo) -> bool {
    let tracker = a.tracker.is_empty() || b.tracker.is_empty() || a.tracker == b.tracker;
    tracker && same_machine(a, b).is_none()
}

fn shard_of(part: &Part) -> Result<&Shard> {
    part.results.division().ok_or_else(|| {
        Error::Invalid(format!(
            "{}: no part of a run: merged is what migtax run --shard I/N made, and what migtax merge made of some \
             shards",
            part.file.display()
        ))
    })
}

/// What a run that is not complete keeps of its parts.
fn parts_of(group: &[Part]) -> Option<Parts> {
    let divisions = group.iter().filter_map(|part| part.results.division());
    let whole = group.iter().flat_map(|part| part.results.whole_shards());
    let whole: BTreeSet<u32> = whole.collect();
    Some(Parts {
        first: divisions.min_by_key(|shard| shard.index)?.clone(),
        whole: whole.into_iter().collect(),
    })
}

/// Whether a part is of the same run as the first one.
fn belongs(part: &Part, first: &Part) -> Result<()> {
    let (shard, other) = (shard_of(part)?, shard_of(first)?);
    let refuse = |what: String| {
        let (file, first) = (part.file.display(), first.file.display());
        Err(Error::Invalid(format!(
            "{file}: {what}; merged are parts of one run by one build, and the first is {first}"
        )))
    };
    let (a, b) = (&part.results, &first.results);
    if a.schema_version != b.schema_version {
        let [a, b] = [a, b].map(|r| r.schema_version);
        return refuse(format!("schema_version differs: {a} and {b}"));
    }
    if a.migtax_version != b.migtax_version {
        let [a, b] = [a, b].map(|r| &r.migtax_version);
        return refuse(format!("migtax_version differs: {a} and {b}"));
    }
    let versions = |host: &MachineInfo, name: &str| {
        let version = host.versions.get(name);
        version.cloned().unwrap_or_else(|| "none".to_owned())
    };
    let names = a.host.versions.keys().chain(b.host.versions.keys());
    for name in names {
        let [a, b] = [a, b].map(|r| versions(&r.host, name));
        if a != b {
            return refuse(format!("host.versions.{name} differs: {a} and {b}"));
        }
    }
    if shard.matrix != other.matrix || (shard.point == other.point && a.scenario != b.scenario) {
        // Points of one matrix differ in what it varies.
        let varied = a.scenario.point.keys().chain(b.scenario.point.keys());
        let varied: Vec<&str> = varied.map(String::as_str).chain(["point"]).collect();
        let same_point = shard.point == other.point;
        let differences = all_differences(&a.scenario, &b.scenario);
        let told = differences.iter().find(|difference| {
            let is_of = |field: &&str| {
                let rest = difference.path.strip_prefix(field);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            same_point || !varied.iter().any(is_of)
        });
        return refuse(match told.map(ToString::to_string) {
            Some(text) if text.len() <= 200 => text,
            _ => "of another scenario, or other points of the matrix".to_owned(),
        });
    }
    if (shard.of, shard.points) != (other.of, other.points) {
        let [a, b] = [shard, other].map(|s| s.of);
        return refuse(format!("of a run divided into {a}, not {b}"));
    }
    Ok(())
}

/// Refuses a block of a point that stands in two files. `parts` are in the order of their points.
fn doubles(parts: &[Part]) -> Result<()> {
    let mut seen = BTreeMap::<(u32, u32), &Path>::new();
    for part in parts {
        let point = key(&part.results).0;
        let blocks = part.results.migrations.iter().map(|m| m.block);
        for block in blocks.collect::<BTreeSet<_>>() {
            if let Some(other) = seen.insert((point, block), &part.file) {
                return Err(Error::Invalid(format!(
                    "{}: block {block} of {} stands in {} as well: each part once",
                    part.file.display(),
                    part.results.scenario.title(),
                    other.display()
                )));
            }
        }
    }
    Ok(())
}

fn several_types(here: usize, whole: &Results, place: usize, types: usize) -> Warning {
    let of = whole.scenario.measure.repetitions;
    Warning {
        code: SEVERAL_MACHINES.to_owned(),
        message: format!(
            "the run was made on {types} types of machine: {here} of {of} blocks on this one, number {}",
            place + 1
        ),
        remedy: "read taxes within each type; the types' folders side by side: migtax report"
            .to_owned(),
    }
}

/// The parts of one point on one machine type as one run.
fn one_of(parts: Vec<Part>) -> Result<Results> {
    let mut kept: Vec<Warning> = Vec::new();
    let mut whole: Option<(PathBuf, Results)> = None;
    for Part { file, mut results } in parts {
        let derived = figures::warnings(&results);
        // What an earlier merge lacked is asked again.
        let stands_alone = |warning: &Warning| {
            let of_merge = [MISSING_BLOCKS, SEVERAL_MACHINES].contains(&warning.code.as_str());
            !of_merge && !derived.contains(warning)
        };
        for warning in std::mem::take(&mut results.warnings) {
            if stands_alone(&warning) && !kept.contains(&warning) {
                kept.push(warning);
            }
        }
        let Some((first, whole)) = &mut whole else {
            whole = Some((file, results));
            continue;
        };
        same_arms(&file, &results.arms, first, &whole.arms)?;
        whole.host.take_worse(&results.host);
        whole.started_at = std::mem::take(&mut whole.started_at).min(results.started_at);
        whole.migrations.append(&mut results.migrations);
    }
    let Some((_, mut whole)) = whole else {
        return Err(Error::Invalid(
            "RUN: at least one part is needed".to_owned(),
        ));
    };
    whole.command = without_shard(&whole.command);
    whole.shard = None;
    whole.parts = None;
    // Stable: arms stay in the order in which their block ran them.
    whole.migrations.sort_by_key(|migration| migration.block);
    whole.comparisons = figures::comparisons(&whole);
    whole.warnings = figures::warnings(&whole);
    whole.warnings.append(&mut kept);
    Ok(whole)
}

/// On one type of machine an arm is the same code in every part.
fn same_arms(file: &Path, arms: &[ArmInfo], first: &Path, others: &[ArmInfo]) -> Result<()> {
    if arms == others {
        return Ok(());
    }
    let differs = arms.iter().zip(others).find(|(a, b)| a != b);
    let name = differs.map_or_else(|| "arms".to_owned(), |(arm, _)| arm.name.to_string());
    Err(Error::Invalid(format!(
        "{}: {name}: library, features or policy are not those of {}, though the machine is of one type",
        file.display(),
        first.display()
    )))
}

/// The command of the whole run.
fn without_shard(command: &[String]) -> Vec<String> {
    let is_value = |word: &String| {
        let part = word.split_once('/');
        word == "auto" || part.is_some_and(|(i, n)| [i, n].iter().all(|n| n.parse::<u32>().is_ok()))
    };
    let mut whole = Vec::with_capacity(command.len());
    let mut words = command.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--shard" {
            words.next_if(|next| is_value(next));
        } else if !word.starts_with("--shard=") {
            whole.push(word.clone());
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_runs_command_names_no_shard() {
        for (command, whole) in [
            (
                "migtax run sweep --shard 1/4 --out p",
                "migtax run sweep --out p",
            ),
            ("migtax run --shard=1/4 sweep", "migtax run sweep"),
            ("migtax run --shard auto sweep", "migtax run sweep"),
            ("migtax run sweep --shard", "migtax run sweep"),
            (
                "migtax run sweep --shard --out a/b",
                "migtax run sweep --out a/b",
            ),
        ] {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(without_shard(&words).join(" "), whole);
        }
    }
}
