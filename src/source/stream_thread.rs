//! One stream of the source: it prepares, seals and transmits its share of each round, on one thread.
//!
//! With one seal worker the three stages take turns in this thread. On two cores, of which the
//! destination needs one, that beats a thread for each stage: a record stays in the core's cache.
//! With more workers a batch of records is sealed on a rayon pool while the batch before it is
//! transmitted. What is handed to the socket in one call depends on neither the arm nor the pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::sequence::FlowDirection;
use crate::machine::clock::thread_cpu_ns;
use crate::memory::PageRun;
use crate::meter::{StageMeter, StageTimes};
use crate::record::{Draft, DraftPacker, Framing, Inbound, Outbound, RecordError};
use crate::source::context::StreamContext;
use crate::source::line::Line;
use crate::source::order::{Answer, Awaited, Done, Failed, Order};
use crate::source::prepare::prepare;
use crate::source::share::StreamShare;
use crate::source::workers::Workers;
use crate::tls::End;
use crate::transport::{Calls, Connection, Negotiated, TransportError};
use crate::units::PAGE_SIZE;
use crate::wire::{RecordKind, Totals};

/// Index of the prepare stage in a source stream's [`StageTimes`].
pub const PREPARE: usize = 0;
/// Index of the compress stage.
pub const COMPRESS: usize = 1;
/// Index of the seal stage.
pub const SEAL: usize = 2;
/// Index of the transmit stage.
pub const TRANSMIT: usize = 3;
/// Stages of a source stream.
pub const STAGES: usize = 4;

/// One stream of the source.
pub struct StreamThread {
    line: Line,
    outbound: Outbound,
    inbound: Inbound,
    meter: StageMeter<STAGES>,
    /// The records that are prepared, and with a pool those that are sent meanwhile.
    batches: [Vec<Draft>; 2],
    control: Draft,
    packer: DraftPacker,
    workers: Workers,
    context: Arc<StreamContext>,
    stream: u32,
    final_sent: bool,
}

impl StreamThread {
    /// A stream thread over a fresh connection: sends its preamble.
    ///
    /// # Errors
    /// If the stream breaks or the cipher can't be set up.
    pub fn open(
        mut connection: Connection,
        framing: &Framing,
        context: Arc<StreamContext>,
    ) -> Result<StreamThread, RecordError> {
        connection.send(&framing.preamble.encode())?;
        let connection = framing.protect(connection, End::Client)?;
        if let (Some(_), Some(trip)) = (connection.negotiated(), context.round_trip) {
            std::thread::sleep(trip.time);
        }
        let line = Line::new(connection, context.clone());
        let batch = |records| (0..records).map(|_| Draft::of_pages(framing)).collect();
        let (batches, workers) = match context.workers() {
            1 => ([batch(line.group()), Vec::new()], 0),
            // A record for each worker at least, in whole calls.
            count => {
                let records = count.next_multiple_of(line.group());
                ([batch(records), batch(records)], count)
            }
        };
        Ok(StreamThread {
            line,
            outbound: Outbound::new(framing, FlowDirection::ToDestination)?,
            inbound: Inbound::new(framing, FlowDirection::ToSource)?,
            meter: StageMeter::new(TRANSMIT, context.time_all),
            batches,
            control: Draft::new(framing),
            packer: DraftPacker::new(framing)?,
            workers: Workers::new(framing, workers)?,
            stream: framing.preamble.stream,
            context,
            final_sent: false,
        })
    }

    /// Calls on the socket so far.
    pub fn calls(&self) -> Calls {
        self.line.connection.calls()
    }

    /// What protects the stream below its records, if something does.
    pub fn negotiated(&self) -> Option<Negotiated> {
        let mut own = self.line.connection.negotiated()?.clone();
        own.handshake += self
            .context
            .round_trip
            .map_or(Duration::ZERO, |trip| trip.time);
        Some(own)
    }

    /// Agrees with the destination on what is migrated.
    ///
    /// # Errors
    /// If the stream breaks or the destination does not agree.
    pub fn greet(&mut self, hello: &[u8]) -> Result<(), RecordError> {
        let awaited = self.announce(hello)?;
        self.complete(awaited)?;
        Ok(())
    }

