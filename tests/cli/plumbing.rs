//! What every arm has in common, as a user's run records it: seal workers, calls on sockets, the
//! link, and how stages are timed.

use crate::command::run;
use crate::migration::IDLE;
use migtax::results::{Migration, OutcomeStatus};

const ARMS: [&str; 2] = ["--arms", "plain,copy,rustcrypto-soft,aws-lc-soft"];

/// More workers than this machine may have cores: what is resolved does not depend on it, nor on
/// the arm, and neither do the calls.
#[test]
fn seal_workers_and_socket_calls_are_those_of_every_arm() {
    let mut sends = None;
    for workers in [1, 4] {
        let plumbing = format!("[migration]\nseal_workers = {workers}\nstreams = 2");
        let text = IDLE.replace("[migration]", &plumbing);
        let made = run(&text, &ARMS);
        assert_eq!(made.results.migrations.len(), 4);
        for m in &made.results.migrations {
            assert_eq!(
                m.outcome.status,
                OutcomeStatus::Completed,
                "{:?}",
                m.outcome
            );
            assert_eq!(m.seal_workers, Some(workers));
            let calls = m.socket_calls.expect("they are counted");
            let sends = sends.get_or_insert(calls.source_sends);
            assert_eq!(calls.source_sends, *sends, "{} {workers}", m.arm.name());
            assert!(calls.destination_receives > 0 && calls.destination_sends > 0);
        }
    }
}

/// A link banks nothing while there is nothing to send: no round, however short, is acknowledged
/// before the link could have carried it.
#[test]
fn no_round_is_faster_than_the_link() {
    const BITS_PER_S: f64 = 200e6;
    let text = r#"
name = "paced"
[guest]
memory = "8MiB"
[workload]
rate = "4MiB/s"
[migration]
link = "200Mbit/s"
downtime_limit = "1s"
max_rounds = 4
on_stall = "switchover"
[measure]
repetitions = 1
warmup = 0
window = "10ms"
"#;
    let made = run(text, &["--arms", "plain,copy", "--streams", "2"]);
    let rounds = |m: &Migration| m.rounds.clone();
    let all: Vec<_> = made.results.migrations.iter().flat_map(rounds).collect();
    assert!(all.len() >= 4, "{all:?}");
    for round in all {
        // The record that ends the round is sent when the link has carried all before it.
        let carried = round.bytes_on_wire.saturating_sub(2 * 128);
        let least_s = carried as f64 * 8.0 / BITS_PER_S;
        assert!(round.duration_s >= least_s, "{least_s} {round:?}");
    }
}

/// Every record is timed on request; otherwise errors say what sampling leaves.
#[test]
fn sampling_is_recorded() {
    for all in [true, false] {
        let sampling = if all { "all" } else { "auto" };
        let text = IDLE.replace(
            "[measure]",
            &format!("[measure]\nsampling = \"{sampling}\""),
        );
        let text = text.replace("[migration]", "[migration]\nrecord = \"4KiB\"");
        let made = run(&text, &ARMS);
        assert_eq!(made.results.migrations.len(), 4);
        for m in &made.results.migrations {
            let source = m.cpu.source.sampling.expect("it is recorded");
            let destination = m.cpu.destination.sampling.expect("it is recorded");
            assert!(source.samples > 0 && source.units < destination.units);
            assert!(m.cpu.source.stages.unwrap().other_s >= source.clock_s);
            let errors = [
                source.seal_se_s,
                source.transmit_se_s,
                destination.open_se_s,
                destination.receive_se_s,
            ];
            if all {
                assert_eq!(source.samples, source.units);
                assert_eq!(destination.samples, destination.units);
                assert_eq!(errors, [0.0; 4]);
            } else {
                assert!(destination.samples <= destination.units);
                assert_eq!(
                    destination.samples == destination.units,
                    destination.receive_se_s == 0.0
                );
            }
        }
    }
}
