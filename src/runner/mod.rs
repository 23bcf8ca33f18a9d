//! The coordinator: policy, one-time keys, arms and repetitions in interleaved blocks.

mod asked;
pub mod blocks;
mod hosts;
pub mod masked;
mod options;
mod outcome;
pub mod pair;
mod patience;
pub mod policy;
pub mod probe;
pub mod process;
mod qemu;
mod room;
pub mod route;
mod session;
mod task;
mod tunnel;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

pub use hosts::Hosts;
pub use options::{Job, Observer, Options};
pub use room::{check, check_tunnels};
pub use session::Session;
pub use task::{Made, NotMade, Place, Task};

use crate::error::{Error, ExitCode, Result};
use crate::results::{ArmInfo, Migration, OutcomeStatus, PolicyDecision, Results};
use process::{Envelope, Launcher, Mailbox, Message};

/// What came of all jobs, finished or interrupted.
#[derive(Debug)]
pub struct Finished {
    /// The results of each job, as saved.
    pub results: Vec<Results>,
    /// The exit code that they come to.
    pub exit: ExitCode,
}

/// What is there for as long as migrations are made: how hosts are started, and what they say.
pub struct Coordinator<'a> {
    options: &'a Options,
    launcher: Launcher,
    sender: Sender<Envelope>,
    inbox: Receiver<Envelope>,
    _signals: SignalGuard,
}

impl<'a> Coordinator<'a> {
    /// From here on an interrupt ends the migration at hand, and not the process.
    ///
    /// # Errors
    /// If the operating system refuses what that takes.
    pub fn start(options: &'a Options) -> Result<Coordinator<'a>> {
        let mut launcher = Launcher::this_build()?.hiding_aes(&options.hide_aes);
        if let Some(command) = &options.destination {
            launcher = launcher.with_destination(command.clone());
        }
        let (sender, inbox) = channel();
        Ok(Coordinator {
            options,
            launcher,
            _signals: signals(sender.clone())?,
            sender,
            inbox,
        })
    }

    /// The hosts that migrations are made between.
    pub fn hosts(&self) -> Hosts<'_> {
        Hosts::new(&self.launcher, self.options)
    }

    /// How hosts are started.
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Where hosts and interrupts are heard.
    pub fn mailbox(&self) -> Mailbox<'_> {
        Mailbox {
            sender: &self.sender,
            inbox: &self.inbox,
        }
    }
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
pub fn run(jobs: &[Job], options: &Options, observer: &mut dyn Observer) -> Result<Finished> {
    let coordinator = Coordinator::start(options)?;
    let mailbox = coordinator.mailbox();
    let mut hosts = coordinator.hosts();
    let mut sessions = Vec::with_capacity(jobs.len());
    for job in jobs {
        std::fs::create_dir_all(&job.folder).map_err(|e| Error::writing(&job.folder, e))?;
        let session = Session::open(&job.scenario, options, &mut hosts, &job.folder)?;
        let session = match &job.shard {
            Some(shard) => session.only(shard),
            None => session,
        };
        sessions.push(match &job.earlier {
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
            // Every point of a matrix is asked, so that all have the same blocks.
            let asked = sessions.iter_mut().map(|s| s.is_enough(rule, elapsed_s));
            if asked.fold(true, |all, enough| all & enough) {
                break;
            }
        }
    }
    let results = sessions
        .into_iter()
        .map(|session| session.close(interrupted))
        .collect::<Result<Vec<_>>>()?;
    let exit = exit_code(&results, interrupted);
    Ok(Finished { results, exit })
}

fn exit_code(results: &[Results], interrupted: bool) -> ExitCode {
    let failed = |m: &Migration| m.outcome.status == OutcomeStatus::Failed;
    let refused = |arm: &ArmInfo| arm.policy_decision == PolicyDecision::Refused;
    let bad = results
        .iter()
        .any(|run| run.migrations.iter().any(failed) || run.arms.iter().any(refused));
    if interrupted {
        ExitCode::Interrupted
    } else if bad {
        ExitCode::MigrationFailed
    } else {
        ExitCode::Done
    }
}

/// Turns SIGINT and SIGTERM into messages.
fn signals(sender: Sender<Envelope>) -> Result<SignalGuard> {
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
