//! One migration: a fresh pair of host processes, from their start to their reports.
//!
//! A [`Pair`] reacts to what its hosts say and to time; whoever has it reads the mailbox: for one ([`migrate`]) or a fleet.

mod seen;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::arm::Arm;
use crate::crypto::{self, MigrationSecret};
use crate::error::{Error, Result};
use crate::host::{Command, Event};
use crate::results::OutcomeStatus;
use crate::runner::outcome::{Told, differing};
use crate::runner::patience::patience;
use crate::runner::process::{Envelope, HostProcess, Launcher, Mailbox, Message, Role};
use crate::runner::route::Route;
use crate::runner::task::{Made, NotMade, Place, Task};
use crate::runner::tunnel::Tunnel;
use seen::{Seen, Turn};

/// Numbers the pairs of hosts.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// How long a destination whose switchover is in doubt may take to say what it knows; half of the
/// peer timeout if that is less. The source waits for the peer timeout, and fencing takes its time.
const MOST_GRACE: Duration = Duration::from_secs(1);

/// How much longer than twice the peer timeout a destination elsewhere may take to tell how a
/// migration failed of which the source has told that: it may be cut off from this side.
const CUT_OFF: Duration = Duration::from_secs(3);

/// Makes one migration.
///
/// # Errors
/// If it was interrupted or hosts can't be started. Whatever else goes wrong is an outcome.
pub fn migrate(
    launcher: &Launcher,
    task: &Task<'_>,
    mailbox: &Mailbox<'_>,
) -> Result<Made, NotMade> {
    let mut pair = Pair::start(launcher, task, mailbox.sender)?;
    while !pair.is_over() {
        let until = pair.deadline().unwrap_or_else(Instant::now);
        let limit = until.saturating_duration_since(Instant::now());
        match mailbox.inbox.recv_timeout(limit) {
            Ok((_, Message::Interrupted)) => return Err(NotMade::Interrupted),
            Ok((serial, message)) if serial == pair.serial => pair.accept(message),
            Ok(_) => {}
            Err(_) => pair.expire(),
        }
    }
    Ok(pair.made())
}

/// The two hosts of one migration, and what they have told.
#[derive(Debug)]
pub struct Pair<'a> {
    source: HostProcess,
    destination: HostProcess,
    serial: u64,
    began: Instant,
    /// When one of them last said something, or was told to go on.
    heard: Instant,
    patience: Duration,
    peer_timeout: Duration,
    route: &'a Route,
    arm: Arm,
    sealed: bool,
    block: (u32, u64),
    memory_bytes: u64,
    turn: Turn,
    given_up: bool,
    /// Whose keys are wiped with the pair, if not by its hosts.
    tunnel: Option<Tunnel>,
    seen: Seen,
    told: Told,
}

