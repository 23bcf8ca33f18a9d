//! What a run can't tell is not shown as if it could: bounds, times of the virtual clock, chance.

use std::path::PathBuf;

use crate::support;
use migtax::arm::Arm;
use migtax::figures::{Metric, comparison};
use migtax::gate::simulate::{Simulation, raw};
use migtax::report::{self, chart, console_table};
use migtax::results::{Bound, OutcomeStatus, Results};
use migtax::scenario::ClockKind;

fn page(results: &Results) -> String {
    report::page::render(results, &chart::of_run(results)).unwrap()
}

#[test]
fn an_arm_that_never_converged_has_a_bounded_time_and_a_cpu_tax() {
    let results = support::run(5, 6);
    let tax = |metric| comparison(&results, Arm::RUSTCRYPTO_SOFT, Arm::PLAIN, metric);
    let time = tax(Metric::TOTAL_TIME).unwrap();
    assert_eq!(time.bound, Some(Bound::Lower));
    let cpu = tax(Metric::SOURCE_CPU_PER_GIB).unwrap();
    assert_eq!((cpu.bound, cpu.not_converged), (None, 5));
    // Written as a bound wherever it stands.
    let written = report::view::ratio(time);
    assert!(written.starts_with("> ×"), "{written}");
    let escaped = written.replace('>', "&gt;");
    for (name, text) in [
        ("page", page(&results)),
        ("summary", report::markdown::summary(&results)),
    ] {
        assert!(text.contains(&escaped), "{name}");
        assert!(text.contains("5 not converged"), "{name}");
    }
    assert!(console_table(&[&results]).contains(&written));
}

/// A sweep of the dirty rate over whose upper half an arm gives up: its line goes on, as bounds.
#[test]
fn a_sweep_draws_what_was_given_up_as_a_bound_and_its_line_goes_on() {
    let runs = |give_up: bool| -> Vec<(PathBuf, Results)> {
        let mut runs = Vec::new();
        for (index, rate) in ["100MiB/s", "200MiB/s", "400MiB/s"].into_iter().enumerate() {
            let mut results = support::run(5, 7);
            results.scenario.workload.rate = rate.parse().unwrap();
            for m in &mut results.migrations {
                if give_up && index > 0 && m.arm == Arm::AWS_LC {
                    m.outcome.status = OutcomeStatus::NotConverged;
                    m.outcome.reason = Some("round limit".to_owned());
                }
            }
            runs.push((PathBuf::from(rate), support::compared(results)));
        }
        runs
    };
    let count = |page: &str, what: &str| page.matches(what).count();
    let page = |give_up| report::runs::page_of(&runs(give_up)).unwrap();
    let (whole, censored) = (page(false), page(true));
    // A mark's tip for each rate and metric in which the arm has one.
    let marks = |page: &str| count(page, "aws-lc, run ");
    let bounds = |page: &str| {
        let tips = page.split("aws-lc, run ").skip(1);
        tips.filter(|tip| tip.split('(').next().unwrap().contains("&gt; "))
            .count()
    };
    assert_eq!(bounds(&whole), 0);
    assert_eq!(bounds(&censored), 2, "total time at both higher rates");
    // Downtime alone has no bound that was measured: pages, and its sending is not drawn.
    assert_eq!(marks(&whole) - marks(&censored), 2);
}

#[test]
fn under_the_virtual_clock_no_time_is_shown() {
    let mut results = support::run(5, 8);
    results.scenario.measure.clock = ClockKind::Virtual;
    let results = support::compared(results);
    assert!(
        results
            .comparisons
            .iter()
            .all(|c| c.metric.ends_with("cpu_per_gib"))
    );
    let banner = "Virtual clock: times are arithmetic here";
    let page = page(&results);
    let summary = report::markdown::summary(&results);
    let console = console_table(&[&results]).replace('\n', " ");
    for (name, text) in [
        ("page", &page),
        ("summary", &summary),
        ("console", &console),
    ] {
        assert!(text.contains(banner), "{name}");
    }
    let headings = |text: &str| {
        text.lines()
            .filter(|l| l.starts_with("| arm"))
            .collect::<String>()
    };
    let shown = headings(&summary);
    assert!(shown.contains("source CPU"));
    for metric in Metric::all().filter(|metric| metric.row().needs_live_clock) {
        assert!(!shown.contains(metric.label()), "{metric:?} in {shown}");
    }
    assert!(!report::answer::headline(&results).contains("time"));
    let charts: Vec<String> = chart::of_run(&results)
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(charts, ["tax", "cpu"]);
    // The same run under the live clock shows all of it.
    let mut live = results.clone();
    live.scenario.measure.clock = ClockKind::Live;
    let live = support::compared(live);
    let summary = report::markdown::summary(&live);
    assert!(headings(&summary).contains("total time") && !summary.contains(banner));
    // A field of a time is empty, not a number.
    let csv = report::csv::migrations_csv(&results);
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    for line in lines {
        for (name, field) in names.iter().zip(line) {
            let time = name.contains("time_s") && !name.starts_with("setup")
                || name.contains("downtime")
                || name.contains("throughput");
            assert!(!time || field.is_empty(), "{name} {field}");
        }
    }
}

#[test]
fn readers_are_told_how_many_intervals_miss_by_chance() {
    let results = support::run(5, 9);
    let words = "can be expected to miss the true value by chance alone";
    let console = console_table(&[&results]).replace('\n', " ");
    for text in [page(&results), report::markdown::summary(&results), console] {
        assert_eq!(text.matches(words).count(), 1);
    }
}

/// What a host without AES instructions could do instead stands beside what software AES does there.
#[test]
fn the_headline_sets_another_cipher_beside_software_aes() {
    let headline = |arms: &[Arm]| {
        let results = support::compared(raw(&Simulation {
            blocks: 6,
            arms: arms.to_vec(),
            ..Simulation::default()
        }));
        report::answer::headline(&results)
    };
    let told = headline(&[
        Arm::PLAIN,
        Arm::AWS_LC_SOFT,
        Arm::AWS_LC,
        Arm::CHACHA20,
        Arm::CHACHA20_SOFT,
    ]);
    let at = |words: &str| {
        told.find(words)
            .unwrap_or_else(|| panic!("{words} in {told}"))
    };
    let software = at("; with software AES, aws-lc:");
    let other = at("; with ChaCha20-Poly1305, aws-lc on the same host:");
    assert!(software < other);
    assert!(!told.contains("without vector instructions"), "{told}");
    let alone = headline(&[Arm::PLAIN, Arm::AWS_LC, Arm::CHACHA20]);
    assert!(
        alone.contains("; with ChaCha20-Poly1305, aws-lc:"),
        "{alone}"
    );
}

/// What a tax rests on stands beside the arm's name: its beginning is not cut off at the picture's edge.
#[test]
fn the_longest_doubt_has_room_in_the_chart_of_taxes() {
    let mut results = support::run(5, 6);
    for comparison in &mut results.comparisons {
        (comparison.blocks, comparison.not_converged) = (100, 100);
    }
    let figures = chart::of_run(&results);
    let tax = figures.iter().find(|figure| figure.name == "tax").unwrap();
    assert!(
        tax.picture
            .svg()
            .unwrap()
            .contains("n 100, 100 not converged")
    );
    let file = tax.picture.png().unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(file))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    // The rim of every picture is empty.
    for row in pixels[..frame.buffer_size()].chunks(frame.line_size) {
        assert!(row[..3 * 4].iter().all(|value| *value == 255));
    }
}
