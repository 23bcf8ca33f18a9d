//! What a fleet may be, and whether the hosts have room for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::spec::{Fleet, Way};
use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::guest::disk;
use crate::machine;
use crate::scenario::ClockKind;
use crate::units::{Bandwidth, Size, link_time_ns};

/// Guests of a fleet at most.
const MOST_GUESTS: usize = 1000;
/// Memory that a host process takes beside its guest's, bytes: buffers of a record or two, libraries, stacks.
const A_HOST: u64 = 16 << 20;
/// Memory of a tunnel's processes on one host, for a stream, bytes.
const A_TUNNEL: u64 = 16 << 20;

impl Fleet {
    /// Refuses every value that can't be. Whether the hosts have room is [`check_room`]'s to say.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first such value.
    pub fn check(&self) -> Result<()> {
        let named = (1..=200).contains(&self.name.chars().count())
            && !self.name.chars().any(char::is_control);
        let allowed = "1 to 200 characters, none of them a control character";
        Error::unless(named, "name", format_args!("{:?}", self.name), allowed)?;
        let guests = self.guests.len();
        let allowed =
            format_args!("1 to {MOST_GUESTS}: [[guests]] with a name and a count, or vms");
        Error::unless(
            (1..=MOST_GUESTS).contains(&guests),
            "guests",
            guests,
            allowed,
        )?;
        let mut names = BTreeSet::new();
        for guest in &self.guests {
            let new = names.insert(guest.name.as_str());
            let allowed = "a name of its own: two guests have this one";
            Error::unless(
                new,
                "guests.name",
                format_args!("{:?}", guest.name),
                allowed,
            )?;
            Error::unless(
                guest.scenario.measure.clock == ClockKind::Live,
                format_args!("{}: measure.clock", guest.name),
                "virtual",
                "\"live\": migrations that share a link and cores take real time",
            )?;
            guest.scenario.check()?;
            self.check_record(guest.scenario.migration.record, &guest.name)?;
        }
        let concurrent = &self.evacuation.concurrent;
        let once: BTreeSet<&u32> = concurrent.iter().collect();
        let within = concurrent.iter().all(|number| (1..=256).contains(number));
        let shown = concurrent.iter().map(u32::to_string).collect::<Vec<_>>();
        Error::unless(
            within && !once.is_empty() && once.len() == concurrent.len(),
            "evacuation.concurrent",
            shown.join(", "),
            "1 to 256; of several each once",
        )?;
        self.check_measure()?;
        for (side, field) in [
            (&self.source, "source.memory"),
            (&self.destination, "destination.memory"),
        ] {
            if let Some(memory) = side.memory {
                let all = Size(self.memory());
                let allowed =
                    format_args!("at least the {all} that the {guests} guests have in sum");
                Error::unless(memory >= all, field, memory, allowed)?;
            }
        }
        Ok(())
    }

    fn check_measure(&self) -> Result<()> {
        let measure = &self.measure;
        let mut ways = measure.ways.clone();
        ways.sort_unstable();
        ways.dedup();
        let names: Vec<String> = measure.ways.iter().map(Way::to_string).collect();
        let fine = !ways.is_empty() && ways.len() == measure.ways.len();
        let allowed = "at least one arm or \"configured\", each once";
        Error::unless(fine, "measure.ways", format_args!("{names:?}"), allowed)?;
        if let Some(qemu) = self.arms().into_iter().find(|arm| arm.is_qemu()) {
            let allowed = "an arm that this program's own hosts run";
            return Err(Error::invalid("measure.ways", qemu, allowed));
        }
        let arm = measure.arm;
        Error::unless(
            arm.is_encrypted(),
            "measure.arm",
            arm,
            "an arm that encrypts",
        )?;
        let reps = measure.repetitions;
        Error::unless(
            (1..=10_000).contains(&reps),
            "measure.repetitions",
            reps,
            "1 to 10000",
        )?;
        Error::unless(
            measure.warmup <= 1000,
            "measure.warmup",
            measure.warmup,
            "0 to 1000",
        )
    }