impl<'a> Pair<'a> {
    /// Starts both hosts. In a fleet they get ready and wait: [`Pair::connect`], [`Pair::verify`].
    ///
    /// # Errors
    /// If they can't be started.
    pub fn start(
        launcher: &Launcher,
        task: &Task<'a>,
        inbox: &Sender<Envelope>,
    ) -> Result<Pair<'a>> {
        let began = Instant::now();
        let generate = || {
            crypto::guard_stack();
            MigrationSecret::generate()
        };
        let secret = task.sealed.then(generate).transpose()?;
        let tunnel = Tunnel::of(task)?;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            Error::CannotRun(format!("the operating system's generator: {error}"))
        })?;
        let through = tunnel.as_ref().map(|tunnel| &tunnel.spec);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let start = |role| {
            let spec = task.spec(role, u128::from_le_bytes(id), through);
            launcher.start(role, &spec, secret.as_ref(), (serial, inbox))
        };
        let sharers = task.fleet.map_or(1, |fleet| fleet.sharers);
        Ok(Pair {
            source: start(Role::Source)?,
            destination: start(Role::Destination)?,
            serial,
            began,
            heard: Instant::now(),
            // Migrations that share a link and cores take as many times as long.
            patience: patience(task.scenario) * sharers,
            peer_timeout: task.scenario.migration.peer_timeout.0,
            route: task.route,
            arm: task.arm,
            sealed: task.sealed,
            block: (task.block, task.stream_seed),
            memory_bytes: task.scenario.guest.memory.0,
            turn: task.fleet.map_or(Turn::Verify, |_| Turn::Wait),
            given_up: false,
            tunnel,
            seen: Seen::default(),
            told: Told::default(),
        })
    }

    /// The number under which its hosts' messages arrive.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Process ids of the source and of the destination, or of the command that reaches it.
    pub fn ids(&self) -> [u32; 2] {
        [self.source.id(), self.destination.id()]
    }

    /// Whether its hosts start processes of a tunnel.
    pub fn has_tunnel(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Takes what a host said, or that it is gone, and does what follows from it.
    pub fn accept(&mut self, message: Message) {
        self.heard = Instant::now();
        match message {
            Message::Event(role, event) => self.hear(role, *event),
            Message::Gone(role) => self.gone(role),
            Message::Interrupted => {}
        }
        self.next_step();
    }

    /// When it has waited for too long, if it waits for something.
    pub fn deadline(&self) -> Option<Instant> {
        let grace = self.seen.unacknowledged_until;
        let idle = match self.turn {
            Turn::Wait => self.is_ready(),
            Turn::Move => self.seen.moved,
            Turn::Verify => false,
        };
        grace
            .or(self.seen.destination_until)
            .or((!idle).then(|| self.heard + self.patience))
    }

    /// The deadline has passed.
    pub fn expire(&mut self) {
        if self.seen.unacknowledged_until.is_none() && self.seen.destination_until.is_none() {
            let silent = match self.told.source {
                None => "source",
                Some(_) => "destination",
            };
            self.fail(format!(
                "the {silent} host said nothing for {} s",
                self.patience.as_secs()
            ));
            self.given_up = true;
        }
        self.next_step();
    }

    /// Both hosts have ended: each does after its report.
    pub fn is_over(&self) -> bool {
        self.given_up || self.seen.source_gone && self.seen.destination_gone
    }

    /// Both hosts wait for the guest to move.
    pub fn is_ready(&self) -> bool {
        self.seen.source_ready && self.seen.listening.is_some()
    }

    /// In a fleet: lets the guest run at the source.
    pub fn run(&mut self) {
        self.source.tell(&Command::Run);
    }

    /// In a fleet: the guest moves now. Both hosts must be ready.
    pub fn connect(&mut self) {
        (self.began, self.heard) = (Instant::now(), Instant::now());
        self.told.starting_s = 0.0;
        self.turn = Turn::Move;
        self.next_step();
    }

    /// In a fleet: the guest no longer moves, wherever it is.
    pub fn has_moved(&self) -> bool {
        self.seen.moved || self.seen.source_gone || self.is_over()
    }

    /// In a fleet: no guest moves any more, so its hosts may hash it and report.
    pub fn verify(&mut self) {
        self.heard = Instant::now();
        self.turn = Turn::Verify;
        self.source.tell(&Command::Verify);
        self.destination.tell(&Command::Verify);
    }

    /// Where the guest is, once it is over.
    pub fn place(&self) -> Place {
        let source = self.told.source.as_ref();
        self.seen.place(source.map(|report| report.outcome.status))
    }

    /// What came of it.
    pub fn made(self) -> Made {
        let told = self.told;
        let of_process = told.destination.as_ref().map_or(0.0, |d| d.process_cpu_s);
        Made {
            unseen_cpu_s: self.destination.unseen_cpu_s(of_process),
            migration: told.migration(self.arm, self.block, self.memory_bytes, self.sealed),
            tracker: self.seen.tracker,
        }
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
            Event::Moved => seen.moved = true,
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
        if role == Role::Destination {
            self.seen.destination_lost = !self.seen.destination_ended;
        }
        let fenced = role == Role::Destination && self.seen.fenced;
        if !fenced {
            self.note(epitaph);
        }
        // Before both are connected the other would wait for nothing.
        if !self.seen.connected {
            self.source.end();
            self.end_destination();
        }
    }

    fn next_step(&mut self) {
        let seen = &mut self.seen;
        if let (true, Some(listening), false) = (seen.source_ready, &seen.listening, seen.connected)
            && self.turn != Turn::Wait
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
            self.end_destination();
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
                        windows: report.windows(),
                    });
                }
                // Different memory fails the migration; such a guest must not run.
                Some(report) if report.outcome.status == OutcomeStatus::Completed => {
                    let has_disk = report.storage.is_some();
                    let differ = differing(&report.hash, hash, has_disk);
                    told.failure.get_or_insert(differ);
                    self.end_destination();
                }
                _ => self.end_destination(),
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

    fn end_destination(&mut self) {
        self.seen.destination_ended = true;
        self.destination.end();
    }

    fn fail(&mut self, reason: String) {
        self.note(reason);
        self.source.end();
        self.end_destination();
    }

    /// The first thing that went wrong is the reason; what follows from it is not.
    fn note(&mut self, reason: String) {
        self.told.failure.get_or_insert(reason);
    }
}
