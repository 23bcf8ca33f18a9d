//! What of a plan lies beyond what its run measured.

use super::hosts::Hosts;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::units::Bandwidth;

/// How many times a measured size or rate a plan may reach without a mark.
const REACH: f64 = 16.0;

/// Reasons to call a plan extrapolated, one a clause. That it may be for another CPU is not among them: the
/// plan does not know for which.
pub fn beyond(run: &Results, scenario: &Scenario, hosts: Hosts) -> Vec<String> {
    let measured = &run.scenario;
    let mut because = Vec::new();
    let (memory, own) = (scenario.guest.memory, measured.guest.memory);
    if memory.0 as f64 > own.0 as f64 * REACH {
        because.push(format!("memory {memory}, measured {own}"));
    }
    let (rate, own) = (scenario.workload.rate, measured.workload.rate);
    if rate.0 as f64 > (own.0 as f64 * REACH).max((64u64 << 20) as f64) {
        because.push(format!("rate {rate}, measured {own}"));
    }
    let (link, own) = (scenario.migration.link, measured.migration.link);
    let faster = match (link, own) {
        (_, Bandwidth::Unlimited) => false,
        (Bandwidth::Unlimited, _) => true,
        (Bandwidth::BitsPerSecond(link), Bandwidth::BitsPerSecond(own)) => link > own,
    };
    if faster {
        because.push(format!("link {link}, measured {own}"));
    }
    let (streams, own) = (scenario.migration.streams, measured.migration.streams);
    let cores = hosts.cores();
    if streams > cores {
        because.push(format!("{streams} streams on {cores} cores"));
    } else if streams != own {
        because.push(format!("{streams} streams, measured {own}"));
    }
    if hosts.cores() > run.host.cores {
        because.push(format!("{cores} cores, measured on {}", run.host.cores));
    }
    if scenario.migration.record != measured.migration.record {
        let (record, own) = (scenario.migration.record, measured.migration.record);
        because.push(format!("records of {record}, measured {own}"));
    }
    because
}
