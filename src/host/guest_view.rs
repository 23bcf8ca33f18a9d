//! The guest's view of its migration, put together from what both hosts saw.
//!
//! A window may begin at the source and end at the destination, and the stall over the pause begins
//! at the one and ends at the other. The destination contributes durations, never time stamps: where
//! its part of a window begins and ends is told in stream time.

use serde::{Deserialize, Serialize};

use super::SourceReport;
use super::latency::{Counts, merged};
use crate::guest::vcpu::{FirstWrite, PhaseReport, STALL_NS, VcpuReport, Window};
use crate::results::{Guest, Latency, Storage, StorageDestinationCpu, VcpuWork, Verified};

/// Where windows that began at the source end, in stream time, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OpenWindows {
    /// The one from the first harvest on.
    pub start_until_ns: u64,
    /// The one from the pause request on; 0 if the guest was not paused.
    pub pause_until_ns: u64,
}

/// What the source saw that the destination may have to complete.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AtSource {
    /// Where its windows end.
    pub windows: OpenWindows,
    /// Write latencies in the window from the first harvest on.
    pub start: Counts,
    /// Write latencies in the window from the pause request on.
    pub pause: Counts,
    /// Stalls that ended here, summed over vCPUs, nanoseconds.
    pub stall_ns: u64,
    /// The longest of them, nanoseconds.
    pub longest_stall_ns: u64,
    /// Per vCPU, the stall that was open at the switchover, nanoseconds; 0 if none was.
    pub open_stalls_ns: Vec<u64>,
}

/// What the destination saw of the guest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AtDestination {
    /// Write latencies in what was left of the window from the first harvest on.
    pub start: Counts,
    /// Write latencies in what was left of the window from the pause request on.
    pub pause: Counts,
    /// Write latencies in the window from the switchover on.
    pub after: Counts,
    /// Per vCPU, its first write since the order to run; none if it made none.
    pub first_writes: Vec<Option<FirstWrite>>,
    /// What the vCPUs did and used.
    pub work: VcpuWork,
}

/// How the guest's disk fared at the destination.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StorageAtDestination {
    /// CPU of its stream.
    pub cpu: StorageDestinationCpu,
    /// Hash of the disk; empty unless the guest was taken over.
    pub hash: String,
    /// Latency of writes in the window after the switchover.
    pub after: Latency,
}

impl AtSource {
    /// From the source's vCPUs.
    pub fn new(report: &VcpuReport, windows: OpenWindows) -> AtSource {
        AtSource {
            windows,
            start: report.window(Window::Start).into(),
            pause: report.window(Window::Pause).into(),
            stall_ns: report.stall_ns,
            longest_stall_ns: report.longest_stall_ns,
            open_stalls_ns: report.open_stalls_ns.clone(),
        }
    }
}

impl SourceReport {
    /// Where windows that began at the source end.
    pub fn windows(&self) -> OpenWindows {
        self.at_source
            .as_ref()
            .map_or_else(OpenWindows::default, |seen| seen.windows)
    }
}

impl AtDestination {
    /// From the destination's vCPUs, which ran in one phase.
    pub fn new(report: &VcpuReport, phase: &PhaseReport) -> AtDestination {
        AtDestination {
            start: report.window(Window::Start).into(),
            pause: report.window(Window::Pause).into(),
            after: report.window(Window::After).into(),
            first_writes: report.first_writes.clone(),
            work: work(phase),
        }
    }
}

/// What vCPUs did in a phase, as results carry it.
pub fn work(phase: &PhaseReport) -> VcpuWork {
    VcpuWork {
        writes: phase.writes,
        timed_writes: phase.timed_writes,
        timed_s: phase.timed_s,
        cpu_s: phase.cpu_s,
        minor_faults: phase.minor_faults,
    }
}

