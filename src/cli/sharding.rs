//! `--shard`: which part of a run's points and blocks is made here.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::results::MOST_SHARDS;

/// What stands in the environment of a task of an engine.
const SLURM_TASK: &str = "SLURM_ARRAY_TASK_ID";
const SLURM_COUNT: &str = "SLURM_ARRAY_TASK_COUNT";
const SLURM_FIRST: &str = "SLURM_ARRAY_TASK_MIN";
const SLURM_LAST: &str = "SLURM_ARRAY_TASK_MAX";
const KUBERNETES_TASK: &str = "JOB_COMPLETION_INDEX";
const SHARDS: &str = "MIGTAX_SHARDS";

/// What `--shard` is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharding {
    /// What the engine that started this task says.
    Auto,
    /// Shard `index` of `of`.
    Part {
        /// From 1.
        index: u32,
        /// At least `index`.
        of: u32,
    },
}

impl FromStr for Sharding {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Sharding::Auto);
        }
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok())?
        };
        text.split_once('/')
            .and_then(|(index, of)| Some((number(index)?, number(of)?)))
            .filter(|(index, of)| (1..=*of).contains(index) && *of <= MOST_SHARDS)
            .map(|(index, of)| Sharding::Part { index, of })
            .ok_or_else(|| format!("I/N, such as 1/4, with 1 <= I <= N <= {MOST_SHARDS}, or auto"))
    }
}

impl Sharding {
    /// Shard and number of shards.
    ///
    /// # Errors
    /// If the environment does not say, or contradicts itself.
    pub fn resolve(self) -> Result<(u32, u32)> {
        match self {
            Sharding::Part { index, of } => Ok((index, of)),
            Sharding::Auto => from_environment(|name| std::env::var(name).ok()),
        }
    }
}

