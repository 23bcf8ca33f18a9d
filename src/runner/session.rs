//! One scenario being run: its arms as policy left them, its results so far, its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::figures::{self, Metric};
use crate::host::Capabilities;
use strum::IntoEnumIterator as _;

use crate::machine::slowdown::Slowed;
use crate::machine::{self, MachineInfo, Monitor};
use crate::results::{ArmInfo, Migration, Results, SCHEMA_VERSION, Shard, Warning};
use crate::run_folder::{self, LAST_BLOCK};
use crate::runner::blocks::{Block, numbers, schedule};
use crate::runner::hosts::Hosts;
use crate::runner::options::{Observer, Options};
use crate::runner::pair;
use crate::runner::policy::{self, Rules};
use crate::runner::process::{Launcher, Mailbox};
use crate::runner::qemu;
use crate::runner::room;
use crate::runner::task::{NotMade, Task};
use crate::scenario::Scenario;
use crate::stats;

/// A scenario being run.
pub struct Session<'a> {
    scenario: &'a Scenario,
    options: &'a Options,
    launcher: &'a Launcher,
    folder: PathBuf,
    results: Results,
    /// The arms that run, and whether they are sealed.
    runnable: Vec<(Arm, bool)>,
    /// QEMU's binary, if an arm needs one.
    binary: Option<PathBuf>,
    /// Blocks to make.
    schedule: Vec<Block>,
    /// How many of them are made.
    made: usize,
    /// Warnings that don't follow from the results themselves.
    extra: Vec<Warning>,
    monitor: Monitor,
}

