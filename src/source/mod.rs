//! The source host: the guest runs here, and its memory is sent from here.

pub mod context;
pub mod driver;
mod line;
pub mod order;
mod prepare;
mod share;
pub mod stream_thread;
pub mod streams;
pub mod timeline;
mod tracked_guest;
mod workers;
mod write_verification;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::MigrationSecret;
use crate::error::{Error, Result};
use crate::guest::content;
use crate::guest::vcpu::StreamPosition;
use crate::host::control::{Control, emit};
use crate::host::{Command, Event, HostSpec, SourceReport, framing, guest_state, process};
use crate::machine::Instruments;
use crate::memory::Presence;
use crate::meter::StageTimes;
use crate::precopy::StopReason;
use crate::results::{
    Outcome, OutcomeStatus, SourceCpu, SourceSampling, SourceStages, Warning,
    least_expected_downtime,
};
use crate::scenario::ClockKind;
use crate::source::context::StreamContext;
use crate::source::driver::{Driver, End, Migrated};
use crate::source::stream_thread::{COMPRESS, PREPARE, SEAL, STAGES, TRANSMIT};
use crate::source::streams::Streams;
use crate::source::timeline::{GuestEnd, LiveTimeline, Timeline, VirtualTimeline};
use crate::source::tracked_guest::TrackedGuest;
use crate::tracking;

/// Plays the source: fills the guest, migrates it, reports.
///
/// # Errors
/// If the spec can't be carried out. What happens to the migration itself is in the report.
pub fn run(spec: &HostSpec, secret: Option<MigrationSecret>, control: &Control) -> Result<()> {
    process::pin(&spec.pin)?;
    // Before the threads, which it counts.
    let instruments = Instruments::open();
    process::start_threads()?;
    let framing = framing::framing(spec, secret)?;
    let began = Instant::now();
    let (guest_memory, _) = guest_state::allocate(spec, Presence::FaultedIn)?;
    let huge_bytes = guest_memory.huge_bytes();
    let guest_spec = &spec.scenario.guest;
    content::fill(&guest_memory, &guest_spec.content, guest_spec.seed);
    let blob = content::device_state(guest_spec.device_state, guest_spec.seed);
    let fill_s = began.elapsed().as_secs_f64();
    let guest = TrackedGuest {
        tracker: tracking::open(spec.scenario.migration.tracker, &guest_memory)?,
        memory: guest_memory,
        extent: spec.scenario.workload.write,
        vcpus: guest_spec.vcpus,
    };
    emit(&Event::Ready {
        capabilities: Box::new(crate::host::capabilities(spec.arm, false)),
        fill_s,
        tracker: Some(guest.tracker.kind().to_string()),
        address: None,
    });
    let address = loop {
        match control.next(Duration::from_secs(3600)) {
            Some(Command::Connect { address }) => break resolve(&address)?,
            Some(_) => {}
            None => return Err(Error::CannotRun("no command to connect came".into())),
        }
    };
    let mut timeline: Box<dyn Timeline> = match spec.scenario.measure.clock {
        ClockKind::Live => Box::new(LiveTimeline::start(spec, &guest)?),
        ClockKind::Virtual => Box::new(VirtualTimeline::new(spec, &guest)?),
    };
    let connecting = Instant::now();
    let context = StreamContext::of(spec, &guest.memory, &framing.bounds)?;
    let context = Arc::new(context);
    let silence = spec.scenario.migration.peer_timeout.0;
    let opened = Streams::open(address, &framing, &context, &framing::hello(spec), silence);
    let connect_s = connecting.elapsed().as_secs_f64();
    let mut streams = match opened {
        Ok(streams) => streams,
        Err(error) => {
            let end = finish(spec, &guest, timeline, true)?;
            let unlocked = process::unlocked_keys("source", spec.sealed);
            report_unopened(error.to_string(), connect_s, end, unlocked);
            return Ok(());
        }
    };
    // Made and touched before the pause, so that its page faults are not part of the downtime.
    let positions = vec![StreamPosition::default(); guest_spec.vcpus as usize];
    let mut device_state = Arc::new(guest_state::pack_device_state(&positions, &blob));
    let before = instruments.read();
    let migrated = Driver::new(
        &guest,
        &mut streams,
        &mut *timeline,
        spec.scenario.migration.limits(),
        spec.scenario.migration.throttle,
        device_state.len() as u64,
        !spec.scenario.migration.compression.is_none(),
    )
    .run(|timeline| {
        let state = Arc::make_mut(&mut device_state);
        guest_state::put_positions(state, &timeline.positions());
        device_state.clone()
    });
    let counted = instruments.since(&before);
    let settled = settle(&migrated, control, silence);
    if settled.resume {
        timeline.resume();
    }
    let resident = process::resident_beyond(&guest.memory);
    let (bytes_on_wire, records) = (streams.wire_bytes(), streams.records());
    let seal_workers = context.workers() as u32;
    let (times, calls) = streams.close();
    let cpu = cpu(
        &migrated,
        &times,
        !spec.scenario.migration.compression.is_none(),
    );
    // The migration has ended, and its key with it.
    drop((context, framing));
    let hash = match settled.outcome.status {
        OutcomeStatus::Completed => guest_state::hash(&guest.memory, &device_state),
        _ => String::new(),
    };
    let stays = settled.outcome.status != OutcomeStatus::Completed;
    let end = finish(spec, &guest, timeline, stays)?;
    emit(&Event::Source(Box::new(SourceReport {
        outcome: lost_writes(&end).unwrap_or(settled.outcome),
        warnings: settled
            .warning
            .into_iter()
            .chain(process::unlocked_keys("source", spec.sealed))
            .collect(),
        connect_s,
        total_time_s: migrated.total_ns as f64 / 1e9,
        downtime: migrated.downtime,
        rounds: migrated.rounds,
        bytes_on_wire,
        device_state_bytes: migrated.device_state_bytes,
        records,
        seal_workers,
        send_calls: calls.sends,
        receive_calls: calls.receives,
        cpu,
        hash,
        guest: end.guest,
        at_source: end.at_source,
        counted,
        stream_time_ns: end.stream_time_ns,
        resident_beyond_guest_bytes: resident,
        huge_bytes,
    })));
    Ok(())
}

