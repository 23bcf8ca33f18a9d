//! What a machine counts beside time, where it exposes it: energy, cycles, instructions.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::rapl::{POWERCAP, Rapl};

/// What a machine counted while a migration ran; what it does not expose is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Energy of all processor packages of the machine, whatever ran on them (RAPL), joules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_j: Option<f64>,
    /// Cycles of the host process, kernel and vCPUs included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// Instructions of the host process, kernel and vCPUs included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
}

impl Counted {
    /// Whether the machine exposed none of it.
    pub fn is_empty(&self) -> bool {
        *self == Counted::default()
    }
}

/// The counters of a process that does the work.
#[derive(Debug)]
pub struct Instruments {
    rapl: Result<Rapl, String>,
    counters: Result<Counters, String>,
}

/// What the counters showed at some moment.
#[derive(Debug)]
pub struct Reading {
    energy_uj: Option<Vec<u64>>,
    counters: Option<[u64; 2]>,
}

impl Instruments {
    /// Opens those that there are. Threads that were started before are not counted.
    pub fn open() -> Instruments {
        Instruments {
            rapl: Rapl::open(Path::new(POWERCAP)),
            counters: Counters::open(),
        }
    }

    /// In words, for each: what is there, or why it is not.
    pub fn describe(&self) -> [(&'static str, String); 2] {
        let energy = match &self.rapl {
            Ok(rapl) => format!("RAPL, {} packages", rapl.packages()),
            Err(reason) => reason.clone(),
        };
        let counters = match &self.counters {
            Ok(_) => "cycles and instructions".to_owned(),
            Err(reason) => reason.clone(),
        };
        [("energy", energy), ("counters", counters)]
    }

    /// What they show now.
    pub fn read(&self) -> Reading {
        Reading {
            energy_uj: self.rapl.as_ref().ok().and_then(Rapl::read),
            counters: self.counters.as_ref().ok().and_then(Counters::read),
        }
    }

    /// What was counted since a reading.
    pub fn since(&self, before: &Reading) -> Counted {
        let now = self.read();
        let energy = self.rapl.as_ref().ok().zip(before.energy_uj.as_ref());
        let counted = |index: usize| {
            let (before, now) = (before.counters?, now.counters?);
            Some(now[index].saturating_sub(before[index]))
        };
        Counted {
            energy_j: energy
                .zip(now.energy_uj.as_ref())
                .map(|((rapl, before), now)| rapl.between_j(before, now)),
            cycles: counted(0),
            instructions: counted(1),
        }
    }
}
