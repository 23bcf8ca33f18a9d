//! Whether results hold together: parts that add up, counts that match.
//!
//! A file that fails here was edited, damaged, or written by a build with a fault; no figure in
//! it can be trusted, so nothing is read from it.

mod numbers;
mod plumbing;
mod qemu;
mod shard;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::error::{Error, Result};
use crate::figures::{self, Metric};
use crate::results::{Bound, Migration, OutcomeStatus, Results, Round, RoundKind};
use crate::scenario::ClockKind;
use crate::units::PAGE_SIZE;

/// Slack of sums over measured times: clocks are read at slightly different moments.
const RELATIVE_SLACK: f64 = 0.01;
const ABSOLUTE_SLACK_S: f64 = 1e-6;
/// No block has a higher number: a hundred times the most repetitions, since a run that was
/// interrupted goes on with new numbers.
pub const LAST_BLOCK: u32 = 1_000_000;
/// A read of a clock takes no longer, nanoseconds: hosts of a resumed run subtract it.
const LONGEST_CLOCK_READ_NS: f64 = 1e6;

/// Checks results as they stand in a file.
///
/// # Errors
/// [`Error::Invalid`] naming the first field that doesn't fit, its value and what it must be.
pub fn check(results: &Results) -> Result<()> {
    results
        .scenario
        .check_values()
        .map_err(|error| match error {
            Error::Invalid(text) => Error::Invalid(format!("scenario.{text}")),
            other => other,
        })?;
    check_host(results)?;
    shard::check(results)?;
    let arms: BTreeSet<_> = results.arms.iter().map(|a| a.name).collect();
    if arms.len() != results.arms.len() {
        return Err(Error::Invalid("arms: an arm stands there twice".to_owned()));
    }
    if arms.is_empty() {
        return Err(Error::Invalid("arms: at least one is needed".to_owned()));
    }
    let mut seen = BTreeSet::new();
    let mut seeds = BTreeMap::new();
    for (index, migration) in results.migrations.iter().enumerate() {
        let checker = Checker { index, migration };
        let block = (migration.arm, migration.block);
        checker.hold(arms.contains(&migration.arm), "arm: not among arms[]")?;
        checker.hold(seen.insert(block), "block: a block holds each arm once")?;
        let met = *seeds
            .entry(migration.block)
            .or_insert(migration.stream_seed);
        checker.hold(
            met == migration.stream_seed,
            "stream_seed: not that of the block's other arms",
        )?;
        checker.check(results)?;
    }
    check_comparisons(results)
}

/// What is recorded of the machine are shares, rates and costs of this world.
fn check_host(results: &Results) -> Result<()> {
    let host = &results.host;
    let read = LONGEST_CLOCK_READ_NS;
    let destination = host.destination_thread_clock_read_ns;
    for (field, value, most) in [
        ("load_before", host.load_before, 1e6),
        ("steal_share", host.steal_share, 1e6),
        ("other_cpu_share", host.other_cpu_share, 1e6),
        ("spin_spread", host.spin_spread, 1e6),
        ("frequency_mhz", host.frequency_mhz.unwrap_or(0.0), 1e6),
        ("thread_clock_read_ns", host.thread_clock_read_ns, read),
        (
            "destination_thread_clock_read_ns",
            destination.unwrap_or(0.0),
            read,
        ),
    ] {
        Error::unless(
            (0.0..=most).contains(&value),
            format_args!("host.{field}"),
            value,
            format_args!("0 to {most}"),
        )?;
    }
    Ok(())
}

/// The checks of one migration, the one at `index`.
struct Checker<'a> {
    index: usize,
    migration: &'a Migration,
}

