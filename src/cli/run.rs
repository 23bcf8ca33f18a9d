//! `migtax run`: runs a scenario's arms, prints the table, writes the run folder.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::arm::Arm;
use crate::cli::place::Place;
use crate::error::{Error, ExitCode, Result};
use crate::report;
use crate::results::{self, Migration, Results};
use crate::runner::{self, Observer, Options};
use crate::scenario::{
    MOST_AUTO_BLOCKS, Overrides, Repetitions, Scenario, folder_name, load_points,
};
use crate::stats::StopRule;
use crate::units::Span;

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
    /// With --reps auto: enough when the intervals of both sides' CPU tax are within this share of
    /// their ratio
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = parse_share)]
    precision: f64,
    /// With --reps auto: no block is begun that would end later than this
    #[arg(long, value_name = "D", default_value = "5m")]
    budget: Span,
    /// Go on with an interrupted run in its own folder
    #[arg(long, value_name = "RUN", conflicts_with_all = ["scenario", "out"])]
    resume: Option<PathBuf>,
    /// Let the software arms run under policy required
    #[arg(long)]
    allow_software: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs.
///
/// # Errors
/// Invalid input, before anything starts; what stops the coordinator.
pub fn run(args: Args) -> Result<ExitCode> {
    let resume = match &args.resume {
        Some(run) => Some(interrupted_run(run, &args.overrides)?),
        None => None,
    };
    let points = match &resume {
        Some((_, results)) => vec![results.scenario.clone()],
        None => load_points(args.scenario.as_deref(), &args.overrides)?,
    };
    let mut options = Options {
        allow_software: args.allow_software,
        command: std::iter::once("migtax".to_owned())
            .chain(std::env::args().skip(1))
            .collect(),
        stop: (args.overrides.reps == Some(Repetitions::Auto)).then(|| StopRule {
            half_width: args.precision,
            min_blocks: 6,
            max_blocks: MOST_AUTO_BLOCKS,
            budget_s: args.budget.as_secs_f64(),
        }),
        resume: resume.as_ref().map(|(_, results)| results.clone()),
        ..Options::default()
    };
    args.place.put_into(&mut options)?;
    let folder = match (&args.out, &resume) {
        (_, Some((folder, _))) => folder.clone(),
        (Some(folder), _) => folder.clone(),
        (None, None) => fresh_folder(Path::new("reports"), &points[0])?,
    };
    let points: Vec<(Scenario, PathBuf)> = match <[Scenario; 1]>::try_from(points) {
        Ok([scenario]) => vec![(scenario, folder.clone())],
        Err(points) => points
            .into_iter()
            .map(|point| {
                let label: Vec<String> = point
                    .point
                    .iter()
                    .map(|(key, value)| format!("{key}-{value}"))
                    .collect();
                let within = folder.join(folder_name(&label.join("-")));
                (point, within)
            })
            .collect(),
    };
    let mut progress = Progress::new();
    let run = runner::run(&points, &options, &mut progress)?;
    progress.bar.finish_and_clear();
    let mut reported = Vec::new();
    for ((_, folder), results) in points.iter().zip(run.results) {
        report::write(&results, folder)?;
        reported.push((folder.clone(), results));
    }
    if reported.len() > 1 {
        report::compare_runs(&reported, &folder)?;
    }
    if args.json {
        let text = match &reported[..] {
            [(_, results)] => serde_json::to_string_pretty(results),
            all => serde_json::to_string_pretty(&all.iter().map(|(_, r)| r).collect::<Vec<_>>()),
        };
        println!(
            "{}",
            text.map_err(|error| Error::CannotRun(error.to_string()))?
        );
        eprintln!("{}", folder.display());
    } else {
        for (_, results) in &reported {
            println!("{}", report::console_table(results));
        }
        println!("{}", folder.join("index.html").display());
    }
    Ok(run.exit)
}

/// A run that can be gone on with, and its folder.
fn interrupted_run(run: &Path, overrides: &Overrides) -> Result<(PathBuf, Results)> {
    if *overrides != Overrides::default() {
        return Err(Error::Invalid(
            "--resume goes on with the run's own scenario: no other value can be given".to_owned(),
        ));
    }
    let results = results::read(run)?;
    if !results.interrupted {
        return Err(Error::invalid(
            "--resume",
            run.display(),
            "only a run that was interrupted",
        ));
    }
    let file = results::file_of(run);
    let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
    Ok((folder, results))
}

fn parse_share(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| *share > 0.0 && *share <= 1.0)
        .ok_or_else(|| "a share above 0 to 1, such as 0.05".to_owned())
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
