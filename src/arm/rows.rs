//! The table of arms: what a row says, and the rows.

use serde::Serialize;

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
    /// The same with AES-128-GCM.
    #[strum(serialize = "aws-lc")]
    AwsLc128,
    /// The same with ChaCha20-Poly1305.
    #[strum(serialize = "aws-lc")]
    AwsLcChaCha20,
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

/// What protects a stream below its records, which are those of `plain` then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::EnumIter, strum::IntoStaticStr)]
pub enum Channel {
    /// TLS in this program's hosts.
    #[strum(serialize = "s2n-tls")]
    Tls,
    /// TLS whose records the kernel seals and opens.
    #[strum(serialize = "s2n-tls")]
    KernelTls,
    /// An OpenSSH client and server beside the hosts.
    #[strum(serialize = "openssh")]
    Ssh,
    /// A stunnel on each side.
    #[strum(serialize = "stunnel")]
    Stunnel,
}

impl Channel {
    /// The name in results of what ciphers.
    pub fn library(self) -> &'static str {
        self.into()
    }

    /// Whether processes of their own carry the stream.
    pub fn is_tunnel(self) -> bool {
        matches!(self, Channel::Ssh | Channel::Stunnel)
    }
}

/// What migrates: whose processes hold the guest and move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// This program's own hosts, sealing with a library.
    Migtax(Backend),
    /// This program's own hosts, with the records of `plain` through something that protects them.
    Through(Channel),
    /// QEMU's processes.
    Qemu {
        /// Whether they speak TLS with each other.
        tls: bool,
    },
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
    /// The same host with a cipher that needs none of them.
    Alternative,
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
    /// What migrates.
    pub engine: Engine,
    /// Variables that the host process must start with, and their values: they mask what the library
    /// sees of the CPU. See [`Arm::environment`](super::Arm::environment).
    pub environment: &'static [(&'static str, &'static str)],
    /// CPU features without which the arm does not run, as `/proc/cpuinfo` names them.
    pub required_features: &'static [&'static str],
    /// CPU features without which it runs the same code as another arm, and that arm's name: it is
    /// supported then, but no step of its own.
    pub told_apart_by: Option<(&'static [&'static str], &'static str)>,
    /// The arms that it is compared with, by name; the first is the one that its tax is over.
    pub baselines: &'static [&'static str],
    /// The rung of the headline's ladder that it stands on, and its place among those of its baseline that
    /// do: the lowest that a run has speaks for the rung.
    pub headline: Option<(Rung, u8)>,
    /// Whether it runs where a scenario names no arms.
    pub by_default: bool,
    /// Its colour in every chart: red, green, blue.
    pub colour: (u8, u8, u8),
}

/// The environment variable with which aws-lc's view of the CPU is masked.
pub(super) const AWS_LC_MASK: &str = "OPENSSL_ia32cap";

const AES: &[&str] = &["aes", "pclmulqdq"];

/// What most arms say: nothing is masked or needed, the tax is over `plain`, and they run by default.
const BASE: Row = Row {
    name: "",
    summary: "",
    short: "",
    engine: Engine::Migtax(Backend::AwsLc),
    environment: &[],
    required_features: &[],
    told_apart_by: None,
    baselines: &["plain", "copy"],
    headline: None,
    by_default: true,
    colour: (0, 0, 0),
};

