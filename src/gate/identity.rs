//! Whether two runs may be compared at all.

use crate::machine::same_machine;
use crate::results::{Results, same_meaning};
use crate::scenario::{ClockKind, Scenario, differences};

/// What two runs allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparable {
    /// Everything.
    Yes,
    /// Counts of the virtual clock only, and why.
    ExactOnly(String),
    /// Nothing, and why.
    No(String),
}

/// What two runs allow: their format versions must mean the same and their scenarios hold the same
/// values, whatever they are called; on different hosts only exact counts may be compared.
pub fn comparable(baseline: &Results, candidate: &Results) -> Comparable {
    if !same_meaning(baseline.schema_version, candidate.schema_version) {
        return Comparable::No(format!(
            "schema_version differs: {} and {}",
            baseline.schema_version, candidate.schema_version
        ));
    }
    if let Some(why) = scenario_difference(&baseline.scenario, &candidate.scenario) {
        return Comparable::No(why);
    }
    match same_machine(&baseline.host, &candidate.host) {
        None => Comparable::Yes,
        Some(why) if baseline.scenario.measure.clock == ClockKind::Virtual => {
            Comparable::ExactOnly(format!("{why}: only exact counts are compared"))
        }
        Some(why) => Comparable::No(format!(
            "different hosts, and no exact counts under the live clock: {why}"
        )),
    }
}

/// The first value in which two scenarios differ, in words.
pub(super) fn scenario_difference(a: &Scenario, b: &Scenario) -> Option<String> {
    Some(differences(a, b).first()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::simulate::{Simulation, raw};
    use crate::units::Rate;

    #[test]
    fn what_may_be_compared() {
        let run = raw(&Simulation::default());
        assert_eq!(comparable(&run, &run.clone()), Comparable::Yes);

        let mut longer = run.clone();
        longer.scenario.measure.repetitions = 30;
        longer.scenario.name = "renamed".to_owned();
        longer.scenario.analysis = "other words".to_owned();
        longer.schema_version = 1;
        assert_eq!(comparable(&run, &longer), Comparable::Yes);

        let mut other = run.clone();
        other.scenario.workload.rate = Rate(1 << 20);
        let Comparable::No(why) = comparable(&run, &other) else {
            panic!("another scenario");
        };
        assert!(
            why.contains("workload.rate") && why.contains("1MiB/s"),
            "{why}"
        );

        let mut elsewhere = run.clone();
        elsewhere.host.cpu_model = "other".to_owned();
        assert!(matches!(comparable(&run, &elsewhere), Comparable::No(_)));
        let (mut a, mut b) = (run.clone(), elsewhere);
        a.scenario.measure.clock = ClockKind::Virtual;
        b.scenario.measure.clock = ClockKind::Virtual;
        assert!(matches!(comparable(&a, &b), Comparable::ExactOnly(_)));

        let mut newer = run.clone();
        newer.schema_version += 1;
        assert!(matches!(comparable(&run, &newer), Comparable::No(_)));
    }
}
