//! What a migration's record says of how it was made and timed: its numbers by their fields.

use crate::results::Migration;

/// Seconds.
pub(super) fn seconds(m: &Migration) -> impl Iterator<Item = (&'static str, f64)> {
    let source = m.cpu.source.sampling.into_iter().flat_map(|s| {
        [
            ("cpu.source.sampling.clock_s", s.clock_s),
            ("cpu.source.sampling.prepare_se_s", s.prepare_se_s),
            (
                "cpu.source.sampling.compress_se_s",
                s.compress_se_s.unwrap_or(0.0),
            ),
            ("cpu.source.sampling.seal_se_s", s.seal_se_s),
            ("cpu.source.sampling.transmit_se_s", s.transmit_se_s),
        ]
    });
    let destination = m.cpu.destination.sampling.into_iter().flat_map(|s| {
        [
            ("cpu.destination.sampling.clock_s", s.clock_s),
            ("cpu.destination.sampling.receive_se_s", s.receive_se_s),
            ("cpu.destination.sampling.open_se_s", s.open_se_s),
            (
                "cpu.destination.sampling.decompress_se_s",
                s.decompress_se_s.unwrap_or(0.0),
            ),
            ("cpu.destination.sampling.apply_se_s", s.apply_se_s),
        ]
    });
    source.chain(destination)
}

/// Counts.
pub(super) fn counts(m: &Migration) -> impl Iterator<Item = (&'static str, u64)> {
    let calls = m.socket_calls.into_iter().flat_map(|c| {
        [
            ("socket_calls.source_sends", c.source_sends),
            ("socket_calls.source_receives", c.source_receives),
            ("socket_calls.destination_sends", c.destination_sends),
            ("socket_calls.destination_receives", c.destination_receives),
        ]
    });
    let source = m.cpu.source.sampling.into_iter().flat_map(|s| {
        [
            ("cpu.source.sampling.units", s.units),
            ("cpu.source.sampling.samples", s.samples),
        ]
    });
    let destination = m.cpu.destination.sampling.into_iter().flat_map(|s| {
        [
            ("cpu.destination.sampling.units", s.units),
            ("cpu.destination.sampling.samples", s.samples),
        ]
    });
    calls.chain(source).chain(destination)
}
