//! Reading fleets: the embedded one, or a file with its scenarios and inventories.

use std::path::Path;

use toml::{Table, Value};

use super::spec::{Fleet, Group, Guest, Written};
use crate::error::{Error, Result};
use crate::files;
use crate::plan::{self, Vm};
use crate::scenario::{self, Policy, Scenario};

/// The fleet that is evacuated when none is named.
pub const DEFAULT: &str = include_str!("../../datasets/fleets/default.toml");
/// What errors call it.
pub const DEFAULT_NAME: &str = "default";

/// A fleet's file at most, bytes.
const MAX_FILE: u64 = 4 << 20;
/// Guests of a group at most.
const MOST: u32 = 1000;

/// Loads and checks a fleet: the embedded default, or a file.
///
/// # Errors
/// [`Error::Invalid`] in one line with file, field, value and what is allowed.
pub fn load(file: Option<&Path>) -> Result<Fleet> {
    match file {
        None => parse(DEFAULT, DEFAULT_NAME, None),
        Some(file) => parse(&text_of(file)?, &file.to_string_lossy(), file.parent()),
    }
}

/// The text of a fleet's file.
///
/// # Errors
/// If there is none, or it is no text.
pub fn text_of(file: &Path) -> Result<String> {
    String::from_utf8(files::read(file, MAX_FILE)?)
        .map_err(|_| Error::Invalid(format!("{}: not a text file in UTF-8", file.display())))
}

/// Reads and checks the text of a fleet's file. `origin` names it in errors; other files are looked for from
/// `folder`.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, origin: &str, folder: Option<&Path>) -> Result<Fleet> {
    let fleet = written(text).and_then(|written| resolve(written, folder));
    within(
        origin,
        fleet.and_then(|fleet| fleet.check().map(|()| fleet)),
    )
}

/// How many guests each group of a fleet's file has.
///
/// # Errors
/// As [`load`].
pub fn group_sizes(text: &str, origin: &str, folder: Option<&Path>) -> Result<Vec<usize>> {
    let sizes = written(text).and_then(|mut written| {
        let groups = std::mem::take(&mut written.guests);
        let fleet = resolve(written, folder)?;
        let size = |group| Ok(members(group, folder, &fleet)?.len());
        groups.iter().map(size).collect()
    });
    within(origin, sizes)
}

/// A fleet of the guests of an inventory, in the place of its own.
///
/// # Errors
/// As [`load`].
pub fn of_inventory(mut fleet: Fleet, inventory: &Path) -> Result<Fleet> {
    let group = Group {
        vms: Some(inventory.to_owned()),
        ..Group::default()
    };
    fleet.guests = members(&group, None, &fleet)?;
    fleet.check()?;
    Ok(fleet)
}

fn within<T>(origin: impl std::fmt::Display, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        Error::Invalid(text) => Error::Invalid(format!("{origin}: {text}")),
        other => other,
    })
}

fn written(text: &str) -> Result<Written> {
    let table: Table = toml::from_str(text).map_err(|error| Error::toml(text, &error))?;
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let words: Vec<&str> = error.inner().message().split_whitespace().collect();
        let words = words.join(" ");
        Error::Invalid(match error.path().to_string() {
            path if path == "." => words,
            path => format!("{path}: {words}"),
        })
    })
}

fn resolve(written: Written, folder: Option<&Path>) -> Result<Fleet> {
    let mut fleet = Fleet {
        name: written.name,
        analysis: written.analysis,
        source: written.source,
        destination: written.destination,
        evacuation: written.evacuation,
        measure: written.measure,
        guests: Vec::new(),
    };
    for (at, group) in written.guests.iter().enumerate() {
        let place = match &group.name {
            Some(name) => format!("guests[{at}] ({name})"),
            None => format!("guests[{at}]"),
        };
        let members = within(place, members(group, folder, &fleet))?;
        fleet.guests.extend(members);
    }
    Ok(fleet)
}

