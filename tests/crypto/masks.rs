//! The masks of the aws-lc arms, each in a child process that starts with it.

use std::process::Command;

use migtax::arm::{Arm, Backend};
use migtax::crypto;
use migtax::machine::cpu;

use crate::backends;

/// Names the file to which a child writes what it engaged.
const REPORT: &str = "MIGTAX_TEST_ENGAGED";

/// Of which backends it reports, a line each.
const REPORTED: [Backend; 4] = [
    Backend::AwsLc,
    Backend::Rustcrypto,
    Backend::AwsLc128,
    Backend::AwsLcChaCha20,
];

/// In a child, reports what aws-lc engaged. In any process, what is engaged is something that the
/// CPU has, and what a library engages does not change while it runs.
#[test]
fn what_is_engaged_is_there() {
    for backend in backends().filter(|backend| backend.has_cipher()) {
        let library = crypto::implementation(backend);
        let engaged = library.engaged();
        for feature in &engaged.features {
            assert!(cpu::has(feature), "{backend:?} engaged {feature}");
        }
        crypto::known_answer_test(backend).unwrap();
        assert_eq!(library.engaged(), engaged);
        assert!(!engaged.implementation.is_empty());
    }
    let soft = crypto::implementation(Backend::RustcryptoSoft).engaged();
    assert!(soft.features.is_empty());
    if let Some(path) = std::env::var_os(REPORT) {
        let lines = REPORTED.map(|backend| {
            let engaged = crypto::implementation(backend).engaged();
            format!("{} {}", engaged.implementation, engaged.features.join(" "))
        });
        std::fs::write(path, lines.join("\n")).unwrap();
    }
}

/// What the reported backends engage in a process that starts as the arm's host process does.
fn engaged_in_child(arm: Arm) -> [Vec<String>; 4] {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("engaged");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "masks::what_is_engaged_is_there"])
        .env(REPORT, &report);
    arm.prepare(&mut child);
    let output = child.output().unwrap();
    assert!(
        output.status.success(),
        "{arm}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let text = std::fs::read_to_string(report).unwrap();
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect());
    REPORTED.map(|_| lines.next().unwrap())
}

#[test]
fn every_mask_takes_effect_and_the_arms_differ_where_they_must() {
    if crypto::supported(Arm::AWS_LC).is_err() {
        // A host without the instructions: there is nothing to mask, and the arms say so.
        assert!(crypto::supported(Arm::AWS_LC_AESNI).is_err());
        return;
    }
    let [soft, rustcrypto_under_soft, ..] = engaged_in_child(Arm::AWS_LC_SOFT);
    let [aesni, ..] = engaged_in_child(Arm::AWS_LC_AESNI);
    let [all, rustcrypto, shorter_key, _] = engaged_in_child(Arm::AWS_LC);
    let has = |engaged: &[String], feature: &str| engaged.iter().any(|engaged| engaged == feature);

    for feature in ["aes", "pclmulqdq", "vaes", "vpclmulqdq", "avx512f"] {
        assert!(!has(&soft, feature), "soft: {soft:?}");
    }
    assert!(has(&aesni, "aes") && has(&aesni, "pclmulqdq"), "{aesni:?}");
    for feature in ["vaes", "vpclmulqdq", "avx512f"] {
        assert!(!has(&aesni, feature), "aesni: {aesni:?}");
    }
    assert!(has(&all, "aes"), "{all:?}");
    assert_eq!(shorter_key, all, "another key length, the same code");
    assert_ne!(soft, aesni);
    assert_ne!(soft, all);

    // aws-lc uses VAES only together with AVX-512: elsewhere, and only there, the upper two steps
    // of the ladder are one.
    let wide = [
        "vaes",
        "vpclmulqdq",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
    ];
    let is_wide = wide.iter().all(|feature| cpu::has(feature));
    assert_eq!(
        has(&all, "vaes") && has(&all, "vpclmulqdq"),
        is_wide,
        "{all:?}"
    );
    assert_eq!(all != aesni, is_wide, "{all:?} and {aesni:?}");

    // The mask is aws-lc's alone.
    assert_eq!(rustcrypto_under_soft, rustcrypto);
    assert!(has(&rustcrypto, "aes") && has(&rustcrypto, "pclmulqdq"));
}

#[test]
fn the_mask_of_chacha20_leaves_what_every_cpu_has() {
    if crypto::supported(Arm::CHACHA20_SOFT).is_err() {
        eprintln!("skipped: masks are for x86-64");
        return;
    }
    let [.., soft] = engaged_in_child(Arm::CHACHA20_SOFT);
    let [.., all] = engaged_in_child(Arm::CHACHA20);
    // A host without AES instructions has the others.
    let [.., without_aes] = engaged_in_child(Arm::AWS_LC_SOFT);
    assert_eq!(without_aes, all);
    let has = |engaged: &[String], feature: &str| engaged.iter().any(|engaged| engaged == feature);
    for feature in ["ssse3", "sse4_1", "avx2", "bmi2"] {
        assert!(!has(&soft, feature), "soft: {soft:?}");
    }
    assert!(has(&soft, "sse2") && has(&soft, "scalar"), "{soft:?}");
    let wide = ["sse4_1", "avx2", "bmi2"];
    let is_wide = wide.iter().all(|feature| cpu::has(feature));
    assert_eq!(wide.iter().all(|f| has(&all, f)), is_wide, "{all:?}");
    assert_eq!(all != soft, cpu::has("ssse3"), "{all:?} and {soft:?}");
}
