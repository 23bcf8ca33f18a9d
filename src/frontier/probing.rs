//! Searches that take turns on the runner.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::file::{self, FrontierFile, Probe, SCHEMA_VERSION, converged};
use super::question::at_rate;
use super::search::Search;
use crate::arm::Arm;
use crate::error::{Error, ExitCode, Result};
use crate::machine;
use crate::precopy::OnStall;
use crate::results::{Migration, PolicyDecision, Warning};
use crate::runner::process::Mailbox;
use crate::runner::{Coordinator, NotMade, Options, Session};
use crate::scenario::{ClockKind, Scenario};
use crate::stats;

/// Below this share of the writes asked for, what the guest did is worth a warning.
const SCHEDULE_KEPT: f64 = 0.99;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// One a point of the matrix, each passed by [`super::check_scenario`].
    pub scenarios: Vec<Scenario>,
    /// As in [`FrontierFile::precision`].
    pub precision: f64,
    /// No probe is begun that would end later than this.
    pub budget: Duration,
    /// What was probed before, to go on with.
    pub earlier: Option<FrontierFile>,
}

/// Who watches the searches.
pub trait Observer {
    /// A probe begins; about so many are left, it included.
    fn begins(&mut self, _probe: &str, _left: usize) {}
    /// A probe was made.
    fn made(&mut self) {}
}

/// Looks for the frontiers, and saves each probe in the folder.
///
/// # Errors
/// If hosts can't be started, the folder can't be written, or the earlier search was made on another
/// machine. What goes wrong in a migration is an outcome.
pub fn run(
    asked: &Asked,
    options: &Options,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<(FrontierFile, ExitCode)> {
    let scenarios: Vec<Scenario> = asked.scenarios.iter().map(without_switchover).collect();
    let coordinator = Coordinator::start(options)?;
    let mut hosts = coordinator.hosts();
    let mut sessions = Vec::with_capacity(scenarios.len());
    for scenario in &scenarios {
        sessions.push(Session::open(scenario, options, &mut hosts, folder)?);
    }
    let first = sessions
        .first()
        .ok_or_else(|| Error::Invalid("no scenario".to_owned()))?;
    let mut file = FrontierFile {
        schema_version: SCHEMA_VERSION,
        migtax_version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        // Until the end: a coordinator that is killed leaves it so.
        interrupted: true,
        command: options.command.clone(),
        host: first.machine().clone(),
        arms: first.arms().to_vec(),
        scenarios: scenarios.clone(),
        precision: asked.precision,
        frontier: Vec::new(),
        probes: Vec::new(),
        predicted: Vec::new(),
        warnings: Vec::new(),
    };
    if let Some(earlier) = &asked.earlier {
        resume(&mut file, earlier)?;
    }
    file.derive();
    file.write(folder)?;
    let mut turns = Turns {
        file,
        sessions,
        folder,
        mailbox: coordinator.mailbox(),
        began: Instant::now(),
        budget: asked.budget,
        searches: BTreeMap::new(),
    };
    let over = turns.carry_out(observer);
    let interrupted = match over {
        Ok(()) => false,
        Err(NotMade::Interrupted) => true,
        Err(NotMade::Error(error)) => return Err(error),
    };
    let file = turns.close(interrupted)?;
    let exit = exit_code(&file);
    Ok((file, exit))
}

/// Stopping and copying at a limit is not convergence: a probe gives up there.
fn without_switchover(scenario: &Scenario) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.migration.on_stall = OnStall::Abort;
    scenario
}

fn resume(file: &mut FrontierFile, earlier: &FrontierFile) -> Result<()> {
    if let Some(difference) = machine::same_machine(&earlier.host, &file.host) {
        return Err(Error::Incomparable(format!(
            "--resume on another machine: {difference}"
        )));
    }
    if earlier.arms != file.arms {
        return Err(Error::Incomparable(
            "--resume: the arms' libraries, features or policy have changed".to_owned(),
        ));
    }
    file.started_at = earlier.started_at.clone();
    file.command = earlier.command.clone();
    file.probes = earlier.probes.clone();
    file.predicted = earlier.predicted.clone();
    Ok(())
}

fn exit_code(file: &FrontierFile) -> ExitCode {
    let refused = |decision| decision == PolicyDecision::Refused;
    let failed = file.probes.iter().any(|probe| probe.converged.is_none())
        || file.arms.iter().any(|info| refused(info.policy_decision));
    match (file.interrupted, failed) {
        (true, _) => ExitCode::Interrupted,
        (_, true) => ExitCode::MigrationFailed,
        _ => ExitCode::Done,
    }
}

