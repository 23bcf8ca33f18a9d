//! Results as a run would make them, from a seed: for looking at reports and for testing them.

mod machine;

use migtax::arm::Arm;
use migtax::compare;
use migtax::results::{
    ArmInfo, Cpu, DestinationCpu, Downtime, Guest, Latency, Migration, Outcome, OutcomeStatus,
    PolicyDecision, Results, Round, RoundKind, SCHEMA_VERSION, SourceCpu, Verified, Warning,
};
use migtax::scenario::Scenario;
use migtax::units::{GIB, Size};

use machine::{arm_info, host};

/// A generator of numbers (splitmix64), so that nothing depends on a library's version.
pub struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A factor around 1 whose logarithm has about the standard deviation `sigma`.
    fn noise(&mut self, sigma: f64) -> f64 {
        let bell: f64 = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
        (bell * sigma).exp()
    }
}

/// A path's speed and CPU: GiB/s, seal and open CPU-s/GiB.
fn speed(arm: Arm) -> (f64, f64, f64) {
    match arm {
        Arm::PLAIN => (5.0, 0.0, 0.0),
        Arm::COPY => (4.5, 0.05, 0.0),
        Arm::RUSTCRYPTO_SOFT => (0.15, 6.3, 6.3),
        Arm::RUSTCRYPTO => (1.5, 0.31, 0.31),
        Arm::AWS_LC_SOFT => (0.3, 2.9, 2.9),
        Arm::AWS_LC_AESNI => (2.4, 0.19, 0.18),
        _ => (3.0, 0.078, 0.06),
    }
}

fn latency(dice: &mut Dice, count: u64, base_ns: f64, stall_ns: f64) -> Latency {
    let at = |percentile: f64| -> u64 {
        let rest = 1.0 - percentile / 100.0;
        let body = base_ns * (1.0 + 0.35 * (1.0 / rest.max(1e-6)).ln());
        // A stall of s seconds in a window of about 0.3 s delays the writes that were due in it.
        let stalled = stall_ns * (1.0 - rest / 0.04).max(0.0);
        (body + stalled) as u64
    };
    let wobble = dice.noise(0.08);
    let mut curve = Vec::new();
    let mut rest = 100.0f64;
    while rest > 100.0 / count as f64 {
        curve.push((100.0 - rest, (at(100.0 - rest) as f64 * wobble) as u64));
        rest /= 1.35;
    }
    let value = |p: f64| (at(p) as f64 * wobble) as u64;
    let max = value(100.0 - 50.0 / count as f64);
    curve.push((100.0, max));
    Latency {
        count,
        p50: value(50.0),
        p90: value(90.0),
        p99: value(99.0),
        p999: value(99.9),
        max,
        curve,
    }
}

