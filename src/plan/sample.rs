//! One migration of a run, taken apart into costs.

use super::costs::Costs;
use super::hosts::{Busy, Hosts};
use super::pacing::Pacing;
use crate::results::{Migration, OutcomeStatus, Results, Round, VcpuWork};
use crate::units::{Bandwidth, PAGE_SIZE};

/// The link and the cores overlap in time, but not wholly: time is the p-norm of what each would take alone.
pub const OVERLAP: f64 = 6.0;

/// Sending that takes longer, seconds, hides what a round takes beside it.
const SHORT_S: f64 = 0.1;

/// CPU time of a vCPU's sleep at most, seconds.
const LONGEST_SLEEP_S: f64 = 100e-6;

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
    let (vcpu_write_s, vcpu_sleep_s) = vcpu(m, results, pacing);
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
        vcpu_write_s,
        vcpu_sleep_s,
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
    times(&mut costs, m, first, results);
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

fn framing(m: &Migration) -> f64 {
    let content = m.content_bytes() + m.device_state_bytes.unwrap_or(0);
    let framing = m.bytes_on_wire.saturating_sub(content) as f64;
    framing / (m.pages_sent + m.zero_pages).max(1) as f64
}

/// CPU time of a write and of a sleep before one, seconds: before the migration and during it, since a machine with
/// nothing else to do takes longer to wake up. A hypervisor's vCPU, of which that is not known, does not sleep.
fn vcpu(m: &Migration, results: &Results, pacing: &Pacing) -> (f64, f64) {
    let known = [m.guest.work_before, m.guest.work_during];
    let sum = |of: fn(&VcpuWork) -> f64| known.iter().flatten().map(of).sum::<f64>();
    let (writes, timed) = (sum(|w| w.writes as f64), sum(|w| w.timed_writes as f64));
    if timed == 0.0 {
        return match m.guest.writes {
            0 => (f64::NAN, f64::NAN),
            writes => (m.cpu.source.vcpu_s / writes as f64, 0.0),
        };
    }
    let write_s = sum(|w| w.timed_s) / timed;
    let per_write_s = sum(|w| w.cpu_s) / writes;
    let scenario = &results.scenario;
    let rate = scenario.workload.rate.0 as f64 / PAGE_SIZE as f64;
    let rate = rate / f64::from(scenario.guest.vcpus);
    // The longer a sleep, the more a write takes, up to what the rate allows.
    let (mut low, mut high) = (0.0, LONGEST_SLEEP_S);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        match pacing.vcpu_s_per_write(rate, write_s, middle) < per_write_s {
            true => low = middle,
            false => high = middle,
        }
    }
    (write_s, 0.5 * (low + high))
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
        let alone_s = (first_s.powf(OVERLAP) - link_s.powf(OVERLAP)).max(0.0);
        let alone_s = alone_s.powf(1.0 / OVERLAP);
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
