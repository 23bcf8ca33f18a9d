//! One stream of the destination: a thread that receives, opens and applies.

use std::sync::Arc;
use std::time::Duration;

pub use super::stream_error::StreamError;
use crate::crypto::sequence::FlowDirection;
use crate::destination::place::{Place, write_blocks};
use crate::destination::switchover::Switchover;
use crate::guest::disk::Disk;
use crate::machine::clock::thread_cpu_ns;
use crate::machine::slowdown::{Slowdown, Slowed};
use crate::memory::GuestMemory;
use crate::meter::{StageMeter, StageTimes};
use crate::record::{Draft, Framing, Inbound, Outbound, RecordError};
use crate::transport::{Calls, Connection, TransportError};
use crate::units::{PAGE_SIZE, Size};
use crate::wire::{Head, RecordKind, Totals};

/// Index of the receive stage in a destination stream's [`StageTimes`].
pub const RECEIVE: usize = 0;
/// Index of the open stage.
pub const OPEN: usize = 1;
/// Index of the decompress stage.
pub const DECOMPRESS: usize = 2;
/// Index of the apply stage.
pub const APPLY: usize = 3;
/// Stages of a destination stream.
pub const STAGES: usize = 4;

/// One stream of the destination.
pub struct StreamThread {
    connection: Connection,
    inbound: Inbound,
    outbound: Outbound,
    reply: Draft,
    meter: StageMeter<STAGES>,
    slowdown: Slowdown,
    place: Place,
    switchover: Arc<Switchover>,
    stream: u32,
    /// The round that is being received; rounds below it have ended on this stream.
    round: u32,
    /// Of that round, so far.
    applied: Totals,
}

/// How far a record brought a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its pages or device state are in place.
    Applied,
    /// It ended a round, which was acknowledged.
    RoundEnded,
    /// The guest was switched over or given up, which was acknowledged: nothing more is due.
    Ended,
}

impl StreamThread {
    /// A stream thread over a connection whose preamble was read. `time_all` is as in
    /// [`StageMeter::new`].
    ///
    /// # Errors
    /// If the cipher can't be set up.
    pub fn open(
        connection: Connection,
        framing: &Framing,
        memory: Arc<GuestMemory>,
        switchover: Arc<Switchover>,
        time_all: bool,
    ) -> Result<StreamThread, RecordError> {
        let inbound = Inbound::new(framing, FlowDirection::ToDestination)?;
        let place = Place::Memory(memory);
        StreamThread::over(connection, framing, (inbound, place), switchover, time_all)
    }

    /// As [`StreamThread::open`], of the disk's stream.
    ///
    /// # Errors
    /// If the cipher can't be set up, or there is no memory.
    pub fn open_disk(
        connection: Connection,
        framing: &Framing,
        disk: Arc<Disk>,
        switchover: Arc<Switchover>,
        time_all: bool,
    ) -> Result<StreamThread, RecordError> {
        let inbound = Inbound::new(framing, FlowDirection::ToDestination)?.keeping();
        let staging = GuestMemory::new(Size(framing.bounds.record as u64), false)?;
        let place = Place::Disk(disk, staging);
        StreamThread::over(connection, framing, (inbound, place), switchover, time_all)
    }

    fn over(
        connection: Connection,
        framing: &Framing,
        (inbound, place): (Inbound, Place),
        switchover: Arc<Switchover>,
        time_all: bool,
    ) -> Result<StreamThread, RecordError> {
        Ok(StreamThread {
            connection,
            inbound,
            outbound: Outbound::new(framing, FlowDirection::ToSource)?,
            reply: Draft::new(framing),
            meter: StageMeter::new(RECEIVE, time_all),
            slowdown: Slowdown::of(Slowed::Apply),
            place,
            switchover,
            stream: framing.preamble.stream,
            round: 0,
            applied: Totals::default(),
        })
    }

    /// Calls on the socket so far.
    pub fn calls(&self) -> Calls {
        self.connection.calls()
    }

    /// Agrees with the source on what is migrated.
    ///
    /// # Errors
    /// If the stream breaks or the source means another guest.
    pub fn greet(&mut self, expected: &[u8]) -> Result<(), StreamError> {
        let head = self
            .inbound
            .expect(&mut self.connection, RecordKind::Hello, 0, "a hello")?;
        if self.inbound.payload(&head) != expected {
            return Err(self.refused("the source announces another guest than the spec"));
        }
        self.answer(RecordKind::HelloAck, 0)?;
        Ok(())
    }

