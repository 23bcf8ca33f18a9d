//! Whether a scenario fits this machine, its own link and what runs it.

use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::guest::disk;
use crate::machine;
use crate::qemu::guest::layout::MAX_GUEST_MEMORY;
use crate::runner::options::Options;
use crate::runner::route::Route;
use crate::scenario::{ClockKind, Policy, Scenario};
use crate::tunnel;
use crate::units::{Bandwidth, Size, link_time_ns};

/// Refuses a scenario that this machine or its own link is too small for, before anything is made.
///
/// # Errors
/// In one line: what is too small, and what is needed.
pub fn check(scenario: &Scenario, options: &Options) -> Result<()> {
    // Both hosts hold the whole guest, this machine those that run on it.
    let guests_here = if options.destination.is_some() { 1 } else { 2 };
    check_policy(scenario)?;
    check_qemu(scenario, options)?;
    check_tunnels(scenario, options)?;
    check_guests(scenario, guests_here)?;
    check_link(scenario)
}

/// An arm whose streams are protected below their records has nothing to measure where policy forbids that.
fn check_policy(scenario: &Scenario) -> Result<()> {
    let policy = scenario.migration.policy;
    let is_off = policy == Policy::Disabled && !scenario.guest.encrypted;
    let mut arms = scenario.measure.arms.iter();
    match arms.find(|arm| arm.channel().is_some()) {
        Some(arm) if is_off => Err(Error::invalid(
            "migration.policy",
            "disabled",
            format_args!("opportunistic or required with {arm}, whose streams are encrypted"),
        )),
        _ => Ok(()),
    }
}

/// QEMU's arms run on this machine, with guests that its processes can hold.
fn check_qemu(scenario: &Scenario, options: &Options) -> Result<()> {
    let Some(arm) = scenario.measure.arms.iter().find(|arm| arm.is_qemu()) else {
        return Ok(());
    };
    both_here(arm, "QEMUs", options)?;
    let most = Size(MAX_GUEST_MEMORY);
    Error::unless(
        scenario.guest.memory <= most,
        "guest.memory",
        scenario.guest.memory,
        format_args!("at most {most} for {arm}"),
    )
}

/// Refuses another machine for an arm that runs both of something on this one.
fn both_here(arm: &Arm, what: &str, options: &Options) -> Result<()> {
    Error::unless(
        options.destination.is_none(),
        "--destination",
        "(not shown)",
        format_args!("{arm} runs both {what} on this machine: leave out one of the two"),
    )
}

/// Tunnels lead from 127.0.0.1 to 127.0.0.1, with a cipher that their program has.
///
/// # Errors
/// With what stands against it.
pub fn check_tunnels(scenario: &Scenario, options: &Options) -> Result<()> {
    let Some(arm) = scenario.measure.arms.iter().find(|arm| arm.is_tunnel()) else {
        return Ok(());
    };
    both_here(arm, "ends of its tunnel", options)?;
    let route = &options.route;
    Error::unless(
        *route == Route::default(),
        "--listen, --connect",
        route.connect.as_ref().unwrap_or(&route.listen),
        format_args!("none with {arm}, whose tunnel is on 127.0.0.1"),
    )?;
    match &scenario.tunnel.ssh_cipher {
        Some(cipher) if scenario.measure.arms.contains(&Arm::SSH) => tunnel::check_cipher(cipher),
        _ => Ok(()),
    }
}

/// Refuses a scenario that this machine is too small for with both hosts on it, as turns out once
/// the hosts have said where they are.
///
/// # Errors
/// As [`check`].
pub(super) fn check_both(scenario: &Scenario) -> Result<()> {
    check_guests(scenario, 2)
}

/// Memory and disks of so many guests on this machine.
fn check_guests(scenario: &Scenario, guests: u64) -> Result<()> {
    check_memory(scenario, guests)?;
    let Some(storage) = &scenario.storage else {
        return Ok(());
    };
    let folder = disk::folder(storage.folder.as_deref());
    let bytes = storage.size.0.saturating_mul(guests);
    disk::check_room(&folder, bytes, "storage.size", storage.size)
}

fn check_memory(scenario: &Scenario, guests: u64) -> Result<()> {
    let memory = scenario.guest.memory.0.saturating_mul(guests);
    let need = memory.saturating_add(machine::RESERVE_BYTES);
    let have = machine::available_memory()?;
    let needs = match guests {
        1 => "the source needs",
        _ => "source and destination together need",
    };
    let (need_mib, have_mib) = (need >> 20, have >> 20);
    Error::unless(
        need <= have,
        "guest.memory",
        scenario.guest.memory,
        format_args!("{needs} {need_mib} MiB, this machine has {have_mib} MiB available"),
    )
}

/// A record is sent when the link has carried the one before: that wait must not look like silence.
fn check_link(scenario: &Scenario) -> Result<()> {
    let migration = &scenario.migration;
    let (Bandwidth::BitsPerSecond(bits), ClockKind::Live) =
        (migration.link, scenario.measure.clock)
    else {
        return Ok(());
    };
    let record_ns = link_time_ns(migration.record.0, bits);
    Error::unless(
        record_ns <= migration.peer_timeout.as_nanos() / 10 * 9,
        "migration.record",
        migration.record,
        format_args!(
            "what {} carries in 0.9 of migration.peer_timeout = {}; this takes {:.2} s",
            migration.link,
            migration.peer_timeout,
            record_ns as f64 / 1e9
        ),
    )
}
