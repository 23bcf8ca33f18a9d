//! Reading scenarios: embedded ones by name, others by path.

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table, Value};

use super::overrides::Overrides;
use super::spec::Scenario;
use super::{check, matrix, preset};
use crate::error::{Error, Result};
use crate::files;
use crate::units::Rate;
use crate::workload::trace::Trace;
use crate::workload::{Arrival, Placement};

/// The scenario that runs when none is named.
const DEFAULT_NAME: &str = "default";

macro_rules! embed {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../datasets/scenarios/", $name, ".toml")))),+]
    };
}

/// The embedded scenarios: every file of `datasets/scenarios`, by name.
pub const EMBEDDED: &[(&str, &str)] = embed![
    "default",
    "loopback",
    "10g",
    "idle",
    "steady",
    "bursty",
    "write-storm",
    "sweep",
    "hot-set-moves",
    "oltp-like",
    "gc-like",
    "trace-redis",
    "trace-sqlite",
    "trace-python",
    "trace-gcc",
    "burstiness",
    "dirty-rates",
    "memory-backing",
    "records-and-streams",
    "throttle",
    "ciphers",
    "compression",
    "validation-links",
    "validation-memory",
    "validation-streams",
    "qemu",
    "qemu-busy",
    "qemu-rekey",
    "protocols",
    "record-sizes",
    "storage",
];

/// A scenario file at most.
const MAX_FILE: u64 = 1 << 20;

/// The embedded scenarios by name; of a matrix, its first point.
///
/// # Panics
/// If an embedded scenario is not valid, which a test rules out.
pub fn embedded() -> impl Iterator<Item = (&'static str, Scenario)> {
    EMBEDDED.iter().map(|(name, text)| match parse(name, text) {
        Ok(mut points) => (*name, points.swap_remove(0)),
        Err(error) => panic!("embedded scenario {error}"),
    })
}

/// Loads and checks a scenario that is no matrix: `None` for the embedded default, the name of an
/// embedded one, or a path. Only tests and benches call it: the verbs take matrices.
///
/// # Errors
/// [`Error::Invalid`] in one line with file, field, value and what is allowed; also for a matrix.
pub fn load(name_or_path: Option<&str>) -> Result<Scenario> {
    let mut points = load_points(name_or_path, &Overrides::default())?;
    match points.pop() {
        Some(scenario) if points.is_empty() => Ok(scenario),
        _ => Err(Error::Invalid(format!(
            "{}: a matrix of {} points: one scenario is wanted here, without lists",
            name_or_path.unwrap_or(DEFAULT_NAME),
            points.len() + 1
        ))),
    }
}

/// Loads a scenario or a matrix, applies the overrides to every point, and checks them.
///
/// # Errors
/// As [`load`]; also for an override of a field that the matrix varies.
pub fn load_points(name_or_path: Option<&str>, overrides: &Overrides) -> Result<Vec<Scenario>> {
    let name = name_or_path.unwrap_or(DEFAULT_NAME);
    let known = EMBEDDED.iter().find(|(known, _)| *known == name);
    let (text, folder) = match known {
        Some((_, text)) => ((*text).to_owned(), None),
        None => (read(name)?, Path::new(name).parent()),
    };
    let origin = name;
    let points = read_points(&text, folder).map_err(|e| within(origin, e))?;
    let overrides = overrides.expand()?;
    let mut all = Vec::with_capacity(points.len() * overrides.len());
    for (scenario, given) in &points {
        for (overrides, varied) in &overrides {
            let (mut scenario, mut given) = (scenario.clone(), given.clone());
            let replaced = scenario.apply(overrides);
            refuse_varied(&scenario, &replaced)?;
            scenario.point.extend(varied.clone());
            given.extend(
                replaced
                    .iter()
                    .filter_map(|f| f.strip_prefix("migration."))
                    .map(str::to_owned),
            );
            all.push((scenario, given));
        }
    }
    matrix::check_size(all.len())?;
    resolved(all).map_err(|e| within(origin, e))
}

/// Gives what was left out the values of the platform, and checks.
fn resolved(points: Vec<(Scenario, BTreeSet<String>)>) -> Result<Vec<Scenario>> {
    let resolve = |(mut scenario, given): (Scenario, BTreeSet<String>)| {
        let memory = scenario.guest.memory;
        preset::resolve(&mut scenario.migration, memory, |field| {
            given.contains(field)
        });
        scenario.check()?;
        Ok(scenario)
    };
    points.into_iter().map(resolve).collect()
}

