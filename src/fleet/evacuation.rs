//! One evacuation: every guest of the fleet with hosts of its own, moved in turns.
//!
//! One thread follows all of them; what it takes grows with the guests and is part of the result. The clock
//! starts when all hosts are there and all guests run, and ends when none moves any more; only then is memory
//! hashed. So a guest under way shares cores and link with others under way, and with the vCPUs of those that
//! wait, and with nothing of this tool's own but the coordinator. A guest that has arrived does not run until the
//! others have.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::file::{Coordination, CoresUsed, Evacuation, Moved, PeakMemory};
use super::spec::Fleet;
use super::treatment::{Treatment, WayPlan};
use super::watch::Watch;
use crate::error::Result;
use crate::host::InFleet;
use crate::machine::clock::process_cpu_ns;
use crate::machine::{Holds, MachineInfo, most_resident_bytes};
use crate::results::OutcomeStatus;
use crate::runner::blocks::Block;
use crate::runner::pair::Pair;
use crate::runner::process::{Launcher, Mailbox, Message};
use crate::runner::route::Route;
use crate::runner::{Made, NotMade, Place, Task};
use crate::transport::SharedLink;

/// Guests whose hosts get ready at once: starting hundreds of processes together would make each seem silent.
const GETTING_READY: usize = 16;
/// Beyond the window, for the guests to begin it.
const SETTLING: Duration = Duration::from_millis(20);
/// Nothing is awaited for longer without looking again.
const LOOK: Duration = Duration::from_secs(1);

/// What all evacuations have in common.
pub struct Ground<'a> {
    /// How hosts are started.
    pub launcher: &'a Launcher,
    /// Where they and interrupts are heard.
    pub mailbox: Mailbox<'a>,
    /// How sources reach destinations.
    pub route: &'a Route,
    /// What the results say of the hosts' machines.
    pub machine: &'a MachineInfo,
    /// The link that all share, if it is limited.
    pub link: Option<&'a SharedLink>,
}

/// An evacuation that was made.
#[derive(Debug)]
pub struct Carried {
    /// As it goes into the results.
    pub evacuation: Evacuation,
    /// The tracker that was used, if it is known.
    pub tracker: Option<String>,
    /// CPU seconds of destinations that are not among those of this process's ended children.
    pub unseen_cpu_s: f64,
    /// An interrupt came while it was made.
    pub stop: bool,
}

/// Evacuates the fleet once. An interrupt lets guests under way arrive and no other begin to move; so each is in
/// one place, and which is known. A second one ends everything at once.
///
/// # Errors
/// If it was interrupted before the first guest moved, or twice; if hosts can't be started.
pub fn evacuate(
    fleet: &Fleet,
    (plan, concurrent): (&WayPlan, u32),
    order: &[usize],
    block: Block,
    ground: &Ground<'_>,
) -> Result<Carried, NotMade> {
    let cpu_ns = process_cpu_ns();
    let mut field = Field::start(fleet, (plan, concurrent), block, ground)?;
    field.let_run(fleet.measure.window.0)?;
    let holds = Holds::of_this_process();
    let starting_cpu_s = seconds_since(cpu_ns);
    let cpu_ns = process_cpu_ns();
    let (cores, time_s) = field.move_all(order, concurrent as usize)?;
    let coordinator = Coordination {
        cpu_s: seconds_since(cpu_ns),
        starting_cpu_s,
        holds,
    };
    let stop = field.interrupts > 0;
    let peak_memory = field.peak_memory();
    field.verify()?;
    let mut carried = Carried {
        evacuation: Evacuation {
            way: plan.way,
            concurrent,
            block: block.counted.unwrap_or(0),
            interrupted: field
                .times
                .iter()
                .zip(&plan.treatments)
                .any(|(times, of)| times.is_none() && of.goes())
                && stop,
            time_s,
            guests: Vec::with_capacity(fleet.guests.len()),
            cores,
            peak_memory,
            coordinator,
        },
        tracker: None,
        unseen_cpu_s: 0.0,
        stop: field.interrupts > 0,
    };
    for (at, guest) in fleet.guests.iter().enumerate() {
        let treatment = &plan.treatments[at];
        let pair = field.pairs[at].take();
        let ended = pair
            .filter(Pair::is_over)
            .map(|pair| (pair.place(), pair.made()));
        if let Some((_, made)) = &ended {
            carried.unseen_cpu_s += made.unseen_cpu_s;
            carried.tracker = made.tracker.clone().or(carried.tracker);
        }
        let moved = moved(&guest.name, treatment, field.times[at], ended);
        carried.evacuation.guests.push(moved);
    }
    Ok(carried)
}

fn seconds_since(cpu_ns: u64) -> f64 {
    process_cpu_ns().saturating_sub(cpu_ns) as f64 / 1e9
}

