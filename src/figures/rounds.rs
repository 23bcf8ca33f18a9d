//! What happened over the rounds of one migration.

use super::rates::over;
use crate::results::Migration;
use crate::units::GIB;

/// Wire traffic of a migration over time, from the bytes of its rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct WireTraffic {
    /// `(start_s, end_s, GiB/s)` of each round.
    pub steps: Vec<(f64, f64, f64)>,
    /// Largest rate over the mean rate.
    pub peak_to_mean: f64,
    /// Standard deviation of the rate over its mean, weighted by time.
    pub variation: f64,
}

/// Wire traffic from a migration's rounds: within a round only its mean rate is known, and the
/// time between rounds carries nothing. `None` without a round that took time.
pub fn wire_traffic(migration: &Migration) -> Option<WireTraffic> {
    let steps: Vec<_> = migration
        .rounds
        .iter()
        .filter_map(|round| {
            let rate = over(round.bytes_on_wire as f64 / GIB, round.duration_s)?;
            Some((round.started_s, round.started_s + round.duration_s, rate))
        })
        .collect();
    let start = steps.first()?.0;
    let end = steps.last()?.1;
    let span = end - start;
    let carried: f64 = steps
        .iter()
        .map(|(from, to, rate)| (to - from) * rate)
        .sum();
    let mean = over(carried, span)?;
    let peak = steps.iter().map(|step| step.2).fold(0.0, f64::max);
    let busy: f64 = steps.iter().map(|(from, to, _)| to - from).sum();
    let squares: f64 = steps
        .iter()
        .map(|(from, to, rate)| (to - from) * (rate - mean).powi(2))
        .sum();
    let idle = (span - busy).max(0.0) * mean * mean;
    Some(WireTraffic {
        peak_to_mean: over(peak, mean)?,
        variation: over(((squares + idle) / span).sqrt(), mean)?,
        steps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::simulate::{Simulation, raw};

    #[test]
    fn wire_traffic_is_as_bursty_as_its_rounds() {
        let run = raw(&Simulation::default());
        let mut migration = run.migrations[0].clone();
        let round = |started_s, duration_s, gib: u64| {
            let mut round = migration.rounds[0];
            round.started_s = started_s;
            round.duration_s = duration_s;
            round.bytes_on_wire = gib << 30;
            round
        };
        // 2 GiB/s for 1 s, nothing for 2 s, 2 GiB/s for 1 s: a mean of 1.
        let rounds = vec![round(0.0, 1.0, 2), round(3.0, 1.0, 2)];
        migration.rounds = rounds;
        let traffic = wire_traffic(&migration).unwrap();
        assert_eq!(traffic.steps, [(0.0, 1.0, 2.0), (3.0, 4.0, 2.0)]);
        assert_eq!(traffic.peak_to_mean, 2.0);
        assert_eq!(traffic.variation, 1.0);
        migration.rounds.clear();
        assert_eq!(wire_traffic(&migration), None);
    }
}
