//! What this build was made of, to the exact version.

use std::collections::BTreeMap;

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
    in_lock_file(LOCK_FILE, name)
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

fn in_lock_file<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines()
        .zip(text.lines().skip(1))
        .filter(|(line, _)| quoted(line, "name = ") == Some(name))
        .filter_map(|(_, next)| quoted(next, "version = "))
        .collect()
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
        assert_eq!(in_lock_file(lock, "a"), ["1", "2"]);
        assert!(in_lock_file(lock, "c").is_empty());
    }
}
