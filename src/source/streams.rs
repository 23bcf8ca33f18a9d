//! All streams of a source together: opened, given orders, waited for.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::crypto;
use crate::memory::PageRun;
use crate::meter::StageTimes;
use crate::record::{Framing, RecordError};
use crate::source::context::StreamContext;
use crate::source::disk::SourceDisk;
use crate::source::disk_stream::DiskStream;
use crate::source::mirror::Mirror;
use crate::source::order::{Answer, Done, Failed, Order};
use crate::source::stream_thread::{STAGES, StreamThread};
use crate::transport::{Calls, Connection, Negotiated};
use crate::wire::{Preamble, Totals};

/// The streams of one migration.
pub struct Streams {
    /// Stream 0, on the thread that gives the orders: a round of it alone wakes no other thread.
    first: StreamThread,
    /// To the other streams, each a thread of its own.
    orders: Vec<Sender<Order>>,
    answers: Receiver<Answer>,
    threads: Vec<JoinHandle<(StageTimes<STAGES>, Calls)>>,
    sockets: Arc<Vec<TcpStream>>,
    /// What protects the streams below their records, if something does: of all together.
    negotiated: Option<Negotiated>,
    /// Bytes and records sent so far, by stream.
    sent: Vec<(u64, u64)>,
    /// Pages sent so far, by stream.
    totals: Vec<Totals>,
    /// The disk's stream, if there is one.
    mirror: Option<Mirror>,
}

/// What all streams together did in a round.
#[derive(Debug, Clone, Copy)]
pub struct RoundDone {
    /// Page records, pages and zero pages of all streams.
    pub totals: Totals,
    /// Bytes that the pages' content took: fewer than its own where it was compressed.
    pub content_bytes: u64,
    /// Bytes on the wire, control records included.
    pub wire_bytes: u64,
    /// When the first stream took up its order.
    pub taken: Instant,
    /// When the last stream had handed all of it to the socket.
    pub sent: Instant,
    /// When the last acknowledgement was authenticated.
    pub at: Instant,
}

impl Streams {
    /// Connects every stream, sends the preambles and agrees on the migration.
    ///
    /// # Errors
    /// If a stream can't be opened; names which.
    pub fn open(
        mut connect: impl FnMut() -> io::Result<TcpStream>,
        framing: &Framing,
        context: &Arc<StreamContext>,
        hello: &[u8],
        silence: Duration,
        disk: Option<(&Arc<SourceDisk>, Framing)>,
    ) -> Result<Streams, RecordError> {
        let mut connect = |stream| -> Result<Connection, RecordError> {
            let mut connect = || {
                let socket = connect()?;
                if let Some(trip) = context.round_trip {
                    std::thread::sleep(trip.time);
                }
                Connection::new(socket, stream, "destination", silence)
            };
            connect().map_err(|source| RecordError::Connect { stream, source })
        };
        let mut threads = Vec::new();
        for stream in 0..context.streams {
            let connection = connect(stream)?;
            let framing = Framing {
                preamble: Preamble {
                    stream,
                    ..framing.preamble
                },
                ..framing.clone()
            };
            threads.push(StreamThread::open(connection, &framing, context.clone())?);
        }
        let mut disk = match disk {
            None => None,
            Some((disk, framing)) => {
                let connection = connect(framing.preamble.stream)?;
                let stream = DiskStream::open(connection, &framing, context.clone(), disk.clone())?;
                Some((disk.clone(), stream))
            }
        };
        for thread in &mut threads {
            thread.greet(hello)?;
        }
        if let Some((_, stream)) = &mut disk {
            stream.greet(hello)?;
        }
        // The ciphers of all streams but the first go on in threads.
        crypto::scrub_stack();
        let mut streams = Streams::start(threads)?;
        if let Some((disk, stream)) = disk {
            let number = context.streams;
            let mirror = Mirror::start(disk, stream).map_err(|source| RecordError::Connect {
                stream: number,
                source,
            })?;
            streams.mirror = Some(mirror);
        }
        Ok(streams)
    }

