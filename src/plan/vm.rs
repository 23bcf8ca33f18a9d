//! What a plan is asked about: a VM, its link and its limits, in place of the run's.

use std::path::Path;

use super::hosts::Hosts;
use super::predict::{Planner, Prediction};
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::files;
use crate::scenario::{MigrationOverrides, Overrides, Platform, Scenario, StreamOverrides};
use crate::units::{Bandwidth, Rate, Size, Span};
use crate::workload::Placement;

/// An inventory at most.
const LARGEST_BYTES: u64 = 64 << 20;
/// Time for a migration at most where nothing sets one: what a scenario allows at most.
const NO_TIME_LIMIT: Span = Span(std::time::Duration::from_secs(86_400));

/// How much of a guest is written to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WorkingSet {
    /// As a share of its memory.
    Share(f64),
    /// As a size.
    Bytes(Size),
}

impl std::str::FromStr for WorkingSet {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse::<f64>() {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(WorkingSet::Share(share)),
            Err(_) => text
                .parse()
                .map(WorkingSet::Bytes)
                .map_err(|_| ALLOWED_SET.to_owned()),
            Ok(_) => Err(ALLOWED_SET.to_owned()),
        }
    }
}

const ALLOWED_SET: &str = "a share of guest memory, above 0 to 1, or a size such as 2GiB";

/// A VM to plan for. What is left out is as the run's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vm {
    /// What it is called.
    pub name: String,
    /// Guest memory.
    pub memory: Option<Size>,
    /// Page writes a second times the page size.
    pub rate: Option<Rate>,
    /// The link.
    pub link: Option<Bandwidth>,
    /// TCP connections.
    pub streams: Option<u32>,
    /// vCPUs.
    pub vcpus: Option<u32>,
    /// Where it writes.
    pub working_set: Option<WorkingSet>,
    /// The pause aimed at.
    pub downtime_limit: Option<Span>,
    /// Time for pre-copy at most; without, only a platform or the rounds bound it.
    pub time_limit: Option<Span>,
    /// The platform whose values stand where none are given.
    pub platform: Option<Platform>,
}

impl Vm {
    /// The run's scenario with this VM in it.
    ///
    /// # Errors
    /// A value that can't be: the field, the value and what is allowed.
    pub fn scenario(&self, run: &Scenario) -> Result<Scenario> {
        let mut scenario = run.clone();
        let overrides = Overrides {
            migration: MigrationOverrides {
                stream: StreamOverrides {
                    memory: self.memory,
                    rate: self.rate,
                    seed: None,
                },
                link: self.link.map(|link| vec![link]),
                streams: self.streams,
                downtime_limit: self.downtime_limit.map(|limit| vec![limit]),
                ..MigrationOverrides::default()
            },
            ..Overrides::default()
        };
        let mut given = scenario.apply(&overrides);
        if let Some(vcpus) = self.vcpus {
            scenario.guest.vcpus = vcpus;
        }
        scenario.migration.time_limit = self.time_limit.unwrap_or(NO_TIME_LIMIT);
        if self.time_limit.is_some() {
            given.push("migration.time_limit");
        }
        if let Some(set) = self.working_set {
            let share = match set {
                WorkingSet::Share(share) => share,
                WorkingSet::Bytes(size) => size.0 as f64 / scenario.guest.memory.0.max(1) as f64,
            };
            Error::unless(
                share <= 1.0,
                "working_set",
                format_args!("{:.0}% of the memory", 100.0 * share),
                ALLOWED_SET,
            )?;
            set_working_set(&mut scenario.workload.placement, share)?;
        }
        if let Some(platform) = self.platform {
            scenario.on_platform(platform, |field| {
                given
                    .iter()
                    .any(|name| name.strip_prefix("migration.") == Some(field))
            });
        }
        scenario.check()?;
        Ok(scenario)
    }
}

fn set_working_set(placement: &mut Placement, share: f64) -> Result<()> {
    match placement {
        Placement::Uniform { working_set }
        | Placement::Zipf { working_set, .. }
        | Placement::HotCold { working_set, .. }
        | Placement::MovingHotSet { working_set, .. }
        | Placement::Sweep { working_set } => {
            *working_set = share;
            Ok(())
        }
        Placement::Mixture { .. } | Placement::Trace { .. } => Err(Error::Invalid(
            "working_set: the run's placement, a mixture or a trace, has none to set".to_owned(),
        )),
    }
}

