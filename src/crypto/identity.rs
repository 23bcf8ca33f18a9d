//! What runs: which version of which library, and which CPU features it engaged in this process.

use std::collections::BTreeMap;

use crate::arm::{Arm, Backend};
use crate::cpu;
use crate::crypto::aws_lc;

/// What this build was made of, to the exact version.
const LOCK_FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));

/// Crates through whose code page data, record headers or keys pass.
const DATA_PATH_CRATES: [&str; 15] = [
    "aead",
    "aes",
    "aes-gcm",
    "aws-lc-sys",
    "blake3",
    "crc32fast",
    "ctr",
    "getrandom",
    "ghash",
    "hkdf",
    "libc",
    "polyval",
    "rayon",
    "sha2",
    "zeroize",
];

/// The library behind a backend and its version: from the library where it tells one, otherwise
/// from the lock file of this build.
pub fn backend_version(backend: Backend) -> String {
    match backend {
        Backend::None | Backend::Null => format!("migtax {}", env!("CARGO_PKG_VERSION")),
        Backend::RustcryptoSoft => format!("aes-gcm {} force-soft", generation("aes-gcm", "0.9.")),
        Backend::Rustcrypto => format!("aes-gcm {}", generation("aes-gcm", "0.11.")),
        Backend::AwsLc => format!(
            "{} (aws-lc-sys {})",
            aws_lc::version(),
            versions("aws-lc-sys").join(", ")
        ),
    }
}

/// Every crate that touches the data path, with its version; with all of them, separated by
/// commas, where the build holds several.
pub fn library_versions() -> BTreeMap<String, String> {
    DATA_PATH_CRATES
        .into_iter()
        .map(|name| (name.to_owned(), versions(name).join(", ")))
        .chain([("aws-lc".to_owned(), aws_lc::version())])
        .collect()
}

/// CPU features, named as in `/proc/cpuinfo`, that a backend uses in this process: those that it
/// found, less those that the environment masks. Empty for portable code.
pub fn engaged_features(backend: Backend) -> Vec<String> {
    engaged(backend).1.into_iter().map(str::to_owned).collect()
}

/// The implementation of AES-GCM that a backend chose in this process, in a few words.
pub fn engaged_implementation(backend: Backend) -> &'static str {
    engaged(backend).0
}

fn engaged(backend: Backend) -> (&'static str, Vec<&'static str>) {
    match backend {
        Backend::None => ("no cipher", vec![]),
        Backend::Null => ("copy", vec![]),
        Backend::RustcryptoSoft => ("fixsliced AES, then multiplication GHASH", vec![]),
        Backend::Rustcrypto => rustcrypto(),
        Backend::AwsLc => aws_lc::engaged(),
    }
}

/// The checks of `aes` 0.9 (its `backends`) and `polyval` 0.7 (its intrinsics), by the same
/// macros of `cpufeatures` and in the same order. That crate asks for 512-bit registers before it
/// reports VAES, so a CPU with VAES and no AVX-512 runs AES-NI here.
#[cfg(target_arch = "x86_64")]
fn rustcrypto() -> (&'static str, Vec<&'static str>) {
    cpufeatures::new!(vaes512, "avx512f", "vaes");
    cpufeatures::new!(vaes256, "vaes");
    cpufeatures::new!(clmul, "avx", "pclmulqdq");
    let hash: &[&str] = if cfg!(polyval_backend = "soft") || !clmul::get() {
        &[]
    } else {
        &["pclmulqdq", "avx"]
    };
    let (name, aes): (_, &[&str]) = if !aes::hardware_accelerated() {
        ("fixsliced AES, then GHASH", &[])
    } else if vaes512::get() {
        (
            "VAES-512 CTR, then CLMUL GHASH",
            &["aes", "vaes", "avx512f"],
        )
    } else if vaes256::get() {
        ("VAES-256 CTR, then CLMUL GHASH", &["aes", "vaes"])
    } else {
        ("AES-NI CTR, then CLMUL GHASH", &["aes"])
    };
    (name, [aes, hash].concat())
}

#[cfg(not(target_arch = "x86_64"))]
fn rustcrypto() -> (&'static str, Vec<&'static str>) {
    ("CTR, then GHASH", vec![])
}

/// Whether this machine can run an arm as what it is named for.
///
/// # Errors
/// The features that are missing: those of `/proc/cpuinfo`, or `x86-64` where the arm makes sense
/// on no other architecture.
pub fn supported(arm: Arm) -> Result<(), Vec<&'static str>> {
    if cfg!(not(target_arch = "x86_64"))
        && (arm.backend() == Backend::AwsLc || !arm.row().required_features.is_empty())
    {
        return Err(vec!["x86-64"]);
    }
    let missing: Vec<_> = arm
        .row()
        .required_features
        .iter()
        .copied()
        .filter(|feature| !cpu::has(feature))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing)
    }
}

/// Versions of a crate in the lock file, in its order.
fn versions(name: &str) -> Vec<&'static str> {
    let mut lines = LOCK_FILE.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if quoted(line, "name = ") == Some(name)
            && let Some(version) = lines.next().and_then(|line| quoted(line, "version = "))
        {
            found.push(version);
        }
    }
    found
}

/// The version of a crate that begins with `prefix`.
fn generation(name: &str, prefix: &str) -> &'static str {
    versions(name)
        .into_iter()
        .find(|version| version.starts_with(prefix))
        .unwrap_or("unknown")
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_exact() {
        let exact = |version: &str| {
            version.split('.').count() == 3
                && version
                    .split('.')
                    .all(|part| part.chars().next().is_some_and(|c| c.is_ascii_digit()))
        };
        for (name, version) in library_versions() {
            if name != "aws-lc" {
                assert!(version.split(", ").all(exact), "{name} = {version}");
            }
        }
        assert_eq!(versions("aes-gcm").len(), 2);
        for (backend, start) in [
            (Backend::RustcryptoSoft, "aes-gcm 0.9."),
            (Backend::Rustcrypto, "aes-gcm 0.11."),
            (Backend::AwsLc, "AWS-LC "),
        ] {
            let version = backend_version(backend);
            assert!(version.starts_with(start), "{version}");
        }
    }

    #[test]
    fn an_unsupported_arm_names_what_is_missing() {
        for arm in Arm::all() {
            match supported(arm) {
                Ok(()) => assert!(
                    arm.row().required_features.iter().all(|f| cpu::has(f)),
                    "{arm}"
                ),
                Err(missing) => {
                    assert!(!missing.is_empty(), "{arm}");
                    assert!(missing.iter().all(|feature| !cpu::has(feature)), "{arm}");
                }
            }
        }
        for arm in [Arm::PLAIN, Arm::COPY, Arm::RUSTCRYPTO_SOFT] {
            assert_eq!(supported(arm), Ok(()));
        }
    }
}