    /// Receives until the guest has been switched over, given up, or the stream breaks; tells of a
    /// failure, and whether the guest's fate had been decided before, before it wakes the other
    /// streams, so that theirs come after it. Its CPU time by stage, and its calls on the socket.
    pub fn run(mut self, tell: impl FnOnce(StreamError, bool)) -> (StageTimes<STAGES>, Calls) {
        let outcome = self.receive_all();
        self.meter.leave();
        let mut failed = false;
        if let Err(error) = outcome {
            // From here on no final record is accepted on another stream, unless one was before.
            failed = self.switchover.fail();
            tell(error, !failed);
        }
        // Whatever the outcome, nothing more will be received on any stream.
        self.switchover.end_streams(failed);
        (self.meter.times(), self.calls())
    }

    fn receive_all(&mut self) -> Result<(), StreamError> {
        self.meter.enter();
        while self.step()? != Step::Ended {}
        Ok(())
    }

    /// Receives one record and does what it asks for.
    ///
    /// # Errors
    /// If the stream breaks, or the record is not the one that is due.
    pub fn step(&mut self) -> Result<Step, StreamError> {
        self.meter.begin();
        self.connection.watch(self.meter.is_sampling());
        self.receive()?;
        self.lap_received();
        let head = self.open_record()?;
        self.meter.lap(OPEN);
        let step = match head.kind {
            RecordKind::Pages if head.round == self.round => {
                if self.applied == Totals::default() && !self.is_of_disk() {
                    self.switchover
                        .check_barrier(self.round)
                        .map_err(|what| self.refused(what))?;
                }
                if !self
                    .place
                    .has_room(self.applied, &head, self.inbound.head_bytes())
                {
                    return Err(self.refused("a round of more pages than the guest has"));
                }
                if head.is_packed {
                    self.inbound.unpack(&head)?;
                    self.meter.lap(DECOMPRESS);
                }
                let applied = self.apply(&head)?;
                self.applied += applied;
                self.meter.done(u64::from(head.payload));
                return Ok(Step::Applied);
            }
            RecordKind::RoundEnd if head.round == self.round => {
                let (sent, applied) = (self.totals(&head)?, self.applied);
                if sent != [applied] {
                    return Err(StreamError::Totals {
                        stream: self.stream,
                        sent,
                        applied,
                    });
                }
                self.switchover.round_ended(self.stream, applied);
                if self.is_of_disk() {
                    self.switchover.disk_cpu(thread_cpu_ns());
                }
                self.answer(RecordKind::RoundAck, self.round)?;
                self.applied = Totals::default();
                self.round += 1;
                self.meter.settle();
                Step::RoundEnded
            }
            // These belong to the round that ended last.
            RecordKind::DeviceState | RecordKind::Final | RecordKind::Abort
                if self.round.checked_sub(1) == Some(head.round)
                    && self.applied == Totals::default() =>
            {
                self.finish(&head)?
            }
            _ => return Err(self.inbound.unexpected(&head, "the present round").into()),
        };
        self.meter.cancel();
        Ok(step)
    }

