//! One stream of the source: a thread that prepares, seals and transmits its share of each round.
//!
//! With one seal worker the three stages take turns in this thread. On two cores, of which the
//! destination needs one, that beats a thread for each stage: a record stays in the core's cache.
//! With more workers a batch of records is sealed on a rayon pool while the batch before it is
//! transmitted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use crate::crypto::{self, sequence::FlowDirection};
use crate::machine::clock::thread_cpu_ns;
use crate::memory::{GuestMemory, PageRun};
use crate::meter::{StageMeter, StageTimes};
use crate::record::{Draft, Framing, Inbound, Outbound, RecordError};
use crate::source::order::{Awaited, Done, Failed, Order};
use crate::source::prepare::prepare;
use crate::source::share::StreamShare;
use crate::transport::{Connection, Pacer, TransportError};
use crate::units::PAGE_SIZE;
use crate::wire::{Bounds, RecordKind, Totals};

/// Index of the prepare stage in a source stream's [`StageTimes`].
pub const PREPARE: usize = 0;
/// Index of the seal stage.
pub const SEAL: usize = 1;
/// Index of the transmit stage.
pub const TRANSMIT: usize = 2;

/// One stream of the source.
pub struct StreamThread {
    connection: Connection,
    outbound: Outbound,
    inbound: Inbound,
    meter: StageMeter<3>,
    batches: [Vec<Draft>; 2],
    context: Arc<StreamContext>,
    stream: u32,
    final_sent: bool,
}

/// What all stream threads of a source share.
pub struct StreamContext {
    /// The memory that is sent.
    pub memory: Arc<GuestMemory>,
    /// How many streams there are.
    pub streams: u32,
    /// What a record may hold.
    pub bounds: Bounds,
    /// The link, if it is limited.
    pub pacer: Option<Pacer>,
    /// Seal workers, if more than one.
    pub pool: Option<rayon::ThreadPool>,
}

