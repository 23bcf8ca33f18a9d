//! Quantities with mandatory units: what scenarios and command-line flags are written in.
//!
//! Each type parses from, and prints to, the same text (`64KiB`, `200MiB/s`, `10Gbit/s`, `300ms`),
//! so a resolved scenario can be fed back in. Values are exact integers in the base unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Bytes in one guest page. The only page size that migtax migrates (x86-64 base pages).
pub const PAGE_SIZE: usize = 4096;

/// Bytes in a GiB, as a float, for per-GiB figures.
pub const GIB: f64 = (1u64 << 30) as f64;

/// Why a quantity could not be read; the text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a {kind}: {allowed}")]
pub struct UnitError {
    text: String,
    kind: &'static str,
    allowed: &'static str,
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const BIT_UNITS: &[(&str, u64)] = &[
    ("Tbit/s", 1_000_000_000_000),
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
    ("bit/s", 1),
];
const TIME_UNITS: &[(&str, u64)] = &[
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Splits a number from its unit and scales it; decimals are allowed where the result is whole.
fn parse_scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start();
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = match number.split_once('.') {
        None => (number, ""),
        Some((w, f)) if !w.is_empty() && !f.is_empty() => (w, f),
        Some(_) => return None,
    };
    let mut value = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale);
    if !fraction.is_empty() {
        if fraction.len() > 12 || fraction.contains('.') {
            return None;
        }
        let divisor = 10u128.pow(u32::try_from(fraction.len()).ok()?);
        let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale);
        value += (part + divisor / 2) / divisor;
    }
    u64::try_from(value).ok()
}

/// The largest unit that the value is a whole multiple of.
fn write_scaled(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let (name, scale) = units
        .iter()
        .filter(|(name, _)| *name != "m" && *name != "h")
        .find(|(_, scale)| value != 0 && value.is_multiple_of(*scale))
        .or(units.last())
        .copied()
        .unwrap_or(("", 1));
    write!(f, "{}{}", value / scale, name)
}

/// Serialises a type as the text that it prints, which it is parsed from.
macro_rules! text_serde {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_serde;

/// A quantity as text: how it is read, and what it is called and may be where it is not.
macro_rules! quantity {
    ($type:ident, $kind:literal, $allowed:literal, $parse:expr) => {
        impl FromStr for $type {
            type Err = UnitError;
            fn from_str(text: &str) -> Result<Self, UnitError> {
                let parse: fn(&str) -> Option<$type> = $parse;
                parse(text).ok_or(UnitError {
                    text: text.to_owned(),
                    kind: $kind,
                    allowed: $allowed,
                })
            }
        }
        text_serde!($type);
    };
}

/// A number of bytes: `4KiB`, `1.5GiB`. Powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

impl Size {
    /// Whole pages that fit.
    pub fn pages(self) -> u64 {
        self.0 / PAGE_SIZE as u64
    }
}

quantity!(
    Size,
    "size",
    "a number with B, KiB, MiB, GiB or TiB, such as 256KiB",
    |text| parse_scaled(text, SIZE_UNITS).map(Size)
);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0, SIZE_UNITS)
    }
}

/// Bytes per second: `150MiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

quantity!(
    Rate,
    "rate",
    "a size per second, such as 150MiB/s",
    |text| parse_scaled(text.trim().strip_suffix("/s")?, SIZE_UNITS).map(Rate)
);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0, SIZE_UNITS)?;
        f.write_str("/s")
    }
}

/// A link's bandwidth: `10Gbit/s` (powers of 1000) or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bandwidth {
    /// No limit is set: the link is whatever the kernel does.
    Unlimited,
    /// Bits per second, never zero.
    BitsPerSecond(u64),
}

impl Bandwidth {
    /// Bits per second, if limited.
    pub fn bits_per_second(self) -> Option<u64> {
        match self {
            Bandwidth::Unlimited => None,
            Bandwidth::BitsPerSecond(bits) => Some(bits),
        }
    }
}

/// Time to send `bytes` over a link of `bits_per_second`, nanoseconds, rounded up.
///
/// # Panics
/// If `bits_per_second` is 0.
pub fn link_time_ns(bytes: u64, bits_per_second: u64) -> u64 {
    let nanos = (u128::from(bytes) * 8_000_000_000).div_ceil(u128::from(bits_per_second));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

quantity!(
    Bandwidth,
    "bandwidth",
    "a number above 0 with kbit/s, Mbit/s or Gbit/s, such as 10Gbit/s, or unlimited",
    |text| match text.trim() {
        "unlimited" => Some(Bandwidth::Unlimited),
        _ => parse_scaled(text, BIT_UNITS)
            .filter(|bits| *bits > 0)
            .map(Bandwidth::BitsPerSecond),
    }
);

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bandwidth::Unlimited => f.write_str("unlimited"),
            Bandwidth::BitsPerSecond(bits) => write_scaled(f, *bits, BIT_UNITS),
        }
    }
}

/// A length of time: `300ms`, `1.5s`. Whole nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// Seconds, as a float.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Whole nanoseconds. Spans are parsed from 64-bit counts, so this does not truncate.
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

quantity!(
    Span,
    "duration",
    "a number with ns, us, ms, s, min or h, such as 300ms",
    |text| parse_scaled(text, TIME_UNITS).map(|nanos| Span(Duration::from_nanos(nanos)))
);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.as_nanos(), TIME_UNITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_round_trip() {
        for text in ["0B", "1B", "4KiB", "1536KiB", "3GiB", "24TiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["0B/s", "150MiB/s"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["unlimited", "10Gbit/s", "1500Mbit/s", "1bit/s"] {
            assert_eq!(text.parse::<Bandwidth>().unwrap().to_string(), text);
        }
        for text in ["300ms", "1s", "90s", "2min", "1ns"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("1.5GiB".parse::<Size>().unwrap(), Size(3 << 29));
        assert_eq!("1.5s".parse::<Span>().unwrap().as_nanos(), 1_500_000_000);
        assert_eq!("0MiB/s".parse::<Rate>().unwrap(), Rate(0));
    }

    #[test]
    fn bad_quantities_are_refused_with_what_is_allowed() {
        for text in [
            "",
            "4",
            "KiB",
            "4 kib",
            "4KB",
            "-1KiB",
            "1.KiB",
            ".5KiB",
            "1.2.3KiB",
            "99999999TiB",
        ] {
            let error = text.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains("KiB") && error.contains(text), "{error}");
        }
        assert!("150MiB".parse::<Rate>().is_err());
        assert!("0bit/s".parse::<Bandwidth>().is_err());
        assert!("10GB/s".parse::<Bandwidth>().is_err());
        assert!("300".parse::<Span>().is_err());
    }

    #[test]
    fn link_time_is_exact_and_rounded_up() {
        assert_eq!(link_time_ns(0, 1), 0);
        assert_eq!(link_time_ns(1_250_000_000, 10_000_000_000), 1_000_000_000);
        assert_eq!(link_time_ns(1, 3), 2_666_666_667);
    }
}
