//! Whole small migrations, one benchmark per arm: two host processes, TCP, everything.
//!
//! What is timed is the migration's own `total_time_s`, from the first harvest to the switchover
//! acknowledgement, not the processes around it. The guest is idle, so that every arm sends the
//! same pages. For taxes with intervals use `migtax run`, which interleaves the arms.

use std::sync::mpsc::channel;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use migtax::arm::Arm;
use migtax::crypto;
use migtax::results::OutcomeStatus;
use migtax::runner::Task;
use migtax::runner::pair::migrate;
use migtax::runner::process::{Launcher, Mailbox};
use migtax::runner::route::Route;
use migtax::scenario::Scenario;
use migtax::units::{Rate, Size, Span};

fn main() {
    let font = dejavu::sans::regular();
    plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font)
        .unwrap_or_else(|_| panic!("the font that the crate carries is a font"));
    let mut criterion = Criterion::default().configure_from_args();
    let mut scenario: Scenario = migtax::scenario::load(Some("loopback")).expect("it is embedded");
    scenario.guest.memory = Size(64 << 20);
    scenario.workload.rate = Rate(0);
    scenario.measure.window = Span(Duration::ZERO);
    // Which every arm's device state fits.
    scenario.migration.downtime_limit = Span(Duration::from_secs(60));
    let route = Route::default();
    let launcher = Launcher::of(env!("CARGO_BIN_EXE_migtax"));
    let (sender, inbox) = channel();
    let mailbox = Mailbox {
        sender: &sender,
        inbox: &inbox,
    };
    let machine = migtax::machine::describe();
    let mut group = criterion.benchmark_group("migration");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(1))
        .throughput(Throughput::Bytes(scenario.guest.memory.0));
    for arm in Arm::own() {
        if let Err(missing) = crypto::supported(arm) {
            eprintln!("{arm}: not supported, needs {}", missing.join(", "));
            continue;
        }
        let task = Task {
            scenario: &scenario,
            arm,
            sealed: arm.is_encrypted(),
            block: 0,
            stream_seed: scenario.guest.seed,
            start_offset_ns: 0,
            pin: (&[], &[]),
            route: &route,
            machine: &machine,
            fleet: None,
        };
        group.bench_function(BenchmarkId::from_parameter(arm), |bencher| {
            bencher.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        let made = migrate(&launcher, &task, &mailbox)
                            .unwrap_or_else(|error| panic!("{arm}: {error:?}"));
                        let migration = made.migration;
                        let outcome = &migration.outcome;
                        assert_eq!(outcome.status, OutcomeStatus::Completed, "{outcome:?}");
                        Duration::from_secs_f64(migration.total_time_s)
                    })
                    .sum()
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
