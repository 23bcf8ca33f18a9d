//! One migration of a run, taken apart into costs.

use super::beside::Beside;
use super::costs::Costs;
use super::hosts::{Busy, Hosts};
use super::pacing::{Pacing, VcpuCosts};
use crate::results::{Migration, OutcomeStatus, Results, Round, VcpuWork};
use crate::units::{Bandwidth, PAGE_SIZE};

/// The link and the cores overlap in time, but not wholly: time is the p-norm of what each would take alone.
pub const OVERLAP: i32 = 6;

/// Sending that takes longer, seconds, hides what a round takes beside it.
const SHORT_S: f64 = 0.1;

/// CPU time of a vCPU's sleep at most, seconds.
const LONGEST_SLEEP_S: f64 = 100e-6;
/// Until it is awake then at most, seconds: a few time slices of the kernel's.
const LATEST_S: f64 = 10e-3;

/// A migration in a block, taken apart.
pub(super) struct Sample {
    pub(super) block: u32,
    pub(super) costs: Costs,
    /// What the whole of it came to, for how far migrations lie apart: source and destination CPU a byte, and the
    /// time of the first round a byte.
    pub(super) per_byte: [f64; 3],
}

/// A migration taken apart; `None` if it ended otherwise, sent no content or made no round.
pub(super) fn sample(m: &Migration, results: &Results, pacing: &Pacing) -> Option<Sample> {
    if !matches!(
        m.outcome.status,
        OutcomeStatus::Completed | OutcomeStatus::NotConverged
    ) {
        return None;
    }
    let first = m.rounds.first()?;
    let bytes = m.payload_bytes as f64;
    let first_pages = (first.pages_sent + first.zero_pages) as f64;
    if bytes <= 0.0 || first_pages <= 0.0 || first.duration_s <= 0.0 {
        return None;
    }
    let pages = (m.pages_sent + m.zero_pages) as f64;
    let (source, destination) = (&m.cpu.source, &m.cpu.destination);
    let mut costs = Costs {
        sent_share: m.content_bytes() as f64 / bytes,
        framing_bytes_per_page: framing(m),
        start_s: f64::NAN,
        harvest_s: f64::NAN,
        round_s: f64::NAN,
        pause_s: f64::NAN,
        switchover_s: f64::NAN,
        expected_fixed_s: f64::NAN,
        kept_busy: f64::NAN,
        link_stretch: f64::NAN,
        vcpu_write_s: f64::NAN,
        vcpu_fault_s: f64::NAN,
        vcpu_sleep_s: f64::NAN,
        vcpu_wake_s: f64::NAN,
        ..Costs::default()
    };
    match source.stages {
        Some(s) => {
            costs.prepare_per_page_s = s.prepare_s / pages;
            costs.seal_s = s.seal_s / bytes;
            costs.transmit_s = (source.total_s - s.prepare_s - s.seal_s).max(0.0) / bytes;
        }
        None => costs.transmit_s = source.total_s / bytes,
    }
    match destination.stages {
        Some(s) => {
            costs.open_apply_s = (s.open_s + s.apply_s) / bytes;
            costs.receive_s = (destination.total_s - s.open_s - s.apply_s).max(0.0) / bytes;
        }
        None => costs.receive_s = destination.total_s / bytes,
    }
    vcpu(&mut costs, m, results, pacing);
    times(&mut costs, m, first, results);
    let beside = Beside {
        hosts: Hosts::of(results),
        streams: f64::from(results.scenario.migration.streams),
        sleep_cores: sleeping_s(m.guest.work_during) / m.total_time_s,
    };
    let busy = Busy {
        source_s: source.total_s,
        destination_s: destination.total_s,
        ..Busy::default()
    };
    let costs = costs.alone(beside.alone(&busy, bytes, m.total_time_s));
    let sample = Sample {
        block: m.block,
        costs,
        per_byte: [
            source.total_s / bytes,
            destination.total_s / bytes,
            first.duration_s / first.payload_bytes.max(1) as f64,
        ],
    };
    let known = |value: &f64| value.is_finite() && *value > 0.0;
    Some(sample).filter(|s| s.per_byte.iter().all(known))
}

/// CPU time that vCPUs took beside their writes, seconds.
fn sleeping_s(work: Option<VcpuWork>) -> f64 {
    let writes = work.map_or(0.0, |work| work.writes as f64);
    let each_s = PerWrite::of(work).map_or(0.0, |each| each.cpu_s - each.timed_s);
    each_s.max(0.0) * writes
}

