//! Simulated runs: results with noise of a known shape and size, and a known effect.
//!
//! The gate tests itself on them, and tests of whatever reads results use them as input. Costs
//! per arm are the medians measured on a two-core virtual machine; noise is multiplicative.

mod qemu;
mod rounds;
mod setting;
mod through;

use self::rounds::{rounds, timed};
pub use self::setting::mixed;
use self::setting::{arm_info, costs, host};
use super::noise::Scales;
use crate::arm::{Arm, Engine};
use crate::figures::{self, Metric};
use crate::machine::Counted;
use crate::results::{
    Cpu, DestinationCpu, DestinationStages, Downtime, DowntimeParts, Guest, Latency, Migration,
    Outcome, OutcomeStatus, Results, SCHEMA_VERSION, SourceCpu, SourceStages, VcpuWork, Verified,
};
use crate::scenario::{GuestSpec, MeasureSpec, MigrationSpec, Scenario, WorkloadSpec};
use crate::stats::{Noise, Random};
use crate::units::{GIB, PAGE_SIZE, Size, Span};

/// What to simulate.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// Seed of the noise of single migrations.
    pub seed: u64,
    /// Seed of the noise that a block's arms share; two builds measured in turns share it too.
    pub machine_seed: u64,
    /// Arms.
    pub arms: Vec<Arm>,
    /// Blocks.
    pub blocks: u32,
    /// Distribution of the noise.
    pub shape: Noise,
    /// Scales of the noise: standard deviations of logarithms if normal.
    pub noise: Scales,
    /// Rise of every cost from the first block to the last, as a logarithm.
    pub drift: f64,
    /// Factor on every cost of the run: a machine that is slower today.
    pub machine: f64,
    /// Factor on the cost of copying memory: `copy`'s copy and every apply.
    pub memory: f64,
    /// The effect to be found.
    pub slowdown: Option<Slowdown>,
    /// Factor on the costs of each group's baseline.
    pub plain: f64,
}

/// What can be slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::EnumIter, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Stage {
    /// The source's cipher.
    Seal,
    /// The destination's cipher.
    Open,
    /// Writing guest memory.
    Apply,
    /// Socket writes.
    Transmit,
    /// Socket reads.
    Receive,
    /// The pace of the transfer, at the same CPU time.
    Time,
}

impl Stage {
    /// The gated metric that shows it of an arm: of one that tells no stages, the total that holds it.
    pub fn metric(self, arm: Arm) -> Metric {
        match self {
            Stage::Seal if !arm.has_stages() => Metric::SOURCE_CPU_PER_GIB,
            Stage::Open | Stage::Apply if !arm.has_stages() => Metric::DESTINATION_CPU_PER_GIB,
            Stage::Seal => Metric::SEAL_CPU_PER_GIB,
            Stage::Open => Metric::OPEN_CPU_PER_GIB,
            Stage::Apply => Metric::APPLY_CPU_PER_GIB,
            Stage::Transmit => Metric::SOURCE_CPU_PER_GIB,
            Stage::Receive => Metric::DESTINATION_CPU_PER_GIB,
            Stage::Time => Metric::TOTAL_TIME,
        }
    }

    /// By how much that metric of an arm rises, as a share of it, if the stage comes to cost twice as
    /// much: 1 where the metric is the stage's own.
    pub fn share(self, arm: Arm) -> f64 {
        let still = Simulation {
            arms: vec![arm],
            blocks: 1,
            noise: Scales::of(0.0, 0.0, 0.0),
            ..Simulation::default()
        };
        let twice = Simulation {
            slowdown: Some(Slowdown {
                stage: self,
                factor: 2.0,
                arm: None,
            }),
            ..still.clone()
        };
        let value = |simulation| {
            let run = raw(simulation);
            self.metric(arm)
                .value(&run.migrations[0])
                .unwrap_or(f64::NAN)
        };
        value(&twice) / value(&still) - 1.0
    }
}

/// An effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slowdown {
    /// Where.
    pub stage: Stage,
    /// On its cost.
    pub factor: f64,
    /// The arm that has it; every arm if `None`.
    pub arm: Option<Arm>,
}

impl Default for Simulation {
    fn default() -> Self {
        Simulation {
            seed: 1,
            machine_seed: 1,
            arms: Arm::by_default().collect(),
            blocks: 5,
            shape: Noise::Normal,
            noise: Scales::recorded(),
            drift: 0.0,
            machine: 1.0,
            memory: 1.0,
            slowdown: None,
            plain: 1.0,
        }
    }
}

