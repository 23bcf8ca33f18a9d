//! Whether what a migration tells of its guest's disk holds together.

use super::numbers::{LONGEST_S, MOST};
use super::{Checker, Results};
use crate::error::Result;
use crate::results::OutcomeStatus;
use crate::units::PAGE_SIZE;

impl Checker<'_> {
    /// A disk is there where the scenario has one and its host reported; its parts add up, and one that went
    /// over is equal on both sides.
    pub(super) fn storage(&self, results: &Results) -> Result<()> {
        let m = self.migration;
        let asked = results.scenario.storage.as_ref();
        let Some(storage) = &m.storage else {
            let may_lack = asked.is_none() || m.outcome.status == OutcomeStatus::Failed;
            return self.hold(may_lack, "storage: missing, though the guest has a disk");
        };
        let size = asked.map_or(0, |asked| asked.size.0);
        self.equal(
            "storage.size_bytes",
            storage.size_bytes,
            size,
            "scenario.storage.size",
        )?;
        let (source, destination) = (&storage.source_cpu, &storage.destination_cpu);
        for (field, value) in [
            ("storage.copy_s", storage.copy_s),
            ("storage.source_cpu.total_s", source.total_s),
            ("storage.source_cpu.read_s", source.read_s),
            ("storage.source_cpu.seal_s", source.seal_s),
            ("storage.source_cpu.transmit_s", source.transmit_s),
            ("storage.destination_cpu.total_s", destination.total_s),
            ("storage.destination_cpu.receive_s", destination.receive_s),
            ("storage.destination_cpu.open_s", destination.open_s),
            ("storage.destination_cpu.write_s", destination.write_s),
        ] {
            let fine = (0.0..=LONGEST_S).contains(&value);
            self.require(fine, field, format_args!("{value:?}"), "0 s to a year")?;
        }
        let parts = source.read_s + source.seal_s + source.transmit_s;
        self.adds_up("storage.source_cpu.total_s", source.total_s, parts)?;
        let parts = destination.receive_s + destination.open_s + destination.write_s;
        self.adds_up(
            "storage.destination_cpu.total_s",
            destination.total_s,
            parts,
        )?;
        for (field, value) in [
            ("storage.copied_bytes", storage.copied_bytes),
            ("storage.writes", storage.writes),
            ("storage.mirrored_writes", storage.mirrored_writes),
            ("storage.mirrored_bytes", storage.mirrored_bytes),
            ("storage.bytes_on_wire", storage.bytes_on_wire),
            ("storage.records", storage.records),
        ] {
            self.require(value <= MOST, field, value, format_args!("0 to {MOST}"))?;
        }
        let allowed = format_args!("at most storage.size_bytes, {size}");
        let copied = storage.copied_bytes;
        self.require(copied <= size, "storage.copied_bytes", copied, allowed)?;
        let content = storage.mirrored_writes.saturating_mul(PAGE_SIZE as u64);
        let mirrored = storage.mirrored_bytes;
        self.equal(
            "storage.mirrored_bytes",
            mirrored,
            content,
            "mirrored_writes x 4096",
        )?;
        for (field, latency) in [
            (
                "storage.write_latency_before_ns",
                &storage.write_latency_before_ns,
            ),
            (
                "storage.write_latency_copying_ns",
                &storage.write_latency_copying_ns,
            ),
            (
                "storage.write_latency_mirroring_ns",
                &storage.write_latency_mirroring_ns,
            ),
            (
                "storage.write_latency_after_ns",
                &storage.write_latency_after_ns,
            ),
        ] {
            self.latency(field, latency)?;
        }
        let v = &storage.verified;
        let equal = !v.source_hash.is_empty() && v.source_hash == v.destination_hash;
        let completed = m.outcome.status == OutcomeStatus::Completed;
        self.hold(
            v.equal == equal && (equal || !completed),
            "storage.verified: completed, but the hashes are not equal",
        )
    }
}
