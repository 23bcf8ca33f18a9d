//! The arms: the data paths that migtax compares. An arm is a row of a table, and everything that
//! lists, runs, draws or judges arms reads the table.
//!
//! To add one: a row in [`ROWS`]. A cipher that no backend offers needs a [`Backend`] as well, with
//! its implementation in [`crate::crypto`].

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One data path under comparison: a row's number. Ordered as tables show them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arm(u8);

/// The library behind an arm. What it does is in [`crate::crypto`]; the name that results have for
/// it is the text beside each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::EnumIter, strum::IntoStaticStr)]
pub enum Backend {
    /// No cipher and no copy.
    #[strum(serialize = "none")]
    None,
    /// Copies instead of ciphering.
    #[strum(serialize = "null")]
    Null,
    /// `aes-gcm` 0.9, forced soft.
    #[strum(serialize = "aes-gcm")]
    RustcryptoSoft,
    /// `aes-gcm` 0.11.
    #[strum(serialize = "aes-gcm")]
    Rustcrypto,
    /// aws-lc through its C interface.
    #[strum(serialize = "aws-lc")]
    AwsLc,
}

impl Backend {
    /// The library's name in results; two backends may be releases of one library.
    pub fn library(self) -> &'static str {
        self.into()
    }

    /// Whether it seals, and so needs a key and adds a tag.
    pub fn has_cipher(self) -> bool {
        !matches!(self, Backend::None | Backend::Null)
    }
}

/// What a headline says an arm stands for: the generations of hosts, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Variables that the host process must start with, and their values: they mask what the library
    /// sees of the CPU. See [`Arm::environment`].
    pub environment: &'static [(&'static str, &'static str)],
    /// CPU features without which the arm does not run, as `/proc/cpuinfo` names them.
    pub required_features: &'static [&'static str],
    /// CPU features without which it runs the same code as another arm, and that arm's name: it is
    /// supported then, but no step of its own.
    pub told_apart_by: Option<(&'static [&'static str], &'static str)>,
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
const AWS_LC_MASK: &str = "OPENSSL_ia32cap";

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
        environment: &[],
        required_features: &[],
        told_apart_by: None,
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
        environment: &[],
        required_features: &[],
        told_apart_by: None,
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
        environment: &[],
        required_features: &[],
        told_apart_by: None,
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
        environment: &[],
        required_features: AES,
        told_apart_by: None,
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
        environment: &[(AWS_LC_MASK, "~0x200000200000000:~0x60000000000")],
        required_features: &[],
        told_apart_by: None,
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
        environment: &[(AWS_LC_MASK, ":~0x60000000000")],
        required_features: AES,
        told_apart_by: None,
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
        environment: &[],
        required_features: AES,
        // Its vectorised AES-GCM is written for AVX-512.
        told_apart_by: Some((&["vaes", "vpclmulqdq", "avx512f"], "aws-lc-aesni")),
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

/// The arm of [`ROWS`] with that name. Where it is called the compiler sees that there is one.
const fn named(name: &str) -> Arm {
    let mut index = 0;
    while index < ROWS.len() {
        if is_equal(ROWS[index].name.as_bytes(), name.as_bytes()) {
            return Arm(index as u8);
        }
        index += 1;
    }
    panic!("no row has this name");
}

const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

impl Arm {
    /// The baseline of every tax: no encryption, straight from guest memory to the socket.
    pub const PLAIN: Arm = named("plain");
    /// The encrypted arms' framing and buffers with a null cipher: the other baseline.
    pub const COPY: Arm = named("copy");

    // The others have names for tests and benches alone, which need one that is known to be slow,
    // fast or masked.
    /// Portable software.
    pub const RUSTCRYPTO_SOFT: Arm = named("rustcrypto-soft");
    /// RustCrypto with instructions.
    pub const RUSTCRYPTO: Arm = named("rustcrypto");
    /// aws-lc, masked down to software.
    pub const AWS_LC_SOFT: Arm = named("aws-lc-soft");
    /// aws-lc, masked down to AES-NI.
    pub const AWS_LC_AESNI: Arm = named("aws-lc-aesni");
    /// aws-lc, not masked.
    pub const AWS_LC: Arm = named("aws-lc");

    /// Every arm, in the order in which tables show them.
    pub fn all() -> impl Iterator<Item = Arm> {
        (0u8..).zip(rows()).map(|(index, _)| Arm(index))
    }

    /// The first arm of the headline's newest rung: it stands for all where one must, in legends,
    /// examples and defaults.
    ///
    /// # Panics
    /// If the headline has no arm.
    pub fn foremost() -> Arm {
        Arm::all()
            .filter(|arm| arm.row().headline.is_some())
            .min_by_key(|arm| arm.row().headline)
            .expect("the headline has arms")
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
        self.backend().has_cipher()
    }

    /// Whether the arm is a baseline, which no policy forbids.
    pub fn is_baseline(self) -> bool {
        !self.is_encrypted()
    }

    /// Whether the arm measures a host without AES instructions.
    pub fn is_software(self) -> bool {
        self.row().software
    }

    /// Every variable that masks something for any arm, with this arm's value. `None` means that it
    /// must be unset: an empty value may mask everything.
    pub fn environment(self) -> BTreeMap<&'static str, Option<&'static str>> {
        let all = rows().flat_map(|row| row.environment);
        let unset = all.map(|(variable, _)| (*variable, None));
        let own = self.row().environment.iter();
        unset
            .chain(own.map(|(variable, value)| (*variable, Some(*value))))
            .collect()
    }

    /// Gives a process that is to be started for it its [`environment`](Self::environment).
    pub fn prepare(self, process: &mut Command) {
        for (variable, value) in self.environment() {
            match value {
                Some(value) => process.env(variable, value),
                None => process.env_remove(variable),
            };
        }
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
    fn every_row_has_its_name_its_baselines_and_its_colour() {
        for arm in Arm::all() {
            assert_eq!(arm.name().parse(), Ok(arm));
            assert!(arm.baselines().all(|baseline| baseline < arm), "{arm}");
            assert!(arm.baselines().all(Arm::is_baseline), "{arm}");
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

    /// An empty value is no mask: it hides everything.
    #[test]
    fn an_arm_without_a_mask_unsets_the_variable() {
        for arm in Arm::all() {
            let environment = arm.environment();
            assert!(environment.contains_key(AWS_LC_MASK), "{arm}");
            assert!(
                environment.values().all(|value| *value != Some("")),
                "{arm}"
            );
        }
        assert_eq!(Arm::foremost().environment()[AWS_LC_MASK], None);
        assert!(Arm::AWS_LC_SOFT.environment()[AWS_LC_MASK].is_some());
    }
}
