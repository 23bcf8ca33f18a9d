//! What weakens a result, with figures and a remedy.

use std::collections::{BTreeMap, BTreeSet};

use crate::arm::Arm;
use crate::results::{ArmInfo, Migration, OutcomeStatus, Results, Warning};
use crate::scenario::ClockKind;
use crate::stats;

use super::backing::huge_pages;
use super::metric::Metric;
use super::pairs::completed;

/// Below this many blocks no 95% interval exists.
pub const THIN_BLOCKS: usize = 6;
/// A 95% interval half as wide as the ratio itself says little about the ratio.
const WIDE_INTERVAL: f64 = 0.25;
const STEAL_SHARE: f64 = 0.01;
const OTHER_CPU_SHARE: f64 = 0.05;
/// Load per core before the run from which another program probably still runs.
const LOAD_PER_CORE: f64 = 0.5;
const SPIN_SPREAD: f64 = 0.10;
const SCHEDULE_KEPT: f64 = 0.99;
/// Different messages of one code that are repeated.
const MOST_MESSAGES: usize = 3;

/// Code of a warning about the hosts before the run, which does not follow from results: an arm is not
/// the same code on both.
pub const HOSTS_DIFFER: &str = "hosts_differ";
/// As [`HOSTS_DIFFER`]: sealing was made slower on purpose.
pub const INJECTED_SLOWDOWN: &str = "injected_slowdown";
/// As [`HOSTS_DIFFER`]: the program was built for its developers.
pub const DEBUG_BUILD: &str = "debug_build";

/// What weakens these results. `comparisons` must be in place; `warnings` is not read.
pub fn warnings(results: &Results) -> Vec<Warning> {
    let mut found = Vec::new();
    repetitions(results, &mut found);
    machine(results, &mut found);
    spread(results, &mut found);
    outcomes(results, &mut found);
    downtimes(results, &mut found);
    identical_arms(results, &mut found);
    schedule(results, &mut found);
    hosts(results, &mut found);
    found.extend(huge_pages(results));
    found
}

fn warning(code: &str, message: String, remedy: impl Into<String>) -> Warning {
    Warning {
        code: code.to_owned(),
        message,
        remedy: remedy.into(),
    }
}

fn repetitions(results: &Results, found: &mut Vec<Warning>) {
    let blocks: BTreeSet<u32> = results.migrations.iter().map(|m| m.block).collect();
    let n = blocks.len();
    if n > 0 && n < THIN_BLOCKS {
        let level = 100.0 * (1.0 - libm::exp2(1.0 - n as f64));
        found.push(warning(
            "few_repetitions",
            format!(
                "{n} block{}: intervals reach {level:.1}%, not 95%",
                if n == 1 { "" } else { "s" }
            ),
            match &results.shard {
                None => format!(
                    "--reps {THIN_BLOCKS} or more; 10 make narrower intervals, --reps auto decides"
                ),
                Some(shard) => format!(
                    "this is shard {} of {}: migtax merge puts all parts together",
                    shard.index, shard.of
                ),
            },
        ));
    }
}

fn machine(results: &Results, found: &mut Vec<Warning>) {
    let host = &results.host;
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let mut when = |weak: bool, code: &str, message: String, remedy: &str| {
        found.extend(weak.then(|| warning(code, message, remedy)));
    };
    when(
        host.load_before > LOAD_PER_CORE * f64::from(host.cores.max(1)),
        "busy_machine",
        format!(
            "load average {:.2} on {} cores before the run",
            host.load_before, host.cores
        ),
        "end other programs, wait for the load to fall, then run again",
    );
    let taken = percent(host.other_cpu_share);
    when(
        host.other_cpu_share > OTHER_CPU_SHARE,
        "busy_machine",
        format!("other processes took {taken} of the CPU during the run"),
        "end other programs, then run again",
    );
    let taken = percent(host.steal_share);
    when(
        host.steal_share > STEAL_SHARE,
        "steal",
        format!("the hypervisor took {taken} of the CPU during the run"),
        "run at a quieter time or on a machine with dedicated cores; trust CPU figures before times",
    );
    let longer = 100.0 * host.spin_spread;
    when(
        host.spin_spread > SPIN_SPREAD,
        "unsteady_cpu",
        format!("a fixed spin loop took up to {longer:.0}% longer than its fastest pass"),
        "set the governor to performance, end other programs, or add repetitions",
    );
}

