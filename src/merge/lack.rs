//! What a run lacks whose shards are not all there.

use std::collections::{BTreeMap, BTreeSet};

use crate::results::{Results, Shard, Warning};

/// Blocks named in one line at most.
const MOST_NAMED: usize = 20;

/// Code of the warning about what is missing.
pub(super) const MISSING_BLOCKS: &str = "missing_blocks";

/// What a point lacks.
pub(super) struct Lack {
    /// Its name, or its number where no part of it is here.
    point: String,
    /// Blocks of the run.
    of: u32,
    /// Those that no part holds whole.
    pub(super) blocks: Vec<u32>,
    /// Shards that they belong to, and the number of shards.
    shards: BTreeSet<u32>,
    of_shards: u32,
}

/// What each point of the run lacks, by its number.
pub(super) fn lacks<'a>(parts: impl Iterator<Item = &'a Results>) -> BTreeMap<u32, Lack> {
    let mut by_point = BTreeMap::<u32, Vec<&Results>>::new();
    for part in parts {
        by_point.entry(key(part).0).or_default().push(part);
    }
    let first = by_point.values().next().and_then(|parts| parts.first());
    let Some((first, of_first)) = first.and_then(|r| Some((*r, r.division()?))) else {
        return BTreeMap::new();
    };
    let repetitions = first.scenario.measure.repetitions;
    let lack = |point: u32| {
        let parts = by_point.get(&point).map_or(&[][..], Vec::as_slice);
        let shard = Shard {
            point,
            ..of_first.clone()
        };
        let repetitions = parts
            .first()
            .map_or(repetitions, |r| r.scenario.measure.repetitions);
        let mut shares = BTreeMap::<u32, Vec<u32>>::new();
        for block in 0..repetitions {
            shares.entry(shard.owner(block)).or_default().push(block);
        }
        let mut whole = BTreeMap::<u32, BTreeSet<u32>>::new();
        for part in parts {
            for block in part.whole_blocks() {
                whole.entry(shard.owner(block)).or_default().insert(block);
            }
            // Where no arm can run, a block holds nothing.
            if part.arms.iter().all(|arm| arm.runs().is_none()) {
                for owner in part.whole_shards() {
                    let share = shares.get(&owner).into_iter().flatten();
                    whole.entry(owner).or_default().extend(share);
                }
            }
        }
        let mut blocks = Vec::new();
        let mut shards = BTreeSet::new();
        for (owner, share) in shares {
            let none = BTreeSet::new();
            let made = whole.get(&owner).unwrap_or(&none);
            // One that was interrupted is replaced by a later number of the same shard.
            let missing = share.len().saturating_sub(made.len());
            let of_share = share.into_iter().filter(|block| !made.contains(block));
            blocks.extend(of_share.take(missing));
            shards.extend((missing > 0).then_some(owner));
        }
        blocks.sort_unstable();
        let point = match parts.first() {
            Some(part) => part.scenario.title(),
            None => format!("point {} of {}", point + 1, shard.points),
        };
        Lack {
            point,
            of: repetitions,
            blocks,
            shards,
            of_shards: shard.of,
        }
    };
    (0..of_first.points)
        .map(|point| (point, lack(point)))
        .collect()
}

impl Lack {
    fn what(&self) -> String {
        let (missing, of) = (self.blocks.len(), self.of);
        format!(
            "{missing} of {of} blocks are missing: {}",
            listed(self.blocks.iter())
        )
    }

    fn remedy(&self) -> String {
        let (shards, of) = (listed(self.shards.iter()), self.of_shards);
        format!("run or resume shard {shards} of {of}, then merge again")
    }

    pub(super) fn line(&self) -> Option<String> {
        let missing = !self.blocks.is_empty();
        missing.then(|| format!("{}: {}; {}", self.point, self.what(), self.remedy()))
    }

    pub(super) fn warning(&self) -> Warning {
        Warning {
            code: MISSING_BLOCKS.to_owned(),
            message: self.what(),
            remedy: self.remedy(),
        }
    }
}

fn listed<'a>(numbers: impl ExactSizeIterator<Item = &'a u32>) -> String {
    let more = numbers.len().saturating_sub(MOST_NAMED);
    let named: Vec<String> = numbers.take(MOST_NAMED).map(u32::to_string).collect();
    match more {
        0 => named.join(", "),
        _ => format!("{} and {more} more", named.join(", ")),
    }
}

/// Point and shard; of a merged run its first.
pub(super) fn key(results: &Results) -> (u32, u32) {
    results.division().map_or((0, 1), |s| (s.point, s.index))
}
