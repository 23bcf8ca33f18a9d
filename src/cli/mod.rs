//! The command line: one verb a file.

pub mod ab;
pub mod doctor;
mod doctor_pair;
pub mod fleet;
mod folders;
pub mod frontier;
pub mod gate;
pub mod host;
pub mod list;
pub mod manual;
pub mod merge;
mod passed;
mod place;
pub mod plan;
mod recording;
mod refusal;
pub mod report;
pub mod run;
mod sharding;
mod version;
pub mod workload;
mod workload_plot;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::{Error, ExitCode, Result};

/// Measures what encryption costs a live migration: CPU on each host, migration time, downtime.
#[derive(Debug, Parser)]
#[command(name = "migtax", version = version::short(), long_version = version::long(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a scenario's arms, print the table, write a run folder
    Run(run::Args),
    /// Show what there is, and what this machine supports
    List(list::Args),
    /// Generate a dirty-page stream alone and check it against what was asked for
    Workload(workload::Args),
    /// Build index.html, PNGs and summary.md again from results.json
    Report(report::Args),
    /// Put the shards of a run together, as made with run --shard
    Merge(merge::Args),
    /// Compare two runs: verdict and exit code for CI
    Gate(gate::Args),
    /// Run two builds in turn, then the gate
    Ab(ab::Args),
    /// Predict for a VM and a link that were not measured, from a run's costs
    Plan(plan::Args),
    /// Find the highest dirty rate that converges, per arm
    Frontier(frontier::Args),
    /// Evacuate a host: many guests at once over one link; change their policy in bulk
    Fleet(fleet::Args),
    /// Show what this machine, or a pair of hosts, is and lacks
    Doctor(doctor::Args),
    /// Play one host of a migration (spec on standard input, report on standard output)
    Host(host::Args),
    /// Print completions for a shell
    Completions(manual::CompletionsArgs),
    /// Print a page of the manual, or write one for each verb
    Man(manual::ManArgs),
}

/// Carries out the command line of this process, as `migtax` does; what stopped it is said on
/// standard error.
pub fn main() -> std::process::ExitCode {
    end_quietly_on_a_closed_pipe();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(error) = refusal::of(&error) {
                return ends_with(&error);
            }
            // Help and version are no errors; help where a verb is missing is.
            let code = match error.use_stderr() {
                true => ExitCode::InvalidInput,
                false => ExitCode::Done,
            };
            // Nothing can be said where nothing can be printed.
            let _ = error.print();
            return code.into();
        }
    };
    match cli.carry_out() {
        Ok(code) => code.into(),
        Err(error) => ends_with(&error),
    }
}

fn ends_with(error: &Error) -> std::process::ExitCode {
    eprintln!("migtax: {error}");
    error.exit_code().into()
}

/// Prints a value as JSON, for people too.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::CannotRun(e.to_string()))?;
    println!("{text}");
    Ok(())
}

/// `migtax ... | head` is no fault of the program. SIGPIPE itself stays ignored: the coordinator
/// writes to the pipes of hosts that may have died.
fn end_quietly_on_a_closed_pipe() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") {
            std::process::exit(ExitCode::CannotRun as i32);
        }
        report(info);
    }));
}

impl Cli {
    fn carry_out(self) -> Result<ExitCode> {
        match self.verb {
            Verb::Run(args) => run::run(args),
            Verb::List(args) => list::run(&args),
            Verb::Workload(args) => workload::run(&args),
            Verb::Report(args) => report::run(args),
            Verb::Merge(args) => merge::run(args),
            Verb::Gate(args) => gate::run(args),
            Verb::Ab(args) => ab::run(args),
            Verb::Plan(args) => plan::run(&args),
            Verb::Frontier(args) => frontier::run(&args),
            Verb::Fleet(args) => fleet::run(&args),
            Verb::Doctor(args) => doctor::run(args),
            Verb::Host(args) => host::run(&args),
            Verb::Completions(args) => manual::completions(&args, Cli::command()),
            Verb::Man(args) => manual::man(&args, Cli::command()),
        }
    }
}