impl<'a> Session<'a> {
    /// Asks the hosts what they can do and decides by policy.
    ///
    /// # Errors
    /// If hosts can't be started.
    pub fn open(
        scenario: &'a Scenario,
        options: &'a Options,
        hosts: &mut Hosts<'a>,
        folder: &Path,
    ) -> Result<Session<'a>> {
        let mut results = Results {
            schema_version: SCHEMA_VERSION,
            migtax_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            // Until the end: a coordinator that is killed leaves it so.
            interrupted: true,
            command: options.command.clone(),
            shard: None,
            parts: None,
            host: hosts.machine.clone(),
            scenario: scenario.clone(),
            arms: Vec::new(),
            migrations: Vec::new(),
            comparisons: Vec::new(),
            warnings: Vec::new(),
        };
        let rules = Rules {
            policy: scenario.migration.policy,
            encrypted_guest: scenario.guest.encrypted,
            allow_software: options.allow_software,
        };
        let mut versions = BTreeMap::new();
        let mut binary = None;
        let mut extra: Vec<Warning> = injected_slowdowns().chain(debug_build()).collect();
        for &arm in &scenario.measure.arms {
            if arm.is_qemu() {
                let hides_aes = !options.hide_aes.is_empty();
                hosts.named_qemu_is_one()?;
                let program = hosts.qemu();
                let info = qemu::arm_info(arm, scenario, rules, hides_aes, program)?;
                extra.extend(qemu::warning(&info, scenario));
                binary = program.as_ref().ok().map(|program| program.path.clone());
                results.arms.push(info);
                continue;
            }
            let [source, destination] = hosts.abilities(arm)?;
            let (decision, reason) = policy::decide(arm, rules, &source, &destination);
            extra.extend(differing(arm, &source, &destination));
            versions.extend(source.versions.clone());
            if results.host.destination.is_some() {
                let same = source.boot_mark.is_some() && source.boot_mark == destination.boot_mark;
                results.host.destination_on_this_machine = same;
                // As a rule that of another machine: measured there, once for all arms.
                let cost = &mut results.host.destination_thread_clock_read_ns;
                cost.get_or_insert(destination.thread_clock_read_ns);
            }
            results.arms.push(source.arm_info(decision, reason));
        }
        if results.host.destination_on_this_machine {
            room::check_both(scenario)?;
        }
        results.host.versions = versions;
        let runnable = results.arms.iter().filter_map(ArmInfo::runs).collect();
        Ok(Session {
            scenario,
            options,
            launcher: hosts.launcher,
            folder: folder.to_owned(),
            results,
            runnable,
            schedule: schedule(scenario, 0..scenario.measure.repetitions),
            made: 0,
            binary,
            extra,
            monitor: Monitor::start(),
        })
    }

    /// Makes a part of the run's blocks alone.
    pub fn only(mut self, shard: &Shard) -> Session<'a> {
        let repetitions = self.scenario.measure.repetitions;
        let blocks = numbers(Some(shard), 0).take_while(|block| *block < repetitions);
        self.schedule = schedule(self.scenario, blocks);
        self.results.shard = Some(shard.clone());
        self
    }

    /// Goes on with an interrupted run, with blocks of their own numbers: a block that was
    /// interrupted stays as it is, since its arms would no longer have met the same minutes. One that
    /// has all its blocks stays as it is.
    ///
    /// # Errors
    /// If the run was made on another machine, policy now decides differently, or block numbers
    /// are used up.
    pub fn resume(mut self, earlier: Results) -> Result<Session<'a>> {
        if let Some(difference) = machine::same_machine(&earlier.host, &self.results.host) {
            return Err(Error::Incomparable(format!(
                "--resume on another machine: {difference}"
            )));
        }
        if earlier.arms != self.results.arms {
            return Err(Error::Incomparable(
                "--resume: the arms' libraries, features or policy have changed".to_owned(),
            ));
        }
        let repetitions = self.scenario.measure.repetitions;
        let shard = self.results.shard.as_ref();
        let all = numbers(shard, 0).take_while(|block| *block < repetitions);
        let missing = all.count().saturating_sub(earlier.whole_blocks().len());
        if missing == 0 {
            self.schedule = Vec::new();
            self.results = earlier;
            return Ok(self);
        }
        let blocks = earlier.migrations.iter().map(|made| made.block);
        let first = blocks.max().map_or(0, |last| last.saturating_add(1));
        let blocks: Vec<u32> = numbers(shard, first).take(missing).collect();
        Error::unless(
            blocks.len() == missing,
            "--resume: the next block",
            first,
            format_args!("no block has a number above {LAST_BLOCK}"),
        )?;
        self.schedule = schedule(self.scenario, blocks);
        self.results.started_at = earlier.started_at;
        self.results.command = earlier.command;
        self.results.host.tracker = earlier.host.tracker;
        // One figure for the whole run: what its first migrations subtracted.
        self.results.host.thread_clock_read_ns = earlier.host.thread_clock_read_ns;
        self.results.host.destination_thread_clock_read_ns =
            earlier.host.destination_thread_clock_read_ns;
        self.results.migrations = earlier.migrations;
        Ok(self)
    }

    /// Migrations to be made, warm-up included.
    pub fn planned(&self) -> u32 {
        (self.schedule.len() * self.runnable.len()) as u32
    }

    /// Blocks to be made, warm-up included.
    pub fn blocks(&self) -> usize {
        self.schedule.len()
    }

    /// Makes the block at `index` of the schedule: every arm once, in an order of its own.
    ///
    /// # Errors
    /// If it was interrupted, or the coordinator can't go on.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn block(
        &mut self,
        index: usize,
        mailbox: &Mailbox<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), NotMade> {
        let seed = self.scenario.guest.seed;
        let planned = self.schedule[index];
        for (arm, sealed) in stats::shuffled(&self.runnable, seed, planned.number) {
            observer.begins(arm, planned.counted);
            let migration = self.migrate(self.scenario, (arm, sealed), planned, mailbox)?;
            observer.made(&migration);
            if planned.counted.is_some() {
                self.results.migrations.push(migration);
                self.save()?;
            }
        }
        self.made += 1;
        Ok(())
    }

    /// Makes one migration of an arm that runs, of this scenario or of one that differs from it in its
    /// rate: the one of that arm in a block, or in warm-up. It is not saved.
    ///
    /// # Errors
    /// If it was interrupted, or the coordinator can't go on.
    ///
    /// # Panics
    /// If policy does not let the arm run, or it can't.
    pub fn one(
        &mut self,
        scenario: &Scenario,
        arm: Arm,
        block: Option<u32>,
        mailbox: &Mailbox<'_>,
    ) -> Result<Migration, NotMade> {
        let mut runnable = self.runnable.iter();
        let arm = runnable.find(|(name, _)| *name == arm);
        let arm = *arm.expect("an arm that runs");
        self.migrate(scenario, arm, Block::of(scenario, block), mailbox)
    }

    fn migrate(
        &mut self,
        scenario: &Scenario,
        (arm, sealed): (Arm, bool),
        block: Block,
        mailbox: &Mailbox<'_>,
    ) -> Result<Migration, NotMade> {
        let task = Task {
            scenario,
            arm,
            sealed,
            block: block.counted.unwrap_or(0),
            stream_seed: block.stream_seed(scenario),
            start_offset_ns: block.start_offset_ns(scenario),
            pin: (&self.options.pin_source, &self.options.pin_destination),
            route: &self.options.route,
            machine: &self.results.host,
            fleet: None,
        };
        let made = match self.qemu_of(arm) {
            Some((binary, accelerator)) => qemu::migrate(binary, accelerator, &task, mailbox)?,
            None => pair::migrate(self.launcher, &task, mailbox)?,
        };
        if self.results.host.destination_on_this_machine {
            self.monitor.leave_out(made.unseen_cpu_s);
        }
        if let (Some(_), Some(tracker)) = (block.counted, made.tracker) {
            self.results.host.tracker = tracker;
        }
        Ok(made.migration)
    }

    /// The arms that were asked for, and what policy made of them.
    pub fn arms(&self) -> &[ArmInfo] {
        &self.results.arms
    }

    /// The machine as it was before the first migration, with the tracker that was used since.
    pub fn machine(&self) -> &MachineInfo {
        &self.results.host
    }

    /// The binary and the accelerator of an arm that QEMU runs.
    fn qemu_of(&self, arm: Arm) -> Option<(&Path, &str)> {
        let info = self.results.arms.iter().find(|info| info.name == arm);
        let accelerator = &info?.qemu.as_ref()?.accelerator;
        Some((self.binary.as_deref()?, accelerator))
    }

    /// Whether enough blocks were made, by a rule for runs whose number of blocks is open. The
    /// run then has as many repetitions as blocks were counted.
    pub fn is_enough(&mut self, rule: &stats::StopRule, elapsed_s: f64) -> bool {
        let counted = self.results.migrations.iter().map(|m| m.block + 1);
        let Some(blocks) = counted.max() else {
            return false;
        };
        let taxes = figures::comparisons(&self.results);
        let widest = [Metric::SOURCE_CPU_PER_GIB, Metric::DESTINATION_CPU_PER_GIB]
            .into_iter()
            .map(|metric| figures::widest_half_width(&taxes, metric))
            .try_fold(0.0, |widest: f64, width| Some(widest.max(width?)));
        self.results.scenario.measure.repetitions = blocks;
        rule.is_met(blocks, elapsed_s, widest)
    }

    /// Derives comparisons and warnings, saves, and gives the results out.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn close(self, interrupted: bool) -> Result<Results> {
        let folder = self.folder.clone();
        let results = self.conclude(interrupted);
        run_folder::write(&results, &folder)?;
        Ok(results)
    }

    /// Derives comparisons and warnings, and gives the results out without saving them.
    pub fn conclude(mut self, interrupted: bool) -> Results {
        let observed = self.monitor.finish();
        let mut results = self.results;
        results.interrupted = interrupted && self.made < self.schedule.len();
        if self.schedule.is_empty() {
            return results;
        }
        results.host.steal_share = observed.steal_share;
        results.host.other_cpu_share = observed.other_cpu_share;
        results.comparisons = figures::comparisons(&results);
        results.warnings = figures::warnings(&results);
        results.warnings.append(&mut self.extra);
        results
    }

    /// Saves what there is.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn save(&self) -> Result<()> {
        run_folder::write(&self.results, &self.folder)
    }
}

