//! `migtax host`: one side of a migration, told what to do by the coordinator.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Subcommand;

use crate::arm::Arm;
use crate::crypto;
use crate::destination;
use crate::error::{Error, ExitCode, Result};
use crate::host::control::{Control, emit, read_spec, unbuffered_input};
use crate::host::{Event, HostSpec, capabilities, process};
use crate::machine::clock;
use crate::source;

/// Arguments of `migtax host`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The arm that this host is started for: its library's view of the CPU is masked as it needs
    /// [default for capabilities: the headline's first, with what the environment leaves it]
    #[arg(long, global = true, value_name = "ARM")]
    arm: Option<Arm>,
    /// Behave as a host without AES instructions
    #[arg(long, global = true)]
    hide_aes: bool,
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
    Capabilities,
    /// Receive what a link is tried with before a run
    #[command(hide = true)]
    Probe,
}

/// Plays the role.
///
/// # Errors
/// If the spec is none or can't be carried out; the coordinator is told too.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(arm) = args.arm {
        put_on_mask(arm)?;
    }
    let is_source = match args.role {
        HostRole::Source => true,
        HostRole::Destination => false,
        HostRole::Capabilities => {
            let arm = args.arm.unwrap_or_else(Arm::foremost);
            super::print_json(&capabilities(arm, args.hide_aes))?;
            return Ok(ExitCode::Done);
        }
        HostRole::Probe => return destination::probe::run().map(|()| ExitCode::Done),
    };
    end_on_panic(process::end);
    crypto::guard_stack();
    let played = unbuffered_input().and_then(|mut input| {
        let (spec, secret) = read_spec(&mut input)?;
        check_spec(args, &spec)?;
        clock::adopt_read_ns(spec.thread_clock_read_ns);
        let control = Control::listen(
            input,
            spec.tunnel.as_ref().map(|tunnel| tunnel.folder.clone()),
        );
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

/// From now on a panic of any thread ends the process by `end`, its keys wiped: a stream thread that
/// panics would leave the others waiting. The coordinator says that the host has ended. As for
/// [`crypto::end_wiped`], `end` must not allocate, lock or print.
pub fn end_on_panic(end: fn() -> !) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        crypto::end_wiped(end);
    }));
}

/// The spec is for the arm that this host was started for, and needs nothing that it hides.
fn check_spec(args: &Args, spec: &HostSpec) -> Result<()> {
    if let Some(arm) = args.arm
        && arm != spec.arm
    {
        let allowed = format!("this host was started for {arm}");
        return Err(Error::invalid("spec.arm", spec.arm, allowed));
    }
    let hidden = spec.arm.row().required_features;
    Error::unless(
        !args.hide_aes || !spec.sealed || hidden.is_empty(),
        "spec.arm",
        spec.arm,
        format_args!("this host hides {}", hidden.join(", ")),
    )
}

/// A library reads its mask when the process starts: if the environment holds another one than the
/// arm's, the process starts itself anew. So it is where ssh has passed no environment.
fn put_on_mask(arm: Arm) -> Result<()> {
    let present = std::env::var_os;
    let mut wanted = arm.environment().into_iter();
    if wanted.all(|(name, value)| present(name).as_deref() == value.map(OsStr::new)) {
        return Ok(());
    }
    let program =
        std::env::current_exe().map_err(|error| Error::io("finding this executable", error))?;
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1));
    arm.prepare(&mut again);
    Err(Error::io(format!("starting anew for {arm}"), again.exec()))
}
