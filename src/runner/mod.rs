//! The coordinator: policy, one-time keys, arms and repetitions in interleaved blocks.

pub mod pair;
pub mod policy;
pub mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::channel;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::arm::Arm;
use crate::compare;
use crate::error::{Error, ExitCode, Result};
use crate::machine::{self, Monitor};
use crate::results::{
    self, ArmInfo, Migration, OutcomeStatus, PolicyDecision, Results, SCHEMA_VERSION, Warning,
};
use crate::runner::pair::{Made, NotMade, Task};
use crate::runner::policy::Rules;
use crate::runner::process::{Envelope, Launcher, Message};
use crate::scenario::Scenario;
use crate::stats;

/// Each block starts somewhere in the first seconds of the stream, so that a run does not always
/// meet the same burst. In nanoseconds.
const LATEST_START_NS: u64 = 4_000_000_000;

/// Memory that a run leaves to the rest of the machine.
const RESERVE_BYTES: u64 = 256 << 20;

/// What a run needs beside its scenario.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Let the software arms run under policy `required`.
    pub allow_software: bool,
    /// CPUs to keep the source to; empty for any.
    pub pin_source: Vec<usize>,
    /// CPUs to keep the destination to; empty for any.
    pub pin_destination: Vec<usize>,
    /// The command that repeats the run, for the record.
    pub command: Vec<String>,
}

/// Who watches a run.
pub trait Observer {
    /// So many migrations will be made, warm-up included.
    fn planned(&mut self, _migrations: u32) {}
    /// A migration begins.
    fn begins(&mut self, _arm: Arm, _block: Option<u32>) {}
    /// A migration was made; warm-up too.
    fn made(&mut self, _migration: &Migration) {}
}

/// A finished or interrupted run.
#[derive(Debug)]
pub struct Run {
    /// The record, as saved.
    pub results: Results,
    /// The exit code that it comes to.
    pub exit: ExitCode,
}

/// Runs a scenario's arms in blocks and saves results after each migration in `folder`.
///
/// # Errors
/// If the machine is too small for the guest, hosts can't be started, or results can't be saved.
/// What goes wrong in a migration is an outcome.
pub fn run(
    scenario: &Scenario,
    options: &Options,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Run> {
    check_memory(scenario)?;
    let launcher = Launcher::this_build()?;
    let (sender, inbox) = channel();
    let _signals = signals(sender.clone())?;
    let monitor = Monitor::start();
    let mut results = Results {
        schema_version: SCHEMA_VERSION,
        migtax_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
        interrupted: true,
        command: options.command.clone(),
        host: machine::host_info(),
        scenario: scenario.clone(),
        arms: Vec::new(),
        migrations: Vec::new(),
        comparisons: Vec::new(),
        warnings: Vec::new(),
    };
    let rules = Rules {
        policy: scenario.migration.policy,
        encrypted_guest: scenario.guest.encrypted,
        allow_software: options.allow_software,
    };
    let mut versions = BTreeMap::new();
    for &arm in &scenario.measure.arms {
        let capabilities = launcher.capabilities(arm)?;
        let decided = policy::decide(arm, rules, &capabilities, &capabilities);
        versions.extend(capabilities.versions.clone());
        results.arms.push(ArmInfo {
            name: arm,
            backend: arm.backend().library().to_owned(),
            backend_version: capabilities.backend_version,
            engaged_features: capabilities.engaged_features,
            supported: capabilities.missing_features.is_empty()
                && decided.decision != PolicyDecision::Unsupported,
            reason: decided.reason,
            policy_decision: decided.decision,
        });
    }
    results.host.versions = versions;
    results::write(&results, folder)?;

    let runnable: Vec<(Arm, bool)> = results
        .arms
        .iter()
        .filter_map(|arm| match arm.policy_decision {
            PolicyDecision::Baseline | PolicyDecision::FallbackPlain => Some((arm.name, false)),
            PolicyDecision::Encrypted => Some((arm.name, true)),
            PolicyDecision::Refused | PolicyDecision::Disabled | PolicyDecision::Unsupported => {
                None
            }
        })
        .collect();
    let (warmup, measured) = (scenario.measure.warmup, scenario.measure.repetitions);
    observer.planned((warmup + measured) * runnable.len() as u32);
    let mut offsets = Xoshiro256PlusPlus::seed_from_u64(scenario.guest.seed);
    let mut extra = Vec::new();
    let mut interrupted = false;
    'blocks: for number in 0..warmup + measured {
        let start_offset_ns = offsets.next_u64() % LATEST_START_NS;
        let block = number.checked_sub(warmup);
        for (arm, sealed) in stats::shuffled(&runnable, scenario.guest.seed, number) {
            observer.begins(arm, block);
            let task = Task {
                scenario,
                arm,
                sealed,
                block: block.unwrap_or(0),
                start_offset_ns,
                pin: (&options.pin_source, &options.pin_destination),
            };
            match pair::migrate(&launcher, &task, &sender, &inbox) {
                Ok(made) => {
                    observer.made(&made.migration);
                    if block.is_some() {
                        keep(&mut results, &mut extra, made);
                        results::write(&results, folder)?;
                    }
                }
                Err(NotMade::Interrupted) => {
                    interrupted = true;
                    break 'blocks;
                }
                Err(NotMade::Error(error)) => return Err(error),
            }
        }
    }
    let observed = monitor.finish();
    results.host.steal_share = observed.steal_share;
    results.host.other_cpu_share = observed.other_cpu_share;
    results.interrupted = interrupted;
    results.comparisons = compare::comparisons(&scenario.measure.arms, &results.migrations);
    results.warnings = compare::warnings(&results);
    results.warnings.extend(extra);
    results::write(&results, folder)?;
    let exit = exit_code(&results);
    Ok(Run { results, exit })
}

