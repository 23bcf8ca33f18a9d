//! `migtax fleet`: the guests of a host leave it; their policy in bulk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::folders;
use crate::cli::place::{Reach, Roles, parse_hosts};
use crate::error::{Error, ExitCode, Result};
use crate::files::{folder_of, write_atomically};
use crate::fleet::edit::{Edited, Setting, Where, edit};
use crate::fleet::{
    self, Asked, Course, Fleet, FleetFile, Observer, Order, Way, file, load, report, tables,
    treatment,
};
use crate::plan::Planner;
use crate::present::escape;
use crate::run_folder;
use crate::runner::masked::masked;
use crate::runner::{Coordinator, Options};
use crate::units::Bandwidth;

/// Evacuates a host: many guests, several at once, over one link, in every way that is asked for.
///
/// With --set the guests' policy is changed in the file instead: shown first, written with --write. Exit codes:
/// 0 done, 2 invalid input, 6 a migration failed or policy forbade one, 130 interrupted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A fleet's file; the embedded default if left out
    fleet: Option<PathBuf>,
    /// Guests from an inventory, in the place of the fleet's own: a CSV file as plan takes it
    #[arg(long, value_name = "FILE.csv", conflicts_with = "set")]
    vms: Option<PathBuf>,
    /// Migrations under way at once; of several numbers, separated by commas, each is a course of its own
    /// [evacuation.concurrent]
    #[arg(long, value_delimiter = ',', value_name = "N", conflicts_with = "set")]
    concurrent: Option<Vec<u32>>,
    /// Who goes first [evacuation.order]
    #[arg(long, value_name = "ORDER", conflicts_with = "set")]
    order: Option<Order>,
    /// The run that times are predicted from, for --order shortest-first
    #[arg(long, value_name = "RUN", conflicts_with = "set")]
    costs: Option<PathBuf>,
    /// The link that all migrations share [evacuation.link]
    #[arg(long, value_name = "BANDWIDTH", conflicts_with = "set")]
    link: Option<Bandwidth>,
    /// Ways to go, separated by commas: arms, and configured for each guest by its own setting [measure.ways]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "A,B",
        conflicts_with = "set"
    )]
    ways: Option<Vec<Way>>,
    /// Measured blocks; each evacuates the fleet once in every way [measure.repetitions]
    #[arg(long, value_name = "N", conflicts_with = "set")]
    reps: Option<u32>,
    /// Blocks run first and not counted [measure.warmup]
    #[arg(long, value_name = "N", conflicts_with = "set")]
    warmup: Option<u32>,
    /// The folder; by default a new one under reports/
    #[arg(long, value_name = "DIR", conflicts_with = "set")]
    out: Option<PathBuf>,
    /// Print fleet.json to standard output, and nothing else there
    #[arg(long, conflicts_with = "set")]
    json: bool,
    /// Go on with an interrupted run in its own folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["fleet", "vms", "concurrent", "order", "link", "ways", "reps", "warmup", "out", "set"])]
    resume: Option<PathBuf>,
    /// Change a setting of guests in the file: encryption=POLICY or encrypted=true|false. Shows what changes
    #[arg(long, value_name = "WHAT=VALUE")]
    set: Option<Setting>,
    /// With --set: the guests that are meant, such as name=web-*; several conditions, separated by commas, all hold
    #[arg(long = "where", value_name = "CONDITIONS")]
    of: Option<Where>,
    /// With --set: write the file
    #[arg(long)]
    write: bool,
    /// Let arms that stand for hosts without AES instructions carry guests whose encryption is required
    #[arg(long)]
    allow_software: bool,
    /// Roles that behave as if their CPUs had no AES instructions
    #[arg(long, value_name = "HOSTS", value_parser = parse_hosts)]
    hide_aes: Option<Roles>,
    #[command(flatten)]
    reach: Reach,
}

/// Evacuates the fleet, or changes its policy.
///
/// # Errors
/// Invalid input, before anything starts; what stops the coordinator.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut options = Options {
        allow_software: args.allow_software,
        hide_aes: args.hide_aes.clone().unwrap_or_default().0,
        command: masked(
            &std::iter::once("migtax".to_owned())
                .chain(std::env::args().skip(1))
                .collect::<Vec<_>>(),
        ),
        ..Options::default()
    };
    args.reach.put_into(&mut options)?;
    if let Some(set) = &args.set {
        return change(args, set, &options);
    }
    // Not left to the parser, which lets it pass where other flags exclude --set.
    for (flag, given) in [("--where", args.of.is_some()), ("--write", args.write)] {
        Error::unless(!given, flag, "given", "with --set WHAT=VALUE alone")?;
    }
    let costs = match &args.costs {
        Some(run) => Some(Planner::new(&run_folder::read(run)?)?),
        None => None,
    };
    let (asked, folder) = match &args.resume {
        Some(folder) => {
            let (earlier, folder) = interrupted(folder)?;
            let fleet = earlier.fleet.clone();
            (
                Asked::new(fleet, costs.as_ref(), Some(earlier), &options)?,
                folder,
            )
        }
        None => {
            let fleet = asked(args)?;
            let name = fleet.name.clone();
            let asked = Asked::new(fleet, costs.as_ref(), None, &options)?;
            (asked, folder(args, &name)?)
        }
    };
    let mut progress = Progress(bar());
    let made = fleet::run(&asked, &options, &folder, &mut progress);
    progress.0.finish_and_clear();
    let (made, exit) = made?;
    report::write(&made, &folder)?;
    if args.json {
        super::print_json(&made)?;
        eprintln!("{}", folder.display());
    } else {
        println!("{}", report::console(&made));
        println!("{}", folder.join("index.html").display());
    }
    Ok(exit)
}

