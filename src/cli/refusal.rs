//! What is wrong with a command line, in one line as every other error.

use std::error::Error as _;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::Error;

/// The error in the house form; none if it is help or a version, which are printed as they are.
pub(super) fn of(error: &clap::Error) -> Option<Error> {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
        _ => Some(of_value(error).unwrap_or_else(|| Error::Invalid(in_one_line(error)))),
    }
}

/// A flag's value that can't be, and what can.
fn of_value(error: &clap::Error) -> Option<Error> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (flag, value) = (
        text(ContextKind::InvalidArg)?,
        text(ContextKind::InvalidValue)?,
    );
    // Without the name of the value.
    let flag = flag.split([' ', '=']).next()?;
    let flag = flag.trim_matches(['[', ']', '<', '>', '.']);
    let allowed = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => values.join(", "),
        _ => allowed(error)?,
    };
    let value = if value.is_empty() { "\"\"" } else { value };
    Some(Error::invalid(flag, value, allowed))
}

/// What the value's own type says. A number's says in words of its own what is wrong, not what is allowed.
fn allowed(error: &clap::Error) -> Option<String> {
    let source = error.source()?;
    if source.is::<ParseFloatError>() {
        return Some("a number is wanted".to_owned());
    }
    Some(match source.downcast_ref::<ParseIntError>() {
        Some(number) => match number.kind() {
            IntErrorKind::PosOverflow => "a smaller number is wanted".to_owned(),
            _ => "a whole number is wanted".to_owned(),
        },
        None => source.to_string(),
    })
}

/// All that clap says but where help is: paragraphs become parts of a line.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text.trim_start_matches("error:").split("\n\n");
    let paragraphs = paragraphs.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let said: Vec<String> = paragraphs
        .filter(|text| !text.is_empty() && !text.starts_with("For more information"))
        .map(|text| match text.strip_prefix("Usage:") {
            Some(usage) => format!("usage:{usage}"),
            None => text,
        })
        .collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, value_parser};

    use super::*;

    fn said(words: &[&str]) -> Option<String> {
        let number = |name: &'static str| Arg::new(name).long(name).value_name("N");
        let command = Command::new("migtax")
            .arg(
                number("whole")
                    .value_parser(value_parser!(u32).range(1..=9))
                    .conflicts_with("share"),
            )
            .arg(number("share").value_parser(value_parser!(f64)))
            .arg(number("colour").value_parser(["red", "blue"]))
            .arg(Arg::new("RUN").required(true));
        let words = std::iter::once(&"migtax").chain(words);
        let error = command.try_get_matches_from(words).unwrap_err();
        of(&error).map(|error| error.to_string())
    }

    #[test]
    fn a_command_line_that_can_not_be_is_told_in_one_line() {
        for (words, expected) in [
            (
                &["a", "--whole", "x"][..],
                "--whole = x: a whole number is wanted",
            ),
            (
                &["a", "--whole", "99999999999999999999"],
                "--whole = 99999999999999999999: a smaller number is wanted",
            ),
            (&["a", "--whole=10"], "--whole = 10: 10 is not in 1..=9"),
            (&["a", "--share", "x"], "--share = x: a number is wanted"),
            (&["a", "--share", ""], "--share = \"\": a number is wanted"),
            (&["a", "--colour", "a\nb"], "--colour = a b: red, blue"),
            (
                &[],
                "the following required arguments were not provided: <RUN>; usage: migtax <RUN>",
            ),
            (
                &["a", "--colr", "red"],
                "unexpected argument '--colr' found; tip: a similar argument exists: '--colour'; usage: migtax \
                 --colour <N> <RUN>",
            ),
            (
                &["a", "--whole", "1", "--share", "1"],
                "the argument '--whole <N>' cannot be used with '--share <N>'; usage: migtax --whole <N> <RUN>",
            ),
            (
                &["a", "--whole"],
                "a value is required for '--whole <N>' but none was supplied",
            ),
        ] {
            assert_eq!(said(words).as_deref(), Some(expected), "{words:?}");
        }
        assert_eq!(said(&["--help"]), None);
    }
}
