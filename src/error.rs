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

/// An error that ends a command. Its text is one line: what was wrong, where, what is allowed. It
/// may repeat what was given, so control characters are shown as spaces.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user gave something that can't be: names the field, the value and what is allowed.
    #[error("{}", one_line(.0))]
    Invalid(String),
    /// A file of a newer format than this build reads: invalid input, and nothing to compare with.
    #[error("{}", one_line(.0))]
    Newer(String),
    /// Runs that may not be compared, and why.
    #[error("incomparable: {}", one_line(.0))]
    Incomparable(String),
    /// The operating system refused something the coordinator needs.
    #[error("{}: {source}", one_line(.context))]
    Io {
        /// What was being done.
        context: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Something else stopped the coordinator.
    #[error("{}", one_line(.0))]
    CannotRun(String),
}

/// Text without line ends and other control characters: errors go to terminals and logs.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Invalid`] in the house form: the field, its value, what is allowed.
    pub fn invalid(field: impl Display, value: impl Display, allowed: impl Display) -> Self {
        Error::Invalid(format!("{field} = {value}: {allowed}"))
    }

    /// An [`Error::invalid`] unless `fine`.
    ///
    /// # Errors
    /// It.
    pub fn unless(
        fine: bool,
        field: impl Display,
        value: impl Display,
        allowed: impl Display,
    ) -> Result<()> {
        match fine {
            true => Ok(()),
            false => Err(Error::invalid(field, value, allowed)),
        }
    }

    /// An [`Error::Invalid`] with the line of `text` that the TOML reader stumbled on.
    pub fn toml(text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = &text.as_bytes()[..start];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let message: Vec<&str> = error.message().split_whitespace().collect();
        Error::Invalid(format!("line {line}: {}", message.join(" ")))
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
            Error::Invalid(_) | Error::Newer(_) => ExitCode::InvalidInput,
            Error::Incomparable(_) => ExitCode::Incomparable,
            Error::Io { .. } | Error::CannotRun(_) => ExitCode::CannotRun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_repeats_stays_on_its_line() {
        let error = Error::invalid("na\nme", "\u{1b}[2J\r", "one line");
        assert_eq!(error.to_string(), "na me =  [2J : one line");
        let error = Error::io("cannot read a\tb", std::io::Error::other("why"));
        assert_eq!(error.to_string(), "cannot read a b: why");
    }

    #[test]
    fn the_line_of_a_toml_error_is_that_of_its_place() {
        for (text, line) in [
            ("a = ", 1),
            ("a = 1\n\na = 2", 3),
            ("b = 1\n= 2\n", 2),
            ("", 1),
        ] {
            #[derive(Debug, serde::Deserialize)]
            struct Wanted {
                #[serde(rename = "a")]
                _a: u32,
            }
            let error = toml::from_str::<Wanted>(text).unwrap_err();
            let said = Error::toml(text, &error).to_string();
            assert!(
                said.starts_with(&format!("line {line}: ")),
                "{text:?}: {said}"
            );
        }
    }
}
