//! A metric by its place in the table.

use std::fmt;

use super::row::{Row, Unfinished};
use super::table::ROWS;
use crate::results::{Migration, OutcomeStatus};
use crate::scenario::ClockKind;
use crate::stats::Known;

/// A figure of one migration that is shown, compared or gated: a row's number. Ordered as tables
/// show them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric(u8);

impl Metric {
    /// The cipher's work on the source (for `copy`, its copy), per GiB of page payload.
    pub const SEAL_CPU_PER_GIB: Metric = named("seal_cpu_per_gib");
    /// The destination's cipher's work per GiB of page payload.
    pub const OPEN_CPU_PER_GIB: Metric = named("open_cpu_per_gib");
    /// Writing guest memory, per GiB of page payload.
    pub const APPLY_CPU_PER_GIB: Metric = named("apply_cpu_per_gib");
    /// The source's work per GiB of page payload.
    pub const SOURCE_CPU_PER_GIB: Metric = named("source_cpu_per_gib");
    /// The destination's work per GiB of page payload.
    pub const DESTINATION_CPU_PER_GIB: Metric = named("destination_cpu_per_gib");
    /// From the first harvest to the switchover acknowledgement.
    pub const TOTAL_TIME: Metric = named("total_time");
    /// The guest's pause.
    pub const DOWNTIME: Metric = named("downtime");
    /// What of the pause is sent, and so sealed: pages, device state, the final record.
    pub const DOWNTIME_SENDING: Metric = named("downtime_sending");
    /// What a pause would have been at the best moment, by the estimate before it.
    pub const EXPECTED_DOWNTIME: Metric = named("expected_downtime");
    /// Page payload over the time of the rounds.
    pub const THROUGHPUT: Metric = named("throughput");
    /// The source's work per GiB of guest memory.
    pub const SOURCE_CPU_PER_MEMORY_GIB: Metric = named("source_cpu_per_memory_gib");
    /// The destination's work per GiB of guest memory.
    pub const DESTINATION_CPU_PER_MEMORY_GIB: Metric = named("destination_cpu_per_memory_gib");
    /// Cores that the source keeps busy at 10 Gb/s of page payload.
    pub const SOURCE_CORES: Metric = named("source_cores");
    /// Cores that the destination keeps busy at 10 Gb/s of page payload.
    pub const DESTINATION_CORES: Metric = named("destination_cores");
    /// Rounds before the pause.
    pub const PRE_COPY_ROUNDS: Metric = named("pre_copy_rounds");
    /// Writes made during the migration over those asked for, the pause included.
    pub const VCPU_PROGRESS: Metric = named("vcpu_progress");
    /// What a write cost the vCPUs during the migration.
    pub const VCPU_CPU_PER_WRITE: Metric = named("vcpu_cpu_per_write");
    /// Time in which vCPUs could not execute.
    pub const STALL_TIME: Metric = named("stall_time");
    /// The longest of it at a stretch.
    pub const LONGEST_STALL: Metric = named("longest_stall");
    /// From the pause request to the first write at the destination.
    pub const BLACKOUT: Metric = named("blackout");
    /// Faults of write protection.
    pub const WRITE_FAULTS: Metric = named("write_faults");
    /// The bulk copy of the guest's disk.
    pub const DISK_TIME: Metric = named("disk_time");
    /// The source's work on the disk per GiB of its blocks.
    pub const DISK_SOURCE_CPU_PER_GIB: Metric = named("disk_source_cpu_per_gib");
    /// The destination's.
    pub const DISK_DESTINATION_CPU_PER_GIB: Metric = named("disk_destination_cpu_per_gib");
    /// The bulk copy, then total time.
    pub const WHOLE_TIME: Metric = named("whole_time");
    /// The source's work on memory and disk per GiB of both.
    pub const WHOLE_SOURCE_CPU_PER_GIB: Metric = named("whole_source_cpu_per_gib");
    /// The destination's.
    pub const WHOLE_DESTINATION_CPU_PER_GIB: Metric = named("whole_destination_cpu_per_gib");
    /// Bytes on the wire beside page payload, as a share of it.
    pub const WIRE_OVERHEAD: Metric = named("wire_overhead");

    /// Every metric, in the order in which tables show them.
    pub fn all() -> impl Iterator<Item = Metric> {
        (0..ROWS.len() as u8).map(Metric)
    }

    /// Those by which arms are compared in every run.
    pub fn compared() -> impl Iterator<Item = Metric> {
        Metric::all().filter(|metric| metric.row().compared && !metric.row().of_disk)
    }

    /// Those by which they are compared in any run: of a guest's disk too.
    pub fn ever_compared() -> impl Iterator<Item = Metric> {
        Metric::all().filter(|metric| metric.row().compared)
    }

