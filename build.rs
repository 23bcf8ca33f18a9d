//! Tells the program what it is built from, and for what.

use std::env;
use std::fs;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let of_cargo = |name| env::var(name).unwrap_or_default();
    for (ours, value) in [
        ("MIGTAX_TARGET", of_cargo("TARGET")),
        ("MIGTAX_PROFILE", of_cargo("PROFILE")),
        ("MIGTAX_FEATURES", of_cargo("CARGO_CFG_TARGET_FEATURE")),
    ] {
        println!("cargo:rustc-env={ours}={value}");
    }
    // A development build would be made again after each commit.
    if of_cargo("PROFILE") == "release"
        && let Some(commit) = packaged().or_else(checked_out)
    {
        println!("cargo:rustc-env=MIGTAX_COMMIT={commit}");
    }
}

/// What `cargo package` has left in the archive.
fn packaged() -> Option<String> {
    let name = ".cargo_vcs_info.json";
    let told = fs::read_to_string(name).ok()?;
    println!("cargo:rerun-if-changed={name}");
    let (_, hash) = told.split_once("\"sha1\"")?;
    commit(hash.split('"').nth(1)?)
}

/// The commit of the repository whose top this folder is. One further up is another project's.
fn checked_out() -> Option<String> {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let here = fs::canonicalize(env::var("CARGO_MANIFEST_DIR").ok()?).ok()?;
    let top = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if top != here {
        return None;
    }
    // Each commit and each checkout adds a line to the log of HEAD.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if fs::exists(&path).unwrap_or(false) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    commit(&git(&["rev-parse", "HEAD"])?)
}

fn commit(text: &str) -> Option<String> {
    let is_hash = text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}
