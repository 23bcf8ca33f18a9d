//! Heads of records: encoding with checksum, decoding with every check, by number of runs.

use criterion::{BenchmarkId, Criterion, Throughput};
use migtax::memory::PageRun;
use migtax::wire::{AAD_LEN, Bounds, Head, RecordKind, verify_checksum, write_checksum};

fn main() {
    let font = dejavu::sans::regular();
    plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font)
        .unwrap_or_else(|_| panic!("the font that the crate carries is a font"));
    let mut criterion = Criterion::default().configure_from_args();
    let bounds = Bounds {
        guest_pages: 1 << 20,
        record: 16 << 20,
    };
    let aad = [7; AAD_LEN];
    let mut group = criterion.benchmark_group("wire");
    for count in [1u64, 64, 4096] {
        let runs: Vec<PageRun> = (0..count)
            .map(|run| PageRun {
                first: run * 3,
                pages: 1,
            })
            .collect();
        let head = Head {
            kind: RecordKind::Pages,
            is_packed: false,
            round: 1,
            sequence: 9,
            data_runs: count as u32,
            zero_runs: 0,
            payload: count as u32 * 4096,
        };
        let mut bytes = Vec::new();
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("encode", count), |bencher| {
            bencher.iter(|| {
                head.encode(&runs, &[], &mut bytes);
                write_checksum(&aad, &mut bytes, &[]);
            });
        });
        group.bench_function(BenchmarkId::new("decode", count), |bencher| {
            bencher.iter(|| {
                verify_checksum(&aad, &bytes, &[]).expect("it was written above");
                let head = Head::decode(&bytes, &bounds).expect("it was written above");
                head.data(&bytes).map(|run| run.first).sum::<u64>()
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
