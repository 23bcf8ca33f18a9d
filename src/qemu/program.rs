//! The QEMU at hand: where it is, and what it can do, found by asking it.

use std::env;
use std::fmt::Display;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::machine::set_up;
use super::qmp::{Qmp, QmpError};
use crate::error::{Error, Result};
use crate::results::QemuInfo;
use crate::scenario::{Accelerator, QemuCompression, QemuSpec};

/// The binary, unless another is named.
const NAME: &str = "qemu-system-x86_64";
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it may say before it ends, bytes; the last line is repeated.
const MOST_SAID: u64 = 64 << 10;

/// A QEMU that was asked what it can do.
#[derive(Debug, Clone)]
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// Its version, such as `7.2.22`.
    pub version: String,
    /// What its packager calls it; empty if it does not say.
    pub package: String,
    /// The machine that `pc` stands for, such as `pc-i440fx-7.2`.
    pub machine: String,
    /// Whether KVM works, or QEMU's words about it.
    pub kvm: Result<(), String>,
    /// The migration capabilities that it knows.
    pub capabilities: Vec<String>,
    /// The kinds of multifd compression that it was built with.
    pub compressions: Vec<String>,
}

impl Program {
    /// Finds it and asks it, without a guest.
    ///
    /// # Errors
    /// In one line: what is missing, with the package that has it, or what is wrong with it.
    pub fn probe(path: Option<&Path>) -> Result<Program, String> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => find(NAME).ok_or_else(|| {
                format!("{NAME} not found: Debian package qemu-system-x86, or --qemu PATH")
            })?,
        };
        match ask(&path, "kvm") {
            Ok(program) => Ok(program),
            Err(Unanswered::Silent(words)) => Err(words),
            Err(Unanswered::Ended(without_kvm)) => match ask(&path, "tcg") {
                Ok(program) => Ok(Program {
                    kvm: Err(without_kvm),
                    ..program
                }),
                Err(Unanswered::Silent(words) | Unanswered::Ended(words)) => Err(words),
            },
        }
    }

    /// What runs a scenario's guest: `kvm` or `tcg`.
    ///
    /// # Errors
    /// If the scenario asks for what does not work here.
    pub fn accelerator(&self, spec: &QemuSpec) -> Result<&'static str, String> {
        match (spec.accelerator, &self.kvm) {
            (Accelerator::Auto | Accelerator::Kvm, Ok(())) => Ok("kvm"),
            (Accelerator::Auto, Err(_)) | (Accelerator::Tcg, _) => Ok("tcg"),
            (Accelerator::Kvm, Err(why)) => Err(format!("qemu.accelerator = \"kvm\": {why}")),
        }
    }

    /// Whether this QEMU has everything that a scenario asks of it.
    ///
    /// # Errors
    /// The first value that it lacks, by name, with what it has.
    pub fn check(&self, spec: &QemuSpec, streams: u32) -> Result<()> {
        self.accelerator(spec).map_err(Error::CannotRun)?;
        let lacks = |value: &dyn Display, has: &[String]| {
            let has = match has {
                [] => "none".to_owned(),
                has => has.join(", "),
            };
            Err(Error::CannotRun(format!(
                "{value}: QEMU {} has {has}",
                self.version
            )))
        };
        let needed = [
            ("rounds", "pause-before-switchover", true),
            ("migration.streams above 1", "multifd", streams > 1),
            (
                "qemu.zero_copy_send = true",
                "zero-copy-send",
                spec.zero_copy_send,
            ),
            (
                "qemu.auto_converge = true",
                "auto-converge",
                spec.auto_converge,
            ),
        ];
        for (value, capability, is_needed) in needed {
            if is_needed && !self.capabilities.iter().any(|has| has == capability) {
                return lacks(&value, &self.capabilities);
            }
        }
        let compression = spec.compression.name();
        match spec.compression == QemuCompression::None
            || self.compressions.iter().any(|has| has == compression)
        {
            true => Ok(()),
            false => lacks(
                &format!("qemu.compression = \"{compression}\""),
                &self.compressions,
            ),
        }
    }

    /// As results record it, for an arm without TLS.
    ///
    /// # Errors
    /// As [`Program::accelerator`].
    pub fn info(&self, spec: &QemuSpec) -> Result<QemuInfo, String> {
        Ok(QemuInfo {
            version: self.version.clone(),
            package: self.package.clone(),
            accelerator: self.accelerator(spec)?.to_owned(),
            machine: self.machine.clone(),
            tls: None,
        })
    }
}

/// The first executable of that name in `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Why there is no answer, in words that name the binary.
enum Unanswered {
    /// It ended, or could not be started.
    Ended(String),
    /// It runs and says nothing.
    Silent(String),
}

