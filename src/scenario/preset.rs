//! A platform's values put where a scenario leaves them out.

use super::platform::Platform;
use super::spec::{MigrationSpec, Scenario};
use crate::precopy::{OnStall, Throttle};
use crate::units::Size;

/// Rounds at most where only time counts: what [`super::Scenario::check`] allows at most.
pub(super) const ANY_ROUNDS: u32 = 100_000;

/// Gives a migration the values of its platform wherever `given` does not know the field's name, and a throttle
/// its rule.
pub(super) fn resolve(migration: &mut MigrationSpec, memory: Size, given: impl Fn(&str) -> bool) {
    if let Some(platform) = migration.platform {
        let values = platform.values(memory);
        macro_rules! preset {
            ($($field:ident: $value:expr),+ $(,)?) => {
                $(if let Some(value) = $value && !given(stringify!($field)) {
                    migration.$field = value;
                })+
            };
        }
        preset! {
            downtime_limit: Some(values.downtime_limit),
            time_limit: values.time_limit,
            progress_timeout: values.progress_timeout.map(Some),
            on_stall: Some(values.on_stall),
            link: values.bandwidth_cap,
            max_rounds: Some(ANY_ROUNDS),
        };
        // A limit that the scenario sets is the one that it means, from the first round on.
        if !given("downtime_growth") && !given("downtime_limit") {
            migration.downtime_growth = values.downtime_growth;
        }
        if migration.on_stall == OnStall::Throttle && !given("throttle") {
            migration.throttle = values.throttle;
        }
    }
    if migration.on_stall == OnStall::Throttle {
        migration
            .throttle
            .get_or_insert_with(Throttle::auto_converge);
    }
}

impl Scenario {
    /// What happens when its migration does not converge, in the place of what it said.
    pub fn stall_by(&mut self, on_stall: OnStall) {
        self.migration.on_stall = on_stall;
        self.migration.throttle = match on_stall {
            OnStall::Throttle => Some(self.migration.throttle.unwrap_or(Throttle::auto_converge())),
            OnStall::Abort | OnStall::Switchover => None,
        };
    }

    /// On another platform: its values stand wherever `given` does not know the field of `[migration]`.
    pub fn on_platform(&mut self, platform: Platform, given: impl Fn(&str) -> bool) {
        self.migration.platform = Some(platform);
        // What another platform had set.
        self.migration.progress_timeout = None;
        self.migration.throttle = None;
        resolve(&mut self.migration, self.guest.memory, given);
    }
}
