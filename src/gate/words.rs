//! Numbers in the sentences and tables of reports.

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    if share.abs() >= 0.1 {
        format!("{:.0}%", 100.0 * share)
    } else {
        format!("{:.1}%", 100.0 * share)
    }
}

/// A share in percent, with two figures however small it is.
pub(super) fn finely(share: f64) -> String {
    let percent = 100.0 * share;
    if percent == 0.0 || percent.abs() >= 1.0 {
        return format!("{percent:.1}%");
    }
    let decimals = 1 - percent.abs().log10().floor() as i32;
    format!("{percent:.*}%", decimals.clamp(1, 12) as usize)
}

/// A share in percent with its sign.
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
