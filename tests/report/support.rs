//! Runs with every kind of outcome, for reports: simulated ones, with what pages must show besides.

use migtax::arm::Arm;
use migtax::figures;
use migtax::gate::noise::Scales;
use migtax::gate::simulate::{Simulation, raw};
use migtax::results::{
    Cpu, Downtime, Guest, Latency, Migration, Outcome, OutcomeStatus, PolicyDecision, Results,
    Round, RoundKind, Verified, Warning,
};
use migtax::scenario::Scenario;

fn simulated(blocks: u32, seed: u64) -> Results {
    raw(&Simulation {
        seed,
        machine_seed: seed,
        blocks,
        // Whatever noise was recorded last: the pictures stay the same.
        noise: Scales {
            time: 0.03,
            ..Scales::of(0.05, 0.03, 0.17)
        },
        ..Simulation::default()
    })
}

/// A run of seven arms: `rustcrypto` is unsupported, `rustcrypto-soft` never converges, one
/// migration of `aws-lc-aesni` fails, the rest complete.
pub fn run(blocks: u32, seed: u64) -> Results {
    let mut scenario = simulated(blocks, seed).scenario;
    scenario.name = "default".to_owned();
    scenario.analysis = "A guest that writes 50 MiB/s over a quarter of its memory.\n\n\
         Read the tax of aws-lc first; a software arm that does not converge is a result."
        .to_owned();
    run_of(scenario, seed)
}

/// A run of a scenario, with [`run`]'s outcomes.
pub fn run_of(scenario: Scenario, seed: u64) -> Results {
    let mut results = simulated(scenario.measure.repetitions, seed);
    results.scenario = scenario;
    results.command = ["migtax", "run", "default", "--reps", "5"]
        .map(str::to_owned)
        .to_vec();
    for arm in &mut results.arms {
        if arm.name == Arm::RUSTCRYPTO {
            arm.supported = false;
            arm.reason = Some("the CPU lacks aes, pclmulqdq".to_owned());
            arm.policy_decision = PolicyDecision::Unsupported;
            arm.engaged_features.clear();
        }
    }
    results.migrations.retain(|m| m.arm != Arm::RUSTCRYPTO);
    for migration in &mut results.migrations {
        let guest = &mut migration.guest;
        for window in [
            &mut guest.write_latency_start_ns,
            &mut guest.write_latency_pause_ns,
            &mut guest.write_latency_ns,
            &mut guest.write_latency_before_ns,
            &mut guest.write_latency_after_ns,
        ] {
            draw(window.as_mut().expect("simulated"));
        }
        match migration.arm {
            Arm::RUSTCRYPTO_SOFT => stall(migration),
            Arm::AWS_LC_AESNI if migration.block == 1 => fail(migration),
            _ => {}
        }
    }
    let warning = |code: &str, message: &str, remedy: &str| Warning {
        code: code.to_owned(),
        message: message.to_owned(),
        remedy: remedy.to_owned(),
    };
    results.warnings = vec![
        warning(
            "few_repetitions",
            "intervals rest on few blocks",
            "run with --reps 20 or more",
        ),
        warning(
            "busy_machine",
            "load average 1.7 on 2 cores before the run",
            "stop other programs, or use a machine of its own",
        ),
    ];
    compared(results)
}

/// The ratios that a run records, again from its migrations.
pub fn compared(mut results: Results) -> Results {
    results.comparisons = figures::comparisons(&results);
    results
}

/// A curve through the percentiles.
fn draw(latency: &mut Latency) {
    latency.curve = vec![
        (0.0, latency.p50 / 2),
        (50.0, latency.p50),
        (90.0, latency.p90),
        (99.0, latency.p99),
        (99.9, latency.p999),
        (100.0, latency.max),
    ];
}

/// Its second round again and again, and no stop-and-copy.
fn stall(migration: &mut Migration) {
    let again = migration.rounds[1];
    migration.rounds.truncate(1);
    for _ in 0..11 {
        let last = migration.rounds[migration.rounds.len() - 1];
        migration.rounds.push(Round {
            kind: RoundKind::PreCopy,
            started_s: last.started_s + last.duration_s,
            pages_dirtied: Some(again.pages_sent),
            ..again
        });
    }
    let sum = |count: fn(&Round) -> u64| migration.rounds.iter().map(count).sum::<u64>();
    migration.pages_sent = sum(|round| round.pages_sent);
    migration.zero_pages = sum(|round| round.zero_pages);
    migration.payload_bytes = sum(|round| round.payload_bytes);
    migration.bytes_on_wire = sum(|round| round.bytes_on_wire) + 4096;
    migration.total_time_s = migration.rounds.iter().map(|round| round.duration_s).sum();
    migration.device_state_bytes = Some(0);
    migration.downtime = Downtime::default();
    migration.guest.write_latency_pause_ns = None;
    migration.guest.first_write_s = None;
    migration.verified.destination_hash.clear();
    migration.verified.equal = false;
    migration.outcome = Outcome {
        status: OutcomeStatus::NotConverged,
        reason: Some("12 rounds without the rest fitting 0.3 s".to_owned()),
    };
}

/// It broke before anything was measured.
fn fail(migration: &mut Migration) {
    migration.outcome = Outcome {
        status: OutcomeStatus::Failed,
        reason: Some("the destination ended: signal 9".to_owned()),
    };
    migration.rounds.clear();
    (migration.pages_sent, migration.zero_pages) = (0, 0);
    (migration.payload_bytes, migration.bytes_on_wire) = (0, 0);
    (migration.total_time_s, migration.records) = (0.0, Some(0));
    migration.device_state_bytes = Some(0);
    migration.downtime = Downtime::default();
    migration.cpu = Cpu::default();
    migration.verified = Verified::default();
    migration.guest = Guest::default();
}
