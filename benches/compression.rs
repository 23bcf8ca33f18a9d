//! The compressors by themselves, over the pages that a guest of a scenario's default content sends, in the
//! clock in which a migration's `compress_s` and `decompress_s` are counted.
//!
//! Only calls of the crates are timed: what a migration's stages take beyond is this program's own.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use migtax::compression::{Compression, room};
use migtax::guest::content::{self, ContentSpec};
use migtax::machine::clock::thread_cpu_ns;
use migtax::memory::GuestMemory;
use migtax::units::{PAGE_SIZE, Size};

/// Guest memory, more than the caches hold.
const MEMORY: u64 = 192 << 20;
/// Bytes of page payload in a record: the default of scenarios.
const RECORD: usize = 256 << 10;

/// Content of pages that are not zero, record after record.
fn records() -> Vec<u8> {
    let memory = GuestMemory::new(Size(MEMORY), false).expect("memory for a guest");
    content::fill(&memory, &ContentSpec::default(), 1);
    let mut all = Vec::with_capacity(MEMORY as usize);
    let mut page = vec![0; PAGE_SIZE];
    for number in 0..memory.pages() {
        if !memory.is_zero(number) {
            memory.copy_out(number, &mut page);
            all.extend_from_slice(&page);
        }
    }
    all.truncate(all.len() / RECORD * RECORD);
    all
}

/// Times `work` on the thread's own clock, on one record after the other.
fn timed<T>(records: &[T], at: &mut usize, iterations: u64, mut work: impl FnMut(&T)) -> Duration {
    let began = thread_cpu_ns();
    for _ in 0..iterations {
        work(&records[*at % records.len()]);
        *at += 1;
    }
    Duration::from_nanos(thread_cpu_ns() - began)
}

fn main() {
    let font = dejavu::sans::regular();
    plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font)
        .unwrap_or_else(|_| panic!("the font that the crate carries is a font"));
    let mut criterion = Criterion::default().configure_from_args();
    let all = records();
    let contents: Vec<&[u8]> = all.chunks_exact(RECORD).collect();
    let kinds = [
        Compression::Lz4,
        Compression::Zstd { level: 1 },
        Compression::Zstd { level: 3 },
    ];
    for kind in kinds {
        let mut packed = room(kind, RECORD);
        let mut table = lz4_flex::block::CompressTable::default();
        let mut zstd = match kind {
            Compression::Zstd { level } => {
                Some(zstd::bulk::Compressor::new(level).expect("memory"))
            }
            _ => None,
        };
        let mut pack = |content: &[u8], packed: &mut [u8]| match &mut zstd {
            Some(zstd) => zstd.compress_to_buffer(content, packed).expect("room"),
            None => lz4_flex::block::compress_into_with_table(content, packed, &mut table)
                .expect("room"),
        };
        let sealed: Vec<Vec<u8>> = contents
            .iter()
            .map(|content| {
                let size = pack(content, &mut packed);
                packed[..size].to_vec()
            })
            .collect();
        let bytes: usize = sealed.iter().map(Vec::len).sum();
        eprintln!("{kind}: {bytes} of {} bytes", all.len());
        let mut at = 0;
        let mut group = criterion.benchmark_group("compression/pack");
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(2))
            .throughput(Throughput::Bytes(RECORD as u64));
        group.bench_function(BenchmarkId::new(kind.to_string(), RECORD), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(&contents, &mut at, iterations, |content| {
                    black_box(pack(content, &mut packed));
                })
            });
        });
        group.finish();
        let mut content = vec![0; RECORD];
        let mut unzstd = zstd::bulk::Decompressor::new().expect("memory");
        let mut group = criterion.benchmark_group("compression/unpack");
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(2))
            .throughput(Throughput::Bytes(RECORD as u64));
        group.bench_function(BenchmarkId::new(kind.to_string(), RECORD), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(&sealed, &mut at, iterations, |packed| {
                    let size = match kind {
                        Compression::Lz4 => {
                            lz4_flex::block::decompress_into(packed, &mut content).expect("its own")
                        }
                        _ => unzstd
                            .decompress_to_buffer(packed, &mut content)
                            .expect("its own"),
                    };
                    assert_eq!(size, RECORD);
                })
            });
        });
        group.finish();
    }
    criterion.final_summary();
}
