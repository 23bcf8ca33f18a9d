//! What this build was made of, to the exact version.

use std::collections::BTreeMap;
use std::sync::OnceLock;

const LOCK_FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));

/// Crates through whose code page data, record headers or keys pass, or that measure it.
const DATA_PATH: &[&str] = &[
    "aead",
    "aes",
    "aes-gcm",
    "aws-lc-sys",
    "blake3",
    "cpufeatures",
    "crc32fast",
    "ctr",
    "getrandom",
    "ghash",
    "hdrhistogram",
    "hkdf",
    "libc",
    "lz4_flex",
    "polyval",
    "rayon",
    "rustix",
    "s2n-tls-sys",
    "sha2",
    "universal-hash",
    "zeroize",
    "zstd",
    "zstd-safe",
    "zstd-sys",
];

/// Versions of a crate in the lock file, in its order.
pub fn of(name: &str) -> Vec<&'static str> {
    // Read once: a host asks for dozens before it is ready.
    static ALL: OnceLock<Vec<(&str, &str)>> = OnceLock::new();
    let all = ALL.get_or_init(|| in_lock_file(LOCK_FILE).collect());
    let named = all.iter().filter(|(its, _)| *its == name);
    named.map(|(_, version)| *version).collect()
}

/// The version of a crate that begins with `prefix`; `unknown` if there is none.
pub fn of_generation(name: &str, prefix: &str) -> &'static str {
    let found = of(name).into_iter().find(|v| v.starts_with(prefix));
    found.unwrap_or("unknown")
}

/// Every crate that touches the data path with its version; several are joined by a comma.
pub fn of_data_path() -> BTreeMap<String, String> {
    let versions = |name: &str| of(name).join(", ");
    DATA_PATH
        .iter()
        .map(|name| ((*name).to_owned(), versions(name)))
        .collect()
}

/// Every crate with its version.
fn in_lock_file(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .zip(text.lines().skip(1))
        .filter_map(|(line, next)| Some((quoted(line, "name = ")?, quoted(next, "version = ")?)))
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_exact() {
        let is_number = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
        let exact = |version: &str| {
            // What a -sys crate holds stands behind a plus.
            let own = version.split('+').next().unwrap_or_default();
            own.split('.').filter(|part| is_number(part)).count() == 3
        };
        for (name, version) in of_data_path() {
            assert!(version.split(", ").all(exact), "{name} = {version}");
        }
        assert_eq!(of("aes-gcm").len(), 2, "two generations");
        assert!(of_generation("aes-gcm", "0.9.").starts_with("0.9."));
        assert_eq!(of_generation("aes-gcm", "7."), "unknown");
    }

    #[test]
    fn every_version_of_a_crate_is_found_and_no_other_crates() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\n\n[[package]]\nname = \"a\"\nversion = \"2\"\n\n[[package]]\nname = \"b\"\nversion = \"3\"\n";
        let all: Vec<_> = in_lock_file(lock).collect();
        assert_eq!(all, [("a", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(of("serde").len(), 1);
        assert!(of("serd").is_empty());
    }
}
