//! The streams against theory, over many seeds: dispersion, distinct pages, totals, shares.

use migtax::scenario;
use migtax::units::Span;
use migtax::workload::measure::{Measurement, measure};
use migtax::workload::{ArrivalLaw, MergedStream, StreamSpec, theory};

/// 2560 page writes a second.
const RATE: &str = "10MiB/s";

fn stream(arrival: &str, placement: &str, seed: u64) -> StreamSpec {
    let text = format!(
        "name = \"t\"\n[guest]\nmemory = \"64MiB\"\nvcpus = 2\nseed = {seed}\n[workload]\nrate = \"{RATE}\"\narrival = {arrival}\nplacement = {placement}"
    );
    scenario::parse("t", &text).unwrap()[0].stream_spec()
}

const UNIFORM: &str = "{ model = \"uniform\", working_set = 0.25 }";

fn spans(texts: &[&str]) -> Vec<Span> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

fn measured(spec: &StreamSpec, windows: &[&str], duration: &str) -> Measurement {
    measure("t", spec, &spans(windows), duration.parse().unwrap()).unwrap()
}

/// Measures a stream under several seeds.
fn over_seeds(arrival: &str, windows: &[&str], duration: &str, seeds: u64) -> Vec<Measurement> {
    (1..=seeds)
        .map(|seed| measured(&stream(arrival, UNIFORM, seed), windows, duration))
        .collect()
}

/// Mean over the seeds of a property of window size `i`.
fn mean(
    all: &[Measurement],
    i: usize,
    of: impl Fn(&migtax::workload::measure::WindowStats) -> f64,
) -> f64 {
    all.iter().map(|m| of(&m.windows[i])).sum::<f64>() / all.len() as f64
}

#[track_caller]
fn assert_near(found: f64, expected: f64, tolerance: f64, label: &str) {
    let error = (found / expected - 1.0).abs();
    assert!(error <= tolerance, "{label}: {found}, expected {expected}");
}

#[test]
fn dispersion_follows_the_formulas_at_every_window() {
    // 10 seeds x 200 s: at most 1% of standard error up to 100 ms, 4% at 1 s.
    let models = [
        "{ model = \"poisson\" }",
        "{ model = \"on-off\", duty = 0.2, period = \"31700us\" }",
        "{ model = \"on-off\", duty = 0.3, period = \"30ms\", phases = \"exponential\" }",
        "{ model = \"mmpp\", duty = 0.25, period = \"40ms\", low = 0.5 }",
        "{ model = \"pareto-on-off\", duty = 0.3, period = \"10ms\", longest = 100.0 }",
    ];
    for model in models {
        let all = over_seeds(model, &["1ms", "10ms", "100ms", "1s"], "200s", 10);
        for (i, tolerance) in [0.04, 0.04, 0.05, 0.15].into_iter().enumerate() {
            let expected = all[0].windows[i].idc_writes_theory.unwrap();
            let label = format!("{model} {} s", all[0].windows[i].window_s);
            assert_near(mean(&all, i, |w| w.idc_writes), expected, tolerance, &label);
        }
    }
    let all = over_seeds("{ model = \"constant\" }", &["10ms", "1s"], "20s", 1);
    for w in &all[0].windows {
        assert!((w.idc_writes - w.idc_writes_theory.unwrap()).abs() < 0.01);
        assert!(w.idc_writes < 0.03);
    }
}

#[test]
fn the_mmpp_formula_is_the_published_one() {
    // Rates l0, l1, exit rates s0, s1: IDC(t) = 1 + A (1 - (1 - e^-kt) / kt), k = s0 + s1,
    // A = 2 (l0 - l1)^2 s0 s1 / (k^2 (l0 s1 + l1 s0)).
    let per_second = 2560.0;
    for (duty, low, period_s) in [(0.2f64, 0.0f64, 0.05f64), (0.5, 0.3, 0.2), (0.05, 0.9, 1.0)] {
        let text = format!(
            "{{ model = \"mmpp\", duty = {duty}, low = {low:?}, period = \"{}ms\" }}",
            period_s * 1e3
        );
        let law = ArrivalLaw::of(&stream(&text, UNIFORM, 1)).unwrap();
        let l1 = low * per_second;
        let l0 = (per_second - l1 * (1.0 - duty)) / duty;
        let (s0, s1) = (1.0 / (duty * period_s), 1.0 / ((1.0 - duty) * period_s));
        let k = s0 + s1;
        let a = 2.0 * (l0 - l1).powi(2) * s0 * s1 / (k * k * (l0 * s1 + l1 * s0));
        for t in [1e-4, 1e-2, 0.1, 10.0, 3000.0] {
            let published = 1.0 + a * (1.0 - (1.0 - f64::exp(-k * t)) / (k * t));
            let ours = theory::idc(&law, per_second, (t * 1e9) as u64).unwrap();
            assert_near(ours, published, 1e-6, &format!("{text} at {t} s"));
        }
    }
}

