//! The disk's stream at the source: a thread that copies the disk in bulk and mirrors the guest's writes.
//!
//! On the wire the stream is like any other, with blocks for pages. Its rounds are calls on the socket: the
//! records of one, or of one mirrored write, and the round's end, which the destination acknowledges once
//! they stand on its disk. Two rounds are under way at once, so that both sides work; a guest's write waits
//! for two at most.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::crypto::sequence::FlowDirection;
use crate::machine::clock::thread_cpu_ns;
use crate::memory::{GuestMemory, PageRun};
use crate::meter::{StageMeter, StageTimes};
use crate::record::{Draft, Framing, Inbound, Outbound, RecordError};
use crate::source::context::StreamContext;
use crate::source::disk::{DiskOrder, SourceDisk};
use crate::source::line::Line;
use crate::source::prepare::prepare;
use crate::source::share::StreamShare;
use crate::tls::End;
use crate::transport::Connection;
use crate::units::{PAGE_SIZE, Size};
use crate::wire::{RecordKind, Totals};

/// Index of the read stage in the [`StageTimes`] of the disk's stream.
pub const READ: usize = 0;
/// Index of the seal stage.
pub const SEAL: usize = 1;
/// Index of the transmit stage.
pub const TRANSMIT: usize = 2;
/// Stages of the disk's stream at the source.
pub const STAGES: usize = 3;

/// Rounds under way at once.
const UNDER_WAY: usize = 2;

/// What the disk's stream did, as of the last acknowledgement.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskSent {
    /// Everything that was sent, in blocks: what both sides must agree on.
    pub totals: Totals,
    /// Of it, the guest's writes.
    pub mirrored: u64,
    /// Bytes on the wire.
    pub wire_bytes: u64,
    /// Records, control records included.
    pub records: u64,
    /// How long the bulk copy took, nanoseconds; 0 before its end.
    pub copy_ns: u64,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

/// The disk's stream at the source.
pub struct DiskStream {
    line: Line,
    outbound: Outbound,
    inbound: Inbound,
    meter: StageMeter<STAGES>,
    /// The records of a round, and its end.
    drafts: Vec<Draft>,
    /// What was read, a record's blocks for each draft.
    staging: Arc<GuestMemory>,
    record_blocks: u64,
    context: Arc<StreamContext>,
    disk: Arc<SourceDisk>,
    /// What others read of `sent` while the thread runs.
    told: Arc<Mutex<DiskSent>>,
    round: u32,
    under_way: VecDeque<UnderWay>,
    sent: DiskSent,
}

/// Who waits for a round's acknowledgement.
enum UnderWay {
    Copy,
    Mirror(Sender<()>),
}

impl DiskStream {
    /// The stream over a fresh connection: sends its preamble.
    ///
    /// # Errors
    /// If the stream breaks, the cipher can't be set up, or there is no memory.
    pub fn open(
        mut connection: Connection,
        framing: &Framing,
        context: Arc<StreamContext>,
        disk: Arc<SourceDisk>,
    ) -> Result<DiskStream, RecordError> {
        connection.send(&framing.preamble.encode())?;
        let connection = framing.protect(connection, End::Client)?;
        let line = Line::new(connection, context.clone());
        let group = line.group();
        let record = Size(framing.bounds.record as u64 * group as u64);
        let staging = GuestMemory::new(record, false)
            .map_err(|error| RecordError::Disk(io::Error::other(error)))?;
        Ok(DiskStream {
            outbound: Outbound::new(framing, FlowDirection::ToDestination)?,
            inbound: Inbound::new(framing, FlowDirection::ToSource)?,
            meter: StageMeter::new(TRANSMIT, context.time_all),
            drafts: (0..=group).map(|_| Draft::of_pages(framing)).collect(),
            staging: Arc::new(staging),
            record_blocks: (framing.bounds.record / PAGE_SIZE) as u64,
            line,
            context,
            disk,
            told: Arc::default(),
            round: 0,
            under_way: VecDeque::new(),
            sent: DiskSent::default(),
        })
    }

    /// Agrees with the destination on what is migrated.
    ///
    /// # Errors
    /// If the stream breaks or the destination does not agree.
    pub fn greet(&mut self, hello: &[u8]) -> Result<(), RecordError> {
        let draft = &mut self.drafts[0];
        self.outbound.send_control(
            &mut self.line.connection,
            draft,
            RecordKind::Hello,
            0,
            hello,
        )?;
        let connection = &mut self.line.connection;
        self.inbound
            .expect(connection, RecordKind::HelloAck, 0, "the hello's answer")?;
        Ok(())
    }

