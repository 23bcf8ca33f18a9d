//! Which runs may be compared, and in what they differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{MachineInfo, same_machine};
use crate::present::text;
use crate::report::page::context::scalar;
use crate::results::{self, Results};
use crate::scenario::{self, ClockKind, Scenario};
use crate::units::{Bandwidth, PAGE_SIZE};
use crate::workload::{Arrival, ArrivalLaw, theory};

/// One of the runs put side by side.
#[derive(Debug, Clone)]
pub struct RunView<'a> {
    /// Its number on the page, from 1.
    pub number: usize,
    /// Its folder's name.
    pub folder: String,
    /// What it recorded.
    pub results: &'a Results,
    /// What its measurements depend on, by path: see [`scenario::conditions`].
    pub conditions: BTreeMap<String, String>,
    /// What describes its machine, by name.
    pub machine: BTreeMap<String, String>,
}

impl<'a> RunView<'a> {
    /// A run by its place among the runs.
    pub fn new(index: usize, folder: String, results: &'a Results) -> Self {
        let conditions = scenario::conditions(&results.scenario)
            .into_iter()
            .map(|(path, value)| (path, scalar(&value)))
            .collect();
        RunView {
            number: index + 1,
            folder,
            results,
            conditions,
            machine: machine(&results.host),
        }
    }

    /// `1: folder`.
    pub fn label(&self) -> String {
        format!("{}: {}", self.number, self.folder)
    }

    /// Whether both ran on the same machine, as far as it describes itself.
    pub fn same_machine(&self, other: &RunView<'_>) -> bool {
        same_machine(&self.results.host, &other.results.host).is_none()
    }

    /// Whether both migrated the same guest in the same way.
    pub fn same_conditions(&self, other: &RunView<'_>) -> bool {
        self.conditions == other.conditions
    }

    /// What may be compared between two runs.
    pub fn comparable(&self, other: &RunView<'_>) -> Comparable {
        let schema =
            results::same_meaning(self.results.schema_version, other.results.schema_version);
        match (self.same_machine(other), self.same_conditions(other)) {
            _ if !schema => Comparable::Taxes,
            (true, true) => Comparable::Everything,
            (_, true) if self.exact() && other.exact() => Comparable::Counts,
            (true, false) if self.differing(other).len() == 1 => Comparable::Swept,
            _ => Comparable::Taxes,
        }
    }

    /// Whether its counts are exact on every machine.
    pub fn exact(&self) -> bool {
        self.results.scenario.measure.clock == ClockKind::Virtual
    }

    /// Paths of conditions in which two runs differ, those of one model together.
    pub fn differing(&self, other: &RunView<'_>) -> Vec<String> {
        let paths = self.conditions.keys().chain(other.conditions.keys());
        let differing: BTreeSet<String> = paths
            .filter(|path| self.conditions.get(*path) != other.conditions.get(*path))
            .map(|path| model(path).to_owned())
            .collect();
        differing.into_iter().collect()
    }
}

/// A model's parameters belong together: `workload.arrival.duty` is `workload.arrival`.
pub fn model(path: &str) -> &str {
    ["workload.arrival", "workload.placement", "guest.content"]
        .into_iter()
        .find(|model| path.starts_with(&format!("{model}.")))
        .unwrap_or(path)
}

fn machine(host: &MachineInfo) -> BTreeMap<String, String> {
    let or = |none: &str, value: &Option<String>| value.as_deref().unwrap_or(none).to_owned();
    [
        ("memory", text::bytes(host.memory_bytes as f64)),
        ("CPU", host.cpu_model.clone()),
        ("CPU features", host.cpu_features.join(" ")),
        ("cores", host.cores.to_string()),
        ("kernel", host.kernel.clone()),
        ("CPU accounting", host.cpu_accounting.clone()),
        ("governor", or("not readable", &host.governor)),
        ("destination", or("this machine", &host.destination)),
        ("virtual machine", text::yes(host.hypervisor).to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// What two runs have that may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparable {
    /// One machine, one scenario.
    Everything,
    /// One machine, scenarios that differ in one value: a sweep of that value.
    Swept,
    /// Different machines, one scenario under the virtual clock: pages, rounds, records and bytes.
    Counts,
    /// Different machines or scenarios: ratios that each run took within itself.
    Taxes,
}

impl Comparable {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Comparable::Everything => "everything: times, CPU, ratios, counts",
            Comparable::Swept => "as a sweep: one value differs",
            Comparable::Counts => {
                "exact counts only (virtual clock): pages, rounds, records, bytes; no times, no CPU"
            }
            Comparable::Taxes => {
                "taxes alone, each taken within its own run: no times, no CPU, no counts"
            }
        }
    }
}

