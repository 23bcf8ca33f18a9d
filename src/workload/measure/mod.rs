//! Measures a dirty-page stream: what its windows hold, and how that compares with what was asked.

mod pages;
mod statistics;

use serde::Serialize;

use self::pages::PageTable;
use self::statistics::{dispersion, entropy_slope, inverse_entropy, zipf_exponent};
use super::arrival::law::ArrivalLaw;
use super::arrival::theory;
use super::merged::MergedStream;
use super::spec::{Placement, StreamSpec};
use crate::error::{Error, Result};
use crate::units::{PAGE_SIZE, Span};

/// Windows of one size at most, so that their counts fit in memory.
const MAX_WINDOWS: u64 = 4_000_000;
/// Bins of the series that the plot draws.
const FINE_BINS: u64 = 1 << 17;
/// Columns and rows of the heat map.
pub(crate) const HEAT: (usize, usize) = (240, 128);

/// What a stream was measured to be.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// The scenario's name.
    pub scenario: String,
    /// The arrival model with its solved parameters.
    pub arrival: String,
    /// Length of the stream that was generated.
    pub duration_s: f64,
    /// Page writes in it.
    pub writes: u64,
    /// Rate asked for, page writes times the page size.
    pub asked_rate_bytes_per_s: f64,
    /// Rate measured.
    pub rate_bytes_per_s: f64,
    /// Pages written at least once, times the page size.
    pub working_set_bytes: u64,
    /// The hottest pages that take 99% of the writes, times the page size.
    pub working_set_99_bytes: u64,
    /// Slope of log count over log rank among pages with at least 10 writes, negated. `None` for
    /// fewer than 10 such pages.
    pub zipf_exponent: Option<f64>,
    /// b of a b-model with the same entropy slope over windows from the smallest one up.
    /// `None` without at least three such sizes.
    pub b: Option<f64>,
    /// By window size.
    pub windows: Vec<WindowStats>,
    /// What the plot draws.
    #[serde(skip)]
    pub(crate) series: Series,
}

/// Windows of one size. An index of dispersion is the variance of the counts over their mean; its
/// interval is a 95% one from a jackknife over 20 stretches of the stream (none below 40 windows).
#[derive(Debug, Clone, Serialize)]
pub struct WindowStats {
    /// Size.
    pub window_s: f64,
    /// Whole windows in the stream.
    pub count: u64,
    /// Mean writes in a window.
    pub mean_writes: f64,
    /// Mean distinct pages written in a window.
    pub mean_distinct_pages: f64,
    /// Mean distinct pages in theory (uniform placement, Poisson arrival), where known.
    pub mean_distinct_pages_theory: Option<f64>,
    /// Index of dispersion of the writes.
    pub idc_writes: f64,
    /// Its interval.
    pub idc_writes_ci: Option<[f64; 2]>,
    /// What the model has in theory, where known.
    pub idc_writes_theory: Option<f64>,
    /// Index of dispersion of the distinct pages.
    pub idc_distinct_pages: f64,
    /// Its interval.
    pub idc_distinct_pages_ci: Option<[f64; 2]>,
    /// Writes of the fullest window over the mean.
    pub peak_to_mean: f64,
}

/// Series for the plot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    /// Length of a bin of `fine`.
    pub(crate) bin_ns: u64,
    /// Writes by bin.
    pub(crate) fine: Vec<u32>,
    /// Writes by (time, page region), `HEAT.0` columns of `HEAT.1` rows.
    pub(crate) heat: Vec<u32>,
    /// Index of dispersion of the writes by window in seconds: measured, in theory.
    pub(crate) idc: Vec<(f64, f64, Option<f64>)>,
}

/// Counts of one window size.
struct Counter {
    window_ns: u64,
    end_ns: u64,
    writes: Vec<u32>,
    distinct: Vec<u32>,
    now: (u32, u32),
}

impl Counter {
    /// Closes the windows that end at or before `at_ns`.
    fn advance(&mut self, at_ns: u64) {
        while at_ns >= self.end_ns {
            self.writes.push(self.now.0);
            self.distinct.push(self.now.1);
            self.now = (0, 0);
            self.end_ns += self.window_ns;
        }
    }
}

