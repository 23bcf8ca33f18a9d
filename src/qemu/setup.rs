//! How both QEMUs of a migration are started and told what to do.

use std::time::Duration;

use serde_json::json;

use super::guest;
use super::guest::layout::{Layout, MAX_GUEST_MEMORY};
use super::machine::{Machine, Start, Starting};
use super::memory::ProcessMemory;
use super::plan::{Plan, Stop, channels};
use crate::error::Error;
use crate::guest::content;
use crate::memory::{GuestMemory, Presence};
use crate::precopy::Throttle;
use crate::scenario::Scenario;
use crate::units::{Bandwidth, PAGE_SIZE, Size};

/// How long a QEMU may take to start, beside making its memory.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bandwidth that is never the limit, bytes/s; 0 means something else in old releases.
const UNLIMITED: u64 = 1 << 37;
/// The longest downtime limit that QEMU takes, milliseconds (migration/options.c).
pub(super) const LONGEST_DOWNTIME_MS: u64 = 2_000_000;

/// Starts both sides' QEMUs, with their guests stopped: at once, since each makes its memory first.
pub(super) fn start(plan: &Plan<'_>, layout: Layout) -> Result<[Machine; 2], Stop> {
    // Making all of its memory takes its time.
    let limit = PATIENCE + Duration::from_secs(layout.ram_bytes >> 27);
    let source = begin(plan, layout, "source")?;
    let destination = begin(plan, layout, "destination")?;
    Ok([source.ready(limit)?, destination.ready(limit)?])
}

fn begin(plan: &Plan<'_>, layout: Layout, side: &'static str) -> Result<Starting, Stop> {
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
    Ok(Starting::begin(&start, &guest::rom())?)
}

/// Fills guest memory as the scenario says; its pages.
pub(super) fn fill(scenario: &Scenario, layout: Layout, to: &ProcessMemory) -> Result<u64, Stop> {
    const PIECE_PAGES: u64 = 4096;
    let size = scenario.guest.memory;
    Error::unless(
        size.0 <= MAX_GUEST_MEMORY,
        "guest.memory",
        size,
        "at most 507GiB for an arm of QEMU's",
    )?;
    let pages = size.pages();
    let contents = content::Layout::new(pages, &scenario.guest.content, scenario.guest.seed);
    // A piece at a time, in memory that is there: making new pages is what takes longest.
    let window = GuestMemory::new(Size(PIECE_PAGES * PAGE_SIZE as u64), false)?;
    let mut piece = vec![0; PIECE_PAGES as usize * PAGE_SIZE];
    for first in (0..pages).step_by(PIECE_PAGES as usize) {
        let count = PIECE_PAGES.min(pages - first);
        content::fill_part(&window, count, first, &contents, scenario.guest.seed);
        let piece = &mut piece[..count as usize * PAGE_SIZE];
        window.copy_out(0, piece);
        to.write(layout.offset(first), piece)?;
    }
    Ok(pages)
}

/// Tells both what to do; the port at which the destination listens.
pub(super) fn configure(
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
    // It tells what it has sent while the guest is stopped, and then waits for a word to go on.
    sending.push(capability("pause-before-switchover"));
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
    // In whole milliseconds. Never 0: QEMU 7.2 then stops the guest after one pass, without another look at what is dirty.
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