/// The searches, by turns.
struct Turns<'a> {
    file: FrontierFile,
    sessions: Vec<Session<'a>>,
    folder: &'a Path,
    mailbox: Mailbox<'a>,
    began: Instant,
    budget: Duration,
    searches: BTreeMap<(usize, Arm), Search>,
}

impl Turns<'_> {
    fn carry_out(&mut self, observer: &mut dyn Observer) -> Result<(), NotMade> {
        let points = self.points();
        let seed = self.file.scenarios[0].guest.seed;
        if self.file.scenarios[0].measure.clock == ClockKind::Virtual {
            // Nothing drifts, and a search gains by what the one before it found.
            for point in points {
                while self.probe(point, observer)? {}
            }
            return Ok(());
        }
        if points.iter().any(|point| self.next(*point).is_some()) {
            self.warm_up(&points)?;
        }
        loop {
            // In a turn each search that goes on makes a probe; one that was interrupted is made whole.
            let mut open = points.clone();
            open.retain(|point| self.next(*point).is_some());
            let open: Vec<_> = open
                .iter()
                .map(|point| (self.made(*point), *point))
                .collect();
            let Some(turn) = open.iter().map(|(made, _)| *made).min() else {
                return Ok(());
            };
            let due = open.into_iter().filter(|(made, _)| *made == turn);
            let due: Vec<_> = due.map(|(_, point)| point).collect();
            for point in stats::shuffled(&due, seed, turn) {
                if !self.probe(point, observer)? {
                    return Ok(());
                }
            }
        }
    }

    fn points(&self) -> Vec<(usize, Arm)> {
        let arms = self.file.arms.iter().filter(|info| file::runs(info));
        let arms: Vec<Arm> = arms.map(|info| info.name).collect();
        let scenarios = 0..self.file.scenarios.len();
        scenarios
            .flat_map(|scenario| arms.iter().map(move |arm| (scenario, *arm)))
            .collect()
    }

    /// Turns that a search has had.
    fn made(&self, (scenario, arm): (usize, Arm)) -> u32 {
        self.file.of(scenario, arm).count() as u32
    }

    fn next(&mut self, (scenario, arm): (usize, Arm)) -> Option<u64> {
        let file = &self.file;
        let search = self.searches.entry((scenario, arm));
        let search = search.or_insert_with(|| file.search(scenario, arm));
        file.next(scenario, arm, search)
    }

    /// The first migrations meet cold caches and a machine that is still waking up.
    fn warm_up(&mut self, points: &[(usize, Arm)]) -> Result<(), NotMade> {
        for _ in 0..self.file.scenarios[0].measure.warmup {
            for (scenario, arm) in points.iter().filter(|(scenario, _)| *scenario == 0) {
                let of = &self.file.scenarios[*scenario];
                self.sessions[*scenario].one(of, *arm, None, &self.mailbox)?;
            }
        }
        Ok(())
    }

    /// Makes the next probe of a search; false if there is none, or no time for it.
    fn probe(&mut self, point: (usize, Arm), observer: &mut dyn Observer) -> Result<bool, NotMade> {
        let Some(writes) = self.next(point).filter(|_| self.has_time()) else {
            return Ok(false);
        };
        let (scenario, arm) = point;
        let at = at_rate(&self.file.scenarios[scenario], writes);
        let left = self.searches.values().map(Search::left).sum();
        let rate = at.workload.rate.0 as f64;
        let shown = crate::present::text::bytes(rate);
        observer.begins(&format!("{arm}, {}, {shown}/s", at.migration.link), left);
        let block = self.made(point);
        let session = &mut self.sessions[scenario];
        let migration = session.one(&at, arm, Some(block), &self.mailbox)?;
        let probe = made(point, block, &at, &migration);
        if let (Some(converged), Some(kept)) = (probe.converged, probe.schedule_kept)
            && let Some(search) = self.searches.get_mut(&point)
        {
            search.told(writes, kept * writes as f64, converged);
        }
        self.file.host.tracker = session.machine().tracker.clone();
        self.file.probes.push(probe);
        if let Some(search) = self.searches.get(&point) {
            self.file.derive_one(scenario, arm, search);
        }
        self.file.write(self.folder)?;
        observer.made();
        Ok(true)
    }

    /// Whether the longest probe so far would end within the budget.
    fn has_time(&self) -> bool {
        let longest = self.file.probes.iter().map(|probe| probe.total_time_s);
        let longest = match self.file.scenarios[0].measure.clock {
            ClockKind::Live => longest.fold(0.0, f64::max),
            ClockKind::Virtual => 0.0,
        };
        self.began.elapsed().as_secs_f64() + longest <= self.budget.as_secs_f64()
    }

    fn close(mut self, interrupted: bool) -> Result<FrontierFile> {
        let first = self.sessions.remove(0).conclude(interrupted);
        let file = &mut self.file;
        file.interrupted = interrupted;
        file.host = first.host;
        file.derive();
        // Those of a run without migrations: of the machine and of the arms.
        file.warnings = first.warnings;
        let own = warnings(file);
        file.warnings.extend(own);
        self.file.write(self.folder)?;
        Ok(self.file)
    }
}

