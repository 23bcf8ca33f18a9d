//! What virtualization platforms do where nobody sets anything: presets for `migration.platform`.
//!
//! A preset gives values to those fields of `[migration]` that the scenario and the command line leave
//! out. They are resolved when the scenario is loaded, for the memory of its guest, so that results hold plain
//! values. None of these platforms counts rounds, so each preset lets them go on.
//!
//! The values are defaults of the code itself where that is public, read at the commits named in
//! [`Row::source`]; a platform's documentation may say otherwise.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::precopy::{DowntimeGrowth, OnStall, Throttle};
use crate::units::{Bandwidth, Size, Span};

/// A platform with a preset.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    clap::ValueEnum,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Platform {
    /// QEMU by itself.
    Qemu,
    /// OpenStack Nova with libvirt.
    Nova,
    /// KubeVirt.
    Kubevirt,
    /// Cloud Hypervisor.
    CloudHypervisor,
    /// Proxmox VE.
    Proxmox,
    /// VMware vSphere.
    Vsphere,
}

/// What a platform does with a guest of some size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlatformValues {
    /// The pause aimed at.
    pub downtime_limit: Span,
    /// How that grows.
    pub downtime_growth: Option<DowntimeGrowth>,
    /// Time for the migration at most; none where the platform has no limit.
    pub time_limit: Option<Span>,
    /// Time without progress at most.
    pub progress_timeout: Option<Span>,
    /// What happens then.
    pub on_stall: OnStall,
    /// How the guest is slowed down.
    pub throttle: Option<Throttle>,
    /// The bandwidth of one migration at most; none where the platform sets none.
    pub bandwidth_cap: Option<Bandwidth>,
    /// Migrations that leave a host at once, at most.
    pub outgoing_per_host: Option<u32>,
    /// Migrations of a whole cluster at once, at most.
    pub per_cluster: Option<u32>,
}

/// How a platform bounds a migration's time.
#[derive(Debug, Clone, Copy)]
enum TimeRule {
    None,
    /// Whatever the guest.
    Fixed(u64),
    /// Seconds for each GiB, of which at least so many are counted.
    PerGib(u64, u64),
    /// Seconds for each started gigabyte.
    PerStartedGb(u64),
}

impl TimeRule {
    fn limit(self, memory: Size) -> Option<Span> {
        match self {
            TimeRule::None => None,
            TimeRule::Fixed(seconds) => Some(seconds),
            TimeRule::PerGib(each, least) => Some(seconds_per_gib(each, least, memory)),
            TimeRule::PerStartedGb(each) => Some(each * memory.0.div_ceil(1_000_000_000)),
        }
        .map(|seconds| Span(Duration::from_secs(seconds)))
    }
}

/// Whole seconds, as Nova counts them.
fn seconds_per_gib(each: u64, least: u64, memory: Size) -> u64 {
    each * memory.0.max(least << 30) / (1 << 30)
}

/// What is known of a platform beside its values.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name in prose.
    pub title: &'static str,
    /// How its time limit comes about, in words that follow "under"; none where it has none.
    pub time_rule: Option<&'static str>,
    /// What it does by default where a migration does not converge.
    pub then: &'static str,
    /// Where the values stand, and the version that they were read in.
    pub source: &'static str,
    limit_ms: u64,
    time: TimeRule,
}

