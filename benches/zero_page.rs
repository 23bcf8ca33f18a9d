//! What touching every page of guest memory costs: the zero test, copying in and out, filling,
//! hashing. All stride over 256 MiB, more than the caches hold, as the data path does.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use migtax::guest::content::{ContentSpec, fill};
use migtax::memory::GuestMemory;
use migtax::units::{PAGE_SIZE, Size};

/// Page content of one record of the default size.
const RECORD: usize = 256 << 10;

fn memory() -> GuestMemory {
    // A test run shows that the benches work, not how fast.
    let test = std::env::args().any(|arg| arg == "--test");
    let size = if test { 16 << 20 } else { 256 << 20 };
    GuestMemory::new(Size(size), false).expect("guest memory")
}

fn content(zero: f64, constant: f64, compressible: f64) -> ContentSpec {
    ContentSpec {
        zero,
        constant,
        compressible,
    }
}

fn zero_test(c: &mut Criterion, memory: &GuestMemory) {
    let pages = memory.pages();
    let mut group = c.benchmark_group("zero_page");
    group.throughput(Throughput::Elements(pages));
    let prepare: [(&str, &dyn Fn(), u64); 4] = [
        ("random", &|| fill(memory, &content(0.0, 0.0, 0.0), 1), 0),
        ("zero", &|| memory.zero_pages(0, pages), pages),
        (
            "only the last word set",
            &|| (0..pages).for_each(|page| memory.write_word(page, PAGE_SIZE - 8, 1)),
            0,
        ),
        (
            "only the second word set",
            &|| {
                memory.zero_pages(0, pages);
                (0..pages).for_each(|page| memory.write_word(page, 8, 1));
            },
            0,
        ),
    ];
    for (name, prepare, expected) in prepare {
        prepare();
        group.bench_function(BenchmarkId::new("is_zero", name), |b| {
            b.iter(|| {
                let zero = (0..pages).filter(|page| memory.is_zero(*page)).count();
                assert_eq!(black_box(zero) as u64, expected);
            });
        });
    }
    memory.zero_pages(0, pages);
    group.bench_function("zero_pages/zero already", |b| {
        b.iter(|| memory.zero_pages(0, pages));
    });
    group.finish();
}

fn copy(c: &mut Criterion, memory: &GuestMemory) {
    fill(memory, &content(0.0, 0.0, 0.0), 1);
    let mut group = c.benchmark_group("guest_copy");
    group.throughput(Throughput::Bytes(memory.len() as u64));
    let mut record = vec![1; RECORD];
    let firsts = || (0..memory.pages()).step_by(RECORD / PAGE_SIZE);
    group.bench_function("copy_out", |b| {
        b.iter(|| firsts().for_each(|first| memory.copy_out(first, &mut record)));
    });
    group.bench_function("copy_in", |b| {
        b.iter(|| firsts().for_each(|first| memory.copy_in(first, &record)));
    });
    // The same by the C library's copy, which must not be far ahead.
    group.bench_function("memcpy_out", |b| {
        b.iter(|| {
            firsts().for_each(|first| {
                // SAFETY: a record's worth of pages follows `first`; nothing writes them here.
                unsafe {
                    record
                        .as_mut_ptr()
                        .copy_from(memory.page_ptr(first), RECORD)
                };
            });
        });
    });
    group.bench_function("memcpy_in", |b| {
        b.iter(|| {
            firsts().for_each(|first| {
                // SAFETY: as above, and nothing else reads or writes them here.
                unsafe { record.as_ptr().copy_to(memory.page_ptr(first), RECORD) };
            });
        });
    });
    group.finish();
}

/// On one thread, since the bar is per core; `hash` too.
fn fill_and_hash(c: &mut Criterion, memory: &GuestMemory) {
    let one = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("one thread");
    let mut group = c.benchmark_group("guest_fill");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(memory.len() as u64));
    let kinds = [
        ("random", content(0.0, 0.0, 0.0)),
        ("compressible", content(0.0, 0.0, 1.0)),
        ("constant", content(0.0, 1.0, 0.0)),
        ("default", ContentSpec::default()),
    ];
    for (name, content) in kinds {
        group.bench_function(name, |b| {
            b.iter(|| one.install(|| fill(memory, &content, 1)));
        });
    }
    group.bench_function("hash", |b| {
        b.iter(|| one.install(|| black_box(memory.hash())))
    });
    group.finish();
}

fn benches(c: &mut Criterion) {
    let memory = memory();
    zero_test(c, &memory);
    copy(c, &memory);
    fill_and_hash(c, &memory);
}

criterion_group! {
    name = zero_page;
    // Criterion's plots want a system font, which this project does not.
    config = Criterion::default().without_plots();
    targets = benches
}
criterion_main!(zero_page);
