//! What a scenario's values may be.

use super::spec::{ClockKind, GuestSpec, MeasureSpec, MigrationSpec, Scenario, Workers};
use crate::error::{Error, Result};
use crate::guest::content::ContentSpec;
use crate::units::{Bandwidth, PAGE_SIZE, Size};
use crate::workload;

/// TCP connections of a migration at most.
pub const MAX_STREAMS: u32 = 64;
/// Page content in one record at most.
pub const MAX_RECORD: Size = Size(16 << 20);

/// Every field that is checked here, dotted, and what it may be.
const ALLOWED: &[(&str, &str)] = &[
    (
        "name",
        "1 to 200 characters, none of them a control character",
    ),
    ("guest.seed", "a whole number from 0"),
    ("guest.content", "shares that sum to at most 1"),
    ("guest.content.zero", "a share from 0 to 1"),
    ("guest.content.constant", "a share from 0 to 1"),
    ("guest.content.compressible", "a share from 0 to 1"),
    ("guest.device_state", "0B to 1GiB"),
    ("guest.encrypted", "true or false"),
    ("guest.huge_pages", "true or false"),
    (
        "workload.rate",
        "a size per second such as 150MiB/s, up to one page write per nanosecond and vCPU; 0MiB/s is an idle guest",
    ),
    ("workload.write", "\"word\" or \"page\""),
    ("migration.streams", "1 to 64"),
    (
        "migration.record",
        "a whole number of 4KiB pages, from 4KiB to 16MiB",
    ),
    (
        "migration.tracker",
        "\"auto\", \"bitmap\" or \"userfaultfd\"",
    ),
    (
        "migration.link",
        "a bandwidth such as 10Gbit/s, or \"unlimited\"",
    ),
    ("migration.downtime_limit", "a duration above 0, up to 1h"),
    ("migration.max_rounds", "1 to 100000"),
    ("migration.time_limit", "a duration above 0, up to 24h"),
    ("migration.on_stall", "\"abort\" or \"switchover\""),
    (
        "migration.policy",
        "\"disabled\", \"opportunistic\" or \"required\"",
    ),
    ("migration.peer_timeout", "a duration from 1ms to 1h"),
    ("migration.seal_workers", "\"auto\" or 1 to 64"),
    (
        "migration.rekey_bytes",
        "at least 2 x migration.streams x (migration.record + 128KiB)",
    ),
    ("migration.rekey_records", "a whole number from 1"),
    ("measure.arms", "at least one arm, each once"),
    ("measure.repetitions", "1 to 10000"),
    ("measure.warmup", "0 to 1000"),
    ("measure.clock", "\"live\" or \"virtual\""),
    ("measure.window", "a duration up to 1min"),
];

/// What a field may be, if it is one that is checked by itself.
pub(super) fn allowed(field: &str) -> Option<&'static str> {
    ALLOWED
        .iter()
        .chain(workload::ALLOWED)
        .find(|(name, _)| *name == field)
        .map(|(_, text)| *text)
}

/// More than the head of a record takes, bytes: see [`crate::wire::Bounds::head`].
const LARGEST_HEAD: u64 = 128 << 10;

const SECOND: u64 = 1_000_000_000;

/// Refuses `value` for `field` unless `fine`.
fn require(fine: bool, field: &'static str, value: impl std::fmt::Display) -> Result<()> {
    if fine {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        value,
        allowed(field).unwrap_or("impossible"),
    ))
}

