//! Every stream model through the public interface: what all of them must keep.

use migtax::scenario;
use migtax::workload::{MergedStream, PageWrite, StreamSpec, WriteStream};

/// The stream of a scenario with the given tables.
fn spec(guest: &str, workload: &str) -> StreamSpec {
    let text = format!("name = \"t\"\n[guest]\n{guest}\n[workload]\n{workload}");
    scenario::parse("t", &text).unwrap()[0].stream_spec()
}

const ARRIVALS: &[&str] = &[
    "{ model = \"constant\" }",
    "{ model = \"poisson\" }",
    "{ model = \"on-off\", duty = 0.2, period = \"10ms\" }",
    "{ model = \"on-off\", duty = 0.2, period = \"10ms\", phases = \"exponential\" }",
    "{ model = \"on-off\", duty = 0.2, burstiness = 50, window = \"10ms\" }",
    "{ model = \"mmpp\", duty = 0.2, period = \"10ms\", low = 0.3 }",
    "{ model = \"pareto-on-off\", duty = 0.3, period = \"5ms\", longest = 100.0 }",
    "{ model = \"b-model\", b = 0.75, slot = \"1ms\", levels = 7 }",
];

const PLACEMENTS: &[&str] = &[
    "{ model = \"uniform\", working_set = 0.25 }",
    "{ model = \"zipf\", exponent = 0.99, working_set = 0.25 }",
    "{ model = \"hot-cold\", writes = 0.8, pages = 0.2, working_set = 0.5 }",
    "{ model = \"sweep\", working_set = 0.6 }",
    "{ model = \"moving-hot-set\", every = \"5ms\" }",
    "{ model = \"mixture\", parts = [{ share = 0.75, placement = { model = \"zipf\", working_set = 0.2 } }, { share = 0.25, placement = { model = \"sweep\", working_set = 0.9 } }] }",
];

/// CRC-32 of the first 50,000 writes: every arrival with uniform placement, then Poisson arrival
/// with every placement at 4 KiB and at 2 MiB.
const PINNED: &[&str] = &[
    "fc8c7378", "8223e35b", "ded7cf94", "97c66d7c", "b2c4ce26", "abde9b00", "4d60350f", "858f4f2b",
    "8223e35b", "18496fc4", "50dd52ef", "d70f11be", "3465aa69", "7f744f28", "9d61f15c", "1416ea9a",
    "9cee9453", "4a5e60c7", "d66d6054", "701373f5",
];

fn combination(arrival: &str, placement: &str, granularity: &str) -> (StreamSpec, String) {
    let workload = format!(
        "rate = \"100MiB/s\"\narrival = {arrival}\nplacement = {placement}\ngranularity = \"{granularity}\""
    );
    let spec = spec("memory = \"64MiB\"\nvcpus = 3", &workload);
    (spec, workload)
}

/// Every arrival with every placement, at both granularities.
fn conformance(mut check: impl FnMut(&StreamSpec, &str)) {
    for arrival in ARRIVALS {
        for placement in PLACEMENTS {
            for granularity in ["4KiB", "2MiB"] {
                let (spec, label) = combination(arrival, placement, granularity);
                check(&spec, &label);
            }
        }
    }
}

fn take(stream: &mut WriteStream, count: usize) -> Vec<PageWrite> {
    let mut out = Vec::new();
    stream.fill(&mut out, count);
    out
}

