//! Encryption policy, as in encrypted vMotion: decided from both hosts' capabilities before any
//! byte of memory moves.

use crate::arm::Arm;
use crate::host::Capabilities;
use crate::results::PolicyDecision;
use crate::scenario::Policy;

/// What policy makes of an arm, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Whether the arm runs, and if so whether sealed.
    pub decision: PolicyDecision,
    /// Why, unless it simply runs.
    pub reason: Option<String>,
}

/// What bears on the decision beside the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The VM's setting.
    pub policy: Policy,
    /// An encrypted VM always requires encrypted migration.
    pub encrypted_guest: bool,
    /// Let the software arms, which measure hosts without AES instructions, run under `required`.
    pub allow_software: bool,
}

/// Decides for one arm. A host whose known-answer test failed can't run the arm at all; nor can
/// one whose architecture or library lacks it.
pub fn decide(
    arm: Arm,
    rules: Rules,
    source: &Capabilities,
    destination: &Capabilities,
) -> Decided {
    let decided = |decision, reason: Option<String>| Decided { decision, reason };
    for (host, name) in [(source, "source"), (destination, "destination")] {
        if let Some(failure) = &host.known_answer_failure {
            let reason = format!("{name}: {failure}");
            return decided(PolicyDecision::Unsupported, Some(reason));
        }
    }
    if arm.is_baseline() {
        return decided(PolicyDecision::Baseline, None);
    }
    let policy = match rules.policy {
        _ if rules.encrypted_guest => Policy::Required,
        policy => policy,
    };
    let missing: Vec<String> = [(source, "source"), (destination, "destination")]
        .into_iter()
        .filter(|(host, _)| !host.missing_features.is_empty())
        .map(|(host, name)| format!("the {name} lacks {}", host.missing_features.join(", ")))
        .collect();
    match policy {
        Policy::Disabled => decided(
            PolicyDecision::Disabled,
            Some("policy disabled: encrypted arms do not run".into()),
        ),
        _ if missing.is_empty() => match policy {
            Policy::Required if arm.is_software() && !rules.allow_software => decided(
                PolicyDecision::Refused,
                Some(
                    "policy required: the arm stands for a host without AES instructions, \
                     which may not migrate (--allow-software measures it all the same)"
                        .into(),
                ),
            ),
            _ => decided(PolicyDecision::Encrypted, None),
        },
        Policy::Required => decided(
            PolicyDecision::Refused,
            Some(format!("policy required: {}", missing.join("; "))),
        ),
        Policy::Opportunistic => decided(
            PolicyDecision::FallbackPlain,
            Some(format!(
                "policy opportunistic: {}, so it goes in the clear",
                missing.join("; ")
            )),
        ),
    }
}