/// Ends the guest here; one that stayed is checked for its writes.
fn finish(
    spec: &HostSpec,
    guest: &TrackedGuest,
    timeline: Box<dyn Timeline + '_>,
    stays: bool,
) -> Result<GuestEnd> {
    let mut end = timeline.finish()?;
    if stays {
        end.guest.writes_verified =
            write_verification::writes_verified(spec, guest, &end.executed, &end.lost)?;
    }
    Ok(end)
}

/// The worst outcome: the guest that stayed is not what its vCPUs made of it.
fn lost_writes(end: &GuestEnd) -> Option<Outcome> {
    (end.guest.writes_verified == Some(false)).then(|| Outcome {
        status: OutcomeStatus::Failed,
        reason: Some(
            "source: the memory of the guest that stayed differs from its own record of writes"
                .to_owned(),
        ),
    })
}

fn resolve(address: &str) -> Result<SocketAddr> {
    address
        .to_socket_addrs()
        .map_err(|error| Error::io(format!("destination address {address}"), error))?
        .next()
        .ok_or_else(|| Error::CannotRun(format!("destination address {address}: no address")))
}

/// What became of the migration, once the coordinator's word is in where it is needed.
struct Settled {
    outcome: Outcome,
    warning: Option<Warning>,
    /// The guest runs on here.
    resume: bool,
}

