//! What the machine is, and when two machines count as the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::{clock, cpu, monitor, noise, versions};
use crate::error::{Error, Result};

/// The machine that a run was made on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineInfo {
    /// CPU model as the kernel names it.
    pub cpu_model: String,
    /// CPU features as `/proc/cpuinfo` names them, those that bear on ciphers and memory speed.
    pub cpu_features: Vec<String>,
    /// Logical CPUs that the run could use.
    pub cores: u32,
    /// Memory of the machine; 0 where it can't be read.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// How the kernel accounts interrupt time: `irq` when it is accounted by itself, `tick` or
    /// `unknown` otherwise.
    pub cpu_accounting: String,
    /// CPU frequency governor, where readable.
    pub governor: Option<String>,
    /// Whether the machine is virtual, where the CPU says so.
    pub hypervisor: bool,
    /// One-minute load average when the run began.
    pub load_before: f64,
    /// Share of CPU time stolen by the hypervisor during the run, 0 to 1.
    pub steal_share: f64,
    /// Share of CPU time that other processes took during the run, 0 to 1.
    #[serde(default)]
    pub other_cpu_share: f64,
    /// Noise figure: how much longer than its fastest pass a fixed spin loop took at the 90th
    /// percentile, before the run. 0.02 is a quiet machine.
    #[serde(default)]
    pub spin_spread: f64,
    /// CPU frequency when the run began, where readable.
    #[serde(default)]
    pub frequency_mhz: Option<f64>,
    /// Cost of one thread CPU clock read, nanoseconds: what the hosts of the run subtracted for each,
    /// but for a destination on a machine of its own.
    pub thread_clock_read_ns: f64,
    /// What a destination on a machine of its own subtracted instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_thread_clock_read_ns: Option<f64>,
    /// The command that started the destination, as a rule on a machine of its own, with `***` for
    /// secrets of known forms; none where the coordinator started it itself, on this one.
    #[serde(default)]
    pub destination: Option<String>,
    /// Whether that command, too, started it on this machine: under the same boot of one kernel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destination_on_this_machine: bool,
    /// The dirty tracker that the migrations used; empty before the first.
    #[serde(default)]
    pub tracker: String,
    /// Versions of every library that touches the data path.
    pub versions: BTreeMap<String, String>,
}

impl MachineInfo {
    /// Whether both hosts ran on this machine, however the destination was started.
    pub fn is_shared(&self) -> bool {
        self.destination.is_none() || self.destination_on_this_machine
    }

    /// Takes over what was worse of another run on the same machine, or on one of its kind: load, steal,
    /// what other processes took, noise, frequency, the cost of clocks.
    pub fn take_worse(&mut self, other: &MachineInfo) {
        let most = |a: &mut f64, b: f64| *a = a.max(b);
        most(&mut self.load_before, other.load_before);
        most(&mut self.steal_share, other.steal_share);
        most(&mut self.other_cpu_share, other.other_cpu_share);
        most(&mut self.spin_spread, other.spin_spread);
        most(&mut self.thread_clock_read_ns, other.thread_clock_read_ns);
        let both = |a: Option<f64>, b: Option<f64>, worse: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(worse(a, b)),
            (a, b) => a.or(b),
        };
        self.frequency_mhz = both(self.frequency_mhz, other.frequency_mhz, f64::min);
        self.destination_thread_clock_read_ns = both(
            self.destination_thread_clock_read_ns,
            other.destination_thread_clock_read_ns,
            f64::max,
        );
        if self.tracker.is_empty() {
            self.tracker.clone_from(&other.tracker);
        }
    }

    /// What a read of the thread CPU clock costs where the destination runs, nanoseconds.
    pub fn destination_clock_read_ns(&self) -> f64 {
        self.destination_thread_clock_read_ns
            .unwrap_or(self.thread_clock_read_ns)
    }
}

