//! What each figure means: one click from every heading.

use std::fmt::Write as _;

use crate::present::text;

/// Anchor (without `def-`), term, definition.
const DEFINITIONS: &[(&str, &str, &str)] = &[
    (
        "migration",
        "migration",
        "One run of one arm: a fresh pair of host processes. It is the unit of every statistic; pages and rounds are not independent samples.",
    ),
    (
        "block",
        "block",
        "Every arm once, in shuffled order. Ratios are taken within a block, so that drift of the machine cancels.",
    ),
    (
        "tax",
        "tax",
        "An arm's figure over plain's in the same block; shown is the median of these ratios. +28% is a ratio of 1.28, ×12 a ratio of 12. Throughput is better when it is higher: its ratio is below 1 where encryption costs.",
    ),
    (
        "interval",
        "interval, level, n",
        "The interval covers the true median with the probability given as level, over n blocks (ratios) or n migrations (medians). Below 20 blocks it runs between two order statistics of the sample and states the level that these achieve. A single value has no interval.",
    ),
    (
        "outcome",
        "outcome",
        "completed: the guest runs at the destination and both memories have the same hash. not converged: pre-copy could not make the rest small enough; the guest ran on at the source. failed: something broke. unsupported: this machine cannot run the arm; nothing ran in its place. None of these is a zero.",
    ),
    (
        "total-time",
        "total time",
        "From the first harvest of dirty pages to the switchover acknowledgement, on the source's clock. Setup (processes, connections, handshake) stands apart.",
    ),
    (
        "downtime",
        "downtime",
        "On the source's clock, from the pause request to the authenticated switchover acknowledgement. Its parts: pause (until every vCPU has stopped), harvest (finding the last dirty pages), transfer (sending them until applied), switchover (device state and final record until the acknowledgement).",
    ),
    (
        "throughput",
        "throughput",
        "Page payload over the sum of the rounds' durations.",
    ),
    (
        "cpu-per-gib",
        "CPU per GiB",
        "CPU seconds of one side's host process, the vCPUs' own time excluded, per GiB of page payload sent. Per GiB of guest memory it also counts the extra rounds that a dirtying guest causes. On loopback the kernel does much of the receive work on the sender's time.",
    ),
    (
        "stages",
        "stages",
        "Source: prepare (harvest, zero test, building records), seal (the cipher; for copy its copy), transmit (socket writes). Destination: receive (socket reads), open (the cipher), apply (writing guest memory). other is what the stages don't explain. Every stage's median is its own, so they need not add up to the median total.",
    ),
    (
        "cores",
        "cores per 10 Gb/s",
        "CPU seconds per GiB of page payload times 1.164 GiB/s, which is 10 Gb/s of page payload: the cores that one side keeps busy at that speed. VMware's old rule reserves 1 core per 10 GbE. Above the number of cores of a host the speed is out of reach.",
    ),
    (
        "round",
        "round",
        "One harvest and the sending of what it found, until the destination acknowledged it. The last, stop-and-copy, runs while the guest is paused. Pages found dirty at a round's end are the next round's work.",
    ),
    (
        "zero-pages",
        "zero pages",
        "Pages sent as a mark that they hold only zeros; they are not page payload.",
    ),
    (
        "wire-overhead",
        "wire overhead",
        "Bytes on the wire over page payload, less one: headers, tags, control messages and zero pages.",
    ),
    (
        "burstiness",
        "burstiness of the wire",
        "Peak to mean: the fastest round's rate over the mean rate. Variation: standard deviation of the rate over its mean, weighted by time. Within a round only its mean rate is known, so both are lower bounds.",
    ),
    (
        "write-latency",
        "guest write latency",
        "From the time at which a page write was intended to the time at which it was done, so that a stalled vCPU is seen, the pause included. Before: a window before the migration, the baseline. After: a window after it, wherever the guest then runs.",
    ),
    (
        "schedule-kept",
        "schedule kept",
        "Writes made while the vCPUs were running over those asked for in the same stretch of the stream.",
    ),
];

/// The definitions for a page.
pub fn html() -> String {
    let mut out = String::from("<dl class=\"definitions\">\n");
    for (anchor, term, definition) in DEFINITIONS {
        let _ = writeln!(
            out,
            "<dt id=\"def-{anchor}\">{}</dt><dd>{}</dd>",
            text::html(term),
            text::html(definition)
        );
    }
    out.push_str("</dl>\n");
    out
}
