//! What a run says about its machine and its arms.

use std::collections::BTreeMap;

use migtax::arm::{Arm, Backend};
use migtax::results::{ArmInfo, HostInfo, PolicyDecision};

/// A machine.
pub fn host() -> HostInfo {
    HostInfo {
        cpu_model: "AMD EPYC 9R45".to_owned(),
        cpu_features: ["aes", "pclmulqdq", "avx2"].map(str::to_owned).to_vec(),
        cores: 2,
        memory_bytes: 8 << 30,
        kernel: "6.18.5".to_owned(),
        cpu_accounting: "tick".to_owned(),
        governor: None,
        hypervisor: true,
        load_before: 1.7,
        steal_share: 0.002,
        other_cpu_share: 0.04,
        spin_spread: 0.03,
        frequency_mhz: None,
        thread_clock_read_ns: 400.0,
        destination: None,
        tracker: "userfaultfd".to_owned(),
        versions: BTreeMap::from([
            ("aes-gcm".to_owned(), "0.11.1".to_owned()),
            ("aws-lc-sys".to_owned(), "0.47.0".to_owned()),
        ]),
    }
}

/// An arm as it would be recorded on a machine that can run it.
pub fn arm_info(arm: Arm) -> ArmInfo {
    let features: &[&str] = match arm {
        Arm::RUSTCRYPTO | Arm::AWS_LC_AESNI => &["aes", "pclmulqdq"],
        Arm::AWS_LC => &["aes", "pclmulqdq", "vaes", "vpclmulqdq", "avx512f"],
        _ => &[],
    };
    let (backend, version) = match arm.backend() {
        Backend::None => ("none", ""),
        Backend::Null => ("null", ""),
        Backend::RustcryptoSoft => ("aes-gcm", "0.9.4"),
        Backend::Rustcrypto => ("aes-gcm", "0.11.1"),
        Backend::AwsLc => ("aws-lc", "1.62.0"),
    };
    ArmInfo {
        name: arm,
        backend: backend.to_owned(),
        backend_version: version.to_owned(),
        engaged_features: features.iter().map(|f| (*f).to_owned()).collect(),
        supported: true,
        reason: None,
        policy_decision: if arm.is_baseline() {
            PolicyDecision::Baseline
        } else {
            PolicyDecision::Encrypted
        },
    }
}
