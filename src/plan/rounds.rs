//! Pre-copy, round by round, as the source's driver makes it: with its decision and its estimate, and with costs and
//! the stream's curve in place of hosts and guest.

use std::time::Duration;

use super::beside::Beside;
use super::calibration::Draw;
use super::curve::Curve;
use super::hosts::{Binds, Busy, Hosts};
use super::sample::OVERLAP;
use crate::precopy::{
    BandwidthWindow, Decision, FixedCost, OnStall, Progress, StopReason, Throttling, decide,
};
use crate::scenario::{ClockKind, Scenario};
use crate::units::{Bandwidth, PAGE_SIZE};

/// Rounds that are followed one by one at most; where that many left no less dirty, the rest is as they were.
const FOLLOWED: u32 = 2_000;

/// How one migration goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Whether it switches over, and why it does or does not.
    pub reason: StopReason,
    /// Whether it switches over.
    pub completes: bool,
    /// Rounds, the pause's included.
    pub rounds: u32,
    /// From the first harvest to the end, seconds.
    pub total_time_s: f64,
    /// The pause, of one that switches over, seconds.
    pub downtime_s: Option<f64>,
    /// What the pause is expected to be after the last pre-copy round, seconds.
    pub expected_downtime_s: f64,
    /// Pages sent with content.
    pub pages: f64,
    /// All bytes sent.
    pub bytes_on_wire: f64,
    /// CPU of the source's threads, vCPUs apart, seconds.
    pub source_cpu_s: f64,
    /// CPU of the destination's, seconds.
    pub destination_cpu_s: f64,
    /// What most of the time is spent waiting for.
    pub binds: Binds,
    /// Writes that a throttle took, over those asked for.
    pub writes_lost: f64,
}

/// What a migration is predicted from.
pub struct Case<'a> {
    /// Guest, workload and migration.
    pub scenario: &'a Scenario,
    /// Its stream's curve.
    pub curve: &'a Curve,
    /// Where it runs.
    pub hosts: Hosts,
}

/// A migration under way.
struct Run<'a> {
    case: &'a Case<'a>,
    draw: &'a Draw,
    is_virtual: bool,
    /// Cores that vCPUs keep busy, but for what writes to clean pages take more; none while they are stopped.
    vcpu_cores: Option<f64>,
    /// Of them what sleeps between writes take.
    sleep_cores: f64,
    now_s: f64,
    /// Stream time at the first harvest, seconds.
    start_s: f64,
    bandwidth: BandwidthWindow,
    pages: f64,
    wire: f64,
    source_cpu_s: f64,
    destination_cpu_s: f64,
    /// Time by what it is spent waiting for.
    waits: [f64; 5],
}

/// Sends a guest's memory on paper.
pub fn follow(case: &Case<'_>, draw: &Draw) -> Course {
    let scenario = case.scenario;
    let is_virtual = scenario.measure.clock == ClockKind::Virtual;
    let costs = &draw.costs;
    let window_s = scenario.measure.window.as_secs_f64();
    let phase_s = case.curve.length_s().map_or(0.0, |s| s * draw.phase);
    let vcpus = f64::from(scenario.guest.vcpus);
    let mut run = Run {
        case,
        draw,
        is_virtual,
        vcpu_cores: Some(case.curve.vcpu_cores(vcpus, &costs.vcpu())),
        sleep_cores: case.curve.sleep_cores(vcpus, &costs.vcpu()),
        now_s: 0.0,
        start_s: match is_virtual {
            true => 0.0,
            false => phase_s + window_s,
        },
        bandwidth: BandwidthWindow::default(),
        pages: 0.0,
        wire: 0.0,
        source_cpu_s: 0.0,
        destination_cpu_s: 0.0,
        waits: [0.0; 5],
    };
    run.all(phase_s)
}