/// Generates `duration` of a scenario's stream and measures it in windows of the given sizes.
///
/// # Errors
/// A specification that can't be, and windows that are no part of the duration.
pub fn measure(
    scenario: &str,
    spec: &StreamSpec,
    windows: &[Span],
    duration: Span,
) -> Result<Measurement> {
    let end = duration.as_nanos();
    let mut counters = counters(windows, duration)?;
    let pages = spec.memory.pages();
    let mut stream = MergedStream::new(spec)?;
    let law = ArrivalLaw::of(spec)?;
    let mut table = PageTable::new(pages, counters.len());
    let bin_ns = match &law {
        // Theory knows the b-model's own intervals only.
        ArrivalLaw::Cascade(c) if (64..=FINE_BINS).contains(&(end / c.slot_ns)) => c.slot_ns,
        _ => end.div_ceil(FINE_BINS).max(1),
    };
    let mut series = Series {
        bin_ns,
        fine: vec![0; end.div_ceil(bin_ns) as usize],
        heat: vec![0; HEAT.0 * HEAT.1],
        idc: Vec::new(),
    };
    let mut writes = 0u64;
    while let Some((_, write)) = stream.next_until(end) {
        writes += 1;
        for counter in &mut counters {
            counter.advance(write.at_ns);
            counter.now.0 += 1;
        }
        let entry = table.entry(write.page);
        entry[0] = entry[0].saturating_add(1);
        for (counter, last) in counters.iter_mut().zip(&mut entry[1..]) {
            // Windows are stamped from 1: 0 is a page that was never written.
            let stamp = counter.writes.len() as u32 + 1;
            if *last != stamp {
                *last = stamp;
                counter.now.1 += 1;
            }
        }
        series.fine[(write.at_ns / series.bin_ns) as usize] += 1;
        let column = share(write.at_ns, end, HEAT.0);
        let row = share(write.page, pages, HEAT.1);
        series.heat[column * HEAT.1 + row] += 1;
    }
    for counter in &mut counters {
        counter.advance(end);
    }
    let per_second = spec.rate.0 as f64 / PAGE_SIZE as f64;
    series.idc = idc_curve(&series, &law, per_second);
    let counts = table.counts();
    let seconds = duration.as_secs_f64();
    Ok(Measurement {
        scenario: scenario.to_owned(),
        arrival: law.describe(),
        duration_s: seconds,
        writes,
        asked_rate_bytes_per_s: spec.rate.0 as f64,
        rate_bytes_per_s: writes as f64 * PAGE_SIZE as f64 / seconds,
        working_set_bytes: (counts.len() * PAGE_SIZE) as u64,
        working_set_99_bytes: (statistics::hottest(&counts, 0.99) * PAGE_SIZE) as u64,
        zipf_exponent: zipf_exponent(&counts),
        b: counters
            .iter()
            .min_by_key(|c| c.window_ns)
            .and_then(|c| entropy_slope(&c.writes))
            .map(inverse_entropy),
        windows: counters
            .iter()
            .map(|c| window_stats(c, spec, &law, per_second))
            .collect(),
        series,
    })
}

fn counters(windows: &[Span], duration: Span) -> Result<Vec<Counter>> {
    let end = duration.as_nanos();
    Error::unless(
        (1..=86_400_000_000_000).contains(&end),
        "--duration",
        duration,
        "a duration above 0, up to 24h",
    )?;
    Error::unless(
        (1..=16).contains(&windows.len()),
        "--windows",
        format_args!("{} windows", windows.len()),
        "1 to 16 durations",
    )?;
    windows
        .iter()
        .map(|window| {
            let ns = window.as_nanos();
            Error::unless(
                ns > 0 && ns <= end / 2 && end / ns <= MAX_WINDOWS,
                "--windows",
                window,
                format_args!(
                    "at most half the duration ({duration}), at least a {MAX_WINDOWS}th of it"
                ),
            )?;
            Ok(Counter {
                window_ns: ns,
                end_ns: ns,
                writes: Vec::with_capacity((end / ns) as usize + 1),
                distinct: Vec::with_capacity((end / ns) as usize + 1),
                now: (0, 0),
            })
        })
        .collect()
}

/// Which of `parts` equal parts of 0..whole a value falls into.
fn share(value: u64, whole: u64, parts: usize) -> usize {
    (u128::from(value) * parts as u128 / u128::from(whole)) as usize
}

fn window_stats(c: &Counter, spec: &StreamSpec, law: &ArrivalLaw, per_second: f64) -> WindowStats {
    let writes = dispersion(&c.writes);
    let distinct = dispersion(&c.distinct);
    let peak = c.writes.iter().copied().max().unwrap_or(0);
    WindowStats {
        window_s: c.window_ns as f64 / 1e9,
        count: c.writes.len() as u64,
        mean_writes: writes.mean,
        mean_distinct_pages: distinct.mean,
        mean_distinct_pages_theory: distinct_theory(spec, law, per_second, c.window_ns),
        idc_writes: writes.index,
        idc_writes_ci: writes.interval,
        idc_writes_theory: theory::idc(law, per_second, c.window_ns).filter(|_| per_second > 0.0),
        idc_distinct_pages: distinct.index,
        idc_distinct_pages_ci: distinct.interval,
        peak_to_mean: if writes.mean > 0.0 {
            f64::from(peak) / writes.mean
        } else {
            0.0
        },
    }
}

fn distinct_theory(
    spec: &StreamSpec,
    law: &ArrivalLaw,
    per_second: f64,
    window_ns: u64,
) -> Option<f64> {
    let Placement::Uniform { working_set } = spec.placement else {
        return None;
    };
    let by_page = spec.granularity.0 == PAGE_SIZE as u64;
    if *law != ArrivalLaw::Poisson || !by_page {
        return None;
    }
    let pages = (working_set * spec.memory.pages() as f64).round().max(1.0);
    let writes = per_second * window_ns as f64 / 1e9;
    Some(theory::distinct_uniform(writes, pages))
}

/// The index of dispersion of the writes over windows of 1, 2, 4, ... bins, as long as there are
/// 32 of them.
fn idc_curve(series: &Series, law: &ArrivalLaw, per_second: f64) -> Vec<(f64, f64, Option<f64>)> {
    let mut curve = Vec::new();
    let mut bins = series.fine.clone();
    let mut window_ns = series.bin_ns;
    while bins.len() >= 32 && per_second > 0.0 {
        let theory = theory::idc(law, per_second, window_ns);
        curve.push((window_ns as f64 / 1e9, dispersion(&bins).index, theory));
        bins = bins.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect();
        window_ns *= 2;
    }
    curve
}
