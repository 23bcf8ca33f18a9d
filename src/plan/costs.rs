//! What a run's migrations cost, an arm and a block at a time, and sets of costs drawn from it.
//!
//! Times of rounds and CPU times are taken apart into what goes with each byte of page content, with each
//! page, with guest memory, and with each round. Uncertainty comes by drawing blocks, with replacement
//! and for all arms alike; beside it a draw holds how far one migration lies from the others.

use super::hosts::{Busy, Hosts};
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::results::{Migration, OutcomeStatus, Results, Round};
use crate::scenario::ClockKind;
use crate::stats::{Random, median, robust_sd};
use crate::units::{Bandwidth, PAGE_SIZE};

/// Sets of costs that are drawn.
pub const DRAWS: usize = 40;

/// The link and the cores overlap in time, but not wholly: time is the p-norm of what each would take alone.
pub const OVERLAP: f64 = 6.0;

/// Sending that takes longer, seconds, hides what a round takes beside it.
const SHORT_S: f64 = 0.1;

/// What one arm costs on the calibrated hosts. Seconds are a byte of page content's unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Costs {
    /// Harvesting, testing and framing, seconds a page, zero pages included.
    pub prepare_per_page_s: f64,
    /// Sealing.
    pub seal_s: f64,
    /// Socket writes and what stages don't explain, source.
    pub transmit_s: f64,
    /// Socket reads and what stages don't explain, destination.
    pub receive_s: f64,
    /// Opening and applying.
    pub open_apply_s: f64,
    /// Bytes of a page's content on the wire, over the content: below 1 where it is compressed.
    pub sent_share: f64,
    /// Bytes beside content that a page takes on the wire.
    pub framing_bytes_per_page: f64,
    /// Before the first round: tracking starts, seconds a byte of guest memory.
    pub start_s: f64,
    /// A harvest, seconds a byte of guest memory.
    pub harvest_s: f64,
    /// A round's hand-over and acknowledgement, seconds a round.
    pub round_s: f64,
    /// Stopping vCPUs, seconds.
    pub pause_s: f64,
    /// Switchover without sending device state, seconds.
    pub switchover_s: f64,
    /// What pre-copy expects of a pause beside sending and harvest, seconds.
    pub expected_fixed_s: f64,
    /// Time that rounds take over what the busiest core needs.
    pub stretch: f64,
    /// Time that rounds take over what the link needs, where it binds.
    pub link_stretch: f64,
    /// CPU time of a vCPU a page write, seconds.
    pub vcpu_per_write_s: f64,
}

macro_rules! each_cost {
    ($make:expr) => {
        Costs {
            prepare_per_page_s: $make(|c: &Costs| c.prepare_per_page_s),
            seal_s: $make(|c: &Costs| c.seal_s),
            transmit_s: $make(|c: &Costs| c.transmit_s),
            receive_s: $make(|c: &Costs| c.receive_s),
            open_apply_s: $make(|c: &Costs| c.open_apply_s),
            sent_share: $make(|c: &Costs| c.sent_share),
            framing_bytes_per_page: $make(|c: &Costs| c.framing_bytes_per_page),
            start_s: $make(|c: &Costs| c.start_s),
            harvest_s: $make(|c: &Costs| c.harvest_s),
            round_s: $make(|c: &Costs| c.round_s),
            pause_s: $make(|c: &Costs| c.pause_s),
            switchover_s: $make(|c: &Costs| c.switchover_s),
            expected_fixed_s: $make(|c: &Costs| c.expected_fixed_s),
            stretch: $make(|c: &Costs| c.stretch),
            link_stretch: $make(|c: &Costs| c.link_stretch),
            vcpu_per_write_s: $make(|c: &Costs| c.vcpu_per_write_s),
        }
    };
}

impl Costs {
    /// The median of each; unknown ones, NaN, are left out.
    fn median(of: &[Costs]) -> Costs {
        let one = |field: fn(&Costs) -> f64| {
            let known: Vec<f64> = of.iter().map(field).filter(|v| !v.is_nan()).collect();
            median(&known).unwrap_or(f64::NAN)
        };
        each_cost!(one)
    }

