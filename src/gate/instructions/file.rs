//! The file of instruction counts that `cargo bench --bench instructions` writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::files::write_atomically;

/// Version of this file's form.
pub const SCHEMA_VERSION: u32 = 1;

/// One measurement of every case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Of the build that was measured.
    pub migtax_version: String,
    /// What counted, such as `valgrind-3.19.0`.
    pub valgrind_version: String,
    /// The compiler of the build.
    pub rustc_version: String,
    /// Architecture and operating system of the build, such as `x86_64-linux-gnu`.
    pub target: String,
    /// The C library, whose copies are counted too, such as `glibc 2.36`.
    pub libc_version: String,
    /// The CPU that valgrind ran on.
    pub host: Host,
    /// CPU features that programs see under valgrind, named as in `/proc/cpuinfo`.
    pub cpu_features_seen: Vec<String>,
    /// Sealing was slowed down by this share, on purpose.
    pub injected_seal_slowdown: Option<f64>,
    /// What was measured.
    pub cases: Vec<Case>,
}

/// The CPU that valgrind ran on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// As `/proc/cpuinfo` names it.
    pub cpu_model: String,
    /// What programs see outside valgrind.
    pub cpu_features: Vec<String>,
}

/// What one piece of work takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Such as `seal/aws-lc/64KiB`.
    pub name: String,
    /// The arm, if the case has one.
    pub arm: Option<Arm>,
    /// What was done, with its amount: counts of other work are not compared.
    pub work: String,
    /// User-space instructions of the thread that did it: the least of `runs`.
    pub instructions: u64,
    /// Of each repetition, in processes of their own.
    pub runs: Vec<u64>,
    /// The library, if the case has an arm.
    pub backend_version: String,
    /// The code path that the library took under valgrind.
    pub implementation: String,
    /// CPU features that it engaged there.
    pub engaged_features: Vec<String>,
    /// Where the instructions went: the dearest functions, dearest first.
    pub functions: Vec<Function>,
}

/// A function's own instructions, those of functions that it calls left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// From the symbol table.
    pub name: String,
    /// In the repetition with the least instructions.
    pub instructions: u64,
}

impl Case {
    /// How far repetitions are apart, relative to the least.
    pub fn spread(&self) -> f64 {
        let most = self.runs.iter().copied().max().unwrap_or(0);
        most.saturating_sub(self.instructions) as f64 / self.instructions as f64
    }

    fn check(&self) -> Result<(), String> {
        let least = self.runs.iter().copied().min().unwrap_or(0);
        if self.instructions == 0 {
            Err("instructions = 0: above 0".to_owned())
        } else if self.instructions != least {
            Err(format!(
                "instructions = {}: the least of runs, {least}",
                self.instructions
            ))
        } else if self.functions.iter().any(|f| f.instructions > least) {
            Err("functions: none has more instructions than the case".to_owned())
        } else {
            Ok(())
        }
    }
}

impl Counts {
    /// Reads a file and checks it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it can't be used, [`Error::Incomparable`] if it is of another schema
    /// version; both name the file and what is wrong.
    pub fn read(file: &Path) -> Result<Counts> {
        let bytes = fs::read(file).map_err(|e| Error::reading(file, e))?;
        let invalid = |why: String| Error::Invalid(format!("{}: {why}", file.display()));
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| invalid(format!("not JSON: {e}")))?;
        match value["schema_version"].as_u64() {
            Some(version) if version == u64::from(SCHEMA_VERSION) => {}
            Some(version) => {
                return Err(Error::Incomparable(format!(
                    "{}: schema_version = {version}: this build reads {SCHEMA_VERSION}",
                    file.display()
                )));
            }
            None => return Err(invalid("not instruction counts: no schema_version".into())),
        }
        let counts: Counts = serde_path_to_error::deserialize(&value)
            .map_err(|e| invalid(format!("not instruction counts: {e}")))?;
        counts.check().map_err(invalid)?;
        Ok(counts)
    }

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for case in &self.cases {
            case.check()
                .map_err(|why| format!("{}: {why}", case.name))?;
            if !names.insert(&case.name) {
                return Err(format!("{}: stands there twice", case.name));
            }
        }
        Ok(())
    }

    /// Writes the file; makes its folder first.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails.
    pub fn write(&self, file: &Path) -> Result<()> {
        let mut json =
            serde_json::to_vec_pretty(self).map_err(|e| Error::CannotRun(e.to_string()))?;
        json.push(b'\n');
        write_atomically(file, &json)
    }
}
