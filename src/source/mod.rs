//! The source host: the guest runs here, and its memory is sent from here.

pub mod context;
mod disk;
mod disk_stream;
mod disk_writer;
pub mod driver;
mod line;
mod mirror;
pub mod order;
mod prepare;
mod settle;
mod share;
mod storage_report;
pub mod stream_thread;
pub mod streams;
pub mod timeline;
mod tracked_guest;
mod virtual_timeline;
mod workers;
mod write_verification;

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use crate::crypto::MigrationSecret;
use crate::error::{Error, Result};
use crate::guest::content;
use crate::guest::vcpu::StreamPosition;
use crate::host::control::{self, Control, emit};
use crate::host::{Command, Event, HostSpec, SourceReport, framing, guest_state, process};
use crate::machine::Instruments;
use crate::memory::Presence;
use crate::meter::StageTimes;
use crate::private;
use crate::results::{
    ChannelInfo, Outcome, OutcomeStatus, SourceCpu, SourceSampling, SourceStages, Storage, Warning,
};
use crate::scenario::ClockKind;
use crate::source::context::StreamContext;
use crate::source::disk::SourceDisk;
use crate::source::driver::{Driver, Migrated};
use crate::source::mirror::Mirror;
use crate::source::settle::settle;
use crate::source::storage_report::storage;
use crate::source::stream_thread::{COMPRESS, PREPARE, SEAL, STAGES, TRANSMIT};
use crate::source::streams::Streams;
use crate::source::timeline::{GuestEnd, LiveTimeline, Timeline};
use crate::source::tracked_guest::TrackedGuest;
use crate::source::virtual_timeline::VirtualTimeline;
use crate::tracking;
use crate::tunnel::Clients;