/// A VM and what is expected of it, by arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What it is called.
    pub name: String,
    /// The run's scenario with it.
    pub scenario: Scenario,
    /// What is expected, in the arms' order.
    pub predictions: Vec<Prediction>,
}

impl Planned {
    /// Predicts for a VM and some arms, from so many courses of each.
    ///
    /// # Errors
    /// As [`Vm::scenario`], with the VM's name if it has one.
    pub fn new(
        planner: &Planner,
        vm: &Vm,
        arms: &[Arm],
        hosts: Hosts,
        courses: usize,
    ) -> Result<Planned> {
        let named = |error| match error {
            Error::Invalid(text) if !vm.name.is_empty() => {
                Error::Invalid(format!("{}: {text}", vm.name))
            }
            other => other,
        };
        let scenario = vm.scenario(&planner.run().scenario).map_err(named)?;
        let mut predictions = Vec::with_capacity(arms.len());
        for arm in arms {
            predictions.extend(planner.predict_from(*arm, &scenario, hosts, courses)?);
        }
        Ok(Planned {
            name: vm.name.clone(),
            scenario,
            predictions,
        })
    }
}

/// A column of an inventory: its name and what puts a cell into a VM.
type Column = (&'static str, fn(&mut Vm, &str) -> Result<(), String>);

fn parsed<T: std::str::FromStr>(into: &mut Option<T>, cell: &str) -> Result<(), String>
where
    T::Err: std::fmt::Display,
{
    *into = Some(cell.parse().map_err(|e: T::Err| e.to_string())?);
    Ok(())
}

fn counted(into: &mut Option<u32>, cell: &str) -> Result<(), String> {
    let count = cell
        .parse::<u32>()
        .ok()
        .filter(|count| (1..=64).contains(count));
    *into = Some(count.ok_or_else(|| format!("\"{cell}\" is not a number from 1 to 64"))?);
    Ok(())
}

/// What an inventory may hold; the first three it must.
pub const COLUMNS: [Column; 10] = [
    ("name", |vm, cell| {
        let fine = (1..=200).contains(&cell.chars().count()) && !cell.chars().any(char::is_control);
        vm.name = cell.to_owned();
        fine.then_some(())
            .ok_or_else(|| "a name has 1 to 200 characters".to_owned())
    }),
    ("memory", |vm, cell| parsed(&mut vm.memory, cell)),
    ("rate", |vm, cell| parsed(&mut vm.rate, cell)),
    ("link", |vm, cell| parsed(&mut vm.link, cell)),
    ("streams", |vm, cell| counted(&mut vm.streams, cell)),
    ("vcpus", |vm, cell| counted(&mut vm.vcpus, cell)),
    ("working_set", |vm, cell| {
        parsed(&mut vm.working_set, cell).map_err(|allowed| format!("\"{cell}\" is not {allowed}"))
    }),
    ("downtime_limit", |vm, cell| {
        parsed(&mut vm.downtime_limit, cell)
    }),
    ("time_limit", |vm, cell| parsed(&mut vm.time_limit, cell)),
    ("platform", |vm, cell| {
        vm.platform = Some(clap::ValueEnum::from_str(cell, false).map_err(|_| {
            let known: Vec<&str> = <Platform as strum::IntoEnumIterator>::iter()
                .map(Platform::name)
                .collect();
            format!("\"{cell}\" is not a platform: {}", known.join(", "))
        })?);
        Ok(())
    }),
];

/// Reads an inventory: a header line with names of [`COLUMNS`], then a line a VM. An empty cell leaves the value
/// as `common` has it.
///
/// # Errors
/// One line with file, line and column, and what is allowed there.
pub fn read_inventory(file: &Path, common: &Vm) -> Result<Vec<Vm>> {
    let text = files::read(file, LARGEST_BYTES)?;
    let place = file.display();
    let invalid = |text: String| Error::Invalid(format!("{place}: {text}"));
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_slice());
    let header = reader.headers().map_err(|e| invalid(one_line(&e)))?.clone();
    let mut columns = Vec::new();
    for name in &header {
        let known = COLUMNS.iter().find(|(known, _)| *known == name);
        let column = known.ok_or_else(|| {
            let known = COLUMNS.map(|(known, _)| known).join(", ");
            invalid(format!("line 1: \"{name}\" is no column: {known}"))
        })?;
        if columns.iter().any(|(known, _): &Column| *known == name) {
            return Err(invalid(format!("line 1: column {name} stands there twice")));
        }
        columns.push(*column);
    }
    for needed in ["name", "memory", "rate"] {
        if !columns.iter().any(|(name, _)| *name == needed) {
            return Err(invalid(format!(
                "line 1: no column {needed}: name, memory and rate must be there"
            )));
        }
    }
    let mut vms = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| invalid(one_line(&e)))?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut vm = common.clone();
        for ((name, put), cell) in columns.iter().zip(&record) {
            if cell.is_empty() {
                if ["name", "memory", "rate"].contains(name) {
                    return Err(invalid(format!("line {line}, column {name}: is empty")));
                }
                continue;
            }
            put(&mut vm, cell).map_err(|e| invalid(format!("line {line}, column {name}: {e}")))?;
        }
        vms.push(vm);
    }
    if vms.is_empty() {
        return Err(invalid("no VM: a header line, then a line a VM".to_owned()));
    }
    Ok(vms)
}

