//! `migtax doctor`: what this machine is, how steady it is, and what it lacks; what a pair of hosts
//! is and lacks.

use std::path::Path;

use crate::arm::Arm;
use crate::cli::place::Reach;
use crate::error::{Error, ExitCode, Result};
use crate::machine::{self, Instruments, MachineInfo, Monitor};
use crate::present::table::{Cell, Column, Table};
use crate::qemu::program::Program;
use crate::runner::Options;
use crate::tracking;
use crate::units::Size;

/// Arguments of `migtax doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the description of the machine as JSON
    #[arg(long)]
    pub json: bool,
    /// With --destination: guest memory that both hosts are to have room for [default: the default
    /// scenario's]
    #[arg(long, value_name = "SIZE", requires = "destination")]
    memory: Option<Size>,
    #[command(flatten)]
    reach: Reach,
}

/// Measures the machine and prints what it is and what it lacks, each with what would help.
///
/// # Errors
/// Invalid input; if this machine's host can't be asked about a pair. What can't be read is reported
/// as such.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut options = Options::default();
    args.reach.put_into(&mut options)?;
    if options.destination.is_some() {
        return super::doctor_pair::run(&options, args.memory, args.json);
    }
    let alone = options.route == Options::default().route;
    Error::unless(
        alone,
        "--connect or --listen",
        "given",
        "with --destination only",
    )?;
    let monitor = Monitor::start();
    let mut host = machine::describe();
    let seen = monitor.finish();
    host.steal_share = seen.steal_share;
    host.other_cpu_share = seen.other_cpu_share;
    if args.json {
        super::print_json(&host)?;
        return Ok(ExitCode::Done);
    }
    let qemu = Program::probe(None);
    print!("{}", describe(&host, &Instruments::open(), &qemu));
    let unavailable = tracking::available()
        .into_iter()
        .filter_map(|(kind, probed)| Some((kind.to_string(), probed.err()?)))
        .collect();
    let mut complaints = complaints(&host, unavailable, found_on_path("valgrind"));
    complaints.extend(qemus_lack(&qemu));
    if complaints.is_empty() {
        println!("\nnothing is missing");
    } else {
        println!();
    }
    for complaint in complaints {
        println!("- {complaint}");
    }
    Ok(ExitCode::Done)
}

/// What QEMU's arms lack here, with what would help.
fn qemus_lack(qemu: &Result<Program, String>) -> Option<String> {
    match qemu {
        Err(missing) => Some(format!("QEMU's arms are unsupported: {missing}")),
        Ok(Program { kvm: Err(why), .. }) => Some(format!(
            "QEMU's guests run under TCG, which takes CPU time that KVM does not: {why}; load the \
             kvm module, and let this user read and write /dev/kvm (group kvm)"
        )),
        Ok(_) => None,
    }
}

fn describe(
    host: &MachineInfo,
    instruments: &Instruments,
    qemu: &Result<Program, String>,
) -> String {
    let qemu = match qemu {
        Err(_) => "none".to_owned(),
        Ok(program) => {
            let kvm = if program.kvm.is_ok() {
                "KVM works"
            } else {
                "no KVM"
            };
            format!("{} ({}), {kvm}", program.version, program.path.display())
        }
    };
    let frequency = host
        .frequency_mhz
        .map_or("not readable".to_owned(), |mhz| format!("{mhz:.0} MHz"));
    let virtual_or_not = match host.hypervisor {
        true => "virtual",
        false => "not virtual",
    };
    let facts = [
        (
            "cpu",
            format!(
                "{} ({} cores, {frequency}, {virtual_or_not})",
                host.cpu_model, host.cores
            ),
        ),
        ("features", host.cpu_features.join(" ")),
        (
            "memory",
            format!("{:.1} GiB", host.memory_bytes as f64 / crate::units::GIB),
        ),
        (
            "kernel",
            format!("{}, CPU accounting by {}", host.kernel, host.cpu_accounting),
        ),
        (
            "governor",
            host.governor
                .as_deref()
                .unwrap_or("not readable")
                .to_owned(),
        ),
        (
            "load",
            format!(
                "{:.2}; while measuring, others took {:.0}% of the CPU and the hypervisor {:.0}%",
                host.load_before,
                100.0 * host.other_cpu_share,
                100.0 * host.steal_share
            ),
        ),
        (
            "spin spread",
            format!(
                "{:.1}% (90th percentile over the fastest pass)",
                100.0 * host.spin_spread
            ),
        ),
        (
            "thread clock",
            format!("{:.0} ns a read", host.thread_clock_read_ns),
        ),
        ("qemu", qemu),
    ];
    let facts = facts.into_iter().chain(instruments.describe());
    let rows = facts.map(|(name, value)| vec![Cell::text(name), Cell::text(value)]);
    let columns = vec![Column::text(""), Column::text("")];
    Table::new("", "", columns, rows.collect()).terminal()
}

