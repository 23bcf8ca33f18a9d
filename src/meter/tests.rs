use std::cell::Cell;

use super::*;

/// What a read of the tests' clock takes, nanoseconds.
const READ_NS: u64 = 400;

thread_local! {
    static CLOCK: Cell<u64> = const { Cell::new(0) };
}

fn pass(ns: u64) {
    CLOCK.set(CLOCK.get() + ns);
}

fn read() -> u64 {
    // The clock tells the time at which the read ends.
    pass(READ_NS);
    CLOCK.get()
}

/// A meter under a clock that moves only when it is told to, or is read.
fn meter(all: bool) -> StageMeter<3> {
    let mut meter = StageMeter::new(2, all);
    meter.now = read;
    meter.read_cost_ns = READ_NS;
    meter
}

/// Units of 64 KiB, every `stretch` units slower by turns; what each stage took in truth.
fn stretches(meter: &mut StageMeter<3>, units: u64, stretch: u64) -> [u64; 3] {
    let mut truth = [0; 3];
    meter.enter();
    for unit in 0..units {
        let costs = match unit / stretch % 2 {
            0 => [1_000, 4_000, 5_000],
            _ => [40_000, 4_000, 90_000],
        };
        meter.begin();
        for (stage, ns) in costs.into_iter().enumerate() {
            pass(ns);
            truth[stage] += ns;
            meter.lap(stage);
        }
        meter.done(64 << 10);
    }
    meter.leave();
    truth
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[test]
fn slow_stretches_are_not_favoured() {
    for stretch in [1, 7, 200, 5000] {
        let mut meter = meter(false);
        let truth = stretches(&mut meter, 40_000, stretch);
        let times = meter.times();
        assert!(times.samples > 500 && times.samples < 20_000, "{times:?}");
        for (stage, ns) in truth.into_iter().enumerate() {
            let off = (times.stages[stage].as_secs_f64() - seconds(ns)).abs();
            let error = times.errors_s[stage];
            assert!(
                off <= 4.0 * error + 1e-6,
                "{stretch} {stage}: {off} {error}"
            );
            assert!(error < 0.1 * seconds(ns), "{stretch} {stage}: {error}");
        }
    }
}

/// Standard errors that are too small, or too large, would show in how often they are exceeded.
#[test]
fn the_standard_error_is_that_of_repeated_sampling() {
    let mut within = 0;
    let mut spread = 0.0;
    let mut claimed = 0.0;
    const RUNS: u64 = 400;
    for run in 0..RUNS {
        let mut meter = meter(false);
        meter.draws = meter.draws.wrapping_mul(2 * run + 1);
        let truth = stretches(&mut meter, 4_000, 50);
        let times = meter.times();
        let off = times.stages[0].as_secs_f64() - seconds(truth[0]);
        within += u64::from(off.abs() <= times.errors_s[0]);
        spread += off * off;
        claimed += times.errors_s[0] * times.errors_s[0];
    }
    // 68.3% of a normal law; 400 runs scatter by 2.3%.
    assert!((240..310).contains(&within), "{within}");
    let ratio = (spread / claimed).sqrt();
    assert!((0.85..1.15).contains(&ratio), "{ratio}");
}

#[test]
fn every_unit_timed_is_exact_and_what_the_clock_cost_is_no_stage() {
    let mut meter = meter(true);
    let truth = stretches(&mut meter, 1_000, 100);
    let times = meter.times();
    assert_eq!((times.units, times.samples), (1_000, 1_000));
    assert_eq!(times.errors_s, [0.0; 3]);
    for stage in [0, 1] {
        assert_eq!(times.stages[stage], Duration::from_nanos(truth[stage]));
    }
    // Leaving the loop is a read too.
    let socket = Duration::from_nanos(truth[2] + READ_NS);
    assert_eq!(times.stages[2], socket);
    assert_eq!(times.clock, Duration::from_nanos(1_000 * 5 * READ_NS));
}

/// A control record is known for one when it has been opened: two stages are behind it.
#[test]
fn a_unit_that_was_none_leaves_nothing_in_its_stages() {
    let mut meter = meter(true);
    meter.enter();
    for unit in 0..10 {
        meter.begin();
        pass(1_000_000);
        meter.lap(0);
        pass(2_000_000);
        meter.lap(1);
        match unit {
            4 => meter.done(4096),
            _ => meter.cancel(),
        }
    }
    meter.leave();
    let times = meter.times();
    assert_eq!((times.units, times.samples), (1, 1));
    assert_eq!(times.stages[0], Duration::from_millis(1));
    assert_eq!(times.stages[1], Duration::from_millis(2));
}

#[test]
fn how_often_is_sampled_is_settled_before_a_round_and_keeps_reads_cheap() {
    let mut meter = meter(false);
    meter.enter();
    let cheap = |meter: &mut StageMeter<3>, units| {
        for _ in 0..units {
            meter.begin();
            for stage in 0..3 {
                pass(2_000);
                meter.lap(stage);
            }
            meter.done(4096);
        }
    };
    cheap(&mut meter, CALIBRATION);
    let stride = meter.stride;
    assert!(stride > 10 && stride <= MAX_STRIDE, "{stride}");
    cheap(&mut meter, 10_000);
    // Dear units: nothing changes before the round has ended.
    for _ in 0..2_000 {
        meter.begin();
        pass(10_000_000);
        meter.lap(0);
        meter.done(4096);
    }
    assert_eq!(meter.stride, stride);
    meter.settle();
    assert_eq!(meter.stride, 1);
    meter.leave();
    let times = meter.times();
    assert!(times.clock.as_secs_f64() < 0.01 * seconds(meter.loop_ns));
}

/// Zero pages have no content, yet finding them takes time.
#[test]
fn units_without_content_are_counted_by_their_number() {
    let mut meter = meter(false);
    meter.enter();
    for _ in 0..3_000 {
        meter.begin();
        pass(5_000);
        meter.lap(0);
        meter.done(0);
    }
    meter.leave();
    let times = meter.times();
    let off = (times.stages[0].as_secs_f64() - 0.015).abs();
    assert!(off <= 4.0 * times.errors_s[0], "{times:?}");
}

/// On a busy core a read takes several times what it took when it was measured alone.
#[test]
fn what_a_read_costs_is_taken_from_the_unit_itself() {
    let mut meter = meter(true);
    meter.read_cost_ns = READ_NS / 4;
    let truth = stretches(&mut meter, 1_000, 100);
    let times = meter.times();
    assert_eq!(times.stages[1], Duration::from_nanos(truth[1]));
    assert_eq!(times.clock, Duration::from_nanos(1_000 * 5 * READ_NS));
}

/// What is taken off a worker's time is what the results record: the one figure of this process.
#[test]
fn a_clock_read_costs_what_the_process_counts_it_as() {
    let meter = StageMeter::<1>::new(0, false);
    assert_eq!(meter.read_cost_ns as f64, thread_clock_read_ns());
}

#[test]
fn a_loop_without_units_is_all_socket() {
    let mut meter = meter(false);
    meter.enter();
    pass(100_000);
    meter.leave();
    let times = meter.times();
    assert_eq!(times.stages[2], Duration::from_nanos(100_000 + READ_NS));
    assert_eq!(times.stages[0], Duration::ZERO);
}

#[test]
fn errors_of_threads_add_up_in_squares() {
    let times = |error| StageTimes {
        stages: [Duration::ZERO; 1],
        errors_s: [error],
        clock: Duration::ZERO,
        units: 0,
        samples: 0,
    };
    assert_eq!(StageTimes::error_s(&[times(3.0), times(4.0)], 0), 5.0);
}