/// Completes the source's view of its guest; `destination` is that of the host that took it over.
pub fn complete(guest: &mut Guest, source: &AtSource, destination: Option<&AtDestination>) {
    let both = |of_source, of_destination: fn(&AtDestination) -> &Counts| -> Option<Latency> {
        let parts = std::iter::once(of_source).chain(destination.map(of_destination));
        Some(merged(parts)).filter(|latency| latency.count > 0)
    };
    guest.write_latency_start_ns = both(&source.start, |there| &there.start);
    guest.write_latency_pause_ns = both(&source.pause, |there| &there.pause);
    let mut stall_ns = source.stall_ns;
    let mut longest_ns = source.longest_stall_ns;
    let firsts = destination.map_or(&[][..], |there| &there.first_writes);
    for (vcpu, open_ns) in source.open_stalls_ns.iter().enumerate() {
        // Without an open stall the first write there was not due yet, and late for no reason of the pause.
        let first = firsts.get(vcpu).copied().flatten().filter(|_| *open_ns > 0);
        let whole_ns = open_ns.saturating_add(first.map_or(0, |first| first.delay_ns));
        if whole_ns > STALL_NS {
            stall_ns = stall_ns.saturating_add(whole_ns);
            longest_ns = longest_ns.max(whole_ns);
        }
    }
    guest.stall_s = Some(stall_ns as f64 / 1e9);
    guest.longest_stall_s = Some(longest_ns as f64 / 1e9);
    let Some(there) = destination else { return };
    guest.write_latency_after_ns = Some(merged([&there.after]));
    guest.work_after = Some(there.work);
    let first = firsts.iter().flatten().min_by_key(|first| first.done_ns);
    guest.first_write_s = first.map(|first| first.delay_ns as f64 / 1e9);
}

/// Completes what the source told of the guest's disk.
pub fn complete_storage(
    here: Storage,
    there: StorageAtDestination,
    switched_over: bool,
) -> Storage {
    let source_hash = here.verified.source_hash;
    Storage {
        destination_cpu: there.cpu,
        verified: Verified {
            equal: !source_hash.is_empty() && source_hash == there.hash,
            source_hash,
            destination_hash: there.hash,
        },
        write_latency_after_ns: match switched_over {
            true => there.after,
            false => here.write_latency_after_ns,
        },
        ..here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(values: &[(u64, u64)]) -> Counts {
        serde_json::from_value(serde_json::json!(values)).unwrap()
    }

    #[test]
    fn windows_and_stalls_are_completed_by_the_destination() {
        let source = AtSource {
            start: counts(&[(1_000, 90)]),
            pause: counts(&[(5_000_000, 1)]),
            stall_ns: 300_000,
            longest_stall_ns: 200_000,
            open_stalls_ns: vec![5_000_000, 0, 99_999],
            ..AtSource::default()
        };
        let first = |done_ns, delay_ns| Some(FirstWrite { done_ns, delay_ns });
        let destination = AtDestination {
            start: counts(&[(1_000, 5), (2_000_000, 5)]),
            pause: counts(&[(10, 99)]),
            after: counts(&[(10, 3)]),
            first_writes: vec![first(70_000, 70_000), first(40_000, 200), first(90_000, 2)],
            work: VcpuWork {
                writes: 3,
                timed_writes: 2,
                timed_s: 1e-6,
                cpu_s: 0.5,
                minor_faults: 1,
            },
        };
        let mut guest = Guest::default();
        complete(&mut guest, &source, Some(&destination));
        let start = guest.write_latency_start_ns.unwrap();
        assert_eq!((start.count, start.p90 < 1_100), (100, true));
        assert!(start.p99 > 1_900_000 && start.max < 2_100_000);
        let pause = guest.write_latency_pause_ns.unwrap();
        assert_eq!((pause.count, pause.p99), (100, 10));
        // The second vCPU had nothing due: its first write was late for another reason. The third's
        // reached the threshold by two nanoseconds of the destination's.
        assert_eq!(
            guest.stall_s,
            Some((300_000 + 5_070_000 + 100_001) as f64 / 1e9)
        );
        assert_eq!(guest.longest_stall_s, Some(0.005_07));
        // The guest's first write was the second vCPU's.
        assert_eq!(guest.first_write_s, Some(200e-9));
        assert_eq!(guest.write_latency_after_ns.unwrap().count, 3);
        assert_eq!(guest.work_after, Some(destination.work));
    }

    #[test]
    fn a_guest_that_stayed_has_nothing_of_a_destination() {
        let mut guest = Guest {
            work_after: Some(VcpuWork::default()),
            ..Guest::default()
        };
        let before = guest.clone();
        complete(&mut guest, &AtSource::default(), None);
        assert_eq!(
            (guest.stall_s, guest.longest_stall_s),
            (Some(0.0), Some(0.0))
        );
        let rest = Guest {
            stall_s: None,
            longest_stall_s: None,
            ..guest
        };
        assert_eq!(rest, before);
    }
}
