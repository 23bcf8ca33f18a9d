//! Figures: everything that is derived from results, each defined in one place.
//!
//! Results store times, bytes and counts. What tables, charts, exports and the gate show beyond
//! those is defined here: a [`Metric`] is a row of a table that holds its names, units, direction,
//! definition and value, and ratios, intervals and warnings follow from metrics and migrations.
//!
//! To add a metric: a row in `table.rs`, and a function of one migration if no existing one gives
//! its value. The row decides where the metric appears; it is then defined on every page, is a
//! column of `migrations.csv`, and, as the row says, is compared in `comparisons[]` and in the tables
//! of taxes, exported, and may be named in `datasets/gate.toml`. Nothing else has to change.

mod backing;
mod definition;
mod guest;
mod metric;
mod pairs;
mod rates;
mod rounds;
mod row;
mod sample;
mod storage;
mod table;
mod warnings;

pub use definition::Definition;
pub use guest::{cpu_per_write, protection_faults, time_per_fault, write_time, writes_lost};
pub use metric::Metric;
pub use pairs::{
    Compared, Middle, Pair, Pairs, added, chance, comparison, comparisons, completed,
    paired_ratios, pairs, widest_half_width,
};
pub use rates::per_gib;
pub use rounds::{WireTraffic, wire_traffic};
pub use row::{Direction, Format, Over, Row, Unfinished};
pub use sample::{median, median_interval};
pub use warnings::{DEBUG_BUILD, HOSTS_DIFFER, INJECTED_SLOWDOWN, THIN_BLOCKS, warnings};
