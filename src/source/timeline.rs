//! The clock of a migration, as the source's driver sees it: what time it is, when the guest writes. The live one.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::guest::vcpu::{LostWrites, Phase, StreamPosition, StreamStart, Vcpus, Window};
use crate::host::HostSpec;
use crate::host::guest_view::{AtSource, OpenWindows, work};
use crate::host::latency::latency;
use crate::precopy::{BandwidthWindow, Cycle};
use crate::results::{Guest, Throttled};
use crate::source::disk_writer::{DiskView, DiskWriter};
use crate::source::tracked_guest::TrackedGuest;
use crate::units::PAGE_SIZE;
use crate::workload::WriteStream;

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
    /// What it saw of its disk; none of a guest without one.
    pub disk: Option<DiskView>,
}

/// A clock under which one migration runs, together with the guest that lives by it.
pub trait Timeline {
    /// The bulk copy of the guest's disk begins now.
    fn copy(&mut self);
    /// The migration begins now: the first harvest is next, and every disk write is mirrored.
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
    /// Returns when every vCPU has stopped, and the last write to the disk is done.
    fn pause(&mut self);
    /// The vCPUs run on: the migration was given up.
    fn resume(&mut self);
    /// Where the vCPUs' streams go on, and last the disk's, if there is one. The guest is paused.
    fn positions(&self) -> Vec<StreamPosition>;
    /// The migration has ended: the destination took over at that time, or the guest stays. CPU
    /// time of the guest's threads since it began, seconds.
    fn ended(&mut self, switched_over: Option<Instant>) -> f64;
    /// Ends the guest at this side.
    ///
    /// # Errors
    /// If a vCPU thread broke.
    fn finish(self: Box<Self>) -> Result<GuestEnd>;
}

/// What a throttle took, if it took anything.
pub(super) fn was_throttled(throttled: Throttled) -> Option<Throttled> {
    (throttled != Throttled::default()).then_some(throttled)
}

/// Wall-clock time, and vCPU threads that write when the stream says so.
pub struct LiveTimeline {
    vcpus: Vcpus,
    disk: Option<DiskWriter>,
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
        let disk = DiskWriter::start(spec, guest.disk.as_ref())?;
        let window = scenario.measure.window.0;
        std::thread::sleep(window);
        Ok(LiveTimeline {
            vcpus,
            disk,
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
            if let Some(disk) = &mut self.disk {
                disk.over();
            }
        }
    }

    /// CPU time of the guest's threads, seconds.
    fn cpu_s(&self) -> f64 {
        self.vcpus.cpu_s() + self.disk.as_ref().map_or(0.0, DiskWriter::cpu_s)
    }
}

impl Timeline for LiveTimeline {
    fn copy(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.copying();
        }
    }

    fn begin(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.mirroring();
        }
        self.vcpus.mark_phase(Phase::During);
        self.windows.start_until_ns = self.open_window(Window::Start);
        self.vcpu_cpu_began_s = self.cpu_s();
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
        if let Some(disk) = &mut self.disk {
            disk.pause();
        }
    }

    fn resume(&mut self) {
        self.attempt_is_over();
        self.vcpus.resume();
        if let Some(disk) = &mut self.disk {
            disk.resume();
        }
    }

    fn positions(&self) -> Vec<StreamPosition> {
        let mut positions = self.vcpus.positions();
        positions.extend(self.disk.as_ref().map(DiskWriter::position));
        positions
    }

    fn ended(&mut self, switched_over: Option<Instant>) -> f64 {
        self.switched_over = switched_over;
        let ended = self.cpu_s();
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
        let disk = self.disk.take();
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
            disk: disk.map(|disk| disk.finish(self.switched_over)),
            stream_time_ns: report.stream_time_ns,
            executed: report.executed,
            lost: report.lost,
        })
    }
}