#[test]
fn times_never_decrease_and_pages_lie_in_the_guest() {
    conformance(|spec, label| {
        for vcpu in 0..3 {
            let writes = take(&mut WriteStream::new(spec, vcpu).unwrap(), 20_000);
            assert_eq!(writes.len(), 20_000, "{label}");
            assert!(writes.is_sorted_by_key(|w| w.at_ns), "{label}");
            let pages = spec.memory.pages();
            assert!(writes.iter().all(|w| w.page < pages), "{label}");
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_stream_in_any_batches() {
    conformance(|spec, label| {
        let whole = take(&mut WriteStream::new(spec, 1).unwrap(), 10_000);
        let mut pieces = Vec::new();
        let mut stream = WriteStream::new(spec, 1).unwrap();
        for size in [0, 1, 2, 700, 1, 3000, 6296] {
            stream.fill(&mut pieces, size);
        }
        assert_eq!(whole, pieces, "{label}");
        let mut other = spec.clone();
        other.seed += 1;
        let other = take(&mut WriteStream::new(&other, 1).unwrap(), 10_000);
        assert_ne!(whole, other, "{label}");
        let neighbour = take(&mut WriteStream::new(spec, 2).unwrap(), 10_000);
        assert_ne!(whole, neighbour, "{label}");
    });
}

#[test]
fn skipping_changes_nothing_that_follows() {
    conformance(|spec, label| {
        let whole = take(&mut WriteStream::new(spec, 0).unwrap(), 30_000);
        let mut stream = WriteStream::new(spec, 0).unwrap();
        let mut from = 0;
        for at in [
            0,
            whole[5].at_ns,
            whole[17].at_ns,
            whole[9000].at_ns + 1,
            whole[9001].at_ns,
        ] {
            stream.skip_to(at);
            from = from.max(whole.partition_point(|w| w.at_ns < at));
            assert_eq!(take(&mut stream, 3), whole[from..from + 3], "{label}");
            from += 3;
        }
    });
}

#[test]
fn the_mean_rate_is_the_one_asked_for() {
    // 25600 writes/s over 64 s. Exponential phases of 10 ms in the mean leave a standard error of
    // 1.4%, all else one below 0.1%.
    for arrival in ARRIVALS {
        let (spec, label) = combination(arrival, PLACEMENTS[0], "4KiB");
        let label = label.as_str();
        let mut merged = MergedStream::new(&spec).unwrap();
        let until = 64_000_000_000;
        let mut count = 0u64;
        while merged.next_until(until).is_some() {
            count += 1;
        }
        let expected = 25_600.0 * 64.0;
        let error = (count as f64 / expected - 1.0).abs();
        let tolerance = match label {
            // 64 s are 500 spans of the b-model.
            _ if label.contains("constant") || label.contains("b-model") => 0.0,
            _ if label.contains("exponential") || label.contains("mmpp") => 0.06,
            _ if label.contains("pareto") => 0.10,
            _ => 0.005,
        };
        assert!(error <= tolerance, "{label}: {count} of {expected}");
    }
}

#[test]
fn the_merged_stream_is_every_vcpus_in_order() {
    conformance(|spec, label| {
        let mut merged = MergedStream::new(spec).unwrap();
        let mut all = Vec::new();
        while let Some(write) = merged.next_until(300_000_000) {
            all.push(write);
        }
        assert!(
            all.is_sorted_by_key(|(vcpu, w)| (w.at_ns, *vcpu)),
            "{label}"
        );
        for vcpu in 0..3 {
            let own: Vec<PageWrite> = all
                .iter()
                .filter(|(v, _)| *v == vcpu)
                .map(|(_, w)| *w)
                .collect();
            let stream = take(&mut WriteStream::new(spec, vcpu).unwrap(), own.len());
            assert_eq!(own, stream, "{label}");
        }
        // What was not yet due is still there, and skipping drops exactly what lies before.
        let next = merged.next_until(u64::MAX).unwrap();
        assert!(next.1.at_ns >= 300_000_000, "{label}");
        let mut skipped = MergedStream::new(spec).unwrap();
        skipped.skip_to(300_000_000);
        assert_eq!(skipped.next_until(u64::MAX), Some(next), "{label}");
    });
}

#[test]
fn an_idle_guest_writes_nothing() {
    let spec = spec("vcpus = 2", "rate = \"0MiB/s\"");
    let mut stream = WriteStream::new(&spec, 0).unwrap();
    stream.skip_to(1_000_000);
    assert!(take(&mut stream, 10).is_empty());
    let mut merged = MergedStream::new(&spec).unwrap();
    assert!(merged.next_until(u64::MAX).is_none());
}

#[test]
fn a_guest_of_terabytes_needs_no_memory() {
    let spec = spec(
        "memory = \"24TiB\"",
        "rate = \"1GiB/s\"\nplacement = { model = \"zipf\", working_set = 1.0 }",
    );
    let writes = take(&mut WriteStream::new(&spec, 0).unwrap(), 10_000);
    let far = writes.iter().filter(|w| w.page > 1 << 32).count();
    assert!(far > 1000, "{far} writes above 16 TiB");
}

/// Pins the streams: a change of the generator changes every virtual-clock result.
#[test]
fn streams_are_pinned() {
    let by_arrival = ARRIVALS.iter().map(|a| (*a, PLACEMENTS[0], "4KiB"));
    let by_placement = PLACEMENTS
        .iter()
        .flat_map(|p| ["4KiB", "2MiB"].map(|g| (ARRIVALS[1], *p, g)));
    let sums: Vec<String> = by_arrival
        .chain(by_placement)
        .map(|(arrival, placement, granularity)| {
            let (spec, _) = combination(arrival, placement, granularity);
            let mut hasher = crc32fast::Hasher::new();
            for write in take(&mut WriteStream::new(&spec, 1).unwrap(), 50_000) {
                hasher.update(&write.at_ns.to_le_bytes());
                hasher.update(&write.page.to_le_bytes());
                hasher.update(&write.value.to_le_bytes());
            }
            format!("{:08x}", hasher.finalize())
        })
        .collect();
    assert_eq!(sums.join(" "), PINNED.join(" "));
}
