//! What this program was built from, and for what.

/// Version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was checked out when it was built; what had been changed since then is not told.
/// Development builds, and those of a folder that is no repository, have none.
pub const COMMIT: Option<&str> = option_env!("MIGTAX_COMMIT");

/// The target triple.
pub const TARGET: &str = env!("MIGTAX_TARGET");

/// `release` or `debug`.
pub const PROFILE: &str = env!("MIGTAX_PROFILE");

/// Instructions that the compiler could use anywhere, separated by commas; `-C target-cpu` adds some.
/// Ciphers find those of the machine by themselves.
pub const FEATURES: &str = env!("MIGTAX_FEATURES");

/// A version and its commit, short, in words: `0.1.0 (0123456789ab)`.
pub fn named(version: &str, commit: Option<&str>) -> String {
    match commit {
        Some(commit) => format!("{version} ({})", commit.get(..12).unwrap_or(commit)),
        None => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_in_short() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(named("1.2", Some(commit)), "1.2 (0123456789ab)");
        assert_eq!(named("1.2", Some("é123")), "1.2 (é123)");
        assert_eq!(named("1.2", None), "1.2");
        assert!(COMMIT.is_none_or(|commit| commit.len() >= 40));
    }
}
