//! Flags of a verb that it hands on to another `migtax`.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// The flags that `T` defines, as parsed and as they were given. What was given is an argument of
/// every command line that takes `T`, so a flag is defined once for both.
#[derive(Debug, Clone)]
pub struct Passed<T> {
    /// The values.
    pub parsed: T,
    /// By flag, without its dashes.
    given: Vec<(String, OsString)>,
}

impl<T> Passed<T> {
    /// An argument for each flag that was given, but for those in `except`, which the caller gives
    /// itself.
    pub fn arguments(&self, except: &[&str]) -> impl Iterator<Item = &OsString> {
        let others = |(flag, _): &&(String, _)| !except.contains(&flag.as_str());
        self.given
            .iter()
            .filter(others)
            .map(|(_, argument)| argument)
    }
}

impl<T: Args> FromArgMatches for Passed<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut given = Vec::new();
        for arg in T::augment_args(Command::new("flags")).get_arguments() {
            let (id, Some(flag)) = (arg.get_id().as_str(), arg.get_long()) else {
                continue;
            };
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let mut argument = OsString::from(format!("--{flag}"));
            let values = matches
                .get_raw(id)
                .filter(|_| arg.get_action().takes_values());
            for (index, value) in values.into_iter().flatten().enumerate() {
                argument.push(if index == 0 { "=" } else { "," });
                argument.push(value);
            }
            given.push((flag.to_owned(), argument));
        }
        Ok(Passed {
            parsed: T::from_arg_matches(matches)?,
            given,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Args> Args for Passed<T> {
    fn augment_args(command: Command) -> Command {
        T::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        T::augment_args_for_update(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Overrides;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Verb {
        #[command(flatten)]
        passed: Passed<Overrides>,
        #[arg(long)]
        own: bool,
    }

    #[test]
    fn what_is_passed_on_is_parsed_as_the_same() {
        let flags = "t --own --arms copy,aws-lc --reps auto --memory 1.5GiB --rate=7MiB/s --streams 3 \
                     --record 64KiB --tracker bitmap --compression lz4 --clock virtual --link unlimited,10Gbit/s \
                     --downtime-limit 7ms --policy required --seed 18446744073709551615 --warmup 3 --pages thp --destination-memory on-demand --rtt 10ms";
        let passed = Verb::try_parse_from(flags.split_whitespace())
            .unwrap()
            .passed;
        let flags_of = Overrides::augment_args(Command::new("t"));
        assert_eq!(passed.given.len(), flags_of.get_arguments().count());
        let again = [OsString::from("t")];
        let again = again.iter().chain(passed.arguments(&[]));
        let again = Verb::try_parse_from(again).unwrap();
        assert_eq!(again.passed.parsed, passed.parsed);
        assert!(!again.own);
        assert_eq!(
            passed.arguments(&["seed", "rate"]).count() + 2,
            passed.given.len()
        );
        let none = Verb::try_parse_from(["t"]).unwrap().passed;
        assert_eq!(none.arguments(&[]).count(), 0);
    }
}
