//! A link of limited bandwidth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::units::link_time_ns;

/// Keeps all streams of a source together within a link's bandwidth.
///
/// Each record books its time on the link; a stream waits until its booking begins. A late waker
/// catches up, by [`Pacer::TOLERANCE`] at most, so that the mean is the link's bandwidth although
/// sleeps overshoot.
#[derive(Debug)]
pub struct Pacer {
    bits_per_second: u64,
    epoch: Instant,
    /// When the link is free next, nanoseconds since `epoch`.
    free_at: AtomicU64,
}

impl Pacer {
    /// How far a stream may fall behind the link and still catch up.
    pub const TOLERANCE: Duration = Duration::from_millis(1);

    /// A link of `bits_per_second`, free now.
    pub fn new(bits_per_second: u64) -> Self {
        Pacer {
            bits_per_second,
            epoch: Instant::now(),
            free_at: AtomicU64::new(0),
        }
    }

    /// What the link carries in that time, bytes.
    pub fn bytes_within(&self, time: Duration) -> u64 {
        let bits = u128::from(self.bits_per_second) * time.as_nanos() / 1_000_000_000;
        u64::try_from(bits / 8).unwrap_or(u64::MAX)
    }

    /// Books `bytes` and sleeps until the link takes them.
    pub fn wait(&self, bytes: u64) {
        let cost = link_time_ns(bytes, self.bits_per_second);
        let now = self.epoch.elapsed().as_nanos() as u64;
        let earliest = now.saturating_sub(Self::TOLERANCE.as_nanos() as u64);
        let book = |free: u64| Some(free.max(earliest) + cost);
        // Relaxed: the value carries nothing but itself.
        let free = self
            .free_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, book)
            .unwrap_or(now);
        let start = free.max(earliest);
        if start > now {
            std::thread::sleep(Duration::from_nanos(start - now));
        }
    }
}
