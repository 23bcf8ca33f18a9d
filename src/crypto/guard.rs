//! The check behind the types: no pair of key and IV seals twice in a context.

use super::cipher::SealError;
use super::sequence::Place;

/// Refuses a slot that does not come after every slot of its stream and direction that was sealed
/// before in the same context. Workers that seal for one stream each see their slots in order.
#[derive(Default)]
pub(crate) struct ReuseGuard {
    /// Stream id, epoch and sequence of the last record of each.
    last: Vec<(u32, u32, u64)>,
}

impl ReuseGuard {
    pub(crate) fn check(&mut self, place: &Place) -> Result<(), SealError> {
        let now = (place.epoch, place.sequence);
        match self.last.iter_mut().find(|(id, ..)| *id == place.stream_id) {
            Some((_, epoch, sequence)) if now <= (*epoch, *sequence) => {
                Err(SealError::Reused(place.to_string()))
            }
            Some(last) => {
                *last = (place.stream_id, now.0, now.1);
                Ok(())
            }
            None => {
                self.last.push((place.stream_id, now.0, now.1));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strum::IntoEnumIterator;

    use super::*;
    use crate::arm::Backend;
    use crate::crypto::sequence::{SealSlot, TO_SOURCE};
    use crate::crypto::{MigrationSecret, Sealer, TAG_LEN};

    #[test]
    fn the_guard_fires_on_a_repeated_or_earlier_slot_and_on_no_other() {
        let mut guard = ReuseGuard::default();
        // (stream id, epoch, sequence, allowed)
        for (id, epoch, sequence, allowed) in [
            (0, 0, 0, true),
            (0, 0, 0, false),
            (1, 0, 0, true),
            (TO_SOURCE, 0, 0, true),
            (0, 0, 5, true),
            (0, 0, 4, false),
            (0, 1, 0, true),
            (0, 0, 6, false),
            (0, 1, 0, false),
            (0, 1, 1, true),
        ] {
            let slot = SealSlot::forge(id, epoch, sequence, 3);
            let checked = guard.check(&slot.0);
            assert_eq!(checked.is_ok(), allowed, "{slot:?}");
        }
    }

    #[test]
    fn a_sealer_refuses_to_use_a_slot_twice() {
        for backend in Backend::iter().filter(|backend| *backend != Backend::None) {
            let secret = Arc::new(MigrationSecret::generate().unwrap());
            let mut sealer = Sealer::new(backend, secret).unwrap();
            let mut seal = |sequence| {
                let mut out = [0; 1 + TAG_LEN];
                let slot = SealSlot::forge(0, 0, sequence, 3);
                sealer.seal(slot, b"", b"x", &[], &mut out)
            };
            assert!(seal(0).is_ok());
            assert!(seal(1).is_ok());
            let error = seal(1).unwrap_err();
            assert_eq!(
                error.to_string(),
                "refused to seal with a key and IV that may have been used: \
                 record 1 of stream 0 to the destination, epoch 0"
            );
            assert!(matches!(seal(0), Err(SealError::Reused(_))));
            assert!(seal(2).is_ok());
        }
    }
}