/// The fleet with the values that are given in the place of its own.
fn asked(args: &Args) -> Result<Fleet> {
    let mut fleet = fleet::load(args.fleet.as_deref())?;
    if let Some(link) = args.link {
        fleet.set_link(link);
    }
    if let Some(concurrent) = &args.concurrent {
        fleet.evacuation.concurrent.clone_from(concurrent);
    }
    fleet.evacuation.order = args.order.unwrap_or(fleet.evacuation.order);
    fleet.measure.repetitions = args.reps.unwrap_or(fleet.measure.repetitions);
    fleet.measure.warmup = args.warmup.unwrap_or(fleet.measure.warmup);
    if let Some(ways) = &args.ways {
        fleet.set_ways(ways);
    }
    if let Some(inventory) = &args.vms {
        fleet = load::of_inventory(fleet, inventory)?;
    }
    fleet.check()?;
    Ok(fleet)
}

fn folder(args: &Args, name: &str) -> Result<PathBuf> {
    match &args.out {
        Some(folder) => {
            let there = folder.join(file::FILE_NAME).exists();
            let allowed = "a folder without fleet.json; --resume goes on with an interrupted run";
            Error::unless(!there, "--out", folder.display(), allowed)?;
            Ok(folder.clone())
        }
        None => Ok(folders::fresh(Path::new("reports"), name)?),
    }
}

fn interrupted(folder: &Path) -> Result<(FleetFile, PathBuf)> {
    let earlier = file::read(folder)?;
    Error::unless(
        earlier.interrupted,
        "--resume",
        folder.display(),
        "only a run that was interrupted",
    )?;
    let file = file::file_of(folder);
    let folder = folder_of(&file).to_owned();
    Ok((earlier, folder))
}

/// Shows what a setting changes and what it means on these hosts; writes the file if that is asked for.
fn change(args: &Args, set: &Setting, options: &Options) -> Result<ExitCode> {
    let Some(file) = &args.fleet else {
        return Err(Error::Invalid(
            "--set: needs a file to change: the embedded fleet has none".to_owned(),
        ));
    };
    let of = args.of.clone().unwrap_or_default();
    let text = load::text_of(file)?;
    let edited = edit(&text, &file.to_string_lossy(), file.parent(), set, &of)?;
    let mut changed = 0;
    for (before, after) in edited.changed() {
        changed += 1;
        println!(
            "{}: {}",
            escape::terminal(&after.name),
            difference(before, after)
        );
    }
    if changed == 0 {
        println!("nothing changes: all of them have {set}");
    }
    consequences(&edited, options)?;
    match (args.write, changed) {
        (_, 0) => {}
        (true, _) => {
            write_atomically(file, edited.text.as_bytes())?;
            println!("written: {}", file.display());
        }
        (false, _) => println!("not written: --write does that"),
    }
    Ok(ExitCode::Done)
}

fn difference(before: &fleet::Guest, after: &fleet::Guest) -> String {
    let encrypted = (
        before.scenario.guest.encrypted,
        after.scenario.guest.encrypted,
    );
    let policy =
        [before, after].map(|guest| fleet::edit::policy_name(guest.scenario.migration.policy));
    match encrypted.0 == encrypted.1 {
        true => format!("encryption {} -> {}", policy[0], policy[1]),
        false => format!("encrypted {} -> {}", encrypted.0, encrypted.1),
    }
}

/// Who would go in the clear, and who not at all, with the file as it would be on hosts like these.
fn consequences(edited: &Edited, options: &Options) -> Result<()> {
    let coordinator = Coordinator::start(options)?;
    let mut hosts = coordinator.hosts();
    let fleet = &edited.after;
    let arm = fleet.measure.arm;
    let [source, destination] = hosts.abilities(arm)?;
    let each =
        |guest| treatment::configured(guest, arm, options.allow_software, &source, &destination);
    let treatments: Vec<_> = fleet.guests.iter().map(each).collect();
    println!("\n{}", tables::policy(fleet, &treatments).terminal());
    let names = |of: &dyn Fn(&treatment::Treatment) -> bool| {
        let guests = fleet.guests.iter().zip(&treatments);
        let names = guests
            .filter(|(_, treatment)| of(treatment))
            .map(|(guest, _)| guest.name.as_str());
        escape::terminal(&names.collect::<Vec<_>>().join(", "))
    };
    let on = match (
        options.hide_aes.is_empty(),
        source.missing_features.is_empty(),
    ) {
        (false, _) => "on hosts without AES instructions (--hide-aes)",
        (true, true) => "on these hosts",
        (true, false) => "on these hosts, which lack AES instructions",
    };
    for (what, of) in [
        ("in the clear", names(&|of| of.goes() && !of.sealed)),
        ("not at all", names(&|of| !of.goes())),
    ] {
        if !of.is_empty() {
            println!("{on} {what}: {of}");
        }
    }
    Ok(())
}

/// A bar on standard error, where that is a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg:<28} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

struct Progress(ProgressBar);

impl Observer for Progress {
    fn planned(&mut self, evacuations: usize) {
        self.0.set_length(evacuations as u64);
    }

    fn begins(&mut self, course: Course, block: Option<u32>) {
        self.0.set_message(match block {
            Some(block) => format!("{course}, block {}", block + 1),
            None => format!("{course}, warm-up"),
        });
    }

    fn made(&mut self) {
        self.0.inc(1);
    }
}
