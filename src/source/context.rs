//! What all streams of a source share.

use std::sync::Arc;

use crate::crypto;
use crate::error::{Error, Result};
use crate::host::{HostSpec, InFleet};
use crate::machine::Limits;
use crate::memory::GuestMemory;
use crate::scenario::{ClockKind, Sampling, Workers};
use crate::transport::{Booking, Pacer, RoundTrip};
use crate::units::Bandwidth;
use crate::wire::Bounds;

/// What all streams of a source share.
pub struct StreamContext {
    /// The memory that is sent.
    pub memory: Arc<GuestMemory>,
    /// How many streams there are.
    pub streams: u32,
    /// What a record may hold.
    pub bounds: Bounds,
    /// The link, if it is limited.
    pub pacer: Option<Pacer>,
    /// The distance to the destination, if it is longer than the network's own.
    pub round_trip: Option<RoundTrip>,
    /// Seal workers of all streams together, if more than one.
    pub pool: Option<rayon::ThreadPool>,
    /// Whether clocks are read around every socket call: [`StageMeter::new`](crate::meter::StageMeter::new).
    pub time_all: bool,
}

impl StreamContext {
    /// What a spec asks for, of a guest in `memory`.
    ///
    /// # Errors
    /// If seal workers can't be started.
    pub fn of(
        spec: &HostSpec,
        memory: &Arc<GuestMemory>,
        bounds: &Bounds,
    ) -> Result<StreamContext> {
        let migration = &spec.scenario.migration;
        let pacer = match (migration.link, spec.scenario.measure.clock) {
            (Bandwidth::BitsPerSecond(bits), ClockKind::Live) => Some(match spec.fleet {
                Some(InFleet {
                    link: Some(descriptor),
                    sharers,
                }) => Pacer::shared(bits, Booking::inherited(descriptor)?, sharers),
                _ => Pacer::new(bits),
            }),
            // Under the virtual clock the link is arithmetic; the bytes go as fast as they can.
            _ => None,
        };
        // The same for every arm, whatever there is to seal.
        let workers = match migration.seal_workers {
            Workers::Count(count) => count as usize,
            Workers::Auto => auto_workers(migration.streams),
        };
        let pool = || {
            rayon::ThreadPoolBuilder::new()
                .num_threads(workers)
                .thread_name(|index| format!("seal-{index}"))
                .start_handler(|_| crypto::guard_stack())
                .build()
                .map_err(|error| Error::CannotRun(format!("seal workers: {error}")))
        };
        Ok(StreamContext {
            memory: memory.clone(),
            streams: migration.streams,
            bounds: *bounds,
            pacer,
            round_trip: migration.rtt.map(|rtt| RoundTrip {
                time: rtt.0,
                window: Limits::of_this_process().window_bytes(),
            }),
            pool: (workers > 1).then(pool).transpose()?,
            time_all: spec.scenario.measure.sampling == Sampling::All,
        })
    }

    /// Seal workers: those of the pool, or one a stream, the thread that it is sent by.
    pub fn workers(&self) -> usize {
        self.pool.as_ref().map_or(1, |p| p.current_num_threads())
    }
}

impl Drop for StreamContext {
    fn drop(&mut self) {
        // The stack of a stream's thread is scrubbed with its ciphers; the workers sealed with them too.
        if let Some(pool) = &self.pool {
            pool.broadcast(|_| crypto::scrub_stack());
        }
    }
}

/// Seal workers of all streams together where the scenario leaves it open: half the cores, since
/// the destination may share them; no pool where the streams' own threads are as many.
fn auto_workers(streams: u32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    pool_size(cores, streams as usize)
}

fn pool_size(cores: usize, streams: usize) -> usize {
    match (cores / 2).min(8) {
        half if half <= streams => 1,
        half => half,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_shared_by_the_streams_and_never_smaller_than_their_own_threads() {
        for (cores, streams, workers) in [
            (1, 1, 1),
            (2, 1, 1),
            (4, 1, 2),
            (8, 1, 4),
            (8, 2, 4),
            (8, 4, 1),
            (8, 64, 1),
            (192, 1, 8),
            (192, 4, 8),
        ] {
            assert_eq!(pool_size(cores, streams), workers, "{cores} {streams}");
        }
    }
}
