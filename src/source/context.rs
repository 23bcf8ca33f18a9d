//! What all stream threads of a source share.

use std::sync::Arc;

use crate::crypto;
use crate::memory::GuestMemory;
use crate::transport::{Pacer, RoundTrip};
use crate::wire::Bounds;

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
    /// The distance to the destination, if it is longer than the network's own.
    pub round_trip: Option<RoundTrip>,
    /// Seal workers of all streams together, if more than one.
    pub pool: Option<rayon::ThreadPool>,
    /// Whether clocks are read around every socket call: [`StageMeter::new`].
    pub time_all: bool,
}

impl StreamContext {
    /// Seal workers: those of the pool, or one a stream, its own thread.
    pub fn workers(&self) -> usize {
        self.pool.as_ref().map_or(1, |p| p.current_num_threads())
    }
}

impl Drop for StreamContext {
    fn drop(&mut self) {
        // A stream thread's own stack is scrubbed with its ciphers; the workers sealed with them too.
        if let Some(pool) = &self.pool {
            pool.broadcast(|_| crypto::scrub_stack());
        }
    }
}
