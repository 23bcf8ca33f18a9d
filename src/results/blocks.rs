//! Blocks of a run: which are whole.

use std::collections::{BTreeMap, BTreeSet};

use super::{ArmInfo, Results};

impl Results {
    /// Blocks in which each arm that runs was run.
    pub fn whole_blocks(&self) -> BTreeSet<u32> {
        let arms = self.arms.iter().filter_map(ArmInfo::runs).count();
        let mut made = BTreeMap::<u32, usize>::new();
        for migration in &self.migrations {
            *made.entry(migration.block).or_default() += 1;
        }
        made.retain(|_, made| *made == arms);
        made.into_keys().collect()
    }
}
