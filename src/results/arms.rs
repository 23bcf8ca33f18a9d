//! The arms of a run and what policy made of them.

use serde::{Deserialize, Serialize};

use super::QemuInfo;
use crate::arm::Arm;

/// What policy made of an arm; printed, in words for tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "lowercase")]
pub enum PolicyDecision {
    /// The arm runs because it is a baseline.
    Baseline,
    /// The arm runs encrypted.
    Encrypted,
    /// Policy `opportunistic` and a host without the instructions: the migration went in the clear.
    #[strum(to_string = "fallback to plain")]
    FallbackPlain,
    /// Policy forbids this migration.
    Refused,
    /// Policy `disabled`: encrypted arms do not run.
    Disabled,
    /// The arm can't run on this machine, whatever policy says.
    Unsupported,
}

/// One arm of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmInfo {
    /// Its row in the table of arms.
    pub name: Arm,
    /// The library: `none`, `null`, `aes-gcm`, `aws-lc`.
    pub backend: String,
    /// The library's version, as the build or the library itself reports it.
    pub backend_version: String,
    /// CPU features that the library engaged in the host process, as it reported them.
    pub engaged_features: Vec<String>,
    /// Whether this machine can run it.
    pub supported: bool,
    /// Why not, or what policy did; names missing features.
    pub reason: Option<String>,
    /// What policy made of it.
    pub policy_decision: PolicyDecision,
    /// The QEMU that runs it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qemu: Option<QemuInfo>,
}

impl ArmInfo {
    /// Whether policy lets the arm run, and then whether sealed.
    pub fn runs(&self) -> Option<(Arm, bool)> {
        match self.policy_decision {
            PolicyDecision::Baseline | PolicyDecision::FallbackPlain => Some((self.name, false)),
            PolicyDecision::Encrypted => Some((self.name, true)),
            PolicyDecision::Refused | PolicyDecision::Disabled | PolicyDecision::Unsupported => {
                None
            }
        }
    }
}
