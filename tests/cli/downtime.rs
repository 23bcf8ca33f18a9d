//! The expected downtime that pre-copy is decided on: all of the pause, under both clocks.

use crate::command::run;
use migtax::results::{OutcomeStatus, least_expected_downtime};

/// A guest that writes nothing, whose device state alone takes longer than the limit: 8 MiB at
/// 1 Gbit/s are 67 ms.
const STATE: &str = r#"
name = "state"
[guest]
memory = "8MiB"
device_state = "8MiB"
[workload]
rate = "0MiB/s"
[migration]
link = "1Gbit/s"
downtime_limit = "50ms"
max_rounds = 3
[measure]
repetitions = 1
warmup = 0
window = "10ms"
"#;

#[test]
fn device_state_that_does_not_fit_the_limit_keeps_the_guest_running() {
    for clock in ["live", "virtual"] {
        let made = run(STATE, &["--arms", "plain,aws-lc", "--clock", clock]);
        for m in &made.results.migrations {
            assert_eq!(
                m.outcome.status,
                OutcomeStatus::NotConverged,
                "{clock} {m:?}"
            );
            let reason = m.outcome.reason.as_deref().unwrap();
            assert!(
                reason.contains("0 pages were dirty after 3 rounds"),
                "{reason}"
            );
            assert!(
                reason.contains("the least expected downtime was"),
                "{reason}"
            );
            assert_eq!(m.rounds.len(), 3);
            for round in &m.rounds {
                assert!(round.expected_downtime_s.unwrap() >= 0.050, "{round:?}");
            }
        }
        assert_eq!(made.results.migrations.len(), 2);
    }
}

#[test]
fn under_the_virtual_clock_the_estimate_is_arithmetic() {
    let enough = STATE.replace("50ms", "68ms");
    let made = run(&enough, &["--arms", "plain,aws-lc", "--clock", "virtual"]);
    for m in &made.results.migrations {
        assert_eq!(
            m.outcome.status,
            OutcomeStatus::Completed,
            "{:?}",
            m.outcome
        );
        // Bytes by the link and nothing else: 8 bits in a byte, 1 in a nanosecond.
        let state = m.device_state_bytes.unwrap();
        assert!(state > 8 << 20 && state < (8 << 20) + 256, "{state}");
        let expected = least_expected_downtime(&m.rounds).unwrap();
        assert!((expected - state as f64 * 8.0 / 1e9).abs() < 1e-12);
        assert_eq!(m.rounds.last().unwrap().expected_downtime_s, None);
    }
    assert_eq!(made.results.migrations.len(), 2);
}
