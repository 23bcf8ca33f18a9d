//! What becomes of each guest in a way: the arm that it goes by, or why it stays.

use super::spec::{Fleet, Guest, Way};
use crate::arm::Arm;
use crate::error::Result;
use crate::host::Capabilities;
use crate::results::PolicyDecision;
use crate::runner::Hosts;
use crate::runner::policy::{self, Rules};
use crate::scenario::Policy;

/// What becomes of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Treatment {
    /// The arm that it goes by, or would.
    pub arm: Arm,
    /// Whether it goes encrypted.
    pub sealed: bool,
    /// What policy made of it.
    pub decision: PolicyDecision,
    /// Why it does not simply go as it was asked to.
    pub reason: Option<String>,
}

impl Treatment {
    /// Whether it goes at all.
    pub fn goes(&self) -> bool {
        use PolicyDecision::{Refused, Unsupported};
        !matches!(self.decision, Refused | Unsupported)
    }
}

/// What both hosts can do for a way's arm, and what that makes of it.
#[derive(Debug)]
pub struct WayPlan {
    /// The way.
    pub way: Way,
    /// Of each guest, as listed.
    pub treatments: Vec<Treatment>,
}

/// What becomes of the guests in a way; else why the way can't be gone.
///
/// # Errors
/// If hosts can't be started.
pub fn plan(
    fleet: &Fleet,
    way: Way,
    hosts: &mut Hosts<'_>,
    allow_software: bool,
) -> Result<Result<WayPlan, String>> {
    let arm = way.arm().unwrap_or(fleet.measure.arm);
    let [source, destination] = hosts.abilities(arm)?;
    let each = |guest: &Guest| match way {
        Way::All(arm) => measured(arm, &source, &destination),
        Way::Configured => configured(guest, arm, allow_software, &source, &destination),
    };
    let treatments: Vec<Treatment> = fleet.guests.iter().map(each).collect();
    // The arm alone decides, and for all alike.
    let stopped = match way {
        Way::All(_) => treatments.iter().find(|of| !of.goes()),
        Way::Configured => None,
    };
    Ok(match stopped {
        Some(of) => Err(of.reason.clone().unwrap_or_default()),
        None => Ok(WayPlan { way, treatments }),
    })
}

/// By an arm, whatever the guest's setting.
pub fn measured(arm: Arm, source: &Capabilities, destination: &Capabilities) -> Treatment {
    let rules = Rules {
        policy: Policy::Required,
        encrypted_guest: false,
        allow_software: true,
    };
    let (decision, reason) = policy::decide(arm, rules, source, destination);
    Treatment {
        arm,
        sealed: decision == PolicyDecision::Encrypted,
        decision,
        reason,
    }
}

/// By the guest's own setting.
pub fn configured(
    guest: &Guest,
    arm: Arm,
    allow_software: bool,
    source: &Capabilities,
    destination: &Capabilities,
) -> Treatment {
    let rules = Rules {
        policy: guest.scenario.migration.policy,
        encrypted_guest: guest.scenario.guest.encrypted,
        allow_software,
    };
    let (decision, reason) = policy::decide(arm, rules, source, destination);
    match decision {
        PolicyDecision::Disabled => Treatment {
            arm: Arm::PLAIN,
            sealed: false,
            decision,
            reason: Some("encryption disabled: it goes in the clear".to_owned()),
        },
        _ => Treatment {
            arm,
            sealed: decision == PolicyDecision::Encrypted,
            decision,
            reason,
        },
    }
}
