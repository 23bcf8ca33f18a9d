//! Windows of fixed length, stalls, and what each phase cost.

use super::tests::{MS, guest, guest_on, memory, wait_for_stream_time, writes};
use super::*;
use crate::tracking::Userfaultfd;

/// A write each 100 us, and a pause of 30 ms after `before_ms` of the migration. How many writes of the
/// pause's window were executed before the vCPU stopped, and the report.
fn paused_after(before_ms: u64) -> (u64, VcpuReport) {
    const STEP: u64 = MS / 10;
    let mut guest = guest(&[writes(0, 40_000, 1, STEP)], 0);
    guest.vcpus.start();
    guest.vcpus.mark_phase(Phase::During);
    wait_for_stream_time(&guest.vcpus, before_ms * MS);
    let until = guest.vcpus.open_window(Window::Pause, 20 * MS);
    guest.vcpus.pause();
    let next = guest.vcpus.positions()[0].at_ns;
    let early = next.saturating_sub(until - 20 * MS).div_ceil(STEP);
    let paused = guest.vcpus.stream_time_ns();
    wait_for_stream_time(&guest.vcpus, paused + 30 * MS);
    guest.vcpus.resume();
    guest.tracker.wait_for(until / STEP);
    (early, guest.vcpus.stop())
}

#[test]
fn a_longer_migration_does_not_dilute_the_pause_in_its_window() {
    for before_ms in [10, 300] {
        let (early, report) = paused_after(before_ms);
        let window = report.window(Window::Pause);
        // 200 writes, all of them due in the pause: none waited less than 10 ms.
        assert!(window.len().abs_diff(200) <= 2, "{}", window.len());
        let short = window.count_between(0, 9 * MS);
        assert!(short <= early, "{short} of {early}");
        // What was compared before grows with the migration, and the pause's share of it shrinks.
        assert!(report.latency.len() >= before_ms * 10);
    }
}

#[test]
fn a_stall_counts_once_however_many_writes_queue() {
    let mut guest = guest(&[writes(0, 1000, 1, MS / 10)], 0);
    guest.vcpus.mark_phase(Phase::During);
    guest.vcpus.start();
    guest.tracker.wait_for(10);
    guest.vcpus.pause();
    let paused = guest.vcpus.stream_time_ns();
    wait_for_stream_time(&guest.vcpus, paused + 30 * MS);
    guest.vcpus.resume();
    guest.tracker.wait_for(1000);
    let took = guest.vcpus.stream_time_ns();
    let report = guest.vcpus.stop();
    assert!(report.longest_stall_ns >= 29 * MS);
    assert!(report.stall_ns >= report.longest_stall_ns);
    // 300 writes waited, 15 ms each in the mean: their latencies add up to far more than there was.
    assert!(report.stall_ns <= took, "{} of {took}", report.stall_ns);
    let lateness: u64 = report
        .latency
        .iter_recorded()
        .map(|bin| bin.value_iterated_to() * bin.count_at_value())
        .sum();
    assert!(lateness > 2 * took, "{lateness}");
}

#[test]
fn a_vcpu_with_nothing_due_is_not_stalled() {
    let hour = 3_600_000 * MS;
    let mut guest = guest(&[writes(0, 2, 1, hour)], 0);
    guest.vcpus.mark_phase(Phase::During);
    guest.vcpus.start();
    guest.tracker.wait_for(1);
    guest.vcpus.pause();
    let began = guest.vcpus.stream_time_ns();
    wait_for_stream_time(&guest.vcpus, began + 5 * MS);
    let report = guest.vcpus.finish(Instant::now());
    assert_eq!(report.open_stalls_ns, [0]);
}

/// Between the writes of a vCPU that moves.
const STEP: u64 = 20_000;
/// Writes of such a vCPU: a second of them.
const COUNT: u64 = 50_000;
/// Of its windows, what is left for the destination.
const REST: u64 = 4 * MS;

