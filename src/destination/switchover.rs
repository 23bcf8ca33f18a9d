//! The state that all streams of a destination share, and the one decision that it comes to.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use crate::machine::clock::process_cpu_ns;
use crate::memory::touched;
use crate::transport::since_data;
use crate::wire::Totals;

const UNDECIDED: u8 = 0;
const SWITCHED_OVER: u8 = 1;
const GIVEN_UP: u8 = 2;
const FAILED: u8 = 3;

/// What the streams have received, and what became of the guest.
pub struct Switchover {
    /// Rounds that ended, by stream.
    ended: Vec<AtomicU32>,
    /// What was applied, by stream, that of the disk last if there is one.
    applied: Mutex<Vec<Totals>>,
    device_state: Mutex<Vec<u8>>,
    most_device_state: usize,
    sockets: Mutex<Vec<TcpStream>>,
    /// How long a stream may be silent between records, if that is more than its peer timeout.
    pub(super) silence: Duration,
    decision: AtomicU8,
    /// Held for reading while a record is opened into guest memory, which it may turn out not to be fit for;
    /// for writing while the guest's fate is decided.
    opening: RwLock<()>,
    /// CPU time of the process when the guest was switched over, nanoseconds.
    decided_cpu_ns: AtomicU64,
    /// What asks for the CPU time of a tunnel's processes, if there are any, and what it said then.
    tunnel_cpu: OnceLock<TunnelCpu>,
    decided_tunnel_ns: AtomicU64,
    /// CPU time of the disk's stream so far, which is none of the migration's other figures.
    disk_cpu_ns: AtomicU64,
}

/// Guest memory may be written to: its guest's fate is open. However it goes, by an error or a panic too, the
/// migration has failed then, unless the record opened.
pub struct Admission<'a> {
    switchover: &'a Switchover,
    is_opened: bool,
    /// Goes after the failure is told.
    _guard: RwLockReadGuard<'a, ()>,
}

impl Admission<'_> {
    /// The record is authentic.
    pub fn opened(mut self) {
        self.is_opened = true;
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.is_opened {
            self.switchover.fail();
        }
    }
}

/// CPU nanoseconds so far.
type TunnelCpu = Box<dyn Fn() -> u64 + Send + Sync>;

impl Switchover {
    /// For as many streams of memory, and a device state of at most so many bytes. A stream may be silent for
    /// `silence` between records, if that is more than its peer timeout.
    pub fn new(streams: u32, most_device_state: usize, silence: Duration) -> Self {
        Switchover {
            ended: (0..streams).map(|_| AtomicU32::new(0)).collect(),
            applied: Mutex::new(vec![Totals::default(); streams as usize]),
            device_state: Mutex::new(touched(most_device_state)),
            most_device_state,
            sockets: Mutex::new(Vec::new()),
            silence,
            decision: AtomicU8::new(UNDECIDED),
            opening: RwLock::new(()),
            decided_cpu_ns: AtomicU64::new(0),
            tunnel_cpu: OnceLock::new(),
            decided_tunnel_ns: AtomicU64::new(0),
            disk_cpu_ns: AtomicU64::new(0),
        }
    }

    /// Awaits a disk too, on a stream of its own.
    pub fn await_disk(&mut self) {
        lock(&self.applied).push(Totals::default());
    }

    /// CPU time of the disk's stream, as of its last round, nanoseconds.
    pub fn disk_cpu(&self, cpu_ns: u64) {
        self.disk_cpu_ns.store(cpu_ns, Ordering::SeqCst);
    }

    /// Takes the CPU time of a tunnel's processes too when the decision falls: they may be gone soon
    /// after. What asks for it runs within the downtime.
    pub fn count_tunnel(&self, cpu_ns: impl Fn() -> u64 + Send + Sync + 'static) {
        // One migration has one tunnel.
        let _ = self.tunnel_cpu.set(Box::new(cpu_ns));
    }

    /// Adds a stream's socket, to be shut down when the migration ends.
    pub fn add_socket(&self, socket: TcpStream) {
        lock(&self.sockets).push(socket);
    }

    /// Whether data came on any stream within this time, by the kernel's account.
    pub fn has_received_within(&self, time: Duration) -> bool {
        let sockets = lock(&self.sockets);
        let mut ages = sockets.iter().filter_map(since_data);
        ages.any(|age| age < time)
    }

