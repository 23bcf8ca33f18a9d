//! Whether guest memory was backed as the scenario asks.

use crate::memory::Pages;
use crate::results::{Migration, OutcomeStatus, Results, Warning};

/// Share of guest memory in huge pages below which figures are not those of huge pages.
const LEAST_HUGE: f64 = 0.95;

/// What is to be said if huge pages were asked for and guest memory hardly had any.
pub(super) fn huge_pages(results: &Results) -> Option<Warning> {
    let guest = &results.scenario.guest;
    if guest.pages != Pages::Huge {
        return None;
    }
    let least = |of: fn(&Migration) -> Option<u64>| {
        let done = results.migrations.iter();
        done.filter(|m| m.outcome.status == OutcomeStatus::Completed)
            .filter_map(of)
            .min()
    };
    let sides = [
        ("source", least(|m| m.source_huge_bytes)),
        ("destination", least(|m| m.destination_huge_bytes)),
    ];
    let mib = |bytes: f64| format!("{:.0} MiB", bytes / f64::from(1 << 20));
    let memory = guest.memory.0 as f64;
    let lacking: Vec<String> = sides
        .into_iter()
        .filter_map(|(side, huge)| Some((side, huge? as f64)))
        .filter(|(_, huge)| *huge < LEAST_HUGE * memory)
        .map(|(side, huge)| format!("{} at the {side}", mib(huge)))
        .collect();
    (!lacking.is_empty()).then(|| Warning {
        code: "huge_pages_missing".to_owned(),
        message: format!(
            "of {} of guest memory that was to be in huge pages, as little was: {}",
            mib(memory),
            lacking.join(", ")
        ),
        remedy: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, and free memory in \
                 whole blocks: echo 1 > /proc/sys/vm/compact_memory"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::simulate::{Simulation, results};

    #[test]
    fn huge_pages_that_the_kernel_did_not_give_are_told_of() {
        let mut run = results(&Simulation::default());
        assert_eq!(huge_pages(&run), None);
        run.scenario.guest.pages = Pages::Huge;
        let memory = run.scenario.guest.memory.0;
        for migration in &mut run.migrations {
            migration.source_huge_bytes = Some(memory);
            migration.destination_huge_bytes = Some(memory);
        }
        assert_eq!(huge_pages(&run), None);
        run.migrations[4].destination_huge_bytes = Some(memory / 2);
        let said = huge_pages(&run).unwrap().message;
        assert!(
            said.contains("256 MiB at the destination") && !said.contains("source"),
            "{said}"
        );
    }
}
