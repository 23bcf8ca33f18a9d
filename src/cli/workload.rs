//! `migtax workload`: generates a dirty-page stream alone, measures it and compares it with what
//! was asked for.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::recording::{RecordingArgs, reduce};
use super::workload_plot;
use crate::error::{Error, ExitCode, Result};
use crate::scenario::{self, Scenario, StreamOverrides};
use crate::units::{PAGE_SIZE, Rate, Size, Span};
use crate::workload::measure::{Measurement, WindowStats, measure};
use crate::workload::trace::Trace;
use crate::workload::{Arrival, MAX_MEMORY, MergedStream, Placement};

/// Generate the dirty-page stream of a scenario without migrating, and measure it.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// A scenario's path or name, or a trace (a path that ends in .trace, or an embedded trace's
    /// name after trace:); the embedded default if none is given
    pub scenario: Option<String>,
    /// Windows in which writes are counted, separated by commas
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "D,D",
        default_value = "100ms,1s"
    )]
    pub windows: Vec<Span>,
    /// How much of the stream is generated
    #[arg(long, value_name = "D", default_value = "60s")]
    pub duration: Span,
    /// Print the measurement as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
    /// Draw rate over time, page heat map and index of dispersion into a PNG (of a matrix, its
    /// first point)
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Export the stream's writes as CSV: at_ns,vcpu,page (of a matrix, its first point)
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Print the table of the embedded traces' measured properties, and nothing else
    #[arg(
        long,
        conflicts_with_all = ["scenario", "windows", "duration", "json", "png", "csv", "StreamOverrides"]
    )]
    pub trace_table: bool,
    /// Values of the scenario to replace.
    #[command(flatten)]
    pub overrides: StreamOverrides,
    /// What to make of a recording.
    #[command(flatten)]
    pub recording: RecordingArgs,
}

/// Generates, measures, draws and exports what the flags ask for; prints the measurement.
///
/// # Errors
/// Invalid input, and files that can't be read or written.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let (Some(from), Some(out)) = (&args.recording.from_lackey, &args.recording.out) {
        reduce(&args.recording, from, out)?;
        return Ok(ExitCode::Done);
    }
    if args.trace_table {
        print!("{}", trace_table()?);
        return Ok(ExitCode::Done);
    }
    let points = points(args)?;
    let mut measured = Vec::new();
    for scenario in &points {
        measured.push(measure(
            &scenario.name,
            &scenario.stream_spec(),
            &args.windows,
            args.duration,
        )?);
    }
    if let (Some(file), Some(first)) = (&args.png, measured.first()) {
        workload_plot::draw(file, first)?;
    }
    if let (Some(file), Some(first)) = (&args.csv, points.first()) {
        export(file, first, args.duration)?;
    }
    if args.json {
        // One point is an object, a matrix a list of them.
        match measured.as_slice() {
            [one] => super::print_json(one)?,
            all => super::print_json(&all)?,
        }
    } else {
        for (scenario, measurement) in points.iter().zip(&measured) {
            print!("{}", text(scenario, measurement));
        }
    }
    Ok(ExitCode::Done)
}

fn points(args: &Args) -> Result<Vec<Scenario>> {
    let overrides = args.overrides.clone().into();
    let trace = args.scenario.as_deref().and_then(|name| {
        name.strip_prefix("trace:")
            .or_else(|| name.ends_with(".trace").then_some(name))
    });
    match trace {
        None => scenario::load_points(args.scenario.as_deref(), &overrides),
        Some(file) => {
            let mut scenario = replay_of(file)?;
            scenario.apply(&overrides);
            scenario.check()?;
            Ok(vec![scenario])
        }
    }
}

/// A scenario that replays a trace as recorded, again and again, in a guest of its size.
fn replay_of(file: &str) -> Result<Scenario> {
    let trace = Trace::open(file)?;
    let mut scenario = scenario::parse(file, "name = \"trace\"")?.remove(0);
    scenario.name = Path::new(file).file_stem().map_or_else(
        || file.to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    );
    scenario.guest.memory = Size((trace.pages * PAGE_SIZE as u64).min(MAX_MEMORY.0));
    scenario.workload.rate = Rate((trace.rate() + 0.5) as u64);
    scenario.workload.arrival = Arrival::Trace {
        file: file.to_owned(),
        speed: Some(1.0),
        repeat: true,
    };
    scenario.workload.placement = Placement::Trace {
        file: file.to_owned(),
        scale_pages: false,
    };
    Ok(scenario)
}

