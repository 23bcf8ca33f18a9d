//! Runs of QEMU's arms, alone and beside this program's own: each group is judged over its own baseline.

use migtax::arm::Arm;
use migtax::error::ExitCode;
use migtax::gate::noise::Scales;
use migtax::gate::simulate::{Simulation, Slowdown, Stage, mixed, raw};
use migtax::gate::{Config, Report, Verdict, judge_runs};
use migtax::results::{Migration, Results};

fn of_qemu() -> Vec<Arm> {
    Arm::all().filter(|arm| arm.is_qemu()).collect()
}

fn quiet(seed: u64, arms: Vec<Arm>) -> Simulation {
    Simulation {
        seed,
        machine_seed: seed,
        blocks: 10,
        noise: Scales::of(0.05, 0.008, 0.03),
        arms,
        ..Simulation::default()
    }
}

fn judged(baseline: &Results, candidate: &Results) -> Report {
    let names = ["a".to_owned(), "b".to_owned()];
    judge_runs(baseline, candidate, &Config::built_in(), names)
}

/// The answer on a candidate that was changed after it was measured, in runs of such arms.
fn changed(arms: &[Arm], of: &[Arm], change: fn(&mut Migration)) -> Report {
    let baseline = raw(&quiet(1, arms.to_vec()));
    let mut candidate = raw(&quiet(2, arms.to_vec()));
    let migrations = candidate.migrations.iter_mut();
    migrations.filter(|m| of.contains(&m.arm)).for_each(change);
    judged(&baseline, &candidate)
}

type Change = (&'static str, fn(&mut Migration));

const TRIPLED: [Change; 3] = [
    ("source_cpu_per_gib", |m| m.cpu.source.total_s *= 3.0),
    ("destination_cpu_per_gib", |m| {
        m.cpu.destination.total_s *= 3.0
    }),
    ("total_time", |m| m.total_time_s *= 3.0),
];

#[test]
fn equal_runs_pass_and_every_figure_is_judged_over_its_own_baseline() {
    for arms in [of_qemu(), mixed()] {
        let report = changed(&arms, &[], |_| {});
        assert_eq!(report.verdict, Verdict::Pass, "{}", report.sentence);
        assert_eq!(report.verdict.exit_code(), ExitCode::Done);
        let sentence = |arm: Arm, metric: &str| {
            let mut rows = report.rows.iter();
            let row = rows.find(|row| row.arm == arm.name() && row.metric == metric);
            row.map(|row| row.sentence.clone())
        };
        for (metric, _) in TRIPLED {
            for arm in [Arm::QEMU_TLS, Arm::QEMU_TLS_SOFT] {
                let told = sentence(arm, metric).unwrap();
                assert!(told.contains("against qemu-plain "), "{arm}: {told}");
            }
            let told = sentence(Arm::QEMU_PLAIN, metric).unwrap();
            assert!(!told.contains("against"), "{told}");
        }
        // QEMU tells no stages: no row says anything of them, and no note misses them.
        for metric in ["seal_cpu_per_gib", "open_cpu_per_gib", "apply_cpu_per_gib"] {
            assert!(
                of_qemu()
                    .into_iter()
                    .all(|arm| sentence(arm, metric).is_none())
            );
            assert!(!report.notes.iter().any(|note| note.contains(metric)));
        }
        if arms.contains(&Arm::AWS_LC) {
            let told = sentence(Arm::AWS_LC, "total_time").unwrap();
            assert!(told.contains("against plain "), "{told}");
        }
    }
}

#[test]
fn a_tripled_figure_is_a_regression_whichever_arms_have_it() {
    let all = of_qemu();
    for arms in [all.clone(), mixed()] {
        let slowed = [
            &[Arm::QEMU_TLS][..],
            &[Arm::QEMU_TLS_SOFT],
            &[Arm::QEMU_PLAIN],
            &all,
        ];
        for of in slowed {
            for (metric, change) in TRIPLED {
                let context = format!("{of:?} of {} arms, {metric}", arms.len());
                let report = changed(&arms, of, change);
                assert_eq!(report.verdict, Verdict::Regressed, "{context}");
                assert_eq!(report.verdict.exit_code(), ExitCode::Regression);
                let regressed = |row: &&migtax::gate::Row| row.verdict == Verdict::Regressed;
                let found = report.rows.iter().filter(regressed);
                let expected = if of.len() == 1 {
                    of[0]
                } else {
                    Arm::QEMU_PLAIN
                };
                let rows: Vec<_> = found
                    .map(|row| (row.arm.as_str(), row.metric.as_str()))
                    .collect();
                assert_eq!(rows, [(expected.name(), metric)], "{context}");
            }
        }
    }
    // The same of this program's own baseline, and of a downtime.
    let report = changed(&mixed(), &[Arm::PLAIN], TRIPLED[0].1);
    assert_eq!(report.verdict, Verdict::Regressed, "{}", report.sentence);
    let report = changed(&all, &[Arm::QEMU_TLS], |m| m.downtime.total_s *= 3.0);
    assert_eq!(report.verdict, Verdict::Regressed, "{}", report.sentence);
}

/// As of an arm that was left out: it must not pass.
#[test]
fn what_one_run_does_not_tell_is_incomparable() {
    for side in 0..2 {
        let mut runs = [raw(&quiet(1, of_qemu())), raw(&quiet(2, of_qemu()))];
        let migrations = runs[side].migrations.iter_mut();
        for m in migrations.filter(|m| m.arm == Arm::QEMU_TLS) {
            m.cpu.source.total_s = 0.0;
        }
        let report = judged(&runs[0], &runs[1]);
        assert_eq!(report.verdict, Verdict::Incomparable, "{}", report.sentence);
        let told = |row: &migtax::gate::Row| {
            (row.arm == "qemu-tls" && row.metric == "source_cpu_per_gib")
                && row.verdict == Verdict::Incomparable
        };
        assert!(report.rows.iter().any(told));
    }
    let mut candidate = raw(&quiet(2, of_qemu()));
    candidate
        .arms
        .retain(|info| info.name != Arm::QEMU_TLS_SOFT);
    candidate.migrations.retain(|m| m.arm != Arm::QEMU_TLS_SOFT);
    let report = judged(&raw(&quiet(1, of_qemu())), &candidate);
    assert_eq!(report.verdict, Verdict::Incomparable);
}

/// Without its baseline an arm is judged by its own figure: a machine that is a sixth slower passes, three
/// times the cost does not.
#[test]
fn an_arm_without_its_baseline_does_not_pass_on_outcomes_alone() {
    let arms = vec![Arm::QEMU_TLS, Arm::AWS_LC];
    let slower = raw(&Simulation {
        machine: 1.15,
        ..quiet(2, arms.clone())
    });
    let report = judged(&raw(&quiet(1, arms.clone())), &slower);
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.sentence);
    let named = |note: &String| note.contains("of aws-lc, qemu-tls by");
    assert!(report.notes.iter().any(named), "{:?}", report.notes);
    let report = changed(&arms, &[Arm::QEMU_TLS], TRIPLED[2].1);
    assert_eq!(report.verdict, Verdict::Regressed, "{}", report.sentence);
}

