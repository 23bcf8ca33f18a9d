//! Ways in blocks: every evacuation made, saved and gone on with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::check::check_room;
use super::evacuation::{Carried, Ground, evacuate};
use super::file::{FleetFile, SCHEMA_VERSION};
use super::order::order;
use super::spec::{Course, Fleet, Way};
use super::treatment::{self, WayPlan};
use crate::error::{Error, ExitCode, Result};
use crate::machine::{self, Monitor};
use crate::plan::Planner;
use crate::results::{OutcomeStatus, PolicyDecision};
use crate::run_folder::LAST_BLOCK;
use crate::runner::blocks::Block;
use crate::runner::{Coordinator, Hosts, NotMade, Options, check_tunnels};
use crate::stats;
use crate::transport::SharedLink;
use crate::units::Bandwidth;

/// Descriptors of the coordinator beside those of its guests' hosts.
const OWN_DESCRIPTORS: u64 = 64;
/// Descriptors for a guest: two pipes to each of its hosts.
const A_GUEST: u64 = 4;

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    fleet: Fleet,
    /// Who goes first in each way.
    orders: BTreeMap<Way, Vec<usize>>,
    earlier: Option<FleetFile>,
}

impl Asked {
    /// A fleet that was checked, what an order by predicted time takes its costs from, and what was made before,
    /// to go on with.
    ///
    /// # Errors
    /// If this machine has no room for the fleet; if its order needs costs and there are none.
    pub fn new(
        fleet: Fleet,
        costs: Option<&Planner>,
        earlier: Option<FleetFile>,
        options: &Options,
    ) -> Result<Asked> {
        check_room(&fleet, if options.destination.is_some() { 1 } else { 2 })?;
        let mut ciphers = BTreeSet::new();
        for guest in &fleet.guests {
            if ciphers.insert(&guest.scenario.tunnel.ssh_cipher) {
                check_tunnels(&guest.scenario, options)?;
            }
        }
        let mut orders = BTreeMap::new();
        for way in &fleet.measure.ways {
            let arm = way.arm().unwrap_or(fleet.measure.arm);
            orders.insert(*way, order(&fleet, arm, costs)?);
        }
        Ok(Asked {
            fleet,
            orders,
            earlier,
        })
    }
}

/// Who watches.
pub trait Observer {
    /// So many evacuations will be made, warm-up included.
    fn planned(&mut self, _evacuations: usize) {}
    /// An evacuation begins.
    fn begins(&mut self, _course: Course, _block: Option<u32>) {}
    /// One was made.
    fn made(&mut self) {}
}

/// Evacuates the fleet in every way, block by block, and saves each evacuation in the folder.
///
/// # Errors
/// If there is no room for the fleet, hosts can't be started, or the folder can't be written. What goes wrong
/// with a guest is an outcome.
pub fn run(
    asked: &Asked,
    options: &Options,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<(FleetFile, ExitCode)> {
    let fleet = &asked.fleet;
    machine::raise_descriptors(fleet.guests.len() as u64 * A_GUEST + OWN_DESCRIPTORS)?;
    let coordinator = Coordinator::start(options)?;
    let mut hosts = coordinator.hosts();
    let (mut file, plans) = open(fleet, options, &mut hosts)?;
    if file.host.destination_on_this_machine {
        check_room(fleet, 2)?;
    }
    let first = match &asked.earlier {
        Some(earlier) => resume(&mut file, earlier)?,
        None => 0,
    };
    let missing = fleet.measure.repetitions as usize - file.whole_blocks();
    if missing == 0 || plans.is_empty() {
        return Err(Error::Invalid(match plans.is_empty() {
            true => format!(
                "measure.ways: none can be gone here: {}",
                all(&file.not_run)
            ),
            false => "--resume: the fleet has all its blocks".to_owned(),
        }));
    }
    file.derive();
    std::fs::create_dir_all(folder).map_err(|error| Error::writing(folder, error))?;
    file.write(folder)?;
    let link = match fleet.evacuation.link {
        Bandwidth::BitsPerSecond(_) => Some(SharedLink::new()?),
        Bandwidth::Unlimited => None,
    };
    let warmup = (0..fleet.measure.warmup).map(|number| Block {
        number,
        counted: None,
    });
    let counted = (first..).take(missing).map(|block| Block {
        number: fleet.measure.warmup + block,
        counted: Some(block),
    });
    let blocks: Vec<Block> = warmup.chain(counted).collect();
    let courses: Vec<(&WayPlan, u32)> = (plans.iter())
        .flat_map(|plan| {
            fleet
                .evacuation
                .concurrent
                .iter()
                .map(move |at_once| (plan, *at_once))
        })
        .collect();
    observer.planned(blocks.len() * courses.len());
    let machine = file.host.clone();
    let ground = Ground {
        launcher: coordinator.launcher(),
        mailbox: coordinator.mailbox(),
        route: &options.route,
        machine: &machine,
        link: link.as_ref(),
    };
    let mut monitor = Monitor::start();
    let mut stop = false;
    'blocks: for block in blocks {
        for (plan, concurrent) in stats::shuffled(&courses, fleet.measure.seed, block.number) {
            let course = Course {
                way: plan.way,
                concurrent,
            };
            observer.begins(course, block.counted);
            let order = &asked.orders[&plan.way];
            let made = evacuate(fleet, (plan, concurrent), order, block, &ground);
            let Carried {
                evacuation,
                tracker,
                unseen_cpu_s,
                stop: stopped,
            } = match made {
                Ok(carried) => carried,
                Err(NotMade::Interrupted) => {
                    stop = true;
                    break 'blocks;
                }
                Err(NotMade::Error(error)) => return Err(error),
            };
            observer.made();
            if file.host.destination_on_this_machine {
                monitor.leave_out(unseen_cpu_s);
            }
            if block.counted.is_some() {
                file.host.tracker = tracker.unwrap_or_default();
                file.evacuations.push(evacuation);
                file.derive();
                file.write(folder)?;
            }
            if stopped {
                stop = true;
                break 'blocks;
            }
        }
    }
    let observed = monitor.finish();
    file.host.steal_share = observed.steal_share;
    file.host.other_cpu_share = observed.other_cpu_share;
    file.interrupted = stop && file.whole_blocks() < fleet.measure.repetitions as usize;
    file.derive();
    file.write(folder)?;
    let exit = exit_code(&file);
    Ok((file, exit))
}

