//! What the CPU is and can do, as `/proc/cpuinfo` names it.
//!
//! What ciphers use is asked of the CPU itself, so that it is known where `/proc` is not mounted, and
//! together with the operating system: a vector extension whose registers the kernel does not save is
//! not reported. What the kernel decides for itself, its clock and its way to copy, it alone can tell.

use std::collections::BTreeSet;
use std::fs;

/// CPU features that bear on ciphers, on moving memory and on clocks, those that this machine has, in
/// a fixed order. Few or none on other architectures than x86-64.
pub fn features() -> Vec<&'static str> {
    let kernel = kernel_flags();
    let told = KERNELS.iter().copied();
    let told = told.filter(|name| kernel.iter().any(|flag| flag == name));
    seen().into_iter().chain(told).collect()
}

/// Those that this process sees of the CPU, which an emulator such as valgrind narrows.
pub fn seen() -> Vec<&'static str> {
    let all = detected().into_iter();
    all.filter_map(|(name, present)| present.then_some(name))
        .collect()
}

/// Whether the CPU has a feature that ciphers use, named as in `/proc/cpuinfo`. Other names are not
/// known here and are reported as absent.
pub fn has(feature: &str) -> bool {
    detected()
        .iter()
        .any(|(name, present)| *name == feature && *present)
}

/// The model as the kernel names it, where it does.
pub fn model() -> Option<String> {
    cpuinfo("model name")
}

/// Whether the CPU says that it is a virtual machine's.
pub fn is_virtual() -> bool {
    kernel_flags().iter().any(|flag| flag == "hypervisor")
}

/// Present frequency, MHz: the kernel's figure where it scales frequency, else what `/proc/cpuinfo`
/// says.
pub fn frequency_mhz() -> Option<f64> {
    fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
        .ok()
        .and_then(|khz| khz.trim().parse::<f64>().ok())
        .map(|khz| khz / 1000.0)
        .or_else(|| cpuinfo("cpu MHz")?.parse().ok())
}

/// Whether two lists of features are those of one CPU, whatever their order. Features that earlier
/// builds did not record don't count: their records lack them on any CPU.
pub fn same_features(a: &[String], b: &[String]) -> bool {
    let compared = |features: &[String]| {
        let all = features.iter().cloned();
        all.filter(|feature| !LATER.contains(&feature.as_str()))
            .collect::<BTreeSet<_>>()
    };
    compared(a) == compared(b)
}

/// Features that only the kernel tells.
const KERNELS: [&str; 4] = ["erms", "fsrm", "constant_tsc", "nonstop_tsc"];

/// Features that earlier builds did not record.
const LATER: [&str; 7] = [
    "sse2",
    "sse4_2",
    "movbe",
    "bmi1",
    "avx512ifma",
    "avx512vbmi",
    "avx512_vbmi2",
];

/// The kernel's name of each feature and whether it is there. The compiler's names differ in a
/// few (`sse4.1`, `sha`).
#[cfg(target_arch = "x86_64")]
fn detected() -> [(&'static str, bool); 23] {
    macro_rules! ask {
        ($($kernel:literal = $compiler:tt),+ $(,)?) => {
            [$(($kernel, std::arch::is_x86_feature_detected!($compiler))),+]
        };
    }
    ask![
        "aes" = "aes",
        "pclmulqdq" = "pclmulqdq",
        "vaes" = "vaes",
        "vpclmulqdq" = "vpclmulqdq",
        "gfni" = "gfni",
        "sse2" = "sse2",
        "ssse3" = "ssse3",
        "sse4_1" = "sse4.1",
        "sse4_2" = "sse4.2",
        "movbe" = "movbe",
        "avx" = "avx",
        "avx2" = "avx2",
        "bmi1" = "bmi1",
        "bmi2" = "bmi2",
        "adx" = "adx",
        "sha_ni" = "sha",
        "avx512f" = "avx512f",
        "avx512bw" = "avx512bw",
        "avx512dq" = "avx512dq",
        "avx512vl" = "avx512vl",
        "avx512ifma" = "avx512ifma",
        "avx512vbmi" = "avx512vbmi",
        "avx512_vbmi2" = "avx512vbmi2",
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> [(&'static str, bool); 0] {
    []
}

fn kernel_flags() -> Vec<String> {
    let flags = cpuinfo("flags").unwrap_or_default();
    flags.split_whitespace().map(str::to_owned).collect()
}

/// The first value of a field in `/proc/cpuinfo`.
fn cpuinfo(name: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    text.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        (field.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_those_that_the_kernel_lists() {
        let flags = kernel_flags();
        if flags.is_empty() {
            return; // Nothing to compare with.
        }
        for (name, present) in detected() {
            assert_eq!(present, flags.iter().any(|flag| flag == name), "{name}");
            assert_eq!(has(name), present, "{name}");
        }
        assert!(
            features()
                .iter()
                .all(|f| flags.iter().any(|flag| flag == f))
        );
        assert!(!has("no_such_feature"));
    }

    #[test]
    fn order_and_what_was_not_recorded_before_make_no_difference() {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let old = list(&["aes", "avx"]);
        assert!(same_features(&old, &list(&["avx", "movbe", "aes"])));
        assert!(!same_features(&old, &list(&["aes", "avx", "vaes"])));
    }
}
