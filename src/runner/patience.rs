//! How long the coordinator waits for a host's word.

use std::time::Duration;

use crate::scenario::{ClockKind, Scenario};
use crate::units::{Bandwidth, link_time_ns};

/// How long a host may say nothing: filling, hashing and the slowest cipher on this much memory and disk, the
/// limits that it keeps to by itself, and the time that a slow link takes for the round in which the
/// time limit strikes and the last one, each at most all of memory, and for the disk.
pub fn patience(scenario: &Scenario) -> Duration {
    let memory = scenario.guest.memory.0;
    let all = scenario.bytes_in_all();
    let migration = &scenario.migration;
    // Software AES in an unoptimised build on a busy machine: 5 MiB/s.
    let slowest = Duration::from_secs(30 + all / (5 << 20));
    let link_ns = match (migration.link, scenario.measure.clock) {
        (Bandwidth::BitsPerSecond(bits), ClockKind::Live) => {
            link_time_ns(memory.saturating_mul(2).saturating_add(all), bits)
        }
        _ => 0,
    };
    slowest
        + Duration::from_nanos(link_ns)
        + migration.time_limit.0
        + migration.peer_timeout.0 * 3
        // Each stream connects, makes a handshake and greets before the others; rounds are within the time limit.
        + migration.rtt.map_or(Duration::ZERO, |rtt| rtt.0) * (4 + 3 * scenario.connections())
        + scenario.measure.window.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn a_slow_link_is_waited_for() {
        let of = |text: &str| {
            let text = format!("name = \"p\"\n{text}");
            patience(&scenario::parse("p", &text).unwrap()[0]).as_secs()
        };
        // 30 s, 4 GiB at 5 MiB/s, 1 min, three times 10 s, and the window.
        let fast = of("[guest]\nmemory = \"4GiB\"\n[measure]\nwindow = \"1s\"");
        assert_eq!(fast, 30 + 819 + 60 + 30 + 1);
        // Three times 4 GiB at 10 Mbit/s more.
        let slow = "[guest]\nmemory = \"4GiB\"\n[migration]\nlink = \"10Mbit/s\"\n[measure]\nwindow = \"1s\"";
        assert_eq!(of(slow), fast + 10_307);
        // Under the virtual clock the bytes go as fast as they can.
        assert_eq!(of(&format!("{slow}\nclock = \"virtual\"")), fast);
    }
}
