//! A shard: a fixed part of a matrix's points and blocks.

use serde::{Deserialize, Serialize};

use super::Results;
use crate::scenario::Scenario;

/// Shards of a run at most.
pub const MOST_SHARDS: u32 = 1_000_000;

/// Which part of which matrix a run is: one point's blocks that belong to a shard.
///
/// A unit is one block of one point. Units are numbered block by block, and unit u belongs to shard
/// 1 + u mod `of`; where points and shards would meet in the same pairs again, the points are shifted
/// by one, so that each shard meets every point in the end. Nothing but the four numbers decides, so
/// every machine has the same parts, and those of a run that goes on beyond its last block, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which shard, from 1.
    pub index: u32,
    /// Of how many.
    pub of: u32,
    /// Which point of the matrix, from 0, in the order in which its lists are expanded.
    pub point: u32,
    /// Of how many; 1 of a scenario without lists.
    pub points: u32,
    /// What tells the matrix from others: 32 hexadecimal digits of a BLAKE3 hash over every value of
    /// every point.
    pub matrix: String,
}

/// What a merged run that is not complete was put together from: the shards that are missing are added to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The one with the lowest number.
    pub first: Shard,
    /// The numbers of those that had made all their blocks.
    pub whole: Vec<u32>,
}

impl Results {
    /// How the run that these results are a part of is divided: of a shard, and of a merged run that is not
    /// complete.
    pub fn division(&self) -> Option<&Shard> {
        let parts = self.parts.as_ref().map(|parts| &parts.first);
        self.shard.as_ref().or(parts)
    }

    /// The numbers of the shards in them that had made all their blocks.
    pub fn whole_shards(&self) -> Vec<u32> {
        match (&self.shard, &self.parts) {
            (Some(shard), _) if !self.interrupted => vec![shard.index],
            (None, Some(parts)) => parts.whole.clone(),
            _ => Vec::new(),
        }
    }
}

impl Shard {
    /// The part of each point that belongs to shard `index` of `of`.
    pub fn of_points(index: u32, of: u32, points: &[Scenario]) -> Vec<Shard> {
        let values = serde_json::to_vec(points).unwrap_or_default();
        let matrix = blake3::hash(&values).to_hex().as_str()[..32].to_owned();
        let count = u32::try_from(points.len()).unwrap_or(u32::MAX);
        let shard = |point| Shard {
            index,
            of,
            point,
            points: count,
            matrix: matrix.clone(),
        };
        (0..count).map(shard).collect()
    }

    /// Whether a block of the point belongs to this shard.
    pub fn holds(&self, block: u32) -> bool {
        self.owner(block) == self.index
    }

    /// The shard that a block of the point belongs to.
    pub fn owner(&self, block: u32) -> u32 {
        let [block, point] = [block, self.point].map(u64::from);
        let [points, of] = [self.points, self.of].map(|n| u64::from(n.max(1)));
        // Least common multiple: units until points and shards pair up as before.
        let cycle = points / gcd(points, of) * of;
        let before = block * points;
        let unit = before + (point + before / cycle) % points;
        1 + (unit % of) as u32
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        _ => gcd(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn shard(index: u32, of: u32, point: u32, points: u32) -> Shard {
        Shard {
            index,
            of,
            point,
            points,
            matrix: String::new(),
        }
    }

    #[test]
    fn every_block_of_every_point_belongs_to_one_shard_and_shares_are_even() {
        for (of, points, blocks) in [
            (1, 1, 5),
            (4, 2, 3),
            (2, 4, 6),
            (3, 3, 9),
            (6, 4, 10),
            (50, 7, 5),
            (7, 1000, 3),
        ] {
            let mut held = BTreeMap::<u32, u32>::new();
            for point in 0..points {
                for block in 0..blocks {
                    let owner = shard(1, of, point, points).owner(block);
                    let holders = (1..=of).filter(|i| shard(*i, of, point, points).holds(block));
                    assert_eq!(holders.collect::<Vec<_>>(), [owner]);
                    *held.entry(owner).or_default() += 1;
                }
            }
            let shares = (1..=of).map(|i| held.get(&i).copied().unwrap_or(0));
            let (least, most) = (shares.clone().min().unwrap(), shares.max().unwrap());
            assert!(most - least <= 1, "{of} {points} {blocks}: {held:?}");
        }
    }

    #[test]
    fn each_shard_meets_every_point_in_the_end() {
        for (of, points) in [(4, 4), (4, 2), (2, 4), (6, 4), (5, 3), (8, 12)] {
            for index in 1..=of {
                let met =
                    |point| (0..of * points).any(|b| shard(index, of, point, points).holds(b));
                assert!(
                    (0..points).all(met),
                    "shard {index} of {of}, {points} points"
                );
            }
        }
    }

    #[test]
    fn what_belongs_together_is_the_same_on_every_machine() {
        // Written down: another rule would be another division of runs that were begun.
        let owners = |of, point, points| {
            let shard = shard(1, of, point, points);
            (0..6).map(|block| shard.owner(block)).collect::<Vec<_>>()
        };
        assert_eq!(owners(4, 0, 1), [1, 2, 3, 4, 1, 2]);
        assert_eq!(owners(4, 0, 2), [1, 3, 2, 4, 1, 3]);
        assert_eq!(owners(4, 1, 2), [2, 4, 1, 3, 2, 4]);
        let points = crate::scenario::parse("a", "name = \"a\"\n[migration]\nstreams = [1, 2]");
        let shards = Shard::of_points(1, 3, &points.unwrap());
        let matrices: BTreeSet<&str> = shards.iter().map(|s| s.matrix.as_str()).collect();
        assert_eq!((shards.len(), matrices.len()), (2, 1));
        assert_eq!(shards[1].matrix.len(), 32);
    }
}