/// A guest that moves: when its pause was asked for and complete, in stream time, and the reports of
/// both sides.
fn moved(vcpus: u64) -> (u64, u64, VcpuReport, VcpuReport) {
    let streams: Vec<_> = (0..vcpus)
        .map(|vcpu| writes(vcpu, COUNT, 1, STEP))
        .collect();
    let mut source = guest(&streams, 0);
    source.vcpus.mark_phase(Phase::During);
    source.vcpus.set_window(Window::Start, 0, u64::MAX);
    source.vcpus.start();
    source.tracker.wait_for(50);
    let asked = source.vcpus.stream_time_ns();
    source.vcpus.set_window(Window::Pause, asked, u64::MAX);
    source.vcpus.pause();
    let paused = source.vcpus.stream_time_ns();
    let positions = source.vcpus.positions();
    wait_for_stream_time(&source.vcpus, paused + 4 * MS);
    let here = source.vcpus.finish(Instant::now());
    let start = StreamStart::resumed(positions);
    let mut destination = guest_on(source.memory, &streams, &start);
    let switchover = here.stream_time_ns;
    destination.vcpus.mark_phase(Phase::After);
    for window in [Window::Start, Window::Pause] {
        let until = switchover + REST;
        destination.vcpus.set_window(window, switchover, until);
    }
    destination.vcpus.start_at(switchover);
    let executed: u64 = here.executed.iter().sum();
    destination.tracker.wait_for(COUNT * vcpus - executed);
    (asked, paused, here, destination.vcpus.stop())
}

#[test]
fn a_stall_over_the_pause_is_as_long_as_the_vcpus_were_stopped() {
    let (_, paused, here, there) = moved(2);
    for (open, first) in here.open_stalls_ns.iter().zip(&there.first_writes) {
        // The last write was done before they stopped, and the next was due a step later at most.
        assert!(*open + STEP >= here.stream_time_ns - paused, "{open}");
        assert!(*open <= here.stream_time_ns);
        let first = first.unwrap();
        // It was due at once, so all of the time until it was done was a delay.
        assert_eq!(first.delay_ns, first.done_ns);
        assert!(first.delay_ns > 0);
    }
}

#[test]
fn a_window_that_outlasts_the_migration_is_filled_at_the_destination() {
    let (asked, _, here, there) = moved(2);
    for (window, from) in [(Window::Start, 0), (Window::Pause, asked)] {
        let (before, after) = (here.window(window).len(), there.window(window).len());
        assert!(before > 0 && after > 0, "{window:?}: {before}, {after}");
        let all = 2 * (here.stream_time_ns + REST - from) / STEP;
        assert!(
            (before + after).abs_diff(all) <= 4,
            "{window:?}: {before} + {after} of {all}"
        );
    }
}

#[test]
fn progress_counts_what_was_asked_in_the_pause() {
    let (_, _, here, _) = moved(1);
    assert!(here.asked_in_pause >= 4 * MS / STEP - 1);
    let executed = here.phase(Phase::During).writes;
    assert_eq!(
        here.asked_writes + here.asked_in_pause,
        executed + here.pending
    );
}

#[test]
fn each_phase_has_its_own_cost() {
    // More than are made before a busy machine comes to mark the phase.
    let streams = [writes(0, 2_000_000, 1, 1_000)];
    let mut guest = guest(&streams, 0);
    guest.vcpus.start();
    guest.tracker.wait_for(5_000);
    guest.vcpus.mark_phase(Phase::During);
    guest.tracker.wait_for_more(5_000);
    let report = guest.vcpus.stop();
    for phase in [Phase::Before, Phase::During] {
        let phase = report.phase(phase);
        assert!(phase.cpu_s > 0.0 && phase.writes > 0, "{phase:?}");
        assert!(phase.timed_writes > 0 && phase.timed_writes <= phase.writes);
        assert!(phase.timed_s <= phase.timed_writes as f64 * STALL_NS as f64 / 1e9);
    }
    let after = report.phase(Phase::After);
    assert_eq!((after.writes, after.cpu_s), (0, 0.0));
}