/// The guests of a group.
fn members(group: &Group, folder: Option<&Path>, fleet: &Fleet) -> Result<Vec<Guest>> {
    let base = base(group, folder, fleet)?;
    let mut members = match &group.vms {
        Some(file) => inventory(
            group,
            &folder.map_or_else(|| file.clone(), |at| at.join(file)),
            &base,
        )?,
        None => copies(group, &base)?,
    };
    for guest in &mut members {
        let of = &mut guest.scenario;
        of.name.clone_from(&guest.name);
        if let Some(encrypted) = group.encrypted {
            of.guest.encrypted = encrypted;
        }
        // What a file says last counts, also over what its scenario says.
        if let Some(encryption) = group.encryption {
            of.migration.policy = encryption;
        }
        Error::unless(
            !(of.guest.encrypted && of.migration.policy == Policy::Disabled),
            format_args!("{}: encryption", guest.name),
            "disabled",
            "an encrypted guest migrates encrypted or not at all",
        )?;
    }
    Ok(members)
}

/// What a group's guests are, do and ask for, as a scenario.
fn base(group: &Group, folder: Option<&Path>, fleet: &Fleet) -> Result<Scenario> {
    let mut over = Table::new();
    for (section, values) in [
        ("guest", &group.guest),
        ("workload", &group.workload),
        ("storage", &group.storage),
        ("migration", &group.migration),
    ] {
        if !values.is_empty() {
            over.insert(section.to_owned(), Value::Table(values.clone()));
        }
    }
    if group.migration.contains_key("link") {
        return Err(Error::Invalid(
            "migration.link: all guests share evacuation.link".to_owned(),
        ));
    }
    let mut scenario = scenario::overlaid(group.scenario.as_deref(), folder, &over)?;
    scenario.migration.link = fleet.evacuation.link;
    if let Some(on_stall) = fleet.evacuation.on_stall {
        scenario.stall_by(on_stall);
    }
    // What a run measures of one guest: here every way is a run of all.
    scenario.measure.arms = fleet.arms();
    scenario.measure.repetitions = fleet.measure.repetitions;
    scenario.measure.warmup = 0;
    scenario.measure.window = fleet.measure.window;
    scenario.check()?;
    Ok(scenario)
}

fn copies(group: &Group, base: &Scenario) -> Result<Vec<Guest>> {
    let Some(name) = &group.name else {
        return Err(Error::Invalid("name: a group needs one, or vms".to_owned()));
    };
    let count = group.count.unwrap_or(1);
    Error::unless(
        (1..=MOST).contains(&count),
        "count",
        count,
        format_args!("1 to {MOST}"),
    )?;
    let copy = |number: u32| {
        let mut scenario = base.clone();
        // No two hold or write the same.
        let seed = &mut scenario.guest.seed;
        *seed = seed.wrapping_add(u64::from(number));
        Guest {
            name: match count {
                1 => name.clone(),
                _ => format!("{name}-{}", number + 1),
            },
            scenario,
        }
    };
    Ok((0..count).map(copy).collect())
}

fn inventory(group: &Group, file: &Path, base: &Scenario) -> Result<Vec<Guest>> {
    for (field, given) in [
        ("name", group.name.is_some()),
        ("count", group.count.is_some()),
    ] {
        Error::unless(
            !given,
            field,
            "given",
            "none beside vms, whose lines name the guests",
        )?;
    }
    let vms = plan::read_inventory(file, &Vm::default())?;
    let guest = |(number, vm): (u64, &Vm)| {
        let place = || format!("{}: {}", file.display(), vm.name);
        let no_link = Error::unless(
            vm.link.is_none(),
            "link",
            "given",
            "empty: all guests share evacuation.link",
        );
        within(place(), no_link)?;
        let mut scenario = within(place(), vm.scenario(base))?;
        // A plan has time; guests that leave a host have what their scenario says.
        if vm.time_limit.is_none() && vm.platform.is_none() {
            scenario.migration.time_limit = base.migration.time_limit;
        }
        let seed = &mut scenario.guest.seed;
        *seed = seed.wrapping_add(number);
        Ok(Guest {
            name: vm.name.clone(),
            scenario,
        })
    };
    (0..).zip(&vms).map(guest).collect()
}
