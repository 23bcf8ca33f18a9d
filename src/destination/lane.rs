//! One stream of the destination: a thread that receives, opens and applies.

use std::sync::Arc;

use crate::crypto::sequence::Direction;
use crate::destination::takeover::Takeover;
use crate::guest::memory::GuestMemory;
use crate::meter::{StageMeter, StageTimes};
use crate::record::{Draft, Framing, Inbound, Outbound, RecordError};
use crate::transport::{Connection, TransportError};
use crate::units::PAGE_SIZE;
use crate::wire::{Head, Kind, Totals};

/// Stages in the meter.
pub const RECEIVE: usize = 0;
/// See [`RECEIVE`].
pub const OPEN: usize = 1;
/// See [`RECEIVE`].
pub const APPLY: usize = 2;

/// Why a lane ended without the guest.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The stream broke, or what came was not due.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The source's account differs from what was applied.
    #[error("stream {stream}: the source counts {sent:?}, {applied:?} were applied")]
    Totals {
        /// Which stream.
        stream: u32,
        /// By the source.
        sent: Vec<Totals>,
        /// Here.
        applied: Totals,
    },
    /// A takeover that must not be.
    #[error("stream {stream}: {what}")]
    Takeover {
        /// Which stream.
        stream: u32,
        /// What is wrong.
        what: &'static str,
    },
}

/// One stream of the destination.
pub struct Lane {
    connection: Connection,
    inbound: Inbound,
    outbound: Outbound,
    reply: Draft,
    meter: StageMeter<3>,
    memory: Arc<GuestMemory>,
    takeover: Arc<Takeover>,
    stream: u32,
}

/// What a lane leaves behind.
pub struct Ended {
    /// CPU time by stage.
    pub times: StageTimes<3>,
}

impl Lane {
    /// A lane over a connection whose preamble was read.
    ///
    /// # Errors
    /// If the cipher can't be set up.
    pub fn open(
        connection: Connection,
        framing: &Framing,
        memory: Arc<GuestMemory>,
        takeover: Arc<Takeover>,
    ) -> Result<Lane, RecordError> {
        Ok(Lane {
            connection,
            inbound: Inbound::new(framing, Direction::ToDestination)?,
            outbound: Outbound::new(framing, Direction::ToSource)?,
            reply: Draft::new(framing)?,
            meter: StageMeter::new(RECEIVE),
            memory,
            takeover,
            stream: framing.preamble.stream,
        })
    }

    /// Agrees with the source on what is migrated.
    ///
    /// # Errors
    /// If the stream breaks or the source means another guest.
    pub fn greet(&mut self, expected: &[u8]) -> Result<(), LaneError> {
        let head = self
            .inbound
            .expect(&mut self.connection, Kind::Hello, 0, "a hello")?;
        if self.inbound.payload(&head) != expected {
            return Err(LaneError::Takeover {
                stream: self.stream,
                what: "the source announces another guest than the spec",
            });
        }
        self.answer(Kind::HelloAck, 0)?;
        Ok(())
    }

    /// Receives until the guest has been taken over, given up, or the stream breaks; tells of a
    /// failure before it wakes the other streams, so that theirs come after it.
    pub fn run(mut self, tell: impl FnOnce(&LaneError)) -> Ended {
        let outcome = self.receive_all();
        self.meter.leave();
        if let Err(error) = &outcome {
            let closed = matches!(
                error,
                LaneError::Record(RecordError::Transport(TransportError::Closed { .. }))
            );
            // A stream that was woken because the guest's fate is decided did not fail.
            if !(closed && self.takeover.is_decided()) {
                tell(error);
            }
        }
        // Whatever the outcome, nothing more will be received on any stream.
        self.takeover
            .end_streams(outcome.is_err() && !self.takeover.is_decided());
        Ended {
            times: self.meter.times(),
        }
    }

    fn receive_all(&mut self) -> Result<(), LaneError> {
        // The round that is being received; rounds below it have ended on this stream.
        let mut round = 0;
        let mut applied = Totals::default();
        self.meter.enter();
        loop {
            self.meter.record();
            self.inbound.receive(&mut self.connection)?;
            self.meter.lap(RECEIVE);
            let head = self.inbound.open()?;
            self.meter.lap(OPEN);
            match head.kind {
                Kind::Pages if head.round == round => {
                    if applied == Totals::default() {
                        self.takeover.check_barrier(self.stream, round)?;
                    }
                    applied += self.apply(&head)?;
                    self.meter.done(u64::from(head.payload));
                    continue;
                }
                Kind::RoundEnd if head.round == round => {
                    let sent = self.totals(&head)?;
                    if sent != [applied] {
                        return Err(LaneError::Totals {
                            stream: self.stream,
                            sent,
                            applied,
                        });
                    }
                    self.takeover.round_ended(self.stream, applied);
                    self.answer(Kind::RoundAck, round)?;
                    applied = Totals::default();
                    round += 1;
                }
                // These belong to the round that ended last.
                Kind::DeviceState | Kind::Final | Kind::Abort
                    if round.checked_sub(1) == Some(head.round) && applied == Totals::default() =>
                {
                    if self.finish(&head)? {
                        return Ok(());
                    }
                }
                _ => return Err(self.inbound.unexpected(&head, "the present round").into()),
            }
            self.meter.cancel();
        }
    }

    /// The apply stage: writes a record's pages to guest memory.
    fn apply(&mut self, head: &Head) -> Result<Totals, LaneError> {
        let mut totals = Totals {
            records: 1,
            ..Totals::default()
        };
        if self.inbound.is_direct() {
            // SAFETY: no vCPU runs here before the takeover, and the source deals each page to
            // one stream, with rounds as barriers.
            unsafe {
                self.inbound
                    .receive_content(head, &mut self.connection, &self.memory)?;
            }
            self.meter.lap(RECEIVE);
            totals.pages = u64::from(head.payload) / PAGE_SIZE as u64;
        } else {
            let mut content = self.inbound.payload(head);
            for run in head.data(self.inbound.head_bytes()) {
                let (pages, rest) = content.split_at(run.pages as usize * PAGE_SIZE);
                self.memory.copy_in(run.first, pages);
                content = rest;
                totals.pages += run.pages;
            }
        }
        for run in head.zero(self.inbound.head_bytes()) {
            self.memory.zero_pages(run.first, run.pages);
            totals.zero_pages += run.pages;
        }
        self.meter.lap(APPLY);
        Ok(totals)
    }

    /// Device state, final record, abort. True when nothing more is due.
    fn finish(&mut self, head: &Head) -> Result<bool, LaneError> {
        let stream = self.stream;
        if stream != 0 {
            return Err(self.inbound.unexpected(head, "pages").into());
        }
        let refused = |what| LaneError::Takeover { stream, what };
        match head.kind {
            Kind::DeviceState => {
                self.takeover
                    .add_device_state(self.inbound.payload(head))
                    .map_err(refused)?;
                Ok(false)
            }
            Kind::Final => {
                let sent = self.totals(head)?;
                self.takeover.take_over(&sent).map_err(refused)?;
                self.answer(Kind::TakeoverAck, head.round)?;
                Ok(true)
            }
            _ => {
                self.takeover.give_up();
                self.answer(Kind::AbortAck, head.round)?;
                Ok(true)
            }
        }
    }

    fn totals(&self, head: &Head) -> Result<Vec<Totals>, LaneError> {
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

    fn answer(&mut self, kind: Kind, round: u32) -> Result<(), RecordError> {
        self.outbound
            .send_control(&mut self.connection, &mut self.reply, kind, round, &[])
    }
}
