//! What can stop a command, and the exit code that each kind has in the public contract.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Exit codes of the `migtax` command. The numbers are part of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done; `not_converged` and unsupported arms included.
    Done = 0,
    /// The coordinator could not run.
    CannotRun = 1,
    /// Invalid input, a named file that does not exist included.
    InvalidInput = 2,
    /// The gate found a regression.
    Regression = 3,
    /// The gate can't decide with the noise measured.
    Inconclusive = 4,
    /// The runs can't be compared.
    Incomparable = 5,
    /// A migration failed, though the run went on, or policy forbade one.
    MigrationFailed = 6,
    /// Interrupted; finished migrations are saved.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code as u8)
    }
}

/// An error that ends a command. Its text is one line: what was wrong, where, what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user gave something that can't be: names the field, the value and what is allowed.
    #[error("{0}")]
    Invalid(String),
    /// Runs that may not be compared, and why.
    #[error("incomparable: {0}")]
    Incomparable(String),
    /// The operating system refused something the coordinator needs.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Something else stopped the coordinator.
    #[error("{0}")]
    CannotRun(String),
}

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Invalid`] in the house form: the field, its value, what is allowed.
    pub fn invalid(field: impl Display, value: impl Display, allowed: impl Display) -> Self {
        Error::Invalid(format!("{field} = {value}: {allowed}"))
    }

    /// An [`Error::Io`] that says what was being done.
    pub fn io(context: impl Into<String>, source: std::io::Error) -> Self {
        Error::Io {
            context: context.into(),
            source,
        }
    }

    /// Reading a file that the user named: one that does not exist is invalid input.
    pub fn reading(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
        match source.kind() {
            NotFound | IsADirectory | NotADirectory => {
                Error::Invalid(format!("{}: {source}", path.display()))
            }
            _ => Error::io(format!("cannot read {}", path.display()), source),
        }
    }

    /// Writing a file.
    pub fn writing(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::io(format!("cannot write {}", path.into().display()), source)
    }

    /// The command's exit code for this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Invalid(_) => ExitCode::InvalidInput,
            Error::Incomparable(_) => ExitCode::Incomparable,
            Error::Io { .. } | Error::CannotRun(_) => ExitCode::CannotRun,
        }
    }
}
