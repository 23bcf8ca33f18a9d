//! Numbers in the sentences and tables of reports.

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    if share.abs() >= 0.1 {
        format!("{:.0}%", 100.0 * share)
    } else {
        format!("{:.1}%", 100.0 * share)
    }
}

/// The same with its sign.
pub(super) fn signed(share: f64) -> String {
    let sign = if share >= 0.0 { "+" } else { "" };
    format!("{sign}{}", percent(share))
}

/// A p-value with two figures.
pub(super) fn number(p: f64) -> String {
    if p >= 0.001 {
        format!("{p:.3}")
    } else {
        format!("{p:.1e}")
    }
}
