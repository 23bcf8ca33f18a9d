//! Sealing and opening records, every arm that ciphers, as the data path does it.
//!
//! `aead/seal` seals runs of guest memory into one reused record buffer, `aead/seal-scattered`
//! the same from single pages in shuffled order, `aead/open` opens records, from one reused buffer to guest memory
//! where the library can, in place where not. Guest memory strides
//! over 256 MiB that were faulted in before, more than caches hold, so every record is cold, as it
//! is when a guest's memory is sent. `copy` is the null cipher: what the copy alone costs.
//!
//! Time is that of the thread's CPU clock. The code measured never waits, so on an idle machine it
//! is the same as real time, and on a busy one it is still the cipher's; it is also what a
//! migration's `seal_s` and `open_s` are counted in.
//!
//! A library chooses its code when the process starts, so the masked arms run in children of this
//! program that start with the mask. They run first: the report that this process writes at the
//! end is made from everything on disk and shows all arms side by side.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::Measurement as _;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use migtax::arm::{Arm, Backend};
use migtax::crypto::{
    self, FlowDirection, KeyLimits, MigrationSecret, OpenSequence, Opener, Placing, SealSequence,
    Sealer, TAG_LEN,
};
use migtax::memory::Segment;
use migtax::units::PAGE_SIZE;

use self::thread_clock::ThreadClock;

#[path = "common/thread_clock.rs"]
mod thread_clock;

/// Bytes that the input strides over.
const MEMORY: usize = 256 << 20;
/// Bytes of page payload in a record.
const RECORDS: [usize; 5] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// The record size at which pages are also sealed one by one: the default of scenarios.
const SCATTERED: usize = 256 << 10;
/// Set in a child: the arm that it measures.
const CHILD: &str = "MIGTAX_BENCH_ARM";
/// Associated data of a length that the wire's may have.
const AAD: [u8; 32] = [0xAD; 32];

fn main() -> ExitCode {
    // Without a font of its own criterion's plots would end the program.
    let font = dejavu::sans::regular();
    plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font)
        .unwrap_or_else(|_| panic!("the font that the crate carries is a font"));
    let only = std::env::var(CHILD).ok();
    let mut memory = None;
    let mut criterion = Criterion::default()
        .with_measurement(ThreadClock)
        .configure_from_args();
    let mut failed = false;
    let arms = Arm::own().filter(|arm| *arm != Arm::PLAIN);
    for arm in order(arms) {
        if only.as_deref().is_some_and(|only| only != arm.name()) {
            continue;
        }
        if let Err(missing) = crypto::supported(arm) {
            eprintln!("{arm}: not supported, needs {}", missing.join(", "));
        } else if !arm.row().environment.is_empty() && only.is_none() {
            failed |= !run_child(arm);
        } else {
            measure(&mut criterion, arm, memory.get_or_insert_with(faulted_in));
        }
    }
    if only.is_none() {
        criterion.final_summary();
    }
    ExitCode::from(u8::from(failed))
}

/// Masked arms first.
fn order(arms: impl Iterator<Item = Arm>) -> Vec<Arm> {
    let mut arms: Vec<Arm> = arms.collect();
    arms.sort_by_key(|arm| arm.row().environment.is_empty());
    arms
}

/// Runs an arm in a child that starts with its mask; false if it failed.
fn run_child(arm: Arm) -> bool {
    let program = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new(program);
    child
        .args(std::env::args_os().skip(1))
        .env(CHILD, arm.name());
    arm.prepare(&mut child);
    match child.status() {
        Ok(status) if status.success() => true,
        other => {
            eprintln!("{arm}: the measuring child failed: {other:?}");
            false
        }
    }
}

/// Memory without a pattern, every page of it touched.
fn faulted_in() -> Vec<u8> {
    let mut state = 1u64;
    let mut memory = vec![0u8; MEMORY];
    for word in memory.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_ne_bytes());
    }
    memory
}

fn measure(criterion: &mut Criterion<ThreadClock>, arm: Arm, memory: &mut [u8]) {
    let backend = arm.backend();
    crypto::known_answer_test(backend).expect("a backend that gives the known answer");
    let library = crypto::implementation(backend);
    let engaged = library.engaged();
    eprintln!(
        "{arm}: {}, {} [{}]",
        library.version(),
        engaged.implementation,
        engaged.features.join(" ")
    );
    let mut group = group(criterion, "aead/seal", arm);
    for record in RECORDS {
        let runs = memory.chunks_exact(record).map(|run| vec![segment(run)]);
        seal(&mut group, arm, record, &runs.collect::<Vec<_>>());
    }
    group.finish();

    let mut group = self::group(criterion, "aead/seal-scattered", arm);
    seal(&mut group, arm, SCATTERED, &scattered(memory));
    group.finish();

    // The null cipher has nothing to open.
    if backend.has_cipher() {
        let mut group = self::group(criterion, "aead/open", arm);
        for record in RECORDS {
            open(&mut group, arm, record, memory);
        }
        group.finish();
    }
}

/// Software gets fewer samples: it is slow, and steadier for it.
fn group<'a>(
    criterion: &'a mut Criterion<ThreadClock>,
    name: &str,
    arm: Arm,
) -> BenchmarkGroup<'a, ThreadClock> {
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(200));
    if arm.is_software() {
        group
            .sample_size(10)
            .measurement_time(Duration::from_millis(700));
    } else {
        group
            .sample_size(30)
            .measurement_time(Duration::from_millis(1200));
    }
    group
}

