//! The arms: the data paths that migtax compares. An arm is a row of a table, and everything that
//! lists, runs, draws or judges arms reads the table.
//!
//! To add one: a row in [`ROWS`]. A cipher that no backend offers needs a [`Backend`] as well, with
//! its implementation in [`crate::crypto`].

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One data path under comparison: a row's number. Ordered as tables show them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arm(u8);

/// The library behind an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// No cipher and no copy.
    None,
    /// Copies instead of ciphering.
    Null,
    /// `aes-gcm` 0.9, forced soft.
    RustcryptoSoft,
    /// `aes-gcm` 0.11.
    Rustcrypto,
    /// aws-lc through its C interface.
    AwsLc,
}

impl Backend {
    /// The library's name in results.
    pub fn library(self) -> &'static str {
        match self {
            Backend::None => "none",
            Backend::Null => "null",
            Backend::RustcryptoSoft | Backend::Rustcrypto => "aes-gcm",
            Backend::AwsLc => "aws-lc",
        }
    }
}

/// What a headline says an arm stands for: the generations of hosts, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// A host with all instructions.
    Full,
    /// A host of 2010-2018.
    AesNi,
    /// A host without AES instructions.
    Software,
}

/// Everything that is said of an arm.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name in scenarios, results and tables.
    pub name: &'static str,
    /// One line on what the arm stands for.
    pub summary: &'static str,
    /// The same in a few words, for sentences.
    pub short: &'static str,
    /// The library that does the work.
    pub backend: Backend,
    /// What [`AWS_LC_MASK_VARIABLE`] must hold in the host process; `None` means unset (an empty
    /// value would mask everything).
    pub mask: Option<&'static str>,
    /// CPU features without which the arm does not run, as `/proc/cpuinfo` names them.
    pub required_features: &'static [&'static str],
    /// Whether the arm measures a host without AES instructions.
    pub software: bool,
    /// The arms that it is compared with, by name; the first is the one that its tax is over.
    pub baselines: &'static [&'static str],
    /// The rung of the headline's ladder that it stands on, and its place among those that do: the
    /// lowest that a run has speaks for the rung.
    pub headline: Option<(Rung, u8)>,
    /// Its colour in every chart: red, green, blue.
    pub colour: (u8, u8, u8),
}

/// The environment variable with which aws-lc's view of the CPU is masked.
pub const AWS_LC_MASK_VARIABLE: &str = "OPENSSL_ia32cap";

const AES: &[&str] = &["aes", "pclmulqdq"];
const OVER_BOTH: &[&str] = &["plain", "copy"];

/// The table, in the order in which tables show it.
///
/// Colours are the palette of Okabe and Ito (Color Universal Design, 2008), which readers with any
/// colour vision can tell apart, with grey for `plain`. The two libraries take warm (RustCrypto)
/// and cool (aws-lc) colours; purple is aws-lc without instructions.
///
/// Masks are as in `OPENSSL_ia32cap(3)`: the first word is CPUID.1 EDX and ECX (33 PCLMULQDQ, 57
/// AES), the second CPUID.7 EBX and ECX (41 VAES, 42 VPCLMULQDQ). `aws-lc-soft` masks both words:
/// aws-lc picks its AVX-512 GHASH by VAES and VPCLMULQDQ alone, so masking only the first word
/// would leave vectorised carry-less multiplication in the software arm.
const ROWS: &[Row] = &[
    Row {
        name: "plain",
        summary: "no encryption, straight from guest memory to the socket",
        short: "no encryption",
        backend: Backend::None,
        mask: None,
        required_features: &[],
        software: false,
        baselines: &[],
        headline: None,
        colour: (0x80, 0x80, 0x80),
    },
    Row {
        name: "copy",
        summary: "the encrypted arms' framing and buffers, null cipher",
        short: "no encryption, copied",
        backend: Backend::Null,
        mask: None,
        required_features: &[],
        software: false,
        baselines: &["plain"],
        headline: None,
        colour: (0x00, 0x9e, 0x73),
    },
    Row {
        name: "rustcrypto-soft",
        summary: "aes-gcm 0.9 forced soft: portable constant-time software",
        short: "software AES, RustCrypto",
        backend: Backend::RustcryptoSoft,
        mask: None,
        required_features: &[],
        software: true,
        baselines: OVER_BOTH,
        headline: Some((Rung::Software, 1)),
        colour: (0xe6, 0x9f, 0x00),
    },
    Row {
        name: "rustcrypto",
        summary: "aes-gcm 0.11 with the instructions it finds",
        short: "RustCrypto, the instructions it finds",
        backend: Backend::Rustcrypto,
        mask: None,
        required_features: AES,
        software: false,
        baselines: OVER_BOTH,
        headline: Some((Rung::Full, 1)),
        colour: (0xd5, 0x5e, 0x00),
    },
    Row {
        name: "aws-lc-soft",
        summary: "aws-lc, AES and carry-less multiply masked: a host without AES instructions",
        short: "software AES, aws-lc",
        backend: Backend::AwsLc,
        mask: Some("~0x200000200000000:~0x60000000000"),
        required_features: &[],
        software: true,
        baselines: OVER_BOTH,
        headline: Some((Rung::Software, 0)),
        colour: (0xcc, 0x79, 0xa7),
    },
    Row {
        name: "aws-lc-aesni",
        summary: "aws-lc without VAES and VPCLMULQDQ: a host of 2010-2018",
        short: "AES-NI only, aws-lc",
        backend: Backend::AwsLc,
        mask: Some(":~0x60000000000"),
        required_features: AES,
        software: false,
        baselines: OVER_BOTH,
        headline: Some((Rung::AesNi, 0)),
        colour: (0x56, 0xb4, 0xe9),
    },
    Row {
        name: "aws-lc",
        summary: "aws-lc with all that it can use of the CPU: what a production VMM links today",
        short: "all instructions, aws-lc",
        backend: Backend::AwsLc,
        mask: None,
        required_features: AES,
        software: false,
        baselines: OVER_BOTH,
        headline: Some((Rung::Full, 0)),
        colour: (0x00, 0x72, 0xb2),
    },
];