#[test]
fn the_b_model_has_its_variation_its_peak_and_its_b() {
    for b in [0.6f64, 0.7, 0.8] {
        // Slots of 1.25 ms, spans of 160 ms. At 640 MiB/s a slot holds 204.8 writes in the mean.
        let text = format!("{{ model = \"b-model\", b = {b}, slot = \"1250us\", levels = 7 }}");
        let mut spec = stream(&text, UNIFORM, 5);
        spec.rate = "640MiB/s".parse().unwrap();
        let windows = ["1250us", "10ms", "80ms", "160ms"];
        let m = measured(&spec, &windows, "8s");
        for (w, levels) in m.windows.iter().zip([7, 4, 1, 0]) {
            let cv2 = (2.0 * (b * b + (1.0 - b) * (1.0 - b))).powi(levels) - 1.0;
            let expected = w.mean_writes * cv2;
            assert_eq!(w.idc_writes_theory.unwrap(), theory_of(&m, w.window_s));
            // Every span has the same variation, so only the rounding to whole writes differs.
            assert!(
                (w.idc_writes - expected).abs() < 0.02 * expected + 0.05,
                "b {b}, {} s: {} of {expected}",
                w.window_s,
                w.idc_writes
            );
            let peak = (2.0 * b).powi(levels);
            assert_near(w.peak_to_mean, peak, 0.03, &format!("peak, b {b}"));
        }
        assert_near(m.b.unwrap(), b, 0.02, "b");
    }
}

fn theory_of(m: &Measurement, window_s: f64) -> f64 {
    m.windows
        .iter()
        .find(|w| w.window_s == window_s)
        .and_then(|w| w.idc_writes_theory)
        .unwrap()
}

#[test]
fn a_requested_burstiness_is_the_measured_one() {
    let models = [
        "{ model = \"on-off\", duty = 0.2, ",
        "{ model = \"on-off\", period = \"330ms\", ",
        "{ model = \"on-off\", duty = 0.2, phases = \"exponential\", ",
        "{ model = \"mmpp\", duty = 0.2, ",
        "{ model = \"mmpp\", period = \"30ms\", low = 0.1, ",
        "{ model = \"pareto-on-off\", duty = 0.2, longest = 100.0, ",
        "{ model = \"b-model\", ",
    ];
    for model in models {
        for burstiness in [4.0, 40.0] {
            let text = format!("{model} burstiness = {burstiness:?}, window = \"100ms\" }}");
            // 8 seeds x 200 s: 16,000 windows, 1.1% of standard error if they are independent.
            let all = over_seeds(&text, &["100ms"], "200s", 8);
            let found = mean(&all, 0, |w| w.idc_writes);
            assert_near(found, burstiness, 0.05, &text);
            let rate = all.iter().map(|m| m.rate_bytes_per_s).sum::<f64>() / 8.0;
            assert_near(rate, 10.0 * 1024.0 * 1024.0, 0.02, &text);
        }
    }
}

#[test]
fn sweeping_burstiness_holds_rate_total_and_working_set() {
    let text = format!(
        "name = \"t\"\n[guest]\nmemory = \"64MiB\"\nvcpus = 3\n[workload]\nrate = \"{RATE}\"\narrival = {{ model = \"b-model\", burstiness = [0, 1, 10, 100, 1000] }}\nplacement = {UNIFORM}"
    );
    let points = scenario::parse("t", &text).unwrap();
    assert_eq!(points.len(), 5);
    for point in &points {
        assert_eq!(point.point.len(), 1);
        // Ten spans of 12.8 s.
        let m = measured(&point.stream_spec(), &["100ms"], "128s");
        assert_eq!(m.writes, 327_680);
        assert_eq!(m.working_set_bytes, 16 << 20);
    }
    for window in ["1250us", "30ms", "100us"] {
        let text = format!(
            "name = \"t\"\n[workload]\narrival = {{ model = \"b-model\", burstiness = 2, window = \"{window}\" }}"
        );
        let error = scenario::parse("t", &text).unwrap_err().to_string();
        assert!(error.contains("power of two"), "{error}");
    }
}

#[test]
fn distinct_pages_of_uniform_writing_follow_theory_within_a_percent() {
    let all = over_seeds(
        "{ model = \"poisson\" }",
        &["100ms", "1s", "10s"],
        "100s",
        8,
    );
    for i in 0..3 {
        let w = &all[0].windows[i];
        // N (1 - e^(-w T / N)) with N = 4096 and w = 2560/s.
        let expected = 4096.0 * (1.0 - f64::exp(-2560.0 * w.window_s / 4096.0));
        assert_near(
            w.mean_distinct_pages_theory.unwrap(),
            expected,
            1e-9,
            "formula",
        );
        assert_near(
            mean(&all, i, |w| w.mean_distinct_pages),
            expected,
            0.01,
            "measured",
        );
    }
}

