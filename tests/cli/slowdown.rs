//! Slowdowns of known size reach the stage that they are meant for, and are told of.

use crate::command::{migtax, scenario_file};
use crate::migration::IDLE;
use migtax::results::{Cpu, Results};

/// CPU of the arm `copy`, with a stage made eleven times as expensive or none.
fn measured(variable: Option<&str>) -> (Cpu, Results) {
    let text = IDLE
        .replace("8MiB", "64MiB")
        .replace("repetitions = 1", "repetitions = 3");
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
    let results = migtax::run_folder::parse(&output.stdout).unwrap();
    // The least of three: what else ran on this machine only adds.
    let cpu = results.migrations.iter().map(|m| m.cpu);
    let cpu = cpu.min_by(|a, b| {
        let whole = |cpu: &Cpu| cpu.source.total_s + cpu.destination.total_s;
        whole(a).total_cmp(&whole(b))
    });
    (cpu.unwrap(), results)
}

#[test]
fn an_injected_slowdown_falls_on_its_stage_and_is_told_of() {
    let (plain, untouched) = measured(None);
    let told = |results: &Results| -> Vec<String> {
        let warnings = results.warnings.iter();
        let injected = warnings.filter(|w| w.code == "injected_slowdown");
        injected.map(|w| w.message.clone()).collect()
    };
    assert!(told(&untouched).is_empty());
    type Stage = (&'static str, &'static str, fn(&Cpu) -> f64);
    let stages: [Stage; 3] = [
        ("MIGTAX_INJECT_SEAL_SLOWDOWN", "seal", |c| c.source.seal_s),
        ("MIGTAX_INJECT_TRANSMIT_SLOWDOWN", "transmit", |c| {
            c.source.transmit_s
        }),
        ("MIGTAX_INJECT_APPLY_SLOWDOWN", "apply", |c| {
            c.destination.apply_s
        }),
    ];
    for (variable, stage, of) in stages {
        let (slow, results) = measured(Some(variable));
        assert!(
            of(&slow) > 3.0 * of(&plain),
            "{stage}: {slow:?} after {plain:?}"
        );
        let told = told(&results);
        assert!(
            told.len() == 1 && told[0].contains(stage) && told[0].contains("1000.0%"),
            "{told:?}"
        );
    }
}
