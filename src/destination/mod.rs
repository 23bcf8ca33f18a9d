//! The destination host: receives the guest's memory and takes the guest over.

mod arrivals;
mod disk_writer;
mod place;
pub mod probe;
mod receive;
mod stream_error;
pub mod stream_thread;
pub mod switchover;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::{self, MigrationSecret};
use crate::destination::arrivals::Arrivals;
use crate::destination::disk_writer::DiskWriter;
use crate::destination::receive::{Received, late_record, receive};
use crate::destination::stream_thread::{APPLY, DECOMPRESS, OPEN, RECEIVE, STAGES, StreamThread};
use crate::destination::switchover::Switchover;
use crate::error::{Error, Result};
use crate::guest::disk::Disk;
use crate::guest::vcpu::{Phase, StreamStart, Vcpus, Window};
use crate::host::control::{Control, LONGEST_FLEET, emit};
use crate::host::guest_view::{AtDestination, StorageAtDestination};
use crate::host::{Command, DestinationReport, Event, HostSpec, framing, guest_state, process};
use crate::machine::Instruments;
use crate::machine::clock::process_cpu_ns;
use crate::memory::GuestMemory;
use crate::meter::StageTimes;
use crate::record::Framing;
use crate::results::{
    DestinationCpu, DestinationSampling, DestinationStages, Latency, StorageDestinationCpu,
};
use crate::scenario::{ClockKind, Sampling};
use crate::tls::End;
use crate::tracking::NoTracker;
use crate::transport::{Calls, Connection};
use crate::tunnel::{Family, Servers};
use crate::workload::WriteStream;

/// How fast a source fills its memory at least, bytes/s, on a busy machine.
const SLOWEST_FILL: u64 = 64 << 20;
/// Connections to the tunnel that get a server beside those of its streams.
const MOST_STRANGERS: usize = 256;

/// Plays the destination: receives the guest, takes it over, reports.
///
/// # Errors
/// If the spec can't be carried out. What happens to the migration itself is in the report.
pub fn run(spec: &HostSpec, secret: Option<MigrationSecret>, control: &Control) -> Result<()> {
    process::pin(&spec.pin)?;
    // Before the threads, which it counts.
    let instruments = Instruments::open();
    process::start_threads()?;
    let framing = framing::framing(spec, secret)?;
    let (guest_memory, fill_s) =
        guest_state::allocate(spec, spec.scenario.migration.destination_memory)?;
    let listener = TcpListener::bind(&spec.listen)
        .map_err(|error| Error::io(format!("listening at {}", spec.listen), error))?;
    let address = listener
        .local_addr()
        .map_err(|error| Error::io("listening", error))?;
    let streams = spec.scenario.migration.streams;
    let servers = match (&spec.tunnel, spec.channel()) {
        (Some(tunnel), Some(channel)) => {
            let most = streams as usize + MOST_STRANGERS;
            Some(Servers::start(channel, tunnel, address, most)?)
        }
        _ => None,
    };
    emit(&Event::Ready {
        capabilities: Box::new(crate::host::capabilities(spec.arm, false)),
        fill_s,
        tracker: None,
        address: Some(address.to_string()),
        tunnel: servers
            .as_ref()
            .map(|servers| servers.address().to_string()),
    });
    let disk = match &spec.scenario.storage {
        None => None,
        Some(storage) => Some(Arc::new(storage.create()?)),
    };
    let mut switchover = Switchover::new(
        streams,
        guest_state::most_device_state(spec),
        spec.silence_between_records(),
    );
    if disk.is_some() {
        switchover.await_disk();
    }
    let switchover = Arc::new(switchover);
    let silence = spec.scenario.migration.peer_timeout.0;
    let mut arrivals = Arrivals::new(listener, framing.preamble, silence)
        .map_err(|error| Error::io("listening", error))?;
    let guest = (&guest_memory, disk.as_ref());
    let opened = open(spec, &mut arrivals, &framing, guest, &switchover);
    // The ports are closed: whoever comes from now on is no longer let in.
    let strangers = arrivals.warning();
    let tunnel = servers.as_ref().map(Servers::shut);
    let tunnel_began_ns = tunnel.as_ref().map(Family::cpu_ns);
    if let Some(tunnel) = tunnel {
        switchover.count_tunnel(move || tunnel.cpu_ns());
    }
    let before = instruments.read();
    let cpu_began = switchover.cpu_ns();
    let received = opened.map_or_else(
        |reason| Received {
            failure: Some(reason),
            ..Received::default()
        },
        receive,
    );
    let Received {
        ended,
        of_disk,
        mut failure,
        late,
    } = received;
    let counted = instruments.since(&before);
    let (ended, calls): (Vec<_>, Vec<Calls>) = ended.into_iter().unzip();
    let calls: Calls = calls.into_iter().sum();
    // The migration has ended, and its key with it.
    drop(framing);
    let resident = process::resident_beyond(&guest_memory);
    let decompresses = !spec.scenario.migration.compression.is_none();
    let until = (switchover.decided_cpu_ns(), switchover.cpu_ns());
    let mut cpu = cpu(&ended, until, cpu_began, decompresses);
    if spec.sealed && !spec.arm.has_stages() {
        (cpu.stages, cpu.sampling) = (None, None);
    }
    if let (Some(began), Some(ended)) = (tunnel_began_ns, switchover.decided_tunnel_ns())
        && ended >= began
    {
        let tunnel_s = (ended - began) as f64 / 1e9;
        cpu.tunnel_s = Some(tunnel_s);
        cpu.total_s += tunnel_s;
    }
    let mut report = DestinationReport {
        switched_over: switchover.is_switched_over(),
        warnings: process::unlocked_keys("destination", spec.sealed)
            .into_iter()
            .chain(strangers)
            .chain(late.map(late_record))
            .collect(),
        send_calls: calls.sends,
        receive_calls: calls.receives,
        cpu,
        counted,
        resident_beyond_guest_bytes: resident,
        huge_bytes: guest_memory.huge_bytes(),
        storage: disk.as_ref().map(|_| StorageAtDestination {
            cpu: of_disk.map(disk_cpu).unwrap_or_default(),
            ..StorageAtDestination::default()
        }),
        ..DestinationReport::default()
    };
    if report.switched_over {
        emit(&Event::TookOver);
        if spec.fleet.is_some() {
            control.await_verification()?;
        }
        let state = switchover.device_state();
        let disk_hash = disk.as_ref().map(|disk| disk.hash()).transpose()?;
        let disk_hash = disk_hash.unwrap_or_default();
        report.hash = guest_state::hash(&guest_memory, &state, &disk_hash);
        emit(&Event::Hashed {
            hash: report.hash.clone(),
        });
        let mut after = None;
        match run_on(spec, guest, &state, control, &mut after) {
            Ok(view) => report.guest = view,
            Err(error) => failure = failure.or(Some(error.to_string())),
        }
        if let Some(storage) = &mut report.storage {
            storage.hash = disk_hash;
            storage.after = after.unwrap_or_default();
        }
    } else if !switchover.is_decided() {
        failure = failure.or(Some("the streams ended without a final record".into()));
    }
    report.failure = failure.map(|reason| format!("destination: {reason}"));
    // Giving memory back takes time too.
    drop(guest_memory);
    report.process_cpu_s = process_cpu_ns() as f64 / 1e9;
    emit(&Event::Destination(Box::new(report)));
    Ok(())
}

