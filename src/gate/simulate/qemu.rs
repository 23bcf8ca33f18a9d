//! What a simulated run holds of QEMU's arms: their costs, and what QEMU tells of them.

use serde_json::json;

use crate::arm::{Arm, Rung};
use crate::results::{Migration, QemuInfo, QemuMask, QemuMigration, QemuTls, ThreadCpu};

/// CPU seconds per GiB of what would be an arm's stages: prepare, seal, transmit; receive, open, apply.
pub(super) fn costs(arm: Arm) -> [f64; 6] {
    let [seal, open] = match arm.row().headline {
        _ if arm.is_baseline() => [0.0, 0.0],
        Some((Rung::Software, _)) => [7.03, 7.50],
        _ => [0.60, 1.05],
    };
    [0.10, seal, 0.27, 0.20, open, 0.10]
}

/// The QEMU that ran it.
pub(super) fn info(arm: Arm) -> QemuInfo {
    let is_masked = !arm.row().environment.is_empty();
    let tls = QemuTls {
        library: "GnuTLS 3.7.9".to_owned(),
        protocol: "TLS1.3".to_owned(),
        cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
        mask: is_masked.then_some(QemuMask {
            unmasked_cpu_s_per_gib: 2.3,
            masked_cpu_s_per_gib: 15.2,
        }),
    };
    QemuInfo {
        version: "7.2.22".to_owned(),
        package: String::new(),
        accelerator: "kvm".to_owned(),
        machine: "pc-i440fx-7.2".to_owned(),
        tls: arm.is_encrypted().then_some(tls),
    }
}

/// A migration without what QEMU does not tell, and with what it does.
pub(super) fn as_told(mut m: Migration) -> Migration {
    (m.records, m.device_state_bytes) = (None, None);
    (m.source_resident_bytes, m.destination_resident_bytes) = (None, None);
    (m.seal_workers, m.downtime.parts) = (None, None);
    (m.cpu.source.stages, m.cpu.destination.stages) = (None, None);
    for round in &mut m.rounds {
        (round.pages_dirtied, round.expected_downtime_s) = (None, None);
    }
    let late = m.guest.write_latency_before_ns.take();
    m.guest = crate::results::Guest {
        writes: m.guest.writes,
        schedule_kept: m.guest.schedule_kept,
        achieved_rate: m.guest.achieved_rate,
        asked_rate: m.guest.asked_rate,
        progress: m.guest.progress,
        ..Default::default()
    };
    let whole_ms = |seconds: f64| (seconds * 1e3).floor();
    let (total_ms, downtime_ms) = (whole_ms(m.total_time_s), whole_ms(m.downtime.total_s));
    let threads = |cpu_s| {
        vec![ThreadCpu {
            threads: "migration".to_owned(),
            cpu_s,
        }]
    };
    m.qemu = Some(Box::new(QemuMigration {
        channels: 0,
        stated_total_time_s: Some(total_ms / 1e3),
        stated_downtime_s: Some(downtime_ms / 1e3),
        stated_setup_time_s: Some(0.004),
        ram_bytes: m.memory_bytes + (16 << 20),
        source_threads: threads(m.cpu.source.total_s),
        destination_threads: threads(m.cpu.destination.total_s),
        lateness_ns: late,
        throttle_percent: None,
        answer: json!({
            "status": "completed",
            "total-time": total_ms,
            "downtime": downtime_ms,
            "ram": {"normal": m.pages_sent, "duplicate": m.zero_pages, "dirty-sync-count": 5},
        }),
    }));
    m
}