    /// Its own values, those of another where it has none.
    fn or(&self, other: &Costs) -> Costs {
        let one = |field: fn(&Costs) -> f64| match field(self) {
            value if value.is_nan() => field(other),
            value => value,
        };
        each_cost!(one)
    }

    /// CPU time of the source's stream threads for so many pages, seconds.
    pub fn source_s(&self, content_pages: f64, zero_pages: f64) -> f64 {
        let bytes = content_pages * PAGE_SIZE as f64;
        self.prepare_per_page_s * (content_pages + zero_pages)
            + (self.seal_s + self.transmit_s) * bytes
    }

    /// CPU time of the destination's, seconds.
    pub fn destination_s(&self, content_pages: f64) -> f64 {
        (self.receive_s + self.open_apply_s) * content_pages * PAGE_SIZE as f64
    }
}

/// One set of costs, and how far a migration lies from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// The costs.
    pub costs: Costs,
    /// A migration's source CPU over what they say.
    pub source: f64,
    /// Its destination CPU over what they say.
    pub destination: f64,
    /// The time that its cores take over what they say.
    pub pace: f64,
    /// The time that the link takes over what they say.
    pub link: f64,
    /// Where the stream stands at its start, as a share of its course.
    pub phase: f64,
}

/// An arm's costs.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmCosts {
    /// The arm.
    pub arm: Arm,
    /// Migrations that they rest on.
    pub migrations: usize,
    /// Sets of them.
    pub draws: Vec<Draw>,
}

/// What a run was made with, as far as its costs hold there only.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Costs by arm, in table order.
    pub arms: Vec<ArmCosts>,
    /// The run itself, without its migrations.
    pub run: Results,
}

/// A migration in a block, taken apart.
struct Sample {
    block: u32,
    costs: Costs,
    /// What the whole of it came to, for how far migrations lie apart: source and destination CPU a byte, and the
    /// time of the first round a byte.
    per_byte: [f64; 3],
}

