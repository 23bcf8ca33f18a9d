//! Bulk policy: a fleet's file changed group by group, with its comments kept.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::load;
use super::spec::{Fleet, Guest};
use crate::error::{Error, Result};
use crate::scenario::Policy;

/// What is set, in every group that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// `encryption = "required"` or another policy.
    Encryption(Policy),
    /// `encrypted = true` or false.
    Encrypted(bool),
}

/// Which guests are meant: all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Where(Vec<Condition>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Name(String),
    Encryption(Policy),
    Encrypted(bool),
}

const SETTINGS: &str = "encryption=disabled, opportunistic or required, or encrypted=true or false";
const CONDITIONS: &str = "name=PATTERN with * and ?, encryption=POLICY, encrypted=true or false; several, separated by commas, all hold";

fn policy(text: &str) -> Option<Policy> {
    <Policy as clap::ValueEnum>::from_str(text, false).ok()
}

impl FromStr for Setting {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let setting = match text.split_once('=') {
            Some(("encryption", value)) => policy(value).map(Setting::Encryption),
            Some(("encrypted", value)) => value.parse().ok().map(Setting::Encrypted),
            _ => None,
        };
        setting.ok_or_else(|| SETTINGS.to_owned())
    }
}

impl FromStr for Where {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let condition = |text: &str| match text.split_once('=')? {
            ("name", pattern) if !pattern.is_empty() => Some(Condition::Name(pattern.to_owned())),
            ("encryption", value) => policy(value).map(Condition::Encryption),
            ("encrypted", value) => value.parse().ok().map(Condition::Encrypted),
            _ => None,
        };
        let conditions = text.split(',').map(|text| condition(text.trim()));
        let all: Option<Vec<Condition>> = conditions.collect();
        all.map(Where).ok_or_else(|| CONDITIONS.to_owned())
    }
}

impl Where {
    /// Whether a guest is meant.
    pub fn holds(&self, guest: &Guest) -> bool {
        let scenario = &guest.scenario;
        self.0.iter().all(|condition| match condition {
            Condition::Name(pattern) => matches(pattern, &guest.name),
            Condition::Encryption(policy) => scenario.migration.policy == *policy,
            Condition::Encrypted(encrypted) => scenario.guest.encrypted == *encrypted,
        })
    }
}

/// Whether a name is of a pattern: `*` stands for any text, `?` for one character.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stood, and what it stands for so far ends.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, end)) => {
                    star = Some((at, end + 1));
                    (p, n) = (at + 1, end + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Encryption(policy) => write!(f, "encryption = {:?}", policy_name(*policy)),
            Setting::Encrypted(encrypted) => write!(f, "encrypted = {encrypted}"),
        }
    }
}

/// A policy as files write it.
pub fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::Disabled => "disabled",
        Policy::Opportunistic => "opportunistic",
        Policy::Required => "required",
    }
}

/// A file as it would be.
#[derive(Debug)]
pub struct Edited {
    /// Its text.
    pub text: String,
    /// The fleet that it was.
    pub before: Fleet,
    /// The fleet that it becomes.
    pub after: Fleet,
}

impl Edited {
    /// The guests that are changed, as they were and as they become.
    pub fn changed(&self) -> impl Iterator<Item = (&Guest, &Guest)> {
        let pairs = self.before.guests.iter().zip(&self.after.guests);
        pairs.filter(|(before, after)| before != after)
    }
}