fn migration(dice: &mut Dice, scenario: &Scenario, arm: Arm, block: u32, drift: f64) -> Migration {
    let pages = scenario.guest.memory.pages();
    let (speed, seal, open) = speed(arm);
    let speed = speed * drift * dice.noise(if speed > 2.0 { 0.12 } else { 0.04 });
    let dirty_rate = scenario.workload.rate.0 as f64 / 4096.0;
    let set = pages as f64 * 0.25;
    let mut rounds = Vec::new();
    let (mut clock, mut to_send, mut zero) = (0.0f64, pages as f64 * 0.9, pages as f64 * 0.1);
    let stalls = arm == Arm::RUSTCRYPTO_SOFT;
    let limit = scenario.migration.downtime_limit.as_secs_f64();
    let mut converged = false;
    for index in 0..scenario.migration.max_rounds {
        let bytes = to_send * 4096.0;
        let duration = bytes / (speed * dice.noise(0.05) * GIB) + 0.0004;
        let dirtied = set * (1.0 - (-dirty_rate * duration / set).exp());
        let dirtied = if stalls && index > 0 {
            dirtied.max(to_send * 0.97)
        } else {
            dirtied
        };
        rounds.push(round(
            RoundKind::PreCopy,
            clock,
            duration,
            to_send,
            zero,
            dirtied,
        ));
        clock += duration + 0.0002;
        (to_send, zero) = (dirtied.floor(), (dirtied * 0.004).floor());
        if !stalls && to_send * 4096.0 / (speed * GIB) < limit {
            converged = true;
            break;
        }
    }
    let mut downtime = Downtime::default();
    if converged {
        let duration = to_send * 4096.0 / (speed * GIB) + 0.0003;
        rounds.push(round(
            RoundKind::StopAndCopy,
            clock,
            duration,
            to_send,
            zero,
            0.0,
        ));
        downtime = Downtime {
            total_s: 0.0,
            pause_s: 0.00012 * dice.noise(0.3),
            harvest_s: 0.0011 * dice.noise(0.2),
            transfer_s: duration,
            switchover_s: 0.0016 * dice.noise(0.2) + 0.001 / speed,
        };
        downtime.total_s =
            downtime.pause_s + downtime.harvest_s + downtime.transfer_s + downtime.switchover_s;
        clock += downtime.total_s;
    }
    let sum = |f: fn(&Round) -> u64| rounds.iter().map(f).sum::<u64>();
    let payload_bytes = sum(|r| r.payload_bytes);
    let gib = payload_bytes as f64 / GIB;
    let socket = dice.noise(0.15) / drift;
    let source = SourceCpu {
        total_s: 0.0,
        vcpu_s: 0.02 * clock,
        prepare_s: 0.025 * gib * dice.noise(0.05),
        seal_s: seal * gib * dice.noise(0.02),
        transmit_s: 0.15 * gib * socket,
        other_s: 0.008 * gib * dice.noise(0.2),
    };
    let destination = DestinationCpu {
        total_s: 0.0,
        receive_s: 0.06 * gib * socket,
        open_s: open * gib * dice.noise(0.02),
        apply_s: 0.035 * gib * dice.noise(0.05),
        other_s: 0.006 * gib * dice.noise(0.2),
    };
    let stall = downtime.total_s * 1e9;
    Migration {
        warnings: Vec::new(),
        arm,
        block,
        outcome: if converged {
            Outcome {
                status: OutcomeStatus::Completed,
                reason: None,
            }
        } else {
            Outcome {
                status: OutcomeStatus::NotConverged,
                reason: Some(format!(
                    "{} rounds without the rest fitting {limit} s",
                    rounds.len()
                )),
            }
        },
        total_time_s: clock,
        setup_time_s: 0.021 * dice.noise(0.2),
        downtime,
        pages_sent: sum(|r| r.pages_sent),
        zero_pages: sum(|r| r.zero_pages),
        memory_bytes: scenario.guest.memory.0,
        payload_bytes,
        bytes_on_wire: sum(|r| r.bytes_on_wire),
        records: payload_bytes / (256 << 10) + 9,
        source_resident_bytes: 20 << 20,
        destination_resident_bytes: 20 << 20,
        cpu: Cpu {
            source: SourceCpu {
                total_s: source.prepare_s + source.seal_s + source.transmit_s + source.other_s,
                ..source
            },
            destination: DestinationCpu {
                total_s: destination.receive_s
                    + destination.open_s
                    + destination.apply_s
                    + destination.other_s,
                ..destination
            },
        },
        verified: Verified {
            source_hash: "ab".repeat(32),
            destination_hash: if converged {
                "ab".repeat(32)
            } else {
                String::new()
            },
            equal: converged,
        },
        guest: Guest {
            writes: (dirty_rate * clock) as u64,
            writes_verified: None,
            schedule_kept: 0.999,
            achieved_rate: scenario.workload.rate.0 as f64 * 0.999,
            asked_rate: scenario.workload.rate.0 as f64,
            write_latency_ns: latency(dice, (dirty_rate * clock) as u64 + 100, 2600.0, stall),
            write_latency_before_ns: latency(dice, 1280, 900.0, 0.0),
            write_latency_after_ns: latency(dice, 1280, 1000.0, 0.0),
        },
        rounds,
    }
}