impl Calibration {
    /// From a run's migrations that completed or were given up.
    ///
    /// # Errors
    /// A run under the virtual clock, which has no times, or without such a migration.
    pub fn of(results: &Results) -> Result<Calibration> {
        if results.scenario.measure.clock == ClockKind::Virtual {
            return Err(Error::Invalid(
                "measure.clock = \"virtual\": a plan takes times, from a run under the live clock"
                    .to_owned(),
            ));
        }
        let mut sampled: Vec<(Arm, Vec<Sample>)> = Vec::new();
        for info in &results.arms {
            let own = results.migrations.iter().filter(|m| m.arm == info.name);
            let samples: Vec<Sample> = own.filter_map(|m| sample(m, results)).collect();
            if !samples.is_empty() {
                sampled.push((info.name, samples));
            }
        }
        let completed = |m: &Migration| m.outcome.status == OutcomeStatus::Completed;
        if sampled.is_empty() || !results.migrations.iter().any(completed) {
            return Err(Error::Invalid(
                "no migration of this run completed: a plan takes its costs from some that did"
                    .to_owned(),
            ));
        }
        let blocks: Vec<u32> = {
            let all = sampled
                .iter()
                .flat_map(|(_, samples)| samples.iter().map(|s| s.block));
            let mut all: Vec<u32> = all.collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let mut random = Random::new(results.scenario.guest.seed, 16);
        let mut arms: Vec<ArmCosts> = sampled
            .iter()
            .map(|(arm, samples)| ArmCosts {
                arm: *arm,
                migrations: samples.len(),
                draws: Vec::with_capacity(DRAWS),
            })
            .collect();
        let noise: Vec<[Vec<f64>; 4]> = sampled
            .iter()
            .map(|_| std::array::from_fn(|_| scores(&mut random)))
            .collect();
        let phases = scores(&mut random);
        for number in 0..DRAWS {
            let drawn: Vec<u32> = match number {
                // The first is what was measured.
                0 => blocks.clone(),
                _ => (0..blocks.len())
                    .map(|_| blocks[random.below(blocks.len())])
                    .collect(),
            };
            let of_arm = |samples: &[Sample]| {
                let in_blocks = drawn.iter().filter_map(|block| {
                    let mut own = samples.iter().filter(|s| s.block == *block);
                    own.next().map(|s| s.costs)
                });
                let chosen: Vec<Costs> = in_blocks.collect();
                match chosen.is_empty() {
                    true => Costs::median(&samples.iter().map(|s| s.costs).collect::<Vec<_>>()),
                    false => Costs::median(&chosen),
                }
            };
            let own: Vec<Costs> = sampled.iter().map(|(_, samples)| of_arm(samples)).collect();
            let pooled = Costs::median(&own).or(&FALLBACK);
            for (((arm, costs), (_, samples)), noise) in
                arms.iter_mut().zip(&own).zip(&sampled).zip(&noise)
            {
                let spread = |which: usize| {
                    let logs = samples.iter().map(|s| s.per_byte[which].ln());
                    robust_sd(&logs.collect::<Vec<_>>()).unwrap_or(0.1)
                };
                let factor = |which: usize, least: f64| {
                    let sd = spread(which.min(2)).max(least);
                    (sd * noise[which][number]).exp()
                };
                arm.draws.push(Draw {
                    costs: costs.or(&pooled),
                    source: factor(0, 0.02),
                    destination: factor(1, 0.02),
                    pace: factor(2, 0.02),
                    link: (0.01 * noise[3][number]).exp(),
                    phase: normal_share(phases[number]),
                });
            }
        }
        let run = Results {
            migrations: Vec::new(),
            comparisons: Vec::new(),
            ..results.clone()
        };
        Ok(Calibration { arms, run })
    }

    /// An arm's costs, if the run has any.
    pub fn arm(&self, arm: Arm) -> Option<&ArmCosts> {
        self.arms.iter().find(|costs| costs.arm == arm)
    }
}

/// What a run may not tell: of QEMU's arms, of runs whose links never bind.
const FALLBACK: Costs = Costs {
    prepare_per_page_s: 0.0,
    seal_s: 0.0,
    transmit_s: 0.0,
    receive_s: 0.0,
    open_apply_s: 0.0,
    sent_share: 1.0,
    framing_bytes_per_page: 8.0,
    start_s: 0.0,
    harvest_s: 0.0,
    round_s: 0.0,
    pause_s: 0.0,
    switchover_s: 0.0,
    expected_fixed_s: 0.0,
    stretch: 1.1,
    link_stretch: 1.01,
    vcpu_per_write_s: 5e-6,
};

/// Standard normal scores at the middles of as many equal shares as there are draws, in a drawn order.
fn scores(random: &mut Random) -> Vec<f64> {
    let mut scores: Vec<f64> = (0..DRAWS)
        .map(|k| normal_quantile((k as f64 + 0.5) / DRAWS as f64))
        .collect();
    for k in (1..DRAWS).rev() {
        scores.swap(k, random.below(k + 1));
    }
    scores
}

/// The standard normal distribution function.
fn normal_share(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// Its inverse, by bisection.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        match normal_share(middle) < share {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

/// A migration taken apart; `None` if it ended otherwise, sent no content or made no round.
fn sample(m: &Migration, results: &Results) -> Option<Sample> {
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
        stretch: f64::NAN,
        link_stretch: f64::NAN,
        vcpu_per_write_s: vcpu_per_write(m),
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

fn vcpu_per_write(m: &Migration) -> f64 {
    match m.guest.writes {
        0 => f64::NAN,
        writes => m.cpu.source.vcpu_s / writes as f64,
    }
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
    let (busy_s, _) = hosts.time_s(&results.scenario.migration, &busy, vcpu_cores);
    let link_s = match results.scenario.migration.link {
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
        costs.stretch = (alone_s.powf(1.0 / OVERLAP) / busy_s).max(0.8);
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
    if let Some(expected_s) = first.expected_downtime_s {
        let dirty = first.pages_dirtied as f64 * PAGE_SIZE as f64;
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
