//! What guest memory is backed by, through whole migrations.

use std::path::Path;

use crate::command::{migtax, scenario_file};
use crate::migration::IDLE;
use migtax::memory::Pages;
use migtax::results::{OutcomeStatus, Results};
use migtax::run_folder;

/// Whatever backs it, the guest arrives as it was, and figures say what backed it.
#[test]
fn a_guest_arrives_whatever_backs_its_memory() {
    let text = IDLE
        .replace("0MiB/s", "100MiB/s")
        .replace("[workload]", "pages = [\"4k\", \"thp\"]\n[workload]")
        .replace(
            "[migration]",
            "[migration]\ndestination_memory = [\"faulted-in\", \"on-demand\"]",
        );
    let (folder, path) = scenario_file(&text);
    let out = folder.path().join("run");
    let status = migtax()
        .args([
            "run",
            &path,
            "--arms",
            "plain,copy,rustcrypto-soft",
            "--out",
        ])
        .arg(&out)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let points = points(&out);
    assert_eq!(points.len(), 4);
    for point in &points {
        let scenario = &point.scenario;
        let asked = (scenario.guest.pages, scenario.migration.destination_memory);
        assert_eq!(point.migrations.len(), 3);
        for m in &point.migrations {
            assert_eq!(m.outcome.status, OutcomeStatus::Completed, "{asked:?}");
            assert!(m.verified.equal);
            let told = m.source_huge_bytes.is_some() && m.destination_huge_bytes.is_some();
            assert_eq!(told, asked.0 == Pages::Huge);
            assert!(m.source_huge_bytes.unwrap_or(0) <= m.memory_bytes);
            // Guest memory that is not there yet is no part of it.
            assert!(m.destination_resident_bytes.unwrap() > 0, "{asked:?}");
        }
    }
}

fn points(out: &Path) -> Vec<Results> {
    let folders = std::fs::read_dir(out).unwrap().flatten();
    folders
        .filter_map(|folder| run_folder::read(&folder.path()).ok())
        .collect()
}
