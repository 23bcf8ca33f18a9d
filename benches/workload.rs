//! How fast streams are generated: page writes per second on one core, by model. The generator
//! must never be what limits a vCPU: 20 million a second at least, traces aside.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use migtax::scenario;
use migtax::workload::{MergedStream, StreamSpec, WriteStream};

/// Writes per batch, as a vCPU takes them.
const BATCH: usize = 4096;

const ARRIVALS: &[(&str, &str)] = &[
    ("constant", "{ model = \"constant\" }"),
    ("poisson", "{ model = \"poisson\" }"),
    (
        "on-off",
        "{ model = \"on-off\", duty = 0.2, period = \"10ms\" }",
    ),
    (
        "mmpp",
        "{ model = \"mmpp\", duty = 0.2, period = \"10ms\" }",
    ),
    (
        "pareto-on-off",
        "{ model = \"pareto-on-off\", duty = 0.2, period = \"10ms\" }",
    ),
    ("b-model", "{ model = \"b-model\", b = 0.7 }"),
];

const PLACEMENTS: &[(&str, &str)] = &[
    ("uniform", "{ model = \"uniform\" }"),
    ("zipf", "{ model = \"zipf\", working_set = 0.7 }"),
    ("hot-cold", "{ model = \"hot-cold\", working_set = 0.7 }"),
    ("sweep", "{ model = \"sweep\" }"),
    (
        "moving-hot-set",
        "{ model = \"moving-hot-set\", working_set = 0.7 }",
    ),
    (
        "mixture",
        "{ model = \"mixture\", parts = [{ share = 0.5, placement = { model = \"zipf\", working_set = 0.3 } }, { share = 0.5, placement = { model = \"sweep\", working_set = 0.5 } }] }",
    ),
];

fn parse(memory: &str, arrival: &str, placement: &str) -> StreamSpec {
    let text = format!(
        "name = \"bench\"\n[guest]\nmemory = \"{memory}\"\n[workload]\nrate = \"1GiB/s\"\narrival = {arrival}\nplacement = {placement}"
    );
    scenario::parse("bench", &text).unwrap_or_else(|e| panic!("{e}"))[0].stream_spec()
}

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("workload");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut bench = |name: String, spec: &StreamSpec| {
        let mut stream = WriteStream::new(spec, 0).unwrap_or_else(|e| panic!("{e}"));
        let mut batch = Vec::with_capacity(BATCH);
        group.bench_function(name, |b| {
            b.iter(|| {
                batch.clear();
                stream.fill(&mut batch, BATCH);
                black_box(&batch);
            });
        });
    };
    for (name, arrival) in ARRIVALS {
        bench(
            format!("{name}/uniform"),
            &parse("1GiB", arrival, PLACEMENTS[0].1),
        );
    }
    for (name, placement) in &PLACEMENTS[1..] {
        bench(
            format!("poisson/{name}"),
            &parse("1GiB", ARRIVALS[1].1, placement),
        );
    }
    // The cost of zipf does not grow with the guest.
    bench(
        "poisson/zipf-24TiB".to_owned(),
        &parse("24TiB", ARRIVALS[1].1, PLACEMENTS[1].1),
    );
    group.finish();
}

fn merged(c: &mut Criterion) {
    let mut group = c.benchmark_group("workload-merged");
    group.throughput(Throughput::Elements(BATCH as u64));
    for vcpus in [1, 4, 64] {
        let mut spec = parse("1GiB", ARRIVALS[1].1, PLACEMENTS[1].1);
        spec.vcpus = vcpus;
        let mut stream = MergedStream::new(&spec).unwrap_or_else(|e| panic!("{e}"));
        group.bench_function(format!("{vcpus}-vcpus"), |b| {
            b.iter(|| {
                for _ in 0..BATCH {
                    black_box(stream.next_until(u64::MAX));
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    // Criterion's own charts need a font that the machine may not have.
    config = Criterion::default().without_plots();
    targets = stream, merged
}
criterion_main!(benches);
