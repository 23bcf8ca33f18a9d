//! `migtax run`: runs a scenario's arms, prints the table, writes the run folder.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::arm::Arm;
use crate::error::{Error, ExitCode, Result};
use crate::report;
use crate::results::Migration;
use crate::runner::{self, Observer, Options};
use crate::scenario::{Overrides, Scenario, folder_name, load_points};

/// Arguments of `migtax run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A scenario file, or the name of an embedded scenario; the embedded default if left out
    scenario: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
    /// The run folder; by default a new one under reports/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print results.json to standard output, and nothing else there
    #[arg(long)]
    json: bool,
    /// Let the software arms run under policy required
    #[arg(long)]
    allow_software: bool,
    /// CPUs to keep the hosts to, such as source=0,destination=1
    #[arg(long, value_name = "ROLE=CPUS", value_parser = parse_pin)]
    pin: Option<Pin>,
}

/// CPUs for each role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Pin {
    source: Vec<usize>,
    destination: Vec<usize>,
}

fn parse_pin(text: &str) -> std::result::Result<Pin, String> {
    let allowed =
        || format!("\"{text}\": CPUs for each role, joined by +, such as source=0,destination=1+2");
    let mut pin = Pin::default();
    for part in text.split(',') {
        let (role, cpus) = part.split_once('=').ok_or_else(allowed)?;
        let cpus: Vec<usize> = cpus
            .split('+')
            .map(|cpu| cpu.parse().map_err(|_| allowed()))
            .collect::<std::result::Result<_, _>>()?;
        let slot = match role {
            "source" => &mut pin.source,
            "destination" => &mut pin.destination,
            _ => return Err(allowed()),
        };
        *slot = cpus;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match pin
        .source
        .iter()
        .chain(&pin.destination)
        .find(|cpu| **cpu >= cores)
    {
        Some(cpu) => Err(format!(
            "CPU {cpu}: this process may use 0 to {}",
            cores - 1
        )),
        None => Ok(pin),
    }
}

/// Runs.
///
/// # Errors
/// Invalid input, before anything starts; what stops the coordinator.
pub fn run(args: Args) -> Result<ExitCode> {
    let points = load_points(args.scenario.as_deref(), &args.overrides)?;
    let pin = args.pin.clone().unwrap_or_default();
    let options = Options {
        allow_software: args.allow_software,
        pin_source: pin.source,
        pin_destination: pin.destination,
        command: std::iter::once("migtax".to_owned())
            .chain(std::env::args().skip(1))
            .collect(),
    };
    let [scenario] = &points[..] else {
        return Err(Error::Invalid("a matrix".into()));
    };
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => fresh_folder(Path::new("reports"), scenario)?,
    };
    std::fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
    let mut progress = Progress::new();
    let run = runner::run(scenario, &options, &folder, &mut progress)?;
    progress.bar.finish_and_clear();
    report::write(&run.results, &folder)?;
    if args.json {
        let text = serde_json::to_string_pretty(&run.results)
            .map_err(|error| Error::CannotRun(error.to_string()))?;
        println!("{text}");
        eprintln!("{}", folder.display());
    } else {
        println!("{}", report::console_table(&run.results));
        println!("{}", folder.join("index.html").display());
    }
    Ok(run.exit)
}

/// A folder that does not exist yet, named by scenario and time.
fn fresh_folder(under: &Path, scenario: &Scenario) -> Result<PathBuf> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let stem = format!("{}-{time}", folder_name(&scenario.name));
    std::fs::create_dir_all(under).map_err(|e| Error::writing(under, e))?;
    for attempt in 1.. {
        let name = match attempt {
            1 => stem.clone(),
            _ => format!("{stem}-{attempt}"),
        };
        let folder = under.join(name);
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::writing(folder, error)),
        }
    }
    unreachable!("the loop ends by returning")
}

/// A bar on standard error, where that is a terminal.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new() -> Progress {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg:<28} {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar }
    }
}

impl Observer for Progress {
    fn planned(&mut self, migrations: u32) {
        self.bar.set_length(u64::from(migrations));
    }

    fn begins(&mut self, arm: Arm, block: Option<u32>) {
        self.bar.set_message(match block {
            Some(block) => format!("{arm}, block {}", block + 1),
            None => format!("{arm}, warm-up"),
        });
    }

    fn made(&mut self, _migration: &Migration) {
        self.bar.inc(1);
    }
}