fn settle(migrated: &Migrated, control: &Control, silence: Duration) -> Settled {
    let ended = |status, reason: Option<String>, resume| Settled {
        outcome: Outcome { status, reason },
        warning: None,
        resume,
    };
    match &migrated.end {
        End::SwitchedOver(StopReason::Converged) => ended(OutcomeStatus::Completed, None, false),
        End::SwitchedOver(reason) => ended(
            OutcomeStatus::Completed,
            Some(format!("stopped and copied at the {reason}")),
            false,
        ),
        End::GivenUp(reason) => {
            let rounds = &migrated.rounds;
            let dirty = rounds
                .last()
                .map_or(0, |round| round.pages_dirtied.unwrap_or(0));
            let rounds = rounds.len();
            let plural = if rounds == 1 { "" } else { "s" };
            let expected = least_expected_downtime(&migrated.rounds).map(|least_s| {
                format!("; the least expected downtime was {:.3} ms", least_s * 1e3)
            });
            let reason = format!(
                "{reason}: {dirty} pages were dirty after {rounds} round{plural}{}",
                expected.unwrap_or_default()
            );
            ended(OutcomeStatus::NotConverged, Some(reason), true)
        }
        End::Broken {
            reason,
            final_sent: false,
        } => ended(
            OutcomeStatus::Failed,
            Some(format!("source: {reason}")),
            true,
        ),
        End::Broken { reason, .. } => {
            // The destination may run the guest: only the coordinator can tell.
            control.hold(true);
            emit(&Event::Unacknowledged);
            let answer = control.next(silence);
            control.hold(false);
            match answer {
                Some(Command::SwitchedOver) => Settled {
                    warning: Some(Warning {
                        code: "lost_acknowledgement".to_owned(),
                        message: format!(
                            "the switchover's acknowledgement was lost ({reason}); the destination \
                             reported that it took over"
                        ),
                        remedy: "look at the link between the hosts".to_owned(),
                    }),
                    ..ended(OutcomeStatus::Completed, None, false)
                },
                Some(Command::Fenced) => ended(
                    OutcomeStatus::Failed,
                    Some(format!(
                        "source: {reason}; the destination was ended before its switchover was known"
                    )),
                    true,
                ),
                _ => ended(
                    OutcomeStatus::Failed,
                    Some(format!(
                        "source: {reason}; nobody knows whether the destination took over, so the guest stays paused"
                    )),
                    false,
                ),
            }
        }
    }
}

/// CPU by stage; with a compress stage where there is one.
fn cpu(migrated: &Migrated, threads: &[StageTimes<STAGES>], compresses: bool) -> SourceCpu {
    let error_s = |stage| StageTimes::error_s(threads, stage);
    let mut cpu = SourceCpu {
        total_s: migrated.total_cpu_s,
        vcpu_s: migrated.vcpu_s,
        sampling: Some(SourceSampling {
            units: threads.iter().map(|times| times.units).sum(),
            samples: threads.iter().map(|times| times.samples).sum(),
            clock_s: threads.iter().map(|times| times.clock.as_secs_f64()).sum(),
            prepare_se_s: error_s(PREPARE),
            compress_se_s: compresses.then(|| error_s(COMPRESS)),
            seal_se_s: error_s(SEAL),
            transmit_se_s: error_s(TRANSMIT),
        }),
        ..SourceCpu::default()
    };
    let mut stages = SourceStages {
        prepare_s: migrated.harvest_s,
        ..SourceStages::default()
    };
    let mut compress_s = 0.0;
    for times in threads {
        compress_s += times.stages[COMPRESS].as_secs_f64();
        stages.prepare_s += times.stages[PREPARE].as_secs_f64();
        stages.seal_s += times.stages[SEAL].as_secs_f64();
        stages.transmit_s += times.stages[TRANSMIT].as_secs_f64();
    }
    // What workers spent is estimated from a sample, the total is exact: the estimate can't be more
    // than what the other stages leave of it.
    let left_s = cpu.total_s - stages.prepare_s - stages.transmit_s;
    let left_s = left_s.max(0.0);
    let compress_s = compress_s.min(left_s);
    stages.compress_s = compresses.then_some(compress_s);
    stages.seal_s = stages.seal_s.min(left_s - compress_s);
    let known = stages.sum_s();
    // The process clock was read microseconds before the vCPUs' clocks.
    cpu.total_s = cpu.total_s.max(known);
    stages.other_s = cpu.total_s - known;
    cpu.stages = Some(stages);
    cpu
}

fn report_unopened(reason: String, connect_s: f64, end: GuestEnd, unlocked: Option<Warning>) {
    emit(&Event::Source(Box::new(SourceReport {
        outcome: lost_writes(&end).unwrap_or(Outcome {
            status: OutcomeStatus::Failed,
            reason: Some(format!("source: {reason}")),
        }),
        warnings: unlocked.into_iter().collect(),
        connect_s,
        guest: end.guest,
        stream_time_ns: end.stream_time_ns,
        ..SourceReport::default()
    })));
}