/// All guests' hosts.
struct Field<'a> {
    ground: &'a Ground<'a>,
    /// By guest; none of one that stays.
    pairs: Vec<Option<Pair<'a>>>,
    /// The guest behind each number under which messages arrive.
    numbers: BTreeMap<u64, usize>,
    /// When each guest began to move, and when it no longer did, seconds.
    times: Vec<Option<(f64, f64)>>,
    interrupts: u32,
}

impl<'a> Field<'a> {
    /// Starts all hosts and waits until they are ready. A guest whose hosts can't be is over by then.
    fn start(
        fleet: &'a Fleet,
        (plan, concurrent): (&WayPlan, u32),
        block: Block,
        ground: &'a Ground<'a>,
    ) -> Result<Field<'a>, NotMade> {
        let mut field = Field {
            ground,
            pairs: fleet.guests.iter().map(|_| None).collect(),
            numbers: BTreeMap::new(),
            times: vec![None; fleet.guests.len()],
            interrupts: 0,
        };
        let shared = InFleet {
            link: ground.link.map(SharedLink::descriptor),
            sharers: fleet.sharers(concurrent),
        };
        for (at, guest) in fleet.guests.iter().enumerate() {
            let treatment = &plan.treatments[at];
            if !treatment.goes() {
                continue;
            }
            field.while_unready(GETTING_READY)?;
            let scenario = &guest.scenario;
            let task = Task {
                scenario,
                arm: treatment.arm,
                sealed: treatment.sealed,
                block: block.counted.unwrap_or(0),
                stream_seed: block.stream_seed(scenario),
                start_offset_ns: block.start_offset_ns(scenario),
                pin: (&fleet.source.cores, &fleet.destination.cores),
                route: ground.route,
                machine: ground.machine,
                fleet: Some(shared),
            };
            let pair = Pair::start(ground.launcher, &task, ground.mailbox.sender)?;
            field.numbers.insert(pair.serial(), at);
            field.pairs[at] = Some(pair);
        }
        field.while_unready(1)?;
        Ok(field)
    }

    /// Listens while so many guests, or more, are not ready.
    fn while_unready(&mut self, most: usize) -> Result<(), NotMade> {
        loop {
            let pairs = self.pairs.iter().flatten();
            let unready = pairs.filter(|pair| !pair.is_ready() && !pair.is_over());
            if unready.count() < most {
                return Ok(());
            }
            self.listen(None)?;
            self.refuse_interrupt()?;
        }
    }

    /// No guest has begun to move: nothing is lost by ending all of it.
    fn refuse_interrupt(&self) -> Result<(), NotMade> {
        match self.interrupts {
            0 => Ok(()),
            _ => Err(NotMade::Interrupted),
        }
    }

    /// Lets the guests run at the source, for the window and from then on.
    fn let_run(&mut self, window: Duration) -> Result<(), NotMade> {
        self.pairs.iter_mut().flatten().for_each(Pair::run);
        let until = Instant::now() + window + SETTLING;
        while Instant::now() < until {
            self.listen(Some(until))?;
            self.refuse_interrupt()?;
        }
        Ok(())
    }

    /// Moves the guests, so many at once, until none moves any more: the cores that took, and the time, seconds.
    fn move_all(
        &mut self,
        order: &[usize],
        concurrent: usize,
    ) -> Result<(Vec<CoresUsed>, f64), NotMade> {
        let mut waiting: VecDeque<usize> = order.iter().copied().collect();
        let mut under_way: Vec<usize> = Vec::with_capacity(concurrent);
        let mut watch = Watch::start(self.ground.machine.destination.is_some());
        let mut time_s = 0.0;
        loop {
            while under_way.len() < concurrent
                && self.interrupts == 0
                && let Some(at) = waiting.pop_front()
            {
                if let Some(pair) = self.pairs[at].as_mut().filter(|pair| !pair.is_over()) {
                    pair.connect();
                    watch.begin(at, pair.ids(), pair.has_tunnel());
                    let now_s = watch.now_s();
                    self.times[at] = Some((now_s, now_s));
                    under_way.push(at);
                }
            }
            if under_way.is_empty() {
                return Ok((watch.finish(), time_s));
            }
            self.listen(Some(watch.due()))?;
            let has_moved = |pair: &Option<Pair<'_>>| pair.as_ref().is_none_or(Pair::has_moved);
            for at in under_way.extract_if(.., |at| has_moved(&self.pairs[*at])) {
                watch.end(at);
                time_s = watch.now_s();
                if let Some((_, ended_s)) = &mut self.times[at] {
                    *ended_s = time_s;
                }
            }
            if watch.due() <= Instant::now() {
                watch.sample();
            }
        }
    }

    /// Hashes the guests that moved, as many at once as there are cores, until their hosts have reported.
    fn verify(&mut self) -> Result<(), NotMade> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let moved = self
            .times
            .iter()
            .enumerate()
            .filter(|(_, times)| times.is_some());
        let mut waiting: VecDeque<usize> = moved.map(|(at, _)| at).collect();
        let mut at_it: Vec<usize> = Vec::with_capacity(cores);
        loop {
            while at_it.len() < cores
                && let Some(at) = waiting.pop_front()
            {
                if let Some(pair) = &mut self.pairs[at] {
                    pair.verify();
                    at_it.push(at);
                }
            }
            let pairs = &self.pairs;
            at_it.retain(|at| !pairs[*at].as_ref().is_none_or(Pair::is_over));
            if !at_it.is_empty() {
                self.listen(None)?;
            } else if waiting.is_empty() {
                return Ok(());
            }
        }
    }

    /// The most memory that the hosts have had, while they are all still there.
    fn peak_memory(&self) -> PeakMemory {
        let of = |side: usize| -> u64 {
            let ids = self.pairs.iter().flatten().map(|pair| pair.ids()[side]);
            ids.filter_map(most_resident_bytes).sum()
        };
        let remote = self.ground.machine.destination.is_some();
        PeakMemory {
            source_bytes: of(0),
            destination_bytes: (!remote).then(|| of(1)),
        }
    }

    /// Hears one message, or waits until then or until hosts were silent for too long.
    fn listen(&mut self, until: Option<Instant>) -> Result<(), NotMade> {
        let pairs = || self.pairs.iter().flatten().filter(|pair| !pair.is_over());
        let next = pairs().filter_map(Pair::deadline).chain(until).min();
        let limit = next.map_or(LOOK, |next| next.saturating_duration_since(Instant::now()));
        match self.ground.mailbox.inbox.recv_timeout(limit.min(LOOK)) {
            Ok((_, Message::Interrupted)) => {
                self.interrupts += 1;
                if self.interrupts > 1 {
                    return Err(NotMade::Interrupted);
                }
            }
            // One of an evacuation before this one has no number here.
            Ok((serial, message)) => {
                let at = self.numbers.get(&serial);
                if let Some(pair) = at.and_then(|at| self.pairs[*at].as_mut()) {
                    pair.accept(message);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let now = Instant::now();
                for pair in self.pairs.iter_mut().flatten() {
                    if !pair.is_over() && pair.deadline().is_some_and(|deadline| deadline <= now) {
                        pair.expire();
                    }
                }
            }
        }
        Ok(())
    }
}

