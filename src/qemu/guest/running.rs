//! The program in a guest as the host sees it: laid in memory, fed with page writes, counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::layout::{
    BUCKETS, ENTRY_LEN, HISTOGRAM, IDT, Layout, PAGE_TABLES, PARAMETERS, PROGRAM, RING,
    RING_ENTRIES, STATUS,
};
use super::{interrupt_table, program};
use crate::error::{Error, Result};
use crate::guest::write::{WriteExtent, word_flip};
use crate::qemu::memory::ProcessMemory;
use crate::workload::{MergedStream, PageWrite};

// What the program reads, after `PARAMETERS`.
const HEAD: u64 = PARAMETERS;
const IS_BUSY: u64 = PARAMETERS + 8;
const SHORTEST_TICKS: u64 = PARAMETERS + 16;
const LONGEST_TICKS: u64 = PARAMETERS + 24;
const TIMER_PER_TICK: u64 = PARAMETERS + 32;
// What it writes, after `STATUS`.
const EXECUTED: u64 = STATUS;
const LAST_WOKEN: u64 = STATUS + 8;
/// 0 before the program runs, 1 while it does, 2 once it has halted.
const STATE: u64 = STATUS + 16;

/// The program's shortest sleep: a write is at most so late for it, and the guest's timer wakes it at
/// most 4,000 times a second.
const SHORTEST: Duration = Duration::from_micros(250);
/// Its longest, so that it looks for new entries.
const LONGEST: Duration = Duration::from_millis(2);
/// The local APIC's timer in KVM and in QEMU: nanoseconds, undivided.
const TIMER_HZ: f64 = 1e9;
/// How long the guest's clock is compared with the host's.
const CALIBRATION: Duration = Duration::from_millis(100);
/// How far ahead of the guest's time entries are laid.
const AHEAD: Duration = Duration::from_millis(400);
/// How often they are.
const FEEDING: Duration = Duration::from_millis(20);

/// Lays the program in the memory of a machine that has not run yet. An idle one halts for good.
///
/// # Errors
/// If the memory can't be written.
pub fn lay(memory: &ProcessMemory, layout: Layout, busy: bool) -> Result<()> {
    memory.write(PROGRAM, program())?;
    memory.write(IDT, &interrupt_table())?;
    memory.write(PAGE_TABLES, &layout.page_tables())?;
    let word = |at: u64, value: u64| memory.write(at, &value.to_le_bytes());
    word(IS_BUSY, u64::from(busy))?;
    // Until the guest's clock is known: sleeps of about a millisecond on any machine.
    word(SHORTEST_TICKS, 1 << 20)?;
    word(LONGEST_TICKS, 1 << 22)?;
    word(TIMER_PER_TICK, 1 << 31)
}

/// Whether the program runs, or ran until it halted.
///
/// # Errors
/// If the memory can't be read.
pub fn has_booted(memory: &ProcessMemory) -> Result<bool> {
    Ok(memory.word(STATE)? != 0)
}

/// Tells the program to halt between two writes: a machine that is stopped may be within one, which its
/// count does not hold yet.
///
/// # Errors
/// If the memory can't be written.
pub fn halt(memory: &ProcessMemory) -> Result<()> {
    memory.write(IS_BUSY, &0u64.to_le_bytes())
}

/// Whether the program has halted.
///
/// # Errors
/// If the memory can't be read.
pub fn has_halted(memory: &ProcessMemory) -> Result<bool> {
    Ok(memory.word(STATE)? == 2)
}

/// Page writes executed so far.
///
/// # Errors
/// If the memory can't be read.
pub fn executed(memory: &ProcessMemory) -> Result<u64> {
    memory.word(EXECUTED)
}

/// The guest's time stamp counter against this host's clock.
#[derive(Debug, Clone, Copy)]
pub struct GuestClock {
    ticks: u64,
    at: Instant,
    ticks_per_ns: f64,
}

