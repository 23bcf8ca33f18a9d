//! The cores of two hosts, and how long stream threads keep them.

use crate::results::Results;
use crate::scenario::{MigrationSpec, Workers};

/// What the migration's threads have to run on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hosts {
    /// Both hosts and the guest's vCPUs share the cores of one machine.
    Shared {
        /// Cores of it.
        cores: u32,
    },
    /// Each host has cores of its own for the migration, the vCPUs others.
    Apart {
        /// Cores of each.
        cores: u32,
    },
}

/// What a migration, or a part of it, waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumIter)]
pub enum Binds {
    /// The link's bandwidth.
    #[strum(to_string = "link")]
    Link,
    /// The source's stream threads: each has a core of its own at most.
    #[strum(to_string = "source core")]
    SourceCore,
    /// The destination's.
    #[strum(to_string = "destination core")]
    DestinationCore,
    /// One side's stream threads, which spend more than half of their time in the socket.
    #[strum(to_string = "socket")]
    Socket,
    /// All cores of the machine that both hosts share.
    #[strum(to_string = "shared cores")]
    SharedCores,
}

impl serde::Serialize for Binds {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// CPU time of stream threads by side, seconds, and of it that in the socket.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Busy {
    /// The source's.
    pub source_s: f64,
    /// The destination's.
    pub destination_s: f64,
    /// The source's socket writes.
    pub source_socket_s: f64,
    /// The destination's socket reads.
    pub destination_socket_s: f64,
}

impl Hosts {
    /// Those of a run.
    pub fn of(results: &Results) -> Hosts {
        let cores = results.host.cores.max(1);
        match results.host.is_shared() {
            true => Hosts::Shared { cores },
            false => Hosts::Apart { cores },
        }
    }

    /// Cores that one host can use.
    pub fn cores(self) -> u32 {
        match self {
            Hosts::Shared { cores } | Hosts::Apart { cores } => cores,
        }
    }

    /// The same with other cores.
    pub fn with_cores(self, cores: u32) -> Hosts {
        match self {
            Hosts::Shared { .. } => Hosts::Shared { cores },
            Hosts::Apart { .. } => Hosts::Apart { cores },
        }
    }

    /// The time in which threads can do that beside vCPUs that keep `vcpu_cores` busy, seconds, and what they wait
    /// for. `kept_busy` is the share of its time for which one stream keeps busy what decides: the cores of a
    /// shared machine together, the busier side's core of hosts that have their own.
    pub fn time_s(
        self,
        migration: &MigrationSpec,
        busy: &Busy,
        vcpu_cores: f64,
        kept_busy: f64,
    ) -> (f64, Binds) {
        let cores = f64::from(self.cores());
        let (sealers, streams) = self.threads(migration);
        let source_s = busy.source_s / sealers.min(cores);
        let destination_s = busy.destination_s / streams.min(cores);
        let (time_s, binds) = match source_s >= destination_s {
            true if busy.source_socket_s > 0.5 * busy.source_s => (source_s, Binds::Socket),
            true => (source_s, Binds::SourceCore),
            false if busy.destination_socket_s > 0.5 * busy.destination_s => {
                (destination_s, Binds::Socket)
            }
            false => (destination_s, Binds::DestinationCore),
        };
        // Streams idle less together: while one waits another goes on.
        let kept_busy = 1.0 - (1.0 - kept_busy) / streams;
        match self {
            Hosts::Apart { .. } => (time_s / kept_busy, binds),
            Hosts::Shared { .. } => {
                // Threads share fairly: a vCPU can't be left less than its part.
                let threads = 1.0 + sealers + streams;
                let fair = (threads - 1.0) / threads;
                let left = (cores * kept_busy - vcpu_cores).max(cores * kept_busy * fair);
                let all_s = (busy.source_s + busy.destination_s) / left;
                // Even with all cores to themselves both sides wait for each other.
                let all = all_s > time_s && vcpu_cores + sealers + streams > cores;
                (
                    all_s.max(time_s),
                    if all { Binds::SharedCores } else { binds },
                )
            }
        }
    }

