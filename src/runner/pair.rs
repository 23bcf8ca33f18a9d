//! One migration: a fresh pair of host processes, from their start to their reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::arm::Arm;
use crate::crypto::{self, MigrationSecret};
use crate::error::{Error, Result};
use crate::host::{Command, Event, HostSpec, PROTOCOL};
use crate::machine::MachineInfo;
use crate::results::{Migration, OutcomeStatus};
use crate::runner::outcome::{Told, differing};
use crate::runner::patience::patience;
use crate::runner::process::{HostProcess, Launcher, Mailbox, Message, Role};
use crate::runner::route::Route;
use crate::runner::tunnel::Tunnel;
use crate::scenario::Scenario;

/// Numbers the pairs of hosts.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// How long a destination whose switchover is in doubt may take to say what it knows; half of the
/// peer timeout if that is less. The source waits for the peer timeout, and fencing takes its time.
const MOST_GRACE: Duration = Duration::from_secs(1);

/// How much longer than twice the peer timeout a destination elsewhere may take to tell how a
/// migration failed of which the source has told that: it may be cut off from this side.
const CUT_OFF: Duration = Duration::from_secs(3);

/// What one migration is about.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// Guest, workload, migration.
    pub scenario: &'a Scenario,
    /// The data path.
    pub arm: Arm,
    /// Whether it is sealed; false for baselines and fallbacks.
    pub sealed: bool,
    /// The block that it counts in.
    pub block: u32,
    /// Seed of the block's dirty-page stream.
    pub stream_seed: u64,
    /// Where in the dirty-page stream the block starts.
    pub start_offset_ns: u64,
    /// CPUs to keep the source and the destination to.
    pub pin: (&'a [usize], &'a [usize]),
    /// How the source reaches the destination.
    pub route: &'a Route,
    /// What the results say of the hosts' machines.
    pub machine: &'a MachineInfo,
}

/// Why a migration was not made.
#[derive(Debug)]
pub enum NotMade {
    /// SIGINT or SIGTERM.
    Interrupted,
    /// The coordinator itself could not go on.
    Error(Error),
}

impl From<Error> for NotMade {
    fn from(error: Error) -> Self {
        NotMade::Error(error)
    }
}

/// A migration that was made.
#[derive(Debug)]
pub struct Made {
    /// As it goes into the results.
    pub migration: Migration,
    /// The tracker that was used, if it is known.
    pub tracker: Option<String>,
    /// CPU seconds of the destination's process, wherever it ran, that are not among those of this
    /// process's ended children.
    pub unseen_cpu_s: f64,
}

/// Makes one migration.
///
/// # Errors
/// If it was interrupted or hosts can't be started. Whatever else goes wrong is an outcome.
pub fn migrate(
    launcher: &Launcher,
    task: &Task<'_>,
    mailbox: &Mailbox<'_>,
) -> Result<Made, NotMade> {
    let began = Instant::now();
    let secret = if task.sealed {
        crypto::guard_stack();
        Some(MigrationSecret::generate()?)
    } else {
        None
    };
    let tunnel = match task.arm.channel().filter(|_| task.sealed) {
        Some(channel) if channel.is_tunnel() => Some(Tunnel::make(channel, task.scenario)?),
        _ => None,
    };
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| Error::CannotRun(format!("the operating system's generator: {error}")))?;
    let spec = |role, pin: &[usize]| HostSpec {
        protocol: PROTOCOL,
        arm: task.arm,
        sealed: task.sealed,
        scenario: task.scenario.clone(),
        migration_id: format!("{:032x}", u128::from_le_bytes(id)),
        stream_seed: task.stream_seed,
        start_offset_ns: task.start_offset_ns,
        listen: task.route.listen.clone(),
        pin: pin.to_vec(),
        thread_clock_read_ns: match role {
            Role::Source => task.machine.thread_clock_read_ns,
            Role::Destination => task.machine.destination_clock_read_ns(),
        },
        tunnel: tunnel.as_ref().map(|tunnel| tunnel.spec.clone()),
    };
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let start = |role, pin| {
        launcher.start(
            role,
            &spec(role, pin),
            secret.as_ref(),
            (serial, mailbox.sender),
        )
    };
    let mut exchange = Exchange {
        source: start(Role::Source, task.pin.0)?,
        destination: start(Role::Destination, task.pin.1)?,
        mailbox,
        serial,
        began,
        patience: patience(task.scenario),
        peer_timeout: task.scenario.migration.peer_timeout.0,
        route: task.route,
        seen: Seen::default(),
        told: Told::default(),
    };
    drop(secret);
    exchange.run()?;
    let memory = task.scenario.guest.memory.0;
    let told = exchange.told;
    let of_process = told.destination.as_ref().map_or(0.0, |d| d.process_cpu_s);
    let unseen_cpu_s = exchange.destination.unseen_cpu_s(of_process);
    let block = (task.block, task.stream_seed);
    let migration = told.migration(task.arm, block, memory, task.sealed);
    Ok(Made {
        migration,
        tracker: exchange.seen.tracker,
        unseen_cpu_s,
    })
}