fn spread(results: &Results, found: &mut Vec<Warning>) {
    let metric = Metric::SOURCE_CPU_PER_GIB;
    let taxes = results
        .comparisons
        .iter()
        .filter(|c| c.against == c.arm.base() && c.metric == metric.name());
    let wide: Vec<_> = taxes
        .clone()
        .filter(|c| c.blocks as usize >= THIN_BLOCKS)
        .filter(|c| stats::StopRule::half_width_of(c.ratio, c.ci_low, c.ci_high) > WIDE_INTERVAL)
        .collect();
    let Some(widest) = wide
        .iter()
        .max_by(|a, b| (a.ci_high / a.ci_low).total_cmp(&(b.ci_high / b.ci_low)))
    else {
        return;
    };
    // The interval narrows with the square root of the blocks.
    let half = stats::StopRule::half_width_of(widest.ratio, widest.ci_low, widest.ci_high);
    let needed = f64::from(widest.blocks) * (half / WIDE_INTERVAL).powi(2);
    found.push(warning(
        "high_spread",
        format!(
            "{} of {} {} taxes have an interval wider than +-{:.0}%; widest {} with {:.2} ({:.2} to {:.2}) over {} blocks",
            wide.len(),
            taxes.count(),
            metric.label(),
            100.0 * WIDE_INTERVAL,
            widest.arm,
            widest.ratio,
            widest.ci_low,
            widest.ci_high,
            widest.blocks
        ),
        format!("--reps {} or a quieter machine", needed.ceil().max(1.0)),
    ));
}

fn outcomes(results: &Results, found: &mut Vec<Warning>) {
    for info in &results.arms {
        let of_arm: Vec<_> = results
            .migrations
            .iter()
            .filter(|m| m.arm == info.name)
            .collect();
        let count = |status| of_arm.iter().filter(|m| m.outcome.status == status).count();
        let all = of_arm.len();
        let done = completed(info.name, &results.migrations).len();
        let mut when = |n: usize, code: &str, what: String, remedy: &str| {
            let message = || format!("{}: {n} of {all} migrations {what}", info.name);
            found.extend((n > 0).then(|| warning(code, message(), remedy)));
        };
        when(
            count(OutcomeStatus::NotConverged),
            "not_converged",
            "did not converge: their times count as longer than what was waited for".to_owned(),
            "that is a result for this scenario; a higher downtime limit, on_stall = \"throttle\" or \"switchover\", or a lower rate lets it finish",
        );
        let mut failed = (of_arm.iter()).filter(|m| m.outcome.status == OutcomeStatus::Failed);
        let reason = failed.next().and_then(|m| m.outcome.reason.as_deref());
        let reason = reason.unwrap_or_default();
        when(
            count(OutcomeStatus::Failed),
            "failed",
            format!("failed ({reason}); its ratios rest on {done} blocks"),
            "find the cause before trusting this arm",
        );
        when(
            count(OutcomeStatus::FellBack),
            "fell_back",
            "went in the clear; they are in no statistic".to_owned(),
            "policy \"required\" refuses instead",
        );
    }
}