    /// A record is sent when the link has carried those of all others before it: that wait must not look
    /// like silence.
    fn check_record(&self, record: Size, guest: &str) -> Result<()> {
        let Bandwidth::BitsPerSecond(bits) = self.evacuation.link else {
            return Ok(());
        };
        let of = self.guests.iter().find(|of| of.name == guest);
        let timeout_ns = of.map_or(0, |of| of.scenario.migration.peer_timeout.as_nanos());
        let streams = of.map_or(1, |of| u64::from(of.scenario.migration.streams));
        let most = self
            .evacuation
            .concurrent
            .iter()
            .max()
            .map_or(1, |most| self.sharers(*most));
        let turns = u64::from(most) * streams;
        let wait_ns = link_time_ns(record.0, bits).saturating_mul(turns);
        Error::unless(
            wait_ns <= timeout_ns / 10 * 9,
            "evacuation.link",
            self.evacuation.link,
            format_args!(
                "a link that carries a record of each of {turns} streams at once in 0.9 of migration.peer_timeout; \
                 for {guest} this takes {:.2} s",
                wait_ns as f64 / 1e9
            ),
        )
    }
}

/// Streams that go through tunnels at once at most.
fn tunnels(fleet: &Fleet) -> u64 {
    if !fleet.arms().into_iter().any(Arm::is_tunnel) {
        return 0;
    }
    let at_once = fleet.evacuation.concurrent.iter().max();
    let at_once = at_once.map_or(1, |most| fleet.sharers(*most));
    let streams = fleet
        .guests
        .iter()
        .map(|guest| guest.scenario.migration.streams);
    u64::from(at_once) * u64::from(streams.max().unwrap_or(1))
}

/// Refuses disks that this machine has no room for in sum.
fn check_disks(fleet: &Fleet, hosts: u64) -> Result<()> {
    let mut disks: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for storage in fleet
        .guests
        .iter()
        .flat_map(|guest| &guest.scenario.storage)
    {
        let bytes = disks.entry(disk::folder(storage.folder.as_deref()));
        *bytes.or_default() += storage.size.0.saturating_mul(hosts);
    }
    let guests = fleet.guests.len();
    let check = |(folder, bytes): (&PathBuf, &u64)| {
        let value = format_args!("{guests} with {} of disks on {hosts} hosts", Size(*bytes));
        disk::check_room(folder, *bytes, "guests", value)
    };
    disks.iter().try_for_each(check)
}

/// Refuses a fleet that this machine has no room for, before anything is started. `hosts` of the two run on it.
///
/// # Errors
/// In one line: what is needed, and what there is; a CPU that is not there.
pub fn check_room(fleet: &Fleet, hosts: u64) -> Result<()> {
    let guests = fleet.guests.len();
    let each = (fleet.memory())
        .saturating_add(guests as u64 * A_HOST)
        .saturating_add(tunnels(fleet) * A_TUNNEL);
    let need = each
        .saturating_mul(hosts)
        .saturating_add(machine::RESERVE_BYTES);
    let have = machine::available_memory()?;
    let (need_mib, have_mib) = (need >> 20, have >> 20);
    let who = match hosts {
        1 => "the source needs",
        _ => "source and destination together need",
    };
    Error::unless(
        need <= have,
        "guests",
        format_args!("{guests} with {} in sum", Size(fleet.memory())),
        format_args!("{who} {need_mib} MiB, this machine has {have_mib} MiB available"),
    )?;
    check_disks(fleet, hosts)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let here = match hosts {
        1 => &[("source.cores", &fleet.source)][..],
        _ => &[
            ("source.cores", &fleet.source),
            ("destination.cores", &fleet.destination),
        ],
    };
    for (field, side) in here {
        if let Some(cpu) = side.cores.iter().find(|cpu| **cpu >= cores) {
            let allowed = format!("CPUs that this process may use: 0 to {}", cores - 1);
            return Err(Error::invalid(field, cpu, allowed));
        }
    }
    Ok(())
}
