//! The `migtax` command.

use std::process::ExitCode;

use clap::Parser;
use migtax::cli::Cli;
use migtax::error;

fn main() -> ExitCode {
    end_quietly_on_a_closed_pipe();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; everything else is invalid input.
            let code = match error.use_stderr() {
                true => error::ExitCode::InvalidInput,
                false => error::ExitCode::Done,
            };
            // Nothing can be said where nothing can be printed.
            let _ = error.print();
            return code.into();
        }
    };
    match cli.carry_out() {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("migtax: {error}");
            error.exit_code().into()
        }
    }
}

/// `migtax ... | head` is no fault of the program. SIGPIPE itself stays ignored: the coordinator
/// writes to the pipes of hosts that may have died.
fn end_quietly_on_a_closed_pipe() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") {
            std::process::exit(error::ExitCode::CannotRun as i32);
        }
        report(info);
    }));
}
