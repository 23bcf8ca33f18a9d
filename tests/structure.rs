//! The map at the head of `src/lib.rs` is true: every module is on it, and imports from lines above
//! its own only, so that there are no circles. And what is built in CI is what was reviewed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The line of the map on which each module stands.
fn map() -> BTreeMap<String, usize> {
    let lib = fs::read_to_string(Path::new(SRC).join("lib.rs")).unwrap();
    let head = "//! | module | holds |";
    let table = lib.lines().skip_while(|line| *line != head).skip(2);
    let rows = table.take_while(|line| line.starts_with("//! |"));
    rows.enumerate()
        .flat_map(|(place, row)| {
            let names = row.split('|').nth(1).unwrap().split(',');
            names.map(move |name| (name.trim().trim_matches(&['[', ']', '`'][..]).into(), place))
        })
        .collect()
}

/// The Rust files of a module, without those of its tests.
fn files(at: PathBuf, found: &mut Vec<PathBuf>) {
    if at.is_dir() {
        for entry in fs::read_dir(at).unwrap() {
            files(entry.unwrap().path(), found);
        }
    } else if at.extension().is_some_and(|e| e == "rs") && !at.ends_with("tests.rs") {
        found.push(at);
    }
}

/// The modules of the crate that a file names outside comments and tests.
fn imports(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = code.lines().map(|line| line.split("//").next().unwrap());
    code.flat_map(|line| {
        line.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            rest[..end.unwrap_or(rest.len())].to_owned()
        })
    })
    .collect()
}

#[test]
fn modules_import_from_lines_of_the_map_above_their_own() {
    let map = map();
    let declared = fs::read_to_string(Path::new(SRC).join("lib.rs")).unwrap();
    let declared = declared.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ")?.strip_suffix(';')?;
        Some(name.to_owned())
    });
    let declared: Vec<_> = declared.collect();
    assert_eq!(declared, map.keys().cloned().collect::<Vec<_>>());
    let (mut upward, mut seen) = (Vec::new(), 0);
    for (module, place) in &map {
        let mut found = Vec::new();
        for at in [module.clone(), format!("{module}.rs")] {
            let at = Path::new(SRC).join(at);
            if at.exists() {
                files(at, &mut found);
            }
        }
        assert!(!found.is_empty(), "{module} has no file");
        for file in found {
            for import in imports(&file).into_iter().filter(|name| name != module) {
                seen += 1;
                // Names of no module are macros and the crate's own items.
                let Some(of) = map.get(&import) else { continue };
                if of > place || (of == place && import > *module) {
                    upward.push(format!("{}: {import}", file.display()));
                }
            }
        }
    }
    assert!(seen > 500, "only {seen} imports were read");
    assert_eq!(upward, Vec::<String>::new());
}

/// Every line of the workflows and scripts, with where it is.
fn lines_of_ci() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut lines = Vec::new();
    for folder in [
        ".github/workflows",
        ".github/actions/tax",
        "scripts",
        "scripts/slurm",
        "scripts/kubernetes",
        ".ci",
    ] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let file = entry.unwrap().path();
            if file.is_file() {
                let text = fs::read_to_string(&file).unwrap();
                let name = file.strip_prefix(root).unwrap().display().to_string();
                lines.extend(
                    text.lines()
                        .map(|line| (name.clone(), line.trim().to_owned())),
                );
            }
        }
    }
    lines
}

/// A tag of an action can be moved, and a lock file that may be rewritten locks nothing.
#[test]
fn ci_runs_what_was_reviewed() {
    let lines = lines_of_ci();
    let mut actions = 0;
    for (at, (file, line)) in lines.iter().enumerate() {
        if let Some(action) = line
            .strip_prefix("- uses: ")
            .or(line.strip_prefix("uses: "))
            // This repository's own is of the commit that is checked out.
            .filter(|action| !action.starts_with("./"))
        {
            actions += 1;
            let commit = action.split_once('@').map_or("", |(_, rest)| rest);
            let commit = commit.split(' ').next().unwrap();
            let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_commit, "{file}: {line}");
            if action.starts_with("actions/checkout@") {
                let with = lines[at..].iter().take(4);
                let apart = |(_, line): &(String, String)| line == "persist-credentials: false";
                assert!(with.clone().any(apart), "{file}: {line}");
            }
        }
    }
    assert!(actions >= 3, "only {actions} actions were seen");
    let verbs = [
        "build", "test", "run", "bench", "doc", "clippy", "install", "deny",
    ];
    let mut builds = 0;
    for (file, line) in lines.iter().filter(|(_, line)| !line.starts_with('#')) {
        // Words for people stand in quotes.
        for call in line
            .split("cargo ")
            .skip(1)
            .filter(|_| !line.contains("sys.exit"))
        {
            let verb = call.split(' ').next().unwrap();
            if verbs.contains(&verb) && !call.contains("bench --bench") {
                builds += 1;
                assert!(call.contains("--locked"), "{file}: {line}");
            }
        }
    }
    assert!(builds >= 10, "only {builds} builds were seen");
}
