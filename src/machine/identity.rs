//! What the machine is, and when two machines count as the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use super::{monitor, noise};
use crate::error::{Error, Result};
use crate::results::HostInfo;

/// CPU features that bear on ciphers and on copying memory, as `/proc/cpuinfo` names them.
const FEATURES: &[&str] = &[
    "aes",
    "pclmulqdq",
    "ssse3",
    "sse4_1",
    "avx",
    "avx2",
    "bmi2",
    "adx",
    "sha_ni",
    "vaes",
    "vpclmulqdq",
    "gfni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512dq",
    "erms",
    "fsrm",
    "constant_tsc",
    "nonstop_tsc",
];

/// Crates whose code a page passes through, or that measure it.
const DATA_PATH_CRATES: &[&str] = &[
    "aead",
    "aes",
    "aes-gcm",
    "aws-lc-sys",
    "blake3",
    "cpufeatures",
    "crc32fast",
    "ctr",
    "ghash",
    "hdrhistogram",
    "hkdf",
    "libc",
    "polyval",
    "rayon",
    "sha2",
    "universal-hash",
];

/// Describes this machine and takes its noise figure, which takes about 0.1 s.
/// `steal_share` and `other_cpu_share` are 0 until a [`super::Monitor`] fills them in.
pub fn host_info() -> HostInfo {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = cpuinfo_field(&cpuinfo, "flags").unwrap_or_default();
    let flags: Vec<&str> = flags.split_whitespace().collect();
    // The load comes first: the noise figure would add to it.
    let load_before = monitor::load_average();
    HostInfo {
        cpu_model: cpuinfo_field(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
        cpu_features: FEATURES
            .iter()
            .filter(|f| flags.contains(f))
            .map(|f| (*f).to_owned())
            .collect(),
        cores: std::thread::available_parallelism()
            .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory_bytes: memory_bytes(),
        kernel: trimmed("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
        cpu_accounting: cpu_accounting(),
        governor: trimmed("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        hypervisor: flags.contains(&"hypervisor"),
        load_before,
        destination: None,
        tracker: String::new(),
        steal_share: 0.0,
        other_cpu_share: 0.0,
        spin_spread: noise::spin_spread(),
        frequency_mhz: frequency_mhz(&cpuinfo),
        thread_clock_read_ns: noise::thread_clock_read_ns(),
        versions: locked_versions(include_str!("../../Cargo.lock"), DATA_PATH_CRATES),
    }
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
pub fn same_host(a: &HostInfo, b: &HostInfo) -> Option<String> {
    let text = |v: &Option<String>| v.clone().unwrap_or_else(|| "unreadable".to_owned());
    let destination = |v: &Option<String>| v.clone().unwrap_or_else(|| "this machine".to_owned());
    let pairs = [
        ("cpu_model", a.cpu_model.clone(), b.cpu_model.clone()),
        (
            "cpu_features",
            a.cpu_features.join(" "),
            b.cpu_features.join(" "),
        ),
        ("cores", a.cores.to_string(), b.cores.to_string()),
        ("kernel", a.kernel.clone(), b.kernel.clone()),
        (
            "cpu_accounting",
            a.cpu_accounting.clone(),
            b.cpu_accounting.clone(),
        ),
        ("governor", text(&a.governor), text(&b.governor)),
        (
            "destination",
            destination(&a.destination),
            destination(&b.destination),
        ),
        (
            "hypervisor",
            a.hypervisor.to_string(),
            b.hypervisor.to_string(),
        ),
    ];
    for (field, a, b) in pairs {
        if a != b {
            return Some(format!("host.{field} differs: \"{a}\" and \"{b}\""));
        }
    }
    let (small, large) = (
        a.memory_bytes.min(b.memory_bytes),
        a.memory_bytes.max(b.memory_bytes),
    );
    (large - small > large / 64).then(|| {
        format!(
            "host.memory_bytes differs: {} and {}",
            a.memory_bytes, b.memory_bytes
        )
    })
}

fn trimmed(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

/// The first value of a field in `/proc/cpuinfo`.
fn cpuinfo_field(cpuinfo: &str, name: &str) -> Option<String> {
    cpuinfo.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        (field.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The kernel's figure where it scales frequency, else what `/proc/cpuinfo` says.
fn frequency_mhz(cpuinfo: &str) -> Option<f64> {
    trimmed("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
        .and_then(|khz| khz.parse::<f64>().ok())
        .map(|khz| khz / 1000.0)
        .or_else(|| cpuinfo_field(cpuinfo, "cpu MHz")?.parse().ok())
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
    match config {
        None => "unknown",
        Some(text) => {
            let set = |line| text.lines().any(|l| l == line);
            if set("CONFIG_IRQ_TIME_ACCOUNTING=y") || set("CONFIG_VIRT_CPU_ACCOUNTING_NATIVE=y") {
                "irq"
            } else {
                "tick"
            }
        }
    }
}

/// Versions of `crates` in a Cargo.lock; several of one crate are joined by a comma.
fn locked_versions(lock: &str, crates: &[&str]) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        let value = |prefix| {
            line.strip_prefix(prefix)
                .and_then(|rest: &str| rest.strip_suffix('"'))
        };
        if let Some(found) = value("name = \"") {
            name = found;
        } else if let Some(version) = value("version = \"")
            && crates.contains(&name)
        {
            versions
                .entry(name.to_owned())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(version);
                })
                .or_insert_with(|| version.to_owned());
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    type Edit = fn(&mut HostInfo);

    #[test]
    fn this_machine_is_described() {
        let host = host_info();
        assert!(host.cores >= 1);
        assert!(host.memory_bytes > 1 << 26, "{}", host.memory_bytes);
        assert_ne!(host.kernel, "unknown");
        assert!(host.thread_clock_read_ns > 0.0);
        assert!(host.spin_spread >= 0.0 && host.spin_spread.is_finite());
        assert!(host.versions["aes-gcm"].contains(", "), "two generations");
        assert_eq!(same_host(&host, &host.clone()), None);
    }

    #[test]
    fn a_different_machine_is_named_by_its_first_difference() {
        let host = crate::simulate::raw(&Default::default()).host;
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
            let why = same_host(&host, &other).unwrap();
            assert!(why.starts_with(&format!("host.{field} differs")), "{why}");
        }
        let mut busier = host.clone();
        busier.load_before = 9.0;
        busier.memory_bytes += 1 << 20;
        busier.versions.insert("aes".to_owned(), "9".to_owned());
        assert_eq!(same_host(&host, &busier), None);
    }

    #[test]
    fn accounting_and_versions_are_read_from_text() {
        assert_eq!(accounting_of(None), "unknown");
        assert_eq!(
            accounting_of(Some("# CONFIG_IRQ_TIME_ACCOUNTING is not set\n")),
            "tick"
        );
        assert_eq!(accounting_of(Some("CONFIG_IRQ_TIME_ACCOUNTING=y\n")), "irq");
        let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\n\n[[package]]\nname = \"a\"\nversion = \"2\"\n\n[[package]]\nname = \"b\"\nversion = \"3\"\n";
        let versions = locked_versions(lock, &["a"]);
        assert_eq!(versions.len(), 1);
        assert_eq!(versions["a"], "1, 2");
    }
}