impl GuestClock {
    /// Compares the clocks of a busy guest, and tells the program how long it sleeps.
    ///
    /// # Errors
    /// If the guest does not run.
    pub fn of(memory: &ProcessMemory) -> Result<GuestClock> {
        // The program notes the time at each waking; the change of the note is seen within
        // microseconds.
        let woken = |limit: Duration| {
            let began = Instant::now();
            let before = memory.word(LAST_WOKEN)?;
            loop {
                let ticks = memory.word(LAST_WOKEN)?;
                let at = Instant::now();
                if ticks != before {
                    return Ok((ticks, at));
                }
                if at - began > limit {
                    return Err(Error::CannotRun(
                        "the guest in QEMU does not wake up".to_owned(),
                    ));
                }
            }
        };
        let (first, began) = woken(Duration::from_secs(5))?;
        std::thread::sleep(CALIBRATION);
        let (ticks, at) = woken(Duration::from_secs(5))?;
        let elapsed_ns = (at - began).as_nanos() as f64;
        let clock = GuestClock {
            ticks,
            at,
            ticks_per_ns: (ticks.saturating_sub(first)) as f64 / elapsed_ns,
        };
        let word = |at: u64, value: f64| memory.write(at, &(value as u64).to_le_bytes());
        let ticks_of = |span: Duration| span.as_nanos() as f64 * clock.ticks_per_ns;
        let timer_per_tick = TIMER_HZ / 1e9 / clock.ticks_per_ns;
        word(TIMER_PER_TICK, timer_per_tick * (1u64 << 32) as f64)?;
        word(SHORTEST_TICKS, ticks_of(SHORTEST))?;
        word(LONGEST_TICKS, ticks_of(LONGEST))?;
        Ok(clock)
    }

    /// The guest's own time, from its program's last waking: nanoseconds since `self` was taken.
    fn now_ns(&self, memory: &ProcessMemory) -> Result<f64> {
        let ticks = memory.word(LAST_WOKEN)?.saturating_sub(self.ticks);
        Ok(ticks as f64 / self.ticks_per_ns)
    }
}

/// The page writes that a guest is fed with.
pub struct Ring {
    stream: MergedStream,
    extent: WriteExtent,
    layout: Layout,
    clock: GuestClock,
    /// The guest's time, on `clock`, when stream time is `offset_ns`.
    begins_ns: f64,
    offset_ns: u64,
    /// Entries laid so far.
    head: u64,
    /// Those of them that the guest was not seen to have executed, the oldest first.
    laid: VecDeque<[u64; 3]>,
}

impl Ring {
    /// A ring whose stream begins at stream time `offset_ns`, at `begins` on this host's clock.
    pub fn new(
        mut stream: MergedStream,
        extent: WriteExtent,
        layout: Layout,
        clock: GuestClock,
        (offset_ns, begins): (u64, Instant),
    ) -> Ring {
        stream.skip_to(offset_ns);
        Ring {
            stream,
            extent,
            layout,
            clock,
            begins_ns: (begins - clock.at).as_nanos() as f64,
            offset_ns,
            head: 0,
            laid: VecDeque::new(),
        }
    }

    /// Lays what is due soon.
    ///
    /// # Errors
    /// If the memory can't be read or written.
    pub fn feed(&mut self, memory: &ProcessMemory) -> Result<()> {
        let executed = self.forget_executed(memory)?;
        let until = self.clock.now_ns(memory)? - self.begins_ns + AHEAD.as_nanos() as f64;
        let until_ns = self.offset_ns + until.max(0.0) as u64;
        let from = self.head;
        while self.head - executed < RING_ENTRIES {
            let Some((_, write)) = self.stream.next_until(until_ns) else {
                break;
            };
            self.laid.push_back(self.entry(&write));
            self.head += 1;
        }
        self.lay_from(memory, from)
    }

    /// Lays again all that the guest has not executed: in memory that it has moved to, which has the
    /// entries as they stood when they were sent.
    ///
    /// # Errors
    /// As [`Ring::feed`].
    pub fn move_to(&mut self, memory: &ProcessMemory) -> Result<()> {
        let executed = self.forget_executed(memory)?;
        self.lay_from(memory, executed)
    }

    fn forget_executed(&mut self, memory: &ProcessMemory) -> Result<u64> {
        let executed = executed(memory)?;
        let oldest = self.head - self.laid.len() as u64;
        Error::unless(
            (oldest..=self.head).contains(&executed),
            "the guest's count of page writes",
            executed,
            format_args!("{oldest} to {}", self.head),
        )?;
        self.laid.drain(..(executed - oldest) as usize);
        Ok(executed)
    }

