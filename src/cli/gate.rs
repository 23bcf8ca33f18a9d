//! `migtax gate`: verdict and exit code for CI.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use crate::error::{Error, ExitCode, Result};
use crate::files::write_atomically;
use crate::gate::format::{Format, bencher};
use crate::gate::noise::Scales;
use crate::gate::{Config, Report, criterion, exact, instructions, judge_runs, selftest};
use crate::results::Results;
use crate::run_folder;

/// Compares two runs and says whether the candidate is worse.
///
/// Exit codes: 0 pass or improved, 3 regressed, 4 inconclusive, 5 incomparable, 2 invalid input.
#[derive(Debug, Clone, ClapArgs)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["candidate", "criterion", "instructions", "self_test", "noise"]))]
pub struct Args {
    /// Run folder or results.json to compare with
    #[arg(long, value_name = "RUN", requires = "candidate")]
    pub baseline: Option<PathBuf>,
    /// Run folder or results.json to judge
    #[arg(long, value_name = "RUN")]
    pub candidate: Option<PathBuf>,
    /// Compare the candidate's exact counts with this reviewed file
    #[arg(
        long,
        value_name = "FILE",
        requires = "candidate",
        conflicts_with = "baseline"
    )]
    pub exact: Option<PathBuf>,
    /// Write the candidate's exact counts to this file and print what changed
    #[arg(long, value_name = "FILE", requires = "candidate", conflicts_with_all = ["baseline", "exact"])]
    pub update_exact: Option<PathBuf>,
    /// Compare two baselines of criterion's, saved with cargo bench -- --save-baseline NAME
    #[arg(long, num_args = 2, value_names = ["BASE", "NEW"], conflicts_with_all = ["candidate", "self_test"])]
    pub criterion: Option<Vec<String>>,
    /// Where criterion keeps them
    #[arg(long, value_name = "DIR", default_value = "target/criterion")]
    pub criterion_dir: PathBuf,
    /// Compare two files of instruction counts, made with cargo bench --bench instructions
    #[arg(long, num_args = 2, value_names = ["BASE", "NEW"], conflicts_with_all = ["candidate", "criterion", "self_test"])]
    pub instructions: Option<Vec<PathBuf>>,
    /// Print how much the figures of single migrations vary in these runs, as datasets/noise.toml
    /// holds it for the self-test
    #[arg(long, num_args = 1.., value_name = "RUN", conflicts_with_all = ["candidate", "criterion", "instructions", "self_test"])]
    pub noise: Option<Vec<PathBuf>>,
    /// Measure the gate itself on simulated runs
    #[arg(long, conflicts_with = "candidate")]
    pub self_test: bool,
    /// A/A trials in each condition of the self-test
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(20..=1_000_000), requires = "self_test")]
    pub trials: u32,
    /// Seed of the self-test's simulated runs
    #[arg(long, value_name = "N", default_value_t = 1, requires = "self_test")]
    pub seed: u32,
    /// What is gated and how strictly; built in: datasets/gate.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Also write the candidate as Bencher Metric Format
    #[arg(long, value_name = "FILE", requires = "candidate")]
    pub export_bencher: Option<PathBuf>,
}

/// Runs the command and prints its report.
///
/// # Errors
/// [`Error::Invalid`] for a file that can't be used; [`Error::Incomparable`] for one of a newer
/// schema; [`Error::CannotRun`] for a self-test whose rates are not as designed.
pub fn run(args: Args) -> Result<ExitCode> {
    let config = Config::read(args.config.as_deref())?;
    if args.self_test {
        return self_test(&config, &args);
    }
    if let Some(folders) = &args.noise {
        let runs = folders.iter().map(|folder| read(folder));
        let runs = runs.collect::<Result<Vec<_>>>()?;
        let names: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        print!("{}", Scales::derive(&runs)?.file(&runs, &names));
        return Ok(ExitCode::Done);
    }
    if let Some(names) = &args.criterion {
        let [baseline, candidate] = names.as_slice() else {
            return Err(Error::Invalid(
                "--criterion: two names are needed".to_owned(),
            ));
        };
        let report = criterion::judge(&args.criterion_dir, baseline, candidate, &config)?;
        return finish(&report, args.format);
    }
    if let Some(files) = &args.instructions {
        let [baseline, candidate] = files.as_slice() else {
            return Err(Error::Invalid(
                "--instructions: two files are needed".to_owned(),
            ));
        };
        let report = instructions::judge_files(baseline, candidate, &config)?;
        return finish(&report, args.format);
    }
    let Some(candidate_path) = &args.candidate else {
        return Err(Error::Invalid("--candidate: missing".to_owned()));
    };
    let candidate = read(candidate_path)?;
    if let Some(file) = &args.export_bencher {
        write_atomically(file, bencher(&candidate).as_bytes())?;
    }
    let name = candidate_path.display().to_string();
    if let Some(file) = &args.update_exact {
        let changes = exact::update_file(file, &candidate)?;
        for change in &changes {
            println!("{change}");
        }
        println!("{}: {} changes", file.display(), changes.len());
        return Ok(ExitCode::Done);
    }
    if let Some(file) = &args.exact {
        return finish(
            &exact::judge_against_file(file, &candidate, name)?,
            args.format,
        );
    }
    let Some(baseline_path) = &args.baseline else {
        if args.export_bencher.is_some() {
            return Ok(ExitCode::Done);
        }
        return Err(Error::Invalid(
            "--baseline: missing: a run, or --exact FILE, to compare the candidate with".to_owned(),
        ));
    };
    let baseline = read(baseline_path)?;
    let names = [baseline_path.display().to_string(), name];
    finish(
        &judge_runs(&baseline, &candidate, &config, names),
        args.format,
    )
}

fn self_test(config: &Config, args: &Args) -> Result<ExitCode> {
    let result = selftest::run(config, args.trials, args.seed);
    if args.format == Format::Json {
        super::print_json(&result)?;
    } else {
        print!("{}", result.text());
    }
    let failures = result.failures();
    if failures.is_empty() {
        return Ok(ExitCode::Done);
    }
    Err(Error::CannotRun(format!(
        "the gate is not as designed: {}",
        failures.join("; ")
    )))
}

fn finish(report: &Report, format: Format) -> Result<ExitCode> {
    print!("{}", format.print(report));
    Ok(report.verdict.exit_code())
}

/// A newer schema is a matter of comparison here, not of a damaged file.
fn read(run: &Path) -> Result<Results> {
    run_folder::read(run).map_err(|error| match error {
        Error::Newer(text) => Error::Incomparable(text),
        other => other,
    })
}
