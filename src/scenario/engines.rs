//! Values that only some arms know: those that QEMU runs, and those that go through a tunnel.

use serde::{Deserialize, Serialize};

/// How QEMU compresses pages, with several streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QemuCompression {
    /// Not.
    #[default]
    None,
    /// zlib, at QEMU's level.
    Zlib,
    /// Zstandard, at QEMU's level.
    Zstd,
}

impl QemuCompression {
    /// As scenarios and QEMU call it.
    pub fn name(self) -> &'static str {
        match self {
            QemuCompression::None => "none",
            QemuCompression::Zlib => "zlib",
            QemuCompression::Zstd => "zstd",
        }
    }
}

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// KVM where it works, else TCG, with a warning.
    #[default]
    Auto,
    /// The kernel's virtual machines.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// Values of QEMU's own, for the arms that it runs. `migration.streams` is 1 for its single channel,
/// N for multifd with N channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QemuSpec {
    /// What runs the guest.
    pub accelerator: Accelerator,
    /// GnuTLS's priority string, for both sides: it pins the cipher.
    pub priority: String,
    /// Multifd compression; needs several streams.
    pub compression: QemuCompression,
    /// `zero-copy-send` of the plain arm; needs several streams.
    pub zero_copy_send: bool,
    /// `auto-converge`: QEMU slows the guest until it converges.
    pub auto_converge: bool,
}

impl QemuSpec {
    /// TLS 1.3 with AES-256-GCM alone, the cipher of the other arms.
    pub const PRIORITY: &str =
        "NONE:+VERS-TLS1.3:+AEAD:+AES-256-GCM:+GROUP-X25519:+GROUP-SECP256R1:+SIGN-ALL:+CTYPE-X509";

    pub(super) fn is_default(&self) -> bool {
        *self == QemuSpec::default()
    }
}

impl Default for QemuSpec {
    fn default() -> Self {
        QemuSpec {
            accelerator: Accelerator::Auto,
            priority: QemuSpec::PRIORITY.to_owned(),
            compression: QemuCompression::None,
            zero_copy_send: false,
            auto_converge: false,
        }
    }
}

/// Values of the tunnels' own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TunnelValues {
    /// The cipher of the arm `ssh`; OpenSSH's own negotiation decides without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_cipher: Option<String>,
}

impl TunnelValues {
    pub(super) fn is_default(&self) -> bool {
        *self == TunnelValues::default()
    }

    /// Whether the cipher, if one is named, can be one's name: it becomes an argument, so it is no option
    /// and no list. Whether OpenSSH has it is for the machine to say.
    pub(super) fn is_named(&self) -> bool {
        let in_name = |c: char| c.is_ascii_alphanumeric() || ".-@".contains(c);
        self.ssh_cipher.as_ref().is_none_or(|cipher| {
            (1..=100).contains(&cipher.len())
                && !cipher.starts_with('-')
                && cipher.chars().all(in_name)
        })
    }
}