/// Accepts every stream and agrees with the source on the migration.
fn open(
    spec: &HostSpec,
    arrivals: &mut Arrivals,
    framing: &Framing,
    (memory, disk): (&Arc<GuestMemory>, Option<&Arc<Disk>>),
    switchover: &Arc<Switchover>,
) -> Result<Vec<StreamThread>, String> {
    let silence = spec.scenario.migration.peer_timeout.0;
    let streams = spec.scenario.connections();
    // The source connects when it has filled its memory, which takes longer than faulting it in
    // here, and has run its guest for the window.
    let filling = Duration::from_secs(spec.scenario.bytes_in_all() / SLOWEST_FILL);
    let turn = spec.fleet.map_or(Duration::ZERO, |_| LONGEST_FLEET);
    let patience = silence + spec.scenario.measure.window.0 + filling + turn;
    let mut deadline = Instant::now() + patience;
    let mut threads: Vec<Option<StreamThread>> = (0..streams).map(|_| None).collect();
    for _ in 0..streams {
        let (preamble, socket) = arrivals
            .next(deadline)
            .map_err(|error| format!("waiting for the source to connect: {error}"))?;
        deadline = deadline.max(Instant::now() + silence);
        let connection = Connection::new(socket, preamble.stream, "source", silence)
            .map_err(|error| format!("stream {}: {error}", preamble.stream))?;
        let handle = connection.handle().map_err(|error| error.to_string())?;
        switchover.add_socket(handle);
        let of_disk = disk.filter(|_| preamble.stream + 1 == streams);
        let framing = match of_disk {
            Some(disk) => framing::of_disk(framing, disk.blocks()),
            None => Framing {
                preamble,
                ..framing.clone()
            },
        };
        let connection = framing
            .protect(connection, End::Server)
            .map_err(|error| error.to_string())?;
        let time_all = spec.scenario.measure.sampling == Sampling::All;
        let switchover = switchover.clone();
        let thread = match of_disk.cloned() {
            Some(disk) => StreamThread::open_disk(connection, &framing, disk, switchover, time_all),
            None => StreamThread::open(connection, &framing, memory.clone(), switchover, time_all),
        };
        threads[preamble.stream as usize] = Some(thread.map_err(|error| error.to_string())?);
    }
    let hello = framing::hello(spec);
    let mut threads: Vec<StreamThread> = threads.into_iter().flatten().collect();
    for thread in &mut threads {
        thread.greet(&hello).map_err(|error| error.to_string())?;
    }
    // The ciphers go on in the threads.
    crypto::scrub_stack();
    Ok(threads)
}

