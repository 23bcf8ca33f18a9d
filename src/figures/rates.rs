//! Figures of one migration: amounts over what they were spent on.

use crate::results::{Migration, RoundKind};
use crate::units::GIB;

/// `part / whole`, if that is a finite number.
pub(super) fn over(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0)
        .then(|| part / whole)
        .filter(|ratio| ratio.is_finite())
}

/// `amount` per GiB of `bytes`; `None` if there are none.
pub fn per_gib(amount: f64, bytes: u64) -> Option<f64> {
    over(amount, bytes as f64 / GIB)
}

/// Page payload over the time of the rounds, bytes/s. Under the virtual clock the rounds hold
/// virtual time, and this is the link's rate.
pub(super) fn throughput(m: &Migration) -> Option<f64> {
    let seconds: f64 = m.rounds.iter().map(|r| r.duration_s).sum();
    over(m.payload_bytes as f64, seconds)
}

/// Cores that a steady 10 Gbit/s of page payload would keep busy: CPU seconds per
/// 10e9 / 8 bytes. vMotion reserves one core for it (Denneman 2018).
pub(super) fn cores_per_10_gbit(cpu_s: f64, payload_bytes: u64) -> Option<f64> {
    per_gib(cpu_s, payload_bytes).map(|per_gib| per_gib * (10e9 / 8.0) / GIB)
}

/// Bytes on the wire that are neither page payload nor device state, over page payload: framing, tags,
/// control and zero pages. `None` where the device state's bytes were not recorded.
pub(super) fn wire_overhead(m: &Migration) -> Option<f64> {
    let content = m.content_bytes().saturating_add(m.device_state_bytes?);
    let framing = m.bytes_on_wire.checked_sub(content)?;
    over(framing as f64, m.payload_bytes as f64)
}

/// Page content as it was sent over page content, where it was compressed.
pub(super) fn compressed_share(m: &Migration) -> Option<f64> {
    over(m.compressed_bytes? as f64, m.payload_bytes as f64)
}

/// Rounds before the pause.
pub(super) fn pre_copy_rounds(m: &Migration) -> Option<f64> {
    let before = m.rounds.iter().filter(|r| r.kind == RoundKind::PreCopy);
    Some(before.count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_gib_figures_follow_their_formulas() {
        assert_eq!(per_gib(2.0, 1 << 30), Some(2.0));
        assert_eq!(per_gib(1.0, 1 << 29), Some(2.0));
        assert_eq!(per_gib(1.0, 0), None);
        // 1 s/GiB is 1.25e9 / 2^30 cores at 10 Gbit/s.
        let cores = cores_per_10_gbit(1.0, 1 << 30).unwrap();
        assert!((cores - 1.164_153_218).abs() < 1e-8, "{cores}");
    }

    #[test]
    fn device_state_is_no_overhead() {
        let run = crate::gate::simulate::raw(&crate::gate::simulate::Simulation::default());
        let mut m = run.migrations[0].clone();
        m.payload_bytes = 1_000_000;
        m.bytes_on_wire = 1_009_000;
        m.device_state_bytes = Some(8_000);
        assert_eq!(wire_overhead(&m), Some(0.001));
        // What an older build recorded holds both, and they can't be told apart.
        m.device_state_bytes = None;
        assert_eq!(wire_overhead(&m), None);
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(over(1.0, 0.0), None);
        assert_eq!(over(f64::NAN, 1.0), None);
        assert_eq!(over(1.0, 4.0), Some(0.25));
    }
}