/// A migration as a probe.
fn made((scenario, arm): (usize, Arm), block: u32, at: &Scenario, m: &Migration) -> Probe {
    let converged = converged(&m.outcome);
    let asked = at.workload.rate.0;
    let kept = converged.map(|_| m.guest.schedule_kept.clamp(0.0, 1.0));
    let virtual_s = m.rounds.iter().map(|round| round.duration_s).sum();
    Probe {
        scenario,
        arm,
        block,
        stream_seed: m.stream_seed.unwrap_or(at.guest.seed),
        rate_asked_bytes_per_s: asked,
        schedule_kept: kept,
        rate_achieved_bytes_per_s: kept.map(|kept| kept * asked as f64),
        converged,
        outcome: m.outcome.clone(),
        rounds: m.rounds.len(),
        total_time_s: match at.measure.clock {
            ClockKind::Live => m.total_time_s,
            ClockKind::Virtual => virtual_s,
        },
        downtime_s: (converged == Some(true)).then_some(m.downtime.total_s),
    }
}

/// What weakens the frontiers.
fn warnings(file: &FrontierFile) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |code: &str, message: String, remedy: &str| {
        found.push(Warning {
            code: code.to_owned(),
            message,
            remedy: remedy.to_owned(),
        });
    };
    for entry in &file.frontier {
        let what = format!(
            "{} at {}",
            entry.arm,
            file.scenarios[entry.scenario].title()
        );
        let probes = || file.of(entry.scenario, entry.arm);
        let open = !entry.precise && entry.bound.is_none() && entry.probes > 0;
        if open && entry.failed == 0 {
            warn(
                "imprecise",
                format!("{what}: not as precise as was asked for"),
                "--resume with a larger --budget, or a larger --precision",
            );
        }
        let kept: Vec<f64> = probes().filter_map(|probe| probe.schedule_kept).collect();
        if let Some(median) = stats::median(&kept).filter(|kept| *kept < SCHEDULE_KEPT) {
            let share = 100.0 * median;
            warn(
                "achieved_rate",
                format!(
                    "{what}: the guest made {share:.1}% of the writes asked for, median over probes, each of which counts at the rate that it made"
                ),
                "add a core, or read it as what the migration cost the guest",
            );
        }
        if let Some(failed) = probes().find(|probe| probe.converged.is_none()) {
            let reason = failed.outcome.reason.as_deref().unwrap_or_default();
            let count = entry.failed;
            warn(
                "failed",
                format!("{what}: {count} probes failed ({reason}); they count neither way"),
                "find the cause before trusting this frontier",
            );
        }
        let limit_s = entry.downtime_limit_s;
        let grows = file.scenarios[entry.scenario].migration.downtime_growth;
        let pauses: Vec<f64> = probes().filter_map(|probe| probe.downtime_s).collect();
        let over: Vec<f64> = pauses.iter().copied().filter(|s| *s > limit_s).collect();
        if let (Some(median), None) = (stats::median(&over), grows) {
            warn(
                "downtime_limit_exceeded",
                format!(
                    "{what}: {} of {} probes that converged paused the guest for longer than the limit, median of these {:.3} ms against {:.3} ms",
                    over.len(),
                    pauses.len(),
                    1e3 * median,
                    1e3 * limit_s
                ),
                "raise downtime_limit above what the pause takes without any page, or free a core",
            );
        }
    }
    found
}
