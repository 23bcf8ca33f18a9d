//! What the table says of a metric.

use serde::{Deserialize, Serialize};

use super::definition::Definition;
use crate::arm::Arm;
use crate::results::Migration;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Direction {
    /// Times and costs.
    LowerIsBetter,
    /// Rates.
    HigherIsBetter,
}

/// How a value is written, in the shown unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// With three significant figures.
    ThreeFigures,
    /// As it is: a count, or a median of counts.
    Count,
}

/// What is known of a metric in a migration that did not converge. What it would have been, had the
/// migration gone on until it did, is not less than a bound.
#[derive(Debug, Clone, Copy)]
pub enum Unfinished {
    /// A figure like any other: it does not take completion.
    Counts,
    /// No figure, but a bound of one that was measured.
    AtLeast(fn(&Migration) -> Option<f64>),
    /// No figure, but an estimate that it would at best have come to. That puts the migration above
    /// others, but is no bound to be shown as a result.
    Estimated(fn(&Migration) -> Option<f64>),
}

/// What a metric is divided by before two stored runs are compared: a figure of another arm in the
/// same block.
#[derive(Debug, Clone, Copy)]
pub struct Over {
    /// The arm by which another one's figure is divided.
    pub arm: fn(Arm) -> Arm,
    /// The name of its metric.
    pub metric: &'static str,
    /// What follows its name in words, where that is another metric.
    pub part: &'static str,
}

/// Everything that is said of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name in results, configuration and exports.
    pub name: &'static str,
    /// Its column in `migrations.csv`, which names the unit there: the shown one, unless it is recorded so.
    pub column: &'static str,
    /// The words for headings.
    pub label: &'static str,
    /// What follows the label where no unit stands beside it; empty if nothing needs to.
    pub per: &'static str,
    /// What encryption costs more of, in the headline's words; `None` if that doesn't speak of it.
    pub headline: Option<&'static str>,
    /// What it is.
    pub definition: &'static Definition,
    /// The unit of [`Row::value`].
    pub unit: &'static str,
    /// The unit in tables and charts.
    pub shown_unit: &'static str,
    /// Shown units in one unit.
    pub shown_scale: f64,
    /// How it is written.
    pub format: Format,
    /// Which way is better.
    pub direction: Direction,
    /// Whether arms are compared by it: in `comparisons[]` and in every table of taxes.
    pub compared: bool,
    /// Whether it is of a guest's disk, or of memory and disk together: compared in a table of its own, where
    /// there is a disk.
    pub of_disk: bool,
    /// What of it a migration has that did not converge.
    pub unfinished: Unfinished,
    /// Whether it holds time, so that it means something under the live clock only: under the
    /// virtual one, times are arithmetic.
    pub needs_live_clock: bool,
    /// What the gate divides it by; `None` if it is not for the gate, nor exported to others.
    pub gated: Option<Over>,
    /// The value in one migration. What is not finite and above 0 counts as none.
    pub value: fn(&Migration) -> Option<f64>,
}