impl Checker<'_> {
    /// Names a field of the migration.
    fn at(&self, field: &str) -> String {
        let Migration { arm, block, .. } = self.migration;
        format!("migrations[{}] ({arm}, block {block}) {field}", self.index)
    }

    /// Refuses the migration unless `fine`; `what` is a field and what is wrong with it.
    fn hold(&self, fine: bool, what: &str) -> Result<()> {
        match fine {
            true => Ok(()),
            false => Err(Error::Invalid(self.at(what))),
        }
    }

    /// Refuses the `value` of a field unless `fine`.
    fn require(
        &self,
        fine: bool,
        field: &str,
        value: impl Display,
        allowed: impl Display,
    ) -> Result<()> {
        match fine {
            true => Ok(()),
            false => Err(Error::invalid(self.at(field), value, allowed)),
        }
    }

    fn check(&self, results: &Results) -> Result<()> {
        self.require(
            self.migration.block <= LAST_BLOCK,
            "block",
            self.migration.block,
            format_args!("0 to {LAST_BLOCK}"),
        )?;
        self.numbers()?;
        self.magnitudes()?;
        self.storage(results)?;
        let outcome = &self.migration.outcome;
        if outcome.status == OutcomeStatus::Completed {
            self.completed(results)?;
        } else {
            let told = outcome.reason.as_deref().is_some_and(|r| !r.is_empty());
            self.hold(told, "outcome.reason: missing, though it did not complete")?;
        }
        match outcome.status {
            OutcomeStatus::Failed => Ok(()),
            _ => self.counts(),
        }
    }

    /// A migration that completed ended in a stop-and-copy, took time and was verified.
    fn completed(&self, results: &Results) -> Result<()> {
        let m = self.migration;
        self.hold(
            m.rounds.last().map(|r| r.kind) == Some(RoundKind::StopAndCopy),
            "rounds: completed, but the last one is not stop-and-copy",
        )?;
        self.require(
            m.total_time_s > 0.0,
            "total_time_s",
            m.total_time_s,
            "above 0, since it completed",
        )?;
        let v = &m.verified;
        self.hold(
            v.equal && v.source_hash == v.destination_hash && !v.source_hash.is_empty(),
            "verified: completed, but the hashes are not equal",
        )?;
        let memory = results.scenario.guest.memory.0;
        self.require(
            m.memory_bytes == memory,
            "memory_bytes",
            m.memory_bytes,
            format_args!("scenario.guest.memory, {memory}"),
        )?;
        // Under the virtual clock rounds and downtime hold virtual time, not these clocks'.
        if results.scenario.measure.clock == ClockKind::Live {
            let rounds: f64 = m.rounds.iter().map(|r| r.duration_s).sum();
            self.within("rounds[].duration_s, summed", rounds, m.total_time_s)?;
            self.within("downtime.total_s", m.downtime.total_s, m.total_time_s)?;
        }
        let (downtime, cpu) = (&m.downtime, &m.cpu);
        let parts = downtime.parts.map(|parts| parts.sum_s());
        let source = cpu.source.stages.map(|stages| stages.sum_s());
        let destination = cpu.destination.stages.map(|stages| stages.sum_s());
        for (field, total, parts) in [
            ("downtime.total_s", downtime.total_s, parts),
            ("cpu.source.total_s", cpu.source.total_s, source),
            (
                "cpu.destination.total_s",
                cpu.destination.total_s,
                destination,
            ),
        ] {
            // QEMU tells of none, and CPU time in a kernel's TLS or a tunnel's processes has none.
            let is_cpu = field.starts_with("cpu.");
            let without = m.arm.is_qemu() || is_cpu && m.channel.is_some() && !m.arm.has_stages();
            self.hold(
                parts.is_some() || without,
                &format!("{field}: its parts are missing"),
            )?;
            if let Some(parts) = parts {
                self.adds_up(field, total, parts)?;
            }
        }
        Ok(())
    }

    fn counts(&self) -> Result<()> {
        let m = self.migration;
        let sum = |field: fn(&Round) -> u64| {
            let counts = m.rounds.iter().map(field);
            counts.fold(0, u64::saturating_add)
        };
        let page = PAGE_SIZE as u64;
        // QEMU migrates more memory than the guest's, and tells of its rounds a moment later.
        let memory_bytes = m.qemu.as_ref().map_or(m.memory_bytes, |qemu| {
            qemu.ram_bytes.max(m.memory_bytes).saturating_mul(2)
        });
        let memory_pages = memory_bytes / page;
        for round in &m.rounds {
            // A round sends a page once.
            for (field, pages) in [
                (
                    "rounds[].pages_sent + zero_pages",
                    round.pages_sent + round.zero_pages,
                ),
                ("rounds[].pages_dirtied", round.pages_dirtied.unwrap_or(0)),
            ] {
                let allowed = format_args!("at most the guest's pages, {memory_pages}");
                self.require(pages <= memory_pages, field, pages, allowed)?;
            }
            self.equal(
                "rounds[].payload_bytes",
                round.payload_bytes,
                round.pages_sent.saturating_mul(page),
                "pages_sent x 4096",
            )?;
            if let Some(bytes) = round.compressed_bytes {
                let most = round.payload_bytes;
                let allowed = format_args!("at most payload_bytes, {most}");
                self.require(bytes <= most, "rounds[].compressed_bytes", bytes, allowed)?;
            }
        }
        let table = [
            ("pages_sent", m.pages_sent, sum(|r| r.pages_sent)),
            ("zero_pages", m.zero_pages, sum(|r| r.zero_pages)),
            ("payload_bytes", m.payload_bytes, sum(|r| r.payload_bytes)),
        ];
        for (field, value, rounds) in table {
            self.equal(field, value, rounds, "the sum over rounds")?;
        }
        let rounds: Option<u64> = m.rounds.iter().map(|r| r.compressed_bytes).sum();
        if let Some(bytes) = m.compressed_bytes.or(rounds.filter(|bytes| *bytes > 0)) {
            self.equal(
                "compressed_bytes",
                m.compressed_bytes.unwrap_or(0),
                rounds.unwrap_or(0),
                "the sum over rounds",
            )?;
            let most = m.payload_bytes;
            let allowed = format_args!("at most payload_bytes, {most}");
            self.require(bytes <= most, "compressed_bytes", bytes, allowed)?;
        }
        // Handshake and closing messages belong to no round.
        let in_rounds = sum(|r| r.bytes_on_wire);
        for (least, what) in [
            (in_rounds, "the sum over rounds"),
            (
                (m.content_bytes()).saturating_add(m.device_state_bytes.unwrap_or(0)),
                "payload_bytes (or compressed_bytes) and device_state_bytes",
            ),
        ] {
            self.require(
                m.bytes_on_wire >= least,
                "bytes_on_wire",
                m.bytes_on_wire,
                format_args!("at least {what}, {least}"),
            )?;
        }
        let fine = m.pages_sent == 0 || m.records.is_some_and(|n| n > 0) || m.arm.is_qemu();
        let records = m.records.unwrap_or(0);
        self.require(fine, "records", records, "above 0, since pages were sent")
    }

    fn equal(&self, field: &str, value: u64, expected: u64, what: &str) -> Result<()> {
        let allowed = format_args!("must be {what}, {expected}");
        self.require(value == expected, field, value, allowed)
    }

    fn adds_up(&self, field: &str, total: f64, parts: f64) -> Result<()> {
        let fine = (total - parts).abs() <= ABSOLUTE_SLACK_S + RELATIVE_SLACK * total;
        self.require(
            fine,
            field,
            total,
            format_args!("its parts add up to {parts}"),
        )
    }

    fn within(&self, field: &str, value: f64, total: f64) -> Result<()> {
        let fine = value <= total * (1.0 + RELATIVE_SLACK) + ABSOLUTE_SLACK_S;
        self.require(
            fine,
            field,
            value,
            format_args!("at most total_time_s, {total}"),
        )
    }
}

