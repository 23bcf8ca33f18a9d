//! `migtax frontier`: the highest dirty rate that converges, per arm.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::arm::Arm;
use crate::cli::folders;
use crate::cli::place::Place;
use crate::cli::plan::planner_of;
use crate::error::{Error, ExitCode, Result};
use crate::frontier::{self, Asked, FrontierFile, Observer, check_scenario, file, report};
use crate::plan::Planner;
use crate::results::Migration;
use crate::run_folder;
use crate::runner::masked::masked;
use crate::runner::{self, Job, Options};
use crate::scenario::{ClockKind, Overrides, Scenario, load_points};
use crate::units::Span;

/// How precise a frontier under the live clock is to be, if nothing else is asked for.
const PRECISION: f64 = 0.05;
/// The folder of the run that the predicted line is drawn from, below the search's own.
const CALIBRATION: &str = "calibration";
/// Its blocks.
const BLOCKS: u32 = 6;

/// Finds the highest dirty rate at which each arm's migration still converges.
///
/// Every probe is a whole migration at one rate, the rest of the scenario being held; searches of all arms, links
/// and downtime limits take turns. Under the virtual clock the frontier is exact. Exit codes: 0 done, 2 invalid
/// input, 6 a probe failed or policy forbade an arm, 130 interrupted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A scenario file, or the name of an embedded scenario; the embedded default if left out
    scenario: Option<String>,
    /// Values to replace; --rate is where the search begins.
    #[command(flatten)]
    overrides: Overrides,
    /// The folder; by default a new one under reports/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print frontier.json to standard output, and nothing else there
    #[arg(long)]
    json: bool,
    /// Enough when the ends of a frontier's interval are within this share of it; 0.05 if left out, or
    /// under the virtual clock one page write a second
    #[arg(long, value_name = "SHARE", value_parser = parse_precision)]
    precision: Option<f64>,
    /// No probe is begun that would end later than this, the measuring of costs included
    #[arg(long, value_name = "D", default_value = "10m")]
    budget: Span,
    /// The run whose costs the predicted line is drawn from; without it the arms' costs are measured first, in
    /// six blocks of the scenario kept in DIR/calibration. Not under the virtual clock
    #[arg(long, value_name = "RUN")]
    predict: Option<PathBuf>,
    /// Go on with a search that was interrupted or ran out of its budget, in its own folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["scenario", "out"])]
    resume: Option<PathBuf>,
    /// Let the software arms run under policy required
    #[arg(long)]
    allow_software: bool,
    #[command(flatten)]
    place: Place,
}

/// Makes the probes, saves them and shows what they come to.
///
/// # Errors
/// Invalid input, before anything starts; what stops the coordinator.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut options = Options {
        allow_software: args.allow_software,
        command: masked(
            &std::iter::once("migtax".to_owned())
                .chain(std::env::args().skip(1))
                .collect::<Vec<_>>(),
        ),
        ..Options::default()
    };
    args.place.put_into(&mut options)?;
    if args.overrides.reps.is_some() {
        return Err(Error::Invalid(
            "--reps: the frontier takes as many probes as --precision needs".to_owned(),
        ));
    }
    let (mut asked, folder) = match &args.resume {
        Some(folder) => interrupted(args, folder)?,
        None => fresh(args)?,
    };
    for scenario in &asked.scenarios {
        runner::check(scenario, &options)?;
    }
    let given = given(args, &asked)?;
    let mut progress = Progress(bar());
    let began = Instant::now();
    let planner = match given {
        Some(planner) => Some(planner),
        None => match calibrate(&asked, &options, &folder, &mut progress)? {
            Calibrated::Interrupted => return Ok(ExitCode::Interrupted),
            Calibrated::From(planner) => planner.map(|planner| *planner),
        },
    };
    asked.budget = asked.budget.saturating_sub(began.elapsed());
    let (mut found, exit) = frontier::run(&asked, &options, &folder, &mut progress)?;
    progress.0.finish_and_clear();
    if let Some(planner) = &planner {
        frontier::predict(&mut found, planner)?;
        found.write(&folder)?;
    }
    report::write(&found, &folder)?;
    if args.json {
        super::print_json(&found)?;
        eprintln!("{}", folder.display());
    } else {
        println!("{}", report::console(&found));
        println!("{}", folder.join("index.html").display());
    }
    Ok(exit)
}

/// The planner of the run that was named.
fn given(args: &Args, asked: &Asked) -> Result<Option<Planner>> {
    let Some(run) = &args.predict else {
        return Ok(None);
    };
    Error::unless(
        asked.scenarios[0].measure.clock == ClockKind::Live,
        "--predict",
        run.display(),
        "a search under the live clock: under the virtual one ciphers take no time",
    )?;
    planner_of(run).map(Some)
}

