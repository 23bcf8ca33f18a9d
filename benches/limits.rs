//! What a migration can't take less than: its passes over memory, one by one, and a round of few pages.
//!
//! `passes`, in a thread's CPU time, 256 KiB at a time: cold memory strides over 256 MiB, more than caches hold, as
//! a guest's does; hot is one buffer, as a record's is. The socket is TCP on loopback, whose other end is drained
//! outside the time that counts. With the cipher's own from `--bench aead` these are the passes that
//! an arm can't do without; `scripts/measure` adds them up and sets beside them what its sides take.
//!
//! `round`, in real time: a tracked guest of 256 MiB in which 64 pages were written, or none. `harvest` finds them;
//! the arms send them over one stream and wait for the acknowledgement, as a round does; `calls` makes the same
//! system calls with nothing around them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::Measurement as _;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use migtax::arm::{Arm, Backend};
use migtax::compression::Compression;
use migtax::crypto::{KeyLimits, MigrationSecret};
use migtax::destination::stream_thread::StreamThread;
use migtax::destination::switchover::Switchover;
use migtax::memory::{GuestMemory, PageRun, Placed, Segment};
use migtax::record::Framing;
use migtax::source::context::StreamContext;
use migtax::source::streams::Streams;
use migtax::tracking::{self, TrackerSpec};
use migtax::transport::Connection;
use migtax::tunnel;
use migtax::units::{PAGE_SIZE, Size};
use migtax::wire::{Bounds, PREAMBLE_LEN, Preamble};

use self::thread_clock::ThreadClock;

#[path = "common/thread_clock.rs"]
mod thread_clock;

const MEMORY: u64 = 256 << 20;
/// Bytes of a piece, and of a record.
const PIECE: usize = 256 << 10;
/// Pages of a small round.
const FEW: u64 = 64;
const SILENCE: Duration = Duration::from_secs(60);

fn main() {
    // Without a font of its own criterion's plots would end the program.
    let font = dejavu::sans::regular();
    plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font)
        .unwrap_or_else(|_| panic!("the font that the crate carries is a font"));
    let mut clocked = Criterion::default()
        .with_measurement(ThreadClock)
        .configure_from_args();
    passes(&mut clocked);
    let mut criterion = Criterion::default().configure_from_args();
    rounds(&mut criterion);
    criterion.final_summary();
}

fn guest() -> Arc<GuestMemory> {
    let memory = GuestMemory::new(Size(MEMORY), false).expect("guest memory");
    for page in 0..memory.pages() {
        memory.write_word(page, 0, page + 1);
    }
    Arc::new(memory)
}

/// Both ends of a connection on loopback, neither of which waits for more to send.
fn pair() -> (TcpStream, TcpStream) {
    let (near, far) = tunnel::pair().expect("sockets");
    near.set_nodelay(true).expect("a socket");
    (near, far)
}

fn passes(criterion: &mut Criterion<ThreadClock>) {
    let memory = guest();
    let mut group = criterion.benchmark_group("passes");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1200))
        .throughput(Throughput::Bytes(PIECE as u64));
    let pieces = memory.len() / PIECE;
    let mut next = 0;
    let mut cold = move || {
        next = (next + 1) % pieces;
        let run = PageRun {
            first: (next * PIECE / PAGE_SIZE) as u64,
            pages: (PIECE / PAGE_SIZE) as u64,
        };
        // SAFETY: inside the mapping, which outlives what is measured; nothing else uses it.
        unsafe { memory.segment(run) }
    };
    /// SAFETY, of the callers: the memory is mapped, and nothing else uses it.
    unsafe fn bytes<'a>(cold: Segment) -> &'a mut [u8] {
        unsafe { std::slice::from_raw_parts_mut(cold.start().cast_mut(), cold.len()) }
    }
    // Where in a page a record's content stands: elsewhere the C library's copy can take five times as long.
    let mut hot = Placed::new(PIECE, 512);
    let id = |name| BenchmarkId::new(name, PIECE);
    group.bench_function(id("read"), |bencher| {
        bencher.iter(|| {
            // SAFETY: `cold` gives out memory that only this thread uses.
            let words = unsafe { bytes(cold()) }.chunks_exact(8);
            words.fold(0, |sum, word| {
                sum ^ u64::from_ne_bytes(word.try_into().expect("eight"))
            })
        });
    });
    group.bench_function(id("copy-out"), |bencher| {
        bencher.iter(|| cold().copy_to(&mut hot));
    });
    group.bench_function(id("copy-in"), |bencher| {
        // SAFETY: as above.
        bencher.iter(|| unsafe { cold().copy_from(&hot) });
    });
    let (mut near, mut far) = pair();
    let mut drained = Placed::new(PIECE, 512);
    for (name, from_cold) in [("send-hot", false), ("send-cold", true)] {
        group.bench_function(id(name), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for _ in 0..iterations {
                    let from: &[u8] = match from_cold {
                        // SAFETY: as above.
                        true => unsafe { bytes(cold()) },
                        false => &hot,
                    };
                    let start = ThreadClock.start();
                    near.write_all(from).expect("it fits the socket's buffers");
                    time += ThreadClock.end(start);
                    far.read_exact(&mut drained).expect("it was sent");
                }
                time
            });
        });
    }
    for (name, to_cold) in [("receive-hot", false), ("receive-cold", true)] {
        group.bench_function(id(name), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for _ in 0..iterations {
                    near.write_all(&hot).expect("it fits the socket's buffers");
                    let to: &mut [u8] = match to_cold {
                        // SAFETY: as above.
                        true => unsafe { bytes(cold()) },
                        false => &mut drained,
                    };
                    let start = ThreadClock.start();
                    far.read_exact(to).expect("it was sent");
                    time += ThreadClock.end(start);
                }
                time
            });
        });
    }
    group.finish();
}