/// Runs of one machine and one scenario, in order of their start. Groups in order of their first
/// run; a group may hold one run.
pub fn repeats<'r, 'a>(runs: &'r [RunView<'a>]) -> Vec<Vec<&'r RunView<'a>>> {
    let mut groups: Vec<Vec<&RunView<'_>>> = Vec::new();
    for run in runs {
        match groups
            .iter_mut()
            .find(|g| g[0].comparable(run) == Comparable::Everything)
        {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    for group in &mut groups {
        group.sort_by(|a, b| a.results.started_at.cmp(&b.results.started_at));
    }
    groups
}

/// Runs of one machine whose scenarios agree save for one model or value.
#[derive(Debug, Clone)]
pub struct Sweep<'r, 'a> {
    /// What is swept: `migration.record`.
    pub path: String,
    /// The runs by rising value; where values have no order, by their place in the order in which
    /// they were met.
    pub runs: Vec<(f64, &'r RunView<'a>)>,
    /// Whether values are amounts, and not only told apart.
    pub amounts: bool,
    /// What the other runs of the page have otherwise, to tell sweeps of one value apart.
    fixed: Vec<(String, String)>,
}

/// A condition's path and its value in a run.
type Swept = (&'static str, fn(&Results) -> Option<f64>);

/// The windows that burstiness is put on one axis in, nanoseconds: those that scenarios ask for it in
/// unless they say otherwise.
const BURSTINESS_WINDOW_NS: u64 = 100_000_000;

/// The path of what carries a migration.
pub const LINK: &str = "migration.link";

/// What can be swept.
const SWEPT: [Swept; 6] = [
    (LINK, |r| match r.scenario.migration.link {
        Bandwidth::BitsPerSecond(bits) => Some(bits as f64),
        Bandwidth::Unlimited => None,
    }),
    ("migration.record", |r| {
        Some(r.scenario.migration.record.0 as f64)
    }),
    ("migration.streams", |r| {
        Some(f64::from(r.scenario.migration.streams))
    }),
    ("workload.rate", |r| Some(r.scenario.workload.rate.0 as f64)),
    ("workload.arrival.burstiness", |r| burstiness(&r.scenario)),
    ("workload.arrival", |r| peak_to_mean(&r.scenario)),
];

/// Index of dispersion of the writes in windows of 100 ms, by theory, of an arrival that was asked
/// for by its burstiness, and of Poisson writes, which have 1.
fn burstiness(scenario: &Scenario) -> Option<f64> {
    let asked = match scenario.workload.arrival {
        Arrival::Poisson {} => true,
        Arrival::OnOff { burstiness, .. }
        | Arrival::Mmpp { burstiness, .. }
        | Arrival::ParetoOnOff { burstiness, .. }
        | Arrival::BModel { burstiness, .. } => burstiness.is_some(),
        Arrival::Constant {} | Arrival::Trace { .. } => false,
    };
    let stream = asked.then(|| scenario.stream_spec())?;
    let law = ArrivalLaw::of(&stream).ok()?;
    let per_second = stream.rate.0 as f64 / PAGE_SIZE as f64;
    theory::idc(&law, per_second, BURSTINESS_WINDOW_NS).filter(|index| index.is_finite())
}

/// Peak over mean rate of an arrival that was asked for by its own parameters; a trace has none here.
fn peak_to_mean(scenario: &Scenario) -> Option<f64> {
    let own = match scenario.workload.arrival {
        Arrival::Constant {} | Arrival::Poisson {} => true,
        Arrival::OnOff { burstiness, .. }
        | Arrival::Mmpp { burstiness, .. }
        | Arrival::ParetoOnOff { burstiness, .. }
        | Arrival::BModel { burstiness, .. } => burstiness.is_none(),
        Arrival::Trace { .. } => false,
    };
    let stream = own.then(|| scenario.stream_spec())?;
    Some(ArrivalLaw::of(&stream).ok()?.peak_to_mean())
}

impl Sweep<'_, '_> {
    /// What is the same in all its runs though other runs of the page have it otherwise:
    /// `streams 2, record 4KiB`; empty if nothing is.
    pub fn fixed(&self) -> String {
        let fixed = self.fixed.iter();
        let fixed: Vec<String> = fixed
            .map(|(path, value)| format!("{path} {value}"))
            .collect();
        fixed.join(", ")
    }

    /// What all its runs have at a path that other runs of the page have otherwise.
    pub fn fixed_at(&self, path: &str) -> Option<&str> {
        let fixed = self.fixed.iter().find(|(of, _)| of == path);
        fixed.map(|(_, value)| value.as_str())
    }

    /// Whether another sweep's runs have the same but for the swept value and what is at a path.
    pub fn is_like(&self, other: &Sweep<'_, '_>, but: &str) -> bool {
        let rest = |sweep: &Sweep<'_, '_>| -> Vec<(String, String)> {
            let fixed = sweep.fixed.iter().filter(|(path, _)| model(path) != but);
            fixed.cloned().collect()
        };
        self.path == other.path && rest(self) == rest(other)
    }

    /// The swept value of a run, as its scenario writes it: `64KiB`.
    pub fn value(&self, run: &RunView<'_>) -> String {
        value(run, &self.path, self.runs.iter().map(|(_, run)| *run))
    }
}

/// A run's value at a path; of a model, those of its parameters in which some run differs.
fn value<'r, 'a: 'r>(
    run: &RunView<'_>,
    path: &str,
    runs: impl Iterator<Item = &'r RunView<'a>> + Clone,
) -> String {
    if let Some(value) = run.conditions.get(path) {
        return value.clone();
    }
    let varies = |path: &String, value: &String| {
        let mut others = runs.clone().map(|other| other.conditions.get(path));
        others.any(|other| other != Some(value))
    };
    let parameters = run.conditions.iter();
    let parameters = parameters.filter(|(of, value)| model(of) == model(path) && varies(of, value));
    let parameters: Vec<&str> = parameters.map(|(_, value)| value.as_str()).collect();
    parameters.join(" ")
}

/// Every sweep among the runs: of amounts that have an axis of their own, then of other values.
pub fn sweeps<'r, 'a>(runs: &'r [RunView<'a>]) -> Vec<Sweep<'r, 'a>> {
    let differs = |path: &str, value: &String| {
        let mut values = runs.iter().map(|run| run.conditions.get(path));
        values.any(|other| other != Some(value))
    };
    let varying: BTreeSet<&String> = runs
        .iter()
        .flat_map(|run| &run.conditions)
        .filter_map(|(path, value)| differs(path, value).then_some(path))
        .collect();
    let mut sweeps = Vec::new();
    // Without a limit among them links have no axis, but are told apart.
    let has_axis = |path: &str, amount: fn(&Results) -> Option<f64>| {
        path != LINK || runs.iter().all(|run| amount(run.results).is_some())
    };
    let with_axis = SWEPT
        .iter()
        .filter(|(path, amount)| has_axis(path, *amount));
    for (path, amount) in with_axis.clone() {
        let placed = runs
            .iter()
            .filter_map(|run| Some((amount(run.results)?, run)));
        sweeps.extend(sweeps_of(path, true, placed, &varying));
    }
    let has_axis = |path: &str| with_axis.clone().any(|(swept, _)| model(swept) == path);
    let others: BTreeSet<&str> = varying.iter().map(|path| model(path)).collect();
    for path in others.into_iter().filter(|path| !has_axis(path)) {
        let mut met: Vec<String> = Vec::new();
        let placed: Vec<(f64, &RunView<'_>)> = runs
            .iter()
            .map(|run| {
                let value = value(run, path, runs.iter());
                let place = met.iter().position(|other| *other == value);
                let place = place.unwrap_or_else(|| {
                    met.push(value);
                    met.len() - 1
                });
                (place as f64, run)
            })
            .collect();
        sweeps.extend(sweeps_of(path, false, placed.into_iter(), &varying));
    }
    sweeps
}

/// The sweeps of one value: a group of runs for each state of the others.
fn sweeps_of<'r, 'a>(
    path: &str,
    amounts: bool,
    placed: impl Iterator<Item = (f64, &'r RunView<'a>)>,
    varying: &BTreeSet<&String>,
) -> Vec<Sweep<'r, 'a>> {
    let mut groups: Vec<Vec<(f64, &RunView<'_>)>> = Vec::new();
    for (at, run) in placed {
        let belongs = |other: &RunView<'_>| {
            run.same_machine(other)
                && (run.differing(other).iter()).all(|differs| differs == model(path))
        };
        match groups.iter_mut().find(|group| belongs(group[0].1)) {
            Some(group) => group.push((at, run)),
            None => groups.push(vec![(at, run)]),
        }
    }
    let mut sweeps = Vec::new();
    for mut runs in groups {
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        if runs.first().map(|run| run.0) == runs.last().map(|run| run.0) {
            continue;
        }
        let others = varying.iter().filter(|other| model(other) != model(path));
        let conditions = &runs[0].1.conditions;
        let fixed = others.filter_map(|other| conditions.get_key_value(*other));
        sweeps.push(Sweep {
            path: path.to_owned(),
            fixed: fixed
                .map(|(path, value)| (path.clone(), value.clone()))
                .collect(),
            runs,
            amounts,
        });
    }
    sweeps
}