#[test]
fn zipf_exponents_and_working_sets_are_measured_back() {
    for exponent in [0.7, 0.99, 1.3] {
        let placement =
            format!("{{ model = \"zipf\", exponent = {exponent}, working_set = 0.25 }}");
        let mut spec = stream("{ model = \"poisson\" }", &placement, 3);
        spec.rate = "200MiB/s".parse().unwrap();
        let m = measured(&spec, &["1s"], "20s");
        let found = m.zipf_exponent.unwrap();
        assert!((found - exponent).abs() < 0.04, "{exponent}: {found}");
        assert!(m.working_set_bytes <= 16 << 20);
    }
    let even = over_seeds("{ model = \"poisson\" }", &["1s"], "60s", 1);
    assert_eq!(even[0].working_set_bytes, 16 << 20);
    assert!(even[0].zipf_exponent.unwrap().abs() < 0.1);
}

/// The first `count` writes as (time, page).
fn writes(placement: &str, workload: &str, count: usize) -> Vec<(u64, u64)> {
    let mut spec = stream("{ model = \"poisson\" }", placement, 1);
    if !workload.is_empty() {
        spec.granularity = workload.parse().unwrap();
    }
    let mut stream = MergedStream::new(&spec).unwrap();
    (0..count)
        .map(|_| {
            let (_, write) = stream.next_until(u64::MAX).unwrap();
            (write.at_ns, write.page)
        })
        .collect()
}

#[test]
fn placements_keep_their_shares() {
    let count = 200_000;
    let share = |writes: &[(u64, u64)], fine: &dyn Fn(u64) -> bool| {
        writes.iter().filter(|w| fine(w.1)).count() as f64 / writes.len() as f64
    };
    // Hot-cold: a tenth of 8192 pages takes nine tenths of the writes.
    let hot_cold = writes("{ model = \"hot-cold\", working_set = 0.5 }", "", count);
    let mut counts = vec![0u32; 16_384];
    hot_cold.iter().for_each(|w| counts[w.1 as usize] += 1);
    assert!(counts[8192..].iter().all(|c| *c == 0));
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let hot: u32 = counts[..819].iter().sum();
    assert_near(f64::from(hot) / count as f64, 0.9, 0.01, "hot-cold");
    // Sweep: the two vCPUs take turns, so all pages of the set come once before any comes twice.
    let sweep = writes("{ model = \"sweep\", working_set = 0.25 }", "", 3000);
    let near = sweep
        .iter()
        .enumerate()
        .filter(|(i, w)| w.1.abs_diff(*i as u64) < 300)
        .count();
    assert_eq!(near, 3000);
    // Mixture: a quarter to the first eighth of memory, the rest to the quarter after it.
    let mixture = writes(
        "{ model = \"mixture\", parts = [{ share = 0.25, placement = { model = \"uniform\", working_set = 0.125 } }, { share = 0.75, placement = { model = \"sweep\", working_set = 0.25 } }] }",
        "",
        count,
    );
    assert_near(share(&mixture, &|p| p < 2048), 0.25, 0.02, "mixture");
    assert_near(
        share(&mixture, &|p| (2048..6144).contains(&p)),
        0.75,
        0.01,
        "mixture",
    );
    // Moving hot set: within an epoch a tenth of the pages is hot, and the next tenth is another.
    let moving = writes(
        "{ model = \"moving-hot-set\", every = \"20s\", writes = 1.0 }",
        "",
        count,
    );
    let pages = |from: u64, to: u64| -> std::collections::BTreeSet<u64> {
        let within = moving
            .iter()
            .filter(|w| (from..to).contains(&(w.0 / 1_000_000_000)));
        within.map(|w| w.1).collect()
    };
    let (first, second) = (pages(0, 20), pages(20, 40));
    assert_eq!(first.len(), 1638);
    assert!(first.is_disjoint(&second));
}

#[test]
fn large_granularity_fills_blocks() {
    let all = writes(UNIFORM, "2MiB", 40_000);
    // Two vCPUs fill a block each, so the pages of a block follow one another within a vCPU.
    let mut spec = stream("{ model = \"poisson\" }", UNIFORM, 1);
    spec.granularity = "2MiB".parse().unwrap();
    let mut own = Vec::new();
    migtax::workload::WriteStream::new(&spec, 0)
        .unwrap()
        .fill(&mut own, 512 * 20);
    for block in own.chunks_exact(512) {
        assert!(block[0].page.is_multiple_of(512));
        assert!(block.windows(2).all(|w| w[1].page == w[0].page + 1));
    }
    assert!(all.iter().all(|w| w.1 < 4096));
}

/// A b-model's fullest slot of a span holds its share exactly, but for whole writes.
#[test]
fn the_peak_of_a_cascade_is_that_of_its_fullest_slot() {
    let arrival = "{ model = \"b-model\", b = 0.7, slot = \"10ms\", levels = 6 }";
    let spec = stream(arrival, UNIFORM, 1);
    let asked = ArrivalLaw::of(&spec).unwrap().peak_to_mean();
    assert_near(asked, 1.4f64.powi(6), 1e-12, "theory");
    let measured = measured(&spec, &["10ms"], "6400ms").windows[0].peak_to_mean;
    assert_near(measured, asked, 0.03, "measured");
}
