//! Figures of a guest's disk, and of memory and disk together.

use super::definition::STORAGE;
use super::rates::per_gib;
use super::row::{Row, Unfinished};
use super::table::COST;
use crate::results::{Migration, Storage};

/// What the figures of a guest's disk have in common.
const OF_DISK: Row = Row {
    definition: &STORAGE,
    compared: true,
    of_disk: true,
    ..COST
};

pub(super) const TIME: Row = Row {
    name: "disk_time",
    column: "disk_time_s",
    label: "disk copy",
    unit: "s",
    shown_unit: "s",
    needs_live_clock: true,
    value: |m| Some(m.storage.as_ref()?.copy_s),
    ..OF_DISK
};

pub(super) const SOURCE_CPU: Row = Row {
    name: "disk_source_cpu_per_gib",
    column: "disk_source_cpu_s_per_gib",
    label: "source CPU of the disk",
    per: " per GiB of disk",
    shown_unit: "s/GiB disk",
    value: |m| {
        let storage = m.storage.as_ref()?;
        per_gib(storage.source_cpu.total_s, storage.sent_bytes())
    },
    ..OF_DISK
};

pub(super) const DESTINATION_CPU: Row = Row {
    name: "disk_destination_cpu_per_gib",
    column: "disk_destination_cpu_s_per_gib",
    label: "destination CPU of the disk",
    per: " per GiB of disk",
    shown_unit: "s/GiB disk",
    value: |m| {
        let storage = m.storage.as_ref()?;
        per_gib(storage.destination_cpu.total_s, storage.sent_bytes())
    },
    ..OF_DISK
};

pub(super) const WHOLE_TIME: Row = Row {
    name: "whole_time",
    column: "whole_time_s",
    label: "disk copy and total time",
    unit: "s",
    shown_unit: "s",
    // As total time.
    unfinished: Unfinished::AtLeast(whole_time),
    needs_live_clock: true,
    value: whole_time,
    ..OF_DISK
};

pub(super) const WHOLE_SOURCE_CPU: Row = Row {
    name: "whole_source_cpu_per_gib",
    column: "whole_source_cpu_s_per_gib",
    label: "source CPU of memory and disk",
    per: " per GiB of both",
    shown_unit: "s/GiB of both",
    value: whole_source_cpu,
    ..OF_DISK
};

pub(super) const WHOLE_DESTINATION_CPU: Row = Row {
    name: "whole_destination_cpu_per_gib",
    column: "whole_destination_cpu_s_per_gib",
    label: "destination CPU of memory and disk",
    per: " per GiB of both",
    shown_unit: "s/GiB of both",
    value: whole_destination_cpu,
    ..OF_DISK
};

/// The bulk copy of the disk, then from the first harvest to the end, seconds.
pub(super) fn whole_time(m: &Migration) -> Option<f64> {
    Some(m.storage.as_ref()?.copy_s + m.total_time_s)
}

/// CPU seconds of the source on memory and disk, per GiB of both as they were sent.
pub(super) fn whole_source_cpu(m: &Migration) -> Option<f64> {
    whole(m, m.cpu.source.total_s, |storage| {
        storage.source_cpu.total_s
    })
}

/// The same of the destination.
pub(super) fn whole_destination_cpu(m: &Migration) -> Option<f64> {
    whole(m, m.cpu.destination.total_s, |storage| {
        storage.destination_cpu.total_s
    })
}

fn whole(m: &Migration, memory_s: f64, disk_s: fn(&Storage) -> f64) -> Option<f64> {
    let storage = m.storage.as_ref()?;
    let bytes = m.payload_bytes.saturating_add(storage.sent_bytes());
    per_gib(memory_s + disk_s(storage), bytes)
}