/// Rows beyond [`ROWS`]: see [`extend`].
static EXTRA: OnceLock<&'static [Row]> = OnceLock::new();

/// Adds rows to the table of this process, before anything has read it. For tests: they show that
/// a row is all that an arm takes.
///
/// # Panics
/// If rows were added before.
#[doc(hidden)]
pub fn extend(rows: &'static [Row]) {
    assert!(EXTRA.set(rows).is_ok(), "the table is extended once");
}

fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(EXTRA.get().copied().unwrap_or_default())
}

impl Arm {
    /// The baseline of every tax: no encryption, straight from guest memory to the socket.
    pub const PLAIN: Arm = Arm(0);
    /// The encrypted arms' framing and buffers with a null cipher.
    pub const COPY: Arm = Arm(1);
    /// `aes-gcm` 0.9 forced to portable constant-time software.
    pub const RUSTCRYPTO_SOFT: Arm = Arm(2);
    /// `aes-gcm` 0.11 with the instructions it finds.
    pub const RUSTCRYPTO: Arm = Arm(3);
    /// aws-lc with AES and carry-less multiply masked.
    pub const AWS_LC_SOFT: Arm = Arm(4);
    /// aws-lc without VAES and VPCLMULQDQ.
    pub const AWS_LC_AESNI: Arm = Arm(5);
    /// aws-lc with all that it can use of the CPU.
    pub const AWS_LC: Arm = Arm(6);

    /// Every arm, in the order in which tables show them.
    pub fn all() -> impl Iterator<Item = Arm> {
        (0u8..).zip(rows()).map(|(index, _)| Arm(index))
    }

    /// What the table says of it.
    pub fn row(self) -> &'static Row {
        rows()
            .nth(usize::from(self.0))
            .expect("arms are made from the table alone")
    }

    /// The name in scenarios, results and tables.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The library that does the work.
    pub fn backend(self) -> Backend {
        self.row().backend
    }

    /// Whether the arm seals what it sends.
    pub fn is_encrypted(self) -> bool {
        !self.is_baseline()
    }

    /// Whether the arm is a baseline, which no policy forbids.
    pub fn is_baseline(self) -> bool {
        matches!(self.backend(), Backend::None | Backend::Null)
    }

    /// Whether the arm measures a host without AES instructions.
    pub fn is_software(self) -> bool {
        self.row().software
    }

    /// The arms that it is compared with, the one that its tax is over first.
    ///
    /// # Panics
    /// If its row names an arm that the table lacks.
    pub fn baselines(self) -> impl Iterator<Item = Arm> {
        self.row()
            .baselines
            .iter()
            .map(|name| name.parse().expect("a baseline is an arm of the table"))
    }
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no arm's; the text lists the arms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" is not an arm: one of {}", Arm::all().map(Arm::name).collect::<Vec<_>>().join(", "))]
pub struct UnknownArm {
    name: String,
}

impl FromStr for Arm {
    type Err = UnknownArm;
    fn from_str(name: &str) -> Result<Self, UnknownArm> {
        Arm::all()
            .find(|arm| arm.name() == name)
            .ok_or_else(|| UnknownArm {
                name: name.to_owned(),
            })
    }
}

impl Serialize for Arm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Arm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl serde::de::Visitor<'_> for Name {
            type Value = Arm;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an arm's name")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Arm, E> {
                name.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_constant_its_name_and_its_colour() {
        let named = [
            (Arm::PLAIN, "plain"),
            (Arm::COPY, "copy"),
            (Arm::RUSTCRYPTO_SOFT, "rustcrypto-soft"),
            (Arm::RUSTCRYPTO, "rustcrypto"),
            (Arm::AWS_LC_SOFT, "aws-lc-soft"),
            (Arm::AWS_LC_AESNI, "aws-lc-aesni"),
            (Arm::AWS_LC, "aws-lc"),
        ];
        assert_eq!(Arm::all().count(), named.len());
        for (arm, name) in named {
            assert_eq!(arm.name(), name);
            assert_eq!(name.parse(), Ok(arm));
            assert!(arm.baselines().all(|baseline| baseline < arm), "{arm}");
            assert_eq!(arm.baselines().count() == 0, arm == Arm::PLAIN, "{arm}");
            let alike = Arm::all().filter(|other| other.row().colour == arm.row().colour);
            assert_eq!(alike.count(), 1, "{arm}");
        }
        let unknown = "aes".parse::<Arm>().unwrap_err().to_string();
        assert!(
            unknown.contains("\"aes\"") && unknown.contains("aws-lc-aesni"),
            "{unknown}"
        );
    }
}
