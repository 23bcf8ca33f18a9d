//! What is gated and how sure the gate must be: `datasets/gate.toml`.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::figures::{Direction, Metric};
use crate::files;

/// The configuration that is built in.
pub const DEFAULT: &str = include_str!("../../datasets/gate.toml");

/// A larger file is none.
const LARGEST_BYTES: u64 = 1 << 20;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Chance that a whole verdict is `regressed` though nothing changed.
    pub false_alarm: f64,
    /// Chance to find a change that is claimed as detectable.
    pub power: f64,
    /// Confidence of the bound that lets a metric pass.
    pub pass_confidence: f64,
    /// For figures with nothing in the same block to divide by.
    pub undivided: UndividedLimits,
    /// The two steps of `ab`.
    pub confirm: Confirm,
    /// For criterion's baselines.
    pub criterion: CriterionLimits,
    /// For instruction counts.
    pub instructions: InstructionLimits,
    /// What is gated, in table order.
    #[serde(rename = "metric")]
    pub metrics: Vec<MetricLimits>,
}

/// False-alarm rates of the two batches of `ab`; their product is that of the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Of the first batch, over all rows.
    pub first: f64,
    /// Of the fresh batch, over the rows that the first one flagged.
    pub again: f64,
}

/// How sure an answer must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strictness {
    /// Chance of any false alarm over all rows.
    pub alpha: f64,
    /// Chance to find what is claimed as detectable.
    pub power: f64,
    /// Confidence of the bound that lets a row pass.
    pub pass_confidence: f64,
}

/// Limits for a figure of two runs that is not divided by another of its block, in place of lower ones of the
/// metric's own.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndividedLimits {
    /// Smaller changes never fail.
    pub relative_floor: f64,
    /// The rise that must be ruled out for a pass.
    pub tolerance: f64,
}

/// Limits for criterion's benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriterionLimits {
    /// Smaller changes never fail.
    pub relative_floor: f64,
    /// The rise that must be ruled out for a pass.
    pub tolerance: f64,
    /// Parts into which a benchmark's samples are cut, in time order.
    pub batches: usize,
}

/// Limits for instruction counts.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstructionLimits {
    /// Relative changes up to this one are neither for the worse nor for the better.
    pub threshold: f64,
}

/// What an inconclusive metric does to the whole verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undecided {
    /// Makes it inconclusive.
    Blocks,
    /// Is listed; the rest decides.
    Noted,
}

/// One gated metric.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricLimits {
    /// The metric.
    #[serde(deserialize_with = "metric_by_name")]
    pub name: Metric,
    /// The metric's own direction, repeated so that the file explains itself.
    pub direction: Direction,
    /// Smaller relative changes never fail.
    pub relative_floor: f64,
    /// Smaller changes of the arm's own figure never fail, in the metric's unit.
    pub absolute_floor: f64,
    /// The change for the worse that must be ruled out for a pass, relative.
    pub tolerance: f64,
    /// What an inconclusive answer does.
    pub undecided: Undecided,
}

fn metric_by_name<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Metric, D::Error> {
    let name = String::deserialize(d)?;
    Metric::among(&name, Metric::gated()).map_err(serde::de::Error::custom)
}