/// What weakens or prevents measurements here, each with what would help.
/// `unavailable` are the trackers that this machine lacks, each with the reason.
fn complaints(
    host: &MachineInfo,
    unavailable: Vec<(String, String)>,
    valgrind: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let cores = f64::from(host.cores.max(1));
    if host.load_before > 0.5 * cores {
        found.push(format!(
            "load {:.2} on {} cores: end other programs before a run",
            host.load_before, host.cores
        ));
    }
    if host.spin_spread > 0.10 {
        found.push(format!(
            "a fixed spin loop varies by {:.0}%: expect wide intervals; a quieter machine or more repetitions help",
            100.0 * host.spin_spread
        ));
    }
    if host.steal_share > 0.01 {
        found.push(format!(
            "the hypervisor took {:.0}% of the CPU: run at a quieter time, or on dedicated cores",
            100.0 * host.steal_share
        ));
    }
    if host.cores < 2 {
        found.push(
            "one core: source and destination share it, so times say little; CPU per GiB stands"
                .to_owned(),
        );
    }
    if host.governor.as_deref().is_some_and(|g| g != "performance") {
        found.push(
            "the CPU frequency governor is not performance: cpupower frequency-set -g performance"
                .to_owned(),
        );
    }
    if host.cpu_accounting != "irq" {
        found.push(format!(
            "interrupt time is accounted by {}: the kernel's network work is charged to whoever it interrupts, mostly the sender",
            host.cpu_accounting
        ));
    }
    let lacks = |feature: &&&str| !host.cpu_features.iter().any(|has| has == **feature);
    let lacking =
        |needed: &[&'static str]| -> Vec<&str> { needed.iter().filter(lacks).copied().collect() };
    for arm in Arm::all() {
        let row = arm.row();
        let missing = lacking(row.required_features);
        if !missing.is_empty() {
            found.push(format!(
                "arm {arm} is unsupported: the CPU lacks {}",
                missing.join(", ")
            ));
        } else if let Some((features, other)) = row.told_apart_by
            && !lacking(features).is_empty()
        {
            found.push(format!(
                "the CPU lacks {}: arms {arm} and {other} run the same code",
                lacking(features).join(", ")
            ));
        }
    }
    for (tracker, why) in unavailable {
        found.push(format!(
            "tracker {tracker} is missing, bitmap is used: {why}"
        ));
    }
    if !valgrind {
        found.push("valgrind is missing: scripts/record-trace can't record".to_owned());
    }
    found
}

fn found_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::simulate::{Simulation, raw};

    #[test]
    fn every_lack_is_named_with_what_helps() {
        let mut host = raw(&Simulation::default()).host;
        host.cpu_features
            .extend(["vpclmulqdq", "ssse3"].map(str::to_owned));
        host.cpu_accounting = "irq".to_owned();
        let told = complaints(&host, Vec::new(), true);
        assert_eq!(
            told,
            ["the CPU lacks avx512f: arms aws-lc and aws-lc-aesni run the same code"]
        );
        host.cpu_features.push("avx512f".to_owned());
        assert!(complaints(&host, Vec::new(), true).is_empty());
        host.cpu_features.clear();
        host.cores = 1;
        host.load_before = 3.0;
        host.spin_spread = 0.5;
        host.steal_share = 0.2;
        host.governor = Some("powersave".to_owned());
        host.cpu_accounting = "tick".to_owned();
        let unavailable = vec![("userfaultfd".to_owned(), "refused".to_owned())];
        let all = complaints(&host, unavailable, false).join("\n");
        for word in [
            "load 3.00",
            "varies by 50%",
            "took 20% of the CPU",
            "one core",
            "governor",
            "interrupt time",
            "arm rustcrypto is unsupported: the CPU lacks aes, pclmulqdq",
            "arm aws-lc is unsupported",
            "userfaultfd is missing, bitmap is used: refused",
            "valgrind",
        ] {
            assert!(all.contains(word), "{word}: {all}");
        }
        let told = describe(&host, &Instruments::open(), &Err("no QEMU".to_owned()));
        for word in ["simulated", "energy", "counters", "qemu"] {
            assert!(told.contains(word), "{word}: {told}");
        }
    }

    #[test]
    fn what_qemus_arms_lack_is_named() {
        let missing = Program::probe(Some(Path::new("/nonexistent/qemu")));
        let told = qemus_lack(&missing).unwrap();
        assert!(told.contains("unsupported: /nonexistent/qemu"), "{told}");
        if let Ok(mut program) = Program::probe(None) {
            program.kvm = Ok(());
            assert_eq!(qemus_lack(&Ok(program.clone())), None);
            program.kvm = Err("no /dev/kvm".to_owned());
            let told = qemus_lack(&Ok(program)).unwrap();
            assert!(told.contains("no /dev/kvm; load the kvm module"), "{told}");
        } else {
            eprintln!("skipped: no qemu-system-x86_64 (Debian package qemu-system-x86)");
        }
    }

    #[test]
    fn it_runs_here() {
        for json in [true, false] {
            let (memory, reach) = (None, Reach::default());
            let args = Args {
                json,
                memory,
                reach,
            };
            assert_eq!(run(args).unwrap(), ExitCode::Done);
        }
    }
}
