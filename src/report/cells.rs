//! Cells that tables of one run, of runs side by side and of a terminal share.

use super::view;
use crate::figures::Metric;
use crate::present::table::Cell;
use crate::results::Comparison;
use crate::stats::Interval;

/// A tax with its interval.
pub fn tax(comparison: &Comparison) -> Cell {
    Cell::figure(view::ratio(comparison), comparison.ratio)
        .under(view::interval(comparison))
        .resting_on(view::basis(comparison))
}

/// A median in the writing of `figure`, with its interval; a dash without one.
pub fn median(median: Option<Interval>, figure: impl Fn(f64) -> String) -> Cell {
    median.map_or_else(Cell::none, |m| {
        let [interval, basis] = view::median_doubt(&m, &figure);
        Cell::figure(figure(m.median), m.median)
            .under(interval)
            .resting_on(basis)
    })
}

/// The median of a metric, or of a part of it, in the metric's shown unit.
pub fn metric(of: Option<Interval>, metric: Metric) -> Cell {
    let mut cell = median(of, |value| view::figure(metric, value));
    cell.value = cell.value.map(|value| metric.shown(value));
    cell
}