fn export(file: &Path, scenario: &Scenario, duration: Span) -> Result<()> {
    let failed = |e| Error::writing(file, e);
    let mut out = BufWriter::new(std::fs::File::create(file).map_err(failed)?);
    writeln!(out, "at_ns,vcpu,page").map_err(failed)?;
    let mut stream = MergedStream::new(&scenario.stream_spec())?;
    while let Some((vcpu, write)) = stream.next_until(duration.as_nanos()) {
        writeln!(out, "{},{vcpu},{}", write.at_ns, write.page).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

const MIB: f64 = (1 << 20) as f64;

fn text(scenario: &Scenario, m: &Measurement) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(scenario.title());
    line(format!("  arrival         {}", m.arrival));
    line(format!(
        "  rate            {:.2} MiB/s, asked {:.2} MiB/s ({:+.2}%); {} writes in {:.3} s",
        m.rate_bytes_per_s / MIB,
        m.asked_rate_bytes_per_s / MIB,
        100.0 * (m.rate_bytes_per_s / m.asked_rate_bytes_per_s.max(1.0) - 1.0),
        m.writes,
        m.duration_s
    ));
    line(format!(
        "  working set     {:.1} MiB written at all, {:.1} MiB take 99% of the writes",
        m.working_set_bytes as f64 / MIB,
        m.working_set_99_bytes as f64 / MIB
    ));
    line(format!(
        "  zipf exponent   {}",
        optional(m.zipf_exponent, "too few writes per page")
    ));
    line(format!(
        "  b of b-model    {}",
        optional(m.b, "too few windows")
    ));
    line(format!(
        "  {:>9}  {:>7}  {:>11}  {:>11}  {:>26}  {:>9}  {:>26}  {:>9}",
        "window", "count", "writes", "pages", "idc writes", "theory", "idc pages", "peak/mean"
    ));
    for w in &m.windows {
        line(window_line(w));
    }
    out
}

fn optional(value: Option<f64>, otherwise: &str) -> String {
    value.map_or_else(|| otherwise.to_owned(), |v| format!("{v:.3}"))
}

fn window_line(w: &WindowStats) -> String {
    let with = |index: f64, interval: Option<[f64; 2]>| match interval {
        None => format!("{index:.3}"),
        Some([low, high]) => format!("{index:.3} ({low:.3} to {high:.3})"),
    };
    format!(
        "  {:>9}  {:>7}  {:>11.2}  {:>11.2}  {:>26}  {:>9}  {:>26}  {:>9.2}",
        Span(std::time::Duration::from_secs_f64(w.window_s)).to_string(),
        w.count,
        w.mean_writes,
        w.mean_distinct_pages,
        with(w.idc_writes, w.idc_writes_ci),
        optional(w.idc_writes_theory, "-"),
        with(w.idc_distinct_pages, w.idc_distinct_pages_ci),
        w.peak_to_mean
    )
}

/// The embedded traces as a Markdown table: what stands in `datasets/README.md`.
///
/// # Errors
/// A trace that can't be used.
pub fn trace_table() -> Result<String> {
    let mut out = String::from(
        "| trace | duration | page writes | rate MiB/s | pages | working set MiB | 99% of writes MiB | IDC writes 10 ms | IDC pages 10 ms | IDC writes 100 ms | IDC pages 100 ms | peak/mean 10 ms | CRC-32 |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let windows = [10, 100].map(|ms| Span(std::time::Duration::from_millis(ms)));
    for name in Trace::embedded() {
        let trace = Trace::open(name)?;
        let scenario = replay_of(name)?;
        let duration = Span(std::time::Duration::from_nanos(trace.duration_ns()));
        let m = measure(name, &scenario.stream_spec(), &windows, duration)?;
        let [short, long] = m.windows.as_slice() else {
            unreachable!("two windows were asked for");
        };
        // Writing to a String can't fail.
        let _ = writeln!(
            out,
            "| {name} | {:.2} s | {} | {:.1} | {} | {:.1} | {:.1} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} | {:08x} |",
            m.duration_s,
            m.writes,
            m.rate_bytes_per_s / MIB,
            trace.pages,
            m.working_set_bytes as f64 / MIB,
            m.working_set_99_bytes as f64 / MIB,
            short.idc_writes,
            short.idc_distinct_pages,
            long.idc_writes,
            long.idc_distinct_pages,
            short.peak_to_mean,
            trace.checksum(),
        );
    }
    Ok(out)
}
