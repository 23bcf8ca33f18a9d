//! One migration: a fresh pair of host processes, from their start to their reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::arm::Arm;
use crate::crypto::{self, MigrationSecret};
use crate::host::{Command, DestinationReport, Event, HostSpec, PROTOCOL, SourceReport, memory};
use crate::results::{Migration, Outcome, OutcomeStatus};
use crate::runner::outcome::{blank, differing, judge};
use crate::runner::patience::patience;
use crate::runner::process::{Envelope, HostProcess, Launcher, Message, Role};
use crate::runner::route::Route;
use crate::scenario::Scenario;

/// Numbers the pairs of hosts.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// How long a destination whose switchover is in doubt may take to say what it knows; half of the
/// peer timeout if that is less. The source waits for the peer timeout, and fencing takes its time.
const MOST_GRACE: Duration = Duration::from_secs(1);

/// What one migration is about.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// Guest, workload, migration.
    pub scenario: &'a Scenario,
    /// The data path.
    pub arm: Arm,
    /// Whether it is sealed; false for baselines and fallbacks.
    pub sealed: bool,
    /// Which block, for the record.
    pub block: u32,
    /// Where in the dirty-page stream the block starts.
    pub start_offset_ns: u64,
    /// CPUs to keep the source and the destination to.
    pub pin: (&'a [usize], &'a [usize]),
    /// How the source reaches the destination.
    pub route: &'a Route,
}

/// A migration as made, and what else the coordinator learned.
#[derive(Debug)]
pub struct Made {
    /// The record.
    pub migration: Migration,
    /// The tracker that was used.
    pub tracker: Option<String>,
}

/// Why a migration was not made.
#[derive(Debug)]
pub enum NotMade {
    /// SIGINT or SIGTERM.
    Interrupted,
    /// The coordinator itself could not go on.
    Error(crate::error::Error),
}

impl From<crate::error::Error> for NotMade {
    fn from(error: crate::error::Error) -> Self {
        NotMade::Error(error)
    }
}

/// Makes one migration.
///
/// # Errors
/// If it was interrupted or hosts can't be started. Whatever else goes wrong is an outcome.
pub fn migrate(
    launcher: &Launcher,
    task: &Task<'_>,
    sender: &Sender<Envelope>,
    inbox: &Receiver<Envelope>,
) -> std::result::Result<Made, NotMade> {
    let began = Instant::now();
    let secret = if task.sealed {
        crypto::guard_stack();
        Some(MigrationSecret::generate()?)
    } else {
        None
    };
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        crate::error::Error::CannotRun(format!("the operating system's generator: {error}"))
    })?;
    let spec = |pin: &[usize]| HostSpec {
        protocol: PROTOCOL,
        arm: task.arm,
        sealed: task.sealed,
        scenario: task.scenario.clone(),
        migration_id: format!("{:032x}", u128::from_le_bytes(id)),
        start_offset_ns: task.start_offset_ns,
        listen: task.route.listen.clone(),
        pin: pin.to_vec(),
    };
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let start = |role, pin| launcher.start(role, &spec(pin), secret.as_ref(), (serial, sender));
    let mut exchange = Exchange {
        source: start(Role::Source, task.pin.0)?,
        destination: start(Role::Destination, task.pin.1)?,
        inbox,
        serial,
        began,
        patience: patience(task.scenario),
        peer_timeout: task.scenario.migration.peer_timeout.0,
        route: task.route,
        seen: Seen::default(),
    };
    drop(secret);
    exchange.run()?;
    Ok(exchange.made(task))
}

/// What has been said so far.
#[derive(Debug, Default)]
struct Seen {
    source_ready: Option<(Instant, f64, Option<String>)>,
    destination_ready: Option<(Instant, f64, String)>,
    connected: bool,
    took_over: bool,
    /// The source knows of no acknowledgement; the destination's own word is awaited until then.
    unacknowledged_until: Option<Instant>,
    fenced: bool,
    resumed: bool,
    destination_hash: Option<String>,
    source: Option<SourceReport>,
    destination: Option<DestinationReport>,
    source_gone: bool,
    destination_gone: bool,
    failure: Option<String>,
}

struct Exchange<'a> {
    source: HostProcess,
    destination: HostProcess,
    inbox: &'a Receiver<Envelope>,
    serial: u64,
    began: Instant,
    patience: Duration,
    peer_timeout: Duration,
    route: &'a Route,
    seen: Seen,
}

