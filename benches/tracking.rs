//! What trackers cost: harvesting, the first write to a protected page, starting.
//!
//! The guest has 1 GiB, or what `MIGTAX_BENCH_MEMORY` says (`8GiB`). The rows `userfaultfd-huge` begin
//! each measured part with all memory mapped by huge pages, which writes to protected ones split.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use migtax::memory::GuestMemory;
use migtax::tracking::{self, Tracker, TrackerKind, TrackerSpec};
use migtax::units::Size;

struct Subject {
    name: String,
    memory: Arc<GuestMemory>,
    tracker: Arc<dyn Tracker>,
    huge_pages: bool,
}

/// Maps memory by huge pages again (Linux 6.1); from `asm-generic/mman-common.h`.
const MADV_COLLAPSE: libc::c_int = 25;

impl Subject {
    /// Maps all of memory by huge pages.
    fn collapse(&self) -> std::io::Result<()> {
        let start = self.memory.base_ptr().cast();
        // SAFETY: all of guest memory; its content stays.
        match unsafe { libc::madvise(start, self.memory.len(), MADV_COLLAPSE) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Starts the tracker anew, over huge pages if the subject is about them.
    fn restart(&self) {
        if self.huge_pages {
            self.tracker.stop().expect("stop");
            self.collapse().expect("huge pages");
        }
        self.tracker.start().expect("start");
    }

    /// Dirties every `stride`-th page.
    fn write(&self, stride: u64) {
        for page in (0..self.memory.pages()).step_by(stride as usize) {
            self.memory.write_word(page, 0, page);
            self.tracker.mark(page);
        }
    }
}

fn size() -> Size {
    match std::env::var("MIGTAX_BENCH_MEMORY") {
        Ok(text) => text.parse().expect("MIGTAX_BENCH_MEMORY"),
        // A test run shows that the benches work, not how fast.
        Err(_) if std::env::args().any(|arg| arg == "--test") => Size(64 << 20),
        Err(_) => Size(1 << 30),
    }
}

/// The subject is made when its benches run and freed after them, so that one guest exists at once.
fn each_subject(mut bench: impl FnMut(&Subject)) {
    let trackers = [
        (TrackerSpec::Bitmap, false),
        (TrackerSpec::Userfaultfd, false),
        (TrackerSpec::Userfaultfd, true),
    ];
    for (kind, reason) in tracking::available() {
        if let Err(reason) = reason {
            eprintln!("{kind} is not measured: {reason}");
        }
    }
    for (spec, huge_pages) in trackers {
        let memory = Arc::new(GuestMemory::new(size(), huge_pages).expect("guest memory"));
        let Ok(tracker) = tracking::open(spec, &memory) else {
            continue;
        };
        let suffix = if huge_pages { "-huge" } else { "" };
        let subject = Subject {
            name: format!("{}{suffix}", tracker.kind()),
            memory,
            tracker,
            huge_pages,
        };
        if huge_pages && let Err(error) = subject.collapse() {
            eprintln!("{} is not measured: {error}", subject.name);
            continue;
        }
        subject.write(1);
        subject.restart();
        bench(&subject);
    }
}

/// Time of `iterations` timed parts, each after a preparation that does not count.
fn timed(iterations: u64, mut prepare: impl FnMut(), mut measured: impl FnMut()) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        prepare();
        let start = Instant::now();
        measured();
        total += start.elapsed();
    }
    total
}

fn harvest(c: &mut Criterion, subject: &Subject) {
    let mut group = c.benchmark_group("tracking");
    group.sample_size(10);
    let pages = subject.memory.pages();
    let mut runs = Vec::new();
    // name, every how many pages one is dirty; 0: none
    for (name, stride) in [("clean", 0), ("0.01%", 10_000), ("1%", 100), ("100%", 1)] {
        let dirty = if stride == 0 {
            0
        } else {
            pages.div_ceil(stride)
        };
        let id = BenchmarkId::new(format!("harvest/{}", subject.name), name);
        group.throughput(Throughput::Elements(pages));
        group.bench_function(id, |b| {
            subject.restart();
            b.iter_custom(|iterations| {
                let prepare = || {
                    if subject.huge_pages {
                        subject.restart();
                    }
                    if stride > 0 {
                        subject.write(stride);
                    }
                };
                timed(iterations, prepare, || {
                    let found = subject.tracker.harvest(&mut runs).expect("harvest");
                    assert_eq!(black_box(found), dirty);
                })
            });
        });
    }
    group.finish();
}

fn write(c: &mut Criterion, subject: &Subject) {
    let mut group = c.benchmark_group("tracking");
    group.sample_size(10);
    group.throughput(Throughput::Elements(subject.memory.pages()));
    group.bench_function(BenchmarkId::new("first-write", &subject.name), |b| {
        let prepare = || subject.restart();
        b.iter_custom(|iterations| timed(iterations, prepare, || subject.write(1)));
    });
    group.bench_function(BenchmarkId::new("second-write", &subject.name), |b| {
        subject.write(1);
        b.iter_custom(|iterations| timed(iterations, || {}, || subject.write(1)));
    });
    group.bench_function(BenchmarkId::new("start", &subject.name), |b| {
        let prepare = || {
            // Nothing is protected, and huge pages are whole.
            subject.restart();
            subject.tracker.stop().expect("stop");
        };
        let start = || subject.tracker.start().expect("start");
        b.iter_custom(|iterations| timed(iterations, prepare, start));
    });
    if subject.tracker.kind() == TrackerKind::Userfaultfd {
        subject.tracker.stop().expect("stop");
        group.bench_function(BenchmarkId::new("untracked-write", &subject.name), |b| {
            b.iter_custom(|iterations| timed(iterations, || {}, || subject.write(1)));
        });
    }
    group.finish();
}

fn benches(c: &mut Criterion) {
    each_subject(|subject| {
        harvest(c, subject);
        write(c, subject);
    });
}

criterion_group! {
    name = tracking_benches;
    // Criterion's plots want a system font, which this project does not.
    config = Criterion::default().without_plots();
    targets = benches
}
criterion_main!(tracking_benches);
