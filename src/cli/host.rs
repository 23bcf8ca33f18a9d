//! `migtax host`: one side of a migration, told what to do by the coordinator.

use clap::Subcommand;

use crate::arm::Arm;
use crate::error::{Error, ExitCode, Result};
use crate::host::control::{Control, emit, read_spec, unbuffered_input};
use crate::host::{Event, capabilities};
use crate::{destination, source};

/// Arguments of `migtax host`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    role: HostRole,
}

#[derive(Debug, Subcommand)]
enum HostRole {
    /// Run the guest and send it
    Source,
    /// Receive the guest and take it over
    Destination,
    /// Print what this host can do, as JSON
    Capabilities {
        /// The arm to speak for; aws-lc's features are those that the environment leaves it
        #[arg(long, default_value = "aws-lc", value_name = "ARM")]
        arm: Arm,
    },
}

/// Plays the role.
///
/// # Errors
/// If the spec is none or can't be carried out; the coordinator is told too.
pub fn run(args: &Args) -> Result<ExitCode> {
    let is_source = match args.role {
        HostRole::Source => true,
        HostRole::Destination => false,
        HostRole::Capabilities { arm } => {
            let text = serde_json::to_string_pretty(&capabilities(arm))
                .map_err(|error| Error::CannotRun(error.to_string()))?;
            println!("{text}");
            return Ok(ExitCode::Done);
        }
    };
    // A lane that panics would leave the others waiting: the host ends, and the coordinator says so.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::exit(ExitCode::CannotRun as i32);
    }));
    let played = read_spec(&mut &*unbuffered_input()).and_then(|(spec, secret)| {
        let control = Control::listen();
        if is_source {
            source::run(&spec, secret, &control)
        } else {
            destination::run(&spec, secret, &control)
        }
    });
    if let Err(error) = &played {
        emit(&Event::Refused {
            reason: error.to_string(),
        });
    }
    played.map(|()| ExitCode::Done)
}
