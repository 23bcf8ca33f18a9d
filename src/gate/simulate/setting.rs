//! What a simulated run holds beside its migrations: the machine and the arms, and what each costs.

use super::qemu;
use crate::arm::{Arm, Rung};
use crate::machine::MachineInfo;
use crate::results::{ArmInfo, PolicyDecision};

/// The arms of a run that holds both groups: those of a scenario that names none, and QEMU's.
pub fn mixed() -> Vec<Arm> {
    let is_one = |arm: &Arm| arm.row().by_default || arm.is_qemu();
    Arm::all().filter(is_one).collect()
}

/// CPU seconds per GiB of an arm's stages: prepare, seal, transmit; receive, open, apply.
pub(super) fn costs(arm: Arm) -> [f64; 6] {
    if arm.is_qemu() {
        return qemu::costs(arm);
    }
    let [seal, open] = match arm.row().headline {
        _ if arm == Arm::PLAIN => return [0.01, 0.0, 0.17, 0.06, 0.0, 0.04],
        _ if arm.is_baseline() => [0.05, 0.0],
        Some((Rung::Software, 0)) => [2.90, 2.90],
        Some((Rung::Software, _)) => [6.40, 6.40],
        Some((Rung::Alternative, _)) => [0.60, 0.60],
        Some((Rung::AesNi, _)) => [0.20, 0.19],
        Some((Rung::Full, 0)) | None => [0.08, 0.06],
        Some((Rung::Full, _)) => [0.31, 0.31],
    };
    [0.01, seal, 0.14, 0.06, open, 0.05]
}

/// The machine.
pub(super) fn host() -> MachineInfo {
    MachineInfo {
        cpu_model: "simulated".to_owned(),
        cpu_features: vec!["aes".to_owned(), "pclmulqdq".to_owned(), "vaes".to_owned()],
        cores: 2,
        memory_bytes: 8 << 30,
        kernel: "6.18.0".to_owned(),
        cpu_accounting: "tick".to_owned(),
        governor: None,
        hypervisor: true,
        load_before: 0.1,
        steal_share: 0.0,
        other_cpu_share: 0.0,
        spin_spread: 0.01,
        frequency_mhz: None,
        destination: None,
        destination_on_this_machine: false,
        tracker: "userfaultfd".to_owned(),
        thread_clock_read_ns: 400.0,
        destination_thread_clock_read_ns: None,
        versions: std::collections::BTreeMap::new(),
    }
}

/// An arm that ran.
pub(super) fn arm_info(arm: Arm) -> ArmInfo {
    let row = arm.row();
    let told_apart_by = row.told_apart_by.map_or(&[][..], |(features, _)| features);
    let engaged = row.required_features.iter().chain(told_apart_by);
    ArmInfo {
        name: arm,
        backend: arm.library().to_owned(),
        backend_version: "1.0.0".to_owned(),
        engaged_features: engaged.map(|f| (*f).to_owned()).collect(),
        supported: true,
        reason: None,
        policy_decision: if arm.is_baseline() {
            PolicyDecision::Baseline
        } else {
            PolicyDecision::Encrypted
        },
        qemu: arm.is_qemu().then(|| qemu::info(arm)),
    }
}
