//! Instructions of the data path, counted by callgrind: sealing, opening, harvesting, encoding,
//! decoding and small migrations, on one thread.
//!
//!     cargo bench --bench instructions -- --save main
//!     cargo bench --bench instructions -- --save new
//!     migtax gate --instructions target/instructions/main.json target/instructions/new.json
//!
//! Each case runs in a process of its own under valgrind, so that none moves another's memory about.
//! Counted is what [`migtax_counted`] calls: user-space instructions of that thread. Valgrind shows
//! programs a CPU without AVX-512 and VAES, so `aws-lc` runs its AES-NI path there; the file and the
//! output say which path it was. userfaultfd is not counted: its harvest is the kernel's work.

mod callgrind;
mod cases;
mod options;
mod pass;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use migtax::crypto;
use migtax::gate::instructions::{self, Counts, Host, SCHEMA_VERSION};
use migtax::machine::slowdown::Slowed;
use serde::{Deserialize, Serialize};

use callgrind::{Count, migtax_counted};
use cases::Case;
use options::Options;

/// First argument of a process that runs one case; the next names it.
const CHILD: &str = "--case";
/// What a case's process saw and tells.
#[derive(Serialize, Deserialize)]
struct Seen {
    cpu_features: Vec<String>,
    backend_version: String,
    implementation: String,
    engaged_features: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = arguments.as_slice()
        && flag == CHILD
    {
        return child(name);
    }
    let done = Options::parse(arguments).and_then(|options| {
        let mut cases = Case::all();
        cases.retain(|case| options.wants(&case.to_string()));
        if options.list {
            cases.iter().for_each(|case| println!("{case}: benchmark"));
            Ok(())
        } else if options.test {
            test(&cases)
        } else {
            measure(&cases, &options)
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn child(name: &str) -> ExitCode {
    let Some(case) = Case::all().into_iter().find(|c| c.to_string() == name) else {
        eprintln!("{name}: not a case");
        return ExitCode::FAILURE;
    };
    case.run(migtax_counted);
    let library = case.arm().map(|arm| crypto::implementation(arm.backend()));
    let engaged = library.map(crypto::Implementation::engaged);
    let seen = Seen {
        cpu_features: owned(migtax::machine::cpu::seen()),
        backend_version: library.map_or(String::new(), crypto::Implementation::version),
        implementation: engaged
            .as_ref()
            .map_or("", |engaged| engaged.implementation)
            .to_owned(),
        engaged_features: owned(engaged.map_or(Vec::new(), |engaged| engaged.features)),
    };
    println!("{}", serde_json::to_string(&seen).expect("plain data"));
    ExitCode::SUCCESS
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// The environment of a case's process.
fn environment(case: Case) -> Vec<(&'static str, String)> {
    let mask = case.arm().into_iter().flat_map(|arm| arm.row().environment);
    let mask = mask.map(|(variable, value)| (*variable, (*value).to_owned()));
    let slowdown = std::env::var(Slowed::Seal.variable()).ok();
    let slowdown = slowdown.map(|share| (Slowed::Seal.variable(), share));
    mask.chain(slowdown).collect()
}

fn this_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))
}

/// Shows that every case works.
fn test(cases: &[Case]) -> Result<(), String> {
    let program = this_program()?;
    for case in cases {
        let status = Command::new(&program)
            .args([CHILD, &case.to_string()])
            .env_clear()
            .envs(environment(*case))
            .stdout(std::process::Stdio::null())
            .status()
            .map_err(|error| format!("{case}: {error}"))?;
        if !status.success() {
            return Err(format!("{case}: {status}"));
        }
    }
    println!("instructions: {} cases work, none was counted", cases.len());
    Ok(())
}

fn measure(cases: &[Case], options: &Options) -> Result<(), String> {
    let Some(valgrind_version) = callgrind::version() else {
        println!("instructions: skipped, since valgrind is not installed: nothing was counted");
        return Ok(());
    };
    let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = Path::new(&folder).join("instructions");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let program = this_program()?;
    let counted = count_all(cases, options.repetitions, |case, run| {
        let out = folder.join(format!("callgrind.{}.{run}", std::process::id()));
        let name = case.to_string();
        let count = callgrind::count(&program, &[CHILD, &name], &environment(case), &out);
        // Only its figures are kept; it may be missing after a failure.
        let _ = std::fs::remove_file(&out);
        count
    })?;
    let mut cpu_features_seen = Vec::new();
    let mut measured = Vec::new();
    for (case, counts) in cases.iter().zip(counted) {
        let (entry, seen) = summary(*case, counts)?;
        println!(
            "{:32} {:>12} instructions  {}",
            entry.name, entry.instructions, entry.implementation
        );
        cpu_features_seen = seen;
        measured.push(entry);
    }
    let counts = Counts {
        schema_version: SCHEMA_VERSION,
        migtax_version: env!("CARGO_PKG_VERSION").to_owned(),
        valgrind_version,
        rustc_version: compiler(&program),
        target: target(),
        libc_version: libc_version(),
        host: Host {
            cpu_model: migtax::machine::cpu::model().unwrap_or_default(),
            cpu_features: owned(migtax::machine::cpu::seen()),
        },
        cpu_features_seen,
        injected_seal_slowdown: Slowed::Seal.share(),
        cases: measured,
    };
    println!("{}", counts.code_path());
    let spread = counts.cases.iter().map(instructions::Case::spread);
    println!(
        "repetitions are {:.6}% apart at most",
        100.0 * spread.fold(0.0, f64::max)
    );
    let file = folder.join(format!("{}.json", options.save));
    counts.write(&file).map_err(|error| error.to_string())?;
    println!("{}", file.display());
    Ok(())
}

/// Counts every case as often as asked, on every core: what others do meanwhile does not change a
/// count. In the order of the cases.
fn count_all(
    cases: &[Case],
    repetitions: usize,
    count: impl Fn(Case, usize) -> Result<Count, String> + Sync,
) -> Result<Vec<Vec<Count>>, String> {
    let jobs = cases.len() * repetitions;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Count, String>)>> = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if job >= jobs {
                        break;
                    }
                    let counted = count(cases[job / repetitions], job);
                    done.lock().expect("no worker panics").push((job, counted));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no worker panics");
    done.sort_by_key(|(job, _)| *job);
    let mut all: Vec<Vec<Count>> = cases.iter().map(|_| Vec::new()).collect();
    for (job, counted) in done {
        let case = job / repetitions;
        all[case].push(counted.map_err(|error| format!("{}: {error}", cases[case]))?);
    }
    Ok(all)
}

/// A case's entry in the file, and the CPU features that it saw.
fn summary(
    case: Case,
    mut counts: Vec<Count>,
) -> Result<(instructions::Case, Vec<String>), String> {
    let runs = counts.iter().map(|count| count.instructions).collect();
    counts.sort_by_key(|count| count.instructions);
    let least = counts.swap_remove(0);
    let seen: Seen = serde_json::from_str(&least.output).map_err(|e| format!("{case}: {e}"))?;
    let entry = instructions::Case {
        name: case.to_string(),
        arm: case.arm(),
        work: case.work(),
        instructions: least.instructions,
        runs,
        backend_version: seen.backend_version,
        implementation: seen.implementation,
        engaged_features: seen.engaged_features,
        functions: least.functions,
    };
    Ok((entry, seen.cpu_features))
}

/// The compiler that made this program, from what it left in it.
fn compiler(program: &Path) -> String {
    let bytes = std::fs::read(program).unwrap_or_default();
    let mark = b"\0rustc version ";
    let found = bytes.windows(mark.len()).position(|part| part == mark);
    let text = found.and_then(|at| bytes[at + 1..].split(|byte| *byte == 0).next());
    text.map_or("unknown".to_owned(), |text| {
        String::from_utf8_lossy(text).into_owned()
    })
}

fn target() -> String {
    let environment = match () {
        () if cfg!(target_env = "gnu") => "gnu",
        () if cfg!(target_env = "musl") => "musl",
        () => "other",
    };
    let (architecture, system) = (std::env::consts::ARCH, std::env::consts::OS);
    format!("{architecture}-{system}-{environment}")
}

#[cfg(target_env = "gnu")]
fn libc_version() -> String {
    // SAFETY: the call returns a constant, zero-terminated string.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(not(target_env = "gnu"))]
fn libc_version() -> String {
    "unknown".to_owned()
}