    /// Receives the next record. Between records a stream may be silent for as long as others
    /// bring the rest of a round.
    fn receive(&mut self) -> Result<(), StreamError> {
        let had = self.connection.received();
        let mut silent = Duration::ZERO;
        loop {
            match self.inbound.receive(&mut self.connection) {
                Err(RecordError::Transport(TransportError::Silent { limit, .. }))
                    if self.connection.received() == had
                        && !self.inbound.is_within_record()
                        && (self.switchover.has_received_within(limit)
                            || silent + limit < self.switchover.silence) =>
                {
                    silent += limit;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// The receive stage is done: where something below the records opens them, what was not the socket's
    /// of it is the open stage's.
    fn lap_received(&mut self) {
        match self.connection.watch(self.meter.is_sampling()) {
            None => self.meter.lap(RECEIVE),
            Some(of) => self
                .meter
                .lap_around(OPEN, (RECEIVE, of.socket.ns, of.socket.pairs)),
        }
    }

    /// The open stage. Pages that are due are opened straight into guest memory where that saves a pass over
    /// them: no vCPU runs here before the switchover, which a record that does not open forbids.
    fn open_record(&mut self) -> Result<Head, RecordError> {
        let place = &self.place;
        let Place::Memory(memory) = place else {
            return self.inbound.open();
        };
        let (switchover, round, applied) = (&self.switchover, self.round, self.applied);
        let mut admission = None;
        let admit = |head: &Head, bytes: &[u8]| {
            let is_due = head.round == round
                && place.has_room(applied, head, bytes)
                && head.data(bytes).any(|run| run.pages > 1)
                && switchover.check_barrier(round).is_ok();
            admission = is_due.then(|| switchover.admit()).flatten();
            admission.as_ref().map(|_| &**memory)
        };
        // SAFETY: no vCPU runs here before the switchover. Another stream may write pages that a forged head names: by
        // code that the compiler does not see into, and the migration has failed then. This thread holds guest memory.
        let head = unsafe { self.inbound.open_into(admit)? };
        if let Some(admission) = admission {
            admission.opened();
        }
        Ok(head)
    }

    /// Whether it is the disk's.
    pub fn is_of_disk(&self) -> bool {
        matches!(self.place, Place::Disk(..))
    }

    /// The apply stage: writes a record's pages to guest memory, or its blocks to the disk.
    fn apply(&mut self, head: &Head) -> Result<Totals, StreamError> {
        match &self.place {
            Place::Memory(memory) => {
                let memory = memory.clone();
                self.apply_pages(head, &memory)
            }
            Place::Disk(disk, staging) => {
                let applied = write_blocks((disk, staging), &self.inbound, head);
                self.meter.lap(APPLY);
                applied.map_err(|source| StreamError::Disk {
                    stream: self.stream,
                    source,
                })
            }
        }
    }

    fn apply_pages(&mut self, head: &Head, memory: &GuestMemory) -> Result<Totals, StreamError> {
        let mut totals = Totals {
            records: 1,
            ..Totals::default()
        };
        if self.inbound.is_placed() {
            totals.pages = u64::from(head.payload) / PAGE_SIZE as u64;
        } else if self.inbound.is_direct() {
            // SAFETY: no vCPU runs here before the switchover, and the source deals each page to
            // one stream, with rounds as barriers.
            let has_more = unsafe { self.inbound.take_content(head, memory) };
            self.meter.lap(APPLY);
            if has_more {
                // SAFETY: as above; this thread holds guest memory.
                unsafe { self.inbound.receive_content(&mut self.connection)? };
                self.lap_received();
            }
            totals.pages = u64::from(head.payload) / PAGE_SIZE as u64;
        } else {
            self.slowdown.around(|| {
                let mut content = self.inbound.payload(head);
                for run in head.data(self.inbound.head_bytes()) {
                    let (pages, rest) = content.split_at(run.pages as usize * PAGE_SIZE);
                    memory.copy_in(run.first, pages);
                    content = rest;
                    totals.pages += run.pages;
                }
            });
        }
        for run in head.zero(self.inbound.head_bytes()) {
            memory.zero_pages(run.first, run.pages);
            totals.zero_pages += run.pages;
        }
        self.meter.lap(APPLY);
        Ok(totals)
    }

    /// Device state, final record, abort.
    fn finish(&mut self, head: &Head) -> Result<Step, StreamError> {
        if self.stream != 0 {
            return Err(self.inbound.unexpected(head, "pages").into());
        }
        match head.kind {
            RecordKind::DeviceState => {
                self.switchover
                    .add_device_state(self.inbound.payload(head))
                    .map_err(|what| self.refused(what))?;
                Ok(Step::Applied)
            }
            RecordKind::Final => {
                let sent = self.totals(head)?;
                self.switchover
                    .switch_over(&sent)
                    .map_err(|what| self.refused(what))?;
                self.answer(RecordKind::SwitchoverAck, head.round)?;
                Ok(Step::Ended)
            }
            _ => {
                self.switchover.give_up();
                self.answer(RecordKind::AbortAck, head.round)?;
                Ok(Step::Ended)
            }
        }
    }

    fn refused(&self, what: &'static str) -> StreamError {
        StreamError::Switchover {
            stream: self.stream,
            what,
        }
    }

    fn totals(&self, head: &Head) -> Result<Vec<Totals>, StreamError> {
        self.inbound
            .payload(head)
            .chunks(Totals::LEN)
            .map(|bytes| {
                Totals::decode(bytes).map_err(|error| {
                    RecordError::Wire {
                        stream: self.stream,
                        error,
                    }
                    .into()
                })
            })
            .collect()
    }

    fn answer(&mut self, kind: RecordKind, round: u32) -> Result<(), RecordError> {
        self.outbound
            .send_control(&mut self.connection, &mut self.reply, kind, round, &[])
    }
}
