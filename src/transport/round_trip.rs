//! A round trip that is longer than the network's own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a distance between the hosts does to a connection: an answer is known of one round trip after
/// it was given, and so many bytes can be on their way, acknowledged by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrip {
    /// How long it takes.
    pub time: Duration,
    /// Bytes of a connection that socket buffers hold until they are acknowledged; none for any number.
    pub window: Option<u64>,
}

/// The bytes of one connection that are on their way.
#[derive(Debug)]
pub struct InFlight {
    trip: RoundTrip,
    epoch: Instant,
    /// When bytes will be acknowledged, nanoseconds since `epoch`, and how many, in order.
    sent: VecDeque<(u64, u64)>,
}

impl InFlight {
    /// A connection over that distance, with nothing on its way.
    pub fn new(trip: RoundTrip) -> InFlight {
        InFlight {
            trip,
            epoch: Instant::now(),
            sent: VecDeque::new(),
        }
    }

    /// Sleeps until the window has room for `bytes`, which are then on their way.
    pub fn wait(&mut self, bytes: u64) {
        let Some(window) = self.trip.window else {
            return;
        };
        let now = self.epoch.elapsed().as_nanos() as u64;
        let start = self.book(bytes, window.max(1), now);
        if start > now {
            std::thread::sleep(Duration::from_nanos(start - now));
        }
    }

    /// When the last of `bytes` may be sent: what the window has no room for waits for what was sent before it,
    /// its own first bytes included.
    fn book(&mut self, bytes: u64, window: u64, now: u64) -> u64 {
        let rtt = self.trip.time.as_nanos() as u64;
        let mut held: u64 = self.sent.iter().map(|(_, bytes)| bytes).sum();
        let (mut left, mut at) = (bytes, now);
        loop {
            while let Some((acknowledged, bytes)) = self.sent.front().copied()
                && acknowledged <= at
            {
                held -= bytes;
                self.sent.pop_front();
            }
            let piece = left.min(window.saturating_sub(held));
            if piece > 0 {
                self.sent.push_back((at + rtt, piece));
                held += piece;
                left -= piece;
            }
            match self.sent.front() {
                Some((acknowledged, _)) if left > 0 => at = *acknowledged,
                _ => return at,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn over(ms: u64) -> InFlight {
        InFlight::new(RoundTrip {
            time: Duration::from_millis(ms),
            window: None,
        })
    }

    #[test]
    fn a_window_is_sent_in_each_round_trip() {
        // Calls of a quarter, of all, of two and a half windows; each connection always has more.
        for call in [256, 1024, 2560] {
            let (mut connection, mut now, mut sent) = (over(10), 0, 0);
            while now < 1000 * MS {
                now = connection.book(call, 1024, now);
                sent += call;
            }
            let windows = sent as f64 / 1024.0;
            assert!((98.0..=105.0).contains(&windows), "{call}: {windows}");
        }
    }

    #[test]
    fn what_fits_does_not_wait_and_what_was_acknowledged_makes_room() {
        let mut connection = over(10);
        for (now, bytes, start) in [
            (0, 600, 0),
            (1, 400, 1),
            // Full: the first 600 are acknowledged at 10, the 400 at 11.
            (2, 500, 10),
            (10, 100, 10),
            (10, 400, 11),
            (500, 1000, 500),
        ] {
            let booked = connection.book(bytes, 1000, now * MS);
            assert_eq!(booked, start * MS, "{bytes} bytes at {now} ms");
        }
    }
}