    fn start(threads: Vec<StreamThread>) -> Result<Streams, RecordError> {
        let streams = threads.len();
        let mut negotiated = None::<Negotiated>;
        let mut sockets = Vec::new();
        for (stream, thread) in (0..).zip(&threads) {
            if let Some(own) = thread.negotiated() {
                // Handshakes are made one after the other.
                let all = negotiated.get_or_insert_with(|| Negotiated {
                    handshake: Duration::ZERO,
                    ..own.clone()
                });
                all.handshake += own.handshake;
            }
            let refused = |source| RecordError::Connect { stream, source };
            sockets.push(thread.handle().map_err(refused)?);
        }
        let sockets = Arc::new(sockets);
        let mut threads = threads.into_iter();
        let first = threads.next().expect("a migration has a stream");
        let (answer, answers) = channel();
        let (mut orders, mut handles) = (Vec::new(), Vec::new());
        for (stream, mut thread) in (1..).zip(threads) {
            let (order, received) = channel();
            let (answer, sockets) = (answer.clone(), sockets.clone());
            let thread = std::thread::Builder::new()
                .name(format!("stream-{stream}"))
                .spawn(move || {
                    crypto::guard_stack();
                    for order in received {
                        let done = thread.carry_out(order);
                        let failed = done.done.is_err();
                        if answer.send(done).is_err() {
                            break;
                        }
                        if failed {
                            // The rest of the round is lost, and stream 0's part may wait for it.
                            shut_down(&sockets);
                            break;
                        }
                    }
                    thread.end()
                })
                .map_err(|source| RecordError::Connect { stream, source })?;
            orders.push(order);
            handles.push(thread);
        }
        Ok(Streams {
            first,
            orders,
            answers,
            threads: handles,
            sockets,
            negotiated,
            sent: vec![(0, 0); streams],
            totals: vec![Totals::default(); streams],
            mirror: None,
        })
    }

    /// Copies the guest's disk, if it has one; from then on its writes are mirrored.
    ///
    /// # Errors
    /// What broke; all streams are shut down.
    pub fn copy_disk(&mut self) -> Result<(), Failed> {
        match &mut self.mirror {
            None => Ok(()),
            Some(mirror) => {
                let copied = mirror.copy();
                copied.map_err(|error| self.broken(error))
            }
        }
    }

    /// The disk's stream, if there is one.
    pub fn mirror(&self) -> Option<&Mirror> {
        self.mirror.as_ref()
    }

    /// Nothing goes on where the destination lacks a block of the disk.
    fn check_disk(&mut self) -> Result<(), Failed> {
        match &self.mirror {
            None => Ok(()),
            Some(mirror) => mirror.check().map_err(|error| self.broken(error)),
        }
    }

    fn broken(&self, error: RecordError) -> Failed {
        self.shut_down();
        Failed {
            error,
            final_sent: false,
        }
    }

    /// Wakes the streams that wait for their peer, and the peer's.
    fn shut_down(&self) {
        shut_down(&self.sockets);
        if let Some(mirror) = &self.mirror {
            mirror.shut_down();
        }
    }

    /// Sends a round and waits until the destination has applied it.
    ///
    /// # Errors
    /// The first stream's that failed; the others are shut down.
    pub fn round(&mut self, round: u32, runs: &Arc<Vec<PageRun>>) -> Result<RoundDone, Failed> {
        self.check_disk()?;
        let before = self.wire_bytes();
        let order = || Order::Round {
            round,
            runs: runs.clone(),
        };
        for other in &self.orders {
            // A stream thread that is gone has answered with its failure.
            let _ = other.send(order());
        }
        let mut totals = Totals::default();
        let mut content_bytes = 0;
        let (mut taken, mut sent) = (None::<Instant>, None);
        let at = self.carry_out(order(), self.orders.len(), |stream, done, all| {
            all[stream] += done.totals;
            totals += done.totals;
            content_bytes += done.content_bytes;
            taken = Some(taken.map_or(done.taken, |first| first.min(done.taken)));
            sent = sent.max(Some(done.sent));
        })?;
        Ok(RoundDone {
            totals,
            content_bytes,
            wire_bytes: self.wire_bytes() - before,
            taken: taken.unwrap_or(at),
            sent: sent.unwrap_or(at),
            at,
        })
    }