/// The table, in the order in which tables show it.
///
/// Colours are the palette of Okabe and Ito (Color Universal Design, 2008), which readers with any
/// colour vision can tell apart, with grey for `plain`. The two libraries take warm (RustCrypto)
/// and cool (aws-lc) colours; purple is aws-lc without instructions.
///
/// Masks are as in `OPENSSL_ia32cap(3)`: the first word is CPUID.1 EDX and ECX (33 PCLMULQDQ, 57
/// AES), the second CPUID.7 EBX and ECX (41 VAES, 42 VPCLMULQDQ). `aws-lc-soft` masks both words:
/// aws-lc picks its AVX-512 GHASH by VAES and VPCLMULQDQ alone, so masking only the first word
/// would leave vectorised carry-less multiplication in the software arm. `chacha20-soft` masks SSSE3
/// (41) and SSE4.1 (51) in the first word and AVX2 (5) in the second, all that aws-lc's
/// ChaCha20-Poly1305 asks for; SSE2, which every x86-64 CPU has, can't be masked.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "plain",
        summary: "no encryption, straight from guest memory to the socket",
        short: "no encryption",
        engine: Engine::Migtax(Backend::None),
        baselines: &[],
        colour: (0x80, 0x80, 0x80),
        ..BASE
    },
    Row {
        name: "copy",
        summary: "the encrypted arms' framing and buffers, null cipher",
        short: "no encryption, copied",
        engine: Engine::Migtax(Backend::Null),
        baselines: &["plain"],
        colour: (0x00, 0x9e, 0x73),
        ..BASE
    },
    Row {
        name: "rustcrypto-soft",
        summary: "aes-gcm 0.9 forced soft: portable constant-time software",
        short: "software AES, RustCrypto",
        engine: Engine::Migtax(Backend::RustcryptoSoft),
        headline: Some((Rung::Software, 1)),
        colour: (0xe6, 0x9f, 0x00),
        ..BASE
    },
    Row {
        name: "rustcrypto",
        summary: "aes-gcm 0.11 with the instructions it finds",
        short: "RustCrypto, the instructions it finds",
        engine: Engine::Migtax(Backend::Rustcrypto),
        required_features: AES,
        headline: Some((Rung::Full, 1)),
        colour: (0xd5, 0x5e, 0x00),
        ..BASE
    },
    Row {
        name: "aws-lc-soft",
        summary: "aws-lc, AES and carry-less multiply masked: a host without AES instructions",
        short: "software AES, aws-lc",
        environment: &[(AWS_LC_MASK, "~0x200000200000000:~0x60000000000")],
        headline: Some((Rung::Software, 0)),
        colour: (0xcc, 0x79, 0xa7),
        ..BASE
    },
    Row {
        name: "aws-lc-aesni",
        summary: "aws-lc without VAES and VPCLMULQDQ: a host of 2010-2018",
        short: "AES-NI only, aws-lc",
        environment: &[(AWS_LC_MASK, ":~0x60000000000")],
        required_features: AES,
        headline: Some((Rung::AesNi, 0)),
        colour: (0x56, 0xb4, 0xe9),
        ..BASE
    },
    Row {
        name: "aws-lc",
        summary: "aws-lc with all that it can use of the CPU: what a production VMM links today",
        short: "all instructions, aws-lc",
        required_features: AES,
        // Its vectorised AES-GCM is written for AVX-512.
        told_apart_by: Some((&["vaes", "vpclmulqdq", "avx512f"], "aws-lc-aesni")),
        headline: Some((Rung::Full, 0)),
        colour: (0x00, 0x72, 0xb2),
        ..BASE
    },
    Row {
        name: "aws-lc-128",
        summary: "aws-lc, AES-128-GCM with all that it can use of the CPU: what the longer key costs",
        short: "all instructions, aws-lc, AES-128",
        engine: Engine::Migtax(Backend::AwsLc128),
        required_features: AES,
        by_default: false,
        colour: (0x33, 0x22, 0x88),
        ..BASE
    },
    Row {
        name: "chacha20",
        summary: "aws-lc, ChaCha20-Poly1305 with the vector instructions it finds: no AES instructions needed",
        short: "ChaCha20-Poly1305, aws-lc",
        engine: Engine::Migtax(Backend::AwsLcChaCha20),
        told_apart_by: Some((&["ssse3"], "chacha20-soft")),
        headline: Some((Rung::Alternative, 0)),
        by_default: false,
        colour: (0x8c, 0x6d, 0x1f),
        ..BASE
    },
    Row {
        name: "chacha20-soft",
        summary: "aws-lc, ChaCha20-Poly1305 with SSSE3, SSE4.1 and AVX2 masked: scalar ChaCha20, and Poly1305 with \
                  the SSE2 that every x86-64 CPU has",
        short: "ChaCha20-Poly1305 without vector instructions, aws-lc",
        engine: Engine::Migtax(Backend::AwsLcChaCha20),
        environment: &[(AWS_LC_MASK, "~0x8020000000000:~0x20")],
        headline: Some((Rung::Alternative, 1)),
        by_default: false,
        colour: (0xd2, 0xb4, 0x6c),
        ..BASE
    },
    Row {
        name: "tls-soft",
        summary: "TLS 1.3 through s2n-tls, masked as aws-lc-soft: a host without AES instructions",
        short: "software AES, TLS",
        engine: Engine::Through(Channel::Tls),
        environment: &[(AWS_LC_MASK, "~0x200000200000000:~0x60000000000")],
        baselines: &["plain", "aws-lc-soft"],
        headline: Some((Rung::Software, 2)),
        by_default: false,
        colour: (0xa0, 0x52, 0x2d),
        ..BASE
    },
    Row {
        name: "tls",
        summary: "TLS 1.3 through s2n-tls over aws-lc, AES-256-GCM, records of 16 KiB",
        short: "TLS",
        engine: Engine::Through(Channel::Tls),
        required_features: AES,
        baselines: &["plain", "aws-lc"],
        by_default: false,
        colour: (0x00, 0x33, 0x66),
        ..BASE
    },
    Row {
        name: "tls-kernel",
        summary: "TLS 1.3, its handshake through s2n-tls, its records sealed and opened by the kernel",
        short: "TLS in the kernel",
        engine: Engine::Through(Channel::KernelTls),
        required_features: AES,
        baselines: &["plain", "tls"],
        by_default: false,
        colour: (0x20, 0xb2, 0xaa),
        ..BASE
    },
    Row {
        name: "ssh",
        summary: "plain through an OpenSSH tunnel, as Proxmox's default and qemu+ssh",
        short: "an OpenSSH tunnel",
        engine: Engine::Through(Channel::Ssh),
        baselines: &["plain", "tls"],
        by_default: false,
        colour: (0x8b, 0x00, 0x8b),
        ..BASE
    },
    Row {
        name: "stunnel",
        summary: "plain through a stunnel on each side, as XenServer",
        short: "a stunnel tunnel",
        engine: Engine::Through(Channel::Stunnel),
        baselines: &["plain", "tls"],
        by_default: false,
        colour: (0x6b, 0x8e, 0x23),
        ..BASE
    },
    Row {
        name: "qemu-plain",
        summary: "QEMU's migration without encryption, of a guest that runs under KVM",
        short: "QEMU, no encryption",
        engine: Engine::Qemu { tls: false },
        baselines: &[],
        by_default: false,
        colour: (0x50, 0x50, 0x50),
        ..BASE
    },
    Row {
        name: "qemu-tls-soft",
        summary: "QEMU's TLS, GnuTLS without AES instructions: a host without them",
        short: "QEMU's TLS, software AES",
        engine: Engine::Qemu { tls: true },
        environment: &[
            ("GNUTLS_CPUID_OVERRIDE", "0x1"),
            ("NETTLE_FAT_OVERRIDE", "vendor:intel"),
        ],
        baselines: &["qemu-plain"],
        headline: Some((Rung::Software, 0)),
        by_default: false,
        colour: (0x8c, 0x2d, 0x04),
        ..BASE
    },
    Row {
        name: "qemu-tls",
        summary: "QEMU's TLS, GnuTLS with all that it can use of the CPU",
        short: "QEMU's TLS",
        engine: Engine::Qemu { tls: true },
        required_features: AES,
        baselines: &["qemu-plain"],
        headline: Some((Rung::Full, 0)),
        by_default: false,
        colour: (0x4d, 0x00, 0x4b),
        ..BASE
    },
];
