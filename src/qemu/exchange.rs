//! A migration under way: followed through both monitors to its end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::machine::Machine;
use super::plan::{Plan, Stop, Told};
use super::qmp::{Event, QmpError};
use super::rounds::{Snapshot, rounds};
use super::setup::LONGEST_DOWNTIME_MS;
use super::threads::Threads;
use crate::precopy::OnStall;
use crate::results::{LONGEST_ANSWER_BYTES, Outcome, OutcomeStatus};
use crate::units::PAGE_SIZE;

/// What QEMU's migration is while it waits with the guest stopped.
const PAUSED: &str = "pre-switchover";
/// How long one look at the monitors waits.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// How often QEMU is asked how far it has come.
const ASKING: Duration = Duration::from_millis(250);
/// How often threads' CPU time is looked at: those that end take theirs with them.
const LOOKING: Duration = Duration::from_millis(50);

/// A migration under way.
pub(super) struct Exchange<'a> {
    plan: &'a Plan<'a>,
    source: &'a mut Machine,
    destination: &'a mut Machine,
    threads: [Threads; 2],
    /// When the command was given, by the clock of QEMU's events, seconds.
    began: f64,
    syncs: Vec<Snapshot>,
    /// When the source's guest stopped, seconds since the start.
    stopped_s: Option<f64>,
    /// What had been sent by then.
    stop: Option<Snapshot>,
    source_done: bool,
    /// When the destination was complete, seconds since the start.
    completed_s: Option<f64>,
    /// The destination ended: its last words.
    lost_destination: Option<String>,
    /// It does not converge: why.
    given_up: Option<String>,
    /// What QEMU answered before it was told to end it: once cancelled it tells nothing.
    last_answer: Option<Value>,
    /// Bytes sent, and when that was last seen to change.
    moved: (u64, Instant),
}

impl<'a> Exchange<'a> {
    /// A migration that has not begun.
    pub(super) fn new(
        plan: &'a Plan<'a>,
        source: &'a mut Machine,
        destination: &'a mut Machine,
        threads: [Threads; 2],
    ) -> Self {
        Exchange {
            plan,
            source,
            destination,
            threads,
            began: 0.0,
            syncs: Vec::new(),
            stopped_s: None,
            stop: None,
            source_done: false,
            completed_s: None,
            lost_destination: None,
            given_up: None,
            last_answer: None,
            moved: (0, Instant::now()),
        }
    }

    /// Migrates, and tells what came of it.
    ///
    /// # Errors
    /// If it was interrupted, or failed: with the words of whoever broke.
    pub(super) fn run(mut self, port: u16, told: &mut Told) -> Result<(), Stop> {
        self.began = now_s();
        let started = Instant::now();
        let uri = format!("tcp:127.0.0.1:{port}");
        self.source.run("migrate", json!({ "uri": uri }))?;
        let ended = self.watch(started);
        // What was counted is told of a failed migration too.
        if let Ok(answer) = self.source.run("query-migrate", json!({})) {
            let answer = self.last_answer.take().unwrap_or(answer);
            self.state(answer, told);
        }
        self.use_of_cpu(told)?;
        match (ended, &self.given_up) {
            (Ok(()), None) => told.outcome.status = OutcomeStatus::Completed,
            (Ok(()), Some(reason)) => {
                told.outcome = Outcome {
                    status: OutcomeStatus::NotConverged,
                    reason: Some(reason.clone()),
                };
            }
            (Err(stop), _) => return Err(stop),
        }
        Ok(())
    }

