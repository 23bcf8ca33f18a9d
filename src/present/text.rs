//! How figures and foreign text are written: numbers with units, escaping for HTML, Markdown,
//! CSV and the shell. A figure that is not finite is written as `n/a`, never as `NaN`.

/// What stands where there is no figure.
pub const NONE: &str = "n/a";

/// `value` with three significant digits and no exponent, at most `1234567` in full.
pub fn sig3(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let size = value.abs();
    let decimals = match size {
        s if s == 0.0 || s >= 99.95 => 0,
        s if s >= 9.995 => 1,
        s if s >= 0.9995 => 2,
        s if s >= 0.09995 => 3,
        s if s >= 0.009995 => 4,
        s if s >= 0.0009995 => 5,
        _ => 6,
    };
    format!("{value:.decimals$}")
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

/// A ratio above this is written as a multiple, below it as a percentage.
const MULTIPLE_FROM: f64 = 3.0;

/// A ratio as a tax: `+28%`, `-3%`, `×12.4`.
pub fn tax(ratio: f64) -> String {
    tax_like(ratio, ratio)
}

/// A ratio in the form that [`tax`] gives to another one, so that an interval's ends read like the
/// ratio between them.
pub fn tax_like(like: f64, ratio: f64) -> String {
    if !ratio.is_finite() {
        return NONE.to_owned();
    }
    if like >= MULTIPLE_FROM {
        return format!("×{}", sig3(ratio));
    }
    let percent = (ratio - 1.0) * 100.0;
    let text = if percent.abs() < 9.95 {
        format!("{percent:+.1}%")
    } else {
        format!("{percent:+.0}%")
    };
    if text == "-0.0%" {
        "+0.0%".to_owned()
    } else {
        text
    }
}

/// A ratio in words: `28% more`, `3% less`, `12.4 times the`, to be followed by a noun.
pub fn tax_words(ratio: f64) -> String {
    if !ratio.is_finite() {
        return NONE.to_owned();
    }
    if ratio >= MULTIPLE_FROM {
        return format!("{} times the", sig3(ratio));
    }
    let percent = (ratio - 1.0) * 100.0;
    let size = percent.abs();
    let figure = if size < 9.95 {
        format!("{size:.1}%")
    } else {
        format!("{size:.0}%")
    };
    if percent < 0.0 {
        format!("{figure} less")
    } else {
        format!("{figure} more")
    }
}

/// An interval's level as a percentage: `93.8%`.
pub fn level(level: f64) -> String {
    if !level.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{:.1}", level * 100.0);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

/// The shortest text that reads back as the same number, for machines; empty if not finite.
pub fn exact(value: f64) -> String {
    if value.is_finite() {
        format!("{value}")
    } else {
        String::new()
    }
}

/// Text for HTML content and quoted attributes.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are not allowed in HTML, save these.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Text for a Markdown table cell or paragraph: one line, nothing in it is markup.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A mention or a link would notify or lead away from a pull request.
            '@' => out.push_str("&#64;"),
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.replace("://", "&#58;//")
}

/// A CSV field after RFC 4180. A text that a spreadsheet would take for a formula is prefixed
/// with an apostrophe.
pub fn csv(text: &str) -> String {
    let formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Text for a terminal: one line, without control characters.
pub fn terminal(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A command line for a POSIX shell.
pub fn shell(words: &[String]) -> String {
    // A file can hold what no argument can: NUL.
    let quoter = shlex::Quoter::new().allow_nul(true);
    let line = quoter.join(words.iter().map(String::as_str));
    line.expect("everything is let through")
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
        assert_eq!(level(0.9375), "93.8%");
        assert_eq!(level(0.95), "95%");
    }

    #[test]
    fn ratios_become_taxes() {
        for (ratio, short, words) in [
            (1.0, "+0.0%", "0.0% more"),
            (1.284, "+28%", "28% more"),
            (0.97, "-3.0%", "3.0% less"),
            (0.99999, "+0.0%", "0.0% less"),
            (2.9, "+190%", "190% more"),
            (3.0, "×3.00", "3.00 times the"),
            (40.61, "×40.6", "40.6 times the"),
            (f64::NAN, NONE, NONE),
        ] {
            assert_eq!(tax(ratio), short, "{ratio}");
            assert_eq!(tax_words(ratio), words, "{ratio}");
        }
    }

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(
            html("<script>alert('x') & \"y\"\u{1}"),
            "&lt;script&gt;alert(&#39;x&#39;) &amp; &quot;y&quot;\u{fffd}"
        );
        assert_eq!(markdown("a|b\n*c* @d"), "a\\|b \\*c\\* &#64;d");
        assert_eq!(markdown("https://x"), "https&#58;//x");
        assert_eq!(csv("plain"), "plain");
        assert_eq!(csv("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv("=1+1"), "'=1+1");
        assert_eq!(csv("-1.5"), "-1.5");
        assert_eq!(terminal("a\u{1b}[31mb\n"), "a [31mb ");
        let words =
            ["migtax", "run", "--link", "10Gbit/s", "it's here", "$a", ""].map(str::to_owned);
        assert_eq!(
            shell(&words),
            r#"migtax run --link 10Gbit/s "it's here" '$a' ''"#
        );
        assert_eq!(shlex::split(&shell(&words)).unwrap(), words);
    }
}
