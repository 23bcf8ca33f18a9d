//! What aws-lc uses of the CPU in this process.

#[cfg(target_arch = "x86_64")]
use aws_lc_sys as ffi;

use crate::crypto::cipher::Engaged;

#[cfg(target_arch = "x86_64")]
mod inside {
    use std::ffi::c_int;

    unsafe extern "C" {
        /// Whether GCM uses VAES and VPCLMULQDQ, which it does only together with AVX-512.
        #[link_name = "aws_lc_0_47_0_crypto_gcm_avx512_enabled"]
        pub(super) fn gcm_avx512_enabled() -> c_int;
        /// Whether GHASH uses PCLMULQDQ.
        #[link_name = "aws_lc_0_47_0_crypto_gcm_clmul_enabled"]
        pub(super) fn gcm_clmul_enabled() -> c_int;
        /// CPUID.1 EDX and ECX, CPUID.7 EBX and ECX, less what the environment masked.
        #[link_name = "aws_lc_0_47_0_OPENSSL_ia32cap_P"]
        pub(super) static CAPABILITIES: [u32; 4];
    }
}

/// The library's view of the CPU, after the mask in the environment.
#[cfg(target_arch = "x86_64")]
fn capabilities() -> [u32; 4] {
    // SAFETY: fills the capabilities, once; later calls do nothing.
    unsafe { ffi::CRYPTO_library_init() };
    // SAFETY: the array is written only by the initialisation above.
    unsafe { inside::CAPABILITIES }
}

/// What AES-GCM uses in this process, as the library itself decides it (`CRYPTO_ghash_init` and
/// `aes_ctr_set_key` of the release that the build pins), after the mask in the environment.
#[cfg(target_arch = "x86_64")]
pub(super) fn aes_gcm() -> Engaged {
    let cpuid1 = capabilities()[1];
    // SAFETY: the functions only read what `capabilities` has initialised.
    let (avx512, clmul) = unsafe {
        (
            inside::gcm_avx512_enabled() == 1,
            inside::gcm_clmul_enabled() == 1,
        )
    };
    let has = |bit: u32| cpuid1 & (1 << bit) != 0;
    let (ssse3, movbe, aes, avx) = (has(9), has(22), has(25), has(28));
    let stitched = clmul && avx && movbe;
    let mut features = vec![];
    let cipher = match (aes, ssse3) {
        (true, _) => {
            features.push("aes");
            "AES-NI CTR"
        }
        (false, true) => {
            features.push("ssse3");
            "vector-permutation AES CTR"
        }
        (false, false) => "portable AES CTR",
    };
    let hash: &[&str] = if avx512 {
        &["vpclmulqdq", "avx512f", "avx512bw", "avx512dq", "avx512vl"]
    } else if stitched {
        &["pclmulqdq", "avx", "movbe"]
    } else if clmul {
        &["pclmulqdq"]
    } else if ssse3 && aes {
        &["ssse3"]
    } else {
        &[]
    };
    features.extend(hash);
    let implementation = match (aes, avx512, stitched) {
        (true, true, _) => {
            features.push("vaes");
            "VAES and VPCLMULQDQ, AVX-512, one pass"
        }
        (true, false, true) => "AES-NI and PCLMULQDQ, AVX, one pass",
        _ => cipher,
    };
    Engaged {
        implementation,
        features,
    }
}

/// What ChaCha20-Poly1305 uses in this process, as the library itself decides it
/// (`chacha20_poly1305_asm_capable`, the assembly behind it, and `ChaCha20_ctr32`). Poly1305 by itself
/// is written with SSE2.
#[cfg(target_arch = "x86_64")]
pub(super) fn chacha20_poly1305() -> Engaged {
    let [_, cpuid1, cpuid7, _] = capabilities();
    let has = |word: u32, bit: u32| word & (1 << bit) != 0;
    let (ssse3, sse4_1) = (has(cpuid1, 9), has(cpuid1, 19));
    let (avx2, bmi2) = (has(cpuid7, 5), has(cpuid7, 8));
    let (implementation, features): (_, &[_]) = match (sse4_1, avx2, ssse3) {
        (true, true, _) if bmi2 => (
            "ChaCha20 and Poly1305 in one pass, AVX2",
            &["avx2", "bmi2", "sse4_1"],
        ),
        (true, ..) => (
            "ChaCha20 and Poly1305 in one pass, SSE4.1",
            &["ssse3", "sse4_1"],
        ),
        (false, true, _) => ("AVX2 ChaCha20, then SSE2 Poly1305", &["avx2", "sse2"]),
        (false, false, true) => ("SSSE3 ChaCha20, then SSE2 Poly1305", &["ssse3", "sse2"]),
        (false, false, false) => ("scalar ChaCha20, then SSE2 Poly1305", &["sse2"]),
    };
    Engaged {
        implementation,
        features: features.to_vec(),
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn aes_gcm() -> Engaged {
    not_examined()
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn chacha20_poly1305() -> Engaged {
    not_examined()
}

#[cfg(not(target_arch = "x86_64"))]
fn not_examined() -> Engaged {
    Engaged {
        implementation: "not examined on this architecture",
        features: Vec::new(),
    }
}