fn rounds(criterion: &mut Criterion) {
    let memory = guest();
    let tracker = match tracking::open(TrackerSpec::Userfaultfd, &memory) {
        Ok(tracker) => tracker,
        Err(error) => {
            eprintln!("rounds are not measured: {error}");
            return;
        }
    };
    tracker.start().expect("start");
    let mut group = criterion.benchmark_group("round");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    // Far apart, as a guest's writes are.
    let stride = memory.pages() / FEW;
    let write = |pages: u64| {
        for page in (0..pages).map(|page| page * stride) {
            memory.write_word(page, 8, page);
            tracker.mark(page);
        }
    };
    let mut runs = Arc::new(Vec::new());
    tracker.harvest(Arc::make_mut(&mut runs)).expect("harvest");
    for pages in [0, FEW] {
        group.bench_function(BenchmarkId::new("harvest", pages), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for _ in 0..iterations {
                    write(pages);
                    let runs = Arc::make_mut(&mut runs);
                    runs.clear();
                    let start = Instant::now();
                    assert_eq!(tracker.harvest(runs).expect("harvest"), pages);
                    time += start.elapsed();
                }
                time
            });
        });
        // Whether the harvest was measured or a filter left it out.
        write(pages);
        let found = Arc::make_mut(&mut runs);
        found.clear();
        assert_eq!(tracker.harvest(found).expect("harvest"), pages);
        for arm in [Arm::PLAIN, Arm::COPY, Arm::AWS_LC] {
            let mut sides = Sides::open(arm, &memory);
            group.bench_function(BenchmarkId::new(arm.name(), pages), |bencher| {
                bencher.iter(|| sides.round(&runs, pages));
            });
        }
        let (mut near, mut far) = pair();
        let bytes = vec![0x5a; pages as usize * PAGE_SIZE + 128];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut received = vec![0; bytes.len()];
                while far.read_exact(&mut received).is_ok() {
                    far.write_all(&received[..64]).expect("connected");
                }
            });
            group.bench_function(BenchmarkId::new("calls", pages), |bencher| {
                bencher.iter(|| {
                    near.write_all(&bytes).expect("connected");
                    near.read_exact(&mut [0; 64]).expect("an answer");
                });
            });
            near.shutdown(std::net::Shutdown::Both).expect("connected");
        });
    }
    group.finish();
    tracker.stop().expect("stop");
}

/// Both sides of a migration of one stream, the destination on a thread of its own.
struct Sides {
    streams: Streams,
    next: u32,
}

impl Sides {
    fn open(arm: Arm, memory: &Arc<GuestMemory>) -> Sides {
        let secret = || Arc::new(MigrationSecret::generate().expect("a key"));
        let framing = Framing {
            backend: arm.backend(),
            secret: (arm.backend() != Backend::None).then(secret),
            compression: Compression::None,
            limits: KeyLimits::for_streams(1),
            bounds: Bounds {
                guest_pages: memory.pages(),
                record: PIECE,
            },
            preamble: Preamble {
                migration_id: 1,
                stream: 0,
                streams: 1,
            },
            tls: None,
        };
        let (near, far) = pair();
        let theirs = framing.clone();
        let received = guest();
        std::thread::spawn(move || {
            let mut far = Connection::new(far, 0, "source", SILENCE).expect("a socket");
            let mut preamble = [0; PREAMBLE_LEN];
            far.receive(&mut preamble, "the preamble").expect("sent");
            let switchover = Arc::new(Switchover::new(1, 0, Duration::ZERO));
            let thread = StreamThread::open(far, &theirs, received, switchover, false);
            let mut thread = thread.expect("a cipher");
            thread.greet(b"limits").expect("greeted");
            // Until the source has gone.
            while thread.step().is_ok() {}
        });
        let context = Arc::new(StreamContext {
            memory: memory.clone(),
            streams: 1,
            bounds: framing.bounds,
            pacer: None,
            round_trip: None,
            pool: None,
            time_all: false,
        });
        let mut near = Some(near);
        let connect = || Ok(near.take().expect("one stream"));
        let streams = Streams::open(connect, &framing, &context, b"limits", SILENCE, None);
        Sides {
            streams: streams.unwrap_or_else(|error| panic!("{error}")),
            next: 0,
        }
    }

    fn round(&mut self, runs: &Arc<Vec<PageRun>>, pages: u64) {
        let done = self.streams.round(self.next, runs);
        let done = done.unwrap_or_else(|failed| panic!("{}", failed.error));
        assert_eq!(done.totals.pages, pages);
        self.next += 1;
    }
}