/// A rise of QEMU's own work is found as the gate claims; one that is the machine's is not called one.
#[test]
fn a_slowed_stage_shows_in_the_total_and_a_slower_machine_does_not() {
    let baseline = raw(&quiet(1, mixed()));
    let slowed = raw(&Simulation {
        slowdown: Some(Slowdown {
            stage: Stage::Seal,
            factor: 1.5,
            arm: Some(Arm::QEMU_TLS),
        }),
        ..quiet(2, mixed())
    });
    let report = judged(&baseline, &slowed);
    assert_eq!(report.verdict, Verdict::Regressed, "{}", report.sentence);
    let slower = raw(&Simulation {
        machine: 1.2,
        ..quiet(2, mixed())
    });
    let report = judged(&baseline, &slower);
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.sentence);
}

/// What goes through TLS or a tunnel is judged as the others: by stages where they are told, else by totals.
#[test]
fn arms_below_whose_records_something_seals_are_judged_too() {
    let through = || Arm::all().filter(|arm| arm.channel().is_some());
    let arms: Vec<Arm> = Arm::by_default().chain(through()).collect();
    let report = changed(&arms, &[], |_| {});
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.sentence);
    for arm in through() {
        let mut rows = report.rows.iter().filter(|row| row.arm == arm.name());
        let staged = rows.any(|row| row.metric == "seal_cpu_per_gib");
        assert_eq!(staged, arm.has_stages(), "{arm}");
        for (metric, change) in TRIPLED {
            let report = changed(&arms, &[arm], change);
            assert_eq!(report.verdict, Verdict::Regressed, "{arm}, {metric}");
            let regressed = report
                .rows
                .iter()
                .filter(|r| r.verdict == Verdict::Regressed);
            let found: Vec<_> = regressed
                .map(|row| (row.arm.as_str(), row.metric.as_str()))
                .collect();
            assert_eq!(found, [(arm.name(), metric)]);
        }
    }
}