/// What must not be overlooked in results that were made to look slow.
fn injected_slowdowns() -> impl Iterator<Item = Warning> {
    Slowed::iter().filter_map(|stage| {
        let share = stage.share()?;
        Some(Warning {
            code: figures::INJECTED_SLOWDOWN.to_owned(),
            message: format!(
                "{stage} was made slower by {:.1}% on purpose",
                share * 100.0
            ),
            remedy: format!("unset {} for real figures", stage.variable()),
        })
    })
}

/// What developers build: its ciphers' tax is not that of any program in use.
fn debug_build() -> Option<Warning> {
    cfg!(debug_assertions).then(|| Warning {
        code: figures::DEBUG_BUILD.to_owned(),
        message: "a debug build: ciphers in Rust and the path around all of them are not optimised, and check \
                  themselves"
            .to_owned(),
        remedy: "cargo build --release for real figures".to_owned(),
    })
}

/// An arm that is not the same code on both hosts: its figures are those of a pair.
fn differing(arm: Arm, source: &Capabilities, destination: &Capabilities) -> Option<Warning> {
    let both = source.missing_features.is_empty() && destination.missing_features.is_empty();
    let same = source.engaged_features == destination.engaged_features
        && source.build() == destination.build();
    (both && !same).then(|| Warning {
        code: figures::HOSTS_DIFFER.to_owned(),
        message: format!(
            "{arm}: the source (migtax {}) engages {}, the destination (migtax {}) {}",
            source.build(),
            source.engaged_features.join(" "),
            destination.build(),
            destination.engaged_features.join(" ")
        ),
        remedy: "use hosts of one CPU model and one build, or read each side by itself".to_owned(),
    })
}