/// A whole simulated run that passes [`crate::run_folder::check`], comparisons and warnings
/// included.
pub fn results(simulation: &Simulation) -> Results {
    let mut run = raw(simulation);
    run.comparisons = figures::comparisons(&run);
    run.warnings = figures::warnings(&run);
    run
}

/// The same without comparisons and warnings, which cost most of the time.
pub fn raw(simulation: &Simulation) -> Results {
    let mut random = Random::new(simulation.seed, 1);
    let mut shared = Random::new(simulation.machine_seed, 2);
    let mut migrations = Vec::new();
    for block in 0..simulation.blocks {
        let last = f64::from(simulation.blocks.max(2) - 1);
        let common = simulation.noise.block * simulation.shape.draw(&mut shared)
            + simulation.drift * f64::from(block) / last
            + libm::log(simulation.machine);
        for &arm in &simulation.arms {
            migrations.push(migration(simulation, arm, block, common, &mut random));
        }
    }
    Results {
        schema_version: SCHEMA_VERSION,
        migtax_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        interrupted: false,
        command: vec!["migtax".to_owned(), "run".to_owned()],
        shard: None,
        parts: None,
        host: host(),
        scenario: Scenario {
            tunnel: Default::default(),
            name: "simulated".to_owned(),
            point: Default::default(),
            analysis: "Noise of a known shape and a known effect.".to_owned(),
            storage: None,
            qemu: Default::default(),
            guest: GuestSpec::default(),
            workload: WorkloadSpec::default(),
            // What the slowest arm's pause fits.
            migration: MigrationSpec {
                downtime_limit: Span(std::time::Duration::from_millis(300)),
                ..MigrationSpec::default()
            },
            measure: MeasureSpec {
                arms: simulation.arms.clone(),
                repetitions: simulation.blocks.max(1),
                ..MeasureSpec::default()
            },
        },
        arms: simulation.arms.iter().map(|arm| arm_info(*arm)).collect(),
        migrations,
        comparisons: Vec::new(),
        warnings: Vec::new(),
    }
}

