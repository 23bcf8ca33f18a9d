//! One migration by QEMU: two processes, from their start to their end.

use std::time::{Duration, Instant};

use serde_json::json;

use super::exchange::{Exchange, LOOK};
use super::guest::layout::Layout;
use super::guest::running;
use super::machine::Machine;
use super::memory::ProcessMemory;
use super::plan::{Interrupted, Plan, Stop, Told, channels, stream};
use super::setup::{configure, fill, start};
use super::threads::Threads;
use super::verify;
use super::writer::Writer;
use crate::results::{Outcome, OutcomeStatus};

/// How long a guest may take to boot, and to go on.
const PATIENCE: Duration = Duration::from_secs(10);

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

fn run(plan: &Plan<'_>, told: &mut Told) -> Result<(), Stop> {
    let began = Instant::now();
    let scenario = plan.scenario;
    let layout = Layout::of(scenario.guest.memory.0);
    let [mut source, mut destination] = start(plan, layout)?;
    (plan.started)();
    let filling = Instant::now();
    let source_memory = source.memory()?;
    let pages = fill(scenario, layout, &source_memory)?;
    let fill_s = filling.elapsed().as_secs_f64();
    let busy = scenario.workload.rate.0 > 0;
    running::lay(&source_memory, layout, busy)?;
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
    // An idle guest does all of nothing; another's writes are counted at the end.
    told.guest.schedule_kept = if busy { 0.0 } else { 1.0 };
    pause_for(plan, scenario.measure.window.0)?;
    let Before {
        executed: executed_before,
        threads,
    } = Before::look(&source_memory, &source, &destination, &mut writer)?;
    let result = Exchange::new(plan, &mut source, &mut destination, threads).run(port, told);
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
        running::halt(memory)?;
        wait_for(plan, source, || running::has_halted(memory), "halt")?;
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
            writer.begin(memory)?;
        }
        Ok(Before {
            executed: running::executed(memory)?,
            threads: [Threads::of(source.pid())?, Threads::of(destination.pid())?],
        })
    }
}
