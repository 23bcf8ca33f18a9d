//! The coordinator: policy, one-time keys, arms and repetitions in interleaved blocks.

mod hosts;
mod outcome;
pub mod pair;
mod patience;
pub mod policy;
pub mod process;
pub mod route;
pub mod session;

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Instant;

use crate::arm::Arm;
use crate::error::{Error, ExitCode, Result};
use crate::machine;
use crate::results::{Migration, OutcomeStatus, PolicyDecision, Results};
use crate::runner::hosts::Hosts;
use crate::runner::pair::NotMade;
use crate::runner::process::{Envelope, Launcher, Message, Role};
use crate::runner::session::{Mailbox, Session};
use crate::scenario::{ClockKind, Scenario};
use crate::stats;
use crate::units::{Bandwidth, link_time_ns};

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
    /// When to stop, if the number of blocks is open.
    pub stop: Option<stats::StopRule>,
    /// How the destination is started, if not as this executable: a command that may reach
    /// another machine.
    pub destination: Option<Vec<String>>,
    /// How the source reaches the destination.
    pub route: route::Route,
    /// Hosts that are told to hide their AES instructions.
    pub hide_aes: Vec<Role>,
}

/// A scenario to run.
#[derive(Debug, Clone)]
pub struct Point {
    /// What is run.
    pub scenario: Scenario,
    /// Where its results are saved.
    pub folder: PathBuf,
    /// What was made before an interrupt, to go on with.
    pub earlier: Option<Results>,
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
    /// The record of each scenario, as saved.
    pub results: Vec<Results>,
    /// The exit code that it comes to.
    pub exit: ExitCode,
}

/// Runs the arms of each scenario in blocks and saves results after each migration in the
/// scenario's folder. The points of a matrix take turns block by block, so that drift of the
/// machine does not look like an effect of what is varied.
///
/// The scenarios must have passed [`check`].
///
/// # Errors
/// If hosts can't be started, results can't be saved, or there is nothing left to go on with.
/// What goes wrong in a migration is an outcome.
pub fn run(points: &[Point], options: &Options, observer: &mut dyn Observer) -> Result<Run> {
    let mut launcher = Launcher::this_build()?.hiding_aes(&options.hide_aes);
    if let Some(command) = &options.destination {
        launcher = launcher.with_destination(command.clone());
    }
    let (sender, inbox) = channel();
    let _signals = signals(sender.clone())?;
    let mailbox = Mailbox {
        sender: &sender,
        inbox: &inbox,
    };
    let mut hosts = Hosts::new(&launcher, options);
    let mut sessions = Vec::with_capacity(points.len());
    for Point {
        scenario,
        folder,
        earlier,
    } in points
    {
        std::fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
        let session = Session::open(scenario, options, &mut hosts, folder)?;
        sessions.push(match earlier {
            Some(earlier) => session.resume(earlier.clone())?,
            None => session,
        });
    }
    if sessions.iter().all(|session| session.blocks() == 0) {
        return Err(Error::Invalid(
            "--resume: the run has all its blocks; --reps auto makes as many more as it takes"
                .to_owned(),
        ));
    }
    // Only now: a run that can't be resumed stays as it was.
    sessions.iter().try_for_each(Session::save)?;
    observer.planned(sessions.iter().map(Session::planned).sum());
    let mut interrupted = false;
    let began = Instant::now();
    let most = sessions.iter().map(Session::blocks).max().unwrap_or(0);
    'blocks: for index in 0..most {
        for session in sessions.iter_mut().filter(|s| index < s.blocks()) {
            match session.block(index, &mailbox, observer) {
                Ok(()) => {}
                Err(NotMade::Interrupted) => {
                    interrupted = true;
                    break 'blocks;
                }
                Err(NotMade::Error(error)) => return Err(error),
            }
        }
        if let Some(rule) = &options.stop {
            let elapsed_s = began.elapsed().as_secs_f64();
            let enough: Vec<bool> = sessions
                .iter_mut()
                .map(|session| session.is_enough(rule, elapsed_s))
                .collect();
            // Every point of a matrix, so that all have the same blocks.
            if enough.iter().all(|enough| *enough) {
                break;
            }
        }
    }
    let results = sessions
        .into_iter()
        .map(|session| session.close(interrupted))
        .collect::<Result<Vec<_>>>()?;
    let exit = exit_code(&results, interrupted);
    Ok(Run { results, exit })
}

fn exit_code(results: &[Results], interrupted: bool) -> ExitCode {
    let failed = |m: &Migration| m.outcome.status == OutcomeStatus::Failed;
    let mut all = results.iter();
    let bad = all.any(|results| {
        let mut arms = results.arms.iter();
        results.migrations.iter().any(failed)
            || arms.any(|arm| arm.policy_decision == PolicyDecision::Refused)
    });
    if interrupted {
        ExitCode::Interrupted
    } else if bad {
        ExitCode::MigrationFailed
    } else {
        ExitCode::Done
    }
}

/// Refuses a scenario that this machine or its own link is too small for, before anything is made.
///
/// # Errors
/// In one line: what is too small, and what is needed.
pub fn check(scenario: &Scenario, options: &Options) -> Result<()> {
    // Both hosts hold the whole guest, this machine those that run on it.
    let guests_here = if options.destination.is_some() { 1 } else { 2 };
    check_memory(scenario, guests_here)?;
    check_link(scenario)
}

fn check_memory(scenario: &Scenario, guests: u64) -> Result<()> {
    let need = scenario
        .guest
        .memory
        .0
        .saturating_mul(guests)
        .saturating_add(machine::RESERVE_BYTES);
    let have = machine::available_memory()?;
    if need <= have {
        return Ok(());
    }
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    Err(Error::invalid(
        "guest.memory",
        scenario.guest.memory,
        format!(
            "{} {}, this machine has {} available",
            match guests {
                1 => "the source needs",
                _ => "source and destination together need",
            },
            mib(need),
            mib(have)
        ),
    ))
}

/// A record is sent when the link has carried the one before: that wait must not look like silence.
fn check_link(scenario: &Scenario) -> Result<()> {
    let migration = &scenario.migration;
    let (Bandwidth::BitsPerSecond(bits), ClockKind::Live) =
        (migration.link, scenario.measure.clock)
    else {
        return Ok(());
    };
    let record_ns = link_time_ns(migration.record.0, bits);
    if record_ns <= migration.peer_timeout.as_nanos() / 10 * 9 {
        return Ok(());
    }
    Err(Error::invalid(
        "migration.record",
        migration.record,
        format_args!(
            "what {} carries in 0.9 of migration.peer_timeout = {}; this takes {:.2} s",
            migration.link,
            migration.peer_timeout,
            record_ns as f64 / 1e9
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