fn one_line(error: &csv::Error) -> String {
    error.to_string().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_named_where_they_are_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vms.csv");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read_inventory(&file, &Vm::default())
        };
        let vms =
            read("name, memory,rate,working_set\n a ,1GiB,0MiB/s,\nb,2GiB,7MiB/s,0.5\n").unwrap();
        assert_eq!((vms[0].name.as_str(), vms[0].working_set), ("a", None));
        assert_eq!(vms[1].working_set, Some(WorkingSet::Share(0.5)));
        for (text, expected) in [
            ("", "no column name"),
            ("name,memory\n", "line 1: no column rate"),
            (
                "name,memory,rate,speed\n",
                "line 1: \"speed\" is no column: name, memory",
            ),
            ("name,memory,rate,rate\n", "stands there twice"),
            ("name,memory,rate\n", "no VM"),
            ("name,memory,rate\na,1GiB\n", "line: 2"),
            (
                "name,memory,rate\na,1GiB,1MiB/s\nb,1GB,1MiB/s\n",
                "line 3, column memory: \"1GB\" is not a size",
            ),
            ("name,memory,rate\na,1GiB,-1MiB/s\n", "line 2, column rate"),
            (
                "name,memory,rate\na,1GiB,100\n",
                "line 2, column rate: \"100\" is not a rate",
            ),
            (
                "name,memory,rate\na,,1MiB/s\n",
                "line 2, column memory: is empty",
            ),
            (
                "name,memory,rate,streams\na,1GiB,1MiB/s,65\n",
                "line 2, column streams: \"65\"",
            ),
            (
                "name,memory,rate,platform\na,1GiB,1MiB/s,xen\n",
                "\"xen\" is not a platform: qemu",
            ),
            (
                "name,memory,rate,working_set\na,1GiB,1MiB/s,1.5\n",
                "line 2, column working_set: \"1.5\"",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains("vms.csv"),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn a_platform_gives_what_the_vm_leaves_out() {
        let run = crate::scenario::load(None).unwrap();
        let vm = Vm {
            memory: Some(Size(64 << 30)),
            platform: Some(Platform::Kubevirt),
            ..Vm::default()
        };
        let scenario = vm.scenario(&run).unwrap();
        assert_eq!(scenario.migration.time_limit.to_string(), "10350s");
        let own = Span(std::time::Duration::from_secs(7));
        let vm = Vm {
            time_limit: Some(own),
            ..vm
        };
        assert_eq!(vm.scenario(&run).unwrap().migration.time_limit, own);
        let all = WorkingSet::Bytes(Size(65 << 30));
        let error = Vm {
            working_set: Some(all),
            ..vm
        }
        .scenario(&run)
        .unwrap_err();
        assert!(error.to_string().contains("working_set"), "{error}");
    }
}
