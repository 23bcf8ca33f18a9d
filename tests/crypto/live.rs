//! Where keys stand in the processes of a real run: coordinator, source and destination.
//!
//! The test learns the key from the destination's standard input, of which `tee` keeps a copy. It
//! searches the hosts while they migrate, and each process once more at the moment of its exit,
//! where the kernel stops it for its tracer. Then it searches everything that the run has written.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use migtax::arm::Arm;
use migtax::crypto;

use crate::can_lock_keys;
use crate::needles::{Needles, hex, search};

const LIMIT: Duration = Duration::from_secs(60);
const MARKER: &str = "MIGTAX_TEST_RUN";
/// More than a migration here comes to.
const EPOCHS: u32 = 12;

/// Slow enough to be looked at: 16 MiB over the link take 2.7 s. Each stream changes its key twice.
fn scenario(workers: u32) -> String {
    format!(
        r#"
name = "keys"
[guest]
memory = "16MiB"
content = {{ zero = 0.0, constant = 0.0, compressible = 0.0 }}
[workload]
rate = "1MiB/s"
[migration]
streams = 2
record = "64KiB"
link = "50Mbit/s"
downtime_limit = "1m"
rekey_bytes = "16MiB"
seal_workers = {workers}
[measure]
repetitions = 1
warmup = 0
window = "100ms"
"#
    )
}

fn encrypted() -> impl Iterator<Item = Arm> {
    Arm::own().filter(|arm| arm.is_encrypted())
}

#[test]
fn one_seal_worker() {
    for arm in encrypted().chain([Arm::TLS]) {
        look_into(arm, 1);
    }
}

/// The first arm of each backend: a mask makes no difference to where workers keep their keys.
#[test]
fn two_seal_workers() {
    let mut seen = Vec::new();
    for arm in encrypted() {
        if !seen.contains(&arm.backend()) {
            seen.push(arm.backend());
            look_into(arm, 2);
        }
    }
}

