//! One migration by QEMU: two processes, from their start to their end.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::guest;
use super::guest::layout::{Layout, MAX_GUEST_MEMORY};
use super::guest::running::{self, Feeder, GuestClock, Lateness, Ring};
use super::machine::{Machine, Start};
use super::memory::ProcessMemory;
use super::qmp::{Event, QmpError};
use super::rounds::{Snapshot, rounds};
use super::threads::{Threads, Used};
use super::verify;
use crate::arm::Arm;
use crate::error::Error;
use crate::guest::content;
use crate::host::latency::latency;
use crate::memory::{GuestMemory, Pages, Presence};
use crate::precopy::{OnStall, Throttle};
use crate::results::{Guest, Outcome, OutcomeStatus, QemuMigration, Verified};
use crate::scenario::Scenario;
use crate::units::{Bandwidth, PAGE_SIZE};
use crate::workload::MergedStream;

/// How long a QEMU may take to start, to answer, to go on.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one look at the monitors waits.
const LOOK: Duration = Duration::from_millis(10);
/// How often QEMU is asked how far it has come.
const ASKING: Duration = Duration::from_millis(250);
/// How often threads' CPU time is looked at: those that end take theirs with them.
const LOOKING: Duration = Duration::from_millis(50);
/// Bandwidth that is never the limit, bytes/s; 0 means something else in old releases.
const UNLIMITED: u64 = 1 << 37;
/// The longest downtime limit that QEMU takes, milliseconds (migration/options.c).
const LONGEST_DOWNTIME_MS: u64 = 2_000_000;

/// What one migration is about.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// Guest, workload, migration.
    pub scenario: &'a Scenario,
    /// The arm, which is QEMU's.
    pub arm: Arm,
    /// Seed of the block's dirty-page stream.
    pub stream_seed: u64,
    /// Where in the stream the block starts.
    pub start_offset_ns: u64,
    /// CPUs to keep the source and the destination to.
    pub pin: (&'a [usize], &'a [usize]),
    /// The binary.
    pub binary: &'a Path,
    /// `kvm` or `tcg`.
    pub accelerator: &'a str,
    /// Folders with the credentials of source and destination, if they speak TLS.
    pub credentials: Option<(&'a Path, &'a Path)>,
    /// Whether GnuTLS tells what it negotiates.
    pub tells_tls: bool,
    /// Whether the run was interrupted: asked about every 10 ms.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Called once both processes have what they need from the file system.
    pub started: &'a dyn Fn(),
}

/// What came of a migration.
#[derive(Debug, Default)]
pub struct Told {
    /// How it ended.
    pub outcome: Outcome,
    /// Until both processes were ready, without filling memory, seconds.
    pub setup_time_s: f64,
    /// From the command to the destination's word that it is complete, seconds.
    pub total_time_s: f64,
    /// From the source's stop to that word, seconds.
    pub downtime_s: f64,
    /// Its rounds.
    pub rounds: Vec<crate::results::Round>,
    /// CPU time of the source.
    pub source: Used,
    /// CPU time of the destination.
    pub destination: Used,
    /// Both sides' hashes of guest memory.
    pub verified: Verified,
    /// What the guest did.
    pub guest: Guest,
    /// What QEMU states.
    pub qemu: QemuMigration,
    /// What the source said on standard error.
    pub source_said: String,
}

/// The run was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// Why a migration goes on no further.
enum Stop {
    Interrupted,
    /// It failed; why.
    Broken(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Stop::Broken(reason)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Broken(error.to_string())
    }
}

/// Makes one migration.
///
/// # Errors
/// If it was interrupted. Whatever else goes wrong is an outcome.
pub fn migrate(plan: &Plan<'_>) -> Result<Told, Interrupted> {
    let mut told = Told::default();
    told.qemu.channels = channels(plan.scenario);
    match run(plan, &mut told) {
        Ok(()) => {}
        Err(Stop::Interrupted) => return Err(Interrupted),
        Err(Stop::Broken(reason)) => {
            told.outcome = Outcome {
                status: OutcomeStatus::Failed,
                reason: Some(reason),
            };
        }
    }
    Ok(told)
}