impl Exchange<'_> {
    fn run(&mut self) -> std::result::Result<(), NotMade> {
        while !self.is_over() {
            let grace = self.seen.unacknowledged_until;
            let limit = grace.map_or(self.patience, |until| {
                until.saturating_duration_since(Instant::now())
            });
            match self.inbox.recv_timeout(limit) {
                Ok((_, Message::Interrupted)) => return Err(NotMade::Interrupted),
                Ok((serial, _)) if serial != self.serial => continue,
                Ok((_, Message::Event(role, event))) => self.hear(role, *event),
                Ok((_, Message::Gone(role))) => self.gone(role),
                Err(RecvTimeoutError::Timeout) if grace.is_some() => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let silent = match self.seen.source {
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
        let seen = &mut self.seen;
        match event {
            Event::Ready {
                fill_s,
                tracker,
                address,
                capabilities,
            } => {
                if let Some(failure) = capabilities.known_answer_failure {
                    self.fail(format!("{}: {failure}", role.name()));
                    return;
                }
                match role {
                    Role::Source => seen.source_ready = Some((now, fill_s, tracker)),
                    Role::Destination => {
                        seen.destination_ready = Some((now, fill_s, address.unwrap_or_default()));
                    }
                }
            }
            Event::Unacknowledged => {
                seen.unacknowledged_until = Some(now + MOST_GRACE.min(self.peer_timeout / 2));
            }
            Event::TookOver => seen.took_over = true,
            Event::Hashed { hash } => seen.destination_hash = Some(hash),
            Event::Source(report) => seen.source = Some(*report),
            Event::Destination(report) => seen.destination = Some(*report),
            Event::Refused { reason } => self.fail(format!("{}: {reason}", role.name())),
        }
    }

    fn gone(&mut self, role: Role) {
        let (host, reported) = match role {
            Role::Source => {
                self.seen.source_gone = true;
                (&mut self.source, self.seen.source.is_some())
            }
            Role::Destination => {
                self.seen.destination_gone = true;
                (&mut self.destination, self.seen.destination.is_some())
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
        if let (Some(_), Some((_, _, address)), false) =
            (&seen.source_ready, &seen.destination_ready, seen.connected)
        {
            seen.connected = true;
            self.source.tell(&Command::Connect {
                address: self.route.address(address),
            });
        }
        self.settle_switchover();
        let seen = &mut self.seen;
        let source_ended = seen.source.is_some() || seen.source_gone;
        if let (Some(hash), false) = (&seen.destination_hash, seen.resumed)
            && source_ended
        {
            seen.resumed = true;
            match &seen.source {
                Some(report) if report.hash == *hash => {
                    self.destination.tell(&Command::Resume {
                        stream_time_ns: report.stream_time_ns,
                    });
                }
                // Different memory fails the migration; such a guest must not run.
                Some(report) if report.outcome.status == OutcomeStatus::Completed => {
                    seen.failure.get_or_insert(differing(&report.hash, hash));
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
        let reported = self.seen.destination.is_some();
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
        self.seen.failure.get_or_insert(reason);
    }

    fn made(self, task: &Task<'_>) -> Made {
        let seen = self.seen;
        let scenario = task.scenario;
        let tracker = seen
            .source_ready
            .as_ref()
            .and_then(|(_, _, tracker)| tracker.clone());
        let ready_s = |ready: Option<(Instant, f64)>| {
            ready.map_or(0.0, |(at, fill_s)| {
                (at.duration_since(self.began).as_secs_f64() - fill_s).max(0.0)
            })
        };
        let starting_s =
            ready_s(seen.source_ready.as_ref().map(|(at, fill, _)| (*at, *fill))).max(ready_s(
                seen.destination_ready
                    .as_ref()
                    .map(|(at, fill, _)| (*at, *fill)),
            ));
        let mut migration = blank(task);
        migration.setup_time_s = starting_s;
        if let Some(source) = seen.source {
            migration.warnings = source.warnings;
            migration.outcome = source.outcome;
            migration.setup_time_s = starting_s + source.connect_s;
            migration.total_time_s = source.total_time_s;
            migration.downtime = source.downtime;
            migration.pages_sent = source.rounds.iter().map(|r| r.pages_sent).sum();
            migration.zero_pages = source.rounds.iter().map(|r| r.zero_pages).sum();
            migration.payload_bytes = source.rounds.iter().map(|r| r.payload_bytes).sum();
            migration.rounds = source.rounds;
            migration.bytes_on_wire = source.bytes_on_wire;
            migration.records = source.records;
            migration.cpu.source = source.cpu;
            migration.guest = source.guest;
            migration.verified.source_hash = source.hash;
            migration.source_resident_bytes = source.resident_beyond_guest_bytes;
        }
        migration
            .warnings
            .extend(memory::unlocked_keys("coordinator", task.sealed));
        let mut destination_failure = None;
        if let Some(destination) = seen.destination {
            migration.cpu.destination = destination.cpu;
            migration.warnings.extend(destination.warnings);
            migration.destination_resident_bytes = destination.resident_beyond_guest_bytes;
            migration.verified.destination_hash = destination.hash;
            if destination.switched_over {
                migration.guest.write_latency_after_ns = destination.write_latency_after_ns;
            }
            destination_failure = destination.failure;
        } else if let Some(hash) = seen.destination_hash {
            migration.verified.destination_hash = hash;
        }
        let verified = &mut migration.verified;
        verified.equal =
            !verified.source_hash.is_empty() && verified.source_hash == verified.destination_hash;
        migration.outcome = judge(
            migration.outcome,
            verified,
            seen.failure,
            destination_failure,
        );
        if !task.sealed
            && task.arm.is_encrypted()
            && migration.outcome.status == OutcomeStatus::Completed
        {
            migration.outcome = Outcome {
                status: OutcomeStatus::FellBack,
                reason: Some("went in the clear under policy opportunistic".to_owned()),
            };
        }
        debug_assert_eq!(migration.memory_bytes, scenario.guest.memory.0);
        Made { migration, tracker }
    }
}