    /// Hands the guest over. Returns when the switchover was acknowledged.
    ///
    /// # Errors
    /// As [`Streams::round`]; says whether the final record may have arrived.
    pub fn switch_over(
        &mut self,
        round: u32,
        device_state: Arc<Vec<u8>>,
    ) -> Result<Instant, Failed> {
        // The guest is paused, so that nothing of its disk is under way any more.
        self.check_disk()?;
        let mut totals = self.totals.clone();
        totals.extend(self.mirror.as_ref().map(|mirror| mirror.sent().totals));
        let order = Order::SwitchOver {
            round,
            device_state,
            totals,
        };
        self.carry_out(order, 0, |_, _, _| ())
    }

    /// Tells the destination that the guest stays.
    ///
    /// # Errors
    /// As [`Streams::round`].
    pub fn abort(&mut self, round: u32) -> Result<Instant, Failed> {
        self.carry_out(Order::Abort { round }, 0, |_, _, _| ())
    }

    /// What protects the streams below their records, if something does; their handshakes' time together.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// Bytes sent so far, on all streams.
    pub fn wire_bytes(&self) -> u64 {
        self.sent.iter().map(|(bytes, _)| bytes).sum()
    }

    /// Records sent so far, on all streams, control records included.
    pub fn records(&self) -> u64 {
        self.sent.iter().map(|(_, records)| records).sum()
    }

    /// The disk's stream, to be closed by itself.
    pub fn take_mirror(&mut self) -> Option<Mirror> {
        self.mirror.take()
    }

    /// Ends the streams of memory, once that of the disk was taken; their CPU time by stage, and the calls on
    /// their sockets together.
    pub fn close(self) -> (Vec<StageTimes<STAGES>>, Calls) {
        drop(self.orders);
        let ended = self.threads.into_iter().filter_map(|t| t.join().ok());
        let ended = std::iter::once(self.first.end()).chain(ended);
        let (times, calls): (Vec<_>, Vec<Calls>) = ended.unzip();
        (times, calls.into_iter().sum())
    }

    /// Carries out an order of stream 0 on this thread, and waits for so many other streams that were given theirs.
    fn carry_out(
        &mut self,
        order: Order,
        others: usize,
        mut each: impl FnMut(usize, &Done, &mut [Totals]),
    ) -> Result<Instant, Failed> {
        let own = self.first.carry_out(order);
        // One that failed said so before it shut down the sockets of the others, whose failures come after.
        let already: Vec<Answer> = self.answers.try_iter().collect();
        if own.done.is_err() {
            // The rest of the round is lost.
            self.shut_down();
        }
        let due = others.saturating_sub(already.len());
        let rest = std::iter::from_fn(|| self.answers.recv().ok()).take(due);
        let mut last = None;
        let mut failure: Option<Failed> = None;
        for answer in already.into_iter().chain([own]).chain(rest) {
            let stream = answer.stream as usize;
            self.sent[stream] = (answer.wire_bytes, answer.records);
            match answer.done {
                Ok(done) => {
                    each(stream, &done, &mut self.totals);
                    last = last.max(Some(done.at));
                }
                Err(failed) => {
                    failure.get_or_insert(failed);
                }
            }
        }
        if failure.is_some() {
            self.shut_down();
        }
        match (failure, last) {
            (Some(failed), _) => Err(failed),
            (None, Some(at)) => Ok(at),
            (None, None) => unreachable!("every stream thread answers every order until it fails"),
        }
    }
}

/// Wakes the streams that wait for their peer, and the peer's.
fn shut_down(sockets: &[TcpStream]) {
    for socket in sockets {
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}
