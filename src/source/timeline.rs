//! The two clocks, as the source's driver sees them: what time it is, when the guest writes.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::guest::vcpu::{LostWrites, Phase, StreamPosition, StreamStart, Vcpus, Window};
use crate::host::HostSpec;
use crate::host::guest_view::{AtSource, OpenWindows, work};
use crate::host::latency::latency;
use crate::machine::clock::thread_cpu_ns;
use crate::precopy::{BandwidthWindow, Cycle};
use crate::results::{Guest, Throttled};
use crate::source::tracked_guest::TrackedGuest;
use crate::units::{PAGE_SIZE, link_time_ns};
use crate::workload::{MergedStream, WriteStream};

/// How the guest got on while it was migrated, and where its stream stands.
#[derive(Debug, Default)]
pub struct GuestEnd {
    /// Writes, rate and latency, as the guest saw them.
    pub guest: Guest,
    /// Stream time at the switchover, from which the destination goes on, nanoseconds.
    pub stream_time_ns: u64,
    /// Writes that each vCPU executed here since its stream's start offset.
    pub executed: Vec<u64>,
    /// Writes that each vCPU lost to the throttle.
    pub lost: Vec<LostWrites>,
    /// What of the guest's view the destination may have to complete; none under the virtual clock.
    pub at_source: Option<AtSource>,
}

/// A clock under which one migration runs, together with the guest that lives by it.
pub trait Timeline {
    /// The migration begins now: the first harvest is next.
    fn begin(&mut self);
    /// Since the migration began, nanoseconds.
    fn now_ns(&self) -> u64;
    /// A moment on this clock, nanoseconds since the migration began. Under the virtual clock: now.
    fn instant_ns(&self, at: Instant) -> u64;
    /// A round's pages were sent and acknowledged, their content in so many bytes; `sending_ns` is the time of it that grows with the
    /// bytes.
    fn sent(&mut self, content_bytes: u64, wire_bytes: u64, sending_ns: u64);
    /// How long sending so many bytes would take, nanoseconds.
    fn sending_ns(&self, bytes: u64) -> u64;
    /// The vCPUs keep this cycle from now on; none lets them run. It ends with the migration.
    fn throttle(&mut self, cycle: Option<Cycle>);
    /// Returns when every vCPU has stopped.
    fn pause(&mut self);
    /// The vCPUs run on: the migration was given up.
    fn resume(&mut self);
    /// Per vCPU, where its stream goes on. The vCPUs are paused.
    fn positions(&self) -> Vec<StreamPosition>;
    /// The migration has ended: the destination took over at that time, or the guest stays. CPU
    /// time of the vCPU threads since it began, seconds.
    fn ended(&mut self, switched_over: Option<Instant>) -> f64;
    /// Ends the guest at this side.
    ///
    /// # Errors
    /// If a vCPU thread broke.
    fn finish(self: Box<Self>) -> Result<GuestEnd>;
}

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
        })
    }
}

/// What a throttle took, if it took anything.
fn was_throttled(throttled: Throttled) -> Option<Throttled> {
    (throttled != Throttled::default()).then_some(throttled)
}

/// Wall-clock time, and vCPU threads that write when the stream says so.
pub struct LiveTimeline {
    vcpus: Vcpus,
    bandwidth: BandwidthWindow,
    began: Instant,
    vcpu_cpu_began_s: f64,
    switched_over: Option<Instant>,
    window: Duration,
    windows: OpenWindows,
}

impl LiveTimeline {
    /// Sets the vCPUs running and lets them run for the spec's window, the latency baseline.
    ///
    /// # Errors
    /// If the streams or the threads can't be made.
    pub fn start(spec: &HostSpec, guest: &TrackedGuest) -> Result<Self> {
        let scenario = &spec.scenario;
        let streams = (0..scenario.guest.vcpus)
            .map(|vcpu| WriteStream::new(&spec.stream_spec(), vcpu))
            .collect::<Result<Vec<_>>>()?;
        let mut vcpus = Vcpus::spawn(
            guest.memory.clone(),
            guest.tracker.clone(),
            streams,
            guest.extent,
            &StreamStart::at(spec.start_offset_ns),
        )?;
        vcpus.open_window(Window::Before, scenario.measure.window.as_nanos());
        vcpus.start();
        let window = scenario.measure.window.0;
        std::thread::sleep(window);
        Ok(LiveTimeline {
            vcpus,
            bandwidth: BandwidthWindow::default(),
            began: Instant::now(),
            vcpu_cpu_began_s: 0.0,
            switched_over: None,
            window,
            windows: OpenWindows::default(),
        })
    }

