//! Each weakness is found where it is put in, and none where there is none.

use super::*;
use crate::gate::noise::Scales;
use crate::gate::simulate::{Simulation, results};

type Edit = fn(&mut Results);

fn codes(results: &Results) -> Vec<String> {
    warnings(results).into_iter().map(|w| w.code).collect()
}

#[test]
fn a_quiet_run_of_ten_blocks_has_no_warning() {
    let run = results(&Simulation {
        blocks: 10,
        noise: Scales::of(0.05, 0.03, 0.02),
        ..Simulation::default()
    });
    assert_eq!(codes(&run), Vec::<String>::new());
}

#[test]
fn each_weakness_is_named_once() {
    let quiet = results(&Simulation {
        blocks: 10,
        noise: Scales::of(0.05, 0.03, 0.02),
        ..Simulation::default()
    });
    let change: &[(&str, Edit)] = &[
        ("few_repetitions", |r| r.migrations.retain(|m| m.block < 5)),
        ("busy_machine", |r| r.host.load_before = 1.5),
        ("busy_machine", |r| r.host.other_cpu_share = 0.2),
        ("steal", |r| r.host.steal_share = 0.05),
        ("unsteady_cpu", |r| r.host.spin_spread = 0.4),
        ("not_converged", |r| {
            r.migrations[0].outcome.status = OutcomeStatus::NotConverged;
        }),
        ("failed", |r| {
            r.migrations[0].outcome.status = OutcomeStatus::Failed;
        }),
        ("downtime_limit_exceeded", |r| {
            let limit_s = r.scenario.migration.downtime_limit.as_secs_f64();
            for m in &mut r.migrations {
                // Stopped at a limit, it promised nothing.
                if m.arm == Arm::COPY {
                    m.outcome.reason = Some("stopped and copied at the round limit".to_owned());
                }
                if m.arm == Arm::COPY || m.arm == Arm::AWS_LC && m.block < 2 {
                    m.downtime.total_s = 2.0 * limit_s;
                }
            }
        }),
        ("fell_back", |r| {
            r.migrations[0].outcome.status = OutcomeStatus::FellBack;
        }),
        ("arms_identical", |r| {
            let features = r.arms[5].engaged_features.clone();
            r.arms[6].engaged_features = features;
        }),
        ("achieved_rate", |r| {
            for m in &mut r.migrations {
                if m.arm == Arm::AWS_LC {
                    m.guest.schedule_kept = 0.9;
                }
            }
        }),
        ("lost_acknowledgement", |r| {
            for m in &mut r.migrations[..2] {
                m.arm = Arm::AWS_LC;
                m.warnings.push(warning(
                    "lost_acknowledgement",
                    "the stream broke".to_owned(),
                    "look at the link",
                ));
            }
        }),
        ("high_spread", |r| {
            for c in &mut r.comparisons {
                if c.arm == Arm::AWS_LC {
                    c.ci_high = c.ratio * 2.0;
                }
            }
        }),
    ];
    for (code, apply) in change {
        let mut run = quiet.clone();
        apply(&mut run);
        assert_eq!(codes(&run), vec![(*code).to_owned()]);
        let warning = &warnings(&run)[0];
        assert!(
            warning.message.chars().any(|c| c.is_ascii_digit()) || *code == "arms_identical",
            "{warning:?}"
        );
        assert!(!warning.remedy.is_empty());
    }
}
