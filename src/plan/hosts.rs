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

    /// The least time in which threads can do that beside vCPUs that keep `vcpu_cores` busy, seconds, and what
    /// they wait for.
    pub fn time_s(self, migration: &MigrationSpec, busy: &Busy, vcpu_cores: f64) -> (f64, Binds) {
        let cores = f64::from(self.cores());
        let streams = f64::from(migration.streams);
        let sealers = match migration.seal_workers {
            Workers::Auto => streams.max(cores),
            Workers::Count(workers) => streams.max(f64::from(workers)),
        };
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
        if let Hosts::Shared { .. } = self {
            // Threads share fairly: a vCPU can't be left less than its part.
            let threads = 1.0 + streams.max(sealers) + streams;
            let left = (cores - vcpu_cores).max(cores * (threads - 1.0) / threads);
            let all_s = (busy.source_s + busy.destination_s) / left;
            if all_s > time_s {
                return (all_s, Binds::SharedCores);
            }
        }
        (time_s, binds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_or_all_cores_decide() {
        let one = MigrationSpec::default();
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
        for (hosts, migration, busy, vcpus, expected) in [
            (
                apart,
                &one,
                busy(3.0, 1.0, 1.0),
                0.0,
                (3.0, Binds::SourceCore),
            ),
            (apart, &one, busy(3.0, 1.0, 2.0), 0.0, (3.0, Binds::Socket)),
            (
                apart,
                &one,
                busy(1.0, 3.0, 1.0),
                0.5,
                (3.0, Binds::DestinationCore),
            ),
            (
                apart,
                &two,
                busy(3.0, 1.0, 0.0),
                0.0,
                (1.5, Binds::SourceCore),
            ),
            (
                shared,
                &one,
                busy(3.0, 3.0, 0.0),
                0.0,
                (3.0, Binds::SourceCore),
            ),
            (
                shared,
                &one,
                busy(3.0, 3.0, 0.0),
                0.5,
                (4.0, Binds::SharedCores),
            ),
            (
                shared,
                &two,
                busy(3.0, 3.0, 0.0),
                0.0,
                (3.0, Binds::SharedCores),
            ),
        ] {
            let found = hosts.time_s(migration, &busy, vcpus);
            let close = (found.0 - expected.0).abs() < 1e-9;
            let binds = found.1 == expected.1
                || (found.0 == 3.0
                    && expected.1 == Binds::SharedCores
                    && found.1 == Binds::SourceCore);
            assert!(close && binds, "{hosts:?} {busy:?}: {found:?}");
        }
    }
}
