//! What the vCPU threads and their controller share.

use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Target;
use super::clock;
use super::report::{Phase, WINDOWS, Window};
use super::stream::StreamPosition;
use super::throttle::ThrottleWord;

/// What the vCPUs are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mode {
    /// Stop between two writes and wait.
    Hold = 0,
    /// Execute the stream.
    Run = 1,
    /// Account for what is due, and end.
    End = 2,
}

/// What is guarded by the lock. The mode changes only under it, so that a vCPU can't be counted
/// as stopped while it goes on.
#[derive(Debug)]
pub(super) struct Stops {
    /// vCPUs that wait between two writes.
    parked: usize,
    /// vCPUs whose thread is gone, by a panic or at the end.
    gone: usize,
    /// Of each vCPU, when it last stopped.
    pub(super) positions: Vec<StreamPosition>,
    /// At the end: writes before this stream time are due.
    pub(super) due_until_ns: u64,
    /// At the end: the due writes stall until that time.
    pub(super) stalled: bool,
}

/// A stretch of stream time: from the first, up to the second.
#[derive(Debug)]
struct Bounds(AtomicU64, AtomicU64);

impl Bounds {
    const fn unknown() -> Bounds {
        Bounds(AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX))
    }

    #[inline]
    fn holds(&self, at_ns: u64) -> bool {
        at_ns >= self.0.load(Relaxed) && at_ns < self.1.load(Relaxed)
    }

    /// How much of a stretch lies inside.
    fn within(&self, from_ns: u64, to_ns: u64) -> u64 {
        let from_ns = from_ns.max(self.0.load(Relaxed));
        to_ns.min(self.1.load(Relaxed)).saturating_sub(from_ns)
    }
}

/// The controller sets what the threads read, under the lock where they must agree on it.
#[derive(Debug)]
pub(super) struct VcpuState {
    pub(super) target: Arc<dyn Target>,
    /// Stream time at `start_ns`.
    pub(super) offset_ns: AtomicU64,
    /// Monotonic time at which the vCPUs were started.
    pub(super) start_ns: AtomicU64,
    /// A [`Mode`]; sleeping vCPUs wait on this word.
    mode: AtomicU32,
    /// A [`Phase`].
    pub(super) phase: AtomicU8,
    /// [`Phase::During`] in stream time; `u64::MAX` while not known.
    during: Bounds,
    /// By [`Window`]: in stream time, and `u64::MAX` while it was not opened.
    windows: [Bounds; WINDOWS],
    /// When they sleep.
    pub(super) throttle: ThrottleWord,
    /// Of each vCPU's thread, its name to the kernel.
    thread_ids: Box<[AtomicI32]>,
    stops: Mutex<Stops>,
    stopped: Condvar,
    go_on: Condvar,
}

impl VcpuState {
    pub(super) fn new(target: Arc<dyn Target>, offset_ns: u64, vcpus: usize) -> VcpuState {
        VcpuState {
            target,
            offset_ns: AtomicU64::new(offset_ns),
            start_ns: AtomicU64::new(0),
            mode: AtomicU32::new(Mode::Hold as u32),
            phase: AtomicU8::new(Phase::Before as u8),
            during: Bounds::unknown(),
            windows: std::array::from_fn(|_| Bounds::unknown()),
            throttle: ThrottleWord::default(),
            thread_ids: (0..vcpus).map(|_| AtomicI32::new(0)).collect(),
            stops: Mutex::new(Stops {
                parked: 0,
                gone: 0,
                positions: vec![StreamPosition::END; vcpus],
                due_until_ns: 0,
                stalled: false,
            }),
            stopped: Condvar::new(),
            go_on: Condvar::new(),
        }
    }

    /// The lock. A vCPU that panicked while it held it left it valid.
    pub(super) fn stops(&self) -> MutexGuard<'_, Stops> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stream time at a monotonic time; it does not go below the start offset.
    #[inline]
    pub(super) fn stream_time(&self, monotonic_ns: u64) -> u64 {
        let since = monotonic_ns.saturating_sub(self.start_ns.load(Relaxed));
        self.offset_ns.load(Relaxed).saturating_add(since)
    }

    /// Monotonic time at a stream time that is not below the start offset.
    #[inline]
    fn monotonic_time(&self, stream_ns: u64) -> u64 {
        let since = stream_ns.saturating_sub(self.offset_ns.load(Relaxed));
        self.start_ns.load(Relaxed).saturating_add(since)
    }

