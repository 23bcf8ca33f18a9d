//! Whether a frontier file holds together: a stranger may have written it.

use std::collections::{BTreeMap, BTreeSet};

use super::{FrontierFile, Probe, converged, runs};
use crate::error::{Error, Result};
use crate::frontier::question::{at_rate, check_scenario};
use crate::frontier::search::MOST_PROBES;
use crate::units::PAGE_SIZE;

/// No probe takes longer, seconds: about a year.
const LONGEST_S: f64 = 3.2e7;
/// No rate is higher, bytes a second.
const FASTEST: f64 = 1e15;
/// Scenarios of a matrix at most.
const MOST_SCENARIOS: usize = 1000;

/// Checks a frontier as it stands in a file.
///
/// # Errors
/// [`Error::Invalid`] naming the first field that doesn't fit.
pub(super) fn check(file: &FrontierFile) -> Result<()> {
    let count = file.scenarios.len();
    let fine = (1..=MOST_SCENARIOS).contains(&count);
    Error::unless(fine, "scenarios", count, "1 to 1000")?;
    for (index, scenario) in file.scenarios.iter().enumerate() {
        let named = |error: Error| match error {
            Error::Invalid(text) => Error::Invalid(format!("scenarios[{index}].{text}")),
            other => other,
        };
        scenario.check_values().map_err(named)?;
        check_scenario(scenario).map_err(named)?;
        let arms = &scenario.measure.arms;
        let same = *arms == file.scenarios[0].measure.arms
            && scenario.measure.clock == file.scenarios[0].measure.clock;
        let what = "the arms and the clock of the others";
        Error::unless(same, format_args!("scenarios[{index}]"), "given", what)?;
    }
    let asked: BTreeSet<_> = file.scenarios[0].measure.arms.iter().collect();
    let arms: BTreeSet<_> = file.arms.iter().map(|info| &info.name).collect();
    let fine = asked == arms && arms.len() == file.arms.len();
    Error::unless(
        fine,
        "arms",
        file.arms.len(),
        "those of the scenarios, each once",
    )?;
    let fine = (0.0..=1.0).contains(&file.precision);
    Error::unless(fine, "precision", file.precision, "0 to 1")?;
    let mut pairs = BTreeSet::new();
    for (index, of) in file.predicted.iter().enumerate() {
        let known = of.scenario < count && arms.contains(&of.arm);
        let fine = known && pairs.insert((of.scenario, of.arm));
        let field = format!("predicted[{index}]");
        Error::unless(
            fine,
            &field,
            of.arm,
            "an arm and a scenario of the file, each pair once",
        )?;
        let rate = of.rate_bytes_per_s;
        let fine = rate > 0.0 && rate < FASTEST;
        Error::unless(
            fine,
            field.clone() + ".rate_bytes_per_s",
            rate,
            "above 0 to 1e15",
        )?;
        let (low, high) = (of.low.unwrap_or(rate), of.high.unwrap_or(rate));
        let fine = low > 0.0 && low <= rate && rate <= high && high < FASTEST;
        let field = field + ".low, high";
        Error::unless(
            fine,
            field,
            format_args!("{low}, {high}"),
            "around its rate",
        )?;
    }
    let mut blocks = BTreeMap::new();
    for (index, probe) in file.probes.iter().enumerate() {
        check_probe(file, index, probe)?;
        let next = blocks.entry((probe.scenario, probe.arm)).or_insert(0);
        let field = format!("probes[{index}].block");
        Error::unless(probe.block == *next, field, probe.block, *next)?;
        *next += 1;
    }
    Ok(())
}

fn check_probe(file: &FrontierFile, index: usize, probe: &Probe) -> Result<()> {
    let require = |fine: bool, field: &str, allowed: &str| match fine {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "probes[{index}].{field}: {allowed}"
        ))),
    };
    let scenario = file.scenarios.get(probe.scenario);
    require(scenario.is_some(), "scenario", "the index of a scenario")?;
    let info = file.arms.iter().find(|info| info.name == probe.arm);
    require(info.is_some_and(runs), "arm", "one of arms[] that runs")?;
    let rate = probe.rate_asked_bytes_per_s;
    let whole = rate > 0 && rate.is_multiple_of(PAGE_SIZE as u64);
    let fits = scenario.is_some_and(|s| {
        let at = at_rate(s, rate / PAGE_SIZE as u64);
        at.check_values().is_ok()
    });
    require(
        whole && fits,
        "rate_asked_bytes_per_s",
        "a whole number of page writes that the scenario can have",
    )?;
    require(
        probe.converged == converged(&probe.outcome),
        "converged",
        "as its outcome says",
    )?;
    let told = probe
        .outcome
        .reason
        .as_deref()
        .is_some_and(|r| !r.is_empty());
    require(
        told || probe.converged == Some(true),
        "outcome.reason",
        "missing, though it did not converge",
    )?;
    match (probe.schedule_kept, probe.rate_achieved_bytes_per_s) {
        (None, None) => require(probe.converged.is_none(), "schedule_kept", "missing")?,
        (Some(kept), Some(achieved)) => {
            let fine = (0.0..=1.0).contains(&kept) && probe.converged.is_some();
            require(fine, "schedule_kept", "0 to 1, of one that did not fail")?;
            let fine = (achieved - kept * rate as f64).abs() <= 1e-6 * rate as f64;
            let what = "the rate asked for times the share that was kept";
            require(fine, "rate_achieved_bytes_per_s", what)?;
        }
        _ => require(
            false,
            "schedule_kept",
            "given with rate_achieved_bytes_per_s",
        )?,
    }
    let times = [probe.total_time_s, probe.downtime_s.unwrap_or(0.0)];
    let fine = times.iter().all(|s| (0.0..=LONGEST_S).contains(s));
    require(fine, "total_time_s, downtime_s", "seconds from 0 to a year")?;
    let fine = probe.rounds <= 100_001;
    require(fine, "rounds", "as many as max_rounds allows")?;
    let most = 4 * MOST_PROBES;
    require(
        (probe.block as usize) < most,
        "block",
        "fewer than a search makes",
    )
}
