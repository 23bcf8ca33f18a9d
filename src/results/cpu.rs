//! CPU time of a migration by side and stage, and how far stages can be trusted.

use serde::{Deserialize, Serialize};

/// CPU time of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cpu {
    /// The source host process.
    pub source: SourceCpu,
    /// The destination host process.
    pub destination: DestinationCpu,
}

/// CPU seconds of the source. `total_s` excludes the vCPUs' own time, which stands in `vcpu_s`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "super::parts::ReadSource")]
pub struct SourceCpu {
    /// The migration's threads, together.
    pub total_s: f64,
    /// The vCPU threads; not part of `total_s`.
    pub vcpu_s: f64,
    /// The processes of the source's side of a tunnel, a part of `total_s`; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel_s: Option<f64>,
    /// The parts of `total_s`. None of a migration by an engine that does not tell them.
    #[serde(flatten)]
    pub stages: Option<SourceStages>,
    /// How far the stages can be trusted. None before it was recorded, or without stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SourceSampling>,
}

/// CPU seconds of the source by stage.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct SourceStages {
    /// Harvest, zero test, building records (the copy of an arm that copies before it seals
    /// in place belongs to its seal).
    pub prepare_s: f64,
    /// Copying content out of guest memory and compressing the copy. None where nothing is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress_s: Option<f64>,
    /// Cipher (or, for `copy`, its copy).
    pub seal_s: f64,
    /// Socket writes.
    pub transmit_s: f64,
    /// What the stages don't explain.
    pub other_s: f64,
}

/// CPU seconds of the destination.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "super::parts::ReadDestination")]
pub struct DestinationCpu {
    /// All its threads, together.
    pub total_s: f64,
    /// The processes of the destination's side of a tunnel, a part of `total_s`; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel_s: Option<f64>,
    /// The parts of `total_s`. None of a migration by an engine that does not tell them.
    #[serde(flatten)]
    pub stages: Option<DestinationStages>,
    /// How far the stages can be trusted. None before it was recorded, or without stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<DestinationSampling>,
}

/// CPU seconds of the destination by stage.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct DestinationStages {
    /// Socket reads.
    pub receive_s: f64,
    /// Cipher.
    pub open_s: f64,
    /// Decompressing content. None where nothing is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decompress_s: Option<f64>,
    /// Writing pages to guest memory.
    pub apply_s: f64,
    /// What the stages don't explain.
    pub other_s: f64,
}

impl SourceStages {
    /// All of them.
    pub fn sum_s(&self) -> f64 {
        self.prepare_s
            + self.compress_s.unwrap_or(0.0)
            + self.seal_s
            + self.transmit_s
            + self.other_s
    }
}

impl DestinationStages {
    /// All of them.
    pub fn sum_s(&self) -> f64 {
        self.receive_s
            + self.open_s
            + self.decompress_s.unwrap_or(0.0)
            + self.apply_s
            + self.other_s
    }
}

/// Stage times are estimated from a sample, around which clocks were read. Standard errors are those
/// of the stages' totals, zero where everything was sampled; what they don't cover is the error of
/// the clock itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SourceSampling {
    /// What is timed at once: the records of one socket call (of a batch, with a pool).
    pub units: u64,
    /// Units that were timed.
    pub samples: u64,
    /// What reading the clocks took, in `other_s`.
    pub clock_s: f64,
    /// Standard error of `prepare_s`; the harvests in it are exact.
    pub prepare_se_s: f64,
    /// Standard error of `compress_s`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress_se_s: Option<f64>,
    /// Standard error of `seal_s`.
    pub seal_se_s: f64,
    /// Standard error of `transmit_s`, which is what the other stages leave.
    pub transmit_se_s: f64,
}

/// As [`SourceSampling`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct DestinationSampling {
    /// What is timed at once: a record.
    pub units: u64,
    /// Units that were timed.
    pub samples: u64,
    /// What reading the clocks took, in `other_s`.
    pub clock_s: f64,
    /// Standard error of `receive_s`, which is what the other stages leave.
    pub receive_se_s: f64,
    /// Standard error of `open_s`.
    pub open_se_s: f64,
    /// Standard error of `decompress_s`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decompress_se_s: Option<f64>,
    /// Standard error of `apply_s`.
    pub apply_se_s: f64,
}