/// Channels of multifd; 0 for the single channel.
fn channels(scenario: &Scenario) -> u32 {
    match scenario.migration.streams {
        1 => 0,
        streams => streams,
    }
}

fn run(plan: &Plan<'_>, told: &mut Told) -> Result<(), Stop> {
    let began = Instant::now();
    let scenario = plan.scenario;
    let layout = Layout::of(scenario.guest.memory.0);
    let mut source = start(plan, layout, "source")?;
    let filling = Instant::now();
    let source_memory = source.memory()?;
    let pages = fill(scenario, layout, &source_memory)?;
    let fill_s = filling.elapsed().as_secs_f64();
    let busy = scenario.workload.rate.0 > 0;
    running::lay(&source_memory, layout, busy)?;
    let mut destination = start(plan, layout, "destination")?;
    (plan.started)();
    let port = configure(plan, &mut source, &mut destination)?;
    source.run("cont", json!({}))?;
    wait_for(
        plan,
        &mut source,
        || running::has_booted(&source_memory),
        "boot",
    )?;
    told.setup_time_s = began.elapsed().as_secs_f64() - fill_s;
    let mut writer = match busy {
        true => Some(Writer::start(plan, layout, &source_memory)?),
        false => None,
    };
    pause_for(plan, scenario.measure.window.0)?;
    let Before {
        executed: executed_before,
        threads,
    } = Before::look(&source_memory, &source, &destination, &mut writer)?;
    let result = Exchange {
        plan,
        source: &mut source,
        destination: &mut destination,
        threads,
        began: 0.0,
        syncs: Vec::new(),
        stopped_s: None,
        source_done: false,
        completed_s: None,
        lost_destination: None,
        given_up: None,
        moved: (0, Instant::now()),
    }
    .run(port, told);
    told.source_said = source.said();
    if !matches!(result, Ok(()) if told.outcome.status == OutcomeStatus::Completed) {
        let stayed = stayed(
            plan,
            &mut source,
            &source_memory,
            layout,
            executed_before,
            &mut writer,
            told,
        );
        return match (result, stayed) {
            (Err(Stop::Broken(reason)), Err(Stop::Broken(more))) => {
                Err(Stop::Broken(format!("{reason}; {more}")))
            }
            (Err(stop), _) | (Ok(()), Err(stop)) => Err(stop),
            (Ok(()), Ok(())) => Ok(()),
        };
    }
    let executed = running::executed(&source_memory)?;
    if let Some(writer) = &mut writer {
        writer.account(plan, &source_memory, executed - executed_before, told)?;
    }
    let destination_memory = destination.memory()?;
    told.verified = verify::compare(&source_memory, &destination_memory, layout, pages)?;
    if !told.verified.equal {
        let v = &told.verified;
        let (source, destination) = (&v.source_hash, &v.destination_hash);
        return Err(Stop::Broken(format!(
            "guest memory differs: source {source}, destination {destination}"
        )));
    }
    if let Some(writer) = &mut writer {
        writer.move_to(&destination_memory)?;
    }
    destination.run("cont", json!({}))?;
    // The guest goes on where it is now: it has more work, or it is as idle as it was.
    if busy {
        let goes_on = || Ok(running::executed(&destination_memory)? > executed);
        wait_for(plan, &mut destination, goes_on, "go on")?;
    } else if destination.run("query-status", json!({}))?["status"] != "running" {
        return Err(Stop::Broken(
            "destination: the guest does not run".to_owned(),
        ));
    }
    if let Some(writer) = writer {
        writer.stop()?;
    }
    Ok(())
}

