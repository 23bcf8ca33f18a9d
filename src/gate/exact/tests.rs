//! Tests of [`super`], in a file of their own for length.

use std::fs;

use super::*;
use crate::gate::simulate::{Simulation, raw};

fn run() -> Results {
    let mut run = raw(&Simulation {
        blocks: 2,
        ..Simulation::default()
    });
    run.scenario.measure.clock = ClockKind::Virtual;
    run
}

#[test]
fn equal_counts_pass_and_any_other_regresses() {
    let base = run();
    let mut cand = run();
    let verdicts = |cand: &Results| -> Vec<Verdict> {
        judge(
            &counts(&base),
            &counts(cand),
            &Arm::by_default().collect::<Vec<_>>(),
        )
        .into_iter()
        .map(|r| r.verdict)
        .collect()
    };
    assert!(verdicts(&cand).iter().all(|v| *v == Verdict::Pass));
    for m in cand.migrations.iter_mut().filter(|m| m.arm == Arm::AWS_LC) {
        m.records = m.records.map(|n| n - 1);
    }
    let got = verdicts(&cand);
    assert_eq!(got.iter().filter(|v| **v == Verdict::Regressed).count(), 1);
    cand.migrations[0].bytes_on_wire += 1;
    assert_eq!(
        verdicts(&cand)
            .iter()
            .filter(|v| **v == Verdict::Regressed)
            .count(),
        2,
        "an arm that differs among its own blocks"
    );
}

#[test]
fn arms_that_sent_different_pages_are_found() {
    let mut cand = run();
    for m in cand.migrations.iter_mut().filter(|m| m.arm == Arm::COPY) {
        m.rounds[1].pages_dirtied = Some(7);
    }
    let row = across_arms(&counts(&cand)).unwrap();
    assert_eq!(row.verdict, Verdict::Regressed);
    assert!(row.sentence.contains("round 1 pages_dirtied"), "{row:?}");
}

#[test]
fn the_reviewed_file_is_written_compared_and_its_changes_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("exact.json");
    let first = update_file(&file, &run()).unwrap();
    assert_eq!(first.len(), 7);
    assert!(update_file(&file, &run()).unwrap().is_empty());
    let judged = |run: &Results| judge_against_file(&file, run, "c".into()).unwrap();
    assert_eq!(judged(&run()).verdict, Verdict::Pass);

    let mut changed = run();
    for m in &mut changed.migrations {
        m.verified.source_hash = "00".to_owned();
        m.verified.destination_hash = "00".to_owned();
    }
    let report = judged(&changed);
    assert_eq!(report.verdict, Verdict::Regressed);
    assert!(
        report.sentence.contains("source_hash"),
        "{}",
        report.sentence
    );

    let mut fewer = run();
    fewer.arms.retain(|a| a.name != Arm::AWS_LC);
    fewer.migrations.retain(|m| m.arm != Arm::AWS_LC);
    assert_eq!(judged(&fewer).verdict, Verdict::Incomparable);

    let mut unsupported = run();
    unsupported.arms[6].supported = false;
    unsupported.migrations.retain(|m| m.arm != Arm::AWS_LC);
    let report = judged(&unsupported);
    assert_eq!(report.verdict, Verdict::Pass);
    assert_eq!(report.notes.len(), 1);

    let mut live = run();
    live.scenario.measure.clock = ClockKind::Live;
    assert_eq!(judged(&live).verdict, Verdict::Incomparable);
    assert!(update_file(&file, &live).is_err());
    let mut other = run();
    other.scenario.guest.vcpus = 2;
    assert_eq!(judged(&other).verdict, Verdict::Incomparable);
    other.scenario.name = "another".to_owned();
    assert_eq!(judged(&other).verdict, Verdict::Incomparable);

    let changes = update_file(&file, &changed).unwrap();
    assert_eq!(changes.len(), 7);
    assert!(changes[0].contains("became 00"), "{changes:?}");
    fs::write(&file, "{}").unwrap();
    assert!(judge_against_file(&file, &run(), "c".into()).is_err());
}

#[test]
fn counts_that_stand_there_twice_are_refused() {
    let text = include_str!("../../../datasets/exact.json");
    Baseline::parse(text.as_bytes()).unwrap();
    let (head, scenario) = text.split_once("\"scenarios\": {").unwrap();
    let scenario = scenario.trim_end().trim_end_matches('}').trim_end();
    let scenario = scenario.trim_end_matches('}');
    let twice = format!("{head}\"scenarios\": {{{scenario},{scenario}}}}}");
    let error = Baseline::parse(twice.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("stands there twice"), "{error}");
    let twice = text.replacen("\"copy\": {", "\"plain\": {", 1);
    assert_ne!(twice, text);
    let error = Baseline::parse(twice.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("plain stands there twice"), "{error}");
}