fn keep(results: &mut Results, extra: &mut Vec<Warning>, made: Made) {
    if let Some(message) = made.warning {
        extra.push(Warning {
            code: "lost_acknowledgement".to_owned(),
            message: format!(
                "{} block {}: {message}",
                made.migration.arm, made.migration.block
            ),
            remedy: "look at the link between the hosts".to_owned(),
        });
    }
    if let Some(tracker) = made.tracker {
        results.host.tracker = tracker;
    }
    results.migrations.push(made.migration);
}

fn exit_code(results: &Results) -> ExitCode {
    let failed = results
        .migrations
        .iter()
        .any(|m| m.outcome.status == OutcomeStatus::Failed);
    let refused = results
        .arms
        .iter()
        .any(|arm| arm.policy_decision == PolicyDecision::Refused);
    if results.interrupted {
        ExitCode::Interrupted
    } else if failed || refused {
        ExitCode::MigrationFailed
    } else {
        ExitCode::Done
    }
}

/// Both hosts hold the whole guest.
fn check_memory(scenario: &Scenario) -> Result<()> {
    let need = scenario
        .guest
        .memory
        .0
        .saturating_mul(2)
        .saturating_add(RESERVE_BYTES);
    let mut system = sysinfo::System::new()
        .map_err(|error| Error::CannotRun(format!("reading this machine's memory: {error}")))?;
    system.refresh_memory();
    let have = system.available_memory();
    if need <= have {
        return Ok(());
    }
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    Err(Error::invalid(
        "guest.memory",
        scenario.guest.memory,
        format!(
            "source and destination need {} together, this machine has {} available",
            mib(need),
            mib(have)
        ),
    ))
}

/// Turns SIGINT and SIGTERM into messages.
fn signals(sender: std::sync::mpsc::Sender<Envelope>) -> Result<SignalGuard> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Error::io("watching for interrupts", error))?;
    let handle = signals.handle();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send((u64::MAX, Message::Interrupted)).is_err() {
                return;
            }
        }
    });
    Ok(SignalGuard(handle))
}

/// Stops watching for interrupts when dropped.
struct SignalGuard(signal_hook::iterator::Handle);

impl Drop for SignalGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}