/// A guest that the migration has left at the source: it runs on, with every write that it counts.
fn stayed(
    plan: &Plan<'_>,
    source: &mut Machine,
    memory: &ProcessMemory,
    layout: Layout,
    executed_before: u64,
    writer: &mut Option<Writer>,
    told: &mut Told,
) -> Result<(), Stop> {
    if (plan.interrupted)() {
        return Err(Stop::Interrupted);
    }
    let seen = running::executed(memory)?;
    let status = source.run("query-status", json!({}))?;
    if status["status"] != "running" {
        let status = status["status"].as_str().unwrap_or("not running");
        return Err(Stop::Broken(format!(
            "the guest at the source is left {status}"
        )));
    }
    if writer.is_some() {
        let goes_on = || Ok(running::executed(memory)? > seen);
        wait_for(plan, source, goes_on, "go on")?;
    }
    source.run("stop", json!({}))?;
    let executed = running::executed(memory)?;
    if let Some(writer) = writer {
        writer.account(plan, memory, seen - executed_before, told)?;
    }
    let mut stream = stream(plan)?;
    stream.skip_to(plan.start_offset_ns);
    let verified = verify::writes_verified(memory, layout, plan.scenario, stream, executed)?;
    told.guest.writes_verified = verified;
    if verified == Some(false) {
        return Err(Stop::Broken(
            "source: the memory of the guest that stayed differs from its own record of writes"
                .to_owned(),
        ));
    }
    Ok(())
}

fn start(plan: &Plan<'_>, layout: Layout, side: &'static str) -> Result<Machine, Stop> {
    let incoming = side == "destination";
    let (pin, endpoint) = match incoming {
        false => (plan.pin.0, "client"),
        true => (plan.pin.1, "server"),
    };
    let credentials = plan.credentials.map(|(source, destination)| {
        let folder = if incoming { destination } else { source };
        // Commas separate an option's parts, and are doubled in them.
        let [folder, priority] = [&*folder.to_string_lossy(), &plan.scenario.qemu.priority]
            .map(|text| text.replace(',', ",,"));
        format!(
            "tls-creds-x509,id=tls0,dir={folder},endpoint={endpoint},verify-peer=on,priority={priority}"
        )
    });
    let presence = plan.scenario.migration.destination_memory;
    let start = Start {
        side,
        arm: plan.arm,
        binary: plan.binary,
        accelerator: plan.accelerator,
        ram_bytes: layout.ram_bytes,
        preallocated: !incoming || presence == Presence::FaultedIn,
        pages: plan.scenario.guest.pages,
        incoming,
        credentials: credentials.as_deref(),
        cpus: pin,
        tells_tls: plan.tells_tls,
    };
    // Making all of its memory takes its time.
    let limit = PATIENCE + Duration::from_secs(layout.ram_bytes >> 27);
    Ok(Machine::start(&start, &guest::rom(), limit)?)
}

/// Fills guest memory as the scenario says; its pages.
fn fill(scenario: &Scenario, layout: Layout, to: &ProcessMemory) -> Result<u64, Stop> {
    const PIECE_PAGES: u64 = 1024;
    let size = scenario.guest.memory;
    Error::unless(
        size.0 <= MAX_GUEST_MEMORY,
        "guest.memory",
        size,
        "at most 507GiB for an arm of QEMU's",
    )?;
    let memory = GuestMemory::backed(size, Pages::Small, Presence::OnDemand)?;
    content::fill(&memory, &scenario.guest.content, scenario.guest.seed);
    let mut piece = vec![0; PIECE_PAGES as usize * PAGE_SIZE];
    let pages = memory.pages();
    for first in (0..pages).step_by(PIECE_PAGES as usize) {
        let count = PIECE_PAGES.min(pages - first) as usize * PAGE_SIZE;
        memory.copy_out(first, &mut piece[..count]);
        to.write(layout.offset(first), &piece[..count])?;
    }
    Ok(pages)
}

