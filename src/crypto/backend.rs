//! Which implementation is behind each backend, and whether this machine can run it.

use std::collections::BTreeMap;

use super::cipher::Implementation;
use super::{aws_lc, null, rustcrypto, rustcrypto_soft};
use crate::arm::{Arm, Backend};
use crate::compression::zstd_version;
use crate::machine::{cpu, versions};

/// The implementation behind a backend.
pub fn implementation(backend: Backend) -> &'static Implementation {
    match backend {
        Backend::None => &null::NONE,
        Backend::Null => &null::NULL,
        Backend::RustcryptoSoft => &rustcrypto_soft::IMPLEMENTATION,
        Backend::Rustcrypto => &rustcrypto::IMPLEMENTATION,
        Backend::AwsLc => &aws_lc::AES_256,
        Backend::AwsLc128 => &aws_lc::AES_128,
        Backend::AwsLcChaCha20 => &aws_lc::chacha20::IMPLEMENTATION,
    }
}

/// Every crate that touches the data path, with its version; with all of them, separated by
/// commas, where the build holds several. What a crate carries with it tells its own.
pub fn library_versions() -> BTreeMap<String, String> {
    let mut all = versions::of_data_path();
    all.insert("aws-lc".to_owned(), aws_lc::library_version());
    all.insert("libzstd".to_owned(), zstd_version().to_owned());
    all
}

/// Whether this machine can run an arm as what it is named for.
///
/// # Errors
/// The features that are missing: those of `/proc/cpuinfo`, or `x86-64` on another architecture
/// for an arm that needs instructions or masks them.
pub fn supported(arm: Arm) -> Result<(), Vec<&'static str>> {
    let row = arm.row();
    let speaks_of_x86 = !row.required_features.is_empty() || !row.environment.is_empty();
    if cfg!(not(target_arch = "x86_64")) && speaks_of_x86 {
        return Err(vec!["x86-64"]);
    }
    let required = row.required_features.iter().copied();
    let missing: Vec<_> = required.filter(|feature| !cpu::has(feature)).collect();
    missing.is_empty().then_some(()).ok_or(missing)
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn every_backend_tells_an_exact_version_and_what_it_engages() {
        for backend in Backend::iter() {
            let implementation = implementation(backend);
            let version = implementation.version();
            let exact = |word: &str| word.matches('.').count() == 2;
            assert!(
                version.split([' ', ')']).any(exact),
                "{backend:?}: {version}"
            );
            let engaged = implementation.engaged();
            assert!(!engaged.implementation.is_empty());
            assert!(engaged.features.iter().all(|f| cpu::has(f)), "{engaged:?}");
            assert_eq!(implementation.tag_len() > 0, backend.has_cipher());
        }
        let version = |backend| implementation(backend).version();
        assert!(version(Backend::RustcryptoSoft).starts_with("aes-gcm 0.9."));
        assert!(version(Backend::Rustcrypto).starts_with("aes-gcm 0.11."));
        assert!(version(Backend::AwsLc).starts_with("AWS-LC "));
    }

    #[test]
    fn an_unsupported_arm_names_what_is_missing() {
        for arm in Arm::own() {
            let required = arm.row().required_features;
            match supported(arm) {
                Ok(()) => assert!(required.iter().all(|f| cpu::has(f)), "{arm}"),
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