fn segment(run: &[u8]) -> Segment {
    // SAFETY: `main` keeps the memory for as long as anything is measured, and nothing writes it
    // while it is sealed.
    unsafe { Segment::new(run.as_ptr(), run.len()) }
}

/// Records of single pages, shuffled over all of memory.
fn scattered(memory: &[u8]) -> Vec<Vec<Segment>> {
    let mut pages: Vec<Segment> = memory.chunks_exact(PAGE_SIZE).map(segment).collect();
    let mut state = 1u64;
    for at in (1..pages.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        pages.swap(at, (state >> 33) as usize % (at + 1));
    }
    pages
        .chunks_exact(SCATTERED / PAGE_SIZE)
        .map(<[Segment]>::to_vec)
        .collect()
}

/// What a context needs, made once for all samples: a sample goes on where the last one ended.
struct Keyed {
    secret: Arc<MigrationSecret>,
    sealer: Sealer,
    sequence: SealSequence,
    limits: KeyLimits,
}

impl Keyed {
    fn new(backend: Backend) -> Self {
        let secret = Arc::new(MigrationSecret::generate().expect("a key"));
        let limits = KeyLimits::for_streams(1);
        Keyed {
            sealer: Sealer::new(backend, secret.clone()).expect("a cipher"),
            sequence: SealSequence::new(&secret, 0, FlowDirection::ToDestination, limits)
                .expect("a secret that nobody seals with"),
            secret,
            limits,
        }
    }

    fn seal(&mut self, record: usize, pages: &[Segment], out: &mut [u8]) -> usize {
        let slot = self.sequence.next(record).expect("a slot");
        self.sealer
            .seal(slot, &AAD, &[], pages, out)
            .expect("a sealed record")
    }
}

fn seal(
    group: &mut BenchmarkGroup<'_, ThreadClock>,
    arm: Arm,
    record: usize,
    records: &[Vec<Segment>],
) {
    let mut keyed = Keyed::new(arm.backend());
    let mut out = vec![0; record + TAG_LEN];
    let mut next = records.iter().cycle();
    group.throughput(Throughput::Bytes(record as u64));
    group.bench_function(BenchmarkId::new(arm.name(), record), |bencher| {
        bencher.iter(|| {
            let pages = next.next().expect("a cycle does not end");
            keyed.seal(record, pages, &mut out)
        });
    });
}

/// Opens one sealed record to all of `memory`, in order. Where the library opens in place, copies of it that fill
/// `memory`; when all are used up, they are made anew, outside the time that counts.
fn open(group: &mut BenchmarkGroup<'_, ThreadClock>, arm: Arm, record: usize, memory: &mut [u8]) {
    let mut keyed = Keyed::new(arm.backend());
    let mut sealed = vec![0; record + TAG_LEN];
    keyed.seal(record, &[segment(&memory[..record])], &mut sealed);
    let mut opener = Opener::new(arm.backend(), keyed.secret.clone()).expect("a cipher");
    let first_slot = || {
        OpenSequence::new(&keyed.secret, 0, FlowDirection::ToDestination, keyed.limits)
            .next(record)
            .expect("a slot")
    };
    group.throughput(Throughput::Bytes(record as u64));
    let mut segments = Vec::with_capacity(1);
    let mut open_to = |to: &mut [u8], sealed: &mut [u8]| {
        let (start, len) = (to.as_mut_ptr().cast_const(), to.len());
        // SAFETY: of memory that is borrowed, and not accessed otherwise, for as long as this takes.
        let mut place =
            |_: &[u8], pages: &mut Vec<Segment>| pages.push(unsafe { Segment::new(start, len) });
        // SAFETY: as above.
        let mut placing = unsafe { Placing::new(0, &mut place, &mut segments) };
        let opened = opener.open_placing(first_slot(), &AAD, sealed, &mut placing);
        opened.expect("an authentic record");
        !segments.is_empty()
    };
    if open_to(&mut memory[..record], &mut sealed.clone()) {
        let mut at = 0;
        group.bench_function(BenchmarkId::new(arm.name(), record), |bencher| {
            bencher.iter(|| {
                at = if at + 2 * record > memory.len() {
                    0
                } else {
                    at + record
                };
                open_to(&mut memory[at..at + record], &mut sealed)
            });
        });
        return;
    }
    // Whole blocks apart, as buffers of their own would be.
    let stride = record + 64;
    let count = memory.len() / stride;
    let mut at = count;
    group.bench_function(BenchmarkId::new(arm.name(), record), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                if at == count {
                    for copy in memory.chunks_exact_mut(stride) {
                        copy[..sealed.len()].copy_from_slice(&sealed);
                    }
                    at = 0;
                }
                let now = (count - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                let start = ThreadClock.start();
                for copy in memory[at * stride..].chunks_exact_mut(stride).take(now) {
                    opener
                        .open_in_place(first_slot(), &AAD, &mut copy[..record + TAG_LEN])
                        .expect("an authentic record");
                }
                time += ThreadClock.end(start);
                at += now;
                left -= now as u64;
            }
            time
        });
    });
}
