//! The guest's writes to its disk at the destination, once it runs here.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::guest::disk::{self, Disk};
use crate::guest::vcpu::{StreamPosition, StreamStart, Target, Vcpus, Window};
use crate::host::HostSpec;
use crate::host::latency::latency;
use crate::memory::GuestMemory;
use crate::results::Latency;
use crate::workload::{PageWrite, WriteStream};

/// The thread that goes on with the disk writes where the source's stopped.
pub(super) struct DiskWriter {
    vcpu: Vcpus,
    here: Arc<Here>,
    window_ns: u64,
}

/// The disk here, written to by one thread.
#[derive(Debug)]
struct Here {
    disk: Arc<Disk>,
    block: Mutex<(GuestMemory, Option<std::io::Error>)>,
}

impl DiskWriter {
    /// Makes the thread; `None` of a guest without a disk.
    ///
    /// # Errors
    /// If it can't be made.
    pub(super) fn stand_ready(
        spec: &HostSpec,
        disk: Option<&Arc<Disk>>,
        position: Vec<StreamPosition>,
    ) -> Result<Option<DiskWriter>> {
        let (Some(disk), Some(stream)) = (disk, spec.disk_stream_spec()) else {
            return Ok(None);
        };
        let block = disk::block().map_err(|error| Error::io("a block", error))?;
        let here = Arc::new(Here {
            disk: disk.clone(),
            block: Mutex::new((block, None)),
        });
        let streams = vec![WriteStream::new(&stream, 0)?];
        Ok(Some(DiskWriter {
            vcpu: Vcpus::over(here.clone(), streams, &StreamStart::resumed(position))?,
            here,
            window_ns: spec.scenario.measure.window.as_nanos(),
        }))
    }

    /// The guest runs on from that stream time.
    pub(super) fn start_at(&mut self, stream_time_ns: u64) {
        let until_ns = stream_time_ns.saturating_add(self.window_ns);
        self.vcpu
            .set_window(Window::After, stream_time_ns, until_ns);
        self.vcpu.start_at(stream_time_ns);
    }

    /// Ends it; latency of the writes in the window from the switchover on.
    ///
    /// # Errors
    /// If the guest could not write to its disk.
    pub(super) fn stop(self) -> Result<Latency> {
        let report = self.vcpu.stop();
        let mut block = self
            .here
            .block
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match block.1.take() {
            Some(error) => Err(Error::io("running on", error)),
            None => Ok(latency(report.window(Window::After))),
        }
    }
}

impl Target for Here {
    fn execute(&self, write: &PageWrite) {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        let (content, failure) = &mut *block;
        if failure.is_none() {
            disk::write_content(content, write);
            *failure = self.disk.execute(content, write).err();
        }
    }
}