/// Asks a QEMU that runs no machine.
fn ask(path: &Path, accelerator: &str) -> Result<Program, Unanswered> {
    let named = |what: &dyn Display| format!("{}: {what}", path.display());
    let ended = |what: &dyn Display| Unanswered::Ended(named(what));
    let (ours, theirs) = UnixStream::pair().map_err(|error| ended(&error))?;
    let mut command = Command::new(path);
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-S"])
        .args(["-machine", "none", "-accel", accelerator])
        .args([
            "-chardev",
            &format!("socket,id=qmp,fd={}", theirs.as_raw_fd()),
        ])
        .args(["-mon", "chardev=qmp,mode=control"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    set_up(&mut command, vec![theirs.as_raw_fd()], false, Vec::new());
    let mut child = command.spawn().map_err(|error| ended(&error))?;
    drop(theirs);
    let asked = questions(path, ours);
    // Its whole group: what a script has started would keep standard error open.
    // SAFETY: a signal to a group that was made for this child, which was not waited for.
    unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(MOST_SAID).read_to_string(&mut said);
    }
    let _ = child.wait();
    asked.map_err(|error| {
        let words = match said.lines().rfind(|line| !line.trim().is_empty()) {
            Some(words) => named(&words.trim()),
            None => named(&format_args!("no QEMU: {error}")),
        };
        match error {
            QmpError::Late(_) => Unanswered::Silent(words),
            _ => Unanswered::Ended(words),
        }
    })
}

fn questions(path: &Path, stream: UnixStream) -> Result<Program, QmpError> {
    let mut qmp = Qmp::over(stream, PATIENCE)?;
    let mut answer = |question: &str| qmp.run(question, json!({}));
    let version = answer("query-version")?;
    let number = |part: &str| version["qemu"][part].as_u64().unwrap_or(0);
    let machines = answer("query-machines")?;
    let capabilities = answer("query-migrate-capabilities")?;
    let schema = answer("query-qmp-schema")?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let machine = list(&machines)
        .into_iter()
        .find(|machine| machine["alias"] == "pc");
    let names = list(&capabilities)
        .into_iter()
        .map(|one| text(&one["capability"]));
    Ok(Program {
        path: path.to_owned(),
        version: format!(
            "{}.{}.{}",
            number("major"),
            number("minor"),
            number("micro")
        ),
        package: text(&version["package"]),
        machine: machine
            .map(|machine| text(&machine["name"]))
            .ok_or_else(|| {
                let words = "it has no machine \"pc\": an x86 QEMU is needed";
                QmpError::Refused(words.to_owned())
            })?,
        kvm: Ok(()),
        capabilities: names.collect(),
        compressions: compressions(&list(&schema)),
    })
}

/// The values of the enumeration that has `none` and `zlib`: the schema's names mean nothing.
fn compressions(schema: &[Value]) -> Vec<String> {
    let values = |entry: &Value| -> Vec<String> {
        let values = entry["values"].as_array().cloned().unwrap_or_default();
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        values.into_iter().map(text).collect()
    };
    let parameters = schema
        .iter()
        .filter(|entry| entry["meta-type"] == "object")
        .find_map(|entry| {
            let members = entry["members"].as_array()?;
            let member = members
                .iter()
                .find(|m| m["name"] == "multifd-compression")?;
            Some(member["type"].clone())
        });
    schema
        .iter()
        .find(|entry| Some(&entry["name"]) == parameters.as_ref() && entry["meta-type"] == "enum")
        .map(values)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Program {
        Program {
            path: PathBuf::from("qemu"),
            version: "5.0.0".to_owned(),
            package: String::new(),
            machine: "pc-i440fx-5.0".to_owned(),
            kvm: Err("no /dev/kvm".to_owned()),
            capabilities: ["auto-converge", "pause-before-switchover"]
                .map(str::to_owned)
                .into(),
            compressions: vec!["none".to_owned(), "zlib".to_owned()],
        }
    }

    #[test]
    fn what_this_qemu_lacks_is_refused_by_name() {
        let spec = QemuSpec::default;
        for (spec, streams, part) in [
            (
                QemuSpec {
                    auto_converge: true,
                    ..spec()
                },
                1,
                "",
            ),
            (
                spec(),
                2,
                "migration.streams above 1: QEMU 5.0.0 has auto-converge, pause-before-switchover",
            ),
            (
                QemuSpec {
                    zero_copy_send: true,
                    ..spec()
                },
                1,
                "qemu.zero_copy_send = true",
            ),
            (
                QemuSpec {
                    compression: QemuCompression::Zlib,
                    ..spec()
                },
                1,
                "",
            ),
            (
                QemuSpec {
                    compression: QemuCompression::Zstd,
                    ..spec()
                },
                1,
                "qemu.compression = \"zstd\": QEMU 5.0.0 has none, zlib",
            ),
            (
                QemuSpec {
                    accelerator: Accelerator::Kvm,
                    ..spec()
                },
                1,
                "no /dev/kvm",
            ),
            (
                QemuSpec {
                    accelerator: Accelerator::Tcg,
                    ..spec()
                },
                1,
                "",
            ),
        ] {
            let checked = program().check(&spec, streams);
            let said = checked
                .err()
                .map_or(String::new(), |error| error.to_string());
            assert!(
                said.contains(part) && said.is_empty() == part.is_empty(),
                "{said}"
            );
        }
        assert_eq!(program().accelerator(&spec()), Ok("tcg"));
    }

    #[test]
    fn what_is_no_qemu_is_named() {
        let missing = Program::probe(Some(Path::new("/nonexistent/qemu"))).unwrap_err();
        assert!(missing.starts_with("/nonexistent/qemu: "), "{missing}");
        let other = Program::probe(Some(Path::new("/bin/true"))).unwrap_err();
        assert!(other.starts_with("/bin/true: no QEMU"), "{other}");
        let complaining = Program::probe(Some(Path::new("/bin/ls"))).unwrap_err();
        assert!(complaining.contains("/bin/ls"), "{complaining}");
    }

    #[test]
    fn the_qemu_at_hand_tells_what_it_can_do() {
        let Ok(program) = Program::probe(None) else {
            eprintln!("skipped: no qemu-system-x86_64 (Debian package qemu-system-x86)");
            return;
        };
        assert!(program.version.split('.').count() == 3, "{program:?}");
        assert!(program.machine.starts_with("pc-i440fx-"), "{program:?}");
        let has = |list: &[String], what: &str| list.iter().any(|one| one == what);
        assert!(has(&program.capabilities, "multifd"), "{program:?}");
        assert!(has(&program.compressions, "none"), "{program:?}");
    }
}