/// The text of a fleet's file with a setting for the guests that are meant.
///
/// # Errors
/// [`Error::Invalid`] if the file is no fleet, no guest is meant, only a part of a group is, or the setting can't
/// be; then a guest that refuses it is named.
pub fn edit(
    text: &str,
    origin: &str,
    folder: Option<&Path>,
    set: &Setting,
    of: &Where,
) -> Result<Edited> {
    let before = load::parse(text, origin, folder)?;
    let invalid = |what: String| Error::Invalid(format!("{origin}: {what}"));
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| invalid(error.message().to_owned()))?;
    let groups = document
        .get_mut("guests")
        .and_then(Item::as_array_of_tables_mut);
    let groups = groups
        .ok_or_else(|| invalid("guests: written as [[guests]] tables to be changed".to_owned()))?;
    let sizes = load::group_sizes(text, origin, folder)?;
    let mut any = false;
    let mut first = 0;
    for (at, size) in sizes.into_iter().enumerate() {
        let guests = &before.guests[first..first + size];
        first += size;
        let meant = guests.iter().filter(|guest| of.holds(guest)).count();
        if meant == 0 {
            continue;
        }
        let name = guests.first().map_or("", |guest| guest.name.as_str());
        Error::unless(
            meant == size,
            "--where",
            format_args!("{meant} of the {size} guests of the group of {name}"),
            "whole groups: write a guest that is to differ as a group of its own",
        )?;
        any = true;
        put(groups, at, set);
    }
    Error::unless(any, "--where", "no guest", "guests of the fleet")?;
    let text = document.to_string();
    let after = load::parse(&text, origin, folder)?;
    Ok(Edited {
        text,
        before,
        after,
    })
}

fn put(groups: &mut ArrayOfTables, at: usize, set: &Setting) {
    let Some(group) = groups.get_mut(at) else {
        return;
    };
    let (key, new) = match set {
        Setting::Encryption(policy) => ("encryption", value(policy_name(*policy))),
        Setting::Encrypted(encrypted) => ("encrypted", value(*encrypted)),
    };
    keep_comment(group, key, new);
}

/// Sets a value; what stands before and after the old one stays.
fn keep_comment(group: &mut Table, key: &str, mut new: Item) {
    match group.get_mut(key) {
        Some(Item::Value(old)) => {
            if let Item::Value(new) = &mut new {
                *new.decor_mut() = old.decor().clone();
            }
            group[key] = new;
        }
        _ => {
            group.insert(key, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: &str = r#"# Ours.
name = "f" # its name
[[guests]] # the front
name = "web"
count = 2
encryption = "opportunistic" # for now

# Behind it.
[[guests]]
name = "db"
encrypted = true
guest = { memory = "8MiB" }
"#;

    fn edited(set: &str, of: &str) -> Result<Edited> {
        let of = match of {
            "" => Where::default(),
            of => of.parse().unwrap(),
        };
        edit(FLEET, "f.toml", None, &set.parse().unwrap(), &of)
    }

    #[test]
    fn what_is_set_is_all_that_changes() {
        let edited = edited("encryption=required", "name=web-*").unwrap();
        assert_eq!(
            edited.text,
            FLEET.replace("\"opportunistic\"", "\"required\"")
        );
        let changed: Vec<&str> = edited
            .changed()
            .map(|(_, after)| after.name.as_str())
            .collect();
        assert_eq!(changed, ["web-1", "web-2"]);
        let edited = self::edited("encryption=required", "").unwrap();
        assert!(
            edited
                .text
                .ends_with("guest = { memory = \"8MiB\" }\nencryption = \"required\"\n"),
            "{}",
            edited.text
        );
        let edited = self::edited("encryption=required", "encryption=required").map(drop);
        assert!(edited.unwrap_err().to_string().contains("no guest"));
    }

    #[test]
    fn what_can_not_be_is_refused_by_name() {
        for (set, of, expected) in [
            (
                "encryption=disabled",
                "",
                "db: encryption = disabled: an encrypted guest",
            ),
            (
                "encryption=required",
                "name=web-1",
                "1 of the 2 guests of the group of web-1",
            ),
            ("encryption=required", "name=mail", "no guest"),
        ] {
            let error = edited(set, of).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.lines().count() == 1,
                "{error}"
            );
        }
        assert!("encryption=on".parse::<Setting>().is_err());
        assert!("memory=1".parse::<Where>().is_err());
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("web-*", "web-1", true),
            ("web-*", "web", false),
            ("*", "", true),
            ("w?b-*1", "web-11", true),
            ("*b*b*", "abab", true),
            ("*b*c", "abab", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