    /// The first half of [`StreamThread::greet`].
    ///
    /// # Errors
    /// If the stream breaks.
    pub fn announce(&mut self, hello: &[u8]) -> Result<Awaited, RecordError> {
        self.control(RecordKind::Hello, 0, hello)?;
        Ok(Awaited::of(RecordKind::HelloAck, 0, "the hello's answer"))
    }

    /// Another handle on the socket, to shut it down from another thread.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn handle(&self) -> std::io::Result<std::net::TcpStream> {
        self.line.connection.handle()
    }

    /// Carries out an order, or fails, after which there may be no other.
    pub fn carry_out(&mut self, order: Order) -> Answer {
        let taken = Instant::now();
        let awaited = self.begin(order);
        let done = awaited.and_then(|awaited| self.complete(awaited));
        let done = done.map(|done| Done { taken, ..done });
        Answer {
            stream: self.stream,
            wire_bytes: self.line.connection.sent(),
            records: self.outbound.records(),
            done: done.map_err(|error| Failed {
                error,
                final_sent: self.final_sent,
            }),
        }
    }

    /// Ends the stream: its CPU time by stage, and its calls on the socket.
    pub fn end(self) -> (StageTimes<STAGES>, Calls) {
        self.line.connection.finish();
        (self.meter.times(), self.calls())
    }

    /// Sends what an order asks for; returns what the destination owes for it.
    ///
    /// # Errors
    /// If the stream breaks or the cipher fails.
    pub fn begin(&mut self, order: Order) -> Result<Awaited, RecordError> {
        self.line.was_idle();
        Ok(match order {
            Order::Round { round, runs } => {
                self.meter.enter();
                let sent = self.send_pages(round, &runs);
                self.meter.leave();
                self.meter.settle();
                let (totals, content_bytes) = sent?;
                self.control(RecordKind::RoundEnd, round, &totals.encode())?;
                Awaited {
                    totals,
                    content_bytes,
                    ..Awaited::of(RecordKind::RoundAck, round, "the round's acknowledgement")
                }
            }
            Order::SwitchOver {
                round,
                device_state,
                totals,
            } => {
                for piece in device_state.chunks(self.context.bounds.payload()) {
                    self.control(RecordKind::DeviceState, round, piece)?;
                }
                let totals: Vec<u8> = totals.iter().flat_map(|t| t.encode()).collect();
                // From here on the destination may take over, whatever this side sees of it.
                self.final_sent = true;
                self.control(RecordKind::Final, round, &totals)?;
                Awaited::of(
                    RecordKind::SwitchoverAck,
                    round,
                    "the switchover's acknowledgement",
                )
            }
            Order::Abort { round } => {
                self.control(RecordKind::Abort, round, &[])?;
                Awaited::of(RecordKind::AbortAck, round, "the abort's acknowledgement")
            }
        })
    }

    /// Waits for what the destination owes. A peer that still takes in what was sent is not silent.
    /// What was sent and what answers it take a round trip together: the answer waits for all of it.
    ///
    /// # Errors
    /// If the stream breaks or something else comes.
    pub fn complete(&mut self, awaited: Awaited) -> Result<Done, RecordError> {
        let sent = Instant::now();
        let had = self.line.connection.received();
        let mut outstanding = self.line.connection.unacknowledged();
        loop {
            let connection = &mut self.line.connection;
            let answer = self
                .inbound
                .expect(connection, awaited.kind, awaited.round, awaited.what);
            let left = connection.unacknowledged();
            match answer {
                Err(RecordError::Transport(TransportError::Silent { .. }))
                    if connection.received() == had && left < outstanding =>
                {
                    outstanding = left;
                }
                answer => {
                    answer?;
                    break;
                }
            }
        }
        if let Some(trip) = self.context.round_trip {
            std::thread::sleep(trip.time);
        }
        Ok(Done {
            totals: awaited.totals,
            content_bytes: awaited.content_bytes,
            taken: sent,
            sent,
            at: Instant::now(),
        })
    }

    fn control(&mut self, kind: RecordKind, round: u32, payload: &[u8]) -> Result<(), RecordError> {
        let draft = &mut self.control;
        self.outbound.frame_control(draft, kind, round, payload)?;
        self.outbound.seal(draft)?;
        self.line.transmit(std::slice::from_ref(draft))
    }

    /// Prepares and seals the records of one or more socket calls, then makes the calls: fewer,
    /// larger calls wake the destination less often, which is dear on the sender's side. With a
    /// pool, one batch is sealed there while the one before it is sent; the calls are the same. Where content
    /// is compressed, which takes longer, the batch is compressed meanwhile, and sealed afterwards: a record
    /// has its place in the stream once its length is known.
    ///
    /// What was sent: its pages, and the bytes that their content took.
    fn send_pages(&mut self, round: u32, runs: &[PageRun]) -> Result<(Totals, u64), RecordError> {
        let context = self.context.clone();
        let StreamContext { memory, bounds, .. } = &*context;
        let record_pages = (bounds.record / PAGE_SIZE) as u64;
        let mut share = StreamShare::new(runs, self.stream, context.streams, record_pages);
        let mut totals = Totals::default();
        let mut content_bytes = 0;
        let packs = self.packer.packs();
        let [next, previous] = &mut self.batches;
        // Records of `previous` that are yet to be sent.
        let mut sealed = 0;
        loop {
            self.meter.begin();
            let (mut ready, mut payload) = (0, 0);
            for draft in next.iter_mut() {
                if !prepare(memory, bounds, &mut share, draft, &mut totals) {
                    break;
                }
                draft.take_pages(memory);
                ready += 1;
                payload += draft.payload() as u64;
            }
            let ready = &mut next[..ready];
            if !packs {
                content_bytes += frame(&mut self.outbound, ready, round)?;
            }
            self.meter.lap(PREPARE);
            self.line.connection.watch(self.meter.is_sampling());
            if ready.len() + sealed == 0 {
                self.meter.cancel();
                return Ok((totals, content_bytes));
            }
            let timed = self.meter.is_sampling();
            if let Some(pool) = &context.pool {
                let (line, previous) = (&mut self.line, &previous[..sealed]);
                if packs {
                    self.workers
                        .pack_while(pool, ready, timed, || line.transmit(previous))?;
                    for ns in self.workers.take_times()? {
                        self.meter.add_elsewhere(COMPRESS, ns);
                    }
                    line.lap_transmitted(&mut self.meter, (SEAL, TRANSMIT));
                    content_bytes += frame(&mut self.outbound, ready, round)?;
                    self.meter.lap(PREPARE);
                }
                match packs {
                    true => self.workers.seal_while(pool, ready, timed, || Ok(())),
                    false => self
                        .workers
                        .seal_while(pool, ready, timed, || line.transmit(previous)),
                }?;
                for ns in self.workers.take_times()? {
                    self.meter.add_elsewhere(SEAL, ns);
                }
                self.line.lap_transmitted(&mut self.meter, (SEAL, TRANSMIT));
                sealed = ready.len();
            } else {
                if packs {
                    ready
                        .iter_mut()
                        .try_for_each(|draft| self.packer.pack(draft))?;
                    self.meter.lap(COMPRESS);
                    content_bytes += frame(&mut self.outbound, ready, round)?;
                    self.meter.lap(PREPARE);
                }
                ready
                    .iter_mut()
                    .try_for_each(|draft| self.outbound.seal(draft))?;
                self.meter.lap(SEAL);
                self.line.transmit(ready)?;
                self.line.lap_transmitted(&mut self.meter, (SEAL, TRANSMIT));
            }
            match ready.len() {
                // Only what was left of the last batch was sent.
                0 => self.meter.cancel(),
                _ => self.meter.done(payload),
            }
            if context.pool.is_some() {
                std::mem::swap(next, previous);
            }
        }
    }
}

/// Makes records of drafts, in order; the bytes that their content takes.
fn frame(outbound: &mut Outbound, drafts: &mut [Draft], round: u32) -> Result<u64, RecordError> {
    let mut bytes = 0;
    for draft in drafts {
        outbound.frame_pages(draft, round)?;
        bytes += draft.content_len() as u64;
    }
    Ok(bytes)
}

/// CPU time of one closure on this thread, nanoseconds, and its value.
pub fn timed<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let start = thread_cpu_ns();
    let value = work();
    (thread_cpu_ns() - start, value)
}
