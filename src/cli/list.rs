//! `migtax list`: what there is, and what this machine supports and why not.

use clap::ValueEnum;

use crate::arm::Arm;
use crate::error::{ExitCode, Result};
use crate::runner::process::{Launcher, Role};
use crate::scenario;
use crate::tracking;

/// Arguments of `migtax list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list; everything if left out
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Scenarios,
    Arms,
    Trackers,
}

/// Prints the lists.
///
/// # Errors
/// If a host process can't be asked.
pub fn run(args: &Args) -> Result<ExitCode> {
    let all = [What::Scenarios, What::Arms, What::Trackers];
    let wanted: &[What] = match &args.what {
        Some(what) => std::slice::from_ref(what),
        None => &all,
    };
    for (index, what) in wanted.iter().enumerate() {
        if index > 0 {
            println!();
        }
        match what {
            What::Scenarios => scenarios(),
            What::Arms => arms()?,
            What::Trackers => trackers(),
        }
    }
    Ok(ExitCode::Done)
}

fn scenarios() {
    println!("scenarios:");
    for (name, scenario) in scenario::embedded() {
        let analysis = scenario
            .analysis
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let first = analysis.split_inclusive(". ").next().unwrap_or("").trim();
        println!("  {name:<18} {first}");
    }
}

fn arms() -> Result<()> {
    println!("arms:");
    let launcher = Launcher::this_build()?;
    for arm in Arm::all() {
        // Asked of a process that was started for the arm, since aws-lc's masks act only there.
        let host = launcher.capabilities(Role::Source, arm)?;
        let state = if let Some(failure) = host.known_answer_failure {
            format!("unsupported: {failure}")
        } else if !host.missing_features.is_empty() {
            format!(
                "unsupported: this CPU lacks {}",
                host.missing_features.join(", ")
            )
        } else if host.engaged_features.is_empty() {
            "supported".to_owned()
        } else {
            format!("supported, engages {}", host.engaged_features.join(" "))
        };
        println!("  {arm:<18} {}", arm.row().summary);
        println!("  {:<18} {state}", "");
    }
    Ok(())
}

fn trackers() {
    println!("trackers:");
    for (kind, available) in tracking::available() {
        let state = match available {
            Ok(()) => "available".to_owned(),
            Err(reason) => format!("not available: {reason}"),
        };
        println!("  {:<18} {state}", kind.to_string());
    }
}
