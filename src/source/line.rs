//! The transmit stage: records to the socket, several in a call, at the link's pace.

use std::sync::Arc;
use std::time::Duration;

use super::context::StreamContext;
use crate::meter::StageMeter;
use crate::record::{Draft, RecordError};
use crate::transport::{Connection, InFlight, Pace, Pacer};

/// Bytes that are handed to the socket in one call, by measurement on two cores. Zen 3: 256 KiB,
/// 1 MiB and 4 MiB moved 4.0, 5.3 and 5.0 GiB/s in `plain`. Zen 4, with a second-level cache of
/// 1 MiB: 512, 768 and 1024 KiB moved 3.6, 4.2 and 3.8 in `plain`, 2.5, 2.7 and 2.3 in `aws-lc`,
/// whose sealed records are to stay in that cache until they are sent.
const SOCKET_CALL: usize = 768 << 10;

/// The most time that a slow link takes for one call of each that share it: waiting for a long one looks
/// like silence.
const LONGEST_CALL: Duration = Duration::from_millis(100);

/// A stream's connection and its place on the link.
pub(super) struct Line {
    pub(super) connection: Connection,
    context: Arc<StreamContext>,
    pace: Pace,
    in_flight: Option<InFlight>,
    /// Records in one socket call.
    group: usize,
}

impl Line {
    /// A line over an open connection.
    pub(super) fn new(connection: Connection, context: Arc<StreamContext>) -> Line {
        let group = records_in_call(context.bounds.record, context.pacer.as_ref());
        Line {
            connection,
            in_flight: context.round_trip.map(InFlight::new),
            context,
            pace: Pace::default(),
            group,
        }
    }

    /// Records in one socket call.
    pub(super) fn group(&self) -> usize {
        self.group
    }

    /// There was nothing to send: the link owes this stream nothing.
    pub(super) fn was_idle(&mut self) {
        self.pace = Pace::default();
    }

    /// Sends sealed records.
    pub(super) fn transmit(&mut self, drafts: &[Draft]) -> Result<(), RecordError> {
        drafts
            .chunks(self.group)
            .try_for_each(|call| self.call(call))
    }

    /// Sends sealed records in one call.
    pub(super) fn call(&mut self, drafts: &[Draft]) -> Result<(), RecordError> {
        let bytes = drafts.iter().map(|draft| draft.wire_len() as u64).sum();
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.wait(bytes);
        }
        if let Some(pacer) = &self.context.pacer {
            pacer.wait(bytes, &mut self.pace);
        }
        self.connection
            .send_parts(drafts.iter().flat_map(Draft::parts))?;
        Ok(())
    }

    /// The transmit stage is done: where something below the records seals them, what that took is the seal
    /// stage's. Waiting for the link and what else belongs to a call stays where other arms have it.
    pub(super) fn lap_transmitted<const N: usize>(
        &mut self,
        meter: &mut StageMeter<N>,
        (seal, transmit): (usize, usize),
    ) {
        match self.connection.watch(false) {
            None => meter.lap(transmit),
            Some(of) => meter.lap_around(transmit, (seal, of.sealing.ns, of.sealing.pairs)),
        }
    }
}

/// Records in one socket call: the same for every arm, with a pool and without.
fn records_in_call(record: usize, pacer: Option<&Pacer>) -> usize {
    let paced = pacer.map_or(u64::MAX, |pacer| {
        pacer.bytes_within(LONGEST_CALL / pacer.sharers())
    });
    let call = SOCKET_CALL.min(usize::try_from(paced).unwrap_or(usize::MAX));
    (call / record).max(1)
}