    fn lay_from(&self, memory: &ProcessMemory, from: u64) -> Result<()> {
        let oldest = self.head - self.laid.len() as u64;
        let mut next = from;
        while next < self.head {
            // To the end of the ring at most.
            let place = next % RING_ENTRIES;
            let count = (self.head - next).min(RING_ENTRIES - place);
            let entries = self
                .laid
                .range((next - oldest) as usize..)
                .take(count as usize);
            let bytes: Vec<u8> = entries
                .flatten()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            memory.write(RING + place * ENTRY_LEN, &bytes)?;
            next += count;
        }
        memory.write(HEAD, &self.head.to_le_bytes())
    }

    /// Time, address and value, as the program takes them.
    fn entry(&self, write: &PageWrite) -> [u64; 3] {
        let at_ns = self.begins_ns + (write.at_ns - self.offset_ns) as f64;
        let ticks = self.clock.ticks as f64 + at_ns * self.clock.ticks_per_ns;
        let page = self.layout.address(write.page);
        let (address, value) = match self.extent {
            WriteExtent::Word => {
                let (index, bits) = word_flip(write.value);
                (page + 8 * index as u64, bits)
            }
            WriteExtent::Page => (page | 1, write.value),
        };
        [ticks as u64, address, value]
    }
}

/// Feeds a guest until it is stopped.
pub struct Feeder {
    stop: std::sync::Arc<AtomicBool>,
    thread: JoinHandle<(Ring, Result<()>)>,
}

impl Feeder {
    /// Begins.
    pub fn start(mut ring: Ring, memory: ProcessMemory) -> Feeder {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            while !told.load(Relaxed) {
                if let Err(error) = ring.feed(&memory) {
                    return (ring, Err(error));
                }
                std::thread::park_timeout(FEEDING);
            }
            (ring, Ok(()))
        });
        Feeder { stop, thread }
    }

    /// Ends, and gives the ring back.
    ///
    /// # Errors
    /// What ended it before.
    pub fn stop(self) -> Result<Ring> {
        self.stop.store(true, Relaxed);
        self.thread.thread().unpark();
        let (ring, fed) = self.thread.join().expect("feeding does not panic");
        fed.map(|()| ring)
    }
}

/// How late writes were, by the guest's clock: counts by bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lateness(Vec<u64>);

impl Lateness {
    /// Of all writes so far.
    ///
    /// # Errors
    /// If the memory can't be read.
    pub fn of(memory: &ProcessMemory) -> Result<Lateness> {
        let mut bytes = vec![0; 8 * BUCKETS];
        memory.read(HISTOGRAM, &mut bytes)?;
        let counts = bytes.as_chunks::<8>().0.iter();
        Ok(Lateness(
            counts.map(|count| u64::from_le_bytes(*count)).collect(),
        ))
    }

    /// Of the writes since an earlier look, in nanoseconds.
    pub fn since(&self, earlier: &Lateness, clock: &GuestClock) -> Histogram<u64> {
        let mut all = crate::guest::vcpu::histogram();
        for (bucket, (now, before)) in self.0.iter().zip(&earlier.0).enumerate() {
            let count = now.saturating_sub(*before);
            // A value that was counted no time would still be the largest.
            if count > 0 {
                let ns = middle(bucket as u64) / clock.ticks_per_ns;
                all.saturating_record_n(ns as u64, count);
            }
        }
        all
    }
}

/// The middle of what a bucket counts, ticks.
fn middle(bucket: u64) -> f64 {
    match bucket {
        0..16 => bucket as f64,
        _ => {
            let width = ((bucket / 16 - 1) as f64).exp2();
            (16 + bucket % 16) as f64 * width + width / 2.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the program counts.
    fn bucket(ticks: u64) -> u64 {
        match ticks {
            0..16 => ticks,
            _ => {
                let shift = u64::from(ticks.ilog2()) - 4;
                (shift << 4) + (ticks >> shift)
            }
        }
    }

    #[test]
    fn a_bucket_stands_for_what_it_counts() {
        for ticks in (0..2000).chain((20..63).map(|power| (1u64 << power) + 12345)) {
            let bucket = bucket(ticks);
            assert!((bucket as usize) < BUCKETS);
            let middle = middle(bucket);
            let error = (middle - ticks as f64).abs();
            assert!(error <= ticks as f64 / 16.0, "{ticks}: {middle}");
        }
    }
}