    /// Whether it means anything under a clock: times do only under the live one.
    pub fn means_something_under(self, clock: ClockKind) -> bool {
        clock == ClockKind::Live || !self.row().needs_live_clock
    }

    /// What is known of it in one migration, in the row's unit: a figure, or for one that did not
    /// converge perhaps a bound. `None` where nothing is: of one that failed or fell back, or
    /// that has no value.
    pub fn known(self, migration: &Migration) -> Option<Known> {
        let at_least = |bound: fn(&Migration) -> Option<f64>| {
            let low = bound(migration).filter(|v| v.is_finite() && *v > 0.0)?;
            Some(Known {
                low,
                high: f64::INFINITY,
            })
        };
        match (migration.outcome.status, self.row().unfinished) {
            (OutcomeStatus::Completed, _) | (OutcomeStatus::NotConverged, Unfinished::Counts) => {
                self.value(migration).map(Known::exactly)
            }
            (OutcomeStatus::NotConverged, Unfinished::AtLeast(bound)) => at_least(bound),
            (OutcomeStatus::NotConverged, Unfinished::Estimated(bound)) => at_least(bound),
            (OutcomeStatus::Failed | OutcomeStatus::FellBack, _) => None,
        }
    }

    /// Those that the gate may be asked about, which are also exported.
    pub fn gated() -> impl Iterator<Item = Metric> {
        Metric::all().filter(|metric| metric.row().gated.is_some())
    }

    /// The one among some that has a name.
    ///
    /// # Errors
    /// One line that names those there are.
    pub fn among(name: &str, metrics: impl Iterator<Item = Metric>) -> Result<Metric, String> {
        let metrics: Vec<Metric> = metrics.collect();
        let found = metrics.iter().find(|metric| metric.name() == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = metrics.iter().map(|metric| metric.name()).collect();
            format!("\"{name}\" is not a metric: one of {}", names.join(", "))
        })
    }

    /// What the table says of it.
    pub fn row(self) -> &'static Row {
        &ROWS[usize::from(self.0)]
    }

    /// The name in results, configuration and exports.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The words for headings.
    pub fn label(self) -> &'static str {
        self.row().label
    }

    /// The label with what it is per, where no unit stands beside it.
    pub fn title(self) -> String {
        format!("{}{}", self.row().label, self.row().per)
    }

    /// The figure of one migration, in the row's unit; `None` where the migration has none: no
    /// payload, no round, a stage that took no CPU or that the arm does not have, no write recorded.
    pub fn value(self, migration: &Migration) -> Option<f64> {
        (self.row().value)(migration).filter(|v| v.is_finite() && *v > 0.0)
    }

    /// A value in the unit that tables and charts show.
    pub fn shown(self, value: f64) -> f64 {
        value * self.row().shown_scale
    }
}

/// The metric of a name that the table holds. Anything else does not compile as a constant.
const fn named(name: &str) -> Metric {
    let mut index = 0;
    while index < ROWS.len() {
        if same(ROWS[index].name.as_bytes(), name.as_bytes()) {
            return Metric(index as u8);
        }
        index += 1;
    }
    panic!("no row of the table has this name")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    match (a, b) {
        ([], []) => true,
        ([x, a @ ..], [y, b @ ..]) => *x == *y && same(a, b),
        _ => false,
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Direction;

    #[test]
    fn every_row_is_complete_and_can_be_told_from_the_others() {
        for metric in Metric::all() {
            let row = metric.row();
            for text in [
                row.name,
                row.column,
                row.label,
                row.unit,
                row.definition.text,
            ] {
                assert!(!text.is_empty(), "{row:?}");
            }
            assert!(row.shown_scale > 0.0, "{row:?}");
            let same = |other: &Metric| other.row().name == row.name;
            assert_eq!(Metric::all().filter(same).count(), 1, "{}", row.name);
            let same = |other: &Metric| other.row().column == row.column;
            assert_eq!(Metric::all().filter(same).count(), 1, "{}", row.column);
            assert_eq!(Metric::among(row.name, Metric::all()), Ok(metric));
            // What is compared and what the gate is asked about is judged by its direction.
            let rate = ["bytes/s", "of the writes asked"].contains(&row.unit);
            assert_eq!(row.direction == Direction::HigherIsBetter, rate, "{row:?}");
            if let Some(over) = row.gated {
                Metric::among(over.metric, Metric::gated()).unwrap();
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let text = Metric::among("sael", Metric::compared()).unwrap_err();
        let listed = "one of source_cpu_per_gib, destination_cpu_per_gib, total_time";
        assert!(text.contains("\"sael\"") && text.contains(listed), "{text}");
        assert!(Metric::among("wire_overhead", Metric::gated()).is_err());
    }
}