fn round(kind: RoundKind, at: f64, s: f64, pages: f64, zero: f64, dirtied: f64) -> Round {
    let (pages, zero) = (pages as u64, zero as u64);
    Round {
        kind,
        started_s: at,
        duration_s: s,
        pages_sent: pages,
        zero_pages: zero,
        payload_bytes: pages * 4096,
        bytes_on_wire: pages * 4096 + pages * 9 + zero * 9 + 140,
        pages_dirtied: dirtied as u64,
    }
}

/// A run of seven arms: `rustcrypto` is unsupported, `rustcrypto-soft` never converges, one
/// migration of `aws-lc-aesni` fails, the rest complete.
pub fn run(blocks: u32, seed: u64) -> Results {
    let mut scenario = Scenario {
        name: "default".to_owned(),
        point: Default::default(),
        analysis: "A 128 MiB guest that writes 50 MiB/s over a quarter of its memory.\n\n\
                   Read the tax of aws-lc first; a software arm that does not converge is a result."
            .to_owned(),
        guest: Default::default(),
        workload: Default::default(),
        migration: Default::default(),
        measure: Default::default(),
    };
    scenario.guest.memory = Size(128 << 20);
    scenario.migration.max_rounds = 12;
    scenario.measure.repetitions = blocks;
    run_of(scenario, seed)
}

/// A run of a scenario, with [`run`]'s outcomes.
pub fn run_of(scenario: Scenario, seed: u64) -> Results {
    let mut dice = Dice(seed);
    let arms: Vec<ArmInfo> = Arm::all()
        .map(|arm| match arm {
            Arm::RUSTCRYPTO => ArmInfo {
                supported: false,
                reason: Some("the CPU lacks aes, pclmulqdq".to_owned()),
                policy_decision: PolicyDecision::Unsupported,
                engaged_features: Vec::new(),
                ..arm_info(arm)
            },
            _ => arm_info(arm),
        })
        .collect();
    let mut migrations = Vec::new();
    for block in 0..scenario.measure.repetitions {
        let drift = dice.noise(0.1);
        for arm in Arm::all().filter(|arm| *arm != Arm::RUSTCRYPTO) {
            let mut made = migration(&mut dice, &scenario, arm, block, drift);
            if arm == Arm::AWS_LC_AESNI && block == 1 {
                made = failed(made);
            }
            migrations.push(made);
        }
    }
    compared(Results {
        schema_version: SCHEMA_VERSION,
        migtax_version: "0.1.0".to_owned(),
        started_at: "2026-11-24T03:00:00Z".to_owned(),
        interrupted: false,
        command: ["migtax", "run", "default", "--reps", "5"]
            .map(str::to_owned)
            .to_vec(),
        host: host(),
        scenario,
        arms,
        migrations,
        comparisons: Vec::new(),
        warnings: vec![
            Warning {
                code: "few_repetitions".to_owned(),
                message: "intervals rest on few blocks".to_owned(),
                remedy: "run with --reps 20 or more".to_owned(),
            },
            Warning {
                code: "busy_machine".to_owned(),
                message: "load average 1.7 on 2 cores before the run".to_owned(),
                remedy: "stop other programs, or use a machine of its own".to_owned(),
            },
        ],
    })
}

fn failed(migration: Migration) -> Migration {
    Migration {
        outcome: Outcome {
            status: OutcomeStatus::Failed,
            reason: Some("the destination ended: signal 9".to_owned()),
        },
        total_time_s: 0.0,
        downtime: Downtime::default(),
        rounds: Vec::new(),
        pages_sent: 0,
        zero_pages: 0,
        payload_bytes: 0,
        bytes_on_wire: 0,
        records: 0,
        cpu: Cpu::default(),
        verified: Verified::default(),
        guest: Guest::default(),
        ..migration
    }
}

/// The ratios that a run records, again from its migrations.
pub fn compared(mut results: Results) -> Results {
    let arms: Vec<Arm> = results.arms.iter().map(|arm| arm.name).collect();
    results.comparisons = compare::comparisons(&arms, &results.migrations);
    results
}
