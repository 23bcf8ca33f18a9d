//! What can be compared, with its direction: which way is better is part of the definition.

use crate::arm::Arm;
use crate::results::{Metric, Migration};

use super::{per_gib, throughput};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Times and costs.
    LowerIsBetter,
    /// Rates.
    HigherIsBetter,
}

/// A figure of one migration that can be compared: the metrics of `comparisons[]`, and the
/// steadier figures of one stage, on which the gate rests first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// `cpu.source.seal_s` per GiB of page payload sent.
    SealCpuPerGib,
    /// `cpu.destination.open_s` per GiB of page payload sent.
    OpenCpuPerGib,
    /// `cpu.destination.apply_s` per GiB of page payload sent.
    ApplyCpuPerGib,
    /// `cpu.source.total_s` per GiB of page payload sent.
    SourceCpuPerGib,
    /// `cpu.destination.total_s` per GiB of page payload sent.
    DestinationCpuPerGib,
    /// `total_time_s`.
    TotalTime,
    /// `downtime.total_s`.
    Downtime,
    /// Page payload over the time of the rounds.
    Throughput,
    /// `guest.write_latency_ns.p99`, in seconds.
    WriteLatencyP99,
}

impl Measure {
    /// All of them, the steadiest first.
    pub const ALL: [Measure; 9] = [
        Measure::SealCpuPerGib,
        Measure::OpenCpuPerGib,
        Measure::ApplyCpuPerGib,
        Measure::SourceCpuPerGib,
        Measure::DestinationCpuPerGib,
        Measure::TotalTime,
        Measure::Downtime,
        Measure::Throughput,
        Measure::WriteLatencyP99,
    ];

    /// The name in results, configuration and exports.
    pub fn name(self) -> &'static str {
        match self {
            Measure::SealCpuPerGib => "seal_cpu_per_gib",
            Measure::OpenCpuPerGib => "open_cpu_per_gib",
            Measure::ApplyCpuPerGib => "apply_cpu_per_gib",
            Measure::SourceCpuPerGib => "source_cpu_per_gib",
            Measure::DestinationCpuPerGib => "destination_cpu_per_gib",
            Measure::TotalTime => "total_time",
            Measure::Downtime => "downtime",
            Measure::Throughput => "throughput",
            Measure::WriteLatencyP99 => "write_latency_p99",
        }
    }

    /// The measure of that name.
    pub fn from_name(name: &str) -> Option<Measure> {
        Measure::ALL.into_iter().find(|m| m.name() == name)
    }

    /// The words for tables.
    pub fn label(self) -> &'static str {
        match self {
            Measure::SealCpuPerGib => "seal CPU per GiB",
            Measure::OpenCpuPerGib => "open CPU per GiB",
            Measure::ApplyCpuPerGib => "apply CPU per GiB",
            Measure::SourceCpuPerGib => "source CPU per GiB",
            Measure::DestinationCpuPerGib => "destination CPU per GiB",
            Measure::TotalTime => "total time",
            Measure::Downtime => "downtime",
            Measure::Throughput => "throughput",
            Measure::WriteLatencyP99 => "p99 write latency",
        }
    }

    /// The unit of [`Measure::value`].
    pub fn unit(self) -> &'static str {
        match self {
            Measure::SealCpuPerGib
            | Measure::OpenCpuPerGib
            | Measure::ApplyCpuPerGib
            | Measure::SourceCpuPerGib
            | Measure::DestinationCpuPerGib => "CPU-s/GiB",
            Measure::TotalTime | Measure::Downtime | Measure::WriteLatencyP99 => "s",
            Measure::Throughput => "bytes/s",
        }
    }

    /// Which way is better.
    pub fn direction(self) -> Direction {
        match self {
            Measure::Throughput => Direction::HigherIsBetter,
            _ => Direction::LowerIsBetter,
        }
    }

    /// The figure of one migration, in [`Measure::unit`]; `None` where the migration has none:
    /// no payload, no round, a stage that took no CPU or that the arm does not have (`plain` seals
    /// nothing, the null cipher of `copy` opens nothing), no write recorded.
    pub fn value(self, m: &Migration) -> Option<f64> {
        let cpu = |seconds| per_gib(seconds, m.payload_bytes);
        let value = match self {
            Measure::SealCpuPerGib if m.arm == Arm::PLAIN => None,
            Measure::OpenCpuPerGib if m.arm.is_baseline() => None,
            Measure::SealCpuPerGib => cpu(m.cpu.source.seal_s),
            Measure::OpenCpuPerGib => cpu(m.cpu.destination.open_s),
            Measure::ApplyCpuPerGib => cpu(m.cpu.destination.apply_s),
            Measure::SourceCpuPerGib => cpu(m.cpu.source.total_s),
            Measure::DestinationCpuPerGib => cpu(m.cpu.destination.total_s),
            Measure::TotalTime => Some(m.total_time_s),
            Measure::Downtime => Some(m.downtime.total_s),
            Measure::Throughput => throughput(m),
            Measure::WriteLatencyP99 => Some(m.guest.write_latency_ns.p99 as f64 / 1e9),
        };
        value.filter(|v| v.is_finite() && *v > 0.0)
    }
}

impl From<Metric> for Measure {
    fn from(metric: Metric) -> Measure {
        match metric {
            Metric::TotalTime => Measure::TotalTime,
            Metric::Downtime => Measure::Downtime,
            Metric::SourceCpuPerGib => Measure::SourceCpuPerGib,
            Metric::DestinationCpuPerGib => Measure::DestinationCpuPerGib,
            Metric::Throughput => Measure::Throughput,
        }
    }
}

impl Metric {
    /// All of them, in table order.
    pub const ALL: [Metric; 5] = [
        Metric::TotalTime,
        Metric::Downtime,
        Metric::SourceCpuPerGib,
        Metric::DestinationCpuPerGib,
        Metric::Throughput,
    ];

    /// Which way is better.
    pub fn direction(self) -> Direction {
        Measure::from(self).direction()
    }

    /// The figure of one migration; see [`Measure::value`].
    pub fn value(self, migration: &Migration) -> Option<f64> {
        Measure::from(self).value(migration)
    }

    /// The name in results.json.
    pub fn name(self) -> &'static str {
        Measure::from(self).name()
    }

    /// The words for tables.
    pub fn label(self) -> &'static str {
        Measure::from(self).label()
    }

    /// The unit of [`Metric::value`].
    pub fn unit(self) -> &'static str {
        Measure::from(self).unit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_match_the_serialised_metrics() {
        for measure in Measure::ALL {
            assert_eq!(Measure::from_name(measure.name()), Some(measure));
        }
        for metric in Metric::ALL {
            let json = serde_json::to_value(metric).unwrap();
            assert_eq!(json.as_str(), Some(metric.name()));
        }
    }

    #[test]
    fn only_rates_are_better_when_higher() {
        for measure in Measure::ALL {
            let higher = measure.unit() == "bytes/s";
            assert_eq!(
                measure.direction() == Direction::HigherIsBetter,
                higher,
                "{measure:?}"
            );
        }
    }
}
