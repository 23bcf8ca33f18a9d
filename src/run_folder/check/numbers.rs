//! Whether each number of a migration is one of this world.

use super::{ABSOLUTE_SLACK_S, Checker, RELATIVE_SLACK, plumbing};
use crate::error::Result;
use crate::results::{Latency, Round, VcpuWork};

/// No time in a run is longer: a year, seconds.
pub(super) const LONGEST_S: f64 = 366.0 * 86_400.0;
/// Nothing that took time took less: what the clocks tell apart, seconds.
const SHORTEST_S: f64 = 1e-9;
/// No count is larger, so that counts can be added up: what every reader of JSON holds exactly.
pub(super) const MOST: u64 = 1 << 53;
/// No machine takes more energy in a migration, joules: a megawatt for a week.
const MOST_ENERGY_J: f64 = 6e11;

impl Checker<'_> {
    /// Every count can be added up, and every latency is a time and stands at a percentile.
    pub(super) fn magnitudes(&self) -> Result<()> {
        let m = self.migration;
        let named = [
            ("pages_sent", m.pages_sent),
            ("zero_pages", m.zero_pages),
            ("memory_bytes", m.memory_bytes),
            ("payload_bytes", m.payload_bytes),
            ("compressed_bytes", m.compressed_bytes.unwrap_or(0)),
            ("bytes_on_wire", m.bytes_on_wire),
            ("guest.writes", m.guest.writes),
        ];
        let of_round = |round: &Round| {
            [
                ("rounds[].pages_sent", round.pages_sent),
                ("rounds[].zero_pages", round.zero_pages),
                ("rounds[].payload_bytes", round.payload_bytes),
                ("rounds[].bytes_on_wire", round.bytes_on_wire),
                ("rounds[].pages_dirtied", round.pages_dirtied.unwrap_or(0)),
            ]
        };
        let guest = &m.guest;
        let (source, destination) = (&m.source_counted, &m.destination_counted);
        let optional = [
            ("device_state_bytes", m.device_state_bytes),
            ("records", m.records),
            ("source_resident_bytes", m.source_resident_bytes),
            ("destination_resident_bytes", m.destination_resident_bytes),
            ("source_counted.cycles", source.cycles),
            ("source_counted.instructions", source.instructions),
            ("destination_counted.cycles", destination.cycles),
            ("destination_counted.instructions", destination.instructions),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(field, value)| Some((field, value?)));
        let works = [guest.work_before, guest.work_during, guest.work_after];
        let of_work = |work: &VcpuWork| {
            [
                ("guest.work_*.writes", work.writes),
                ("guest.work_*.timed_writes", work.timed_writes),
                ("guest.work_*.minor_faults", work.minor_faults),
            ]
        };
        let all = named
            .into_iter()
            .chain(m.rounds.iter().flat_map(of_round))
            .chain(optional)
            .chain(works.iter().flatten().flat_map(of_work))
            .chain(plumbing::counts(m));
        for (field, value) in all {
            self.require(value <= MOST, field, value, format_args!("0 to {MOST}"))?;
        }
        for (field, latency) in [
            ("guest.write_latency_ns", &guest.write_latency_ns),
            (
                "guest.write_latency_before_ns",
                &guest.write_latency_before_ns,
            ),
            (
                "guest.write_latency_after_ns",
                &guest.write_latency_after_ns,
            ),
            (
                "guest.write_latency_start_ns",
                &guest.write_latency_start_ns,
            ),
            (
                "guest.write_latency_pause_ns",
                &guest.write_latency_pause_ns,
            ),
        ] {
            if let Some(latency) = latency {
                self.latency(field, latency)?;
            }
        }
        Ok(())
    }

    pub(super) fn latency(&self, field: &str, latency: &Latency) -> Result<()> {
        let longest = (LONGEST_S * 1e9) as u64;
        let l = latency;
        self.require(l.count <= MOST, field, l.count, format_args!("0 to {MOST}"))?;
        let curve = l.curve.iter().map(|(_, value)| *value);
        for value in [l.p50, l.p90, l.p99, l.p999, l.max]
            .into_iter()
            .chain(curve)
        {
            let allowed = format_args!("at most {longest}, a year");
            self.require(value <= longest, field, value, allowed)?;
        }
        for (percentile, _) in &l.curve {
            let fine = (0.0..=100.0).contains(percentile);
            self.require(fine, field, percentile, "a percentile, 0 to 100")?;
        }
        Ok(())
    }

    /// Every measured number is finite and not below 0, every time of them at most a year.
    pub(super) fn numbers(&self) -> Result<()> {
        let m = self.migration;
        let (s, d) = (&m.cpu.source, &m.cpu.destination);
        // What is absent is checked as 0.
        let parts = m.downtime.parts.unwrap_or_default();
        let (sending, receiving) = (s.stages.unwrap_or_default(), d.stages.unwrap_or_default());
        let named = [
            ("total_time_s", m.total_time_s),
            ("setup_time_s", m.setup_time_s),
            ("downtime.total_s", m.downtime.total_s),
            ("downtime.pause_s", parts.pause_s),
            ("downtime.harvest_s", parts.harvest_s),
            ("downtime.transfer_s", parts.transfer_s),
            ("downtime.switchover_s", parts.switchover_s),
            ("cpu.source.total_s", s.total_s),
            ("cpu.source.vcpu_s", s.vcpu_s),
            ("cpu.source.prepare_s", sending.prepare_s),
            ("cpu.source.compress_s", sending.compress_s.unwrap_or(0.0)),
            ("cpu.source.seal_s", sending.seal_s),
            ("cpu.source.transmit_s", sending.transmit_s),
            ("cpu.source.other_s", sending.other_s),
            ("cpu.destination.total_s", d.total_s),
            ("cpu.destination.receive_s", receiving.receive_s),
            ("cpu.destination.open_s", receiving.open_s),
            (
                "cpu.destination.decompress_s",
                receiving.decompress_s.unwrap_or(0.0),
            ),
            ("cpu.destination.apply_s", receiving.apply_s),
            ("cpu.destination.other_s", receiving.other_s),
            ("guest.achieved_rate", m.guest.achieved_rate),
            ("guest.asked_rate", m.guest.asked_rate),
            ("guest.schedule_kept", m.guest.schedule_kept),
        ];
        let work = |work: Option<VcpuWork>| work.map(|work| work.cpu_s);
        let timed = |work: Option<VcpuWork>| work.map(|work| work.timed_s);
        let measured = [
            ("guest.progress", m.guest.progress),
            ("guest.stall_s", m.guest.stall_s),
            ("guest.longest_stall_s", m.guest.longest_stall_s),
            ("guest.stall_before_s", m.guest.stall_before_s),
            ("guest.first_write_s", m.guest.first_write_s),
            ("guest.work_before.cpu_s", work(m.guest.work_before)),
            ("guest.work_during.cpu_s", work(m.guest.work_during)),
            ("guest.work_after.cpu_s", work(m.guest.work_after)),
            ("guest.work_before.timed_s", timed(m.guest.work_before)),
            ("guest.work_during.timed_s", timed(m.guest.work_during)),
            ("guest.work_after.timed_s", timed(m.guest.work_after)),
            ("source_counted.energy_j", m.source_counted.energy_j),
            (
                "destination_counted.energy_j",
                m.destination_counted.energy_j,
            ),
        ];
        let measured = measured
            .into_iter()
            .filter_map(|(field, value)| Some((field, value?)));
        let rounds = m.rounds.iter().flat_map(|r| {
            [
                ("rounds[].started_s", r.started_s),
                ("rounds[].duration_s", r.duration_s),
                (
                    "rounds[].expected_downtime_s",
                    r.expected_downtime_s.unwrap_or(0.0),
                ),
            ]
        });
        let sampling = plumbing::seconds(m);
        let all = named
            .into_iter()
            .chain(measured)
            .chain(rounds)
            .chain(sampling);
        for (field, value) in all {
            // As short as it is read back: in full, a hostile one has 300 digits.
            let require =
                |fine, allowed| self.require(fine, field, format_args!("{value:?}"), allowed);
            require(value.is_finite() && value >= 0.0, "at least 0")?;
            require(
                !field.ends_with("_s") || value <= LONGEST_S,
                "at most a year",
            )?;
            // Parts may be what rounding left of a difference; wholes are read from clocks, and
            // figures are taken per them.
            let is_whole = ["total_s", "total_time_s", "duration_s"]
                .iter()
                .any(|end| field.ends_with(end));
            require(
                !is_whole || value == 0.0 || value >= SHORTEST_S,
                "0 or at least a nanosecond",
            )?;
        }
        for energy_j in [m.source_counted.energy_j, m.destination_counted.energy_j] {
            let energy_j = energy_j.unwrap_or(0.0);
            let allowed = format_args!("at most {MOST_ENERGY_J}");
            self.require(energy_j <= MOST_ENERGY_J, "energy_j", energy_j, allowed)?;
        }
        self.qemu()?;
        let g = &m.guest;
        if let (Some(longest), Some(all)) = (g.longest_stall_s, g.stall_s) {
            let allowed = format_args!("at most guest.stall_s, {all}");
            let fine = longest <= all * (1.0 + RELATIVE_SLACK) + ABSOLUTE_SLACK_S;
            self.require(fine, "guest.longest_stall_s", longest, allowed)?;
        }
        Ok(())
    }
}