impl Platform {
    /// The name in scenarios and lists.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What is known of it beside its values.
    pub fn row(self) -> Row {
        match self {
            Platform::Qemu => Row {
                title: "QEMU",
                time_rule: None,
                then: "goes on until it is cancelled; auto-converge and post-copy are off",
                source: "qemu migration/options.c, 10.0: downtime-limit 300 ms, max-bandwidth 128 MiB/s",
                limit_ms: 300,
                time: TimeRule::None,
            },
            Platform::Nova => Row {
                title: "OpenStack Nova",
                time_rule: Some("live_migration_completion_timeout of 800 s/GiB"),
                then: "aborts (live_migration_timeout_action); auto-converge and post-copy are off",
                source: "nova nova/conf/libvirt.py, nova/conf/compute.py, nova/virt/libvirt/migration.py \
                         at 060445aa: downtime 500 ms in 10 steps of 75 s/GiB, 1 migration a host; at least 2 GiB are counted",
                limit_ms: 500,
                time: TimeRule::PerGib(800, 2),
            },
            Platform::Kubevirt => Row {
                title: "KubeVirt",
                time_rule: Some("completionTimeoutPerGiB of 150 s"),
                then: "aborts; allowAutoConverge and allowPostCopy are off",
                source: "kubevirt pkg/virt-config/virt-config.go at 00182f1e, live-migration-source.go at 007bfea9: \
                         150 s a started GB, progressTimeout 150 s, 2 migrations leave a node, 5 a cluster, bandwidth 0; \
                         QEMU's 300 ms",
                limit_ms: 300,
                time: TimeRule::PerStartedGb(150),
            },
            Platform::CloudHypervisor => Row {
                title: "Cloud Hypervisor",
                time_rule: Some("timeout_s of 3600 s"),
                then: "cancels (timeout_strategy)",
                source: "cloud-hypervisor docs/live_migration.md at 05936eaa, before 54: downtime_ms 300, timeout_s 3600, \
                         connections 1",
                limit_ms: 300,
                time: TimeRule::Fixed(3600),
            },
            Platform::Proxmox => Row {
                title: "Proxmox VE",
                time_rule: None,
                then: "doubles the downtime limit until it converges",
                source: "qemu-server src/PVE/QemuServer.pm at 006dbac7, src/PVE/QemuMigrate.pm at 096a1ac2: migrate_downtime \
                         0.1 s, doubled after each 6 polls that find more left; migrate_speed 0",
                limit_ms: 100,
                time: TimeRule::None,
            },
            Platform::Vsphere => Row {
                title: "VMware vSphere",
                time_rule: None,
                then: "slows the vCPUs down (stun during page send)",
                source: "VMware performance blog, 2021-02, 7.0: 8 migrations a host; Epping 2011-07, 5.0: stun during page send; \
                         a switch-over of at most 1 s is aimed at. Its values of the stun are not public: they are this build's",
                limit_ms: 1000,
                time: TimeRule::None,
            },
        }
    }

    /// What it does with a guest of that size, if nobody sets anything.
    pub fn values(self, memory: Size) -> PlatformValues {
        let row = self.row();
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        let common = PlatformValues {
            downtime_limit: Span(Duration::from_millis(row.limit_ms)),
            downtime_growth: None,
            time_limit: row.time.limit(memory),
            progress_timeout: None,
            on_stall: OnStall::Abort,
            throttle: None,
            bandwidth_cap: None,
            outgoing_per_host: None,
            per_cluster: None,
        };
        match self {
            Platform::Qemu => PlatformValues {
                bandwidth_cap: Some(Bandwidth::BitsPerSecond(8 * (128 << 20))),
                ..common
            },
            Platform::Nova => PlatformValues {
                downtime_growth: Some(DowntimeGrowth::Steps {
                    steps: 10,
                    every: seconds(seconds_per_gib(75, 2, memory)),
                }),
                outgoing_per_host: Some(1),
                ..common
            },
            Platform::Kubevirt => PlatformValues {
                progress_timeout: Some(seconds(150)),
                outgoing_per_host: Some(2),
                per_cluster: Some(5),
                ..common
            },
            Platform::CloudHypervisor => common,
            Platform::Proxmox => PlatformValues {
                downtime_growth: Some(DowntimeGrowth::Doubling { rounds: 6 }),
                ..common
            },
            Platform::Vsphere => PlatformValues {
                on_stall: OnStall::Throttle,
                throttle: Some(Throttle::stun()),
                outgoing_per_host: Some(8),
                ..common
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_go_by_memory_as_the_platform_counts_it() {
        let cases = [
            (Platform::Qemu, 64 << 30, None),
            (Platform::Nova, 512 << 20, Some(1600)),
            (Platform::Nova, 8 << 30, Some(6400)),
            (Platform::Nova, (5 << 30) / 2, Some(2000)),
            (Platform::Kubevirt, 512 << 20, Some(150)),
            (Platform::Kubevirt, 1 << 30, Some(300)),
            (Platform::Kubevirt, 64 << 30, Some(69 * 150)),
            (Platform::CloudHypervisor, 1 << 40, Some(3600)),
            (Platform::Vsphere, 1 << 40, None),
        ];
        for (platform, memory, seconds) in cases {
            let limit = platform.values(Size(memory)).time_limit;
            assert_eq!(limit.map(|l| l.0.as_secs()), seconds, "{platform:?}");
        }
    }
}