/// Reads and checks the text of a scenario file; `origin` names it in errors.
///
/// # Errors
/// As [`load`].
pub fn parse(origin: &str, text: &str) -> Result<Vec<Scenario>> {
    read_points(text, None)
        .and_then(resolved)
        .map_err(|e| within(origin, e))
}

fn read(name: &str) -> Result<String> {
    let path = files::path_of("scenario", name, EMBEDDED.iter().map(|(name, _)| *name))?;
    let text = String::from_utf8(files::beginning(path, MAX_FILE + 1)?)
        .map_err(|_| Error::Invalid(format!("{name}: not a text file in UTF-8")))?;
    if text.len() as u64 > MAX_FILE {
        return Err(Error::Invalid(format!(
            "{name}: a scenario file holds at most 1MiB"
        )));
    }
    Ok(text)
}

/// An error of a scenario with the file that it stands in.
fn within(origin: &str, error: Error) -> Error {
    match error {
        Error::Invalid(text) => Error::Invalid(format!("{origin}: {text}")),
        other => other,
    }
}

/// An override of a varied field would leave points that are labelled apart and run alike.
fn refuse_varied(scenario: &Scenario, replaced: &[&str]) -> Result<()> {
    let mut replaced = replaced.iter();
    match replaced.find(|field| scenario.point.contains_key(**field)) {
        None => Ok(()),
        Some(field) => Err(Error::Invalid(format!(
            "{field}: the scenario varies it, so it can't be overridden; use a scenario with one value"
        ))),
    }
}

/// One scenario: an embedded one or a file, or without a name what nothing says anything about, with the
/// values of `over` put in the place of its own, section by section. Files are looked for from `folder`.
///
/// # Errors
/// As [`load`]; without the name of the file in which `over` stands.
pub fn overlaid(name: Option<&str>, folder: Option<&Path>, over: &Table) -> Result<Scenario> {
    let mut base = Table::new();
    let mut from = folder.map(Path::to_owned);
    if let Some(name) = name {
        let known = EMBEDDED.iter().find(|(known, _)| *known == name);
        let path = folder.map_or_else(|| name.into(), |folder| folder.join(name));
        let text = match known {
            Some((_, text)) => (*text).to_owned(),
            None if path.exists() => {
                from = path.parent().map(Path::to_owned);
                read(&path.to_string_lossy())?
            }
            None => read(name)?,
        };
        let table = toml::from_str(&text).map_err(|e| Error::toml(&text, &e));
        base = table.map_err(|e| within(name, e))?;
        from = from.filter(|_| known.is_none());
    }
    let given = base.entry("name").or_insert_with(|| Value::from("guest"));
    if let (Value::String(given), Some(Value::String(name))) = (given, over.get("name")) {
        given.clone_from(name);
    }
    for (section, values) in over {
        let Value::Table(values) = values else {
            continue;
        };
        let section = base
            .entry(section.as_str())
            .or_insert(Value::Table(Table::new()));
        if let Value::Table(section) = section {
            section.extend(values.clone());
        }
    }
    let mut points = points_of(&base, from.as_deref()).and_then(resolved)?;
    let first = points.pop();
    first.filter(|_| points.is_empty()).ok_or_else(|| {
        Error::Invalid("a matrix: a guest is one scenario, without lists".to_owned())
    })
}

/// The points of a scenario's text, each with the fields of `[migration]` that the text gives.
fn read_points(text: &str, folder: Option<&Path>) -> Result<Vec<(Scenario, BTreeSet<String>)>> {
    let table: Table = toml::from_str(text).map_err(|e| Error::toml(text, &e))?;
    points_of(&table, folder)
}

/// The points of a scenario, each with the fields of `[migration]` that it gives.
fn points_of(table: &Table, folder: Option<&Path>) -> Result<Vec<(Scenario, BTreeSet<String>)>> {
    if table.contains_key("point") {
        return Err(Error::Invalid(
            "point: made by the expansion of a matrix, never written in a file".to_owned(),
        ));
    }
    refuse_earlier_spelling(table)?;
    matrix::expand(table)?
        .into_iter()
        .map(|(table, point)| {
            let rate_given = table.get("workload").and_then(|w| w.get("rate")).is_some();
            let migration = table.get("migration").and_then(Value::as_table);
            let given = migration.map_or_else(BTreeSet::new, |m| m.keys().cloned().collect());
            let mut scenario = deserialize(table)?;
            scenario.point = point;
            resolve_traces(&mut scenario, folder, rate_given)?;
            Ok((scenario, given))
        })
        .collect()
}