fn framing(m: &Migration) -> f64 {
    let content = m.content_bytes() + m.device_state_bytes.unwrap_or(0);
    let framing = m.bytes_on_wire.saturating_sub(content) as f64;
    framing / (m.pages_sent + m.zero_pages).max(1) as f64
}

/// What a vCPU did in a stretch of time, a write.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PerWrite {
    /// From its begin to its end, seconds.
    timed_s: f64,
    /// CPU time with sleep before it, seconds.
    cpu_s: f64,
    faults: f64,
}

impl PerWrite {
    /// None of a stretch without writes, or of a hypervisor's, whose writes nobody times.
    fn of(work: Option<VcpuWork>) -> Option<PerWrite> {
        let work = work.filter(|w| w.timed_writes > 0)?;
        let writes = work.writes as f64;
        Some(PerWrite {
            timed_s: work.timed_s / work.timed_writes as f64,
            cpu_s: work.cpu_s / writes,
            faults: work.minor_faults as f64 / writes,
        })
    }
}

fn vcpu(costs: &mut Costs, m: &Migration, results: &Results, pacing: &Pacing) {
    let (before, during) = (
        PerWrite::of(m.guest.work_before),
        PerWrite::of(m.guest.work_during),
    );
    let scenario = &results.scenario;
    let rate = scenario.workload.rate.0 as f64 / PAGE_SIZE as f64;
    let rate = rate / f64::from(scenario.guest.vcpus);
    let (vcpu, fault_s) = match (before, during) {
        (Some(before), Some(during)) => solved(before, during, pacing, rate),
        // A hypervisor's vCPU: all that it takes is by its writes.
        (_, None) if m.guest.writes > 0 => (
            VcpuCosts {
                write_s: m.cpu.source.vcpu_s / m.guest.writes as f64,
                sleep_s: 0.0,
                wake_s: 0.0,
            },
            0.0,
        ),
        _ => return,
    };
    costs.vcpu_write_s = vcpu.write_s;
    costs.vcpu_fault_s = fault_s;
    costs.vcpu_sleep_s = vcpu.sleep_s;
    costs.vcpu_wake_s = vcpu.wake_s;
}

/// What a vCPU takes, whose writes come at `rate` a second, and a fault more: a write and the CPU time of a sleep from
/// before the migration, when no other thread wants the core; what a fault takes and how late it wakes from what
/// differs during it.
fn solved(before: PerWrite, during: PerWrite, pacing: &Pacing, rate: f64) -> (VcpuCosts, f64) {
    let faulting_s = match during.faults > 0.0 {
        true => (during.timed_s - before.timed_s).max(0.0),
        false => 0.0,
    };
    let fault_s = match faulting_s > 0.0 {
        true => faulting_s / during.faults,
        false => 0.0,
    };
    let taken_s = |write_s, sleep_s, wake_s| {
        let vcpu = VcpuCosts {
            write_s,
            sleep_s,
            wake_s,
        };
        pacing.vcpu_s_per_write(rate, &vcpu)
    };
    // The longer a sleep, the more a write takes, up to what the rate allows.
    let sleep_s = bisected([0.0, LONGEST_SLEEP_S], |sleep_s| {
        taken_s(before.timed_s, sleep_s, sleep_s) < before.cpu_s
    });
    // The later it wakes, the more writes a sleep serves.
    let wake_s = bisected([sleep_s, LATEST_S], |wake_s| {
        taken_s(during.timed_s, sleep_s, wake_s) > during.cpu_s
    });
    let vcpu = VcpuCosts {
        write_s: during.timed_s - faulting_s,
        sleep_s,
        wake_s,
    };
    (vcpu, fault_s)
}

