//! A link of limited bandwidth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::booking::Booking;
use crate::units::link_time_ns;

/// Keeps all streams of a source, or of all sources that share a link, together within its bandwidth.
///
/// Each socket call books its time on the link, and a stream waits until its booking begins: it
/// makes its next records while the link carries the last ones, as a host does above its network
/// card. A booking begins no earlier than now: a link on which nothing was to be sent has carried
/// nothing. Only what the pacer itself held up is made good: a thread that slept longer than it
/// was told had something to send meanwhile, and a card would have gone on sending it.
#[derive(Debug)]
pub struct Pacer {
    bits_per_second: u64,
    /// Where it stands when the link is free next, nanoseconds on the machine's monotonic clock.
    booked: Booked,
    sharers: u32,
}

/// Whose bookings count.
#[derive(Debug)]
enum Booked {
    /// Those of this process.
    Own(AtomicU64),
    /// Those of all processes that have the memory.
    Shared(Booking),
}

/// What the pacer owes one stream: how much longer than it was told the stream slept last.
/// A new one owes nothing; take one whenever the stream had nothing to send.
#[derive(Debug, Default)]
pub struct Pace {
    late_ns: u64,
}

impl Pacer {
    /// How late a wake-up may be and still be made good: about what a card's queue holds.
    pub const CATCH_UP: Duration = Duration::from_millis(1);

    /// A link of `bits_per_second`, free now.
    pub fn new(bits_per_second: u64) -> Self {
        Pacer {
            bits_per_second,
            booked: Booked::Own(AtomicU64::new(0)),
            sharers: 1,
        }
    }

    /// A link of `bits_per_second` that so many migrations, each in a process of its own, share. They take
    /// turns call by call, in the order in which they ask, as flows do that meet in a card's queue: no byte
    /// passes through another process, which would cost CPU that is no migration's.
    pub fn shared(bits_per_second: u64, booking: Booking, sharers: u32) -> Self {
        Pacer {
            bits_per_second,
            booked: Booked::Shared(booking),
            sharers: sharers.max(1),
        }
    }

    /// How many migrations share the link.
    pub fn sharers(&self) -> u32 {
        self.sharers
    }

    /// What the link carries in that time, bytes.
    pub fn bytes_within(&self, time: Duration) -> u64 {
        let bits = u128::from(self.bits_per_second) * time.as_nanos() / 1_000_000_000;
        u64::try_from(bits / 8).unwrap_or(u64::MAX)
    }

    /// Books `bytes` and sleeps until the link takes them, which is when it has carried all that
    /// was booked before.
    pub fn wait(&self, bytes: u64, pace: &mut Pace) {
        let now = self.now_ns();
        let start = self.book(bytes, now, pace);
        if start > now {
            std::thread::sleep(Duration::from_nanos(start - now));
            pace.woke(start, self.now_ns());
        }
    }

    /// Books `bytes` at `now`; when they begin, which may be before now where the stream slept
    /// too long.
    fn book(&self, bytes: u64, now: u64, pace: &Pace) -> u64 {
        let cost = link_time_ns(bytes, self.bits_per_second);
        let earliest = now.saturating_sub(pace.late_ns);
        let book = |free: u64| Some(free.max(earliest) + cost);
        // Relaxed: the value carries nothing but itself.
        let free_at = match &self.booked {
            Booked::Own(free_at) => free_at,
            Booked::Shared(booking) => booking.free_at(),
        };
        let free = free_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, book)
            .unwrap_or(now);
        free.max(earliest)
    }

    fn now_ns(&self) -> u64 {
        // The same for all processes of a machine.
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}

