//! A whole migration in one thread: the real stream threads of source and destination take turns over a
//! connection in memory.

use std::sync::Arc;
use std::time::Duration;

use migtax::arm::{Arm, Backend};
use migtax::compression::Compression;
use migtax::crypto::{KeyLimits, MigrationSecret};
use migtax::destination::stream_thread::{Step, StreamThread as Destination};
use migtax::destination::switchover::Switchover;
use migtax::guest::content::{self, ContentSpec, fill};
use migtax::memory::{GuestMemory, PageRun};
use migtax::record::Framing;
use migtax::source::context::StreamContext;
use migtax::source::order::{Awaited, Order};
use migtax::source::stream_thread::StreamThread as Source;
use migtax::tracking::{Bitmap, Tracker};
use migtax::transport::Connection;
use migtax::units::{PAGE_SIZE, Size};
use migtax::wire::{Bounds, PREAMBLE_LEN, Preamble, Totals};

/// Guest memory, bytes.
pub const GUEST: usize = 1 << 20;
/// Page content in a record, bytes.
const RECORD: usize = 64 << 10;
/// Device state, bytes.
const DEVICE_STATE: usize = 64 << 10;
/// What the source announces; the destination expects the same.
const HELLO: &[u8] = b"one guest of 256 pages";
/// Rounds: all of memory, then what was written: every so many pages.
const STRIDES: [usize; 2] = [4, 32];

/// Both sides, greeted, before the first round.
pub struct Pass {
    source: Source,
    destination: Destination,
    memories: [Arc<GuestMemory>; 2],
    tracker: Bitmap,
    switchover: Arc<Switchover>,
    device_state: Arc<Vec<u8>>,
    runs: Arc<Vec<PageRun>>,
    totals: Totals,
    round: u32,
}

impl Pass {
    /// What it does, with its amount.
    pub fn work() -> String {
        format!(
            "{} guest pages in records of {}KiB, then 1 of {} and 1 of {} of them again, harvests, {}KiB device state, switchover",
            GUEST / PAGE_SIZE,
            RECORD >> 10,
            STRIDES[0],
            STRIDES[1],
            DEVICE_STATE >> 10
        )
    }

    pub fn new(arm: Arm) -> Pass {
        let memory = || {
            let memory = GuestMemory::new(Size(GUEST as u64), false).expect("guest memory");
            Arc::new(memory)
        };
        let memories = [memory(), memory()];
        fill(&memories[0], &ContentSpec::default(), 1);
        let backend = arm.backend();
        let framing = Framing {
            backend,
            secret: (backend != Backend::None)
                .then(|| Arc::new(MigrationSecret::generate().expect("a key"))),
            compression: Compression::None,
            limits: KeyLimits::for_streams(1),
            bounds: Bounds {
                guest_pages: memories[0].pages(),
                record: RECORD,
            },
            preamble: Preamble {
                migration_id: 1,
                stream: 0,
                streams: 1,
            },
            tls: None,
        };
        let shared = Arc::new(StreamContext {
            memory: memories[0].clone(),
            streams: 1,
            bounds: framing.bounds,
            pacer: None,
            round_trip: None,
            pool: None,
            time_all: true,
        });
        let switchover = Arc::new(Switchover::new(1, DEVICE_STATE, Duration::ZERO));
        let [near, mut far] = Connection::in_memory(0, 2 * GUEST);
        let mut source = Source::open(near, &framing, shared).expect("a source");
        let mut preamble = [0; PREAMBLE_LEN];
        far.receive(&mut preamble, "the preamble").expect("sent");
        assert_eq!(Preamble::decode(&preamble), Ok(framing.preamble));
        let mut destination =
            Destination::open(far, &framing, memories[1].clone(), switchover.clone(), true)
                .expect("a destination");
        let awaited = source.announce(HELLO).expect("a hello");
        destination.greet(HELLO).expect("the same hello");
        source.complete(awaited).expect("an answer");
        let tracker = Bitmap::new(memories[0].pages());
        tracker.start().expect("a bitmap always starts");
        Pass {
            source,
            destination,
            tracker,
            switchover,
            device_state: Arc::new(content::device_state(Size(DEVICE_STATE as u64), 1)),
            runs: Arc::new(vec![PageRun {
                first: 0,
                pages: memories[0].pages(),
            }]),
            memories,
            totals: Totals::default(),
            round: 0,
        }
    }

    /// The migration. `counted` runs the parts that belong to it; what the guest does between
    /// them does not.
    pub fn migrate(&mut self, mut counted: impl FnMut(&mut dyn FnMut())) {
        counted(&mut || self.send_round());
        for stride in STRIDES {
            self.guest_writes(stride);
            counted(&mut || {
                self.harvest();
                self.send_round();
            });
        }
        counted(&mut || self.switch_over());
    }

    fn guest_writes(&self, stride: usize) {
        for page in (0..self.memories[0].pages()).step_by(stride) {
            self.memories[0].write_word(page, 8, page + 1);
            self.tracker.mark(page);
        }
    }

    fn harvest(&mut self) {
        let runs = Arc::get_mut(&mut self.runs).expect("no round is under way");
        self.tracker.harvest(runs).expect("a started tracker");
    }

    fn send_round(&mut self) {
        let order = Order::Round {
            round: self.round,
            runs: self.runs.clone(),
        };
        let awaited = self.source.begin(order).expect("sent");
        while self.destination.step().expect("applied") == Step::Applied {}
        self.finish(awaited);
        self.round += 1;
    }

    fn switch_over(&mut self) {
        let order = Order::SwitchOver {
            round: self.round - 1,
            device_state: self.device_state.clone(),
            totals: vec![self.totals],
        };
        let awaited = self.source.begin(order).expect("sent");
        while self.destination.step().expect("applied") != Step::Ended {}
        self.finish(awaited);
    }

    fn finish(&mut self, awaited: Awaited) {
        self.totals += self.source.complete(awaited).expect("acknowledged").totals;
    }

    /// Whether the destination has the guest, byte for byte.
    pub fn check(&self) {
        assert!(self.switchover.is_switched_over());
        assert_eq!(self.switchover.device_state(), *self.device_state);
        assert_eq!(self.memories[0].hash(), self.memories[1].hash());
    }
}
