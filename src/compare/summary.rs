//! An arm's figures over its completed migrations, for tables and charts.

use crate::arm::Arm;
use crate::results::{Metric, Migration, OutcomeStatus};
use crate::stats;
use crate::units::GIB;

use super::{completed, cores_per_10_gbit, per_gib, throughput};

/// Median, smallest and largest of a figure over an arm's completed migrations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Migrations that it rests on.
    pub n: usize,
}

impl Spread {
    /// Of values that are all there; `None` of nothing.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let values: Vec<f64> = values.into_iter().collect();
        Some(Spread {
            median: stats::median(&values)?,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            n: values.len(),
        })
    }
}

/// What a table shows of an arm. A figure is `None` where no completed migration has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmSummary {
    /// Which.
    pub arm: Arm,
    /// Migrations by outcome: completed, not converged, failed, fell back.
    pub outcomes: [u32; 4],
    /// Seconds.
    pub total_time_s: Option<Spread>,
    /// Seconds.
    pub downtime_s: Option<Spread>,
    /// Source CPU seconds per GiB of page payload sent.
    pub source_cpu_per_gib: Option<Spread>,
    /// Destination CPU seconds per GiB of page payload sent.
    pub destination_cpu_per_gib: Option<Spread>,
    /// Source CPU seconds per GiB of guest memory: counts what extra rounds cost, too.
    pub source_cpu_per_guest_gib: Option<Spread>,
    /// Destination CPU seconds per GiB of guest memory.
    pub destination_cpu_per_guest_gib: Option<Spread>,
    /// GiB of page payload per second of the rounds.
    pub gib_per_s: Option<Spread>,
    /// Source cores for 10 Gbit/s of page payload.
    pub source_cores_per_10_gbit: Option<Spread>,
    /// Destination cores for 10 Gbit/s of page payload.
    pub destination_cores_per_10_gbit: Option<Spread>,
    /// Rounds, stop-and-copy included.
    pub rounds: Option<Spread>,
}

impl ArmSummary {
    /// The spread of a metric of `comparisons[]`, in its own unit.
    pub fn metric(&self, metric: Metric) -> Option<Spread> {
        match metric {
            Metric::TotalTime => self.total_time_s,
            Metric::Downtime => self.downtime_s,
            Metric::SourceCpuPerGib => self.source_cpu_per_gib,
            Metric::DestinationCpuPerGib => self.destination_cpu_per_gib,
            Metric::Throughput => self.gib_per_s.map(|s| Spread {
                median: s.median * GIB,
                min: s.min * GIB,
                max: s.max * GIB,
                n: s.n,
            }),
        }
    }
}

/// The figures of one arm.
pub fn summary(arm: Arm, migrations: &[Migration]) -> ArmSummary {
    let done: Vec<&Migration> = completed(arm, migrations).into_values().collect();
    let spread = |value: &dyn Fn(&Migration) -> Option<f64>| {
        Spread::of(done.iter().filter_map(|m| value(m)))
    };
    let count = |status| {
        let those = migrations
            .iter()
            .filter(|m| m.arm == arm && m.outcome.status == status);
        u32::try_from(those.count()).unwrap_or(u32::MAX)
    };
    ArmSummary {
        arm,
        outcomes: [
            count(OutcomeStatus::Completed),
            count(OutcomeStatus::NotConverged),
            count(OutcomeStatus::Failed),
            count(OutcomeStatus::FellBack),
        ],
        total_time_s: spread(&|m| Some(m.total_time_s)),
        downtime_s: spread(&|m| Some(m.downtime.total_s)),
        source_cpu_per_gib: spread(&|m| per_gib(m.cpu.source.total_s, m.payload_bytes)),
        destination_cpu_per_gib: spread(&|m| per_gib(m.cpu.destination.total_s, m.payload_bytes)),
        source_cpu_per_guest_gib: spread(&|m| per_gib(m.cpu.source.total_s, m.memory_bytes)),
        destination_cpu_per_guest_gib: spread(&|m| {
            per_gib(m.cpu.destination.total_s, m.memory_bytes)
        }),
        gib_per_s: spread(&|m| throughput(m).map(|bytes| bytes / GIB)),
        source_cores_per_10_gbit: spread(&|m| {
            cores_per_10_gbit(m.cpu.source.total_s, m.payload_bytes)
        }),
        destination_cores_per_10_gbit: spread(&|m| {
            cores_per_10_gbit(m.cpu.destination.total_s, m.payload_bytes)
        }),
        rounds: spread(&|m| Some(m.rounds.len() as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Simulation, results};

    #[test]
    fn a_summary_counts_outcomes_and_spans_completed_migrations() {
        let mut run = results(&Simulation::default());
        let mut times = [3.0, 1.0, 2.0, 9.0, 4.0].into_iter();
        for m in run.migrations.iter_mut().filter(|m| m.arm == Arm::AWS_LC) {
            m.total_time_s = times.next().unwrap();
            if m.total_time_s == 9.0 {
                m.outcome.status = OutcomeStatus::Failed;
            }
        }
        let got = summary(Arm::AWS_LC, &run.migrations);
        assert_eq!(got.outcomes, [4, 0, 1, 0]);
        let time = got.total_time_s.unwrap();
        assert_eq!(
            (time.median, time.min, time.max, time.n),
            (2.5, 1.0, 4.0, 4)
        );
        assert_eq!(got.metric(Metric::TotalTime), got.total_time_s);
        let gib_per_s = got.gib_per_s.unwrap().median;
        let bytes = got.metric(Metric::Throughput).unwrap().median;
        assert!((bytes / gib_per_s - GIB).abs() < 1.0);
        assert_eq!(summary(Arm::AWS_LC, &[]).total_time_s, None);
    }
}
