//! How figures are written: significant digits, units, shares, taxes. A figure that is not finite is
//! written as `n/a`, never as `NaN`.

/// What stands where there is no figure.
pub const NONE: &str = "n/a";

/// `value` with three significant digits and no exponent; whole numbers above in full.
pub fn sig3(value: f64) -> String {
    significant(value, 3)
}

/// A difference with its sign, as finely as three significant digits of another one, so that an
/// interval's ends read like the figure between them: `+0.0243`, and beside it `-0.0019`.
pub fn signed_like(like: f64, value: f64) -> String {
    let like = sig3(like);
    let decimals = like.split_once('.').map_or(0, |(_, digits)| digits.len());
    match value.is_finite() {
        true => format!("{value:+.decimals$}"),
        false => NONE.to_owned(),
    }
}

/// `value` with so many significant digits and no exponent, down to 12 decimals.
fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    // Rounded first: 9.996 has one digit more before its point than it seems.
    let rounded = format!("{value:.*e}", digits - 1);
    let exponent = rounded.split_once('e').and_then(|(_, e)| e.parse().ok());
    let decimals = digits as i32 - 1 - exponent.unwrap_or(0);
    match usize::try_from(decimals) {
        _ if value == 0.0 => "0".to_owned(),
        Ok(decimals) if decimals > 12 => "0".to_owned(),
        Ok(decimals) => format!("{value:.decimals$}"),
        Err(_) => format!("{value:.0}"),
    }
}

/// Seconds, in the unit that keeps three digits readable.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    match value.abs() {
        0.0 => "0 s".to_owned(),
        v if v < 0.9995e-6 => format!("{} ns", sig3(value * 1e9)),
        v if v < 0.9995e-3 => format!("{} us", sig3(value * 1e6)),
        v if v < 0.9995 => format!("{} ms", sig3(value * 1e3)),
        _ => format!("{} s", sig3(value)),
    }
}

/// Bytes with a power-of-1024 unit.
pub fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", sig3(value), UNITS[unit])
}

/// A whole number with its thousands set apart by thin spaces.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// A share in percent: `0.5%`, `12%`.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let text = match percent.abs() {
        _ if !percent.is_finite() => return NONE.to_owned(),
        size if size < 9.95 => format!("{percent:.1}%"),
        _ => format!("{percent:.0}%"),
    };
    match text.strip_prefix('-') {
        Some("0.0%") => "0.0%".to_owned(),
        _ => text,
    }
}

/// A share in percent with its sign: `+12%`, `-3.0%`.
pub fn signed_percent(share: f64) -> String {
    let text = percent(share);
    match text.starts_with('-') || !share.is_finite() {
        true => text,
        false => format!("+{text}"),
    }
}

/// A share in percent, with two digits however small it is: `0.0042%`.
pub fn fine_percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent == 0.0 || percent.abs() >= 1.0 {
        return format!("{percent:.1}%");
    }
    format!("{}%", significant(percent, 2))
}

/// A probability: `0.042`, `1.0e-5`.
pub fn probability(p: f64) -> String {
    if p >= 0.001 {
        format!("{p:.3}")
    } else {
        format!("{p:.1e}")
    }
}

/// A ratio from this on is written as a multiple, below it as a percentage.
const MULTIPLE_FROM: f64 = 3.0;

/// A ratio as a tax: `+28%`, `-3.0%`, `×12.4`.
pub fn tax(ratio: f64) -> String {
    tax_like(ratio, ratio)
}

/// A ratio in the form that [`tax`] gives to another one, so that an interval's ends read like the
/// ratio between them.
pub fn tax_like(like: f64, ratio: f64) -> String {
    if like >= MULTIPLE_FROM && ratio.is_finite() {
        format!("×{}", sig3(ratio))
    } else {
        signed_percent(ratio - 1.0)
    }
}

/// A value on an axis, without needless digits: `0`, `0.05`, `20`, `10k`, `2M`.
pub fn tick(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (value, suffix) = match value.abs() {
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.9}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{suffix}")
}

/// An interval's level as a percentage: `93.8%`.
pub fn level(level: f64) -> String {
    if !level.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{:.1}", level * 100.0);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

/// What an interval rests on: `level 95.9%, n 20`.
pub fn basis(level: f64, n: impl std::fmt::Display) -> String {
    format!("level {}, n {n}", self::level(level))
}

/// The shortest text that reads back as the same number, for machines; empty if not finite.
pub fn exact(value: f64) -> String {
    if value.is_finite() {
        format!("{value}")
    } else {
        String::new()
    }
}

/// `yes` or `no`.
pub fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// The first letter in upper case.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits_and_their_unit() {
        for (value, text) in [
            (0.0, "0"),
            (0.1234567, "0.123"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (12.345, "12.3"),
            (99.96, "100"),
            (123456.0, "123456"),
            (0.000012345, "0.0000123"),
            (1e-20, "0"),
            (-0.5, "-0.500"),
            (f64::NAN, NONE),
            (f64::INFINITY, NONE),
        ] {
            assert_eq!(sig3(value), text);
        }
        for (value, text) in [
            (0.0, "0 s"),
            (2.5e-8, "25.0 ns"),
            (1.5e-5, "15.0 us"),
            (0.0123, "12.3 ms"),
            (0.9999, "1.00 s"),
            (61.0, "61.0 s"),
            (f64::NAN, NONE),
        ] {
            assert_eq!(seconds(value), text);
        }
        assert_eq!(bytes(1536.0), "1.50 KiB");
        assert_eq!(bytes(128.0 * 1024.0 * 1024.0), "128 MiB");
        assert_eq!(count(1_234_567), "1\u{2009}234\u{2009}567");
        assert_eq!(count(12), "12");
        assert_eq!(percent(0.12345), "12%");
        assert_eq!(percent(-1e-9), "0.0%");
        assert_eq!(signed_percent(0.005), "+0.5%");
        assert_eq!(signed_like(0.0243, 0.0243), "+0.0243");
        assert_eq!(signed_like(0.0243, -1.9e-6), "-0.0000");
        assert_eq!(signed_like(4.571, 12.3), "+12.30");
        assert_eq!(signed_like(0.0, f64::NAN), NONE);
        assert_eq!(fine_percent(-0.000042), "-0.0042%");
        assert_eq!(probability(0.00001), "1.0e-5");
        assert_eq!(level(0.9375), "93.8%");
        assert_eq!(level(0.95), "95%");
    }

    #[test]
    fn ratios_become_taxes() {
        for (ratio, short) in [
            (1.0, "+0.0%"),
            (1.284, "+28%"),
            (0.97, "-3.0%"),
            (0.99999, "+0.0%"),
            (2.9, "+190%"),
            (3.0, "×3.00"),
            (40.61, "×40.6"),
            (f64::NAN, NONE),
        ] {
            assert_eq!(tax(ratio), short, "{ratio}");
        }
    }
}
