//! How a migration ended, once nothing more comes from the destination.

use std::time::Duration;

use crate::host::control::{Control, emit};
use crate::host::{Command, Event};
use crate::precopy::StopReason;
use crate::results::{Outcome, OutcomeStatus, Warning, least_expected_downtime};
use crate::source::driver::{End, Migrated};

/// What became of the migration, once the coordinator's word is in where it is needed.
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) warning: Option<Warning>,
    /// The guest runs on here.
    pub(super) resume: bool,
}

/// What the source's own account comes to; asks the coordinator where only it can tell.
pub(super) fn settle(migrated: &Migrated, control: &Control, silence: Duration) -> Settled {
    let ended = |status, reason: Option<String>, resume| Settled {
        outcome: Outcome { status, reason },
        warning: None,
        resume,
    };
    match &migrated.end {
        End::SwitchedOver(StopReason::Converged) => ended(OutcomeStatus::Completed, None, false),
        End::SwitchedOver(reason) => ended(
            OutcomeStatus::Completed,
            Some(format!("stopped and copied at the {reason}")),
            false,
        ),
        End::GivenUp(reason) => {
            let rounds = &migrated.rounds;
            let dirty = rounds
                .last()
                .map_or(0, |round| round.pages_dirtied.unwrap_or(0));
            let rounds = rounds.len();
            let plural = if rounds == 1 { "" } else { "s" };
            let expected = least_expected_downtime(&migrated.rounds).map(|least_s| {
                format!("; the least expected downtime was {:.3} ms", least_s * 1e3)
            });
            let reason = format!(
                "{reason}: {dirty} pages were dirty after {rounds} round{plural}{}",
                expected.unwrap_or_default()
            );
            ended(OutcomeStatus::NotConverged, Some(reason), true)
        }
        End::Broken {
            reason,
            final_sent: false,
        } => ended(
            OutcomeStatus::Failed,
            Some(format!("source: {reason}")),
            true,
        ),
        End::Broken { reason, .. } => {
            // The destination may run the guest: only the coordinator can tell.
            control.hold(true);
            emit(&Event::Unacknowledged);
            let answer = control.next(silence);
            control.hold(false);
            match answer {
                Some(Command::SwitchedOver) => Settled {
                    warning: Some(Warning {
                        code: "lost_acknowledgement".to_owned(),
                        message: format!(
                            "the switchover's acknowledgement was lost ({reason}); the destination \
                             reported that it took over"
                        ),
                        remedy: "look at the link between the hosts".to_owned(),
                    }),
                    ..ended(OutcomeStatus::Completed, None, false)
                },
                Some(Command::Fenced) => ended(
                    OutcomeStatus::Failed,
                    Some(format!(
                        "source: {reason}; the destination was ended before its switchover was known"
                    )),
                    true,
                ),
                _ => ended(
                    OutcomeStatus::Failed,
                    Some(format!(
                        "source: {reason}; nobody knows whether the destination took over, so the guest stays paused"
                    )),
                    false,
                ),
            }
        }
    }
}
