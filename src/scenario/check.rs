//! What a scenario's values may be.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::content;
use super::engines::QemuCompression;
use super::preset::ANY_ROUNDS;
use super::spec::{ClockKind, GuestSpec, MeasureSpec, MigrationSpec, Scenario, Workers};
use crate::compression;
use crate::error::{Error, Result};
use crate::precopy::{DowntimeGrowth, OnStall, Throttle};
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
    ("migration.compression", compression::ALLOWED),
    ("migration.compression.zstd", "1 to 22"),
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
    (
        "migration.rtt",
        "a duration above 0, up to 1s, and up to a quarter of migration.peer_timeout",
    ),
    ("migration.downtime_limit", "a duration above 0, up to 1h"),
    ("migration.max_rounds", "1 to 100000"),
    ("migration.time_limit", "a duration above 0, up to 24h"),
    (
        "migration.platform",
        "\"qemu\", \"nova\", \"kubevirt\", \"cloud-hypervisor\", \"proxmox\" or \"vsphere\"",
    ),
    (
        "migration.downtime_growth",
        "{ kind = \"steps\", steps = 1 to 1000, every = a duration above 0 } or { kind = \"doubling\", rounds = 1 to 100000 }",
    ),
    (
        "migration.progress_timeout",
        "a duration above 0, up to 24h",
    ),
    (
        "migration.on_stall",
        "\"abort\", \"switchover\" or \"throttle\"",
    ),
    (
        "migration.throttle",
        "with on_stall = \"throttle\": { kind = \"auto-converge\", threshold, initial, increment, max, period, slice } or { kind = \"stun\", target, max, sleep }",
    ),
    ("migration.throttle.threshold", "0.01 to 1"),
    ("migration.throttle.target", "0.01 to 1"),
    ("migration.throttle.initial", "0.01 up to max"),
    ("migration.throttle.increment", "0.01 to 0.99"),
    ("migration.throttle.max", "0.01 to 0.99"),
    ("migration.throttle.period", "a duration up to 1h"),
    ("migration.throttle.slice", "1ms to 40ms"),
    ("migration.throttle.sleep", "1ms to 40ms"),
    (
        "migration.policy",
        "\"disabled\", \"opportunistic\" or \"required\"",
    ),
    ("migration.peer_timeout", "a duration from 1ms to 1h"),
    ("migration.seal_workers", "\"auto\" or 1 to 64"),
    (
        "migration.rekey_bytes",
        "at least 2 x (migration.streams, and 1 with storage) x (migration.record + 128KiB)",
    ),
    ("migration.rekey_records", "a whole number from 1"),
    ("storage.io", "\"cached\" or \"direct\""),
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
    (
        "tunnel.ssh_cipher",
        "a cipher's name, as \"ssh -Q cipher\" prints it",
    ),
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
        self.migration.check(self.connections())?;
        self.check_storage()?;
        self.measure.check()?;
        self.check_qemu()?;
        let cipher = format_args!("{:?}", self.tunnel.ssh_cipher.as_deref().unwrap_or(""));
        require(self.tunnel.is_named(), "tunnel.ssh_cipher", cipher)?;
        let tunnel = self.measure.arms.iter().find(|arm| arm.is_tunnel());
        if let (Some(arm), Some(rtt)) = (tunnel, self.migration.rtt) {
            return Err(Error::invalid(
                "migration.rtt",
                rtt,
                format_args!("none with {arm}, whose programs have windows of their own"),
            ));
        }
        if self.measure.arms.iter().any(|arm| arm.is_qemu()) {
            self.migration.check_for_qemu()?;
        }
        Error::unless(
            self.measure.clock == ClockKind::Live || self.migration.rtt.is_none(),
            "migration.rtt",
            "given",
            "none with the virtual clock, whose counts no round trip changes",
        )?;
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
        content::check("guest.content", &self.content)?;
        let most = Size(1 << 30);
        within("guest.device_state", self.device_state, Size(0)..=most)
    }
}