/// Describes this machine and takes its noise figure, which takes about 0.1 s.
/// `steal_share` and `other_cpu_share` are 0 until a [`super::Monitor`] fills them in.
pub fn describe() -> MachineInfo {
    // The load comes first: the noise figure would add to it.
    let load_before = monitor::load_average();
    let features = cpu::features();
    MachineInfo {
        cpu_model: cpu::model().unwrap_or_else(|| "unknown".to_owned()),
        cpu_features: features.into_iter().map(str::to_owned).collect(),
        cores: std::thread::available_parallelism()
            .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_bytes: memory_bytes(),
        kernel: trimmed("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
        cpu_accounting: cpu_accounting(),
        governor: trimmed("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        hypervisor: cpu::is_virtual(),
        load_before,
        destination: None,
        destination_on_this_machine: false,
        tracker: String::new(),
        steal_share: 0.0,
        other_cpu_share: 0.0,
        spin_spread: noise::spin_spread(),
        frequency_mhz: cpu::frequency_mhz(),
        thread_clock_read_ns: clock::thread_clock_read_ns(),
        destination_thread_clock_read_ns: None,
        versions: versions::of_data_path(),
    }
}

/// What tells whether two processes run under the same boot of one kernel, whatever their network
/// and their names for it: a hash of the kernel's random boot id under a key of its own, so that it
/// leads back to no machine. `None` where the kernel does not say. Virtual machines that share
/// hardware have different ones.
pub fn boot_mark() -> Option<String> {
    let id = trimmed("/proc/sys/kernel/random/boot_id")?;
    let mark = blake3::derive_key(
        "migtax 2026 whether two hosts are one machine",
        id.as_bytes(),
    );
    Some(
        mark[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    )
}

/// Memory that guests leave to the rest of the machine, bytes.
pub const RESERVE_BYTES: u64 = 256 << 20;

/// Memory that this machine has left, bytes.
///
/// # Errors
/// If the kernel does not say.
pub fn available_memory() -> Result<u64> {
    let mut system = sysinfo::System::new()
        .map_err(|error| Error::CannotRun(format!("reading this machine's memory: {error}")))?;
    system.refresh_memory();
    Ok(system.available_memory())
}

/// Why two runs were not made on the same machine: the first field that differs, with both
/// values. `None` if they were.
///
/// The same machine means the same CPU model and features, cores, memory (to 1/64, since the
/// kernel's own share varies), kernel release and CPU accounting mode, governor, both or neither
/// virtual, and the same command for a destination elsewhere. Load, steal and crate versions may differ: they are what runs compare.
pub fn same_machine(a: &MachineInfo, b: &MachineInfo) -> Option<String> {
    let text = |v: &Option<String>| v.clone().unwrap_or_else(|| "unreadable".to_owned());
    let destination = |v: &Option<String>| v.clone().unwrap_or_else(|| "this machine".to_owned());
    let differs =
        |field, a: &str, b: &str| Some(format!("host.{field} differs: \"{a}\" and \"{b}\""));
    if a.cpu_model != b.cpu_model {
        return differs("cpu_model", &a.cpu_model, &b.cpu_model);
    }
    if !cpu::same_features(&a.cpu_features, &b.cpu_features) {
        let (a, b) = (a.cpu_features.join(" "), b.cpu_features.join(" "));
        return differs("cpu_features", &a, &b);
    }
    let rest = |m: &MachineInfo| {
        [
            ("cores", m.cores.to_string()),
            ("kernel", m.kernel.clone()),
            ("cpu_accounting", m.cpu_accounting.clone()),
            ("governor", text(&m.governor)),
            ("destination", destination(&m.destination)),
            ("hypervisor", m.hypervisor.to_string()),
        ]
    };
    for ((field, a), (_, b)) in rest(a).iter().zip(rest(b)) {
        if *a != b {
            return differs(field, a, &b);
        }
    }
    let (a, b) = (a.memory_bytes, b.memory_bytes);
    (a.abs_diff(b) > a.max(b) / 64).then(|| format!("host.memory_bytes differs: {a} and {b}"))
}

fn trimmed(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

/// 0 where it can't be read.
fn memory_bytes() -> u64 {
    sysinfo::System::new().map_or(0, |mut system| {
        system.refresh_memory();
        system.total_memory()
    })
}

/// `irq` where the kernel accounts interrupt time by itself, `tick` where it charges whoever is
/// interrupted, `unknown` where its configuration can't be read.
fn cpu_accounting() -> String {
    let compressed = fs::File::open("/proc/config.gz").ok().and_then(|file| {
        let mut text = String::new();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .ok()?;
        Some(text)
    });
    let config = compressed.or_else(|| {
        let release = trimmed("/proc/sys/kernel/osrelease")?;
        fs::read_to_string(format!("/boot/config-{release}")).ok()
    });
    accounting_of(config.as_deref()).to_owned()
}

fn accounting_of(config: Option<&str>) -> &'static str {
    let Some(text) = config else {
        return "unknown";
    };
    let set = |line| text.lines().any(|l| l == line);
    if set("CONFIG_IRQ_TIME_ACCOUNTING=y") || set("CONFIG_VIRT_CPU_ACCOUNTING_NATIVE=y") {
        "irq"
    } else {
        "tick"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Edit = fn(&mut MachineInfo);

    #[test]
    fn this_machine_is_described() {
        let host = describe();
        assert!(host.cores >= 1);
        assert!(host.memory_bytes > 1 << 26, "{}", host.memory_bytes);
        assert_ne!(host.kernel, "unknown");
        assert!(host.thread_clock_read_ns > 0.0);
        assert!(host.spin_spread >= 0.0 && host.spin_spread.is_finite());
        assert_eq!(same_machine(&host, &host.clone()), None);
    }

    #[test]
    fn the_mark_of_a_boot_repeats_and_is_not_the_boot_id() {
        let mark = boot_mark().unwrap();
        assert_eq!(boot_mark().unwrap(), mark);
        let id = trimmed("/proc/sys/kernel/random/boot_id").unwrap();
        assert!(mark.len() == 32 && !id.replace('-', "").contains(&mark[..8]));
    }

    #[test]
    fn a_different_machine_is_named_by_its_first_difference() {
        let host = crate::gate::simulate::raw(&Default::default()).host;
        let change: &[(&str, Edit)] = &[
            ("cpu_model", |h| h.cpu_model.push('x')),
            ("cpu_features", |h| h.cpu_features.clear()),
            ("cores", |h| h.cores += 1),
            ("kernel", |h| h.kernel.push('x')),
            ("cpu_accounting", |h| h.cpu_accounting = "irq".to_owned()),
            ("governor", |h| h.governor = Some("powersave".to_owned())),
            ("hypervisor", |h| h.hypervisor = !h.hypervisor),
            ("memory_bytes", |h| h.memory_bytes *= 2),
        ];
        for (field, apply) in change {
            let mut other = host.clone();
            apply(&mut other);
            let why = same_machine(&host, &other).unwrap();
            assert!(why.starts_with(&format!("host.{field} differs")), "{why}");
        }
        let mut busier = host.clone();
        busier.load_before = 9.0;
        busier.memory_bytes += 1 << 20;
        busier.versions.insert("aes".to_owned(), "9".to_owned());
        assert_eq!(same_machine(&host, &busier), None);
        let mut worst = host.clone();
        busier.frequency_mhz = Some(1000.0);
        worst.take_worse(&busier);
        assert_eq!(
            (worst.load_before, worst.steal_share),
            (9.0, host.steal_share)
        );
        assert_eq!(worst.frequency_mhz, Some(1000.0));
        assert_eq!(worst.memory_bytes, host.memory_bytes);
    }

    #[test]
    fn accounting_is_read_from_the_kernels_configuration() {
        assert_eq!(accounting_of(None), "unknown");
        assert_eq!(
            accounting_of(Some("# CONFIG_IRQ_TIME_ACCOUNTING is not set\n")),
            "tick"
        );
        assert_eq!(accounting_of(Some("CONFIG_IRQ_TIME_ACCOUNTING=y\n")), "irq");
    }
}