    /// Another handle on the socket, to shut it down from another thread.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn handle(&self) -> io::Result<TcpStream> {
        self.line.connection.handle()
    }

    /// What it did, to be read while it runs.
    pub fn told(&self) -> Arc<Mutex<DiskSent>> {
        self.told.clone()
    }

    /// Carries out orders until there are no more or one fails. `copied` hears of the bulk copy's end; a
    /// failure is told on `failed` before the guest's writes go on without a mirror.
    pub fn run(
        mut self,
        orders: &Receiver<DiskOrder>,
        copied: &Sender<()>,
        failed: impl FnOnce(RecordError),
    ) -> StageTimes<STAGES> {
        self.meter.enter();
        let done = self.carry_out_all(orders, copied);
        self.meter.leave();
        self.tell();
        if let Err(error) = done {
            failed(error);
        }
        // The destination hears of a failure at once: no disk may be taken over that lacks a write.
        if let Ok(socket) = self.handle() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.meter.times()
    }

    fn carry_out_all(
        &mut self,
        orders: &Receiver<DiskOrder>,
        copied: &Sender<()>,
    ) -> Result<(), RecordError> {
        let blocks = self.disk.disk.blocks();
        // Where the bulk copy is, once it was ordered, and when that was.
        let mut copying: Option<(u64, Instant)> = None;
        loop {
            let reads = copying.is_some_and(|(next, _)| next < blocks);
            let order = match reads || !self.under_way.is_empty() {
                true => orders.try_recv(),
                false => orders
                    .recv()
                    .map_err(|RecvError| TryRecvError::Disconnected),
            };
            match order {
                Ok(DiskOrder::Copy) => copying = Some((0, Instant::now())),
                Ok(DiskOrder::Mirror {
                    block,
                    content,
                    done,
                }) => {
                    self.mirror(block, &content)?;
                    self.under_way.push_back(UnderWay::Mirror(done));
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => match &mut copying {
                    Some((next, _)) if reads && self.under_way.len() < UNDER_WAY => {
                        let mut at = *next;
                        let sent = self.copy(&mut at, blocks)?;
                        *next = at;
                        if sent {
                            self.under_way.push_back(UnderWay::Copy);
                        }
                    }
                    _ => self.acknowledged()?,
                },
            }
            if let Some((next, began)) = copying
                && next == blocks
                && !self
                    .under_way
                    .iter()
                    .any(|round| matches!(round, UnderWay::Copy))
            {
                copying = None;
                self.sent.copy_ns = began.elapsed().as_nanos() as u64;
                self.tell();
                // Whoever waits for it may have given up.
                let _ = copied.send(());
            }
        }
    }

    /// Reads, seals and sends the next round of the bulk copy; whether there was anything but holes.
    fn copy(&mut self, next: &mut u64, blocks: u64) -> Result<bool, RecordError> {
        self.meter.begin();
        let (mut totals, mut payload) = (Totals::default(), 0);
        let mut ready = 0;
        while ready < self.line.group() && *next < blocks {
            let stretch = PageRun {
                first: *next,
                pages: self.record_blocks.min(blocks - *next),
            };
            *next = stretch.end();
            self.disk.copies_until(stretch.end());
            if self.disk.disk.is_hole(stretch).map_err(RecordError::Disk)? {
                continue;
            }
            let place = PageRun {
                first: ready as u64 * self.record_blocks,
                pages: stretch.pages,
            };
            let read = self.disk.disk.read(stretch.first, &self.staging, place);
            read.map_err(RecordError::Disk)?;
            let draft = &mut self.drafts[ready];
            let bounds = self.context.bounds;
            let mut share =
                StreamShare::new(std::slice::from_ref(&place), 0, 1, self.record_blocks);
            prepare(&self.staging, &bounds, &mut share, draft, &mut totals);
            draft.take_pages(&self.staging);
            payload += draft.payload() as u64;
            // Of the disk, whatever page they stand in here.
            for run in draft.data.iter_mut().chain(&mut draft.zero) {
                run.first = run.first - place.first + stretch.first;
            }
            self.outbound.frame_pages(draft, self.round)?;
            ready += 1;
        }
        self.meter.lap(READ);
        if ready == 0 {
            self.meter.cancel();
            return Ok(false);
        }
        self.send(ready, totals)?;
        self.meter.done(payload);
        Ok(true)
    }

    /// Seals and sends a write of the guest's.
    fn mirror(&mut self, block: u64, content: &[u8]) -> Result<(), RecordError> {
        self.meter.begin();
        self.staging.copy_in(0, content);
        let draft = &mut self.drafts[0];
        draft.zero.clear();
        draft.data.clear();
        draft.data.push(PageRun { first: 0, pages: 1 });
        draft.take_pages(&self.staging);
        draft.data[0].first = block;
        self.outbound.frame_pages(draft, self.round)?;
        self.meter.lap(READ);
        let totals = Totals {
            records: 1,
            pages: 1,
            zero_pages: 0,
        };
        self.send(1, totals)?;
        self.meter.done(content.len() as u64);
        self.sent.mirrored += 1;
        Ok(())
    }

    /// Seals and sends the first drafts, which are framed, and the round's end, in one call.
    fn send(&mut self, ready: usize, totals: Totals) -> Result<(), RecordError> {
        let (kind, round) = (RecordKind::RoundEnd, self.round);
        let end = &mut self.drafts[ready];
        self.outbound
            .frame_control(end, kind, round, &totals.encode())?;
        let call = &mut self.drafts[..=ready];
        call.iter_mut()
            .try_for_each(|draft| self.outbound.seal(draft))?;
        self.meter.lap(SEAL);
        self.line.connection.watch(self.meter.is_sampling());
        self.line.call(call)?;
        self.line.lap_transmitted(&mut self.meter, (SEAL, TRANSMIT));
        self.sent.totals += totals;
        self.round += 1;
        Ok(())
    }

    /// Waits for the acknowledgement of the round that has been under way for longest.
    fn acknowledged(&mut self) -> Result<(), RecordError> {
        let round = self.round - self.under_way.len() as u32;
        let connection = &mut self.line.connection;
        let what = "a round's acknowledgement";
        self.inbound
            .expect(connection, RecordKind::RoundAck, round, what)?;
        // Before the guest goes on: once it is paused, all that was sent is told.
        self.tell();
        if let Some(UnderWay::Mirror(done)) = self.under_way.pop_front() {
            // A guest that no longer waits has ended.
            let _ = done.send(());
        }
        Ok(())
    }

    fn tell(&mut self) {
        self.sent.wire_bytes = self.line.connection.sent();
        self.sent.records = self.outbound.records();
        self.sent.cpu_ns = thread_cpu_ns();
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = self.sent;
    }
}
