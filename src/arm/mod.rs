//! The arms: the data paths that migtax compares. An arm is a row of a table, and everything that
//! lists, runs, draws or judges arms reads the table.
//!
//! To add one: a row in `arm/rows.rs`. A cipher that no backend offers needs a [`Backend`] as well, with
//! its implementation in [`crate::crypto`].

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;

mod rows;

pub use rows::{Backend, Channel, Engine, Row, Rung};

use crate::units::text_serde;
use rows::ROWS;

/// One data path under comparison: a row's number. Ordered as tables show them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arm(u8);

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
    pub const PLAIN: Arm = Arm::named("plain");
    /// The encrypted arms' framing and buffers with a null cipher: the other baseline.
    pub const COPY: Arm = Arm::named("copy");

    // The others have names for tests and benches alone, which need one that is known to be slow,
    // fast or masked.
    /// Portable software.
    pub const RUSTCRYPTO_SOFT: Arm = Arm::named("rustcrypto-soft");
    /// RustCrypto with instructions.
    pub const RUSTCRYPTO: Arm = Arm::named("rustcrypto");
    /// aws-lc, masked down to software.
    pub const AWS_LC_SOFT: Arm = Arm::named("aws-lc-soft");
    /// aws-lc, masked down to AES-NI.
    pub const AWS_LC_AESNI: Arm = Arm::named("aws-lc-aesni");
    /// aws-lc, not masked.
    pub const AWS_LC: Arm = Arm::named("aws-lc");
    /// ChaCha20-Poly1305, not masked.
    pub const CHACHA20: Arm = Arm::named("chacha20");
    /// ChaCha20-Poly1305, masked down to what every CPU has.
    pub const CHACHA20_SOFT: Arm = Arm::named("chacha20-soft");
    /// TLS, masked down to software.
    pub const TLS_SOFT: Arm = Arm::named("tls-soft");
    /// TLS, not masked.
    pub const TLS: Arm = Arm::named("tls");
    /// TLS in the kernel.
    pub const TLS_KERNEL: Arm = Arm::named("tls-kernel");
    /// An OpenSSH tunnel.
    pub const SSH: Arm = Arm::named("ssh");
    /// A stunnel tunnel.
    pub const STUNNEL: Arm = Arm::named("stunnel");
    /// QEMU without encryption: the baseline of the arms that QEMU runs.
    pub const QEMU_PLAIN: Arm = Arm::named("qemu-plain");
    /// QEMU's TLS, masked down to software.
    pub const QEMU_TLS_SOFT: Arm = Arm::named("qemu-tls-soft");
    /// QEMU's TLS, not masked.
    pub const QEMU_TLS: Arm = Arm::named("qemu-tls");

    /// The arm of a name, while this is compiled; without one it does not compile.
    const fn named(name: &str) -> Arm {
        let mut at = 0;
        while !is_same(ROWS[at].name, name) {
            at += 1;
        }
        Arm(at as u8)
    }

    /// Every arm, in the order in which tables show them.
    pub fn all() -> impl Iterator<Item = Arm> {
        (0u8..).zip(rows()).map(|(index, _)| Arm(index))
    }

    /// The arms of a scenario that names none.
    pub fn by_default() -> impl Iterator<Item = Arm> {
        Arm::all().filter(|arm| arm.row().by_default)
    }

    /// The arms whose records this program's hosts seal or open themselves, the baselines included.
    pub fn own() -> impl Iterator<Item = Arm> {
        Arm::all().filter(|arm| matches!(arm.engine(), Engine::Migtax(_)))
    }

    /// The arms that this program's hosts run, through whatever.
    pub fn hosted() -> impl Iterator<Item = Arm> {
        Arm::all().filter(|arm| !arm.is_qemu())
    }

    /// The first arm of the headline's newest rung: it stands for all where one must, in legends,
    /// examples and defaults.
    ///
    /// # Panics
    /// If the headline has no arm.
    pub fn foremost() -> Arm {
        Arm::own()
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

    /// What migrates.
    pub fn engine(self) -> Engine {
        self.row().engine
    }

    /// The library that seals records in this program; none in an arm of QEMU's, or where something
    /// below the records protects them.
    pub fn backend(self) -> Backend {
        match self.engine() {
            Engine::Migtax(backend) => backend,
            Engine::Through(_) | Engine::Qemu { .. } => Backend::None,
        }
    }

    /// What protects the streams below their records, if something does.
    pub fn channel(self) -> Option<Channel> {
        match self.engine() {
            Engine::Through(channel) => Some(channel),
            _ => None,
        }
    }

    /// Whether processes of their own carry the streams.
    pub fn is_tunnel(self) -> bool {
        self.channel().is_some_and(Channel::is_tunnel)
    }

    /// Whether what seals and what moves bytes can be told apart by their CPU time.
    pub fn has_stages(self) -> bool {
        match self.engine() {
            Engine::Migtax(_) | Engine::Through(Channel::Tls) => true,
            Engine::Through(_) | Engine::Qemu { .. } => false,
        }
    }

    /// Whether QEMU's processes run it.
    pub fn is_qemu(self) -> bool {
        matches!(self.engine(), Engine::Qemu { .. })
    }

    /// The name in results of the library that ciphers.
    pub fn library(self) -> &'static str {
        match self.engine() {
            Engine::Qemu { tls: true } => "gnutls",
            Engine::Through(channel) => channel.library(),
            Engine::Migtax(_) | Engine::Qemu { tls: false } => self.backend().library(),
        }
    }

    /// Whether what the arm sends is encrypted.
    pub fn is_encrypted(self) -> bool {
        match self.engine() {
            Engine::Migtax(backend) => backend.has_cipher(),
            Engine::Through(_) => true,
            Engine::Qemu { tls } => tls,
        }
    }

    /// Whether the arm is a baseline, which no policy forbids.
    pub fn is_baseline(self) -> bool {
        !self.is_encrypted()
    }

    /// Whether the arm measures AES on a host without AES instructions.
    pub fn is_software(self) -> bool {
        matches!(self.row().headline, Some((Rung::Software, _)))
    }

    /// Every variable that masks something for any arm, with this arm's value. `None` means that it
    /// must be unset: an empty value may mask everything.
    pub fn environment(self) -> BTreeMap<&'static str, Option<&'static str>> {
        let all = rows().flat_map(|row| row.environment);
        let unset = all.map(|(variable, _)| (*variable, None));
        let own = self.row().environment.iter();
        let set = own.map(|(variable, value)| (*variable, Some(*value)));
        unset.chain(set).collect()
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

    /// The arm that its tax is over; a baseline of a group of arms is its own.
    pub fn base(self) -> Arm {
        self.baselines().next().unwrap_or(self)
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

/// Whether two names are equal, while this is compiled.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut same = one.len() == other.len();
    let mut at = 0;
    while same && at < one.len() {
        same = one[at] == other[at];
        at += 1;
    }
    same
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

text_serde!(Arm);

#[cfg(test)]
mod tests {
    use super::rows::AWS_LC_MASK;
    use super::*;

    #[test]
    fn every_row_has_its_name_its_baselines_and_its_colour() {
        for arm in Arm::all() {
            assert_eq!(arm.name().parse(), Ok(arm));
            assert!(arm.baselines().all(|baseline| baseline < arm), "{arm}");
            assert!(arm.base().is_baseline(), "{arm}");
            let first = [Arm::PLAIN, Arm::QEMU_PLAIN].contains(&arm);
            assert_eq!(arm.baselines().count() == 0, first, "{arm}");
            let alike = Arm::all().filter(|other| other.row().colour == arm.row().colour);
            assert_eq!(alike.count(), 1, "{arm}");
        }
        assert_eq!(Arm::AWS_LC.name(), "aws-lc");
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
