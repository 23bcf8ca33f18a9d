//! `migtax workload --from-lackey`: reduces a recording to a trace file.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, Result};
use crate::units::Span;
use crate::workload::trace;

/// Flags that turn valgrind's lackey output into a trace; `scripts/record-trace` uses them.
#[derive(Debug, Clone, Args)]
pub struct RecordingArgs {
    /// Reduce the output of valgrind --tool=lackey --trace-mem=yes (FILE, or - for standard
    /// input) to a trace, instead of generating a stream
    #[arg(
        long,
        value_name = "FILE",
        requires = "out",
        conflicts_with_all = [
            "scenario", "windows", "duration", "json", "png", "csv", "trace_table", "StreamOverrides"
        ]
    )]
    pub from_lackey: Option<PathBuf>,
    /// The trace file to write
    #[arg(long, value_name = "FILE", requires = "from_lackey")]
    pub out: Option<PathBuf>,
    /// Instructions that take a second: how time is assigned
    #[arg(long, value_name = "N", default_value_t = 200_000_000, requires = "from_lackey",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub instructions_per_second: u64,
    /// Writes to a page within one quantum count as one
    #[arg(
        long,
        value_name = "D",
        default_value = "1ms",
        requires = "from_lackey"
    )]
    pub quantum: Span,
    /// Instructions at the start that are left out
    #[arg(long, value_name = "N", default_value_t = 0, requires = "from_lackey")]
    pub skip_instructions: u64,
    /// Instructions that are recorded after them, at most
    #[arg(long, value_name = "N", default_value_t = u64::MAX, requires = "from_lackey")]
    pub most_instructions: u64,
    /// What was recorded, kept in the trace
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        requires = "from_lackey"
    )]
    pub text: String,
}

/// Reduces lackey's output in `from` to a trace in `out`, and says what became of it.
pub(super) fn reduce(args: &RecordingArgs, from: &Path, out: &Path) -> Result<()> {
    let quantum_ns = u32::try_from(args.quantum.as_nanos())
        .ok()
        .filter(|ns| (1_000..=1_000_000_000).contains(ns))
        .ok_or_else(|| Error::invalid("--quantum", args.quantum, "1us to 1s"))?;
    let input: Box<dyn Read> = if from == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(from).map_err(|e| Error::reading(from, e))?)
    };
    let reduced = trace::reduce_lackey(
        input,
        args.instructions_per_second,
        quantum_ns,
        args.skip_instructions,
        args.most_instructions,
    )?;
    let (instructions, stores) = (reduced.instructions, reduced.stores);
    let bytes = reduced.writer.finish(reduced.end_ns, &args.text)?;
    let size = bytes.len();
    std::fs::write(out, &bytes).map_err(|e| Error::writing(out, e))?;
    let trace = trace::Trace::parse(bytes.into())
        .map_err(|e| Error::CannotRun(format!("{}: {e}", out.display())))?;
    println!(
        "{}: {instructions} instructions, {stores} stores; {} page writes to {} pages in {}, {size} bytes",
        out.display(),
        trace.writes,
        trace.pages,
        Span(std::time::Duration::from_nanos(trace.duration_ns())),
    );
    Ok(())
}