/// A stored comparison must be what the migrations give.
fn check_comparisons(results: &Results) -> Result<()> {
    for (index, stored) in results.comparisons.iter().enumerate() {
        let metric = Metric::among(&stored.metric, Metric::ever_compared())
            .map_err(|why| Error::Invalid(format!("comparisons[{index}] metric: {why}")))?;
        let name = format!(
            "comparisons[{index}] ({} against {}, {})",
            stored.arm, stored.against, stored.metric
        );
        let all = results.migrations.iter();
        let pairs = match stored.added {
            Some(_) => figures::pairs(stored.arm, stored.against, metric, all),
            // Older builds recorded the ratio alone, over the blocks in which both completed.
            None => {
                let done = |m: &&Migration| m.outcome.status == OutcomeStatus::Completed;
                figures::pairs(stored.arm, stored.against, metric, all.filter(done))
            }
        };
        let given = pairs.middle();
        let near = |a: f64, b: f64| (a - b).abs() <= RELATIVE_SLACK * b.abs() + f64::EPSILON;
        let fits = given.is_some_and(|given| {
            near(stored.ratio, given.ratio)
                && stored.added.is_none_or(|added| near(added, given.added))
                && stored.bound == given.bound
        });
        let counts = [stored.blocks, stored.not_converged];
        let written = |ratio: f64, added: Option<f64>, bound, [blocks, not_converged]: [u32; 2]| {
            let bound = match bound {
                None => "",
                Some(Bound::Lower) => "at least ",
                Some(Bound::Upper) => "at most ",
            };
            let added = added.map_or(String::new(), |added| format!(", added {added}"));
            format!("{bound}{ratio}{added} over {blocks} blocks, {not_converged} not converged")
        };
        let expected_counts = [pairs.blocks(), pairs.not_converged()];
        let expected = given.map_or_else(
            || "nothing".to_owned(),
            |given| {
                let added = stored.added.map(|_| given.added);
                written(given.ratio, added, given.bound, expected_counts)
            },
        );
        Error::unless(
            fits && counts == expected_counts,
            format!("{name} ratio"),
            written(stored.ratio, stored.added, stored.bound, counts),
            format_args!("migrations[] give {expected}"),
        )?;
        let unbounded = !stored.ci_high.is_finite() || stored.added_high.is_none();
        Error::unless(
            stored.not_converged > 0 || stored.added.is_none() || !unbounded,
            format!("{name} ci_high, added_high"),
            "null",
            "a number, since all its migrations converged",
        )?;
        let around = |low: Option<f64>, high: Option<f64>, value: Option<f64>| {
            let value = value.unwrap_or(0.0);
            low.is_none_or(|low| low <= value) && high.is_none_or(|high| value <= high)
        };
        Error::unless(
            around(stored.added_low, stored.added_high, stored.added),
            format!("{name} added"),
            stored.added.unwrap_or_default(),
            "outside its interval, added_low to added_high",
        )?;
        let name = format!("{name} ratio");
        Error::unless(
            stored.ci_low <= stored.ratio && stored.ratio <= stored.ci_high,
            &name,
            stored.ratio,
            format_args!(
                "outside its interval, {} to {}",
                stored.ci_low, stored.ci_high
            ),
        )?;
    }
    Ok(())
}