fn look_into(arm: Arm, workers: u32) {
    if let Err(missing) = crypto::supported(arm) {
        eprintln!("skipped: {arm} needs {}", missing.join(", "));
        return;
    }
    if !can_lock_keys() {
        return;
    }
    let context = format!("{arm}, {workers} seal workers");
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    let out = folder.path().join("run");
    let mut run = start(folder.path(), &input, &out, arm, workers);
    let key = until("the key", || key_in(&input));
    let needles = Needles::of(&key, EPOCHS);
    let host = |role| until(role, || host(folder.path(), role));
    let (source, destination) = (host("source"), host("destination"));
    let processes = [run.id(), source, destination];
    if processes.iter().any(|process| !is_readable(*process)) {
        eprintln!("skipped: this needs the right to read the memory of processes that it started");
        assert!(run.wait().unwrap().success(), "{context}");
        return;
    }
    let traced = processes.iter().all(|process| seize(*process));

    // In use on both sides: what the library made of the key of some epoch is there.
    for process in [source, destination] {
        until("a key in use", || {
            let found = search(process, &needles);
            assert!(found.iter().all(|hit| hit.locked), "{context}: {found:#?}");
            assert!(
                is_there(process),
                "{context}: the host ended before it was seen at work"
            );
            // aws-lc's AES without instructions has a schedule of its own form; ChaCha20 has none.
            let wanted = match arm {
                Arm::AWS_LC_SOFT => "migration key",
                Arm::TLS => "key of TLS",
                _ => " of epoch ",
            };
            found
                .iter()
                .any(|hit| hit.what.contains(wanted))
                .then_some(())
        });
    }
    let found = search(run.id(), &needles);
    assert!(found.iter().all(|hit| hit.locked), "{context}: {found:#?}");

    if traced {
        for _ in processes {
            let process = until("a process at its exit", at_exit);
            let found = search(process, &needles);
            let name = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let name = String::from_utf8_lossy(&name).replace('\0', " ");
            detach(process);
            assert!(found.is_empty(), "{context}: {name}: {found:#?}");
        }
    } else {
        eprintln!("skipped: searching processes at their exit needs the right to trace them");
    }
    let status = run.wait().unwrap();
    let said = fs::read_to_string(folder.path().join("stderr")).unwrap();
    assert!(status.success(), "{context}: {said}");

    let hexadecimal = hex(&key).to_uppercase();
    let mut written = vec![folder.path().join("stdout"), folder.path().join("stderr")];
    written.extend(
        fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    assert!(written.len() > 4, "{written:?}");
    for path in written {
        let bytes = fs::read(&path).unwrap();
        assert_eq!(needles.within(&bytes), [], "{context}: {}", path.display());
        let upper = bytes
            .windows(32)
            .any(|bytes| bytes == &hexadecimal.as_bytes()[..32]);
        assert!(!upper, "{context}: {}", path.display());
    }
}

fn start(folder: &Path, input: &Path, out: &Path, arm: Arm, workers: u32) -> Child {
    let program = env!("CARGO_BIN_EXE_migtax");
    let text = folder.join("scenario.toml");
    fs::write(&text, scenario(workers)).unwrap();
    // Through a pipe with a name, so that the host is what the command becomes.
    let pipe = folder.join("pipe");
    let script = format!(
        "[ -p {pipe} ] || mkfifo {pipe}; exec 3<&0; tee {input} <&3 >{pipe} & exec {program} \"$@\" <{pipe} 3<&-",
        pipe = pipe.display(),
        input = input.display(),
    );
    let destination = format!("sh -c '{script}' migtax");
    let file = |name| fs::File::create(folder.join(name)).unwrap();
    Command::new(program)
        .arg("run")
        .arg(text)
        .arg("--out")
        .arg(out)
        .args(["--arms", arm.name(), "--connect", "127.0.0.1"])
        .args(["--destination", &destination])
        .env(MARKER, folder)
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap()
}

/// Waits for something, within a limit.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The key from the second line of a destination's input.
fn key_in(input: &Path) -> Option<[u8; 32]> {
    let text = fs::read_to_string(input).ok()?;
    let mut lines = text.split_inclusive('\n').skip(1);
    let line = lines.next().filter(|line| line.ends_with('\n'))?;
    let digit = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    Some(std::array::from_fn(|at| digit(2 * at)))
}

/// The host of a role of the run in that folder.
fn host(folder: &Path, role: &str) -> Option<u32> {
    let marker = format!("{MARKER}={}", folder.display());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.find(|process| {
        let words = |file| {
            let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
            let words = bytes.split(|byte| *byte == 0);
            words.map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let command = words("cmdline");
        command[0] == env!("CARGO_BIN_EXE_migtax").as_bytes()
            && command.contains(&role.as_bytes().to_vec())
            && words("environ").contains(&marker.clone().into_bytes())
    })
}

fn is_readable(process: u32) -> bool {
    fs::File::open(format!("/proc/{process}/mem")).is_ok()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}/smaps")).exists()
}

/// Becomes a process's tracer, to be told of its exit. False without the right to.
fn seize(process: u32) -> bool {
    let no_address = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: no memory is handed over; the process is one that this test has started.
    let done = unsafe {
        libc::ptrace(
            libc::PTRACE_SEIZE,
            process as libc::pid_t,
            no_address,
            libc::PTRACE_O_TRACEEXIT as usize,
        )
    };
    done == 0
}

/// A traced process that stands at its exit, its memory as it leaves it. Others that have stopped
/// are sent on.
fn at_exit() -> Option<u32> {
    let mut status = 0;
    let options = libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG;
    // SAFETY: a valid place for the status; only this thread's own tracees are waited for.
    let process = unsafe { libc::waitpid(-1, &raw mut status, options) };
    if process <= 0 || !libc::WIFSTOPPED(status) {
        return None;
    }
    if status >> 8 == libc::SIGTRAP | (libc::PTRACE_EVENT_EXIT << 8) {
        return u32::try_from(process).ok();
    }
    // An event of another kind carries no signal.
    let signal = if status >> 16 == 0 {
        libc::WSTOPSIG(status)
    } else {
        0
    };
    let no_address = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: no memory is handed over.
    unsafe { libc::ptrace(libc::PTRACE_CONT, process, no_address, signal as usize) };
    None
}

fn detach(process: u32) {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: no memory is handed over.
    unsafe {
        libc::ptrace(
            libc::PTRACE_DETACH,
            process as libc::pid_t,
            nothing,
            nothing,
        )
    };
}
