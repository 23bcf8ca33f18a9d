//! `migtax run`: runs a scenario's arms, prints the table, writes the run folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::arm::Arm;
use crate::cli::folders;
use crate::cli::place::Place;
use crate::cli::sharding::Sharding;
use crate::error::{Error, ExitCode, Result};
use crate::report;
use crate::results::{Migration, Results, Shard};
use crate::run_folder;
use crate::runner::masked::masked;
use crate::runner::{self, Job, Observer, Options};
use crate::scenario::{MOST_AUTO_BLOCKS, Overrides, Repetitions, Scenario, load_points};
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
    /// Go on with an interrupted run in its own folder; with --reps auto until it is precise enough
    #[arg(long, value_name = "RUN", conflicts_with_all = ["scenario", "out"])]
    resume: Option<PathBuf>,
    /// Make a fixed part of the run alone: of the matrix's points and blocks, shard I of N; auto, or no
    /// value: the task that Slurm or Kubernetes says this is. migtax merge puts parts together
    #[arg(long, value_name = "I/N|auto", num_args = 0..=1, default_missing_value = "auto", conflicts_with = "resume")]
    shard: Option<Sharding>,
    /// Let the software arms run under policy required
    #[arg(long)]
    allow_software: bool,
    #[command(flatten)]
    place: Place,
}

/// Makes the migrations, saves them and shows what they come to.
///
/// # Errors
/// Invalid input, before anything starts; what stops the coordinator.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut options = Options {
        allow_software: args.allow_software,
        command: masked(
            &std::iter::once("migtax".to_owned())
                .chain(std::env::args().skip(1))
                .collect::<Vec<_>>(),
        ),
        stop: (args.overrides.reps == Some(Repetitions::Auto)).then(|| StopRule {
            half_width: args.precision,
            min_blocks: 6,
            max_blocks: MOST_AUTO_BLOCKS,
            budget_s: args.budget.as_secs_f64(),
        }),
        ..Options::default()
    };
    args.place.put_into(&mut options)?;
    let check = |scenario: &Scenario| runner::check(scenario, &options);
    let (jobs, folder) = match &args.resume {
        Some(run) => {
            let (jobs, folder) = folders::interrupted(run, &args.overrides)?;
            jobs.iter().try_for_each(|job| check(&job.scenario))?;
            (jobs, folder)
        }
        None => {
            let scenarios = load_points(args.scenario.as_deref(), &args.overrides)?;
            scenarios.iter().try_for_each(check)?;
            let shards = shards(&args, &scenarios)?;
            if let Some(idle) = shards.as_deref().and_then(|of| idle(of, &scenarios)) {
                eprintln!("{idle}");
                if args.json {
                    super::print_json(&Vec::<Results>::new())?;
                }
                return Ok(ExitCode::Done);
            }
            let folder = match &args.out {
                Some(folder) => folder.clone(),
                None => folders::fresh(Path::new("reports"), &scenarios[0].name)?,
            };
            let mut jobs = folders::of_points(scenarios, &folder);
            for (job, shard) in jobs.iter_mut().zip(shards.into_iter().flatten()) {
                job.shard = Some(shard);
            }
            // Points of which this shard has no block are other shards' alone.
            jobs.retain(|job| {
                job.shard
                    .as_ref()
                    .is_none_or(|of| holds_any(of, &job.scenario))
            });
            (jobs, folder)
        }
    };
    let mut progress = progress();
    let finished = runner::run(&jobs, &options, &mut progress)?;
    progress.finish_and_clear();
    let is_matrix = jobs.iter().any(|job| job.folder != folder);
    let mut reported = Vec::new();
    for (Job { folder, .. }, results) in jobs.iter().zip(finished.results) {
        // Points of a matrix that an interrupt left without a migration have nothing to show.
        if is_matrix && results.interrupted && results.migrations.is_empty() {
            continue;
        }
        report::write(&results, folder)?;
        reported.push((run_folder::file_of(folder), results));
    }
    if reported.len() > 1 {
        report::compare_runs(&reported, &folder)?;
    }
    let points: Vec<_> = reported.iter().map(|(_, results)| results).collect();
    if args.json {
        match points[..] {
            [results] if !is_matrix => super::print_json(results)?,
            _ => super::print_json(&points)?,
        }
        eprintln!("{}", folder.display());
    } else {
        if !points.is_empty() {
            println!("{}", report::console_table(&points));
        }
        let shown = match is_matrix && reported.len() < 2 {
            true => folder,
            false => folder.join("index.html"),
        };
        println!("{}", shown.display());
    }
    Ok(finished.exit)
}

/// The part of each point that is made, if not all is.
fn shards(args: &Args, scenarios: &[Scenario]) -> Result<Option<Vec<Shard>>> {
    let Some(sharding) = args.shard else {
        return Ok(None);
    };
    Error::unless(
        args.overrides.reps != Some(Repetitions::Auto),
        "--shard",
        "with --reps auto",
        "shards are fixed parts of a fixed number of blocks: give --reps a number",
    )?;
    let (index, of) = sharding.resolve()?;
    Ok(Some(Shard::of_points(index, of, scenarios)))
}

fn holds_any(shard: &Shard, scenario: &Scenario) -> bool {
    (0..scenario.measure.repetitions).any(|block| shard.holds(block))
}

/// What is said of a shard that has nothing to do, which is no error: a task of an array must not
/// fail for it.
fn idle(shards: &[Shard], scenarios: &[Scenario]) -> Option<String> {
    let mut parts = shards.iter().zip(scenarios);
    if parts.any(|(shard, scenario)| holds_any(shard, scenario)) {
        return None;
    }
    let (shard, scenario) = (shards.first()?, scenarios.first()?);
    Some(format!(
        "shard {} of {}: nothing to do, the run has {} points x {} blocks; nothing is written",
        shard.index, shard.of, shard.points, scenario.measure.repetitions
    ))
}

fn parse_share(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| *share > 0.0 && *share <= 1.0)
        .ok_or_else(|| "a share above 0 to 1, such as 0.05".to_owned())
}

/// A bar on standard error, where that is a terminal.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg:<28} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::no_length().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

impl Observer for ProgressBar {
    fn planned(&mut self, migrations: u32) {
        self.set_length(u64::from(migrations));
    }

    fn begins(&mut self, arm: Arm, block: Option<u32>) {
        self.set_message(match block {
            Some(block) => format!("{arm}, block {}", block + 1),
            None => format!("{arm}, warm-up"),
        });
    }

    fn made(&mut self, _migration: &Migration) {
        self.inc(1);
    }
}