    /// Follows the migration to its end.
    fn watch(&mut self, started: Instant) -> Result<(), Stop> {
        self.moved.1 = started;
        let (mut asked, mut looked) = (started, started);
        loop {
            if (self.plan.interrupted)() {
                return Err(Stop::Interrupted);
            }
            match self.source.qmp().event(LOOK) {
                Ok(Some(event)) => self.hear_source(&event)?,
                Ok(None) => {}
                Err(error) => return Err(self.broken("waiting", &error)),
            }
            self.look_at_destination()?;
            let done = self.source_done && (self.completed_s.is_some() || self.given_up.is_some());
            if done {
                return Ok(());
            }
            if looked.elapsed() >= LOOKING {
                looked = Instant::now();
                self.threads.iter_mut().for_each(Threads::look);
            }
            if asked.elapsed() >= ASKING {
                asked = Instant::now();
                self.ask()?;
            }
            self.limits(started)?;
        }
    }

    /// An error of the source's monitor.
    fn broken(&mut self, doing: &str, error: &QmpError) -> Stop {
        Stop::Broken(self.source.complaint(doing, error))
    }

    fn hear_source(&mut self, event: &Event) -> Result<(), Stop> {
        let at_s = (event.timestamp_s - self.began).max(0.0);
        match event.name.as_str() {
            "MIGRATION_PASS" if self.stopped_s.is_none() => {
                let answer = self.source.run("query-migrate", json!({}))?;
                self.syncs.push(Snapshot::of(&answer, at_s));
                self.go_on(&answer)?;
            }
            "STOP" => self.stopped_s = Some(at_s),
            // It did not converge, or failed, and runs on.
            "RESUME" => (self.stopped_s, self.stop) = (None, None),
            "SHUTDOWN" => return Err("source: the guest shut down".to_owned().into()),
            "MIGRATION" => match event.data["status"].as_str().unwrap_or_default() {
                "completed" => self.source_done = true,
                "cancelled" => self.source_done = true,
                "failed" => return Err(self.failed()),
                PAUSED if self.stop.is_none() => {
                    let answer = self.source.run("query-migrate", json!({}))?;
                    self.go_on(&answer)?;
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// Lets QEMU go on that has stopped the guest and waits to be told so: now it tells what it had sent
    /// by then, and nothing more before all is.
    fn go_on(&mut self, answer: &Value) -> Result<(), Stop> {
        if answer["status"] != PAUSED {
            return Ok(());
        }
        self.stop = Some(Snapshot::of(answer, 0.0));
        match self
            .source
            .run("migrate-continue", json!({"state": PAUSED}))
        {
            // It was given up in the meantime.
            Err(_) if self.given_up.is_some() => Ok(()),
            gone_on => Ok(gone_on.map(drop)?),
        }
    }

    /// Why the source says that it failed, with what became of the destination.
    fn failed(&mut self) -> Stop {
        let answer = self.source.run("query-migrate", json!({}));
        let words = answer
            .as_ref()
            .ok()
            .and_then(|answer| answer["error-desc"].as_str())
            .unwrap_or("QEMU says no more than that the migration failed");
        let mut reason = format!("source: {words}");
        // A destination that ends tells why a moment later.
        let _ = self.look_at_destination();
        if self.lost_destination.is_none()
            && let Err(error) = self.destination.qmp().event(Duration::from_millis(500))
        {
            self.lost_destination = Some(self.destination.complaint("waiting", &error));
        }
        if let Some(epitaph) = &self.lost_destination {
            reason = format!("{epitaph}; {reason}");
        }
        Stop::Broken(reason)
    }

    fn look_at_destination(&mut self) -> Result<(), Stop> {
        if self.lost_destination.is_some() {
            return Ok(());
        }
        match self.destination.qmp().event(Duration::ZERO) {
            Ok(Some(event)) if event.name == "MIGRATION" => {
                if event.data["status"] == "completed" {
                    self.completed_s = Some((event.timestamp_s - self.began).max(0.0));
                }
            }
            Ok(_) => {}
            Err(error) => {
                let epitaph = self.destination.complaint("waiting", &error);
                // Nothing was confirmed: the source, which is asked, tells what it makes of it. One that
                // has given up ends its destination so.
                if self.source_done && self.given_up.is_none() {
                    return Err(Stop::Broken(epitaph));
                }
                self.lost_destination = Some(epitaph);
            }
        }
        Ok(())
    }

    /// Asks how far it has come; a migration that stands still is given up.
    fn ask(&mut self) -> Result<(), Stop> {
        let answer = self.source.run("query-migrate", json!({}))?;
        let sent = Snapshot::of(&answer, 0.0).transferred;
        if sent != self.moved.0 {
            self.moved = (sent, Instant::now());
        }
        let silence = self.plan.scenario.migration.peer_timeout.0;
        if self.moved.1.elapsed() > silence {
            let ms = silence.as_millis();
            let reason = format!("the migration stood still for {ms} ms");
            return Err(Stop::Broken(match &self.lost_destination {
                Some(epitaph) => format!("{epitaph}; {reason}"),
                None => reason,
            }));
        }
        Ok(())
    }

    /// Ends pre-copy at the scenario's limits.
    fn limits(&mut self, started: Instant) -> Result<(), Stop> {
        let migration = &self.plan.scenario.migration;
        if self.given_up.is_some() || self.stopped_s.is_some() || self.source_done {
            return Ok(());
        }
        // The first sync is the start of the first round.
        let done = self.syncs.len().saturating_sub(1) as u32;
        let reached = if done >= migration.max_rounds {
            "limit of rounds"
        } else if started.elapsed() >= migration.time_limit.0 {
            "time limit"
        } else {
            return Ok(());
        };
        match migration.on_stall {
            OnStall::Abort | OnStall::Throttle => {
                // Those that were dirty, and those that were not sent before.
                let left = self.syncs.last().map_or(0, |sync| sync.remaining) / PAGE_SIZE as u64;
                let plural = if done == 1 { "" } else { "s" };
                self.given_up = Some(format!(
                    "{reached}: {left} pages were left to send after {done} round{plural}"
                ));
                self.last_answer = Some(self.source.run("query-migrate", json!({}))?);
                self.source.run("migrate_cancel", json!({}))?;
            }
            OnStall::Switchover => {
                let limit = json!({"downtime-limit": LONGEST_DOWNTIME_MS});
                self.source.run("migrate-set-parameters", limit)?;
            }
        }
        Ok(())
    }

    /// Notes what QEMU states in the end.
    fn state(&self, answer: Value, told: &mut Told) {
        let seconds = |field: &str| answer[field].as_u64().map(|ms| ms as f64 / 1e3);
        let end_s = self.completed_s.unwrap_or_else(|| now_s() - self.began);
        told.total_time_s = end_s;
        let completed = self.completed_s.is_some();
        told.downtime_s = match self.stopped_s {
            Some(stopped_s) if completed => (end_s - stopped_s).max(0.0),
            _ => 0.0,
        };
        let end = Snapshot::of(&answer, end_s);
        let stop = self.stop.zip(self.stopped_s).filter(|_| completed);
        let stop = stop.map(|(sent, at_s)| Snapshot { at_s, ..sent });
        told.rounds = rounds(&self.syncs, stop.as_ref(), &end);
        told.qemu.stated_total_time_s = seconds("total-time");
        told.qemu.stated_downtime_s = seconds("downtime");
        told.qemu.stated_setup_time_s = seconds("setup-time");
        told.qemu.ram_bytes = answer["ram"]["total"].as_u64().unwrap_or(0);
        told.qemu.throttle_percent = answer["cpu-throttle-percentage"].as_u64();
        if answer.to_string().len() <= LONGEST_ANSWER_BYTES {
            told.qemu.answer = answer;
        }
    }

    fn use_of_cpu(&mut self, told: &mut Told) -> Result<(), Stop> {
        let [source, destination] = &mut self.threads;
        // A process that has ended has taken its account with it.
        told.source = source.used().unwrap_or_default();
        told.destination = destination.used().unwrap_or_default();
        told.qemu.source_threads = told.source.by_kind.clone();
        told.qemu.destination_threads = told.destination.by_kind.clone();
        Ok(())
    }
}

/// The clock of QEMU's events, seconds.
fn now_s() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
