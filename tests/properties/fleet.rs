//! The fleet loader and bulk policy.
//!
//! Input: the text of a fleet's file, without inventories, which are files of their own.

use std::collections::BTreeSet;

use migtax::fleet::edit::{Setting, Where, edit};
use migtax::fleet::{Fleet, load};
use migtax::scenario::Policy;

use crate::refusal::one_line;

/// Whether the input was accepted.
pub fn check(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    // An inventory would be read from wherever the text says.
    if text.contains("vms") {
        return false;
    }
    match load::parse(text, "input", None) {
        Ok(fleet) => {
            within_bounds(&fleet);
            let sizes =
                load::group_sizes(text, "input", None).expect("what was accepted has groups");
            assert_eq!(sizes.iter().sum::<usize>(), fleet.guests.len());
            set_for_all(text, &fleet);
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    }
}

fn within_bounds(fleet: &Fleet) {
    assert!((1..=1000).contains(&fleet.guests.len()) && !fleet.evacuation.concurrent.is_empty());
    let names: BTreeSet<_> = fleet.guests.iter().map(|guest| &guest.name).collect();
    assert_eq!(names.len(), fleet.guests.len());
    for guest in &fleet.guests {
        let of = &guest.scenario;
        assert!(!(of.guest.encrypted && of.migration.policy == Policy::Disabled));
        assert_eq!(of.migration.link, fleet.evacuation.link);
    }
    let json = serde_json::to_vec(fleet).expect("fleets are plain data");
    let again: Fleet = serde_json::from_slice(&json).expect("what was written is read");
    assert_eq!(again, *fleet);
    again.check().expect("what was accepted is accepted again");
}

/// A policy that no guest refuses changes the guests' policy and nothing else.
fn set_for_all(text: &str, fleet: &Fleet) {
    let setting = Setting::Encryption(Policy::Required);
    let edited = match edit(text, "input", None, &setting, &Where::default()) {
        Ok(edited) => edited,
        // Guests may be written in a way that is read and not changed.
        Err(error) => return one_line(&error),
    };
    let mut expected = fleet.clone();
    for guest in &mut expected.guests {
        guest.scenario.migration.policy = Policy::Required;
    }
    assert_eq!(edited.after, expected);
    let again = load::parse(&edited.text, "input", None).expect("what is written is a fleet");
    assert_eq!(again, expected);
}
