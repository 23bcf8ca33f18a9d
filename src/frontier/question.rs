//! What is asked of a scenario: where its search begins, and over which rates it goes.

use super::search::{Method, Question, writes_per_s};
use crate::error::{Error, Result};
use crate::precopy::OnStall;
use crate::scenario::{ClockKind, Scenario};
use crate::units::{PAGE_SIZE, Rate};

/// Page writes per second of the lowest rate that is probed.
const LOWEST: u64 = 16;
/// Page writes per second and vCPU of the highest rate that is probed, 64 GiB/s: more than a core can write.
const HIGHEST: u64 = 1 << 24;

/// Refuses a scenario to which the frontier has no meaning.
///
/// # Errors
/// [`Error::Invalid`] with the field, its value and what is allowed.
pub fn check_scenario(scenario: &Scenario) -> Result<()> {
    let rate = scenario.workload.rate;
    Error::unless(
        rate >= Rate(PAGE_SIZE as u64),
        "workload.rate",
        rate,
        "a rate to begin the search with: an idle guest always converges",
    )?;
    let stalled = scenario.migration.on_stall;
    Error::unless(
        stalled != OnStall::Throttle,
        "migration.on_stall",
        "throttle",
        "\"abort\" or \"switchover\": the frontier is where a guest converges without being slowed down",
    )?;
    Error::unless(
        !scenario.qemu.auto_converge,
        "qemu.auto_converge",
        "true",
        "false: the frontier is where a guest converges without being slowed down",
    )?;
    Error::unless(
        !scenario.point.contains_key("workload.rate"),
        "workload.rate",
        "a list",
        "one rate to begin the search with",
    )
}

/// What a search is asked for: from the scenario's rate, over all rates that its stream can have.
pub fn question(scenario: &Scenario, precision: f64) -> Question {
    let fits = |writes: u64| at_rate(scenario, writes).check_values().is_ok();
    let start = writes_per_s(scenario.workload.rate.0).max(1);
    let mut lowest = LOWEST.min(start);
    while lowest < start && !fits(lowest) {
        lowest = (lowest * 2).min(start);
    }
    let mut highest = (HIGHEST * u64::from(scenario.guest.vcpus)).max(start);
    while highest > start && !fits(highest) {
        highest = (highest / 2).max(start);
    }
    Question {
        method: match scenario.measure.clock {
            ClockKind::Virtual => Method::Exact,
            ClockKind::Live => Method::Noisy,
        },
        start,
        lowest,
        highest,
        precision,
    }
}

/// The scenario at another rate, in page writes per second.
pub fn at_rate(scenario: &Scenario, writes_per_s: u64) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.set_rate(Rate(writes_per_s.saturating_mul(PAGE_SIZE as u64)));
    scenario
}
