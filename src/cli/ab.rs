//! `migtax ab`: two builds, measured in turns, then the gate.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args as ClapArgs;
use clap::builder::UnknownArgumentValueParser;

use super::passed::Passed;
use super::place::Place;
use crate::arm::Arm;
use crate::error::{Error, ExitCode, Result};
use crate::files::write_atomically;
use crate::gate::format::Format;
use crate::gate::{Config, builds};
use crate::results::Results;
use crate::run_folder;
use crate::scenario::MigrationOverrides;

/// Measures two builds in turns and says whether the candidate is worse.
///
/// Each block runs both binaries once, in alternating order, with the same seed: block number i has
/// --seed (1 if it is not given) plus i. What the first batch of blocks flags must show again in a second, fresh batch before it is called regressed.
/// Exit codes: 0 pass or improved, 3 regressed, 4 inconclusive, 5 incomparable, 2 invalid input.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// The migtax binary to compare with
    #[arg(long, value_name = "BIN")]
    pub baseline: PathBuf,
    /// The migtax binary to judge
    #[arg(long, value_name = "BIN")]
    pub candidate: PathBuf,
    /// Scenario file or name; the built-in default without it
    pub scenario: Option<String>,
    /// Blocks in a batch
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub blocks: u32,
    /// Refused: what is repeated are blocks
    #[arg(long, hide = true, value_parser = UnknownArgumentValueParser::suggest_arg("--blocks"))]
    pub reps: Option<String>,
    /// Values of the scenario to replace; block number i has the seed, 1 if none is given, plus i.
    #[command(flatten)]
    pub overrides: Passed<MigrationOverrides>,
    /// Where the hosts run.
    #[command(flatten)]
    pub place: Passed<Place>,
    /// Let the software arms run under policy required
    #[arg(long)]
    pub allow_software: bool,
    /// Keep both sides' results and the report in this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What is gated and how strictly; built in: datasets/gate.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Runs the command and prints its report.
///
/// # Errors
/// [`Error::Invalid`] if a binary isn't there or refuses the scenario, [`Error::CannotRun`] if one
/// fails otherwise or prints no results.
pub fn run(args: Args) -> Result<ExitCode> {
    let config = Config::read(args.config.as_deref())?;
    let overrides = &args.overrides.parsed;
    let links = overrides.link.as_ref().map_or(1, Vec::len);
    let limits = overrides.downtime_limit.as_ref().map_or(1, Vec::len);
    if links.max(limits) > 1 {
        return Err(Error::Invalid(
            "--link, --downtime-limit: two builds are compared at one value of each".to_owned(),
        ));
    }
    for (flag, file) in [
        ("--baseline", &args.baseline),
        ("--candidate", &args.candidate),
    ] {
        let fine = file.is_file();
        Error::unless(fine, flag, file.display(), "must be a migtax binary")?;
    }
    // Run folders that nobody needs afterwards.
    let scratch = tempfile::Builder::new()
        .prefix("migtax-ab-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|e| Error::writing(std::env::temp_dir(), e))?;
    let turns = Turns {
        args: &args,
        scratch: scratch.path(),
    };
    let arms = args.overrides.parsed.arms.as_deref().unwrap_or_default();
    let names = || [&args.baseline, &args.candidate].map(|binary| binary.display().to_string());
    // The first migrations meet cold caches and a machine that is still waking up.
    turns.block(None, arms)?;
    let [baseline, candidate] = turns.batch(0, arms)?;
    turns.keep("", &baseline, &candidate)?;
    let mut report = builds::judge_first(&baseline, &candidate, &config, names());
    let flagged = builds::flagged(&report);
    if !flagged.is_empty() {
        let names = names_of(&flagged).join(", ");
        eprintln!("first batch flags {names}: a fresh batch must confirm it");
        let [baseline, candidate] = turns.batch(args.blocks, &flagged)?;
        turns.keep("confirm-", &baseline, &candidate)?;
        report = builds::confirm(report, &baseline, &candidate, &config);
    }
    if let Some(out) = &args.out {
        write_atomically(
            &out.join("gate.json"),
            Format::Json.print(&report).as_bytes(),
        )?;
    }
    print!("{}", args.format.print(&report));
    Ok(report.verdict.exit_code())
}

fn names_of(arms: &[Arm]) -> Vec<&str> {
    arms.iter().map(|arm| arm.name()).collect()
}

/// The two binaries, run in turns.
struct Turns<'a> {
    args: &'a Args,
    scratch: &'a Path,
}

impl Turns<'_> {
    /// A batch of blocks, numbered from `first`; baseline and candidate.
    fn batch(&self, first: u32, arms: &[Arm]) -> Result<[Results; 2]> {
        let mut sides = [Vec::new(), Vec::new()];
        for block in first..first + self.args.blocks {
            eprintln!("block {} of {}", block - first + 1, self.args.blocks);
            let [baseline, candidate] = self.block(Some(block), arms)?;
            sides[0].push(baseline);
            sides[1].push(candidate);
        }
        let [baseline, candidate] = sides;
        Ok([
            builds::merge(&baseline, first)?,
            builds::merge(&candidate, first)?,
        ])
    }

    /// Both binaries once; the candidate first in every second block, so that whatever the first
    /// does to the machine falls on both alike. Warm-up without a block number.
    fn block(&self, block: Option<u32>, arms: &[Arm]) -> Result<[Results; 2]> {
        let first = self.args.overrides.parsed.stream.seed.unwrap_or(1);
        let seed = first.wrapping_add(u64::from(block.unwrap_or(0)));
        let measure = |binary: &Path| self.run(binary, seed, arms);
        let Args {
            baseline,
            candidate,
            ..
        } = self.args;
        if block.unwrap_or(0).is_multiple_of(2) {
            Ok([measure(baseline)?, measure(candidate)?])
        } else {
            let candidate = measure(candidate)?;
            Ok([measure(baseline)?, candidate])
        }
    }

    fn run(&self, binary: &Path, seed: u64, arms: &[Arm]) -> Result<Results> {
        let mut command = Command::new(binary);
        command.arg("run");
        command.args(&self.args.scenario);
        command.args(["--reps", "1", "--warmup", "0", "--json"]);
        command.args(["--seed", &seed.to_string()]);
        if !arms.is_empty() {
            command.args(["--arms", &names_of(arms).join(",")]);
        }
        command.arg("--out").arg(self.scratch.join("run"));
        command.args(self.args.overrides.arguments(&["arms", "seed"]));
        command.args(self.args.place.arguments(&[]));
        if self.args.allow_software {
            command.arg("--allow-software");
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|e| Error::io(format!("cannot run {}", binary.display()), e))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("no message").trim();
        let failed = |text: &str| format!("{}: {text}", binary.display());
        match output.status.code() {
            // 6: a migration failed; that is an outcome, and stands in the results.
            Some(0 | 6) => {}
            Some(2) => return Err(Error::Invalid(failed(last))),
            Some(code) => {
                return Err(Error::CannotRun(failed(&format!(
                    "exit code {code}: {last}"
                ))));
            }
            None => return Err(Error::CannotRun(failed("ended by a signal"))),
        }
        run_folder::parse(&output.stdout)
            .map_err(|e| Error::CannotRun(failed(&format!("printed no results: {e}"))))
    }

    fn keep(&self, prefix: &str, baseline: &Results, candidate: &Results) -> Result<()> {
        let Some(out) = &self.args.out else {
            return Ok(());
        };
        run_folder::write(baseline, &out.join(format!("{prefix}baseline")))?;
        run_folder::write(candidate, &out.join(format!("{prefix}candidate")))
    }
}
