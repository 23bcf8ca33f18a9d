//! Whole migrations through the command line: what a user runs, checked in results.json.

use crate::command::{Outcome, run};
use migtax::arm::Arm;
use migtax::results::{Migration, OutcomeStatus, PolicyDecision, Results, RoundKind};

/// An idle guest and one that writes, small enough for an unoptimised build. Device state alone makes a
/// pause that a busy machine stretches; the idle one's fits whatever happens.
pub const IDLE: &str = r#"
name = "idle"
[guest]
memory = "8MiB"
[workload]
rate = "0MiB/s"
[migration]
downtime_limit = "1m"
[measure]
repetitions = 1
warmup = 0
window = "10ms"
"#;

/// What is the same for every arm under the virtual clock.
pub const VIRTUAL: &str = r#"
name = "virtual"
[guest]
memory = "16MiB"
vcpus = 2
device_state = "300KiB"
[workload]
rate = "300MiB/s"
placement = { model = "zipf", exponent = 0.99, working_set = 0.5 }
[migration]
link = "10Gbit/s"
downtime_limit = "500us"
[measure]
clock = "virtual"
repetitions = 2
warmup = 0
"#;

fn completed(results: &Results) -> impl Iterator<Item = &Migration> {
    results
        .migrations
        .iter()
        .filter(|m| m.outcome.status == OutcomeStatus::Completed)
}

/// What must hold in every completed migration beside what is checked when results are read.
fn check_sums(m: &Migration) {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 + 1e-6 * a.abs();
    let d = &m.downtime;
    assert!(near(d.total_s, d.parts.unwrap().sum_s()));
    assert!(m.bytes_on_wire > m.payload_bytes);
    assert!(
        m.rounds.len() >= 2,
        "one pre-copy round runs before the first decision"
    );
    let first = &m.rounds[0];
    assert_eq!(first.kind, RoundKind::PreCopy);
    assert_eq!((first.pages_sent + first.zero_pages) * 4096, m.memory_bytes);
    let s = &m.cpu.source;
    assert!(near(s.total_s, s.stages.unwrap().sum_s()), "{s:?}");
    let d = &m.cpu.destination;
    assert!(near(d.total_s, d.stages.unwrap().sum_s()), "{d:?}");
    assert_eq!(m.verified.source_hash.len(), 64);
}