/// Asks both hosts what they can do and decides what becomes of each guest in each way.
fn open(
    fleet: &Fleet,
    options: &Options,
    hosts: &mut Hosts<'_>,
) -> Result<(FleetFile, Vec<WayPlan>)> {
    let mut file = FleetFile {
        schema_version: SCHEMA_VERSION,
        migtax_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        // Until the end: a coordinator that is killed leaves it so.
        interrupted: true,
        command: options.command.clone(),
        host: hosts.machine().clone(),
        fleet: fleet.clone(),
        arms: Vec::new(),
        not_run: BTreeMap::new(),
        evacuations: Vec::new(),
        comparisons: Vec::new(),
        warnings: Vec::new(),
    };
    for arm in fleet.arms() {
        let [source, destination] = hosts.abilities(arm)?;
        if file.host.destination.is_some() {
            let same = source.boot_mark.is_some() && source.boot_mark == destination.boot_mark;
            file.host.destination_on_this_machine = same;
            let cost = &mut file.host.destination_thread_clock_read_ns;
            cost.get_or_insert(destination.thread_clock_read_ns);
        }
        let of = treatment::measured(arm, &source, &destination);
        file.host.versions.extend(source.versions.clone());
        file.arms.push(source.arm_info(of.decision, of.reason));
    }
    let mut plans = Vec::new();
    for way in &fleet.measure.ways {
        match treatment::plan(fleet, *way, hosts, options.allow_software)? {
            Ok(plan) => plans.push(plan),
            Err(reason) => {
                file.not_run.insert(*way, reason);
            }
        }
    }
    Ok((file, plans))
}

fn all(reasons: &BTreeMap<Way, String>) -> String {
    let each = reasons
        .iter()
        .map(|(way, reason)| format!("{way}: {reason}"));
    each.collect::<Vec<_>>().join("; ")
}

/// Takes over what was made before; the number of the next block. A block that was interrupted stays as it is.
fn resume(file: &mut FleetFile, earlier: &FleetFile) -> Result<u32> {
    if let Some(difference) = machine::same_machine(&earlier.host, &file.host) {
        return Err(Error::Incomparable(format!(
            "--resume on another machine: {difference}"
        )));
    }
    if earlier.arms != file.arms || earlier.not_run != file.not_run {
        return Err(Error::Incomparable(
            "--resume: the arms' libraries, features or policy have changed".to_owned(),
        ));
    }
    file.started_at = earlier.started_at.clone();
    file.command = earlier.command.clone();
    file.host.tracker = earlier.host.tracker.clone();
    file.evacuations = earlier.evacuations.clone();
    let last = earlier.evacuations.iter().map(|made| made.block).max();
    let next = last.map_or(0, |last| last + 1);
    let room = LAST_BLOCK - next.min(LAST_BLOCK);
    let allowed = format_args!("no block has a number above {LAST_BLOCK}");
    Error::unless(
        room >= file.fleet.measure.repetitions,
        "--resume: the next block",
        next,
        allowed,
    )?;
    Ok(next)
}

fn exit_code(file: &FleetFile) -> ExitCode {
    let guests = || file.evacuations.iter().flat_map(|made| &made.guests);
    let failed = guests().any(|moved| moved.outcome == Some(OutcomeStatus::Failed));
    let refused = guests().any(|moved| moved.policy_decision == PolicyDecision::Refused);
    if file.interrupted {
        ExitCode::Interrupted
    } else if failed || refused {
        ExitCode::MigrationFailed
    } else {
        ExitCode::Done
    }
}