impl Drop for StreamContext {
    fn drop(&mut self) {
        // A stream thread's own stack is scrubbed with its ciphers; the workers sealed with them too.
        if let Some(pool) = &self.pool {
            pool.broadcast(|_| crypto::scrub_stack());
        }
    }
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
        let workers = context.pool.as_ref().map_or(1, |p| p.current_num_threads());
        let batch = |records| -> Result<Vec<Draft>, RecordError> {
            (0..records).map(|_| Draft::new(framing)).collect()
        };
        connection.send(&framing.preamble.encode())?;
        Ok(StreamThread {
            connection,
            outbound: Outbound::new(framing, FlowDirection::ToDestination)?,
            inbound: Inbound::new(framing, FlowDirection::ToSource)?,
            meter: StageMeter::new(TRANSMIT),
            batches: match workers {
                1 => [
                    batch(group(framing.bounds.record, context.pacer.as_ref()))?,
                    Vec::new(),
                ],
                _ => [batch(workers)?, batch(workers)?],
            },
            stream: framing.preamble.stream,
            context,
            final_sent: false,
        })
    }

    /// For benches that count instructions: [`StageMeter::sample_all`].
    pub fn sample_all(&mut self) {
        self.meter.sample_all();
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
        self.connection.handle()
    }

    /// Carries out orders until there are no more or one fails.
    pub fn run(
        mut self,
        orders: &Receiver<Order>,
        answers: &Sender<Result<(u32, Done), Failed>>,
    ) -> StageTimes<3> {
        for order in orders {
            let answer = self.carry_out(order).map_err(|error| Failed {
                error,
                final_sent: self.final_sent,
            });
            let failed = answer.is_err();
            let gone = answers
                .send(answer.map(|done| (self.stream, done)))
                .is_err();
            if failed || gone {
                break;
            }
        }
        self.connection.finish();
        self.meter.times()
    }

    fn carry_out(&mut self, order: Order) -> Result<Done, RecordError> {
        let taken = Instant::now();
        let awaited = self.begin(order)?;
        let done = self.complete(awaited)?;
        Ok(Done { taken, ..done })
    }

    /// Sends what an order asks for; returns what the destination owes for it.
    ///
    /// # Errors
    /// If the stream breaks or the cipher fails.
    pub fn begin(&mut self, order: Order) -> Result<Awaited, RecordError> {
        Ok(match order {
            Order::Round { round, runs } => {
                self.meter.enter();
                let sent = self.send_pages(round, &runs);
                self.meter.leave();
                let totals = sent?;
                self.control(RecordKind::RoundEnd, round, &totals.encode())?;
                Awaited {
                    totals,
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
    ///
    /// # Errors
    /// If the stream breaks or something else comes.
    pub fn complete(&mut self, awaited: Awaited) -> Result<Done, RecordError> {
        let sent = Instant::now();
        let had = self.connection.received();
        let mut outstanding = self.connection.unacknowledged();
        loop {
            let connection = &mut self.connection;
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
        Ok(Done {
            totals: awaited.totals,
            wire_bytes: self.connection.sent(),
            records: self.outbound.records(),
            taken: sent,
            sent,
            at: Instant::now(),
        })
    }

    fn control(&mut self, kind: RecordKind, round: u32, payload: &[u8]) -> Result<(), RecordError> {
        let draft = &mut self.batches[0][0];
        self.outbound.frame_control(draft, kind, round, payload)?;
        draft.seal()?;
        transmit(&self.context, draft, &mut self.connection)
    }

    fn send_pages(&mut self, round: u32, runs: &[PageRun]) -> Result<Totals, RecordError> {
        let record_pages = (self.context.bounds.record / PAGE_SIZE) as u64;
        let share = StreamShare::new(runs, self.stream, self.context.streams, record_pages);
        if self.context.pool.is_some() {
            self.send_batches(round, share)
        } else {
            self.send_in_groups(round, share)
        }
    }

    /// Prepares and seals a few records, then hands them to the socket in one call: fewer, larger
    /// calls wake the destination less often, which is dear on the sender's side.
    fn send_in_groups(
        &mut self,
        round: u32,
        mut share: StreamShare,
    ) -> Result<Totals, RecordError> {
        let mut totals = Totals::default();
        let drafts = &mut self.batches[0];
        loop {
            self.meter.record();
            let (mut ready, mut payload) = (0, 0);
            for draft in drafts.iter_mut() {
                let StreamContext { memory, bounds, .. } = &*self.context;
                if !prepare(memory, bounds, &mut share, draft, &mut totals) {
                    break;
                }
                self.outbound
                    .frame_pages(draft, round, &self.context.memory)?;
                self.meter.lap(PREPARE);
                draft.seal()?;
                self.meter.lap(SEAL);
                ready += 1;
                payload += draft.payload() as u64;
            }
            if ready == 0 {
                self.meter.cancel();
                return Ok(totals);
            }
            let ready = &drafts[..ready];
            if let Some(pacer) = &self.context.pacer {
                pacer.wait(ready.iter().map(|draft| draft.wire_len() as u64).sum());
            }
            self.connection
                .send_parts(ready.iter().flat_map(Draft::parts))?;
            self.meter.lap(TRANSMIT);
            self.meter.done(payload);
        }
    }

    /// Seals one batch on the pool while the one before it is transmitted.
    fn send_batches(&mut self, round: u32, mut share: StreamShare) -> Result<Totals, RecordError> {
        let mut totals = Totals::default();
        let context = self.context.clone();
        let Some(pool) = &context.pool else {
            return Ok(totals);
        };
        let [next, previous] = &mut self.batches;
        let mut sealed = 0;
        loop {
            let mut prepared = 0;
            for draft in next.iter_mut() {
                self.meter.record();
                if !prepare(
                    &context.memory,
                    &context.bounds,
                    &mut share,
                    draft,
                    &mut totals,
                ) {
                    self.meter.cancel();
                    break;
                }
                self.outbound.frame_pages(draft, round, &context.memory)?;
                self.meter.lap(PREPARE);
                draft.timed = self.meter.is_sampling();
                self.meter.done(draft.payload() as u64);
                prepared += 1;
            }
            if prepared == 0 && sealed == 0 {
                return Ok(totals);
            }
            let connection = &mut self.connection;
            let mut sent = Ok(());
            pool.in_place_scope(|scope| {
                for draft in &mut next[..prepared] {
                    scope.spawn(|_| draft.seal_timed());
                }
                sent = previous[..sealed]
                    .iter()
                    .try_for_each(|draft| transmit(&context, draft, connection));
            });
            sent?;
            for draft in &mut next[..prepared] {
                self.meter.add_elsewhere(SEAL, draft.take_sealed()?);
            }
            std::mem::swap(next, previous);
            sealed = prepared;
        }
    }
}

/// Bytes that are handed to the socket in one call, by measurement on two cores. Zen 3: 256 KiB,
/// 1 MiB and 4 MiB moved 4.0, 5.3 and 5.0 GiB/s in `plain`. Zen 4, with a second-level cache of
/// 1 MiB: 512, 768 and 1024 KiB moved 3.6, 4.2 and 3.8 in `plain`, 2.5, 2.7 and 2.3 in `aws-lc`,
/// whose sealed records are to stay in that cache until they are sent.
const SOCKET_CALL: usize = 768 << 10;

/// The most time that a slow link takes for one call: waiting for a long one looks like silence.
const LONGEST_CALL: Duration = Duration::from_millis(100);

/// Records in one socket call.
fn group(record: usize, pacer: Option<&Pacer>) -> usize {
    let paced = pacer.map_or(u64::MAX, |pacer| pacer.bytes_within(LONGEST_CALL));
    let call = SOCKET_CALL.min(usize::try_from(paced).unwrap_or(usize::MAX));
    // Each draft has a cipher context of its own in locked memory.
    (call / record).clamp(1, 16)
}

/// The transmit stage.
fn transmit(
    context: &StreamContext,
    draft: &Draft,
    to: &mut Connection,
) -> Result<(), RecordError> {
    if let Some(pacer) = &context.pacer {
        pacer.wait(draft.wire_len() as u64);
    }
    Ok(draft.transmit(to)?)
}

/// CPU time of one closure on this thread, nanoseconds, and its value.
pub fn timed<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let start = thread_cpu_ns();
    let value = work();
    (thread_cpu_ns() - start, value)
}
