//! Runs a program under callgrind and reads what it counted.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use migtax::gate::instructions::Function;

/// The function whose callees are counted.
pub const MARKER: &str = "migtax_counted";
/// Callgrind counts `rep movsb` once a byte, which the CPU moves 32 and more of a cycle. With these
/// the GNU C library copies and clears by vectors, so that copies keep their weight.
const TUNABLES: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000",
);
/// Functions that are kept of a count.
const FUNCTIONS: usize = 12;

/// Calls `work`. Callgrind counts from entering to leaving this function.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn migtax_counted(work: &mut dyn FnMut()) {
    work();
    // Without anything after it the call could become a jump out of this function.
    std::hint::black_box(());
}

/// What one run took.
#[derive(Debug, PartialEq, Eq)]
pub struct Count {
    /// User-space instructions within [`MARKER`].
    pub instructions: u64,
    /// The dearest functions, dearest first.
    pub functions: Vec<Function>,
    /// What the program printed.
    pub output: String,
}

/// Valgrind's version, such as `valgrind-3.19.0`; `None` where it is not installed.
pub fn version() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && text.starts_with("valgrind-")).then(|| text.trim().to_owned())
}

/// Counts one run of a program. Its environment is `environment` alone: the size of the
/// environment moves the stack, and alignment can change what a copy takes.
///
/// # Errors
/// In one line: valgrind or the program failed, or nothing was counted.
pub fn count(
    program: &Path,
    arguments: &[&str],
    environment: &[(&str, String)],
    out: &Path,
) -> Result<Count, String> {
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--quiet"])
        .arg(format!("--toggle-collect={MARKER}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
        .env(TUNABLES.0, TUNABLES.1)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        let last = said.lines().last().unwrap_or("without a word");
        return Err(format!("under valgrind, {}: {last}", ran.status));
    }
    let profile =
        std::fs::read_to_string(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let (instructions, functions) = parse(&profile)?;
    Ok(Count {
        instructions,
        functions,
        output: String::from_utf8_lossy(&ran.stdout).into_owned(),
    })
}

/// Total and dearest functions of a profile in callgrind's format.
///
/// # Errors
/// If it has no total, or one of 0: then [`MARKER`] was never entered.
pub fn parse(profile: &str) -> Result<(u64, Vec<Function>), String> {
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .or_else(|| profile.lines().find_map(|l| l.strip_prefix("summary: ")))
        .and_then(|number| number.trim().parse().ok())
        .ok_or("callgrind's file has no total")?;
    if total == 0 {
        return Err(format!(
            "nothing was counted: callgrind did not find {MARKER} (is the program stripped?)"
        ));
    }
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut own: HashMap<&str, u64> = HashMap::new();
    let (mut function, mut is_call) = ("", false);
    for line in profile.lines() {
        if let Some(named) = line.strip_prefix("fn=").or(line.strip_prefix("cfn=")) {
            // "(id) name" the first time, "(id)" from then on.
            let (id, name) = named.split_once(' ').unwrap_or((named, ""));
            if !name.is_empty() {
                names.insert(id, name);
            }
            if line.starts_with("fn=") {
                function = id;
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            // "line cost"; after "calls=" it is what the callee took.
            let cost = line.rsplit(' ').next().and_then(|cost| cost.parse().ok());
            if let (false, Some(cost)) = (is_call, cost) {
                let _: u64 = cost;
                *own.entry(function).or_default() += cost;
            }
            is_call = false;
        }
    }
    let mut by_name: HashMap<String, u64> = HashMap::new();
    for (id, instructions) in own {
        let name = plain(names.get(id).copied().unwrap_or(id));
        *by_name.entry(name).or_default() += instructions;
    }
    let mut functions: Vec<Function> = by_name
        .into_iter()
        .map(|(name, instructions)| Function { name, instructions })
        .collect();
    functions.sort_by(|a, b| {
        let dearer = b.instructions.cmp(&a.instructions);
        dearer.then_with(|| a.name.cmp(&b.name))
    });
    functions.truncate(FUNCTIONS);
    Ok((total, functions))
}

/// A symbol without what changes from build to build: hashes of crates and of instances, and the
/// version in the names of aws-lc.
fn plain(symbol: &str) -> String {
    let is_version = |c: char| c.is_ascii_digit() || c == '_';
    let symbol = symbol
        .strip_prefix("aws_lc_")
        .map_or(symbol, |rest| rest.trim_start_matches(is_version));
    let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let symbol = match symbol.rsplit_once("::h") {
        Some((name, hash)) if is_hash(hash) => name,
        _ => symbol,
    };
    let mut name = String::with_capacity(symbol.len());
    let mut rest = symbol;
    while let Some((before, after)) = rest.split_once('[') {
        name.push_str(before);
        match after.split_once(']') {
            Some((hash, after))
                if hash.len() >= 12 && hash.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                rest = after;
            }
            _ => {
                name.push('[');
                rest = after;
            }
        }
    }
    name.push_str(rest);
    name
}
