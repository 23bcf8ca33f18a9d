//! What the hosts of the guests under way use, sampled while they move.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::file::CoresUsed;
use crate::machine::clock::cpu_ns_of;
use crate::machine::family;

/// Time between samples at least.
const LEAST: Duration = Duration::from_millis(50);
/// Samples of an evacuation, about, however long it takes.
const ABOUT: u32 = 200;

/// The source's and the destination's.
type Sides = [u64; 2];

/// A guest under way.
#[derive(Debug)]
struct UnderWay {
    ids: [u32; 2],
    /// Processes below its hosts are its own too.
    tunnel: bool,
    /// CPU when its turn came, and when it was last looked at.
    before: Sides,
    last: Sides,
}

impl UnderWay {
    /// What has ended since the last look keeps what it had then.
    fn look(&mut self) {
        for (last, id) in self.last.iter_mut().zip(self.ids) {
            *last = (*last).max(cpu_ns(id, self.tunnel));
        }
    }
}

/// CPU of a host, with that of a tunnel's processes below it; 0 once it is gone.
fn cpu_ns(host: u32, tunnel: bool) -> u64 {
    match tunnel {
        false => cpu_ns_of(host).unwrap_or(0),
        true => family(host).into_iter().filter_map(cpu_ns_of).sum(),
    }
}

/// Samples the CPU clocks of the processes of guests under way: a call a process, whose cost is the
/// coordinator's.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
    last: Instant,
    under_way: BTreeMap<usize, UnderWay>,
    /// CPU of those that no longer move.
    retired: Sides,
    /// CPU that samples hold so far.
    counted: Sides,
    samples: Vec<CoresUsed>,
    remote: bool,
}

impl Watch {
    /// Begins now. Of a destination on another machine nothing is seen.
    pub fn start(remote: bool) -> Watch {
        let now = Instant::now();
        Watch {
            began: now,
            last: now,
            under_way: BTreeMap::new(),
            retired: [0; 2],
            counted: [0; 2],
            samples: Vec::new(),
            remote,
        }
    }

    /// Since it began, seconds.
    pub fn now_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// A guest's turn has come; with a `tunnel`, its hosts start processes that count as theirs.
    pub fn begin(&mut self, guest: usize, ids: [u32; 2], tunnel: bool) {
        let before = ids.map(|id| cpu_ns(id, tunnel));
        let under_way = UnderWay {
            ids,
            tunnel,
            before,
            last: before,
        };
        self.under_way.insert(guest, under_way);
    }

    /// A guest no longer moves.
    pub fn end(&mut self, guest: usize) {
        self.look();
        if let Some(of) = self.under_way.remove(&guest) {
            add(&mut self.retired, of.last, of.before);
        }
    }

    /// When the next sample is due.
    pub fn due(&self) -> Instant {
        self.last + LEAST.max(self.began.elapsed() / ABOUT)
    }

    /// Takes a sample, if time has passed since the last one.
    pub fn sample(&mut self) {
        self.look();
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let mut all = self.retired;
        for of in self.under_way.values() {
            add(&mut all, of.last, of.before);
        }
        let cores =
            |side: usize| all[side].saturating_sub(self.counted[side]) as f64 / 1e9 / seconds;
        self.samples.push(CoresUsed {
            until_s: now.duration_since(self.began).as_secs_f64(),
            source: cores(0),
            destination: (!self.remote).then(|| cores(1)),
            under_way: self.under_way.len() as u32,
        });
        (self.last, self.counted) = (now, all);
    }

    /// All samples.
    pub fn finish(mut self) -> Vec<CoresUsed> {
        self.sample();
        self.samples
    }

    fn look(&mut self) {
        self.under_way.values_mut().for_each(UnderWay::look);
    }
}

fn add(sum: &mut Sides, now: Sides, before: Sides) {
    for (sum, (now, before)) in sum.iter_mut().zip(now.into_iter().zip(before)) {
        *sum += now.saturating_sub(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_those_of_guests_under_way() {
        let mut watch = Watch::start(false);
        let own = std::process::id();
        watch.begin(0, [own, own], false);
        let began = Instant::now();
        let mut x = 1u64;
        while began.elapsed() < Duration::from_millis(20) {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        watch.sample();
        watch.end(0);
        let samples = watch.finish();
        assert!(
            samples[0].source > 0.0 && samples[0].under_way == 1,
            "{samples:?}"
        );
        assert_eq!(samples.last().map(|sample| sample.under_way), Some(0));
        let ends: Vec<f64> = samples.iter().map(|sample| sample.until_s).collect();
        assert!(ends.is_sorted(), "{ends:?}");
    }
}
