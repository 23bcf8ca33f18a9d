//! Slowdowns of known size reach the stage that they are meant for, and are told of.

use crate::command::{migtax, scenario_file};
use crate::migration::IDLE;
use migtax::results::{Cpu, Results};

/// CPU of the arm `copy`, with a stage made eleven times as expensive or none.
fn measured(variable: Option<&str>) -> Results {
    let text = IDLE
        .replace("8MiB", "64MiB")
        .replace("repetitions = 1", "repetitions = 7");
    let (folder, path) = scenario_file(&text);
    let mut command = migtax();
    command
        .args(["run", &path, "--arms", "copy", "--json", "--out"])
        .arg(folder.path().join("run"));
    if let Some(variable) = variable {
        command.env(variable, "10");
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    migtax::run_folder::parse(&output.stdout).unwrap()
}

#[test]
fn an_injected_slowdown_falls_on_its_stage_and_is_told_of() {
    let untouched = measured(None);
    // Whose time the kernel charges with receiving changes from one migration to the next.
    let median = |results: &Results, of: fn(&Cpu) -> f64| {
        migtax::figures::median(results.migrations.iter().map(|m| of(&m.cpu))).unwrap()
    };
    let told = |results: &Results| -> Vec<String> {
        let warnings = results.warnings.iter();
        let injected = warnings.filter(|w| w.code == "injected_slowdown");
        injected.map(|w| w.message.clone()).collect()
    };
    assert!(told(&untouched).is_empty());
    type Stage = (&'static str, &'static str, fn(&Cpu) -> f64);
    let stages: [Stage; 3] = [
        ("MIGTAX_INJECT_SEAL_SLOWDOWN", "seal", |c| {
            c.source.stages.unwrap().seal_s
        }),
        ("MIGTAX_INJECT_TRANSMIT_SLOWDOWN", "transmit", |c| {
            c.source.stages.unwrap().transmit_s
        }),
        ("MIGTAX_INJECT_APPLY_SLOWDOWN", "apply", |c| {
            c.destination.stages.unwrap().apply_s
        }),
    ];
    for (variable, stage, of) in stages {
        let results = measured(Some(variable));
        let (slow, plain) = (median(&results, of), median(&untouched, of));
        assert!(slow > 3.0 * plain, "{stage}: {slow} s after {plain} s");
        let told = told(&results);
        assert!(
            told.len() == 1 && told[0].contains(stage) && told[0].contains("1000.0%"),
            "{told:?}"
        );
    }
}
