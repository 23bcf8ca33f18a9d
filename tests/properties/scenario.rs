//! The scenario loader.
//!
//! Input: the text of a scenario file.

use migtax::scenario::{self, MAX_RECORD, MAX_STREAMS, Scenario};
use migtax::units::{PAGE_SIZE, Size};
use migtax::workload::{MAX_MEMORY, MAX_VCPUS};

use crate::refusal::one_line;

/// Points of a matrix that are looked at.
const MOST_POINTS: usize = 4;

/// Whether the input was accepted.
pub fn check(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    match scenario::parse("input", text) {
        Ok(points) => {
            assert!((1..=1000).contains(&points.len()));
            for point in points.iter().take(MOST_POINTS) {
                within_bounds(point);
                written_again(point);
            }
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    }
}

fn within_bounds(scenario: &Scenario) {
    let (guest, migration) = (&scenario.guest, &scenario.migration);
    let whole = |size: Size, most: Size| {
        size.0 > 0 && size <= most && size.0.is_multiple_of(PAGE_SIZE as u64)
    };
    assert!(whole(guest.memory, MAX_MEMORY) && whole(migration.record, MAX_RECORD));
    assert!((1..=MAX_VCPUS).contains(&guest.vcpus));
    assert!((1..=MAX_STREAMS).contains(&migration.streams));
    assert!(!scenario.measure.arms.is_empty());
    let folder = scenario::folder_name(&scenario.name);
    let safe = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    assert!((1..=64).contains(&folder.len()) && folder.chars().all(safe));
    assert!(!folder.starts_with(['.', '-']), "{folder}");
}

/// Written again, as JSON and as TOML, it is accepted and is the same scenario.
fn written_again(scenario: &Scenario) {
    let json = serde_json::to_vec(scenario).expect("scenarios are plain data");
    let again: Scenario = serde_json::from_slice(&json).expect("what was written is read");
    assert_eq!(again, *scenario);
    again.check().expect("what was accepted is accepted again");
    // Its place in a matrix is never written in a file.
    let mut alone = scenario.clone();
    alone.point.clear();
    let text = toml::to_string(&alone).expect("scenarios are plain data");
    let points = scenario::parse("again", &text).expect("what was accepted is accepted again");
    assert_eq!(points, [alone]);
}
