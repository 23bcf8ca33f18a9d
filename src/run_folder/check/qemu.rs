//! Whether what is told of a migration by QEMU is what QEMU tells.

use super::Checker;
use super::numbers::{LONGEST_S, MOST};
use crate::error::Result;
use crate::results::LONGEST_ANSWER_BYTES;

/// Kinds of threads of one side at most: QEMU has three of them.
const MOST_KINDS: usize = 16;

impl Checker<'_> {
    /// What QEMU tells belongs to its arms and is of this world, and what it does not tell is absent there.
    pub(super) fn qemu(&self) -> Result<()> {
        let m = self.migration;
        self.hold(
            m.qemu.is_none() || m.arm.is_qemu(),
            "qemu: of an arm that QEMU did not run",
        )?;
        if m.arm.is_qemu() {
            self.absent()?;
        }
        let Some(qemu) = &m.qemu else { return Ok(()) };
        let sides = [&qemu.source_threads, &qemu.destination_threads];
        for kinds in sides.map(Vec::len) {
            let allowed = format_args!("at most {MOST_KINDS} kinds of threads");
            self.require(kinds <= MOST_KINDS, "qemu.*_threads", kinds, allowed)?;
        }
        let times = [
            ("qemu.stated_total_time_s", qemu.stated_total_time_s),
            ("qemu.stated_downtime_s", qemu.stated_downtime_s),
            ("qemu.stated_setup_time_s", qemu.stated_setup_time_s),
        ];
        let threads = sides.into_iter().flatten();
        let times = times
            .into_iter()
            .filter_map(|(field, value)| Some((field, value?)))
            .chain(threads.map(|thread| ("qemu.*_threads[].cpu_s", thread.cpu_s)));
        for (field, value) in times {
            let fine = (0.0..=LONGEST_S).contains(&value);
            self.require(fine, field, value, "0 to a year")?;
        }
        for (field, value) in [
            ("qemu.channels", u64::from(qemu.channels)),
            ("qemu.ram_bytes", qemu.ram_bytes),
            ("qemu.throttle_percent", qemu.throttle_percent.unwrap_or(0)),
        ] {
            let allowed = format_args!("0 to {MOST}");
            self.require(value <= MOST, field, value, allowed)?;
        }
        if let Some(late) = &qemu.lateness_ns {
            self.latency("qemu.lateness_ns", late)?;
        }
        let bytes = qemu.answer.to_string().len();
        self.require(
            bytes <= LONGEST_ANSWER_BYTES,
            "qemu.answer",
            format_args!("{bytes} bytes"),
            format_args!("at most {LONGEST_ANSWER_BYTES}"),
        )
    }

    /// None of what this program's own hosts count or time.
    fn absent(&self) -> Result<()> {
        let m = self.migration;
        let guest = &m.guest;
        let dirtied = m.rounds.iter().any(|r| r.pages_dirtied.is_some());
        for (field, is_there) in [
            ("records", m.records.is_some()),
            ("source_resident_bytes", m.source_resident_bytes.is_some()),
            (
                "destination_resident_bytes",
                m.destination_resident_bytes.is_some(),
            ),
            ("device_state_bytes", m.device_state_bytes.is_some()),
            ("rounds[].pages_dirtied", dirtied),
            ("downtime's parts", m.downtime.parts.is_some()),
            ("cpu.source's stages", m.cpu.source.stages.is_some()),
            (
                "cpu.destination's stages",
                m.cpu.destination.stages.is_some(),
            ),
            ("guest.write_latency_ns", guest.write_latency_ns.is_some()),
            (
                "guest.write_latency_before_ns",
                guest.write_latency_before_ns.is_some(),
            ),
            (
                "guest.write_latency_after_ns",
                guest.write_latency_after_ns.is_some(),
            ),
        ] {
            self.hold(!is_there, &format!("{field}: QEMU does not tell it"))?;
        }
        Ok(())
    }
}
