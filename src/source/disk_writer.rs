//! The guest's writes to its disk at the source, and how long they take.

use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::guest::vcpu::{StreamPosition, StreamStart, Vcpus, Window};
use crate::host::HostSpec;
use crate::host::latency::latency;
use crate::results::Latency;
use crate::source::disk::SourceDisk;
use crate::workload::WriteStream;

/// What the guest saw of its disk at the source.
#[derive(Debug, Default)]
pub struct DiskView {
    /// Writes that it made here.
    pub writes: u64,
    /// Latency of the writes intended in the window before the bulk copy.
    pub before: Latency,
    /// The same of writes while the disk was copied.
    pub copying: Latency,
    /// The same from then to the end, the pause included.
    pub mirroring: Latency,
    /// The same in the window after a migration that left the guest here.
    pub after: Latency,
}

/// The thread that writes to the guest's disk, as vCPUs write to its memory: by the same streams, clocks
/// and windows.
pub struct DiskWriter {
    vcpu: Vcpus,
    window_ns: u64,
    /// Where the present window began, in stream time.
    since_ns: u64,
}

impl DiskWriter {
    /// Sets the guest writing to its disk. `None` if it has none.
    ///
    /// # Errors
    /// If the stream or the thread can't be made.
    pub fn start(spec: &HostSpec, disk: Option<&Arc<SourceDisk>>) -> Result<Option<DiskWriter>> {
        let (Some(disk), Some(stream)) = (disk, spec.disk_stream_spec()) else {
            return Ok(None);
        };
        let streams = vec![WriteStream::new(&stream, 0)?];
        let start = StreamStart::at(spec.start_offset_ns);
        let mut vcpu = Vcpus::over(disk.clone(), streams, &start)?;
        let window_ns = spec.scenario.measure.window.as_nanos();
        vcpu.open_window(Window::Before, window_ns);
        vcpu.start();
        Ok(Some(DiskWriter {
            vcpu,
            window_ns,
            since_ns: 0,
        }))
    }

    /// The bulk copy begins.
    pub fn copying(&mut self) {
        self.since_ns = self.vcpu.stream_time_ns();
        self.vcpu.set_window(Window::Start, self.since_ns, u64::MAX);
    }

    /// It has ended; every write is mirrored now.
    pub fn mirroring(&mut self) {
        let now_ns = self.vcpu.stream_time_ns();
        self.vcpu.set_window(Window::Start, self.since_ns, now_ns);
        self.vcpu.set_window(Window::Pause, now_ns, u64::MAX);
        self.since_ns = now_ns;
    }

    /// The migration has ended and the guest stays.
    pub fn over(&mut self) {
        let now_ns = self.vcpu.stream_time_ns();
        self.vcpu.set_window(Window::Pause, self.since_ns, now_ns);
        self.vcpu.open_window(Window::After, self.window_ns);
    }

    /// Returns when the last write is done, which a mirrored one is once the destination has it.
    pub fn pause(&mut self) {
        self.vcpu.pause();
    }

    /// It goes on.
    pub fn resume(&mut self) {
        self.vcpu.resume();
    }

    /// Where its stream goes on. It is paused.
    pub fn position(&self) -> StreamPosition {
        self.vcpu.positions()[0]
    }

    /// CPU time of its thread, seconds.
    pub fn cpu_s(&self) -> f64 {
        self.vcpu.cpu_s()
    }

    /// Ends it: the guest runs at the destination since then, or stays.
    pub fn finish(self, switched_over: Option<Instant>) -> DiskView {
        let report = match switched_over {
            Some(at) => self.vcpu.finish(at),
            None => self.vcpu.stop(),
        };
        let of = |window| latency(report.window(window));
        DiskView {
            writes: report.executed.iter().sum(),
            before: of(Window::Before),
            copying: of(Window::Start),
            mirroring: of(Window::Pause),
            after: of(Window::After),
        }
    }
}