/// A guest as it goes into the results.
fn moved(
    name: &str,
    treatment: &Treatment,
    times: Option<(f64, f64)>,
    ended: Option<(Place, Made)>,
) -> Moved {
    let mut moved = Moved {
        guest: name.to_owned(),
        arm: treatment.arm,
        sealed: treatment.sealed,
        policy_decision: treatment.decision,
        place: Place::Source,
        reason: treatment.reason.clone(),
        outcome: None,
        began_s: times.map(|times| times.0),
        ended_s: times.map(|times| times.1),
        setup_time_s: 0.0,
        total_time_s: 0.0,
        disk_copy_s: None,
        downtime_s: 0.0,
        rounds: 0,
        payload_bytes: 0,
        bytes_on_wire: 0,
        source_cpu_s: 0.0,
        destination_cpu_s: 0.0,
        vcpu_cpu_s: 0.0,
        verified: false,
        writes_verified: None,
        progress: None,
    };
    let Some((place, Made { migration, .. })) = ended else {
        if treatment.goes() {
            moved.reason = Some("interrupted before its turn".to_owned());
        }
        return moved;
    };
    let (outcome, cpu, guest) = (&migration.outcome, &migration.cpu, &migration.guest);
    moved.place = place;
    if outcome.status != OutcomeStatus::FellBack && outcome.reason.is_some() {
        moved.reason.clone_from(&outcome.reason);
    }
    moved.outcome = times.map(|_| outcome.status);
    moved.setup_time_s = migration.setup_time_s;
    moved.total_time_s = migration.total_time_s;
    moved.downtime_s = migration.downtime.total_s;
    moved.rounds = migration.rounds.len() as u32;
    moved.payload_bytes = migration.payload_bytes;
    moved.bytes_on_wire = migration.bytes_on_wire;
    moved.source_cpu_s = cpu.source.total_s;
    moved.destination_cpu_s = cpu.destination.total_s;
    moved.vcpu_cpu_s = cpu.source.vcpu_s;
    moved.verified = migration.verified.equal;
    moved.writes_verified = guest.writes_verified;
    moved.progress = guest.progress;
    if let Some(storage) = &migration.storage {
        moved.add_disk(storage);
    }
    moved
}