fn migration(
    simulation: &Simulation,
    arm: Arm,
    block: u32,
    common: f64,
    random: &mut Random,
) -> Migration {
    let mut noisy = |scale: f64| libm::exp(common + scale * simulation.shape.draw(random));
    let scales = simulation.noise;
    let own = if arm == arm.base() {
        simulation.plain
    } else {
        1.0
    };
    let slowed = |stage| match simulation.slowdown {
        Some(slowdown) if slowdown.stage == stage && slowdown.arm.is_none_or(|a| a == arm) => {
            slowdown.factor
        }
        _ => 1.0,
    };

    let memory_bytes = GuestSpec::default().memory.0;
    let rounds = rounds(memory_bytes);
    let payload_bytes: u64 = rounds.iter().map(|r| r.payload_bytes).sum();
    let gib = payload_bytes as f64 / GIB;
    let [prepare, seal, transmit, receive, open, apply] = costs(arm).map(|c| c * gib * own);
    let (seal, open) = (seal * slowed(Stage::Seal), open * slowed(Stage::Open));
    let apply = apply * simulation.memory * slowed(Stage::Apply);
    let transmit = transmit * slowed(Stage::Transmit);
    let receive = receive * slowed(Stage::Receive);
    // The slower side sets the pace.
    let pace_s = (prepare + seal + transmit).max(receive + open + apply) * slowed(Stage::Time);

    let source = {
        let (prepare_s, seal_s) = (prepare * noisy(scales.prepare), seal * noisy(scales.seal));
        let transmit_s = transmit * noisy(scales.transmit);
        let other_s = 0.005 * gib * noisy(scales.source_other);
        SourceCpu {
            tunnel_s: None,
            total_s: prepare_s + seal_s + transmit_s + other_s,
            vcpu_s: 0.05,
            stages: Some(SourceStages {
                compress_s: None,
                prepare_s,
                seal_s,
                transmit_s,
                other_s,
            }),
            sampling: None,
        }
    };
    let destination = {
        let (receive_s, open_s) = (receive * noisy(scales.receive), open * noisy(scales.open));
        let apply_s = apply * noisy(scales.apply);
        let other_s = 0.003 * gib * noisy(scales.destination_other);
        DestinationCpu {
            tunnel_s: None,
            total_s: receive_s + open_s + apply_s + other_s,
            stages: Some(DestinationStages {
                decompress_s: None,
                receive_s,
                open_s,
                apply_s,
                other_s,
            }),
            sampling: None,
        }
    };
    let transfer_s = pace_s * noisy(scales.time);
    let downtime = {
        let longer = noisy(scales.downtime);
        let (pause_s, harvest_s) = (0.0002 * longer, 0.0005 * longer);
        let (transfer_s, switchover_s) = (0.01 * pace_s / gib * longer, 0.001 * longer);
        Downtime {
            total_s: pause_s + harvest_s + transfer_s + switchover_s,
            parts: Some(DowntimeParts {
                pause_s,
                harvest_s,
                transfer_s,
                switchover_s,
            }),
        }
    };
    let total_time_s = transfer_s + downtime.total_s;
    let latency = |max: f64| Latency {
        count: 10_000,
        p50: 400,
        p90: 700,
        p99: (2_000.0 * latency_tail(max)) as u64,
        p999: (1e9 * max / 2.0) as u64,
        max: (1e9 * max) as u64,
        curve: Vec::new(),
    };
    let migration = Migration {
        qemu: None,
        warnings: Vec::new(),
        storage: None,
        source_counted: Counted::default(),
        destination_counted: Counted::default(),
        arm,
        block,
        stream_seed: Some(GuestSpec::default().seed + u64::from(block)),
        outcome: Outcome {
            status: OutcomeStatus::Completed,
            reason: None,
        },
        total_time_s,
        setup_time_s: 0.004,
        channel: None,
        downtime,
        rounds: timed(rounds, transfer_s, downtime.total_s),
        pages_sent: payload_bytes / PAGE_SIZE as u64,
        zero_pages: 13_107,
        memory_bytes,
        payload_bytes,
        compressed_bytes: None,
        bytes_on_wire: payload_bytes
            + payload_bytes / 1000
            + GuestSpec::default().device_state.0
            + 4096,
        device_state_bytes: Some(GuestSpec::default().device_state.0),
        records: Some(payload_bytes / Size(256 << 10).0 + 8),
        seal_workers: Some(1),
        socket_calls: None,
        source_resident_bytes: Some(20 << 20),
        destination_resident_bytes: Some(20 << 20),
        source_huge_bytes: None,
        destination_huge_bytes: None,
        cpu: Cpu {
            source,
            destination,
        },
        verified: Verified {
            source_hash: "5e".repeat(32),
            destination_hash: "5e".repeat(32),
            equal: true,
        },
        guest: Guest {
            writes: 12_800,
            writes_verified: None,
            schedule_kept: 1.0,
            achieved_rate: 50.0 * 1024.0 * 1024.0,
            asked_rate: 50.0 * 1024.0 * 1024.0,
            write_latency_ns: Some(latency(downtime.total_s)),
            write_latency_before_ns: Some(latency(0.0001)),
            write_latency_after_ns: Some(latency(0.0001)),
            write_latency_start_ns: Some(latency(downtime.total_s)),
            write_latency_pause_ns: Some(latency(downtime.total_s)),
            progress: Some(1.0 - downtime.total_s / total_time_s),
            stall_s: Some(downtime.total_s),
            longest_stall_s: Some(downtime.total_s),
            stall_before_s: Some(0.0),
            first_write_s: Some(0.0001),
            work_before: Some(vcpu_work(12_800, 0)),
            work_during: Some(vcpu_work(12_800, 6_400)),
            work_after: Some(vcpu_work(12_800, 0)),
            throttled: None,
        },
    };
    match arm.engine() {
        Engine::Migtax(_) => migration,
        Engine::Through(_) => through::as_told(arm, migration),
        Engine::Qemu { .. } => qemu::as_told(migration),
    }
}

/// A write takes 1 us of CPU, half of it in the write itself, and the fault that lifts a page's write
/// protection as long again.
fn vcpu_work(writes: u64, minor_faults: u64) -> VcpuWork {
    VcpuWork {
        writes,
        timed_writes: writes,
        timed_s: (writes + minor_faults) as f64 / 2e6,
        cpu_s: (writes + minor_faults) as f64 / 1e6,
        minor_faults,
    }
}

/// The tail of write latency grows with the pause.
fn latency_tail(pause_s: f64) -> f64 {
    1.0 + pause_s * 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator as _;

    #[test]
    fn simulated_runs_hold_together() {
        for shape in Noise::iter() {
            let run = results(&Simulation {
                shape,
                drift: 0.2,
                ..Simulation::default()
            });
            crate::run_folder::check(&run).unwrap();
            assert_eq!(run.migrations.len(), 35);
            let mixed = results(&Simulation {
                arms: mixed(),
                shape,
                ..Simulation::default()
            });
            crate::run_folder::check(&mixed).unwrap();
            let of_qemu = mixed.migrations.iter().filter(|m| m.arm.is_qemu());
            assert_eq!(of_qemu.count(), 15);
        }
    }
}
