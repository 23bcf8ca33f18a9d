//! How far the exchange of a pair of hosts has come.

use std::time::Instant;

use crate::results::OutcomeStatus;
use crate::runner::task::Place;

/// How far the exchange has come, beside what the hosts told of the migration.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) source_ready: bool,
    pub(super) tracker: Option<String>,
    /// Where the destination listens, once it is ready; where its side of a tunnel does.
    pub(super) listening: Option<String>,
    pub(super) tunnel: Option<String>,
    pub(super) connected: bool,
    pub(super) moved: bool,
    pub(super) took_over: bool,
    /// The guest stays at the source, which has ended: the destination is awaited until then.
    pub(super) destination_until: Option<Instant>,
    /// The source knows of no acknowledgement; the destination's own word is awaited until then.
    pub(super) unacknowledged_until: Option<Instant>,
    pub(super) fenced: bool,
    pub(super) resumed: bool,
    /// The coordinator has ended it.
    pub(super) destination_ended: bool,
    /// It has ended by itself, without a report.
    pub(super) destination_lost: bool,
    pub(super) source_gone: bool,
    pub(super) destination_gone: bool,
}

impl Seen {
    /// Where the guest is, by what its source told at last, if it did.
    pub(super) fn place(&self, source: Option<OutcomeStatus>) -> Place {
        match source {
            _ if self.took_over => match self.destination_lost {
                true => Place::Ended,
                false => Place::Destination,
            },
            None | Some(OutcomeStatus::Completed) => Place::Ended,
            Some(_) => Place::Source,
        }
    }
}

/// What the hosts of a guest in a fleet may do so far; those of one that migrates by itself may do all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Get ready, and wait.
    Wait,
    /// Move the guest.
    Move,
    /// Hash it and report.
    Verify,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_in_one_place_however_its_hosts_end() {
        use OutcomeStatus::{Completed, Failed, NotConverged};
        // It took over; it was lost; what the source told.
        for (took_over, lost, source, place) in [
            (true, false, Some(Completed), Place::Destination),
            // Its source died, or lost the acknowledgement.
            (true, false, None, Place::Destination),
            (true, false, Some(Failed), Place::Destination),
            (true, true, Some(Completed), Place::Ended),
            (false, false, Some(NotConverged), Place::Source),
            (false, true, Some(Failed), Place::Source),
            (false, false, None, Place::Ended),
            // It acknowledged and died before it could say so.
            (false, true, Some(Completed), Place::Ended),
        ] {
            let seen = Seen {
                took_over,
                destination_lost: lost,
                ..Seen::default()
            };
            assert_eq!(seen.place(source), place, "{took_over} {lost} {source:?}");
        }
    }
}