/// The guest runs on here: makes its vCPUs ready, as a machine monitor has them before a guest
/// arrives, waits for the coordinator's word, then lets them run for the window, from where they stood
/// at the source. What is between the switchover and that word, such as hashing, is this tool's own:
/// no figure holds it. `None` if the guest did not run.
fn run_on(
    spec: &HostSpec,
    (memory, disk): (&Arc<GuestMemory>, Option<&Arc<Disk>>),
    state: &[u8],
    control: &Control,
    after: &mut Option<Latency>,
) -> Result<Option<AtDestination>> {
    let scenario = &spec.scenario;
    let order = || control.next(Duration::from_secs(600));
    if scenario.measure.clock == ClockKind::Virtual {
        order();
        return Ok(None);
    }
    let mut positions = guest_state::unpack_positions(state, guest_state::places(spec))
        .ok_or_else(|| Error::CannotRun("the device state lacks the vCPUs".into()))?;
    let of_disk = positions.split_off(scenario.guest.vcpus as usize);
    let mut disk = DiskWriter::stand_ready(spec, disk, of_disk)?;
    let streams = (0..scenario.guest.vcpus)
        .map(|vcpu| WriteStream::new(&spec.stream_spec(), vcpu))
        .collect::<Result<Vec<_>>>()?;
    let mut vcpus = Vcpus::spawn(
        memory.clone(),
        Arc::new(NoTracker),
        streams,
        scenario.workload.write,
        &StreamStart::resumed(positions),
    )?;
    vcpus.mark_phase(Phase::After);
    let Some(Command::Resume {
        stream_time_ns,
        windows,
    }) = order()
    else {
        return Ok(None);
    };
    let window = scenario.measure.window;
    for (window, until_ns) in [
        (Window::Start, windows.start_until_ns),
        (Window::Pause, windows.pause_until_ns),
        (
            Window::After,
            stream_time_ns.saturating_add(window.as_nanos()),
        ),
    ] {
        vcpus.set_window(window, stream_time_ns, until_ns);
    }
    vcpus.start_at(stream_time_ns);
    if let Some(disk) = &mut disk {
        disk.start_at(stream_time_ns);
    }
    std::thread::sleep(window.0);
    let report = vcpus.stop();
    *after = disk.map(DiskWriter::stop).transpose()?;
    Ok(Some(AtDestination::new(
        &report,
        report.phase(Phase::After),
    )))
}

/// CPU of the disk's stream.
fn disk_cpu(times: StageTimes<STAGES>) -> StorageDestinationCpu {
    let seconds = |stage: usize| times.stages[stage].as_secs_f64();
    StorageDestinationCpu {
        total_s: times.stages.iter().sum::<Duration>().as_secs_f64(),
        receive_s: seconds(RECEIVE),
        open_s: seconds(OPEN),
        write_s: seconds(APPLY),
    }
}

/// CPU by stage; with a decompress stage where there is one.
fn cpu(
    ended: &[StageTimes<STAGES>],
    (decided_ns, now_ns): (Option<u64>, u64),
    began_ns: u64,
    decompresses: bool,
) -> DestinationCpu {
    let end_ns = decided_ns.unwrap_or(now_ns);
    let error_s = |stage| StageTimes::error_s(ended, stage);
    let mut cpu = DestinationCpu {
        total_s: end_ns.saturating_sub(began_ns) as f64 / 1e9,
        sampling: Some(DestinationSampling {
            units: ended.iter().map(|times| times.units).sum(),
            samples: ended.iter().map(|times| times.samples).sum(),
            clock_s: ended.iter().map(|times| times.clock.as_secs_f64()).sum(),
            receive_se_s: error_s(RECEIVE),
            open_se_s: error_s(OPEN),
            decompress_se_s: decompresses.then(|| error_s(DECOMPRESS)),
            apply_se_s: error_s(APPLY),
        }),
        ..DestinationCpu::default()
    };
    let mut stages = DestinationStages::default();
    let mut decompress_s = 0.0;
    for times in ended {
        stages.receive_s += times.stages[RECEIVE].as_secs_f64();
        stages.open_s += times.stages[OPEN].as_secs_f64();
        decompress_s += times.stages[DECOMPRESS].as_secs_f64();
        stages.apply_s += times.stages[APPLY].as_secs_f64();
    }
    stages.decompress_s = decompresses.then_some(decompress_s);
    let known = stages.sum_s();
    // The stream threads read their clocks microseconds after the decision's.
    cpu.total_s = cpu.total_s.max(known);
    stages.other_s = cpu.total_s - known;
    cpu.stages = Some(stages);
    cpu
}
