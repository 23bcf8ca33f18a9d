//! What the CPU can do, as `/proc/cpuinfo` names it.
//!
//! Asked of the CPU itself, so that it works where `/proc` is not mounted, and together with the
//! operating system: a vector extension whose registers the kernel does not save is not reported.

/// CPU features that bear on ciphers and on moving memory, those that this machine has, in a
/// fixed order. Empty on other architectures than x86-64.
pub fn features() -> Vec<&'static str> {
    detected()
        .iter()
        .filter(|(_, present)| *present)
        .map(|(name, _)| *name)
        .collect()
}

/// Whether the CPU has a feature, named as in `/proc/cpuinfo`. Names that bear neither on ciphers
/// nor on moving memory are not known here and are reported as absent.
pub fn has(feature: &str) -> bool {
    detected()
        .iter()
        .any(|(name, present)| *name == feature && *present)
}

/// The kernel's name of each feature and whether it is there. The compiler's names differ in a
/// few (`sse4.1`, `sha`).
#[cfg(target_arch = "x86_64")]
fn detected() -> [(&'static str, bool); 22] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_those_that_the_kernel_lists() {
        let Ok(cpuinfo) = std::fs::read_to_string("/proc/cpuinfo") else {
            return; // Nothing to compare with.
        };
        let flags: Vec<&str> = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("flags"))
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        for (name, present) in detected() {
            assert_eq!(present, flags.contains(&name), "{name}");
            assert_eq!(has(name), present, "{name}");
        }
        assert!(!has("no_such_feature"));
    }
}