impl MigrationSpec {
    fn check(&self, connections: u32) -> Result<()> {
        within("migration.streams", self.streams, 1..=MAX_STREAMS)?;
        let record = self.record;
        let whole = record.0 > 0 && record.0.is_multiple_of(PAGE_SIZE as u64);
        require(whole && record <= MAX_RECORD, "migration.record", record)?;
        within("migration.downtime_limit", self.downtime_limit, NS..=HOUR)?;
        within("migration.max_rounds", self.max_rounds, 1..=ANY_ROUNDS)?;
        let day = Span(24 * HOUR.0);
        // Platforms let large guests take longer.
        let most = self.platform.map_or(day, |_| Span(10_000 * HOUR.0));
        within("migration.time_limit", self.time_limit, NS..=most)?;
        if let Some(timeout) = self.progress_timeout {
            within("migration.progress_timeout", timeout, NS..=day)?;
        }
        if let Some(growth) = self.downtime_growth {
            check_growth(growth)?;
        }
        if let Some(throttle) = self.throttle {
            let used = self.on_stall == OnStall::Throttle;
            require(used, "migration.throttle", "given")?;
            check_throttle(throttle)?;
        }
        let least = Span(Duration::from_millis(1));
        within("migration.peer_timeout", self.peer_timeout, least..=HOUR)?;
        if let Some(rtt) = self.rtt {
            // The peer is silent for as long at each exchange.
            let most = Span(Duration::from_secs(1).min(self.peer_timeout.0 / 4));
            within("migration.rtt", rtt, NS..=most)?;
        }
        if let Workers::Count(n) = self.seal_workers {
            within("migration.seal_workers", n, 1..=64)?;
        }
        // Each stream and direction has an equal share, and a record must fit it, its head included.
        let shares = 2 * u64::from(connections);
        require(
            self.rekey_bytes.0 / shares >= self.record.0 + LARGEST_HEAD,
            "migration.rekey_bytes",
            self.rekey_bytes,
        )?;
        within("migration.rekey_records", self.rekey_records, 1..=u64::MAX)
    }
}

impl MigrationSpec {
    /// What QEMU itself can't do when it runs the migration.
    fn check_for_qemu(&self) -> Result<()> {
        let allowed = "none with qemu-* arms, whose compression is qemu.compression";
        let none = self.compression.is_none();
        Error::unless(none, "migration.compression", self.compression, allowed)?;
        let allowed = "none with qemu-* arms, whose migrations are QEMU's own";
        Error::unless(self.rtt.is_none(), "migration.rtt", "given", allowed)?;
        let growth = self.downtime_growth.is_none();
        Error::unless(growth, "migration.downtime_growth", "given", allowed)?;
        let timeout = self.progress_timeout.is_none();
        Error::unless(timeout, "migration.progress_timeout", "given", allowed)?;
        let own = match self.throttle {
            None => true,
            Some(Throttle::AutoConverge { period, slice, .. }) => {
                (period.0, slice.0) == (Duration::from_secs(1), Duration::from_millis(10))
            }
            Some(Throttle::Stun { .. }) => false,
        };
        let allowed = "with qemu-* arms auto-converge with a period of 1s and a slice of 10ms";
        Error::unless(own, "migration.throttle", "given", allowed)
    }
}

fn check_growth(growth: DowntimeGrowth) -> Result<()> {
    let field = "migration.downtime_growth";
    match growth {
        DowntimeGrowth::Steps { steps, every } => {
            let fine = (1..=1000).contains(&steps) && every >= NS;
            require(
                fine,
                field,
                format_args!("{{ steps = {steps}, every = {every} }}"),
            )
        }
        DowntimeGrowth::Doubling { rounds } => within(field, rounds, 1..=ANY_ROUNDS),
    }
}

fn check_throttle(throttle: Throttle) -> Result<()> {
    let short = Span(Duration::from_millis(1))..=Span(Duration::from_millis(40));
    match throttle {
        Throttle::AutoConverge {
            threshold,
            initial,
            increment,
            max,
            period,
            slice,
        } => {
            within("migration.throttle.threshold", threshold, 0.01..=1.0)?;
            within("migration.throttle.max", max, 0.01..=0.99)?;
            within("migration.throttle.initial", initial, 0.01..=max)?;
            within("migration.throttle.increment", increment, 0.01..=0.99)?;
            within(
                "migration.throttle.period",
                period,
                Span(Duration::ZERO)..=HOUR,
            )?;
            within("migration.throttle.slice", slice, short)
        }
        Throttle::Stun { target, max, sleep } => {
            within("migration.throttle.target", target, 0.01..=1.0)?;
            within("migration.throttle.max", max, 0.01..=0.99)?;
            within("migration.throttle.sleep", sleep, short)
        }
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
