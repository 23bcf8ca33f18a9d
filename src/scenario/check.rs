//! What a scenario's values may be.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::spec::{
    ClockKind, GuestSpec, MeasureSpec, MigrationSpec, QemuCompression, Scenario, Workers,
};
use crate::error::{Error, Result};
use crate::guest::content::ContentSpec;
use crate::units::{Bandwidth, PAGE_SIZE, Size, Span};
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
    ("guest.pages", "\"4k\" or \"thp\""),
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
        "migration.destination_memory",
        "\"faulted-in\" or \"on-demand\"",
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
    ("measure.sampling", "\"auto\" or \"all\""),
    ("qemu.accelerator", "\"auto\", \"kvm\" or \"tcg\""),
    (
        "qemu.priority",
        "a priority string of GnuTLS's, 1 to 1000 printable ASCII characters",
    ),
    (
        "qemu.compression",
        "\"none\", or \"zlib\" or \"zstd\" with migration.streams of 2 or more",
    ),
    (
        "qemu.zero_copy_send",
        "true or false; true needs migration.streams of 2 or more and qemu.compression = \"none\"",
    ),
    ("qemu.auto_converge", "true or false"),
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

const NS: Span = Span(Duration::from_nanos(1));
const HOUR: Span = Span(Duration::from_secs(3600));

/// Refuses `value` for `field` unless `fine`.
fn require(fine: bool, field: &'static str, value: impl Display) -> Result<()> {
    Error::unless(fine, field, value, allowed(field).unwrap_or("impossible"))
}

/// Refuses `value` for `field` outside `range`.
fn within<T: PartialOrd + Display>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    require(range.contains(&value), field, value)
}

impl Scenario {
    /// Refuses every value that can't be, one line each: the field, its value, what is allowed.
    /// Whether the machine is large enough is the runner's to check.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first such value.
    pub fn check(&self) -> Result<()> {
        self.check_values()?;
        self.stream_spec().check()
    }

    /// [`Scenario::check`] without opening a trace that it names, for results that are read back.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first value that can't be.
    pub fn check_values(&self) -> Result<()> {
        let fine = (1..=200).contains(&self.name.chars().count())
            && !self.name.chars().any(char::is_control);
        require(fine, "name", format_args!("{:?}", self.name))?;
        self.guest.check()?;
        self.stream_spec().check_values()?;
        self.migration.check()?;
        self.measure.check()?;
        self.check_qemu()?;
        // Virtual time passes as pages are sent.
        let link = self.migration.link;
        Error::unless(
            self.measure.clock == ClockKind::Live || link != Bandwidth::Unlimited,
            "migration.link",
            link,
            "the virtual clock needs a bandwidth, such as 10Gbit/s",
        )
    }
}

impl Scenario {
    fn check_qemu(&self) -> Result<()> {
        let qemu = &self.qemu;
        let printable = |c: char| c == ' ' || c.is_ascii_graphic();
        require(
            (1..=1000).contains(&qemu.priority.len()) && qemu.priority.chars().all(printable),
            "qemu.priority",
            format_args!("{:?}", qemu.priority),
        )?;
        // Both are multifd's.
        let several = self.migration.streams >= 2;
        let is_plain = qemu.compression == QemuCompression::None;
        let compression = qemu.compression.name();
        require(is_plain || several, "qemu.compression", compression)?;
        require(
            !qemu.zero_copy_send || (several && is_plain),
            "qemu.zero_copy_send",
            qemu.zero_copy_send,
        )?;
        let arm = self.measure.arms.iter().find(|arm| arm.is_qemu());
        match arm {
            Some(arm) if self.measure.clock == ClockKind::Virtual => Err(Error::invalid(
                "measure.clock",
                "virtual",
                format_args!("{arm} runs in real time: \"live\""),
            )),
            _ => Ok(()),
        }
    }
}

impl GuestSpec {
    fn check(&self) -> Result<()> {
        self.content.check()?;
        let most = Size(1 << 30);
        within("guest.device_state", self.device_state, Size(0)..=most)
    }
}

impl ContentSpec {
    fn check(&self) -> Result<()> {
        within("guest.content.zero", self.zero, 0.0..=1.0)?;
        within("guest.content.constant", self.constant, 0.0..=1.0)?;
        within("guest.content.compressible", self.compressible, 0.0..=1.0)?;
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
        within("migration.streams", self.streams, 1..=MAX_STREAMS)?;
        let record = self.record;
        let whole = record.0 > 0 && record.0.is_multiple_of(PAGE_SIZE as u64);
        require(whole && record <= MAX_RECORD, "migration.record", record)?;
        within("migration.downtime_limit", self.downtime_limit, NS..=HOUR)?;
        within("migration.max_rounds", self.max_rounds, 1..=100_000)?;
        let day = Span(24 * HOUR.0);
        within("migration.time_limit", self.time_limit, NS..=day)?;
        let least = Span(Duration::from_millis(1));
        within("migration.peer_timeout", self.peer_timeout, least..=HOUR)?;
        if let Workers::Count(n) = self.seal_workers {
            within("migration.seal_workers", n, 1..=64)?;
        }
        // Each stream and direction has an equal share, and a record must fit it, its head included.
        let shares = 2 * u64::from(self.streams);
        require(
            self.rekey_bytes.0 / shares >= self.record.0 + LARGEST_HEAD,
            "migration.rekey_bytes",
            self.rekey_bytes,
        )?;
        within("migration.rekey_records", self.rekey_records, 1..=u64::MAX)
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
        within("measure.repetitions", self.repetitions, 1..=10_000)?;
        within("measure.warmup", self.warmup, 0..=1000)?;
        let most = Span(Duration::from_secs(60));
        within("measure.window", self.window, Span(Duration::ZERO)..=most)
    }
}