#[test]
fn every_arm_moves_the_guest_and_proves_it() {
    let Outcome { code, results, .. } = run(IDLE, &[]);
    assert_eq!(code, 0);
    assert_eq!(results.arms.len(), Arm::by_default().count());
    for arm in &results.arms {
        let made: Vec<_> = results
            .migrations
            .iter()
            .filter(|m| m.arm == arm.name)
            .collect();
        if !arm.supported {
            assert!(arm.reason.is_some());
            assert!(
                made.iter()
                    .all(|m| m.outcome.status == OutcomeStatus::FellBack)
            );
            continue;
        }
        assert_eq!(made.len(), 1);
        assert_eq!(
            made[0].outcome.status,
            OutcomeStatus::Completed,
            "{:?}",
            made[0].outcome
        );
        check_sums(made[0]);
        let has = |feature: &str| arm.engaged_features.iter().any(|f| f == feature);
        match arm.name {
            Arm::PLAIN | Arm::COPY | Arm::RUSTCRYPTO_SOFT => {
                assert!(arm.engaged_features.is_empty());
            }
            Arm::AWS_LC_SOFT => assert!(!has("aes") && !has("pclmulqdq") && !has("vaes")),
            Arm::AWS_LC_AESNI => assert!(has("aes") && has("pclmulqdq") && !has("vaes")),
            _ => assert!(has("aes")),
        }
    }
    // The guest is idle: whatever the arm, the same memory arrives.
    let hashes: Vec<_> = completed(&results)
        .map(|m| &m.verified.source_hash)
        .collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_virtual_clock_counts_the_same_everywhere() {
    let counts = |results: &Results| -> Vec<(u32, Vec<_>, String)> {
        let mut all: Vec<_> = completed(results)
            .map(|m| {
                check_sums(m);
                let rounds: Vec<_> = m
                    .rounds
                    .iter()
                    .map(|r| {
                        (
                            r.pages_sent,
                            r.zero_pages,
                            r.pages_dirtied,
                            r.duration_s.to_bits(),
                        )
                    })
                    .collect();
                (m.block, rounds, m.verified.source_hash.clone())
            })
            .collect();
        all.sort();
        all
    };
    let first = run(VIRTUAL, &["--arms", "plain,copy,aws-lc-soft"]);
    assert_eq!(first.code, 0);
    let reference = counts(&first.results);
    assert_eq!(reference.len(), 6);
    // Writes are made between rounds, and are no cost of the migration.
    assert!(completed(&first.results).all(|m| m.guest.writes > 0 && m.cpu.source.vcpu_s > 0.0));
    let counted = |m: &(u32, Vec<_>, String)| (m.1.clone(), m.2.clone());
    for migration in &reference {
        assert_eq!(
            counted(migration),
            counted(&reference[0]),
            "arms or blocks differ"
        );
    }
    let wire = |results: &Results, arm| -> Vec<(u64, u64)> {
        completed(results)
            .filter(|m| m.arm == arm)
            .map(|m| (m.records.unwrap(), m.bytes_on_wire))
            .collect()
    };
    // Another tracker, more streams and smaller records find and send the same pages.
    for flags in [
        &["--arms", "plain,copy,aws-lc-soft"][..],
        &["--arms", "plain,copy,aws-lc-soft", "--tracker", "bitmap"],
        &[
            "--arms",
            "plain,copy,aws-lc-soft",
            "--streams",
            "5",
            "--record",
            "8KiB",
        ],
    ] {
        let again = run(VIRTUAL, flags);
        assert_eq!(counts(&again.results), reference, "{flags:?}");
        if flags.len() < 6 {
            for arm in [Arm::PLAIN, Arm::COPY, Arm::AWS_LC_SOFT] {
                assert_eq!(
                    wire(&again.results, arm),
                    wire(&first.results, arm),
                    "{flags:?}"
                );
            }
        }
    }
}

/// Golden counts: a change here changes what every earlier exact result meant.
#[test]
fn the_virtual_clock_counts_what_it_counted_before() {
    let made = run(VIRTUAL, &["--arms", "plain"]);
    let rounds: Vec<Vec<(u64, u64, u64)>> = completed(&made.results)
        .map(|m| {
            let counts =
                |r: &migtax::results::Round| (r.pages_sent, r.zero_pages, r.pages_dirtied.unwrap());
            m.rounds.iter().map(counts).collect()
        })
        .collect();
    assert_eq!(rounds, GOLDEN, "explain a changed count in the commit");
}

const GOLDEN: &[&[(u64, u64, u64)]] = &[
    &[(3686, 410, 345), (345, 0, 69), (69, 0, 0)],
    &[(3686, 410, 345), (345, 0, 69), (69, 0, 0)],
];

#[test]
fn a_guest_that_writes_faster_than_the_link_does_not_converge() {
    let flags = [
        "--arms",
        "plain,aws-lc-soft",
        "--rate",
        "4GiB/s",
        "--reps",
        "1",
    ];
    let given_up = run(VIRTUAL, &flags);
    assert_eq!(given_up.code, 0);
    for m in &given_up.results.migrations {
        assert_eq!(m.outcome.status, OutcomeStatus::NotConverged);
        assert!(
            m.outcome.reason.as_ref().unwrap().contains("round limit"),
            "{:?}",
            m.outcome
        );
        assert_eq!(m.rounds.len(), 30);
        assert!(m.rounds.iter().all(|r| r.kind == RoundKind::PreCopy));
    }
    // CPU takes no completion; times do, and mean nothing under this clock.
    let compared = given_up.results.comparisons.iter();
    assert_eq!(compared.clone().count(), 2);
    for tax in compared {
        assert!(tax.metric.ends_with("cpu_per_gib"), "{tax:?}");
        assert_eq!((tax.blocks, tax.not_converged, tax.bound), (1, 1, None));
    }
    let switchover = VIRTUAL.replace("[migration]", "[migration]\non_stall = \"switchover\"");
    let forced = run(&switchover, &flags);
    assert_eq!(forced.code, 0);
    for m in completed(&forced.results) {
        check_sums(m);
        assert_eq!(m.rounds.len(), 31);
        assert!(m.outcome.reason.as_ref().unwrap().contains("round limit"));
    }
    assert_eq!(completed(&forced.results).count(), 2);
}

#[test]
fn live_guests_lose_no_write_under_either_tracker() {
    let live = VIRTUAL
        .replace("\"virtual\"", "\"live\"")
        .replace("10Gbit/s", "unlimited")
        .replace("500us", "20ms");
    for tracker in ["bitmap", "userfaultfd"] {
        if migtax::tracking::available()
            .iter()
            .any(|(kind, available)| kind.to_string() == tracker && available.is_err())
        {
            eprintln!("skipped: this kernel has no {tracker}");
            continue;
        }
        let flags = [
            "--arms",
            "plain,copy,rustcrypto",
            "--streams",
            "2",
            "--tracker",
            tracker,
        ];
        let made = run(&live, &flags);
        assert_eq!(made.code, 0);
        assert_eq!(made.results.host.tracker, tracker);
        assert!(completed(&made.results).count() > 0);
        for m in completed(&made.results) {
            check_sums(m);
            assert!(m.guest.write_latency_before_ns.as_ref().unwrap().count > 0);
            assert!(m.guest.write_latency_after_ns.as_ref().unwrap().count > 0);
        }
    }
}

#[test]
fn seal_workers_seal_the_same_pages() {
    let workers = VIRTUAL.replace("[migration]", "[migration]\nseal_workers = 3");
    let flags = ["--arms", "copy,rustcrypto-soft,aws-lc-soft", "--reps", "1"];
    let (one, three) = (run(VIRTUAL, &flags), run(&workers, &flags));
    let counts = |results: &Results| -> Vec<_> {
        let mut all: Vec<_> = completed(results)
            .map(|m| {
                (
                    m.arm,
                    m.records,
                    m.bytes_on_wire,
                    m.verified.source_hash.clone(),
                )
            })
            .collect();
        all.sort();
        all
    };
    assert_eq!(counts(&one.results).len(), 3);
    assert_eq!(counts(&one.results), counts(&three.results));
    for m in completed(&three.results) {
        check_sums(m);
        assert!(m.cpu.source.stages.unwrap().seal_s > 0.0);
    }
}

#[test]
fn keys_roll_over_within_a_migration() {
    let small = VIRTUAL.replace(
        "[migration]",
        "[migration]\nrekey_records = 20\nrekey_bytes = \"4MiB\"",
    );
    let made = run(
        &small,
        &[
            "--arms",
            "aws-lc-soft,rustcrypto-soft",
            "--streams",
            "2",
            "--reps",
            "1",
        ],
    );
    assert_eq!(made.code, 0);
    assert_eq!(
        completed(&made.results).count(),
        2,
        "{:?}",
        made.results.migrations
    );
}

#[test]
fn policy_decides_before_any_memory_moves() {
    // ChaCha20-Poly1305 takes no AES instructions, and no policy asks for any.
    let arms = "plain,copy,rustcrypto-soft,aws-lc-soft,aws-lc,chacha20";
    let decisions = |flags: &[&str], text: &str| {
        let mut all = vec!["--arms", arms];
        all.extend(flags);
        let made = run(text, &all);
        let decided: Vec<_> = made
            .results
            .arms
            .iter()
            .map(|a| a.policy_decision)
            .collect();
        let ran: Vec<_> = made.results.migrations.iter().map(|m| m.arm).collect();
        (made.code, decided, ran.len())
    };
    use PolicyDecision::{Baseline, Disabled, Encrypted, Refused};
    let disabled = vec![Baseline, Baseline, Disabled, Disabled, Disabled, Disabled];
    assert_eq!(decisions(&["--policy", "disabled"], IDLE), (0, disabled, 2));
    if migtax::crypto::supported(Arm::AWS_LC).is_err() {
        eprintln!("skipped: this CPU has no AES instructions");
        return;
    }
    let required = vec![Baseline, Baseline, Refused, Refused, Encrypted, Encrypted];
    assert_eq!(
        decisions(&["--policy", "required"], IDLE),
        (6, required.clone(), 4)
    );
    let all = vec![
        Baseline, Baseline, Encrypted, Encrypted, Encrypted, Encrypted,
    ];
    assert_eq!(
        decisions(&["--policy", "required", "--allow-software"], IDLE),
        (0, all.clone(), 6)
    );
    assert_eq!(decisions(&[], IDLE), (0, all, 6));
    let encrypted_guest = IDLE.replace("[guest]", "[guest]\nencrypted = true");
    assert_eq!(
        decisions(&["--policy", "disabled"], &encrypted_guest),
        (6, required, 4)
    );
}

#[test]
fn open_repetitions_end_with_the_budget_or_the_precision() {
    let flags = ["--arms", "plain,copy", "--reps", "auto", "--warmup", "0"];
    let short = run(IDLE, &[&flags[..], &["--budget", "500ms"]].concat());
    assert_eq!(short.code, 0);
    let blocks = short.results.scenario.measure.repetitions;
    assert_eq!(short.results.migrations.len(), 2 * blocks as usize);
    assert!((1..200).contains(&blocks));
    let rough = run(
        IDLE,
        &[&flags[..], &["--precision", "1", "--budget", "1h"]].concat(),
    );
    let blocks = rough.results.scenario.measure.repetitions;
    assert!((6..200).contains(&blocks), "{blocks}");
}