/// Migrations that were switched over because the pause was expected to fit the limit, and whose pause
/// did not: the estimate was wrong, or the machine was taken away meanwhile.
fn downtimes(results: &Results, found: &mut Vec<Warning>) {
    if !Metric::DOWNTIME.means_something_under(results.scenario.measure.clock) {
        return;
    }
    let limit_s = results.scenario.migration.downtime_limit.as_secs_f64();
    for info in &results.arms {
        // One that was stopped at a round or time limit says so as its reason, and promised nothing.
        let converged: Vec<_> = completed(info.name, &results.migrations)
            .into_values()
            .filter(|m| m.outcome.reason.is_none())
            .collect();
        // Where the limit grows, the one that the last decision was made by.
        let held = |m: &Migration| {
            let mut grown = m.rounds.iter().filter_map(|round| round.downtime_limit_s);
            grown.next_back().unwrap_or(limit_s)
        };
        let over: Vec<f64> = (converged.iter())
            .filter(|m| m.downtime.total_s > held(m))
            .map(|m| m.downtime.total_s)
            .collect();
        let Some(median) = stats::median(&over) else {
            continue;
        };
        found.push(warning(
            "downtime_limit_exceeded",
            format!(
                "{}: {} of {} migrations that converged paused the guest for longer than the limit, median of these {:.3} ms against {:.3} ms",
                info.name,
                over.len(),
                converged.len(),
                1e3 * median,
                1e3 * limit_s
            ),
            "raise downtime_limit above what the pause takes without any page (device state, harvest, switchover), or free a core: the estimate holds what the rounds before the pause took",
        ));
    }
}

/// Arms of one library that engaged the same CPU features ran the same code, so a difference
/// between them is noise.
fn identical_arms(results: &Results, found: &mut Vec<Warning>) {
    let same = |a: &ArmInfo, b: &ArmInfo| {
        let features = |info: &ArmInfo| {
            let mut features = info.engaged_features.clone();
            features.sort();
            features
        };
        a.supported
            && b.supported
            && a.name.is_encrypted()
            && b.name.is_encrypted()
            && (&a.backend, &a.backend_version) == (&b.backend, &b.backend_version)
            && features(a) == features(b)
    };
    for (index, a) in results.arms.iter().enumerate() {
        for b in results.arms[index + 1..].iter().filter(|b| same(a, b)) {
            let list = match a.engaged_features.join(", ") {
                none if none.is_empty() => "none".to_owned(),
                list => list,
            };
            found.push(warning(
                "arms_identical",
                format!(
                    "{} and {} engage the same CPU features here ({list}): they run the same code",
                    a.name, b.name
                ),
                "read their difference as noise; a CPU with more features (for aws-lc: VAES with AVX-512) tells them apart",
            ));
        }
    }
}

fn schedule(results: &Results, found: &mut Vec<Warning>) {
    if results.scenario.measure.clock == ClockKind::Virtual {
        return;
    }
    for info in &results.arms {
        let kept: Vec<f64> = completed(info.name, &results.migrations)
            .into_values()
            .filter(|m| m.guest.asked_rate > 0.0)
            .map(|m| m.guest.schedule_kept)
            .collect();
        let Some(median) = stats::median(&kept).filter(|kept| *kept < SCHEDULE_KEPT) else {
            continue;
        };
        found.push(warning(
            "achieved_rate",
            format!(
                "{}: the guest made {:.1}% of the writes asked for",
                info.name,
                100.0 * median
            ),
            "lower the rate, add a core, or read it as what the migration cost the guest",
        ));
    }
}

/// What hosts say against single migrations: each code once for an arm, with all that is said.
fn hosts(results: &Results, found: &mut Vec<Warning>) {
    let mut told = BTreeMap::<(&str, Arm), (BTreeSet<&str>, BTreeSet<u32>, &str)>::new();
    for migration in &results.migrations {
        for warning in &migration.warnings {
            let (messages, blocks, _) = told.entry((&warning.code, migration.arm)).or_insert((
                BTreeSet::new(),
                BTreeSet::new(),
                &warning.remedy,
            ));
            messages.insert(&warning.message);
            blocks.insert(migration.block);
        }
    }
    for ((code, arm), (messages, blocks, remedy)) in told {
        let place = match blocks.len() {
            1 => format!("{arm} block {}", blocks.first().unwrap_or(&0)),
            several => format!("{arm}, {several} blocks"),
        };
        let messages: Vec<&str> = messages.into_iter().collect();
        let more = match messages.len().saturating_sub(MOST_MESSAGES) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let said = messages[..messages.len().min(MOST_MESSAGES)].join("; ");
        found.push(warning(code, format!("{place}: {said}{more}"), remedy));
    }
}

#[cfg(test)]
mod tests;