/// Where what holds below no longer holds.
fn bisected([mut low, mut high]: [f64; 2], holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        match holds(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

/// Fills in what the times of rounds and of the pause tell.
fn times(costs: &mut Costs, m: &Migration, first: &Round, results: &Results) {
    let memory = m.memory_bytes as f64;
    let busy = Busy {
        source_s: costs.source_s(first.pages_sent as f64, first.zero_pages as f64),
        destination_s: costs.destination_s(first.pages_sent as f64),
        ..Busy::default()
    };
    let vcpu_cores = m.cpu.source.vcpu_s / m.total_time_s;
    let hosts = Hosts::of(results);
    let migration = &results.scenario.migration;
    let (busy_s, _) = hosts.time_s(migration, &busy, vcpu_cores, 1.0);
    let link_s = match migration.link {
        Bandwidth::Unlimited => 0.0,
        Bandwidth::BitsPerSecond(bits) => first.bytes_on_wire as f64 * 8.0 / bits as f64,
    };
    let parts = m.downtime.parts;
    if let Some(parts) = parts {
        costs.harvest_s = parts.harvest_s / memory;
        costs.pause_s = parts.pause_s;
    }
    let first_s = first.duration_s;
    if link_s > 1.4 * busy_s {
        // The link binds: what it does not explain is the start of tracking.
        costs.start_s = (first_s - link_s).max(0.0) / memory;
        costs.link_stretch = 1.0;
    } else if busy_s > 1.2 * link_s {
        let alone_s = (first_s.powi(OVERLAP) - link_s.powi(OVERLAP)).max(0.0);
        let alone_s = alone_s.powf(1.0 / f64::from(OVERLAP));
        costs.kept_busy = hosts.kept_busy(migration, &busy, vcpu_cores, alone_s);
    }
    // What a byte takes at the pace of the first round.
    let byte_s = (first_s - finite(costs.start_s) * memory) / first.bytes_on_wire.max(1) as f64;
    let device_state_s = m.device_state_bytes.unwrap_or(0) as f64 * byte_s;
    if m.rounds.len() > 1
        && let Some(last) = m.rounds.last()
        && let Some(parts) = parts
    {
        let sending_s = last.bytes_on_wire as f64 * byte_s;
        if sending_s < SHORT_S {
            costs.round_s = (parts.transfer_s - sending_s).max(0.0);
            costs.switchover_s = (parts.switchover_s - device_state_s).max(0.0);
        }
    }
    if let (Some(expected_s), Some(dirty)) = (first.expected_downtime_s, first.pages_dirtied) {
        let dirty = dirty as f64 * PAGE_SIZE as f64;
        let sending_s = dirty * byte_s + results.scenario.guest.device_state.0 as f64 * byte_s;
        if sending_s < SHORT_S {
            costs.expected_fixed_s =
                (expected_s - sending_s - finite(costs.harvest_s) * memory).max(0.0);
        }
    }
}

fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vcpus_costs_are_found_again_from_what_it_did() {
        let cycle = Pacing::Cycle {
            levels: [2.0, 0.0],
            lengths_s: [0.025, 0.025],
        };
        let steady = Pacing::Steady { even: false };
        // Pacing, writes a second, seconds: a write, a fault more, a sleep, until awake.
        for (pacing, rate, write_s, fault_s, sleep_s, wake_s) in [
            (&cycle, 25_600.0, 0.4e-6, 1.5e-6, 19e-6, 38e-6),
            (&cycle, 25_600.0, 0.4e-6, 1.5e-6, 19e-6, 19e-6),
            (&steady, 10_000.0, 0.4e-6, 1.5e-6, 10e-6, 500e-6),
            (&steady, 10_000.0, 0.4e-6, 0.0, 10e-6, 20e-6),
        ] {
            let did = |timed_s, wake_s, faults| {
                let vcpu = VcpuCosts {
                    write_s: timed_s,
                    sleep_s,
                    wake_s,
                };
                PerWrite {
                    timed_s,
                    cpu_s: pacing.vcpu_s_per_write(rate, &vcpu),
                    faults,
                }
            };
            let before = did(write_s, sleep_s, 0.0);
            let during = did(write_s + 0.25 * fault_s, wake_s, 0.25);
            let (vcpu, fault) = solved(before, during, pacing, rate);
            let found = [vcpu.write_s, fault, vcpu.sleep_s, vcpu.wake_s];
            for (found, expected) in found.into_iter().zip([write_s, fault_s, sleep_s, wake_s]) {
                let off_s = (found - expected).abs();
                assert!(off_s < 1e-9, "{found} {expected}: {vcpu:?}");
            }
        }
        // Writes that a tracker without faults makes slower are slower.
        let [before, during] = [0.4e-6, 0.6e-6].map(|timed_s| PerWrite {
            timed_s,
            cpu_s: 5e-6,
            faults: 0.0,
        });
        let (vcpu, fault_s) = solved(before, during, &steady, 10_000.0);
        assert_eq!((vcpu.write_s, fault_s), (0.6e-6, 0.0));
    }
}