    /// What [`Hosts::time_s`] calls `kept_busy`, from a time that it took.
    pub fn kept_busy(
        self,
        migration: &MigrationSpec,
        busy: &Busy,
        vcpu_cores: f64,
        time_s: f64,
    ) -> f64 {
        let (sealers, streams) = self.threads(migration);
        let cores = f64::from(self.cores());
        let share = match self {
            Hosts::Apart { .. } => {
                let of = |busy_s: f64, threads: f64| busy_s / threads.min(cores) / time_s;
                of(busy.source_s, sealers).max(of(busy.destination_s, streams))
            }
            Hosts::Shared { .. } => {
                ((busy.source_s + busy.destination_s) / time_s + vcpu_cores) / cores
            }
        };
        // No more than all; and below half something else decided.
        (1.0 - (1.0 - share) * streams).clamp(0.5, 1.0)
    }

    /// Threads that seal and threads that open.
    fn threads(self, migration: &MigrationSpec) -> (f64, f64) {
        let streams = f64::from(migration.streams);
        let sealers = match migration.seal_workers {
            Workers::Auto => streams.max(f64::from(self.cores())),
            Workers::Count(workers) => streams.max(f64::from(workers)),
        };
        (sealers, streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_or_all_cores_decide() {
        let one = MigrationSpec {
            seal_workers: Workers::Count(1),
            ..MigrationSpec::default()
        };
        let two = MigrationSpec {
            streams: 2,
            ..one.clone()
        };
        let busy = |source_s, destination_s, socket_s| Busy {
            source_s,
            destination_s,
            source_socket_s: socket_s,
            destination_socket_s: 0.0,
        };
        let (apart, shared) = (Hosts::Apart { cores: 2 }, Hosts::Shared { cores: 2 });
        let (source, destination) = (Binds::SourceCore, Binds::DestinationCore);
        for (hosts, migration, busy, vcpus, kept_busy, expected) in [
            (apart, &one, busy(3.0, 1.0, 1.0), 0.0, 1.0, (3.0, source)),
            (apart, &one, busy(3.0, 1.0, 1.0), 0.0, 0.75, (4.0, source)),
            (
                apart,
                &one,
                busy(3.0, 1.0, 2.0),
                0.0,
                1.0,
                (3.0, Binds::Socket),
            ),
            (
                apart,
                &one,
                busy(1.0, 3.0, 1.0),
                0.5,
                1.0,
                (3.0, destination),
            ),
            (apart, &two, busy(3.0, 1.0, 0.0), 0.0, 1.0, (1.5, source)),
            (shared, &one, busy(3.0, 3.0, 0.0), 0.0, 1.0, (3.0, source)),
            // Each waits for the other.
            (shared, &one, busy(3.0, 3.0, 0.0), 0.0, 0.75, (4.0, source)),
            // One that is alone busy waits for nobody.
            (shared, &one, busy(3.0, 0.5, 0.0), 0.0, 0.75, (3.0, source)),
            (
                shared,
                &one,
                busy(3.0, 3.0, 0.0),
                0.5,
                1.0,
                (4.0, Binds::SharedCores),
            ),
            (
                shared,
                &two,
                busy(3.0, 4.2, 0.0),
                0.0,
                0.8,
                (4.0, Binds::SharedCores),
            ),
        ] {
            let found = hosts.time_s(migration, &busy, vcpus, kept_busy);
            let close = (found.0 - expected.0).abs() < 1e-9;
            assert!(
                close && found.1 == expected.1,
                "{hosts:?} {busy:?}: {found:?}"
            );
            let alone = busy.source_s > 5.0 * busy.destination_s;
            if !alone && (hosts, kept_busy) != (shared, 1.0) {
                let back = hosts.kept_busy(migration, &busy, vcpus, found.0);
                assert!(
                    (back - kept_busy).abs() < 1e-9,
                    "{hosts:?} {busy:?}: {back}"
                );
            }
        }
    }
}