    /// Opens a window from now on; where it ends in stream time.
    fn open_window(&self, window: Window) -> u64 {
        self.vcpus
            .open_window(window, self.window.as_nanos() as u64)
    }

    /// The guest stays and its vCPUs run on: that is no longer part of the migration.
    fn attempt_is_over(&mut self) {
        self.vcpus.throttle(None);
        if self.vcpus.mark_phase(Phase::After) {
            self.open_window(Window::After);
        }
    }
}

impl Timeline for LiveTimeline {
    fn begin(&mut self) {
        self.vcpus.mark_phase(Phase::During);
        self.windows.start_until_ns = self.open_window(Window::Start);
        self.vcpu_cpu_began_s = self.vcpus.cpu_s();
        self.began = Instant::now();
    }

    fn now_ns(&self) -> u64 {
        self.instant_ns(Instant::now())
    }

    fn instant_ns(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.began).as_nanos() as u64
    }

    fn sent(&mut self, _content_bytes: u64, wire_bytes: u64, sending_ns: u64) {
        self.bandwidth
            .add(wire_bytes, Duration::from_nanos(sending_ns));
    }

    fn sending_ns(&self, bytes: u64) -> u64 {
        self.bandwidth.time_for_ns(bytes)
    }

    fn throttle(&mut self, cycle: Option<Cycle>) {
        self.vcpus.throttle(cycle);
    }

    fn pause(&mut self) {
        self.windows.pause_until_ns = self.open_window(Window::Pause);
        self.vcpus.pause();
    }

    fn resume(&mut self) {
        self.attempt_is_over();
        self.vcpus.resume();
    }

    fn positions(&self) -> Vec<StreamPosition> {
        self.vcpus.positions()
    }

    fn ended(&mut self, switched_over: Option<Instant>) -> f64 {
        self.switched_over = switched_over;
        let ended = self.vcpus.cpu_s();
        if switched_over.is_none() && self.vcpus.is_running() {
            self.attempt_is_over();
        }
        ended - self.vcpu_cpu_began_s
    }

    fn finish(mut self: Box<Self>) -> Result<GuestEnd> {
        let report = match self.switched_over {
            Some(at) => self.vcpus.finish(at),
            None => {
                // The guest stays: how it gets on after the attempt is part of its story. Paused it
                // is only if it may be running elsewhere; then it must not go on.
                if self.vcpus.is_running() {
                    self.attempt_is_over();
                    std::thread::sleep(self.window);
                }
                self.vcpus.stop()
            }
        };
        let during = report.phase(Phase::During);
        let rate = |writes: u64| {
            if report.running_s > 0.0 {
                writes as f64 * PAGE_SIZE as f64 / report.running_s
            } else {
                0.0
            }
        };
        let lost: u64 = report.lost.iter().map(LostWrites::count).sum();
        let throttled = Throttled {
            writes_lost: lost,
            stall_s: report.throttled_ns as f64 / 1e9,
        };
        let schedule_kept = match report.asked_writes {
            0 => 1.0,
            asked => during.writes as f64 / asked as f64,
        };
        // The pause included, in which none could be made.
        let asked = report.asked_writes + report.asked_in_pause + lost;
        let stays = self.switched_over.is_none();
        Ok(GuestEnd {
            guest: Guest {
                writes: during.writes,
                schedule_kept,
                writes_verified: None,
                achieved_rate: rate(during.writes),
                asked_rate: rate(report.asked_writes + lost),
                write_latency_ns: Some(latency(&report.latency)),
                write_latency_before_ns: Some(latency(report.window(Window::Before))),
                write_latency_after_ns: Some(latency(report.window(Window::After))),
                progress: (asked > 0).then(|| during.writes as f64 / asked as f64),
                stall_before_s: Some(report.stall_before_ns as f64 / 1e9),
                work_before: Some(work(report.phase(Phase::Before))),
                work_during: Some(work(during)),
                work_after: stays.then(|| work(report.phase(Phase::After))),
                throttled: was_throttled(throttled),
                ..Guest::default()
            },
            at_source: Some(AtSource::new(&report, self.windows)),
            stream_time_ns: report.stream_time_ns,
            executed: report.executed,
            lost: report.lost,
        })
    }
}
