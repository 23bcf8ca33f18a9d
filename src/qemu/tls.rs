//! What two QEMUs have agreed on, as GnuTLS tells it.

use std::ffi::{CStr, CString, c_char};
use std::fs;

/// The TLS that was negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The protocol, such as `TLS1.3`.
    pub protocol: String,
    /// The cipher suite, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
}

/// The level of debugging (`GNUTLS_DEBUG_LEVEL`) at which GnuTLS tells of handshakes and not of records.
pub const DEBUG_LEVEL: &str = "4";

/// Reads it from what GnuTLS says at [`DEBUG_LEVEL`]; the first handshake's.
pub fn negotiated(said: &str) -> Option<Negotiated> {
    let after = |what: &str| {
        let (_, rest) = said.split_once(what)?;
        let word = rest.split_whitespace().next()?;
        Some(word.trim_end_matches('.').to_owned())
    };
    let suite = after("Selected cipher suite: ")?;
    Some(Negotiated {
        // By its number on the wire where the versions are an extension, as in TLS 1.3 (RFC 8446).
        protocol: match after("Negotiated version: ").as_deref() {
            Some("3.4") => "TLS1.3".to_owned(),
            Some("3.3") => "TLS1.2".to_owned(),
            Some(other) => other.to_owned(),
            None => after("Selected version ")?,
        },
        cipher_suite: suite
            .strip_prefix("GNUTLS_")
            .map_or(suite.clone(), |name| format!("TLS_{name}")),
    })
}

/// The TLS library that a process has loaded, as it names itself: `GnuTLS 3.7.9`. None if the process
/// has none, or if this one can't load the same file.
pub fn library(pid: u32) -> Option<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("/libgnutls.so"))?;
    let path = CString::new(path).ok()?;
    // SAFETY: loads a system library; its initialisers are those that run in QEMU. It stays loaded, so
    // that what it hands out stays valid.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return None;
    }
    // SAFETY: looks a name up in a library that is loaded.
    let check = unsafe { libc::dlsym(library, c"gnutls_check_version".as_ptr()) };
    if check.is_null() {
        return None;
    }
    // SAFETY: the function's type as gnutls/gnutls.h declares it.
    let check: extern "C" fn(*const c_char) -> *const c_char =
        unsafe { std::mem::transmute(check) };
    let version = check(std::ptr::null());
    if version.is_null() {
        return None;
    }
    // SAFETY: with no version asked for it returns its own, a constant that ends with NUL.
    let version = unsafe { CStr::from_ptr(version) };
    Some(format!("GnuTLS {}", version.to_str().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_negotiated_is_told_apart_from_what_was_offered() {
        let offer = "gnutls[2]: Keeping ciphersuite 13.02 (GNUTLS_AES_256_GCM_SHA384)\n";
        let new = "gnutls[4]: EXT[0x5]: Negotiated version: 3.4\n\
                   gnutls[4]: HSK[0x5]: Selected cipher suite: GNUTLS_AES_256_GCM_SHA384\n";
        let old = "gnutls[4]: HSK[0x5]: Selected version TLS1.2\n\
                   gnutls[4]: HSK[0x5]: Selected cipher suite: GNUTLS_ECDHE_ECDSA_CHACHA20_POLY1305\n";
        let told = |said: &str| {
            negotiated(&format!("{offer}{said}")).map(|n| (n.protocol, n.cipher_suite))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(told(new), pair("TLS1.3", "TLS_AES_256_GCM_SHA384"));
        assert_eq!(
            told(old),
            pair("TLS1.2", "TLS_ECDHE_ECDSA_CHACHA20_POLY1305")
        );
        assert_eq!(told(""), None);
        assert_eq!(library(std::process::id()), None);
    }
}