/// What the search's own calibration came to.
enum Calibrated {
    Interrupted,
    /// None where there is nothing to plan from: no migration completed, or ciphers take no time.
    From(Option<Box<Planner>>),
}

/// Measures what a plan needs, unless that was done before.
fn calibrate(
    asked: &Asked,
    options: &Options,
    folder: &Path,
    progress: &mut Progress,
) -> Result<Calibrated> {
    if asked.scenarios[0].measure.clock == ClockKind::Virtual {
        return Ok(Calibrated::From(None));
    }
    let folder = folder.join(CALIBRATION);
    let earlier = match (&asked.earlier, run_folder::file_of(&folder).exists()) {
        (Some(_), true) => Some(run_folder::read(&folder)?),
        // A search that goes on keeps the predictions that it has.
        (Some(_), false) => return Ok(Calibrated::From(None)),
        (None, _) => None,
    };
    let results = match earlier {
        Some(earlier) => earlier,
        None => {
            // Over the fastest link, on which ciphers are as dear as they get.
            let bits = |s: &&Scenario| s.migration.link.bits_per_second().unwrap_or(u64::MAX);
            let fastest = asked.scenarios.iter().max_by_key(bits);
            let mut scenario = fastest.unwrap_or(&asked.scenarios[0]).clone();
            scenario.measure.repetitions = BLOCKS;
            // A run of its own, and no point of a matrix.
            scenario.point.clear();
            let job = Job {
                scenario,
                folder: folder.clone(),
                shard: None,
                earlier: None,
            };
            let finished = runner::run(&[job], options, progress)?;
            if finished.exit == ExitCode::Interrupted {
                return Ok(Calibrated::Interrupted);
            }
            let mut results = finished.results;
            let results = results.remove(0);
            crate::report::write(&results, &folder)?;
            results
        }
    };
    Ok(Calibrated::From(Planner::new(&results).ok().map(Box::new)))
}

fn asked(args: &Args, scenarios: Vec<Scenario>, earlier: Option<FrontierFile>) -> Asked {
    let default = match scenarios[0].measure.clock {
        ClockKind::Live => PRECISION,
        ClockKind::Virtual => 0.0,
    };
    let before = earlier.as_ref().map(|earlier| earlier.precision);
    Asked {
        scenarios,
        precision: args.precision.or(before).unwrap_or(default),
        budget: args.budget.0,
        earlier,
    }
}

fn fresh(args: &Args) -> Result<(Asked, PathBuf)> {
    let scenarios = load_points(args.scenario.as_deref(), &args.overrides)?;
    scenarios.iter().try_for_each(check_scenario)?;
    let clock = scenarios[0].measure.clock;
    if scenarios.iter().any(|s| s.measure.clock != clock) {
        return Err(Error::invalid(
            "measure.clock",
            "a list",
            "one clock for all frontiers",
        ));
    }
    let asked = asked(args, scenarios, None);
    let folder = match &args.out {
        Some(folder) => {
            let there = folder.join(file::FILE_NAME).exists();
            let allowed = "a folder without frontier.json; --resume goes on with a search";
            Error::unless(!there, "--out", folder.display(), allowed)?;
            folder.clone()
        }
        None => folders::fresh(Path::new("reports"), &asked.scenarios[0].name)?,
    };
    Ok((asked, folder))
}

fn interrupted(args: &Args, folder: &Path) -> Result<(Asked, PathBuf)> {
    if args.overrides != Overrides::default() {
        return Err(Error::Invalid(
            "--resume goes on with the search's own scenario: no other value can be given than --budget and --precision"
                .to_owned(),
        ));
    }
    let earlier = file::read(folder)?;
    let scenarios = earlier.scenarios.clone();
    // As a scenario file is: what was read about is run now.
    scenarios.iter().try_for_each(Scenario::check)?;
    let file = file::file_of(folder);
    let folder = crate::files::folder_of(&file).to_owned();
    Ok((asked(args, scenarios, Some(earlier)), folder))
}

fn parse_precision(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.005..=1.0).contains(share))
        .ok_or_else(|| "a share from 0.005 to 1, such as 0.05".to_owned())
}

/// A bar on standard error, where that is a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg:<44} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

struct Progress(ProgressBar);

impl runner::Observer for Progress {
    fn planned(&mut self, migrations: u32) {
        self.0.set_length(u64::from(migrations));
    }

    fn begins(&mut self, arm: Arm, _block: Option<u32>) {
        self.0.set_message(format!("{arm}, costs"));
    }

    fn made(&mut self, _migration: &Migration) {
        self.0.inc(1);
    }
}

impl Observer for Progress {
    fn begins(&mut self, probe: &str, left: usize) {
        self.0.set_length(self.0.position() + left as u64);
        self.0.set_message(probe.to_owned());
    }

    fn made(&mut self) {
        self.0.inc(1);
    }
}