impl Config {
    /// The built-in configuration.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> Config {
        Config::parse(DEFAULT).unwrap_or_else(|e| panic!("datasets/gate.toml: {e}"))
    }

    /// Reads a configuration file, or gives the built-in one.
    ///
    /// # Errors
    /// [`Error::Invalid`] in one line that names the file and what is wrong with it.
    pub fn read(file: Option<&Path>) -> Result<Config> {
        let Some(file) = file else {
            return Ok(Config::built_in());
        };
        let text = String::from_utf8(files::read(file, LARGEST_BYTES)?)
            .map_err(|_| Error::Invalid(format!("{}: not a text file in UTF-8", file.display())))?;
        Config::parse(&text).map_err(|e| Error::Invalid(format!("{}: {e}", file.display())))
    }

    /// Reads and checks the text of a configuration file.
    ///
    /// # Errors
    /// [`Error::Invalid`], as [`Config::read`] gives it, without the file's name.
    pub fn parse(text: &str) -> Result<Config> {
        let config: Config = toml::from_str(text).map_err(|e| Error::toml(text, &e))?;
        config.check()?;
        Ok(config)
    }

    /// How sure a verdict must be that is given at once.
    pub fn strictness(&self) -> Strictness {
        Strictness {
            alpha: self.false_alarm,
            power: self.power,
            pass_confidence: self.pass_confidence,
        }
    }

    fn check(&self) -> Result<()> {
        let shares = [
            ("false_alarm", self.false_alarm, 0.5),
            ("power", self.power, 1.0),
            ("pass_confidence", self.pass_confidence, 1.0),
            ("confirm.first", self.confirm.first, 0.5),
            ("confirm.again", self.confirm.again, 0.5),
        ];
        for (field, value, below) in shares {
            let allowed = format!("above 0, below {below}");
            Error::unless(value > 0.0 && value < below, field, value, allowed)?;
        }
        let confidence = self.pass_confidence;
        Error::unless(
            confidence >= 0.5,
            "pass_confidence",
            confidence,
            "at least 0.5",
        )?;
        Error::unless(self.power >= 0.5, "power", self.power, "at least 0.5")?;
        let undivided = self.undivided;
        limits("undivided", undivided.relative_floor, undivided.tolerance)?;
        let criterion = self.criterion;
        let batches = criterion.batches;
        Error::unless(
            (4..=50).contains(&batches),
            "criterion.batches",
            batches,
            "4 to 50",
        )?;
        limits("criterion", criterion.relative_floor, criterion.tolerance)?;
        let threshold = self.instructions.threshold;
        let valid = threshold > 0.0 && threshold < 1.0;
        Error::unless(
            valid,
            "instructions.threshold",
            threshold,
            "above 0, below 1",
        )?;
        for (index, metric) in self.metrics.iter().enumerate() {
            let field = format!("metric {}", metric.name.name());
            let [direction, own] = [metric.direction, metric.name.row().direction];
            Error::unless(
                direction == own,
                format!("{field} direction"),
                <&str>::from(direction),
                format!("is {} by definition", <&str>::from(own)),
            )?;
            let floor = metric.absolute_floor;
            let valid = floor.is_finite() && floor >= 0.0;
            Error::unless(
                valid,
                format!("{field} absolute_floor"),
                floor,
                "at least 0",
            )?;
            limits(&field, metric.relative_floor, metric.tolerance)?;
            if self.metrics[..index].iter().any(|m| m.name == metric.name) {
                return Err(Error::Invalid(format!("{field} stands there twice")));
            }
        }
        if self.metrics.is_empty() {
            return Err(Error::Invalid("metric: at least one is needed".to_owned()));
        }
        Ok(())
    }
}

fn limits(field: &str, floor: f64, tolerance: f64) -> Result<()> {
    let valid = (0.0..10.0).contains(&floor);
    Error::unless(valid, format!("{field} relative_floor"), floor, "0 to 10")?;
    let valid = tolerance > floor && tolerance <= 10.0;
    let allowed = format!("above relative_floor, {floor}, and at most 10");
    Error::unless(valid, format!("{field} tolerance"), tolerance, allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_configuration_is_valid_and_steadiest_first() {
        let config = Config::built_in();
        assert_eq!(config.metrics[0].name, Metric::SEAL_CPU_PER_GIB);
        let product = config.confirm.first * config.confirm.again;
        assert!((product - config.false_alarm).abs() < 1e-12, "{product}");
    }

    #[test]
    fn bad_configurations_are_refused_in_one_line() {
        let table = [
            (
                "false_alarm = 0.005",
                "false_alarm = 0.7",
                "false_alarm = 0.7",
            ),
            ("power = 0.95", "power = 1.0", "power = 1"),
            ("batches = 10", "batches = 1", "criterion.batches = 1"),
            (
                "threshold = 0.005",
                "threshold = 0.0",
                "instructions.threshold = 0",
            ),
            (
                "direction = \"lower-is-better\"",
                "direction = \"higher-is-better\"",
                "by definition",
            ),
            (
                "absolute_floor = 0.001",
                "absolute_floor = -1",
                "absolute_floor = -1",
            ),
            ("tolerance = 0.06", "tolerance = 0.01", "tolerance = 0.01"),
            (
                "tolerance = 1.0",
                "tolerance = 0.4",
                "undivided tolerance = 0.4",
            ),
            (
                "seal_cpu_per_gib",
                "sael",
                "\"sael\" is not a metric: one of seal_cpu",
            ),
            ("open_cpu_per_gib", "seal_cpu_per_gib", "twice"),
            ("false_alarm", "falsealarm", "falsealarm"),
            ("[confirm]", "[confirm", "line"),
        ];
        for (from, to, expected) in table {
            let text = DEFAULT.replacen(from, to, 1);
            let text = Config::parse(&text).expect_err(to).to_string();
            assert!(text.contains(expected), "{to}: {text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
}