impl Pace {
    /// A sleep until `until` ended at `now`.
    fn woke(&mut self, until: u64, now: u64) {
        let most = Pacer::CATCH_UP.as_nanos() as u64;
        self.late_ns = now.saturating_sub(until).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::booking::SharedLink;

    const US: u64 = 1_000;
    const MS: u64 = 1_000_000;
    /// A link that carries a byte a microsecond.
    const BYTE_A_US: u64 = 8_000_000;

    /// A stream under a clock of its own: makes its records for `work`, asks, and wakes `late`.
    struct Sender {
        pace: Pace,
        now: u64,
    }

    impl Sender {
        fn at(now: u64) -> Self {
            let pace = Pace::default();
            Sender { pace, now }
        }

        /// When the call of `bytes` is made.
        fn call(&mut self, pacer: &Pacer, work: u64, bytes: u64, late: u64) -> u64 {
            self.now += work;
            let start = pacer.book(bytes, self.now, &self.pace);
            if start > self.now {
                self.now = start + late;
                self.pace.woke(start, self.now);
            }
            self.now
        }
    }

    #[test]
    fn idle_time_is_not_banked() {
        for idle in [0, 1, 500 * US, MS, 20 * MS, 3_600_000 * MS] {
            let pacer = Pacer::new(BYTE_A_US);
            let mut sender = Sender::at(0);
            sender.call(&pacer, 0, 100, 0);
            sender.call(&pacer, 0, 100, 700 * US);
            // The round ends and the link is free; then there is nothing to send.
            let began = 1_000 * US + idle;
            sender = Sender::at(began);
            assert_eq!(sender.call(&pacer, 0, 1_000, 0), began, "{idle}");
            assert_eq!(sender.call(&pacer, 0, 1_000, 0), began + MS, "{idle}");
            assert_eq!(sender.call(&pacer, 0, 1, 0), began + 2 * MS, "{idle}");
        }
    }

    #[test]
    fn time_that_the_sender_needs_is_not_banked() {
        // Records take twice as long to make as to carry: the link waits for every one of them.
        let pacer = Pacer::new(BYTE_A_US);
        let mut sender = Sender::at(0);
        for call in 1..=100 {
            assert_eq!(sender.call(&pacer, 2 * MS, 1_000, 0), call * 2 * MS);
        }
        // Then they are ready at once: no burst follows.
        let began = sender.now;
        for call in 0..=10 {
            assert_eq!(sender.call(&pacer, 0, 1_000, 0), began + (call + 1) * MS);
        }
    }

    #[test]
    fn late_wakes_are_made_good_while_there_is_something_to_send() {
        // (work, late): what is late and the next call's work may exceed the call's own time.
        for (work, late) in [(0, 0), (300, 60), (100, 950), (900, 900), (500, 1_000)] {
            let pacer = Pacer::new(BYTE_A_US);
            let mut sender = Sender::at(0);
            let calls = 10_000;
            for _ in 0..calls {
                sender.call(&pacer, work * US, 1_000, late * US);
            }
            // All but the first call's work overlaps with what the link carries.
            let least = (calls - 1) * MS;
            let most = least + (work + late) * US + MS;
            assert!(sender.now >= least, "{work} {late}: {}", sender.now);
            assert!(sender.now <= most, "{work} {late}: {}", sender.now);
        }
    }

    #[test]
    fn what_is_made_good_is_bounded() {
        let pacer = Pacer::new(BYTE_A_US);
        let mut sender = Sender::at(0);
        sender.call(&pacer, 0, 1_000, 0);
        // Told to sleep until 1 ms, it wakes at 51 ms: a card's queue was empty long before.
        assert_eq!(sender.call(&pacer, 0, 1_000, 50 * MS), 51 * MS);
        let mut sent = 0;
        while sender.call(&pacer, 0, 100, 0) == 51 * MS {
            sent += 100;
        }
        assert_eq!(
            sent, 1_100,
            "1 ms of the link, and the call that begins now"
        );
    }

    /// However streams share it and oversleep, no byte leaves before the link could have carried
    /// all that left before.
    #[test]
    fn streams_together_keep_to_the_link() {
        let own = Pacer::new(BYTE_A_US);
        keep_to_the_link([&own; 3]);
        // Those of several processes, each with a pacer of its own, do too.
        let link = SharedLink::new().unwrap();
        let booking = || Booking::inherited(link.descriptor()).unwrap();
        let shared = [(); 3].map(|()| Pacer::shared(BYTE_A_US, booking(), 3));
        keep_to_the_link([&shared[0], &shared[1], &shared[2]]);
    }

    fn keep_to_the_link(pacers: [&Pacer; 3]) {
        let mut senders = [0, 10, 999].map(Sender::at);
        let mut draws = 0x2545_f491_4f6c_dd1d_u64;
        let mut draw = |below: u64| {
            draws ^= draws << 13;
            draws ^= draws >> 7;
            draws ^= draws << 17;
            draws % below
        };
        let (mut sent, mut last) = (0, 0);
        for _ in 0..10_000 {
            let next = (0..3).min_by_key(|i| senders[*i].now).unwrap();
            let bytes = 1 + draw(1_000);
            let late = draw(900) * US;
            let begins = senders[next].call(pacers[next], draw(400) * US, bytes, late);
            last = last.max(begins);
            // Bookings don't overlap: this one begins after all before it have been carried.
            assert!(begins >= sent * US, "{begins} {sent}");
            sent += bytes;
        }
        // Nor does the link stand idle while three streams have something to send.
        assert!(last < (sent + 10_000) * US, "{last} {sent}");
    }

    #[test]
    fn a_link_carries_its_bandwidth() {
        let pacer = Pacer::new(10_000_000_000);
        assert_eq!(pacer.bytes_within(Duration::from_millis(1)), 1_250_000);
    }
}