/// Tells both what to do; the port at which the destination listens.
fn configure(
    plan: &Plan<'_>,
    source: &mut Machine,
    destination: &mut Machine,
) -> Result<u16, Stop> {
    let scenario = plan.scenario;
    let (qemu, channels) = (&scenario.qemu, channels(scenario));
    let capability = |name: &str| json!({"capability": name, "state": true});
    let mut both = vec![capability("events")];
    let mut parameters = json!({});
    if channels > 0 {
        both.push(capability("multifd"));
        parameters["multifd-channels"] = channels.into();
        parameters["multifd-compression"] = qemu.compression.name().into();
    }
    if plan.credentials.is_some() {
        parameters["tls-creds"] = "tls0".into();
    }
    let mut sending = both.clone();
    if qemu.zero_copy_send && !plan.arm.is_encrypted() {
        sending.push(capability("zero-copy-send"));
    }
    let throttle = scenario.migration.throttle;
    if qemu.auto_converge || throttle.is_some() {
        sending.push(capability("auto-converge"));
    }
    destination.run("migrate-set-capabilities", json!({ "capabilities": both }))?;
    destination.run("migrate-set-parameters", parameters.clone())?;
    if plan.credentials.is_some() {
        parameters["tls-hostname"] = "localhost".into();
    }
    // A checked scenario has no other rule for QEMU.
    if let Some(Throttle::AutoConverge {
        threshold,
        initial,
        increment,
        max,
        ..
    }) = throttle
    {
        for (name, share) in [
            ("throttle-trigger-threshold", threshold),
            ("cpu-throttle-initial", initial),
            ("cpu-throttle-increment", increment),
            ("max-cpu-throttle", max),
        ] {
            parameters[name] = ((share * 100.0).round() as u64).into();
        }
    }
    let limit_ns = scenario.migration.downtime_limit.as_nanos();
    parameters["downtime-limit"] = limit_ns.div_ceil(1_000_000).min(LONGEST_DOWNTIME_MS).into();
    parameters["max-bandwidth"] = match scenario.migration.link {
        Bandwidth::Unlimited => UNLIMITED,
        Bandwidth::BitsPerSecond(bits) => (bits / 8).max(1),
    }
    .into();
    source.run(
        "migrate-set-capabilities",
        json!({ "capabilities": sending }),
    )?;
    source.run("migrate-set-parameters", parameters)?;
    destination.run("migrate-incoming", json!({"uri": "tcp:127.0.0.1:0"}))?;
    let listening = destination.run("query-migrate", json!({}))?;
    let port = &listening["socket-address"][0]["port"];
    let port = port.as_str().and_then(|port| port.parse().ok());
    port.ok_or_else(|| Stop::Broken("destination: QEMU does not say where it listens".to_owned()))
}

/// Waits until something holds of the guest.
fn wait_for(
    plan: &Plan<'_>,
    machine: &mut Machine,
    holds: impl Fn() -> crate::error::Result<bool>,
    what: &str,
) -> Result<(), Stop> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match holds() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            // Its own words say more than that its memory is gone.
            Err(error) => return Err(gone(machine).unwrap_or_else(|| error.into())),
        }
        if (plan.interrupted)() {
            return Err(Stop::Interrupted);
        }
        if let Some(stop) = gone(machine) {
            return Err(stop);
        }
        if Instant::now() > deadline {
            let (side, limit) = (machine.side(), PATIENCE.as_secs());
            return Err(Stop::Broken(format!(
                "{side}: the guest did not {what} within {limit} s"
            )));
        }
    }
}

/// Why a machine is no more, if so; waits for a moment.
fn gone(machine: &mut Machine) -> Option<Stop> {
    match machine.qmp().event(Duration::from_millis(1)) {
        Ok(Some(event)) if event.name == "SHUTDOWN" => {
            let side = machine.side();
            Some(Stop::Broken(format!("{side}: the guest shut down")))
        }
        Ok(_) => None,
        Err(error) => Some(Stop::Broken(machine.complaint("waiting", &error))),
    }
}

