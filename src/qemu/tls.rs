//! What two QEMUs have agreed on, read from what GnuTLS tells of its handshake on standard error.

/// The TLS that was negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The library and its version, such as `GnuTLS 3.7.9`.
    pub library: String,
    /// The protocol, such as `TLS1.3`.
    pub protocol: String,
    /// The cipher suite, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
}

/// What was negotiated, from standard error of a process with `GNUTLS_DEBUG_LEVEL=4`; None if it does
/// not tell all of it. Of several sessions, which have the same settings, the first.
pub fn negotiated(stderr: &str) -> Option<Negotiated> {
    let after = |mark: &str| -> Option<&str> {
        let line = stderr.lines().filter(|line| line.starts_with("gnutls["));
        let rest = line.filter_map(|line| line.split_once(mark)).next()?.1;
        Some(rest.split_whitespace().next().unwrap_or_default())
    };
    let release = after(": Enabled GnuTLS ").filter(|release| !release.is_empty())?;
    // TLS 1.3 passes for 1.2 in the old field and says in an extension what it is.
    let version = after(": Negotiated version: ").or_else(|| after(": Server's version: "))?;
    let minor: u32 = version.strip_prefix("3.")?.parse().ok()?;
    let cipher_suite = after(": Selected cipher suite: ").filter(|suite| !suite.is_empty())?;
    Some(Negotiated {
        library: format!("GnuTLS {release}"),
        protocol: format!("TLS1.{}", minor.checked_sub(1)?),
        cipher_suite: match cipher_suite.strip_prefix("GNUTLS_") {
            Some(name) => format!("TLS_{name}"),
            None => cipher_suite.to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::Arm;
    use crate::qemu::credentials::Credentials;
    use crate::qemu::program::Program;
    use crate::qemu::{Plan, migrate};
    use crate::results::OutcomeStatus;
    use crate::scenario::QemuSpec;
    use crate::units::{Rate, Size};

    const TOLD: &str = "gnutls[2]: Enabled GnuTLS 3.7.9 logging...
gnutls[4]: HSK[0x5652937b0000]: Server's version: 3.3
gnutls[4]: EXT[0x5652937b0000]: Negotiated version: 3.4
gnutls[4]: HSK[0x5652937b0000]: Selected cipher suite: GNUTLS_AES_256_GCM_SHA384
";

    #[test]
    fn all_of_it_is_told_or_nothing() {
        let all = negotiated(TOLD).unwrap();
        assert_eq!(all.library, "GnuTLS 3.7.9");
        assert_eq!(all.protocol, "TLS1.3");
        assert_eq!(all.cipher_suite, "TLS_AES_256_GCM_SHA384");
        let without = |part: &str| -> String {
            let kept = TOLD.lines().filter(|line| !line.contains(part));
            kept.map(|line| format!("{line}\n")).collect()
        };
        assert_eq!(
            negotiated(&without("Negotiated")).unwrap().protocol,
            "TLS1.2"
        );
        for part in ["Enabled", "version", "suite"] {
            assert_eq!(negotiated(&without(part)), None, "{part}");
        }
        let odd = [
            ("3.4", "2.0"),
            ("3.4", "3.0"),
            ("3.4", ""),
            ("GNUTLS_AES_256_GCM_SHA384", ""),
            ("3.7.9 logging...", ""),
            ("gnutls[", "qemu["),
        ];
        for (part, other) in odd {
            assert_eq!(negotiated(&TOLD.replace(part, other)), None, "{other}");
        }
    }

    #[test]
    fn the_priority_string_chooses_the_cipher_suite() {
        let Ok(program) = Program::probe(None) else {
            eprintln!("skipped: no qemu-system-x86_64 (Debian package qemu-system-x86)");
            return;
        };
        let mut scenario = crate::scenario::load(None).unwrap();
        scenario.guest.memory = Size(16 << 20);
        scenario.workload.rate = Rate(0);
        let accelerator = program.accelerator(&QemuSpec::default()).unwrap();
        let chacha = QemuSpec::PRIORITY.replace("AES-256-GCM", "CHACHA20-POLY1305");
        for (priority, suite) in [
            (QemuSpec::PRIORITY, "TLS_AES_256_GCM_SHA384"),
            (&chacha, "TLS_CHACHA20_POLY1305_SHA256"),
        ] {
            scenario.qemu.priority = priority.to_owned();
            let credentials = Credentials::make().unwrap();
            let told = migrate(&Plan {
                scenario: &scenario,
                arm: Arm::QEMU_TLS,
                stream_seed: 1,
                start_offset_ns: 0,
                pin: (&[], &[]),
                binary: &program.path,
                accelerator,
                credentials: Some((credentials.source(), credentials.destination())),
                tells_tls: true,
                interrupted: &|| false,
                started: &|| credentials.wipe(),
            })
            .unwrap();
            // Wiped before the migration began: QEMU did not read them again.
            assert!(!credentials.source().exists());
            assert_eq!(
                told.outcome.status,
                OutcomeStatus::Completed,
                "{:?}",
                told.outcome
            );
            let said = &told.source_said;
            let negotiated = negotiated(said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!(negotiated.protocol, "TLS1.3");
            assert_eq!(negotiated.cipher_suite, suite);
            let version = negotiated.library.strip_prefix("GnuTLS ").unwrap();
            assert!(version.starts_with("3."), "{version}");
        }
    }
}
