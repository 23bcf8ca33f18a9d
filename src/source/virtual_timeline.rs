//! The virtual clock, as the source's driver sees it.

use std::time::Instant;

use crate::error::Result;
use crate::guest::vcpu::{LostWrites, StreamPosition};
use crate::host::HostSpec;
use crate::machine::clock::thread_cpu_ns;
use crate::precopy::Cycle;
use crate::results::{Guest, Throttled};
use crate::source::timeline::{GuestEnd, Timeline, was_throttled};
use crate::source::tracked_guest::TrackedGuest;
use crate::units::{PAGE_SIZE, link_time_ns};
use crate::workload::MergedStream;

/// The virtual clock: time passes only by sending, and the stream advances between rounds. Of a throttled
/// guest the writes that fall into the sleeping part of a cycle are lost, by their intended times and the
/// time at which the throttle was set: which they are depends on nothing else.
pub struct VirtualTimeline<'a> {
    guest: &'a TrackedGuest,
    stream: MergedStream,
    bits_per_second: u64,
    start_ns: u64,
    now_ns: u64,
    paused: bool,
    /// Writes of each vCPU.
    executed: Vec<u64>,
    /// Those that it lost.
    lost: Vec<LostWrites>,
    /// The cycle that the vCPUs keep, and since when.
    throttle: Option<(Cycle, u64)>,
    /// Time that they slept under cycles before that, summed over them, nanoseconds.
    slept_ns: u64,
    /// CPU time that the writes took: the vCPUs' own, not the migration's.
    vcpu_ns: u64,
}

impl<'a> VirtualTimeline<'a> {
    /// The stream of the spec's scenario from its start offset.
    ///
    /// # Errors
    /// If the stream can't be made.
    ///
    /// # Panics
    /// If the link is unlimited, which a checked scenario refuses.
    pub fn new(spec: &HostSpec, guest: &'a TrackedGuest) -> Result<Self> {
        let mut stream = MergedStream::new(&spec.stream_spec())?;
        stream.skip_to(spec.start_offset_ns);
        Ok(VirtualTimeline {
            guest,
            stream,
            bits_per_second: (spec.scenario.migration.link.bits_per_second())
                .expect("the virtual clock has a limited link"),
            start_ns: spec.start_offset_ns,
            now_ns: 0,
            paused: false,
            executed: vec![0; guest.vcpus as usize],
            lost: vec![LostWrites::default(); guest.vcpus as usize],
            throttle: None,
            slept_ns: 0,
            vcpu_ns: 0,
        })
    }

    /// Whether a write of that time is lost.
    fn loses(&self, at_ns: u64) -> bool {
        self.throttle.is_some_and(|(cycle, since_ns)| {
            let since_ns = at_ns.saturating_sub(self.start_ns + since_ns);
            cycle.asleep_until(since_ns).is_some()
        })
    }
}

impl Timeline for VirtualTimeline<'_> {
    fn copy(&mut self) {}

    fn begin(&mut self) {}

    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn instant_ns(&self, _at: Instant) -> u64 {
        self.now_ns
    }

    fn sent(&mut self, content_bytes: u64, _wire_bytes: u64, _sending_ns: u64) {
        self.now_ns += link_time_ns(content_bytes, self.bits_per_second);
        if self.paused {
            return;
        }
        let until_ns = self.start_ns + self.now_ns;
        let began_ns = thread_cpu_ns();
        while let Some((vcpu, write)) = self.stream.next_until(until_ns) {
            let vcpu = vcpu as usize;
            if self.loses(write.at_ns) {
                let number = self.executed[vcpu] + self.lost[vcpu].count();
                self.lost[vcpu].push(number);
                continue;
            }
            self.guest.execute(&write);
            self.executed[vcpu] += 1;
        }
        self.vcpu_ns += thread_cpu_ns() - began_ns;
    }

    fn sending_ns(&self, bytes: u64) -> u64 {
        link_time_ns(bytes, self.bits_per_second)
    }

    fn throttle(&mut self, cycle: Option<Cycle>) {
        if let Some((before, since_ns)) = self.throttle {
            let slept_ns = before.asleep_ns_within(self.now_ns - since_ns);
            self.slept_ns += slept_ns * u64::from(self.guest.vcpus);
        }
        self.throttle = cycle.map(|cycle| (cycle, self.now_ns));
    }

    fn pause(&mut self) {
        self.throttle(None);
        self.paused = true;
    }

    fn resume(&mut self) {
        self.paused = false;
    }

    fn positions(&self) -> Vec<StreamPosition> {
        let next = StreamPosition::at(self.start_ns + self.now_ns);
        vec![next; self.guest.vcpus as usize]
    }

    fn ended(&mut self, _switched_over: Option<Instant>) -> f64 {
        self.throttle(None);
        self.vcpu_ns as f64 / 1e9
    }

    fn finish(self: Box<Self>) -> Result<GuestEnd> {
        // The stream is executed to the letter but for what the throttle took, so the rate is as asked by
        // construction.
        let seconds = self.now_ns as f64 / 1e9;
        let writes: u64 = self.executed.iter().sum();
        let lost: u64 = self.lost.iter().map(LostWrites::count).sum();
        let rate = |writes: u64| match self.now_ns {
            0 => 0.0,
            _ => (writes * PAGE_SIZE as u64) as f64 / seconds,
        };
        let throttled = Throttled {
            writes_lost: lost,
            stall_s: self.slept_ns as f64 / 1e9,
        };
        Ok(GuestEnd {
            guest: Guest {
                writes,
                schedule_kept: 1.0,
                achieved_rate: rate(writes),
                asked_rate: rate(writes + lost),
                throttled: was_throttled(throttled),
                ..Guest::default()
            },
            stream_time_ns: self.start_ns + self.now_ns,
            executed: self.executed,
            lost: self.lost,
            at_source: None,
            disk: None,
        })
    }
}