/// Slurm's array, whose tasks are numbered from its first on, or a Kubernetes Indexed Job, whose
/// completions are numbered from 0. With MIGTAX_SHARDS the number of an array's task is its shard: so
/// some tasks of an array can be submitted again by themselves.
fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<(u32, u32)> {
    let of_auto = |name: &str| format!("--shard auto: {name}");
    let number = |name: &str| match variable(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match text.parse::<u32>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::invalid(
                of_auto(name),
                text,
                "a whole number is wanted",
            )),
        },
    };
    let missing =
        |name: &str, why: &str| Error::Invalid(format!("{} is not set: {why}", of_auto(name)));
    let (index, of, (task_name, of_name, first)) = match (
        number(SLURM_TASK)?,
        number(KUBERNETES_TASK)?,
    ) {
        (Some(_), Some(_)) => {
            return Err(Error::Invalid(format!(
                "--shard auto: {SLURM_TASK} and {KUBERNETES_TASK} are both set: name the shard, --shard I/N"
            )));
        }
        (None, None) => {
            return Err(Error::Invalid(format!(
                "--shard auto: neither {SLURM_TASK} (an array of Slurm's) nor {KUBERNETES_TASK} (an Indexed Job of \
                 Kubernetes) is set: name the shard, --shard I/N"
            )));
        }
        (None, Some(task)) => {
            let of = number(SHARDS)?.ok_or_else(|| {
                missing(
                    SHARDS,
                    "Kubernetes does not tell a pod the Job's completions",
                )
            })?;
            (task.checked_add(1), of, (KUBERNETES_TASK, SHARDS, 0))
        }
        (Some(task), None) => match number(SHARDS)? {
            Some(of) => (Some(task), of, (SLURM_TASK, SHARDS, 1)),
            None => {
                let count = number(SLURM_COUNT)?
                    .ok_or_else(|| missing(SLURM_COUNT, "the number of the array's tasks"))?;
                let first = number(SLURM_FIRST)?.unwrap_or(1);
                let last = number(SLURM_LAST)?;
                if let Some(last) =
                    last.filter(|last| last.checked_sub(first) != count.checked_sub(1))
                {
                    return Err(Error::Invalid(format!(
                        "--shard auto: {SLURM_COUNT} = {count}, though tasks are numbered {first} to {last}: an array \
                         without gaps, or {SHARDS} for the number of shards"
                    )));
                }
                let index = task.checked_sub(first).and_then(|i| i.checked_add(1));
                (index, count, (SLURM_TASK, SLURM_COUNT, first))
            }
        },
    };
    let refused = |name: &str, allowed: String| {
        let value = variable(name).unwrap_or_default();
        Err(Error::invalid(of_auto(name), value, allowed))
    };
    if !(1..=MOST_SHARDS).contains(&of) {
        return refused(of_name, format!("1 to {MOST_SHARDS} shards"));
    }
    match index {
        Some(index) if (1..=of).contains(&index) => Ok((index, of)),
        _ => {
            let last = u64::from(first) + u64::from(of) - 1;
            refused(task_name, format!("no shard of {of}: {first} to {last}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_named_or_refused() {
        let part = |index, of| Ok(Sharding::Part { index, of });
        for (text, expected) in [
            ("1/4", part(1, 4)),
            ("4/4", part(4, 4)),
            ("auto", Ok(Sharding::Auto)),
        ] {
            assert_eq!(text.parse::<Sharding>(), expected);
        }
        for text in [
            "0/4",
            "5/4",
            "x/4",
            "4",
            "1/0",
            "",
            "/",
            "1/4/4",
            "-1/4",
            "+1/4",
            "1/2000000",
            "1/99999999999",
        ] {
            let error = text.parse::<Sharding>().unwrap_err();
            assert!(error.contains("1 <= I <= N"), "{text}: {error}");
        }
    }

    #[test]
    fn the_engine_says_which_part_it_is() {
        let of = |variables: &str| {
            let variables: Vec<(&str, &str)> = variables
                .split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .collect();
            from_environment(|name| {
                let found = variables.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        for (variables, expected) in [
            ("SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=4", (2, 4)),
            (
                "SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=3",
                (1, 4),
            ),
            (
                "SLURM_ARRAY_TASK_ID=12 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_MAX=12",
                (3, 3),
            ),
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=1 SLURM_ARRAY_TASK_MIN=3 MIGTAX_SHARDS=4",
                (3, 4),
            ),
            ("JOB_COMPLETION_INDEX=0 MIGTAX_SHARDS=4", (1, 4)),
            ("JOB_COMPLETION_INDEX=3 MIGTAX_SHARDS=4", (4, 4)),
        ] {
            assert_eq!(of(variables).unwrap(), expected, "{variables}");
        }
        for (variables, words) in [
            ("", "neither SLURM_ARRAY_TASK_ID"),
            ("SLURM_ARRAY_TASK_ID=1", "SLURM_ARRAY_TASK_COUNT is not set"),
            (
                "SLURM_ARRAY_TASK_ID=x SLURM_ARRAY_TASK_COUNT=4",
                "SLURM_ARRAY_TASK_ID = x: a whole number",
            ),
            (
                "SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=4",
                "SLURM_ARRAY_TASK_ID = 0: no shard of 4",
            ),
            (
                "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=3",
                "without gaps",
            ),
            (
                "SLURM_ARRAY_TASK_ID=5 MIGTAX_SHARDS=4",
                "= 5: no shard of 4: 1 to 4",
            ),
            ("JOB_COMPLETION_INDEX=0", "MIGTAX_SHARDS is not set"),
            (
                "JOB_COMPLETION_INDEX=4 MIGTAX_SHARDS=4",
                "= 4: no shard of 4: 0 to 3",
            ),
            (
                "JOB_COMPLETION_INDEX=0 MIGTAX_SHARDS=0",
                "MIGTAX_SHARDS = 0: 1 to 1000000 shards",
            ),
            (
                "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2000000",
                "SLURM_ARRAY_TASK_COUNT = 2000000: 1 to 1000000",
            ),
            (
                "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=2",
                "= 1: no shard of 4: 2 to 5",
            ),
            (
                "JOB_COMPLETION_INDEX=0 MIGTAX_SHARDS=4 SLURM_ARRAY_TASK_ID=1",
                "both set",
            ),
        ] {
            let error = of(variables).unwrap_err();
            assert!(error.to_string().contains(words), "{variables}: {error}");
            assert_eq!(error.exit_code(), crate::error::ExitCode::InvalidInput);
        }
    }
}
