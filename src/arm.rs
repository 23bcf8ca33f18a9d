//! The arms: the data paths that migtax compares.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One data path under comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// No encryption, straight from guest memory to the socket.
    Plain,
    /// The encrypted arms' framing and buffers with a null cipher.
    Copy,
    /// `aes-gcm` 0.9 forced to portable constant-time software.
    RustcryptoSoft,
    /// `aes-gcm` 0.11 with the instructions it finds.
    Rustcrypto,
    /// aws-lc with AES and carry-less multiply masked.
    AwsLcSoft,
    /// aws-lc without VAES and VPCLMULQDQ.
    AwsLcAesni,
    /// aws-lc with all that it can use of the CPU.
    AwsLc,
}

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

/// The environment variable with which aws-lc's view of the CPU is masked.
pub const AWS_LC_MASK_VARIABLE: &str = "OPENSSL_ia32cap";

impl Arm {
    /// Every arm, in the order in which tables show them.
    pub const ALL: [Arm; 7] = [
        Arm::Plain,
        Arm::Copy,
        Arm::RustcryptoSoft,
        Arm::Rustcrypto,
        Arm::AwsLcSoft,
        Arm::AwsLcAesni,
        Arm::AwsLc,
    ];

    /// The name in scenarios, results and tables.
    pub fn name(self) -> &'static str {
        match self {
            Arm::Plain => "plain",
            Arm::Copy => "copy",
            Arm::RustcryptoSoft => "rustcrypto-soft",
            Arm::Rustcrypto => "rustcrypto",
            Arm::AwsLcSoft => "aws-lc-soft",
            Arm::AwsLcAesni => "aws-lc-aesni",
            Arm::AwsLc => "aws-lc",
        }
    }

    /// One line on what the arm stands for.
    pub fn summary(self) -> &'static str {
        match self {
            Arm::Plain => "no encryption, straight from guest memory to the socket",
            Arm::Copy => "the encrypted arms' framing and buffers, null cipher",
            Arm::RustcryptoSoft => "aes-gcm 0.9 forced soft: portable constant-time software",
            Arm::Rustcrypto => "aes-gcm 0.11 with the instructions it finds",
            Arm::AwsLcSoft => {
                "aws-lc, AES and carry-less multiply masked: a host without AES instructions"
            }
            Arm::AwsLcAesni => "aws-lc without VAES and VPCLMULQDQ: a host of 2010-2018",
            Arm::AwsLc => {
                "aws-lc with all that it can use of the CPU: what a production VMM links today"
            }
        }
    }

    /// The library that does the work.
    pub fn backend(self) -> Backend {
        match self {
            Arm::Plain => Backend::None,
            Arm::Copy => Backend::Null,
            Arm::RustcryptoSoft => Backend::RustcryptoSoft,
            Arm::Rustcrypto => Backend::Rustcrypto,
            Arm::AwsLcSoft | Arm::AwsLcAesni | Arm::AwsLc => Backend::AwsLc,
        }
    }

    /// Whether the arm seals what it sends.
    pub fn is_encrypted(self) -> bool {
        !self.is_baseline()
    }

    /// Whether the arm is a baseline, which no policy forbids.
    pub fn is_baseline(self) -> bool {
        matches!(self, Arm::Plain | Arm::Copy)
    }

    /// Whether the arm measures a host without AES instructions.
    pub fn is_software(self) -> bool {
        matches!(self, Arm::RustcryptoSoft | Arm::AwsLcSoft)
    }

    /// What [`AWS_LC_MASK_VARIABLE`] must hold in the host process; `None` means unset (an empty
    /// value would mask everything).
    ///
    /// Bits as in `OPENSSL_ia32cap(3)`: the first word is CPUID.1 EDX and ECX (33 PCLMULQDQ, 57
    /// AES), the second CPUID.7 EBX and ECX (41 VAES, 42 VPCLMULQDQ). `aws-lc-soft` masks both
    /// words: aws-lc picks its AVX-512 GHASH by VAES and VPCLMULQDQ alone, so masking only the
    /// first word would leave vectorised carry-less multiplication in the software arm.
    pub fn aws_lc_mask(self) -> Option<&'static str> {
        match self {
            Arm::AwsLcSoft => Some("~0x200000200000000:~0x60000000000"),
            Arm::AwsLcAesni => Some(":~0x60000000000"),
            _ => None,
        }
    }

    /// CPU features without which the arm does not run, as `/proc/cpuinfo` names them.
    pub fn required_features(self) -> &'static [&'static str] {
        match self {
            Arm::Plain | Arm::Copy | Arm::RustcryptoSoft | Arm::AwsLcSoft => &[],
            Arm::Rustcrypto | Arm::AwsLcAesni | Arm::AwsLc => &["aes", "pclmulqdq"],
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no arm's; the text lists the arms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" is not an arm: one of {}", Arm::ALL.map(Arm::name).join(", "))]
pub struct UnknownArm {
    name: String,
}

impl FromStr for Arm {
    type Err = UnknownArm;
    fn from_str(name: &str) -> Result<Self, UnknownArm> {
        Arm::ALL
            .into_iter()
            .find(|arm| arm.name() == name)
            .ok_or_else(|| UnknownArm {
                name: name.to_owned(),
            })
    }
}