impl Run<'_> {
    fn all(&mut self, phase_s: f64) -> Course {
        let Case {
            scenario, curve, ..
        } = *self.case;
        let costs = self.draw.costs;
        let memory = scenario.guest.memory.0 as f64;
        let all_pages = scenario.guest.memory.pages() as f64;
        let limits = scenario.migration.limits();
        let throttle = scenario.migration.throttle;
        let mut throttling = throttle
            .filter(|_| limits.on_stall == OnStall::Throttle)
            .map(Throttling::new);
        // What the guest wrote before is content by now.
        let kept = 1.0 - curve.distinct_pages(phase_s, self.start_s, 1.0) / all_pages;
        let zero = scenario.guest.content.zero * all_pages * kept;
        let (mut content, mut zero) = (all_pages - zero, zero);
        let (start_s, harvest_s, round_s) = match self.is_virtual {
            true => (0.0, 0.0, 0.0),
            false => (
                costs.start_s * memory,
                costs.harvest_s * memory,
                costs.round_s,
            ),
        };
        let beside_harvest_s = match self.is_virtual {
            true => 0.0,
            false => costs.expected_fixed_s,
        };
        let fixed = FixedCost::without_hand_over(nanos(harvest_s), nanos(beside_harvest_s));
        self.now_s += start_s;
        let mut harvested_s = 0.0;
        let mut least: Option<(f64, f64)> = None;
        let mut rounds = 0;
        let mut share = 1.0;
        let mut lost = [0.0, 0.0];
        let (reason, completes, dirty, expected_ns) = loop {
            let sending_s = self.send(content, zero);
            self.now_s += sending_s + round_s;
            rounds += 1;
            let (from_s, to_s) = (harvested_s, self.now_s);
            harvested_s = to_s;
            let dirty = self.dirtied(from_s, to_s, share);
            let asked = curve.writes_per_s() * (to_s - from_s);
            lost = [lost[0] + asked * (1.0 - share), lost[1] + asked];
            self.now_s += harvest_s;
            let now_ns = nanos(self.now_s);
            let device_state = scenario.guest.device_state.0 as f64;
            let sending_ns = |content: u64| {
                let sent = content as f64 * costs.sent_share;
                self.time_for_ns((sent + device_state) as u64)
            };
            let over_ns = nanos(to_s - from_s);
            let expected_ns = fixed.expected_downtime_ns(dirty as u64, over_ns, sending_ns);
            if least.is_none_or(|(pages, _)| dirty < pages) {
                least = Some((dirty, self.now_s));
            }
            let progress = Progress {
                rounds,
                elapsed_ns: now_ns,
                since_progress_ns: now_ns - nanos(least.map_or(0.0, |(_, at_s)| at_s)),
                expected_downtime_ns: expected_ns,
            };
            match decide(progress, limits) {
                Decision::StopAndCopy(reason) => break (reason, true, dirty, expected_ns),
                Decision::Abort(reason) => break (reason, false, dirty, expected_ns),
                Decision::Continue => {}
            }
            if let Some(throttling) = &mut throttling {
                let bytes = |pages: f64| (pages * PAGE_SIZE as f64) as u64;
                throttling.after_round(now_ns, bytes(dirty), bytes(content));
                share = 1.0 - throttling.share();
            }
            let stands_still =
                rounds >= FOLLOWED && throttling.is_none() && limits.growth.is_none();
            if stands_still {
                break self.stand_still(dirty, rounds, to_s - from_s, expected_ns);
            }
            (content, zero) = (dirty, 0.0);
        };
        let mut downtime_s = None;
        if completes {
            downtime_s = Some(self.pause(dirty, harvested_s, share));
            rounds += 1;
        }
        let binds = self.waits.iter().zip(BINDS);
        let (_, binds) = binds
            .max_by(|a, b| a.0.total_cmp(b.0))
            .unwrap_or((&0.0, Binds::Link));
        Course {
            reason,
            completes,
            rounds,
            total_time_s: self.now_s,
            downtime_s,
            expected_downtime_s: expected_ns as f64 / 1e9,
            pages: self.pages,
            bytes_on_wire: self.wire,
            source_cpu_s: self.source_cpu_s,
            destination_cpu_s: self.destination_cpu_s,
            binds,
            writes_lost: match lost[1] > 0.0 {
                true => lost[0] / lost[1],
                false => 0.0,
            },
        }
    }

    /// The last rounds again and again until a limit strikes.
    fn stand_still(
        &mut self,
        dirty: f64,
        rounds: u32,
        round_s: f64,
        expected_ns: u64,
    ) -> (StopReason, bool, f64, u64) {
        let limits = self.case.scenario.migration.limits();
        let left_s = (limits.time_ns as f64 / 1e9 - self.now_s).max(0.0);
        let by_rounds = f64::from(limits.rounds.saturating_sub(rounds));
        let more = (left_s / round_s.max(1e-9)).min(by_rounds).ceil();
        let sent = |run: &Self| [run.pages, run.wire, run.source_cpu_s, run.destination_cpu_s];
        let before = sent(self);
        self.send(dirty, 0.0);
        let one = sent(self);
        let all = |n: usize| one[n] + (one[n] - before[n]) * (more - 1.0).max(0.0);
        (self.pages, self.wire) = (all(0), all(1));
        (self.source_cpu_s, self.destination_cpu_s) = (all(2), all(3));
        self.now_s += round_s * more;
        let reason = match by_rounds <= more {
            true => StopReason::RoundLimit,
            false => StopReason::TimeLimit,
        };
        let completes = limits.on_stall == OnStall::Switchover;
        (reason, completes, dirty, expected_ns)
    }

    /// The pause; what was written since the last harvest comes on top.
    fn pause(&mut self, dirty: f64, harvested_s: f64, share: f64) -> f64 {
        let costs = self.draw.costs;
        let scenario = self.case.scenario;
        let began_s = self.now_s;
        let device_state = scenario.guest.device_state.0 as f64;
        if self.is_virtual {
            let sent_s = self.send(dirty, 0.0);
            self.now_s += sent_s;
            self.wire += device_state;
            return self.now_s - began_s;
        }
        let harvest_s = costs.harvest_s * scenario.guest.memory.0 as f64;
        self.now_s += costs.pause_s;
        let late = self.dirtied(harvested_s, self.now_s, share);
        self.vcpu_cores = None;
        self.sleep_cores = 0.0;
        let sent_s = self.send(dirty + late, 0.0);
        self.now_s += harvest_s + sent_s + costs.round_s + costs.switchover_s;
        let state_s = self.send(device_state / PAGE_SIZE as f64, 0.0);
        self.pages -= device_state / PAGE_SIZE as f64;
        self.now_s += state_s;
        self.now_s - began_s
    }

    fn dirtied(&self, from_s: f64, to_s: f64, share: f64) -> f64 {
        let (from_s, to_s) = (self.start_s + from_s, self.start_s + to_s);
        self.case.curve.distinct_pages(from_s, to_s, share)
    }

    fn busy(&self, content: f64, zero: f64) -> Busy {
        let costs = &self.draw.costs;
        let bytes = content * PAGE_SIZE as f64;
        Busy {
            source_s: costs.source_s(content, zero) * self.draw.source,
            destination_s: costs.destination_s(content) * self.draw.destination,
            source_socket_s: costs.transmit_s * bytes * self.draw.source,
            destination_socket_s: costs.receive_s * bytes * self.draw.destination,
        }
    }

    fn wire_bytes(&self, content: f64, zero: f64) -> f64 {
        let costs = &self.draw.costs;
        let sent = content * PAGE_SIZE as f64 * costs.sent_share;
        sent + (content + zero) * costs.framing_bytes_per_page
    }

    /// Sends pages: the time that it takes, seconds, which the bandwidth is measured by.
    fn send(&mut self, content: f64, zero: f64) -> f64 {
        let migration = &self.case.scenario.migration;
        let costs = &self.draw.costs;
        let alone = self.busy(content, zero);
        let wire = self.wire_bytes(content, zero);
        self.pages += content;
        self.wire += wire;
        let link = |bytes: f64| match migration.link {
            Bandwidth::Unlimited => 0.0,
            Bandwidth::BitsPerSecond(bits) => bytes * 8.0 / bits as f64,
        };
        if self.is_virtual {
            self.source_cpu_s += alone.source_s;
            self.destination_cpu_s += alone.destination_s;
            self.waits[0] += link(content * PAGE_SIZE as f64);
            return link(content * PAGE_SIZE as f64);
        }
        let link_s = link(wire) * costs.link_stretch * self.draw.link;
        let hosts = self.case.hosts;
        let cores = |busy: &Busy, vcpu_cores: f64| {
            hosts.time_s(migration, busy, vcpu_cores, costs.kept_busy)
        };
        let vcpu_cores = self.vcpu_cores.unwrap_or(0.0);
        let (cores_s, _) = cores(&alone, vcpu_cores);
        let about_s = overlapped(link_s, cores_s).max(1e-9);
        let beside = Beside {
            hosts,
            streams: f64::from(migration.streams),
            sleep_cores: self.sleep_cores,
        };
        let busy = alone.with(beside.more_s(&alone, content * PAGE_SIZE as f64, about_s));
        self.source_cpu_s += busy.source_s;
        self.destination_cpu_s += busy.destination_s;
        let (mut cores_s, mut binds) = cores(&busy, vcpu_cores);
        if let (Hosts::Shared { .. }, Some(_)) = (hosts, self.vcpu_cores) {
            let about_s = overlapped(link_s, cores_s).max(1e-9);
            let faults = self.dirtied(self.now_s, self.now_s + about_s, 1.0);
            let faulting = faults / about_s * costs.vcpu_fault_s;
            (cores_s, binds) = cores(&busy, vcpu_cores + faulting);
        }
        // How busy the threads were is in their CPU time already.
        let cores_s =
            cores_s * self.draw.pace / self.draw.source.max(self.draw.destination).max(1e-9);
        let time_s = overlapped(link_s, cores_s);
        let binds = if link_s >= cores_s {
            Binds::Link
        } else {
            binds
        };
        self.waits[BINDS.iter().position(|b| *b == binds).unwrap_or(0)] += time_s;
        self.bandwidth
            .add(wire as u64, Duration::from_nanos(nanos(time_s)));
        time_s
    }

    fn time_for_ns(&self, bytes: u64) -> u64 {
        if self.is_virtual {
            let link = self.case.scenario.migration.link.bits_per_second();
            return link.map_or(0, |bits| crate::units::link_time_ns(bytes, bits));
        }
        self.bandwidth.time_for_ns(bytes)
    }
}

const BINDS: [Binds; 5] = [
    Binds::Link,
    Binds::SourceCore,
    Binds::DestinationCore,
    Binds::Socket,
    Binds::SharedCores,
];

/// Two things that take time together, of which the longer decides.
fn overlapped(a_s: f64, b_s: f64) -> f64 {
    let (least, most) = (a_s.min(b_s), a_s.max(b_s));
    match most > 0.0 {
        true => most * (1.0 + (least / most).powi(OVERLAP)).powf(1.0 / f64::from(OVERLAP)),
        false => 0.0,
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
