//! Blocks: what their arms share and what tells them apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::run;
use crate::migration::IDLE;

/// Were all blocks one stream, an interval over them would hold nothing of the workload's variance.
/// That the guest followed its block's stream is checked by executing that stream again.
#[test]
fn each_block_has_a_stream_of_its_own_that_its_arms_share() {
    let text = IDLE
        .replace("0MiB/s", "400MiB/s")
        .replace(
            "downtime_limit = \"1m\"",
            "max_rounds = 2\ndowntime_limit = \"1ns\"",
        )
        .replace("repetitions = 1", "repetitions = 3");
    let made = run(&text, &["--arms", "plain,copy", "--seed", "7"]);
    let mut seeds = BTreeMap::<u32, BTreeSet<Option<u64>>>::new();
    for migration in &made.results.migrations {
        let of_block = seeds.entry(migration.block).or_default();
        of_block.insert(migration.stream_seed);
        assert_eq!(migration.guest.writes_verified, Some(true));
    }
    // One migration alone may be over before its vCPU runs.
    let writes = made.results.migrations.iter().map(|m| m.guest.writes);
    assert!(writes.sum::<u64>() > 0);
    assert_eq!(seeds[&0], BTreeSet::from([Some(7)]));
    let all: BTreeSet<_> = seeds.values().flatten().collect();
    assert_eq!((seeds.len(), all.len()), (3, 3), "{seeds:?}");
}
