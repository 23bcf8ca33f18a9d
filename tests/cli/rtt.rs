//! A round trip between the hosts: what each exchange costs at least.

use crate::command::run;
use migtax::results::OutcomeStatus;

/// An idle guest and a link that takes no time to speak of.
const IDLE: &str = r#"
name = "far"
[guest]
memory = "8MiB"
[workload]
rate = "0MiB/s"
[migration]
streams = 2
record = "64KiB"
downtime_limit = "1s"
rtt = "80ms"
[measure]
repetitions = 1
warmup = 0
window = "10ms"
"#;

#[test]
fn every_exchange_takes_a_round_trip_on_every_arm() {
    let made = run(IDLE, &["--arms", "plain,copy,rustcrypto,aws-lc"]);
    assert_eq!(made.code, 0);
    for m in &made.results.migrations {
        if m.outcome.status == OutcomeStatus::FellBack {
            continue;
        }
        assert_eq!(m.outcome.status, OutcomeStatus::Completed, "{m:?}");
        let parts = m.downtime.parts.as_ref().unwrap();
        // The last round's acknowledgement, then the switchover's.
        assert!(parts.transfer_s >= 0.08, "{parts:?}");
        assert!(parts.switchover_s >= 0.08, "{parts:?}");
        // Each round has one, the switchover another.
        let exchanges = m.rounds.len() as f64 + 1.0;
        assert!(m.total_time_s >= 0.08 * exchanges, "{}", m.total_time_s);
        // Each stream connects, and greets, in turn.
        assert!(m.setup_time_s >= 4.0 * 0.08, "{}", m.setup_time_s);
        // The source sleeps meanwhile: its CPU does not grow by it.
        assert!(m.cpu.source.total_s < m.total_time_s, "{m:?}");
    }
}

/// As many bytes as the socket buffers hold, then no more before the first of them is acknowledged.
#[test]
fn a_connection_carries_a_window_a_round_trip() {
    let Some(window) = migtax::machine::Limits::of_this_process().window_bytes() else {
        eprintln!("skipped: the kernel does not tell its socket buffers' limits");
        return;
    };
    // Four windows and the first of the next, of pages that are not zero.
    let memory = (4 * window).div_ceil(4096) * 4096 + (1 << 20);
    if memory > 1 << 30 {
        eprintln!("skipped: socket buffers of {window} bytes need too much memory to fill");
        return;
    }
    let text = IDLE
        .replace("8MiB", &format!("{memory}B"))
        .replace("streams = 2", "streams = 1");
    let text = text.replace("[workload]", "content = { zero = 0.0 }\n[workload]");
    let made = run(&text, &["--arms", "plain"]);
    let first = &made.results.migrations[0].rounds[0];
    // Four waits for room, then the acknowledgement.
    assert!(first.duration_s >= 5.0 * 0.08, "{window}: {first:?}");
}
