//! Encryption policy, as in encrypted vMotion: decided from both hosts' capabilities before any
//! byte of memory moves.

use crate::arm::Arm;
use crate::host::Capabilities;
use crate::results::PolicyDecision;
use crate::scenario::Policy;

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

/// Decides for one arm: whether it runs, and if so whether sealed; and why, unless it simply runs.
/// A host whose known-answer test failed can't run the arm at all; nor can
/// one whose architecture or library lacks it.
pub fn decide(
    arm: Arm,
    rules: Rules,
    source: &Capabilities,
    destination: &Capabilities,
) -> (PolicyDecision, Option<String>) {
    let hosts = [(source, "source"), (destination, "destination")];
    for (host, name) in hosts {
        if let Some(failure) = &host.known_answer_failure {
            let reason = format!("{name}: {failure}");
            return (PolicyDecision::Unsupported, Some(reason));
        }
    }
    let lacking = match (&source.lacking, &destination.lacking) {
        (Some(here), Some(there)) if here == there => Some(here.clone()),
        (Some(here), Some(there)) => Some(format!("source: {here}; destination: {there}")),
        (Some(here), None) => Some(format!("source: {here}")),
        (None, Some(there)) => Some(format!("destination: {there}")),
        (None, None) => None,
    };
    if lacking.is_some() {
        return (PolicyDecision::Unsupported, lacking);
    }
    if arm.is_baseline() {
        return (PolicyDecision::Baseline, None);
    }
    let policy = match rules.policy {
        _ if rules.encrypted_guest => Policy::Required,
        policy => policy,
    };
    let missing: Vec<String> = hosts
        .iter()
        .filter(|(host, _)| !host.missing_features.is_empty())
        .map(|(host, name)| format!("the {name} lacks {}", host.missing_features.join(", ")))
        .collect();
    let lacking = missing.join("; ");
    let (decision, reason) = match policy {
        Policy::Disabled => (
            PolicyDecision::Disabled,
            "policy disabled: encrypted arms do not run".to_owned(),
        ),
        Policy::Required if !missing.is_empty() => (
            PolicyDecision::Refused,
            format!("policy required: {lacking}"),
        ),
        Policy::Opportunistic if !missing.is_empty() => (
            PolicyDecision::FallbackPlain,
            format!("policy opportunistic: {lacking}, so it goes in the clear"),
        ),
        Policy::Required if arm.is_software() && !rules.allow_software => (
            PolicyDecision::Refused,
            "policy required: the arm stands for a host without AES instructions, \
             which may not migrate (--allow-software measures it all the same)"
                .to_owned(),
        ),
        Policy::Required | Policy::Opportunistic => return (PolicyDecision::Encrypted, None),
    };
    (decision, Some(reason))
}