    /// A stream begins to receive `round`: every stream must have ended the rounds before.
    ///
    /// # Errors
    /// If one has not: a page of this round could be overwritten by a late record of that one.
    pub fn check_barrier(&self, round: u32) -> Result<(), &'static str> {
        // SeqCst: once a round; the source's own barrier orders the rest.
        if self.ended.iter().all(|e| e.load(Ordering::SeqCst) >= round) {
            Ok(())
        } else {
            Err("a round begins while another stream is still in the one before")
        }
    }

    /// Lets a record be opened straight into guest memory, if no fate was decided. Until what is returned has gone
    /// the guest is neither switched over nor given up, and not after unless [`Admission::opened`] was told.
    pub fn admit(&self) -> Option<Admission<'_>> {
        let guard = self.opening.read().unwrap_or_else(PoisonError::into_inner);
        let undecided = self.decision.load(Ordering::SeqCst) == UNDECIDED;
        undecided.then_some(Admission {
            switchover: self,
            is_opened: false,
            _guard: guard,
        })
    }

    /// A stream has applied a round.
    pub fn round_ended(&self, stream: u32, totals: Totals) {
        lock(&self.applied)[stream as usize] += totals;
        // The disk's rounds are no barriers.
        if let Some(ended) = self.ended.get(stream as usize) {
            ended.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Adds a piece of the device state.
    ///
    /// # Errors
    /// If it is more than the spec allows.
    pub fn add_device_state(&self, piece: &[u8]) -> Result<(), &'static str> {
        let mut state = lock(&self.device_state);
        if state.len() + piece.len() > self.most_device_state {
            return Err("more device state than the spec allows");
        }
        state.extend_from_slice(piece);
        Ok(())
    }

    /// The final record came: takes over if all of it is as the source says, and never twice.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn switch_over(&self, sent: &[Totals]) -> Result<(), &'static str> {
        let rounds = self.ended[0].load(Ordering::SeqCst);
        let level = |e: &AtomicU32| e.load(Ordering::SeqCst) == rounds;
        if !self.ended.iter().all(level) {
            return Err("the final record came before every stream had ended its last round");
        }
        if *lock(&self.applied) != sent {
            return Err("the final record's totals differ from what was applied");
        }
        self.decide(SWITCHED_OVER).map_err(|before| match before {
            FAILED => "the final record came after a stream had failed",
            _ => "a second final record",
        })
    }

    /// The source keeps its guest.
    pub fn give_up(&self) {
        // Only the first decision counts.
        let _ = self.decide(GIVEN_UP);
    }

    /// A stream has failed: the guest stays at the source, unless its fate was decided before, in
    /// which case the failure changes nothing. False then.
    pub fn fail(&self) -> bool {
        let (order, failed) = (Ordering::SeqCst, FAILED);
        let before = self
            .decision
            .compare_exchange(UNDECIDED, failed, order, order);
        matches!(before, Ok(_) | Err(FAILED))
    }

    /// Decides, if nothing has been decided and no stream has failed; else what came before.
    fn decide(&self, decision: u8) -> Result<(), u8> {
        let _nothing_is_opened = self.opening.write().unwrap_or_else(PoisonError::into_inner);
        self.decision
            .compare_exchange(UNDECIDED, decision, Ordering::SeqCst, Ordering::SeqCst)?;
        self.decided_cpu_ns.store(self.cpu_ns(), Ordering::SeqCst);
        if let Some(cpu_ns) = self.tunnel_cpu.get() {
            self.decided_tunnel_ns.store(cpu_ns(), Ordering::SeqCst);
        }
        Ok(())
    }

    /// CPU time of the process without the disk's stream, nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        process_cpu_ns().saturating_sub(self.disk_cpu_ns.load(Ordering::SeqCst))
    }

    /// Wakes every stream: nothing more will come. After a failure the sending directions are
    /// ended too, so that the source hears of it at once.
    pub fn end_streams(&self, failed: bool) {
        let how = if failed {
            Shutdown::Both
        } else {
            Shutdown::Read
        };
        for socket in lock(&self.sockets).iter() {
            // The peer may have closed it already.
            let _ = socket.shutdown(how);
        }
    }

    /// Whether the guest was switched over or given up.
    pub fn is_decided(&self) -> bool {
        matches!(
            self.decision.load(Ordering::SeqCst),
            SWITCHED_OVER | GIVEN_UP
        )
    }

    /// Whether the guest was switched over.
    pub fn is_switched_over(&self) -> bool {
        self.decision.load(Ordering::SeqCst) == SWITCHED_OVER
    }

    /// CPU time of the process when the decision fell, nanoseconds; `None` before.
    pub fn decided_cpu_ns(&self) -> Option<u64> {
        self.is_decided()
            .then(|| self.decided_cpu_ns.load(Ordering::SeqCst))
    }

    /// CPU time of a tunnel's processes when the decision fell, nanoseconds; `None` before, or without
    /// one.
    pub fn decided_tunnel_ns(&self) -> Option<u64> {
        (self.tunnel_cpu.get().is_some() && self.is_decided())
            .then(|| self.decided_tunnel_ns.load(Ordering::SeqCst))
    }

    /// The device state that was received.
    pub fn device_state(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.device_state))
    }
}

/// A poisoned lock means that another stream thread panicked; the process is ending then.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
