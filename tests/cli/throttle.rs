//! Remedies for a migration that does not converge: the guest slowed down, a limit that grows, a platform's
//! time limit.

use crate::command::run;
use migtax::arm::Arm;
use migtax::results::{Migration, OutcomeStatus, RoundKind};

/// It dirties faster than its link sends: without help it never ends.
const STORM: &str = r#"
name = "storm"
[guest]
memory = "32MiB"
vcpus = 2
device_state = "64KiB"
[workload]
rate = "400MiB/s"
placement = { model = "uniform", working_set = 0.5 }
[migration]
link = "1Gbit/s"
downtime_limit = "3ms"
max_rounds = 120
[measure]
clock = "virtual"
repetitions = 1
warmup = 0
arms = ["plain", "aws-lc"]
"#;

fn storm(migration: &str) -> Vec<Migration> {
    let outcome = run(
        &STORM.replace("[measure]", &format!("{migration}\n[measure]")),
        &[],
    );
    assert_eq!(outcome.code, 0);
    outcome.results.migrations
}

/// The shares of time that vCPUs slept, round by round.
fn shares(m: &Migration) -> Vec<f64> {
    let pre_copy = m.rounds.iter().filter(|r| r.kind == RoundKind::PreCopy);
    pre_copy.map(|r| r.throttle_share.unwrap()).collect()
}

#[test]
fn a_throttled_guest_lets_every_arm_end_and_loses_the_same_writes_in_each() {
    for m in storm("") {
        assert_eq!(m.outcome.status, OutcomeStatus::NotConverged);
        assert_eq!(m.guest.throttled, None);
    }
    for rule in [
        "{ kind = \"auto-converge\", period = \"50ms\" }",
        "{ kind = \"stun\" }",
    ] {
        let values = format!("on_stall = \"throttle\"\nthrottle = {rule}");
        let ended = storm(&values);
        let first = &ended[0];
        let lost = first.guest.throttled.unwrap();
        assert!(
            lost.writes_lost > 0 && lost.stall_s > 0.0,
            "{rule}: {lost:?}"
        );
        let shares_of_first = shares(first);
        assert!(shares_of_first.is_sorted() && shares_of_first[0] == 0.0);
        assert!(
            *shares_of_first.last().unwrap() > 0.5,
            "{shares_of_first:?}"
        );
        // Writes are lost while vCPUs sleep, and at the rate of the stream: 51,200 a second and vCPU.
        let expected = lost.stall_s * 51_200.0;
        assert!(
            (lost.writes_lost as f64 / expected - 1.0).abs() < 0.05,
            "{lost:?}"
        );
        for m in &ended {
            assert_eq!(m.outcome.status, OutcomeStatus::Completed, "{rule}");
            assert!(m.verified.equal);
            assert_eq!(m.guest.throttled, Some(lost), "{rule}");
            assert_eq!(shares(m), shares_of_first);
            assert_eq!(m.pages_sent, first.pages_sent);
            assert!(m.guest.achieved_rate < m.guest.asked_rate);
        }
        let again = storm(&values);
        assert_eq!(again[0].guest.throttled, Some(lost));
        assert_eq!(again[0].pages_sent, first.pages_sent);
    }
}

#[test]
fn auto_converge_goes_up_in_qemus_steps() {
    let values =
        "on_stall = \"throttle\"\nthrottle = { kind = \"auto-converge\", period = \"0s\" }";
    let mut steps = shares(&storm(values)[0]);
    steps.dedup();
    let qemus: Vec<f64> = (0..=9).map(|step| f64::from(step) / 10.0).collect();
    let expected: Vec<f64> = qemus.into_iter().filter(|share| *share != 0.1).collect();
    let count = steps.len();
    assert!(count > 3 && steps[..] == expected[..count], "{steps:?}");
}

#[test]
fn live_vcpus_lose_writes_and_a_guest_that_stays_has_all_the_others() {
    let text = STORM
        .replace("\"virtual\"", "\"live\"\nwindow = \"10ms\"")
        .replace("max_rounds = 120", "max_rounds = 6")
        .replace("\"3ms\"", "\"1ns\"")
        .replace(
            "[measure]",
            "on_stall = \"throttle\"\nthrottle = { kind = \"stun\" }\n[measure]",
        );
    let outcome = run(&text, &[]);
    for m in outcome.results.migrations {
        assert_eq!(m.outcome.status, OutcomeStatus::NotConverged);
        assert_eq!(m.guest.writes_verified, Some(true));
        let lost = m.guest.throttled.expect("it was slowed down");
        assert!(lost.writes_lost > 0 && lost.stall_s > 0.0, "{lost:?}");
        assert!(m.guest.progress.unwrap() < 1.0);
    }
}

#[test]
fn a_limit_that_grows_ends_what_does_not_converge_under_the_first_one() {
    for m in storm("downtime_growth = { kind = \"doubling\", rounds = 2 }") {
        assert_eq!(m.outcome.status, OutcomeStatus::Completed);
        let pre_copy: Vec<_> = m
            .rounds
            .iter()
            .filter(|r| r.kind == RoundKind::PreCopy)
            .collect();
        for (index, round) in pre_copy.iter().enumerate() {
            let doublings = (index as i32 + 1) / 2;
            let limit = 0.003 * 2f64.powi(doublings);
            assert!((round.downtime_limit_s.unwrap() - limit).abs() < 1e-12);
            let fits = round.expected_downtime_s.unwrap() <= limit;
            assert_eq!(fits, index + 1 == pre_copy.len(), "round {index}");
        }
        assert!(pre_copy.len() > 2 && m.downtime.total_s > 0.003);
    }
}

#[test]
fn the_answer_names_the_platform_whose_time_limit_ended_it() {
    // A round takes over two minutes of virtual time, and KubeVirt waits for 150 s.
    let text = STORM
        .replace(
            "link = \"1Gbit/s\"",
            "link = \"1Mbit/s\"\nplatform = \"kubevirt\"",
        )
        .replace("downtime_limit = \"3ms\"\nmax_rounds = 120\n", "");
    let outcome = run(&text, &["--arms", "plain,aws-lc-soft"]);
    for m in &outcome.results.migrations {
        assert_eq!(m.outcome.status, OutcomeStatus::NotConverged);
        assert!(m.outcome.reason.as_ref().unwrap().starts_with("time limit"));
    }
    let answers = migtax::report::answer::answers(&outcome.results);
    let answer = answers.iter().find(|a| a.arm == Arm::AWS_LC_SOFT).unwrap();
    let words = "Under KubeVirt's completionTimeoutPerGiB of 150 s (150s for this guest) this VM is \
                 aborted with software AES, aws-lc.";
    let said = answer.outcome.replace("2min30s", "150s");
    assert!(said.contains(words), "{}", answer.outcome);
}
