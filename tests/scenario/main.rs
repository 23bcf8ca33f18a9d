//! Scenario files: what is embedded, what is read, what is refused and how.

mod impossible;
mod platform;

use std::collections::BTreeSet;

use migtax::error::ExitCode;
use migtax::scenario::{self, EMBEDDED, Scenario};

#[test]
fn every_file_is_embedded_under_its_name_with_an_analysis() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/scenarios");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            assert_eq!(path.extension().unwrap(), "toml", "{}", path.display());
            path.file_stem().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    let listed: BTreeSet<String> = EMBEDDED
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(files, listed);
    assert_eq!(EMBEDDED.len(), listed.len());
    for (name, scenario) in scenario::embedded() {
        assert_eq!(scenario.name, name);
        assert!(scenario.analysis.len() > 80, "{name}: say why it exists");
    }
}

#[test]
fn only_a_name_is_required() {
    let points = scenario::parse("x.toml", "name = \"x\"").unwrap();
    let [scenario] = points.as_slice() else {
        panic!("{} points", points.len());
    };
    assert_eq!(scenario.measure.arms.len(), 7);
    assert_eq!(scenario.migration.streams, 1);
    let error = scenario::parse("x.toml", "").unwrap_err().to_string();
    assert!(error.contains("missing field `name`"), "{error}");
}

#[test]
fn resolved_scenarios_read_back_the_same() {
    for (_, scenario) in scenario::embedded() {
        let text = serde_json::to_string(&scenario).unwrap();
        let back: Scenario = serde_json::from_str(&text).unwrap();
        assert_eq!(back, scenario);
    }
}

#[test]
fn unknown_names_and_files_are_invalid_input() {
    let error = scenario::load(Some("no-such-thing")).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    assert!(error.to_string().contains("default"), "{error}");
    let error = scenario::load(Some("no/such.toml")).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    assert!(error.to_string().contains("no/such.toml"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = scenario::load(folder.path().to_str()).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::InvalidInput);
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    let error = scenario::load(binary.to_str()).unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn folder_names_are_safe() {
    let cases = [
        ("redis-like-bursts", "redis-like-bursts"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "scenario"),
        ("", "scenario"),
        ("-rf", "rf"),
        ("a b\nc\0d", "a-b-c-d"),
        ("\u{e9}t\u{e9}", "t"),
        ("C:\\x", "C--x"),
    ];
    for (name, folder) in cases {
        assert_eq!(scenario::folder_name(name), folder);
    }
    assert_eq!(scenario::folder_name(&"x".repeat(500)).len(), 64);
}

#[test]
fn values_of_qemus_are_settable_in_files_and_matrices() {
    let text = "name = \"q\"\n[migration]\nstreams = 2\n[qemu]\naccelerator = \"tcg\"\n\
                priority = \"NORMAL\"\ncompression = [\"zlib\", \"zstd\"]\nauto_converge = true\n";
    let points = migtax::scenario::parse("q", text).unwrap();
    let compressions: Vec<&str> = points.iter().map(|p| p.qemu.compression.name()).collect();
    assert_eq!(compressions, ["zlib", "zstd"]);
    for point in &points {
        assert_eq!(point.qemu.accelerator, migtax::scenario::Accelerator::Tcg);
        assert_eq!(point.qemu.priority, "NORMAL");
        assert!(point.qemu.auto_converge && !point.qemu.zero_copy_send);
        let json = serde_json::to_string(point).unwrap();
        let again: migtax::scenario::Scenario = serde_json::from_str(&json).unwrap();
        assert_eq!(&again, point);
    }
    let longest = format!(
        "name = \"q\"\n[qemu]\npriority = \"{}\"\n",
        "N".repeat(1000)
    );
    assert!(migtax::scenario::parse("q", &longest).is_ok());
    assert!(migtax::scenario::parse("q", &longest.replace("NN\"", "NNN\"")).is_err());
}
