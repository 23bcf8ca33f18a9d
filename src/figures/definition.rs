//! What readers are told of figures.

/// What readers are told of a figure. Figures that are explained together share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its place on a page, without the `def-` before it.
    pub anchor: &'static str,
    /// What is defined.
    pub term: &'static str,
    /// Sentences.
    pub text: &'static str,
}

pub(super) const STAGES: Definition = Definition {
    anchor: "stages",
    term: "stages",
    text: "Source: prepare (harvest, zero test, building records), compress (where content is), seal (the cipher; for copy its copy), transmit (socket writes). Destination: receive (socket reads), open (the cipher), decompress (where content is), apply (writing guest memory). other is what the stages don't explain. Clocks are read around a sample of the records; results.json has the standard error that this leaves in each stage. Every stage's median is its own, so they need not add up to the median total.",
};

pub(super) const COMPRESSION: Definition = Definition {
    anchor: "compression",
    term: "compression",
    text: "Where migration.compression is not none, each record's pages are copied out of guest memory and the copy is compressed before it is sealed (compress), and unpacked behind the cipher at the destination (decompress). A record that does not shrink is sent as it is. Compressed to: bytes of page content as they were sent, over page payload. All figures per GiB stay per GiB of page payload, before compression. plain gives up its path from guest memory to the socket without a copy then.",
};

pub(super) const CPU_PER_GIB: Definition = Definition {
    anchor: "cpu-per-gib",
    term: "CPU per GiB",
    text: "CPU seconds of one side's host process, the vCPUs' own time excluded, per GiB of page payload sent. Per GiB of guest memory it also counts the extra rounds that a dirtying guest causes. On loopback the kernel does much of the receive work on the sender's time.",
};

pub(super) const GUEST: Definition = Definition {
    anchor: "guest",
    term: "guest slowdown",
    text: "Progress: writes made from the first harvest to the switchover, or to the end, over those asked for in that time; the pause counts. Above 100% the vCPUs caught up on what was due before. CPU per write: CPU time of the vCPU threads over the writes that they made. It holds the fault that lifts a page's write protection, colder caches, and the wake-up of a vCPU that slept until its write was due, so that it falls where a late vCPU need not sleep. Write time: from the begin of a write to its end, without the sleep before it; writes of more than 100 us, which lost their CPU, are left out. Write faults: page faults of the vCPUs beyond those that as many writes took before the migration; time per fault: what writes took longer than before, over these faults, negative where noise outweighs it. With the bitmap tracker there is no write protection, so none.",
};

pub(super) const THROTTLE: Definition = Definition {
    anchor: "throttle",
    term: "writes lost to the throttle",
    text: "Where a migration does not converge, the guest may be slowed down (on_stall = \"throttle\"): all its vCPUs run and sleep by turns. A page write that falls due while its vCPU sleeps is lost: it is not executed, then or later, since a throttled guest does less. The share is of the writes that fell due while the guest ran at the source. The latency of a lost write counts until its vCPU woke.",
};

pub(super) const STALL: Definition = Definition {
    anchor: "stall",
    term: "stall",
    text: "A write could be begun when it was due and its vCPU had done the one before; one that was done more than 100 us later is a stall as long as that. It is the time in which a vCPU could not execute, whether it was paused, lacked a CPU or hung in a fault, and unlike latency counts no moment twice, however many writes queue. Stall time is summed over vCPUs and the migration; the stall over the pause ends with the vCPU's first write at the destination. A vCPU with nothing due is not stalled. The longest stall of a guest that always has a write due is at least the downtime without its pause part. In a ratio, blocks in which an arm had no stall are left out.",
};

pub(super) const BLACKOUT: Definition = Definition {
    anchor: "blackout",
    term: "first write, blackout",
    text: "First write: at the destination, from the order to run to the guest's first write done, or since that write was due. The hashing of both memories before that order is this tool's own, and left out; the vCPU threads stand ready then. Blackout: downtime plus first write, which is what a user of the guest sees at most: the acknowledgement's way back is in it.",
};

pub(super) const CORES: Definition = Definition {
    anchor: "cores",
    term: "cores per 10 Gb/s",
    text: "CPU seconds per GiB of page payload times 1.164 GiB/s, which is 10 Gb/s of page payload: the cores that one side keeps busy at that speed. VMware's old rule reserves 1 core per 10 GbE. Above the number of cores of a host the speed is out of reach.",
};

pub(super) const TOTAL_TIME: Definition = Definition {
    anchor: "total-time",
    term: "total time",
    text: "From the first harvest of dirty pages to the switchover acknowledgement, on the source's clock. Setup (processes, connections, handshake) stands apart.",
};

pub(super) const DOWNTIME: Definition = Definition {
    anchor: "downtime",
    term: "downtime",
    text: "On the source's clock, from the pause request to the authenticated switchover acknowledgement. Its parts: pause (until every vCPU has stopped), harvest (finding the last dirty pages), transfer (sending them until applied), switchover (device state and final record until the acknowledgement). Sending is transfer and switchover, all that passes the cipher; pause and harvest are the fixed part, the same for every arm.",
};

pub(super) const EXPECTED_DOWNTIME: Definition = Definition {
    anchor: "expected-downtime",
    term: "least expected downtime",
    text: "After each pre-copy round: how long the pause would be if it began now. Dirty pages, those still written until the guest has stopped, and the device state by the bandwidth of the last rounds, and what takes time without a byte (the last harvest, stopping vCPUs, waking threads, acknowledgements) as the rounds before took it. Pre-copy ends when it fits the limit. The least over the rounds is what a migration that did not converge came to at best.",
};

pub(super) const THROUGHPUT: Definition = Definition {
    anchor: "throughput",
    term: "throughput",
    text: "Page payload over the sum of the rounds' durations.",
};

pub(super) const WRITE_LATENCY: Definition = Definition {
    anchor: "write-latency",
    term: "guest write latency",
    text: "From the time at which a page write was intended to the time at which it was done, so that a stalled vCPU is seen. By window, each measure.window long for every arm, so that a long migration dilutes nothing: before (the baseline), start (from the first harvest on), pause (from the pause request on), after (from the switchover or the end on). A write belongs to the window in which it was intended. A window that outlasts the migration or the pause goes on where the guest then runs. Compared between runs is the start: there all arms are at the same work, and the p99 of the pause window leaps as the downtime passes a hundredth of the window. Runs made before windows were recorded have no such figure; theirs covered the whole migration.",
};

pub(super) const ROUND: Definition = Definition {
    anchor: "round",
    term: "round",
    text: "One harvest and the sending of what it found, until the destination acknowledged it. The last, stop-and-copy, runs while the guest is paused. Pages found dirty at a round's end are the next round's work.",
};

pub(super) const STORAGE: Definition = Definition {
    anchor: "storage",
    term: "disk",
    text: "Where the guest has a disk, it is copied in bulk ahead of the first harvest, on a stream of its own; writes behind the copy are mirrored and done, for the guest, once the destination has them. Disk copy: from its begin until all of it stood at the destination. CPU of the disk: of its stream's thread, per GiB of blocks sent, mirrored ones included; at the source reading, sealing and sending, at the destination receiving, opening and writing. It is in none of the migration's other figures. Of both: disk copy and total time, which follow one another; CPU of memory and disk over what was sent of both. Holes and zero blocks are not sent.",
};

pub(super) const WIRE_OVERHEAD: Definition = Definition {
    anchor: "wire-overhead",
    term: "wire overhead",
    text: "Bytes on the wire that are neither page payload nor device state, over page payload: headers, tags, control messages and zero pages.",
};
