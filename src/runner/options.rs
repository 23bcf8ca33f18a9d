//! What a run is asked for, and who watches it.

use std::path::PathBuf;

use crate::arm::Arm;
use crate::results::{Migration, Results, Shard};
use crate::runner::process::Role;
use crate::runner::route::Route;
use crate::scenario::Scenario;
use crate::stats::StopRule;

/// A scenario to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// What is run.
    pub scenario: Scenario,
    /// Where its results are saved.
    pub folder: PathBuf,
    /// Which part of it is run; all if none.
    pub shard: Option<Shard>,
    /// What was made before an interrupt, to go on with.
    pub earlier: Option<Results>,
}

/// What a run needs beside its scenario.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Let the software arms run under policy `required`.
    pub allow_software: bool,
    /// CPUs to keep the source to; empty for any.
    pub pin_source: Vec<usize>,
    /// CPUs to keep the destination to; empty for any.
    pub pin_destination: Vec<usize>,
    /// The command that repeats the run, as it goes into the results: without secrets.
    pub command: Vec<String>,
    /// When to stop, if the number of blocks is open.
    pub stop: Option<StopRule>,
    /// How the destination is started, if not as this executable: a command that may reach
    /// another machine.
    pub destination: Option<Vec<String>>,
    /// How the source reaches the destination.
    pub route: Route,
    /// Hosts that are told to hide their AES instructions.
    pub hide_aes: Vec<Role>,
    /// The QEMU that runs QEMU's arms, if not the first `qemu-system-x86_64` of PATH.
    pub qemu: Option<PathBuf>,
}

/// Who watches a run.
pub trait Observer {
    /// So many migrations will be made, warm-up included.
    fn planned(&mut self, _migrations: u32) {}
    /// A migration begins.
    fn begins(&mut self, _arm: Arm, _block: Option<u32>) {}
    /// A migration was made; warm-up too.
    fn made(&mut self, _migration: &Migration) {}
}