/// Lets the guest run for a time.
fn pause_for(plan: &Plan<'_>, time: Duration) -> Result<(), Stop> {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if (plan.interrupted)() {
            return Err(Stop::Interrupted);
        }
        std::thread::sleep(left.min(LOOK));
    }
    Ok(())
}

/// What writes in the guest, and how it is accounted for.
struct Writer {
    feeder: Option<Feeder>,
    ring: Option<Ring>,
    clock: GuestClock,
    begins: Instant,
    lateness: Lateness,
    migration_began: Instant,
}

impl Writer {
    fn start(plan: &Plan<'_>, layout: Layout, memory: &ProcessMemory) -> Result<Writer, Stop> {
        let clock = GuestClock::of(memory)?;
        let begins = Instant::now();
        let ring = Ring::new(
            stream(plan)?,
            plan.scenario.workload.write,
            layout,
            clock,
            (plan.start_offset_ns, begins),
        );
        Ok(Writer {
            feeder: Some(Feeder::start(ring, *memory)),
            ring: None,
            clock,
            begins,
            lateness: Lateness::of(memory)?,
            migration_began: begins,
        })
    }

    /// The guest's writes from the migration's start to the source's stop, or to its end.
    fn account(
        &mut self,
        plan: &Plan<'_>,
        memory: &ProcessMemory,
        writes: u64,
        told: &mut Told,
    ) -> Result<(), Stop> {
        self.ring = self.feeder.take().map(Feeder::stop).transpose()?;
        let began = (self.migration_began - self.begins).as_nanos() as u64 + plan.start_offset_ns;
        let asked = |seconds: f64| -> crate::error::Result<u64> {
            let mut stream = stream(plan)?;
            stream.skip_to(began);
            let until = began + (seconds * 1e9) as u64;
            Ok(std::iter::from_fn(|| stream.next_until(until)).count() as u64)
        };
        let ran_s = (told.total_time_s - told.downtime_s).max(0.0);
        let (asked_running, asked_all) = (asked(ran_s)?, asked(told.total_time_s)?);
        let per = |count: u64, of: f64| if of > 0.0 { count as f64 / of } else { 0.0 };
        told.guest.writes = writes;
        told.guest.schedule_kept = match asked_running {
            0 => 1.0,
            asked => per(writes, asked as f64),
        };
        told.guest.achieved_rate = per(writes * PAGE_SIZE as u64, ran_s);
        told.guest.asked_rate = per(asked_running * PAGE_SIZE as u64, ran_s);
        told.guest.progress = (asked_all > 0).then(|| per(writes, asked_all as f64));
        let late = Lateness::of(memory)?.since(&self.lateness, &self.clock);
        told.qemu.lateness_ns = latency(&late);
        Ok(())
    }

    fn move_to(&mut self, memory: &ProcessMemory) -> Result<(), Stop> {
        if let Some(mut ring) = self.ring.take() {
            ring.move_to(memory)?;
            self.feeder = Some(Feeder::start(ring, *memory));
        }
        Ok(())
    }

    fn stop(self) -> Result<(), Stop> {
        if let Some(feeder) = self.feeder {
            feeder.stop()?;
        }
        Ok(())
    }
}

/// The block's dirty-page stream: that of all vCPUs in one order, since QEMU's guest has one.
fn stream(plan: &Plan<'_>) -> crate::error::Result<MergedStream> {
    let mut spec = plan.scenario.stream_spec();
    spec.seed = plan.stream_seed;
    MergedStream::new(&spec)
}

/// What is looked at last before the migration.
struct Before {
    executed: u64,
    threads: [Threads; 2],
}

