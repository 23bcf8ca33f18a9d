//! The cost of a clock read: what results record is what the hosts subtract.

use crate::command::{migtax, run};

const SCENARIO: &str = "name = \"clock\"\n[guest]\nmemory = \"4MiB\"\n[workload]\nrate = \"0MiB/s\"\n\
                        [measure]\narms = [\"plain\"]\nrepetitions = 2\nwarmup = 0\nwindow = \"1ms\"\n";

/// A host says in its first event what it counts a read as. The destination stands for one on a
/// machine of its own, which would have measured anew; its output is kept on the way.
#[test]
fn hosts_subtract_the_cost_that_results_record() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let program = migtax().get_program().to_str().unwrap().to_owned();
    let script = format!("{program} \"$@\" | tee -a {}", said.display());
    let destination = format!("sh -c '{script}' migtax");
    let made = run(
        SCENARIO,
        &["--connect", "127.0.0.1", "--destination", &destination],
    );
    assert_eq!(made.code, 0);
    let recorded = made.results.host.destination_thread_clock_read_ns.unwrap();
    assert!(recorded > 0.0 && recorded.fract() == 0.0, "{recorded}");
    let said = std::fs::read_to_string(said).unwrap();
    let ready: Vec<f64> = said
        .lines()
        .filter(|line| line.starts_with("{\"ready\""))
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["ready"]["capabilities"]["thread_clock_read_ns"]
                .as_f64()
                .unwrap()
        })
        .collect();
    assert_eq!(ready, [recorded; 2]);
}