/// Plays the source: fills the guest, migrates it, reports.
///
/// # Errors
/// If the spec can't be carried out. What happens to the migration itself is in the report.
pub fn run(spec: &HostSpec, secret: Option<MigrationSecret>, control: &Control) -> Result<()> {
    let pinned = process::pin(&spec.pin)?;
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
    let disk = SourceDisk::of(spec)?.map(Arc::new);
    let fill_s = began.elapsed().as_secs_f64();
    let guest = TrackedGuest {
        tracker: tracking::open(spec.scenario.migration.tracker, &guest_memory)?,
        memory: guest_memory,
        extent: spec.scenario.workload.write,
        vcpus: guest_spec.vcpus,
        disk,
    };
    emit(&Event::Ready {
        capabilities: Box::new(crate::host::capabilities(spec.arm, false)),
        fill_s,
        tracker: Some(guest.tracker.kind().to_string()),
        address: None,
        tunnel: None,
    });
    let mut running = None;
    let (address, tunnel) = loop {
        match control.next(control::LONGEST_FLEET) {
            Some(Command::Connect { address, tunnel }) => {
                break (
                    resolve(&address)?,
                    tunnel.as_deref().map(resolve).transpose()?,
                );
            }
            Some(Command::Run) if running.is_none() => {
                // What is held back for migrations is not the guests': they run wherever there is room.
                running = Some(pinned.freed(|| timeline(spec, &guest))?);
            }
            Some(_) => {}
            None => return Err(Error::CannotRun("no command to connect came".into())),
        }
    };
    let mut timeline = match running {
        Some(timeline) => timeline,
        None => timeline(spec, &guest)?,
    };
    let connecting = Instant::now();
    let context = StreamContext::of(spec, &guest.memory, &framing.bounds)?;
    let context = Arc::new(context);
    let silence = spec.scenario.migration.peer_timeout.0;
    let mut clients = match (&spec.tunnel, spec.channel(), tunnel) {
        (Some(spec), Some(channel), Some(server)) => {
            Some(Clients::new(channel, spec, server, address))
        }
        (None, _, None) => None,
        // What was to go through a tunnel does not go without.
        (_, _, server) => {
            let told = if server.is_some() { "given" } else { "none" };
            let allowed = format_args!("what the spec of {} has", spec.arm);
            return Err(Error::invalid("connect.tunnel", told, allowed));
        }
    };
    let connect = || match &mut clients {
        None => TcpStream::connect_timeout(&address, silence),
        Some(clients) => clients.connect().map_err(io::Error::other),
    };
    let hello = framing::hello(spec);
    let disk = guest.disk.as_ref();
    let disk = disk.map(|disk| (disk, framing::of_disk(&framing, disk.disk.blocks())));
    let opened = Streams::open(connect, &framing, &context, &hello, silence, disk);
    let connect_s = connecting.elapsed().as_secs_f64();
    let mut streams = match opened {
        Ok(streams) => streams,
        Err(error) => {
            let said = clients.as_ref().and_then(Clients::complaint);
            drop(clients);
            moved(spec, control)?;
            let end = finish(spec, &guest, timeline, true)?;
            let storage = storage(spec, &guest, &end, None, String::new(), true)?;
            let unlocked = process::unlocked_keys("source", spec.sealed);
            let said = said.map_or(String::new(), |said| format!(" ({}: {said})", spec.arm));
            report_unopened(
                format!("{error}{said}"),
                connect_s,
                (end, storage),
                unlocked,
            );
            return Ok(());
        }
    };
    let negotiated = match &clients {
        None => streams.negotiated().cloned(),
        Some(clients) => Some(clients.negotiated()),
    };
    if let Some(tunnel) = &spec.tunnel {
        // Both sides have loaded their keys. The coordinator tries again if this fails.
        let _ = private::wipe(&tunnel.folder);
    }
    // Made and touched before the pause, so that its page faults are not part of the downtime.
    let positions = vec![StreamPosition::default(); guest_state::places(spec) as usize];
    let mut device_state = Arc::new(guest_state::pack_device_state(&positions, &blob));
    let before = instruments.read();
    let tunnel_before_ns = clients.as_ref().map(Clients::cpu_ns);
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
    let tunnel_ns = clients.as_ref().map(Clients::cpu_ns);
    let settled = settle(&migrated, control, silence);
    if settled.resume {
        timeline.resume();
    }
    let resident = process::resident_beyond(&guest.memory);
    let (bytes_on_wire, records) = (streams.wire_bytes(), streams.records());
    let seal_workers = context.workers() as u32;
    let channel = negotiated.map(|agreed| ChannelInfo {
        protocol: agreed.protocol.clone(),
        cipher: agreed.cipher.clone(),
        handshake_s: agreed.handshake.as_secs_f64(),
    });
    let mirrored = streams.take_mirror().map(Mirror::close);
    let (times, calls) = streams.close();
    let mut cpu = cpu(
        &migrated,
        &times,
        !spec.scenario.migration.compression.is_none(),
    );
    if spec.sealed && !spec.arm.has_stages() {
        (cpu.stages, cpu.sampling) = (None, None);
    }
    // One that has ended meanwhile can't be asked any more.
    if let (Some(before), Some(after)) = (tunnel_before_ns, tunnel_ns)
        && after >= before
    {
        let tunnel_s = (after - before) as f64 / 1e9;
        cpu.tunnel_s = Some(tunnel_s);
        cpu.total_s += tunnel_s;
    }
    // The migration has ended, and its key with it.
    drop((context, framing));
    // Whoever samples a tunnel's CPU does so at this word.
    moved(spec, control)?;
    drop(clients);
    let mut disk_hash = String::new();
    let hash = match settled.outcome.status {
        OutcomeStatus::Completed => {
            let disk = guest.disk.as_ref().map(|disk| disk.disk.hash());
            disk_hash = disk.transpose()?.unwrap_or_default();
            guest_state::hash(&guest.memory, &device_state, &disk_hash)
        }
        _ => String::new(),
    };
    let stays = settled.outcome.status != OutcomeStatus::Completed;
    let end = finish(spec, &guest, timeline, stays)?;
    let storage = storage(spec, &guest, &end, mirrored, disk_hash, stays)?;
    emit(&Event::Source(Box::new(SourceReport {
        outcome: lost_writes(&end, storage.as_ref()).unwrap_or(settled.outcome),
        storage,
        warnings: settled
            .warning
            .into_iter()
            .chain(process::unlocked_keys("source", spec.sealed))
            .collect(),
        connect_s,
        channel,
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

/// The clock that a migration is made under, and the guest that lives by it.
fn timeline<'a>(spec: &HostSpec, guest: &'a TrackedGuest) -> Result<Box<dyn Timeline + 'a>> {
    Ok(match spec.scenario.measure.clock {
        ClockKind::Live => Box::new(LiveTimeline::start(spec, guest)?),
        ClockKind::Virtual => Box::new(VirtualTimeline::new(spec, guest)?),
    })
}

/// In a fleet: says that the guest has had its turn, and waits until the others have had theirs.
fn moved(spec: &HostSpec, control: &Control) -> Result<()> {
    if spec.fleet.is_some() {
        emit(&Event::Moved);
        control.await_verification()?;
    }
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
fn lost_writes(end: &GuestEnd, storage: Option<&Storage>) -> Option<Outcome> {
    let lost = |verified: Option<bool>| verified == Some(false);
    let what = match (end.guest.writes_verified, storage) {
        (memory, _) if lost(memory) => "memory",
        (_, Some(storage)) if lost(storage.writes_verified) => "disk",
        _ => return None,
    };
    Some(Outcome {
        status: OutcomeStatus::Failed,
        reason: Some(format!(
            "source: the {what} of the guest that stayed differs from its own record of writes"
        )),
    })
}

fn resolve(address: &str) -> Result<SocketAddr> {
    address
        .to_socket_addrs()
        .map_err(|error| Error::io(format!("destination address {address}"), error))?
        .next()
        .ok_or_else(|| Error::CannotRun(format!("destination address {address}: no address")))
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

fn report_unopened(
    reason: String,
    connect_s: f64,
    (end, storage): (GuestEnd, Option<Storage>),
    unlocked: Option<Warning>,
) {
    emit(&Event::Source(Box::new(SourceReport {
        outcome: lost_writes(&end, storage.as_ref()).unwrap_or(Outcome {
            status: OutcomeStatus::Failed,
            reason: Some(format!("source: {reason}")),
        }),
        warnings: unlocked.into_iter().collect(),
        storage,
        connect_s,
        guest: end.guest,
        stream_time_ns: end.stream_time_ns,
        ..SourceReport::default()
    })));
}
