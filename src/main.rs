//! The `migtax` command.

use std::process::ExitCode;

use clap::Parser;
use migtax::cli::Cli;
use migtax::error;

fn main() -> ExitCode {
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