fn is_share(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

impl Scenario {
    /// Refuses every value that can't be, one line each: the field, its value, what is allowed.
    /// Whether the machine is large enough is the runner's to check.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first such value.
    pub fn check(&self) -> Result<()> {
        let fine = (1..=200).contains(&self.name.chars().count())
            && !self.name.chars().any(char::is_control);
        require(fine, "name", format_args!("{:?}", self.name))?;
        self.guest.check()?;
        self.stream_spec().check()?;
        self.migration.check()?;
        self.measure.check()?;
        require_link(self)
    }
}

/// Virtual time passes as pages are sent, so it needs a bandwidth.
fn require_link(scenario: &Scenario) -> Result<()> {
    if scenario.measure.clock == ClockKind::Virtual
        && scenario.migration.link == Bandwidth::Unlimited
    {
        return Err(Error::invalid(
            "migration.link",
            scenario.migration.link,
            "the virtual clock needs a bandwidth, such as 10Gbit/s",
        ));
    }
    Ok(())
}

impl GuestSpec {
    fn check(&self) -> Result<()> {
        self.content.check()?;
        require(
            self.device_state.0 <= 1 << 30,
            "guest.device_state",
            self.device_state,
        )
    }
}

impl ContentSpec {
    fn check(&self) -> Result<()> {
        require(is_share(self.zero), "guest.content.zero", self.zero)?;
        require(
            is_share(self.constant),
            "guest.content.constant",
            self.constant,
        )?;
        require(
            is_share(self.compressible),
            "guest.content.compressible",
            self.compressible,
        )?;
        let sum = self.zero + self.constant + self.compressible;
        // Shares written in decimal may sum to just above 1.
        require(
            sum <= 1.0 + 1e-9,
            "guest.content",
            format_args!(
                "{{ zero = {}, constant = {}, compressible = {} }}",
                self.zero, self.constant, self.compressible
            ),
        )
    }
}

impl MigrationSpec {
    fn check(&self) -> Result<()> {
        require(
            (1..=MAX_STREAMS).contains(&self.streams),
            "migration.streams",
            self.streams,
        )?;
        let record = self.record.0;
        let whole = record > 0 && record.is_multiple_of(PAGE_SIZE as u64);
        require(
            whole && record <= MAX_RECORD.0,
            "migration.record",
            self.record,
        )?;
        let limit = self.downtime_limit.as_nanos();
        require(
            limit > 0 && limit <= 3600 * SECOND,
            "migration.downtime_limit",
            self.downtime_limit,
        )?;
        require(
            (1..=100_000).contains(&self.max_rounds),
            "migration.max_rounds",
            self.max_rounds,
        )?;
        let limit = self.time_limit.as_nanos();
        require(
            limit > 0 && limit <= 24 * 3600 * SECOND,
            "migration.time_limit",
            self.time_limit,
        )?;
        let timeout = self.peer_timeout.as_nanos();
        require(
            (1_000_000..=3600 * SECOND).contains(&timeout),
            "migration.peer_timeout",
            self.peer_timeout,
        )?;
        if let Workers::Count(n) = self.seal_workers {
            require((1..=64).contains(&n), "migration.seal_workers", n)?;
        }
        // Each stream and direction has an equal share, and a record must fit it, its head included.
        let shares = 2 * u64::from(self.streams);
        require(
            self.rekey_bytes.0 / shares >= self.record.0 + LARGEST_HEAD,
            "migration.rekey_bytes",
            self.rekey_bytes,
        )?;
        require(
            self.rekey_records > 0,
            "migration.rekey_records",
            self.rekey_records,
        )
    }
}

impl MeasureSpec {
    fn check(&self) -> Result<()> {
        let mut arms = self.arms.clone();
        arms.sort_unstable();
        arms.dedup();
        let names: Vec<&str> = self.arms.iter().map(|arm| arm.name()).collect();
        require(
            !arms.is_empty() && arms.len() == self.arms.len(),
            "measure.arms",
            format_args!("{names:?}"),
        )?;
        require(
            (1..=10_000).contains(&self.repetitions),
            "measure.repetitions",
            self.repetitions,
        )?;
        require(self.warmup <= 1000, "measure.warmup", self.warmup)?;
        require(
            self.window.as_nanos() <= 60 * SECOND,
            "measure.window",
            self.window,
        )
    }
}