impl Before {
    fn look(
        memory: &ProcessMemory,
        source: &Machine,
        destination: &Machine,
        writer: &mut Option<Writer>,
    ) -> Result<Before, Stop> {
        if let Some(writer) = writer {
            writer.lateness = Lateness::of(memory)?;
            writer.migration_began = Instant::now();
        }
        Ok(Before {
            executed: running::executed(memory)?,
            threads: [Threads::of(source.pid())?, Threads::of(destination.pid())?],
        })
    }
}

/// A migration under way.
struct Exchange<'a> {
    plan: &'a Plan<'a>,
    source: &'a mut Machine,
    destination: &'a mut Machine,
    threads: [Threads; 2],
    /// When the command was given, by the clock of QEMU's events, seconds.
    began: f64,
    syncs: Vec<Snapshot>,
    /// When the source's guest stopped, seconds since the start.
    stopped_s: Option<f64>,
    source_done: bool,
    /// When the destination was complete, seconds since the start.
    completed_s: Option<f64>,
    /// The destination ended: its last words.
    lost_destination: Option<String>,
    /// It does not converge: why.
    given_up: Option<String>,
    /// Bytes sent, and when that was last seen to change.
    moved: (u64, Instant),
}

impl Exchange<'_> {
    fn run(mut self, port: u16, told: &mut Told) -> Result<(), Stop> {
        self.began = now_s();
        let started = Instant::now();
        let uri = format!("tcp:127.0.0.1:{port}");
        self.source.run("migrate", json!({ "uri": uri }))?;
        let ended = self.watch(started);
        // What was counted is told of a failed migration too.
        if let Ok(answer) = self.source.run("query-migrate", json!({})) {
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
            // From the guest's stop on there is no answer before all is sent.
            "MIGRATION_PASS" if self.stopped_s.is_none() => {
                let answer = self.source.run("query-migrate", json!({}))?;
                if !self.source.qmp().has_come("STOP") {
                    self.syncs.push(Snapshot::of(&answer, at_s));
                }
            }
            "STOP" => self.stopped_s = Some(at_s),
            // It did not converge, or failed, and runs on.
            "RESUME" => self.stopped_s = None,
            "SHUTDOWN" => return Err("source: the guest shut down".to_owned().into()),
            "MIGRATION" => match event.data["status"].as_str().unwrap_or_default() {
                "completed" => self.source_done = true,
                "cancelled" => self.source_done = true,
                "failed" => return Err(self.failed()),
                _ => {}
            },
            _ => {}
        }
        Ok(())
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
                // Nothing was confirmed: the source, which is asked, tells what it makes of it.
                if self.source_done {
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
                let left = self.syncs.last().map_or(0, |sync| sync.remaining) / PAGE_SIZE as u64;
                let plural = if done == 1 { "" } else { "s" };
                self.given_up = Some(format!(
                    "{reached}: {left} pages were dirty after {done} round{plural}"
                ));
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
        let seconds = |field: &str| answer[field].as_u64().map_or(0.0, |ms| ms as f64 / 1e3);
        let end_s = self.completed_s.unwrap_or_else(|| now_s() - self.began);
        told.total_time_s = end_s;
        let completed = self.completed_s.is_some();
        told.downtime_s = match self.stopped_s {
            Some(stopped_s) if completed => (end_s - stopped_s).max(0.0),
            _ => 0.0,
        };
        let end = Snapshot::of(&answer, end_s);
        told.rounds = rounds(&self.syncs, self.stopped_s.filter(|_| completed), &end);
        told.qemu.stated_total_time_s = seconds("total-time");
        told.qemu.stated_downtime_s = seconds("downtime");
        told.qemu.stated_setup_time_s = seconds("setup-time");
        told.qemu.ram_bytes = answer["ram"]["total"].as_u64().unwrap_or(0);
        told.qemu.throttle_percent = answer["cpu-throttle-percentage"].as_u64();
        told.qemu.answer = answer;
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