    /// Whether a write of that time belongs to [`Phase::During`].
    #[inline]
    pub(super) fn in_during(&self, at_ns: u64) -> bool {
        self.during.holds(at_ns)
    }

    /// How much of a stretch of stream time lies in [`Phase::During`].
    pub(super) fn during_within(&self, from_ns: u64, to_ns: u64) -> u64 {
        self.during.within(from_ns, to_ns)
    }

    /// [`Phase::During`] begins at that stream time.
    pub(super) fn begin_during(&self, at_ns: u64) {
        self.during.0.store(at_ns, Relaxed);
    }

    /// [`Phase::During`] ended at that stream time, or with the pause there.
    pub(super) fn end_during(&self, at_ns: u64) {
        self.during.1.store(at_ns, Relaxed);
    }

    /// Whether a write of that time was due after the end of [`Phase::During`].
    pub(super) fn is_after_during(&self, at_ns: u64) -> bool {
        at_ns >= self.during.1.load(Relaxed)
    }

    /// Opens a window over a stretch of stream time.
    pub(super) fn set_window(&self, window: Window, from_ns: u64, to_ns: u64) {
        let Bounds(from, to) = &self.windows[window as usize];
        to.store(to_ns, Relaxed);
        from.store(from_ns, Relaxed);
    }

    /// Whether a write of that time was intended in a window.
    #[inline]
    pub(super) fn in_window(&self, window: Window, at_ns: u64) -> bool {
        self.windows[window as usize].holds(at_ns)
    }

    /// How much of a stretch of stream time lies in a window.
    pub(super) fn window_within(&self, window: Window, from_ns: u64, to_ns: u64) -> u64 {
        self.windows[window as usize].within(from_ns, to_ns)
    }

    /// vCPU `index`'s thread says who it is.
    pub(super) fn introduce(&self, index: usize, thread_id: i32) {
        self.thread_ids[index].store(thread_id, Relaxed);
    }

    /// Page faults of all vCPU threads so far that the kernel resolved without I/O.
    pub(super) fn minor_faults(&self) -> u64 {
        let threads = self.thread_ids.iter();
        threads
            .map(|id| clock::minor_faults(id.load(Relaxed)))
            .sum()
    }

    /// Whether the vCPUs are to execute. Costs one load.
    #[inline]
    pub(super) fn is_running(&self) -> bool {
        self.mode.load(Relaxed) == Mode::Run as u32
    }

    /// Tells the vCPUs what to do. They obey between two writes.
    pub(super) fn set_mode(&self, mode: Mode) {
        let stops = self.stops();
        self.mode.store(mode as u32, Release);
        self.go_on.notify_all();
        drop(stops);
        clock::wake_all(&self.mode);
    }

    /// Ends every sleep of a vCPU, which looks again.
    pub(super) fn wake(&self) {
        clock::wake_all(&self.mode);
    }

    /// Waits until every vCPU has stopped.
    pub(super) fn wait_until_stopped(&self) {
        let mut stops = self.stops();
        while stops.parked + stops.gone < stops.positions.len() {
            stops = self
                .stopped
                .wait(stops)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sleeps until a stream time (for ever if `None`) or another mode.
    pub(super) fn sleep(&self, until_ns: Option<u64>) -> clock::Woken {
        let until = until_ns.map(|ns| self.monotonic_time(ns));
        clock::sleep(&self.mode, Mode::Run as u32, until)
    }

    /// A vCPU stops at `position` and waits for another mode than to hold.
    pub(super) fn park(&self, index: usize, position: StreamPosition) -> Mode {
        let mut stops = self.stops();
        stops.positions[index] = position;
        stops.parked += 1;
        self.stopped.notify_all();
        while self.mode.load(Relaxed) == Mode::Hold as u32 {
            stops = self
                .go_on
                .wait(stops)
                .unwrap_or_else(PoisonError::into_inner);
        }
        stops.parked -= 1;
        match self.is_running() {
            true => Mode::Run,
            false => Mode::End,
        }
    }

    /// A vCPU's thread ends.
    pub(super) fn leave(&self) {
        self.stops().gone += 1;
        self.stopped.notify_all();
    }
}