#[test]
fn write_protection_faults_are_those_of_the_phase_in_which_pages_were_protected() {
    let memory = memory();
    let Ok(tracker) = Userfaultfd::open(&memory) else {
        return;
    };
    let tracker = Arc::new(tracker);
    // Every page is written in every 64 writes.
    let step = MS / 2;
    let list = tests::List(writes(0, 400, 1, step).into());
    let mut vcpus = Vcpus::spawn(
        memory,
        Arc::clone(&tracker) as Arc<dyn Tracker>,
        vec![list],
        WriteExtent::Word,
        &StreamStart::at(0),
    )
    .unwrap();
    vcpus.start();
    wait_for_stream_time(&vcpus, 100 * step);
    vcpus.mark_phase(Phase::During);
    tracker.start().unwrap();
    wait_for_stream_time(&vcpus, 300 * step);
    vcpus.mark_phase(Phase::After);
    wait_for_stream_time(&vcpus, 400 * step);
    let report = vcpus.stop();
    let [before, during, after] = report.phases.map(|phase| phase.minor_faults);
    assert!(during >= 60, "{before}, {during}, {after}");
    assert!(before < 30 && after < 30, "{before}, {during}, {after}");
}

#[test]
fn of_a_stall_over_a_border_the_part_inside_counts() {
    let mut guest = guest(&[writes(0, 1000, 1, MS / 10)], 0);
    guest.vcpus.open_window(Window::Before, 10 * MS);
    guest.vcpus.start();
    guest.tracker.wait_for(10);
    guest.vcpus.pause();
    let paused = guest.vcpus.stream_time_ns();
    wait_for_stream_time(&guest.vcpus, (paused + 10 * MS).max(20 * MS));
    guest.vcpus.mark_phase(Phase::During);
    let began = guest.vcpus.stream_time_ns();
    wait_for_stream_time(&guest.vcpus, began + 10 * MS);
    guest.vcpus.resume();
    guest.tracker.wait_for(1000);
    let took = guest.vcpus.stream_time_ns() - began;
    let report = guest.vcpus.stop();
    assert!(
        report.stall_before_ns <= 10 * MS,
        "{}",
        report.stall_before_ns
    );
    assert!(report.stall_before_ns >= (10 * MS).saturating_sub(paused + MS / 10));
    let inside = [report.longest_stall_ns, report.stall_ns];
    assert!(
        inside
            .iter()
            .all(|stall| *stall >= 10 * MS && *stall <= took + MS),
        "{inside:?}"
    );
}

#[test]
fn a_throttled_vcpu_loses_what_falls_due_while_it_sleeps_and_nothing_else() {
    const STEP: u64 = MS / 10;
    const COUNT: u64 = 3_000;
    let streams = [writes(0, COUNT, 1, STEP), writes(1, COUNT, 1, STEP)];
    let mut guest = guest(&streams, 0);
    guest.vcpus.mark_phase(Phase::During);
    // Set before the start, so that cycles begin with the stream.
    guest.vcpus.throttle(Some(crate::precopy::Cycle {
        awake_ns: 10 * MS,
        asleep_ns: 15 * MS,
    }));
    guest.vcpus.start();
    // Of each 250 writes 100 fall into the part in which vCPUs run.
    guest.tracker.wait_for(2 * COUNT * 2 / 5);
    wait_for_stream_time(&guest.vcpus, (COUNT + 1) * STEP + 25 * MS);
    let report = guest.vcpus.stop();
    assert_eq!(report.executed, [COUNT * 2 / 5; 2]);
    assert_eq!(report.pending, 0);
    for lost in &report.lost {
        let mut is_lost = lost.test();
        let wrong = (0..COUNT).find(|number| is_lost(*number) != (number % 250 >= 100));
        assert_eq!(wrong, None);
    }
    assert!(report.throttled_ns > 0);
    assert_eq!(report.latency.len(), 2 * COUNT);
    // Some waited for nearly all of a sleep.
    assert!(report.latency.max() >= 14 * MS);
}