/// How results of earlier builds tell of huge pages is no way to ask for them.
fn refuse_earlier_spelling(table: &Table) -> Result<()> {
    let guest = |name: &str| table.get("guest").and_then(|guest| guest.get(name));
    if let Some(value) = guest("huge_pages") {
        let now = "now written guest.pages = \"4k\" or \"thp\"";
        let value = matrix::show(value);
        return Err(Error::invalid("guest.huge_pages", value, now));
    }
    let truth = |value: &&Value| match value {
        Value::Array(values) => values.iter().any(Value::is_bool),
        value => value.is_bool(),
    };
    match guest("pages").filter(truth) {
        None => Ok(()),
        Some(value) => {
            let allowed = check::allowed("guest.pages").unwrap_or_default();
            Err(Error::invalid("guest.pages", matrix::show(value), allowed))
        }
    }
}

/// Traces named by path are looked for from the scenario's folder, and a trace without a rate
/// runs at its own.
fn resolve_traces(scenario: &mut Scenario, folder: Option<&Path>, rate_given: bool) -> Result<()> {
    let locate = |file: &mut String| {
        if let Some(folder) = folder
            && Trace::embedded().all(|name| name != file)
        {
            *file = folder.join(&*file).to_string_lossy().into_owned();
        }
    };
    if let Placement::Trace { file, .. } = &mut scenario.workload.placement {
        locate(file);
    }
    if let Arrival::Trace { file, speed, .. } = &mut scenario.workload.arrival {
        locate(file);
        if !rate_given {
            let trace = Trace::open(file)?;
            let speed = *speed.get_or_insert(1.0);
            scenario.workload.rate = Rate((trace.rate() * speed + 0.5) as u64);
        }
    }
    Ok(())
}

fn deserialize(table: Table) -> Result<Scenario> {
    let whole = Value::Table(table);
    try_deserialize(whole.clone()).map_err(|(path, message)| {
        let field = culprit(&whole, path, &message);
        let mut text = match field.as_str() {
            "" => "scenario".to_owned(),
            field => field.to_owned(),
        };
        if let Some(value) = lookup(&whole, &field)
            && !message.starts_with("unknown field")
        {
            text += &format!(" = {}", matrix::show(value));
        }
        text += &format!(": {message}");
        if let Some(allowed) = check::allowed(&field) {
            text += &format!("; allowed: {allowed}");
        }
        Error::Invalid(text)
    })
}

/// Deserialises; on failure the dotted path of the field as far as serde tracks it, and the
/// message.
fn try_deserialize(value: Value) -> Result<Scenario, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let path = if path == "." { String::new() } else { path };
        let words: Vec<&str> = e.inner().message().split_whitespace().collect();
        (path, words.join(" "))
    })
}

/// Serde loses track inside the tables that a `model` or `kind` selects. The field at fault there is the one
/// whose absence changes the message.
fn culprit(whole: &Value, mut path: String, message: &str) -> String {
    while let Some(Value::Table(table)) = lookup(whole, &path) {
        let at_fault = table.keys().find(|key| {
            let mut changed = whole.clone();
            if let Some(Value::Table(table)) = lookup_mut(&mut changed, &path) {
                table.remove(*key);
            }
            !path.is_empty()
                && !["model", "kind"].contains(&key.as_str())
                && try_deserialize(changed)
                    .err()
                    .is_none_or(|(_, now)| now != message)
        });
        match at_fault {
            Some(key) => path = format!("{path}.{key}"),
            None => break,
        }
    }
    path
}

fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .filter(|key| !key.is_empty())
        .try_fold(value, |value, key| value.get(key))
}

fn lookup_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.')
        .filter(|key| !key.is_empty())
        .try_fold(value, |value, key| value.get_mut(key))
}

/// A folder name made from any text: letters, digits, `.`, `_` and `-` stay, everything else
/// becomes `-`; it never starts with a dot or a dash, is never empty and has at most 64 characters.
pub fn folder_name(name: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let safe = name.replace(|c| !is_safe(c), "-");
    let trimmed = safe.trim_start_matches(['.', '-']);
    let short: String = trimmed.chars().take(64).collect();
    let short = short.trim_end_matches(['.', '-']);
    if short.is_empty() {
        "scenario".to_owned()
    } else {
        short.to_owned()
    }
}
