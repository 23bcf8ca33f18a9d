//! `migtax completions` and `migtax man`: what the definition of the command line is made into.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

use crate::error::{Error, ExitCode, Result};
use crate::files::write_atomically;

/// Arguments of `migtax completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell that they are for
    shell: Shell,
}

/// Arguments of `migtax man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write a page for each verb, migtax.1 and migtax-VERB.1, into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints a shell's completions for `command`.
///
/// # Errors
/// If they can't be printed.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "migtax", &mut text);
    print(&text)
}

/// Prints the page of `command`, or writes those of it and its verbs.
///
/// # Errors
/// If they can't be printed or written.
pub fn man(args: &ManArgs, mut command: Command) -> Result<ExitCode> {
    // So that a verb's page knows its whole name, and the flags that all have.
    command.build();
    let Some(folder) = &args.out else {
        return print(&page(command, "migtax")?);
    };
    std::fs::create_dir_all(folder).map_err(|error| Error::writing(folder, error))?;
    let shown = |verb: &&Command| !verb.is_hide_set() && verb.get_name() != "help";
    for verb in command.get_subcommands().filter(shown) {
        let name = format!("migtax-{}", verb.get_name());
        write(folder, &name, &page(verb.clone(), &name)?)?;
    }
    write(folder, "migtax", &page(command, "migtax")?)?;
    Ok(ExitCode::Done)
}

fn page(command: Command, name: &str) -> Result<Vec<u8>> {
    // The version of the page's foot is one line; the command's own has more.
    let command = command.long_version(None::<&str>);
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(command).title(name).render(&mut text);
    rendered.map_err(|error| Error::io("making a page of the manual", error))?;
    Ok(text)
}

fn write(folder: &Path, name: &str, text: &[u8]) -> Result<()> {
    write_atomically(&folder.join(format!("{name}.1")), text)
}

fn print(text: &[u8]) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(text).and_then(|()| out.flush());
    printed.map_err(|error| Error::io("writing to standard output", error))?;
    Ok(ExitCode::Done)
}