/// How far the exchange has come, beside what the hosts told of the migration.
#[derive(Debug, Default)]
struct Seen {
    source_ready: bool,
    tracker: Option<String>,
    /// Where the destination listens, once it is ready; where its side of a tunnel does.
    listening: Option<String>,
    tunnel: Option<String>,
    connected: bool,
    took_over: bool,
    /// The guest stays at the source, which has ended: the destination is awaited until then.
    destination_until: Option<Instant>,
    /// The source knows of no acknowledgement; the destination's own word is awaited until then.
    unacknowledged_until: Option<Instant>,
    fenced: bool,
    resumed: bool,
    source_gone: bool,
    destination_gone: bool,
}

struct Exchange<'a> {
    source: HostProcess,
    destination: HostProcess,
    mailbox: &'a Mailbox<'a>,
    serial: u64,
    began: Instant,
    patience: Duration,
    peer_timeout: Duration,
    route: &'a Route,
    seen: Seen,
    told: Told,
}

impl Exchange<'_> {
    fn run(&mut self) -> Result<(), NotMade> {
        while !self.is_over() {
            let grace = self
                .seen
                .unacknowledged_until
                .or(self.seen.destination_until);
            let limit = grace.map_or(self.patience, |until| {
                until.saturating_duration_since(Instant::now())
            });
            match self.mailbox.inbox.recv_timeout(limit) {
                Ok((_, Message::Interrupted)) => return Err(NotMade::Interrupted),
                Ok((serial, _)) if serial != self.serial => continue,
                Ok((_, Message::Event(role, event))) => self.hear(role, *event),
                Ok((_, Message::Gone(role))) => self.gone(role),
                Err(RecvTimeoutError::Timeout) if grace.is_some() => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let silent = match self.told.source {
                        None => "source",
                        Some(_) => "destination",
                    };
                    self.fail(format!(
                        "the {silent} host said nothing for {} s",
                        self.patience.as_secs()
                    ));
                    break;
                }
            }
            self.next_step();
        }
        Ok(())
    }

    /// Both hosts have ended: each does after its report.
    fn is_over(&self) -> bool {
        self.seen.source_gone && self.seen.destination_gone
    }

    fn hear(&mut self, role: Role, event: Event) {
        let now = Instant::now();
        let (seen, told) = (&mut self.seen, &mut self.told);
        match event {
            Event::Ready {
                fill_s,
                tracker,
                address,
                tunnel,
                capabilities,
            } => {
                if let Some(failure) = capabilities.known_answer_failure {
                    self.fail(format!("{role}: {failure}"));
                    return;
                }
                let ready_s = now.duration_since(self.began).as_secs_f64() - fill_s;
                told.starting_s = told.starting_s.max(ready_s);
                match role {
                    Role::Source => (seen.source_ready, seen.tracker) = (true, tracker),
                    Role::Destination => {
                        seen.listening = Some(address.unwrap_or_default());
                        seen.tunnel = tunnel;
                    }
                }
            }
            Event::Unacknowledged => {
                seen.unacknowledged_until = Some(now + MOST_GRACE.min(self.peer_timeout / 2));
            }
            Event::TookOver => seen.took_over = true,
            Event::Hashed { hash } => told.destination_hash = Some(hash),
            Event::Source(report) => {
                let stays = report.outcome.status == OutcomeStatus::Failed;
                seen.destination_until = (stays && self.destination.is_remote())
                    .then(|| now + self.peer_timeout * 2 + CUT_OFF);
                told.source = Some(*report);
            }
            Event::Destination(report) => told.destination = Some(*report),
            Event::Refused { reason } => self.fail(format!("{role}: {reason}")),
        }
    }

    fn gone(&mut self, role: Role) {
        let (host, reported) = match role {
            Role::Source => {
                self.seen.source_gone = true;
                (&mut self.source, self.told.source.is_some())
            }
            Role::Destination => {
                self.seen.destination_gone = true;
                (&mut self.destination, self.told.destination.is_some())
            }
        };
        let epitaph = host.epitaph();
        if reported {
            return;
        }
        let fenced = role == Role::Destination && self.seen.fenced;
        if !fenced {
            self.note(epitaph);
        }
        // Before both are connected the other would wait for nothing.
        if !self.seen.connected {
            self.source.end();
            self.destination.end();
        }
    }

    fn next_step(&mut self) {
        let seen = &mut self.seen;
        if let (true, Some(listening), false) = (seen.source_ready, &seen.listening, seen.connected)
        {
            seen.connected = true;
            self.source.tell(&Command::Connect {
                address: self.route.address(listening),
                tunnel: seen.tunnel.clone(),
            });
        }
        self.settle_switchover();
        if self
            .seen
            .destination_until
            .is_some_and(|until| until <= Instant::now())
        {
            // It is cut off from this side, and ends by itself when it misses the source.
            (self.seen.destination_until, self.seen.fenced) = (None, true);
            self.destination.end();
        }
        let (seen, told) = (&mut self.seen, &mut self.told);
        let source_ended = told.source.is_some() || seen.source_gone;
        if let (Some(hash), false) = (&told.destination_hash, seen.resumed)
            && source_ended
        {
            seen.resumed = true;
            match &told.source {
                Some(report) if report.hash == *hash => {
                    self.destination.tell(&Command::Resume {
                        stream_time_ns: report.stream_time_ns,
                        windows: report
                            .at_source
                            .as_ref()
                            .map_or_else(Default::default, |seen| seen.windows),
                    });
                }
                // Different memory fails the migration; such a guest must not run.
                Some(report) if report.outcome.status == OutcomeStatus::Completed => {
                    told.failure.get_or_insert(differing(&report.hash, hash));
                    self.destination.end();
                }
                _ => self.destination.end(),
            }
        }
    }

    /// The rule for the final acknowledgement, once the source has said that it misses it: two
    /// running copies are worse than none.
    fn settle_switchover(&mut self) {
        let Some(until) = self.seen.unacknowledged_until else {
            return;
        };
        if self.seen.took_over {
            self.seen.unacknowledged_until = None;
            self.source.tell(&Command::SwitchedOver);
            return;
        }
        let reported = self.told.destination.is_some();
        if !reported && !self.seen.destination_gone && Instant::now() < until {
            return;
        }
        self.seen.unacknowledged_until = None;
        self.seen.fenced = true;
        if !reported && let Some(epitaph) = self.destination.ended_by_itself() {
            self.note(epitaph);
        }
        // Else nobody knows, and the source keeps its guest paused.
        if self.destination.fence(self.peer_timeout / 4) {
            self.source.tell(&Command::Fenced);
        }
    }

    fn fail(&mut self, reason: String) {
        self.note(reason);
        self.source.end();
        self.destination.end();
    }

    /// The first thing that went wrong is the reason; what follows from it is not.
    fn note(&mut self, reason: String) {
        self.told.failure.get_or_insert(reason);
    }
}
