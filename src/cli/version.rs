//! `migtax --version`: which build this is, and what it makes of this machine.

use std::sync::LazyLock;

use crate::host::PROTOCOL;
use crate::machine::{build, cpu, versions};
use crate::results::SCHEMA_VERSION;

static SHORT: LazyLock<String> = LazyLock::new(|| build::named(build::VERSION, build::COMMIT));

static LONG: LazyLock<String> = LazyLock::new(|| {
    let libraries = versions::of_data_path();
    let libraries: Vec<String> = libraries
        .into_iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let lines = [
        build::VERSION.to_owned(),
        format!("commit: {}", build::COMMIT.unwrap_or("unknown")),
        format!("target: {}, {}", build::TARGET, build::PROFILE),
        format!("compiled for: {}", build::FEATURES.replace(',', " ")),
        format!("features of this CPU: {}", cpu::features().join(" ")),
        format!("host protocol: {PROTOCOL}, results schema: {SCHEMA_VERSION}"),
        format!("libraries: {}", libraries.join(", ")),
    ];
    lines.join("\n")
});

/// One line, for `-V`.
pub(super) fn short() -> &'static str {
    &SHORT
}

/// All of it, for `--version`.
pub(super) fn long() -> &'static str {
    &LONG
}
