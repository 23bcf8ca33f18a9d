//! How sealing scales over workers: the same records by one and by two rayon threads, wall time.
//!
//! 256 KiB records from 256 MiB of guest memory, more than caches hold. Two workers on two
//! otherwise idle cores should come close to twice one; what is missing is memory bandwidth.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use migtax::arm::Arm;
use migtax::crypto::{
    self, FlowDirection, KeyLimits, MigrationSecret, SealSequence, Sealer, TAG_LEN,
};
use migtax::memory::{GuestMemory, Segment};
use migtax::units::{PAGE_SIZE, Size};

const RECORD: usize = 256 << 10;
/// Records sealed at once, whatever the number of workers.
const BATCH: usize = 16;

fn main() {
    let font = dejavu::sans::regular();
    plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font)
        .unwrap_or_else(|_| panic!("the font that the crate carries is a font"));
    let mut criterion = Criterion::default().configure_from_args();
    let memory = GuestMemory::new(Size(256 << 20), false).expect("256 MiB are there");
    let records = memory.len() / RECORD;
    let mut group = criterion.benchmark_group("seal_workers");
    group.throughput(Throughput::Bytes((BATCH * RECORD) as u64));
    for arm in [Arm::COPY, Arm::foremost()] {
        if crypto::supported(arm).is_err() {
            continue;
        }
        for workers in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(workers)
                .build()
                .expect("two threads are there");
            let secret = Arc::new(MigrationSecret::generate().expect("the generator works"));
            let mut sequence = SealSequence::new(
                &secret,
                0,
                FlowDirection::ToDestination,
                KeyLimits::for_streams(1),
            )
            .expect("a fresh secret");
            let mut threads: Vec<(Sealer, Vec<u8>)> = (0..BATCH)
                .map(|_| {
                    let sealer =
                        Sealer::new(arm.backend(), secret.clone()).expect("it is supported");
                    (sealer, vec![0; RECORD + TAG_LEN])
                })
                .collect();
            let mut next = 0;
            group.bench_function(BenchmarkId::new(arm.name(), workers), |bencher| {
                bencher.iter(|| {
                    pool.in_place_scope(|scope| {
                        for (sealer, out) in &mut threads {
                            let page = (next % records * (RECORD / PAGE_SIZE)) as u64;
                            next += 1;
                            // SAFETY: `memory` outlives the scope, and nobody writes to it.
                            let segment =
                                unsafe { Segment::new(memory.page_ptr(page).cast_const(), RECORD) };
                            let slot = sequence.next(RECORD).expect("far from any limit");
                            scope.spawn(move |_| {
                                sealer
                                    .seal(slot, &[], &[], &[segment], out)
                                    .expect("the output is large enough");
                            });
                        }
                    });
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
