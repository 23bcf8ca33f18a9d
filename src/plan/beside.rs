//! What stream threads take more CPU time for because of what goes on beside them: vCPUs that wake on their cores,
//! and waiting for the link.

use super::hosts::{Busy, Hosts};
use crate::units::GIB;

/// CPU time that the destination's threads take more for each second that they wait, for the link most of all: what they
/// touch next has left the caches. One stream of 1, 2.5, 5 and 10 Gbit/s took 0.375, 0.325, 0.303 and 0.288 CPU-s/GiB
/// there of an idle guest on Zen 3, which is 1.1 to 1.8% of the wait; at the source nothing was seen of it but at
/// 1 Gbit/s (reports/README, "Plans").
const COLD_SHARE: f64 = 0.01;
/// The most of it, seconds a GiB of content: a link of 1 Gbit/s, the slowest that was looked at.
const COLDEST_S_PER_GIB: f64 = 0.08;
/// What a vCPU's waking costs the thread that it interrupts, over what its sleep costs itself. What plans miss by without
/// it stands in reports/README, "Errors".
const INTERRUPTED_SHARE: f64 = 0.5;
/// Of what a side was measured to take, the most that is explained so.
const MOST: f64 = 0.5;

/// What goes on beside stream threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Beside {
    /// Their cores.
    pub hosts: Hosts,
    /// Streams.
    pub streams: f64,
    /// CPU time of the vCPUs' sleeps, seconds a second.
    pub sleep_cores: f64,
}

impl Beside {
    /// What each side takes more for so many bytes of content in `time_s`, seconds: source, destination. A vCPU that
    /// wakes where no core is idle interrupts a stream thread; how often none is, is taken from the share of time for
    /// which the threads keep cores busy.
    pub(super) fn more_s(&self, busy: &Busy, bytes: f64, time_s: f64) -> [f64; 2] {
        let both_s = busy.source_s + busy.destination_s;
        if both_s <= 0.0 || time_s <= 0.0 {
            return [0.0; 2];
        }
        let interrupted_s = match self.hosts {
            // vCPUs have cores of their own.
            Hosts::Apart { .. } => 0.0,
            Hosts::Shared { cores } => {
                let cores = f64::from(cores);
                let none_idle = (both_s / time_s / cores).min(1.0).powf(cores);
                INTERRUPTED_SHARE * self.sleep_cores * time_s * none_idle
            }
        };
        let waits_s = (self.streams * time_s - busy.destination_s).max(0.0);
        let cold_s = (COLD_SHARE * waits_s).min(COLDEST_S_PER_GIB * bytes / GIB);
        let of = |own_s: f64| interrupted_s * own_s / both_s;
        [of(busy.source_s), of(busy.destination_s) + cold_s]
    }

    /// Of what each side was measured to take, the share that it would take by itself.
    pub(super) fn alone(&self, busy: &Busy, bytes: f64, time_s: f64) -> [f64; 2] {
        let [source_s, destination_s] = self.more_s(busy, bytes, time_s);
        [
            (source_s, busy.source_s),
            (destination_s, busy.destination_s),
        ]
        .map(|(more_s, own_s)| match own_s > 0.0 {
            true => 1.0 - (more_s / own_s).min(MOST),
            false => 1.0,
        })
    }
}

impl Busy {
    /// The same with what comes on top of it.
    pub(super) fn with(&self, [source_s, destination_s]: [f64; 2]) -> Busy {
        let scaled = |socket_s: f64, own_s: f64, more_s: f64| match own_s > 0.0 {
            true => socket_s * (own_s + more_s) / own_s,
            false => socket_s,
        };
        Busy {
            source_s: self.source_s + source_s,
            destination_s: self.destination_s + destination_s,
            source_socket_s: scaled(self.source_socket_s, self.source_s, source_s),
            destination_socket_s: scaled(
                self.destination_socket_s,
                self.destination_s,
                destination_s,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(source_s: f64, destination_s: f64) -> Busy {
        Busy {
            source_s,
            destination_s,
            source_socket_s: 0.5 * source_s,
            destination_socket_s: destination_s,
        }
    }

    fn one_stream(hosts: Hosts, sleep_cores: f64) -> Beside {
        Beside {
            hosts,
            streams: 1.0,
            sleep_cores,
        }
    }

    #[test]
    fn vcpus_interrupt_whom_they_share_busy_cores_with() {
        let shared = Hosts::Shared { cores: 2 };
        let apart = Hosts::Apart { cores: 2 };
        // Where they run, sleeps, source and destination; of one second, in which nobody waits for long.
        for (hosts, sleep_cores, source_s, destination_s, expected) in [
            (shared, 0.4, 1.0, 1.0, [0.1, 0.1]),
            // Half of the time a core is idle, so a quarter of the time both are not.
            (shared, 0.4, 0.0, 1.0, [0.0, 0.05]),
            (shared, 0.4, 1.0, 0.0, [0.05, 0.0]),
            (shared, 0.0, 1.0, 1.0, [0.0, 0.0]),
            (apart, 0.4, 1.0, 1.0, [0.0, 0.0]),
        ] {
            let beside = one_stream(hosts, sleep_cores);
            let found = beside.more_s(&busy(source_s, destination_s), 0.0, 1.0);
            let close = (0..2).all(|n| (found[n] - expected[n]).abs() < 1e-12);
            assert!(close, "{hosts:?} {sleep_cores}: {found:?}");
        }
    }

    #[test]
    fn a_destination_that_waits_for_a_link_takes_more_but_not_without_end() {
        let beside = one_stream(Hosts::Shared { cores: 2 }, 0.0);
        for (time_s, expected) in [(0.25, 0.0), (1.25, 0.01), (8.0, 0.0775), (80.0, 0.08)] {
            let [source_s, destination_s] = beside.more_s(&busy(0.25, 0.25), GIB, time_s);
            assert!(
                source_s == 0.0 && (destination_s - expected).abs() < 1e-12,
                "{destination_s}"
            );
        }
    }

    #[test]
    fn what_came_on_top_is_taken_off_again() {
        let beside = one_stream(Hosts::Shared { cores: 2 }, 0.2);
        let measured = busy(0.5, 0.4);
        let [source, destination] = beside.alone(&measured, GIB, 1.0);
        let [source_s, destination_s] = beside.more_s(&measured, GIB, 1.0);
        assert!((0.5 * source + source_s - 0.5).abs() < 1e-12);
        assert!((0.4 * destination + destination_s - 0.4).abs() < 1e-12);
        let whole = measured.with([0.1, 0.2]);
        assert!((whole.source_socket_s - 0.3).abs() < 1e-12, "{whole:?}");
        assert!(
            (whole.destination_socket_s - 0.6).abs() < 1e-12,
            "{whole:?}"
        );
        // Of nothing nothing is taken, and of little not all.
        assert_eq!(beside.alone(&busy(0.0, 0.0), GIB, 1.0), [1.0, 1.0]);
        let [_, destination] = beside.alone(&busy(1.0, 0.01), GIB, 10.0);
        assert_eq!(destination, 1.0 - MOST);
    }
}
